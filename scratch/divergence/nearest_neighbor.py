"""KL from samples alone: the distances to the nearest neighbors.

x_1 .. x_n from p, y_1 .. y_m from q, in D dimensions.  Around x_i let

    rho_i = distance to the k-th nearest of the other x     (n - 1 of them)
    nu_i  = distance to the k-th nearest of the y           (m of them)

Fixed k.  A ball that just holds k of n - 1 points has p(x_i) c rho_i^D ~= k / (n - 1),
and likewise q(x_i) c nu_i^D ~= k / m.  In the logarithm of the ratio the volume c of
the unit ball and k cancel, and so do the biases of both logarithms:

    KL(p || q) ~= D/n sum_i log(nu_i / rho_i) + log(m / (n - 1))

Source: Wang, Kulkarni, Verdu 2009, "Divergence estimation for multidimensional
densities via k-nearest-neighbor distances", IEEE Trans. Inf. Theory 55(5),
eq. (5).  What remains is that p and q change inside their balls, which differ:
where q is rare its ball is wide and reaches toward q's bulk, so that the
estimate is too small when the KL or D is large.

Adaptive k.  Wang et al. therefore look at both samples in one ball, of radius
max(rho_i, nu_i) for k = 1, with as many neighbors as fall into it (eq. (29)):

    D/n sum_i log(nu_(k_i) / rho_(l_i)) + 1/n sum_i [psi(l_i) - psi(k_i)] + log(m / (n - 1))

Where in the ball the last of l points lies is mere chance: D log(radius / rho_(l))
has mean 1 / l, and psi(l) + 1 / l = psi(l + 1).  With this mean in its place the
distances drop out and only counts are left, with less noise:

    KL(p || q) ~= 1/n sum_i [H(l_i) - H(k_i)] + log(m / (n - 1)),      H(l) = 1 + 1/2 + ... + 1/l
    l_i = number of other x nearer to x_i than its nearest y
    k_i = number of y nearer to x_i than its nearest other x           (one of the two is 0)

That this is right is seen directly.  Let the points around x_i arrive in order
of distance, each an x with chance a, or a y with chance 1 - a.  The number of x
before the first y is geometric, P(l >= j) = a^j, so E[H(l)] = sum_j a^j / j =
-log(1 - a); likewise E[H(k)] = -log a.  The difference is log(a / (1 - a)), the
logarithm of the ratio of the rates (n - 1) p and m q: exact, and without D.

Estimates of a KL near 0 scatter around 0, and the negative ones are kept.
Rotating, shifting or scaling x and y together changes nothing; stretching one
axis changes the balls (samples.whiten removes this).

Repeated points.  A distance of 0 says that the law has an atom there.  For fixed
k, a point with k or more copies among the other x, or among the y, has the term

    log (share of x equal to x_i) - log (share of y equal to x_i)

so that for discrete data the estimate is the KL of the two histograms, and a
repeated x that never occurs in y makes it inf.  (Rounded data against a
continuous model is such a case, and inf is the truth.  Uniform noise of the
width of the rounding step, added to both, makes densities of them; between
two laws on one lattice it leaves the KL as it is.)  The adaptive counts need no
such rule: among l x and k y at distance 0 any order is equally likely, and the
mean over all orders is again H(l) - H(k).  No count exceeds n, so that an atom
which q lacks, like any disjoint supports, gives a number near log m, not inf.
Constant columns: see samples.common_plane.

Standard error.  The terms t_i move together where they rest on the same point.
Let every x_i give the weight 1/k to each of its k nearest x, and likewise to its k
nearest y.  With g_j for what x_j collects, and h_j for m/n times what y_j collects
(both of mean 1; h_j estimates p(y_j) / q(y_j)), one more x at x_j would change the sum
of the terms by t_j + g_j, one more y at y_j by -h_j n / m.  These are their influences, so

    stderr^2 = var(t + g) / n  +  var(h) / m  -  2 / (n k)

The last part takes out the noise of each single x_i, which is in its own term and
again in what it gives to its neighbors.  The usual choice var(t) / n is too small by
a factor of 2 for N(0, 1) against N(2, 1).  The whole was 0.94 to 1.2 times the true
deviation for adaptive counts (D = 1 to 20, KL = 0 to 2), and 0.9 to 1.3 times for
k = 5 up to D = 5 (0.7 at D = 20).  The bias is not part of it.
"""
import numpy as np
from scipy.special import digamma

from scratch import checks
from scratch.divergence.neighbors import LEAST, count_nearer, nearest, nearest_others, same_scale, shares
from scratch.divergence.samples import common_plane, equal_rows, first_copies, two_samples
from scratch.estimate import Estimate


