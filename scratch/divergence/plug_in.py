"""KL from samples alone by estimating both densities first, and plugging them in.

Kernel densities.  A Gaussian of covariance h^2 S stands on every sample, S being
the sample's own covariance and h the bandwidth factor,

    h = n^(-1 / (D + 4))                       Scott 1992
    h = (4 / (n (D + 2)))^(1 / (D + 4))        Silverman 1986, eq. (4.14)

    KL(p || q) ~= 1/n sum_i [log p_(-i)(x_i) - log q(x_i)]

where p_(-i) leaves x_i itself out: with it, every x_i would sit on its own peak, and
the KL between equal laws would be far from 0.  Smoothing p and q brings them
together, but in the tails of q its logarithm falls like that of one Gaussian of
width h, far too fast: the bias may have either sign.  Because S turns and
stretches with the data, this estimate is invariant under every linear map.

    stderr^2 = var(t + g) / n + var(h) / m - (sum of the squared shares) / n^2

as in nearest_neighbor.py: each x_i gives to the points that it is measured by the
shares that their kernels have in its density, and g, h is what they collect.

Cells.  The other way round: cut space into cells, and take the KL between two
histograms.  The cells are made by splitting the y at medians until a cell holds
about sqrt(m) of them, so that no cell is without a y and the estimate is finite
(Wang, Kulkarni, Verdu 2005, "Divergence estimation of continuous distributions
based on data-dependent partitions").  With shares p_c of the x and q_c of the y,

    KL ~= sum_c p_c log(p_c / q_c) - (C' - 1) / (2 n) - sum_c p_c (1 / q_c - 1) / (2 m)

The first sum estimates a KL that is at most the true one (the data processing
inequality), and overshoots, because both histograms scatter; the rest takes that
out to first order (Miller 1955), C' counting the cells with an x.  It depends only on
the order of the coordinates: an increasing map of each column changes nothing.
"""
import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import cdist

from scratch import checks
from scratch.divergence.samples import common_plane, two_samples
from scratch.estimate import Estimate

EVALUATED = 1000                          # at most so many x_i are looked at, on kernels on all others
CHUNK = 1 << 22                           # distances at a time


def scott(n, dim):
    """Scott's factor for n points in dim dimensions."""
    return n ** (-1 / (dim + 4))


def silverman(n, dim):
    """Silverman's factor: optimal if p is Gaussian."""
    return (4 / (n * (dim + 2))) ** (1 / (dim + 4))


