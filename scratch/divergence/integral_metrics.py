"""Distances between samples that need no density: MMD, Wasserstein-2, sliced Wasserstein-2.

They judge implicit models, also where the KL is infinite (disjoint supports).
None is in nats: MMD is a squared length between mean embeddings, the others
are lengths in the units of the data.

MMD^2 = || E_p phi(x) - E_q phi(y) ||^2 for the feature map of a kernel k:

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)

Without the terms i = j it is unbiased, and may come out negative between equal
laws (Gretton et al. 2012, "A kernel two-sample test", eq. (3)).  The kernel is
exp(-d^2 / (2 s^2)), and s the median of the distances in the pooled sample.  With
a(x_i) = mean_j k(x_i, x_j) - mean_j k(x_i, y_j), and b(y_j) with the roles exchanged,

    stderr^2 = 4 var(a) / n + 4 var(b) / m - second order

The second order, E kk^2 (2 / n^2 + 2 / m^2 + 4 / (n m)) with the centered kernel kk, is what
remains between equal laws; the noise in a and b contains it twice.

W2^2 = the least mean squared distance over all ways to pair x with y: an
assignment problem, solved exactly.  On a line the pairing is by rank, and the
cost an integral over quantiles, int_0^1 (F^-1 - G^-1)^2, for any n and m.  The
sliced distance is the mean of that over random directions (Bonneel et al. 2015).
Both are too large: finite samples of equal laws lie apart, by n^(-1/D) for W2.

The dual problem prices the points, u(x_i) + v(y_j) <= |x_i - y_j|^2 with equality
for pairs, so that W2^2 = mean u + mean v.  The prices are the influences of the
points (del Barrio and Loubes 2019, "Central limit theorems for empirical
transportation cost in general dimension"):

    stderr^2 of W2^2 = var(u) / n + var(v) / m

On a line u' = 2 (x - T(x)), with T(x) the partner of x.  The stderr was 0.8 to 1.1
times the true deviation for different laws; it is up to 1.5 times too large
between equal ones.  The bias is not part of it.
"""
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist

from scratch import checks
from scratch.divergence.neighbors import same_scale
from scratch.divergence.samples import two_samples
from scratch.estimate import Estimate

CHUNK = 1 << 21                           # kernel values at a time


def mmd(x, y):
    """The unbiased MMD^2 between x (n, D) and y (m, D), n, m >= 2.  O(n^2) time, linear memory."""
    x, y = two_samples(x, y)
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"at least 2 rows of x and of y are needed, got {n} and {m}")
    x, y = same_scale(x, y)
    scale = _median_distance(np.concatenate([x, y]))
    xx, yy, xy = _kernel_sums(x, x, scale), _kernel_sums(y, y, scale), _kernel_sums(x, y, scale)
    own_x, own_y = (xx.rows - 1) / (n - 1), (yy.rows - 1) / (m - 1)               # without i = j
    a = own_x - xy.rows / m                                                       # (n,)
    b = own_y - xy.columns / n                                                    # (m,)
    value = a.mean() + b.mean()
    variance = 4 * a.var(ddof=1) / n + 4 * b.var(ddof=1) / m
    second = (2 * _centered(xx, n, n) / n ** 2 + 2 * _centered(yy, m, m) / m ** 2
              + 4 * _centered(xy, n, m) / (n * m))
    return Estimate(float(value), float(np.sqrt(max(variance - second, second))), n)


class _Sums(NamedTuple):
    rows: np.ndarray        # (n,) sum over j of k(x_i, y_j)
    columns: np.ndarray     # (m,)
    squares: float          # sum of all k^2