def kl_nearest_neighbor(x, y, k=5):
    """KL(p || q) in nats from x (n, D) of p and y (m, D) of q; n > k and m >= k.  O(n log n).

    >>> rng = np.random.default_rng(0)
    >>> print(kl_nearest_neighbor(rng.normal(size=(4000, 1)), rng.normal(1.0, 1.0, size=(4000, 1))))
    0.5068 +- 0.0287 nats (n = 4000)
    """
    x, y = two_samples(x, y)
    k = checks.size(k, "k")
    n, m = len(x), len(y)
    if n <= k or m < max(k, 2):
        raise ValueError(f"k = {k} needs more than k rows of x and at least max(k, 2) of y, got {n} and {m}")
    group_x, group_y, count_x, count_y = _groups(x, y)
    is_atom = ((count_x > k) | (count_y >= k))[group_x]                           # (n,)
    atoms = group_x[is_atom]
    terms = np.empty(n)
    with np.errstate(divide="ignore"):                                            # inf: an atom of p alone
        terms[is_atom] = np.log(count_x[atoms] / n) - np.log(count_y[atoms] / m)
    near_x = near_y = np.empty((0, k), dtype=int)
    if not is_atom.all():
        varying, inside = common_plane(x, y)
        if not inside.any():
            return Estimate(np.inf, 0.0, n)
        if inside.sum() < max(k, 2):
            raise ValueError(f"x has constant columns, and only {inside.sum()} rows of y share their values: "
                             f"k = {k} needs at least {max(k, 2)}")
        x, y = same_scale(x[:, varying], y[inside][:, varying])
        rho, near_x = nearest_others(x[~is_atom], x, group_x, k)
        nu, near_y = nearest(x[~is_atom], y, group_y[inside], k)
        ratio = np.maximum(nu, LEAST) / np.maximum(rho, LEAST)
        terms[~is_atom] = varying.sum() * np.log(ratio) + np.log(m / (n - 1))
    if (terms == np.inf).any():
        return Estimate(np.inf, 0.0, n)
    return _estimate(terms, near_x, near_y, atoms, group_x, count_x, count_y)


def kl_adaptive_neighbors(x, y):
    """KL(p || q) in nats from x (n, D) of p and y (m, D) of q, less biased than a fixed k; n, m >= 2.

    O(n log n) while the counts stay small; at worst, for distant laws, O(n^2) time, but linear memory.

    >>> rng = np.random.default_rng(0)
    >>> print(kl_adaptive_neighbors(rng.normal(size=(4000, 1)), rng.normal(1.0, 1.0, size=(4000, 1))))
    0.5243 +- 0.0392 nats (n = 4000)
    """
    x, y = two_samples(x, y)
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"at least 2 rows of x and of y are needed, got {n} and {m}")
    group_x, group_y, count_x, count_y = _groups(x, y)
    varying, inside = common_plane(x, y)
    if not inside.any():
        return Estimate(np.inf, 0.0, n)
    columns = varying if varying.any() else slice(None)
    x, y = same_scale(x[:, columns], y[inside][:, columns])
    once = first_copies(group_x, 1)                                               # copies have equal terms:
    row = np.empty(len(count_x), dtype=int)                                       # ask one of each
    row[group_x[once]] = np.arange(once.sum())
    back = row[group_x]                                                           # (n,)
    rho, near_x = nearest_others(x[once], x, group_x, 1)
    nu, near_y = nearest(x[once], y, group_y[inside], 1)
    is_atom = (rho == 0) & (nu == 0)
    # At an atom of both, H(l) - H(k) of all its copies; where only nu is 0 not even x_i itself is nearer.
    x_nearer = np.where(is_atom, count_x[group_x[once]], count_nearer(x[once], x, nu)) - 1
    y_nearer = np.where(is_atom, count_y[group_x[once]], count_nearer(x[once], y, rho))
    harmonic = digamma(np.maximum(x_nearer, 0) + 1.0) - digamma(y_nearer + 1.0)
    terms = harmonic[back] + np.log(m / (n - 1))
    loose = ~is_atom[back]
    near_x, near_y = near_x[back][loose], near_y[back][loose]
    return _estimate(terms, near_x, near_y, group_x[~loose], group_x, count_x, count_y)


def _groups(x, y):
    """The group of every row, (n,) and (m,), and how many x and y each group has, (groups,) each."""
    group_x, group_y = equal_rows(x, y)
    groups = 1 + max(group_x.max(), group_y.max())
    return group_x, group_y, np.bincount(group_x, minlength=groups), np.bincount(group_y, minlength=groups)


def _estimate(terms, near_x, near_y, atoms, group_x, count_x, count_y):
    """The mean of the terms with its error.

    near_x, near_y (n', k): groups of the neighbors of the x that are no atoms;
    atoms (n - n',): groups of those that are, which rest on the y at their own place.
    """
    n, m = len(terms), count_y.sum()
    g = shares(near_x, count_x)[group_x]                                          # (n,)
    h = m / n * (shares(near_y, count_y) + shares(atoms[:, None], count_y))       # (groups,)
    twice = near_y.shape[0] / near_y.shape[1] / n ** 2
    variance = np.var(terms + g, ddof=1) / n + count_y @ (h - 1) ** 2 / m ** 2 - 2 * twice
    variance = max(variance, np.var(terms, ddof=1) / n)
    return Estimate(float(terms.mean()), float(np.sqrt(variance)), n)