def kl_kernel_density(x, y, bandwidth=scott):
    """KL(p || q) in nats from x (n, D) of p and y (m, D) of q; bandwidth(n, dim) -> factor.

    O(1000 (n + m)) time, linear memory: from 1,000 points on, the mean is over evenly spaced x_i.
    """
    x, y = two_samples(x, y)
    varying, inside = common_plane(x, y)
    if not inside.any():
        return Estimate(np.inf, 0.0, len(x))
    m, share = len(y), inside.mean()
    if not varying.any():                                                         # p is one point
        return Estimate(float(-np.log(share)), float(np.sqrt((1 - share) / (share * m))), len(x))
    if not callable(bandwidth):
        raise TypeError(f"bandwidth must be a function (n, dim) -> factor, got {bandwidth!r}")
    x, y = x[:, varying], y[inside][:, varying]
    n, dim = x.shape
    if min(n, len(y)) < max(dim + 1, 3):
        raise ValueError(f"a covariance in {dim} dimensions needs at least {max(dim + 1, 3)} rows, "
                         f"got {n} of x and {len(y)} of y")
    chosen = np.arange(0, n, -(-n // EVALUATED))                                  # (n',)
    log_p, g, twice_x = _log_kernel_density(x[chosen], x, bandwidth(n, dim), leave_out=chosen)
    log_q, h, twice_y = _log_kernel_density(x[chosen], y, bandwidth(len(y), dim))
    terms = log_p - log_q - np.log(share)
    influence = g - 1                                                             # (n,)
    influence[chosen] += n / len(chosen) * (terms - terms.mean())
    through_y = np.sum((h / share - 1) ** 2) + (m - len(y))                       # y off the plane: h = 0
    variance = np.sum(influence ** 2) / n ** 2 + through_y / m ** 2 - twice_x - twice_y
    variance = max(variance, np.var(terms, ddof=1) / len(terms))
    return Estimate(float(terms.mean()), float(np.sqrt(variance)), n)


def _log_kernel_density(at, data, h, leave_out=None):
    """log 1/n sum_j N(at_i; data_j, h^2 S) (n',), what each data_j collects (n,), and its squares' sum.

    leave_out: for each row of `at` the row of data that is itself.
    """
    n, dim = data.shape
    h = checks.positive(h, "the bandwidth factor")
    unit = np.ptp(data, axis=0)                                                   # (D,) no square overflows
    at, data = ((z - data[0]) / unit for z in (at, data))
    covariance = np.atleast_2d(np.cov(data.T))
    spread = np.sqrt(np.diag(covariance))
    if np.linalg.eigvalsh(covariance / np.outer(spread, spread))[0] < 1e-12:
        raise ValueError("the columns of x or y are linearly dependent: they have no density")
    root = h * cholesky(covariance, lower=True)
    at, data = (solve_triangular(root, z.T, lower=True).T for z in (at, data))
    log_sums, collected, squares = np.empty(len(at)), np.zeros(n), 0.0
    step = max(1, CHUNK // n)
    for start in range(0, len(at), step):
        rows = slice(start, start + step)
        kernel = -0.5 * cdist(at[rows], data, "sqeuclidean")                      # (step, n)
        if leave_out is not None:
            kernel[np.arange(len(kernel)), leave_out[rows]] = -np.inf
        top = kernel.max(axis=1, keepdims=True)
        kernel = np.exp(kernel - top, out=kernel)
        total = kernel.sum(axis=1, keepdims=True)
        kernel /= total                                                           # the shares
        log_sums[rows] = (top + np.log(total))[:, 0]
        collected += kernel.sum(axis=0)
        squares += np.sum(kernel ** 2)
    log_constant = 0.5 * dim * np.log(2 * np.pi) + np.log(np.diag(root) * unit).sum()
    log_density = log_sums - np.log(n - (leave_out is not None)) - log_constant
    return log_density, collected * n / len(at), squares / len(at) ** 2


def kl_binned(x, y):
    """KL(p || q) in nats from x (n, D) of p and y (m, D) of q, by cells of about sqrt(m) of the y.

    O(n log n).  The columns are split in turn: the few cells of many dimensions see only the first.
    """
    x, y = two_samples(x, y)
    n, m = len(x), len(y)
    if n < 2 or m < 4:
        raise ValueError(f"at least 2 rows of x and 4 of y are needed, got {n} and {m}")
    varying, inside = common_plane(x, y)
    if not inside.any():
        return Estimate(np.inf, 0.0, n)
    cells = _cells(x[:, varying], y[inside][:, varying], max(2, round(np.sqrt(m))))
    count_x, count_y = np.array(cells + [(0, m - inside.sum())] * (not inside.all())).T  # (C,) each
    p, q = count_x / n, count_y / m
    seen = p > 0
    log_ratio = np.log(p[seen] / q[seen])
    scatter = (seen.sum() - 1) / (2 * n) + np.sum(p * (1 / q - 1)) / (2 * m)
    kl = p[seen] @ log_ratio
    variance = p[seen] @ (log_ratio - kl) ** 2 / n + q @ (p / q - 1) ** 2 / m     # influences of x and of y
    return Estimate(float(kl - scatter), float(np.sqrt(variance)), n)


def _cells(x, y, size, depth=0):
    """[(number of x, number of y)] in the cells: y halved, one column after the other, down to `size`."""
    if len(y) >= 2 * size:
        for axis in np.roll(np.arange(y.shape[1]), -depth):
            ordered = np.sort(y[:, axis])
            below = ordered[ordered < ordered[-1]]
            if below.size:                                                        # else all are equal here
                cut = min(ordered[(len(y) - 1) // 2], below[-1])                  # a y itself, not a mean
                low_x, low_y = x[:, axis] <= cut, y[:, axis] <= cut
                return (_cells(x[low_x], y[low_y], size, depth + 1)
                        + _cells(x[~low_x], y[~low_y], size, depth + 1))
    return [(len(x), len(y))]