def _kernel_sums(x, y, scale):
    """Sums of the Gaussian kernel matrix (n, m), which is never held as a whole."""
    rows, columns, squares = np.empty(len(x)), np.zeros(len(y)), 0.0
    step = max(1, CHUNK // len(y))
    for start in range(0, len(x), step):
        kernel = np.exp(-0.5 * cdist(x[start:start + step] / scale, y / scale, "sqeuclidean"))
        rows[start:start + step] = kernel.sum(axis=1)
        columns += kernel.sum(axis=0)
        squares += np.sum(kernel ** 2)
    return _Sums(rows, columns, squares)


def _centered(sums, n, m):
    """Mean square of k(x_i, y_j) - row mean - column mean + mean."""
    rows, columns = sums.rows / m, sums.columns / n                               # means
    return sums.squares / (n * m) - np.mean(rows ** 2) - np.mean(columns ** 2) + rows.mean() ** 2


def _median_distance(points):
    """The median of the distances > 0 between at most 1,000 evenly spaced points; 1 if there is none."""
    distances = pdist(points[::-(-len(points) // 1000)])
    distances = distances[distances > 0]
    return float(np.median(distances)) if distances.size else 1.0


def wasserstein(x, y):
    """W2 between x (n, D) and y (n, D), exact; O(n^3), so for a few thousand points.  On a line any n and m.

    >>> wasserstein(np.array([[0.0], [1.0]]), np.array([[4.0], [3.0]])).value
    3.0
    """
    x, y = two_samples(x, y)
    if x.shape[1] > 1 and len(x) != len(y):
        raise ValueError(f"an assignment needs as many rows of x as of y, got {len(x)} and {len(y)}")
    unit = max(np.abs(x).max(), np.abs(y).max()) or 1.0
    x, y = same_scale(x, y)
    square, u, v = _on_line(x[:, 0], y[:, 0]) if x.shape[1] == 1 else _by_assignment(x, y)
    return _root(square, u, v, 0.0, unit)


def sliced_wasserstein(x, y, rng, projections=100):
    """The sliced W2 between x (n, D) and y (m, D) along random directions.  O(n log n) for each."""
    x, y = two_samples(x, y)
    checks.generator(rng)
    projections = checks.size(projections, "projections", minimum=2)
    unit = max(np.abs(x).max(), np.abs(y).max()) or 1.0
    x, y = same_scale(x, y)
    directions = rng.normal(size=(projections, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)               # (L, D)
    squares, u, v = np.empty(projections), np.zeros(len(x)), np.zeros(len(y))
    for i, direction in enumerate(directions):
        squares[i], du, dv = _on_line(x @ direction, y @ direction)
        u += du / projections
        v += dv / projections
    return _root(squares.mean(), u, v, squares.var(ddof=1) / projections, unit)


def _root(square, u, v, variance, unit):
    """The Estimate of the distance from its square, the prices, and further variance of the square,
    all in this unit of length."""
    value = np.sqrt(square)
    variance += u.var() / len(u) + v.var() / len(v)
    stderr = np.sqrt(variance) / (2 * value) if value > 0 else 0.0
    if min(len(u), len(v)) < 2:                                                   # no spread to be seen
        stderr = np.inf
    return Estimate(float(unit * value), float(unit * stderr), len(u))


def _by_assignment(x, y):
    """W2^2 and the prices, for n pairs in any dimension."""
    cost = cdist(x, y, "sqeuclidean")
    cost = cost[:, linear_sum_assignment(cost)[1]]                                # pairs on the diagonal
    pairs = np.diag(cost).copy()                                                  # (n,)
    # u_i <= c_ij - v_j and v_j = c_jj - u_j: shortest paths with lengths c_ij - c_jj (Bellman and Ford).
    lengths, u, fall = cost - pairs, np.zeros(len(x)), np.inf
    while fall > 1e-3 * pairs.mean():
        lower = (lengths + u).min(axis=1)
        u, fall = lower, np.max(u - lower)
    return pairs.mean(), u, pairs - u


def _on_line(x, y):
    """W2^2 and the prices, for samples (n,) and (m,) on a line: both quantile functions are steps."""
    n, m = len(x), len(y)
    order_x, order_y = np.argsort(x), np.argsort(y)
    x, y = x[order_x], y[order_y]
    # In units of 1 / (n m) the steps are at the multiples of m (for x) and of n (for y).
    edges = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    mass = np.diff(edges) / (n * m)
    i, j = edges[:-1] // m, edges[:-1] // n                                       # who faces whom
    u, v = np.empty(n), np.empty(m)
    u[order_x] = _prices(x, n * np.bincount(i, mass * y[j]))
    v[order_y] = _prices(y, m * np.bincount(j, mass * x[i]))
    return mass @ (x[i] - y[j]) ** 2, u, v


def _prices(x, partner):
    """The integral of 2 (x - partner) along the sorted x, by trapezoids."""
    gap = x - partner
    return np.concatenate([[0.0], np.cumsum(np.diff(x) * (gap[1:] + gap[:-1]))])
