"""KL from samples alone by estimating both densities and plugging them in: kernels, or cells.

Needs samples x_1 .. x_n of p, y_1 .. y_m of q, two distributions.  Estimates KL(p || q) in nats.

Kernel densities.  Every point is the center of a Gaussian of covariance h^2 S, with S the covariance
of its sample.  h is Scott's factor n^(-1 / (D + 4)), for the y with m in place of n:

    p(x_i) ~= 1 / (n - 1) sum over j != i of N(x_i; x_j, h^2 S)
    q(x_i) ~= 1 / m sum_j N(x_i; y_j, h^2 S)                                              (1)
    KL(p || q) ~= mean of t_i = log p(x_i) - log q(x_i)                                   (2)

x_i is left out of its own density, or the KL of equal distributions would be far from 0.  The bias
may have either sign: smoothing makes p and q more alike, but beyond the last y the log-density of
one kernel falls far too fast.  An invertible linear map of the data does not change the estimate.

Sample j contributes a fraction of the density estimate at x_i, f_ij for x_j and another for y_j.
Without j the log-density there falls by a_ij = -log(1 - f_ij), for y_j by b_ij (up to a constant).
g_j is n times the mean of a_ij over i, e_j is m times the mean of b_ij, and

    stderr^2 = var(t + g) / n + var(e) / m - sum_ij (a_ij^2 + b_ij^2) / n^2               (3)

This is the jackknife (Efron and Stein 1981, "The jackknife estimate of variance").  Where few y lie
near the x, the stderr by (3) is 0.95 to 1.2 times the scatter; with a_ij = f_ij, to first order, it
would be 0.7 to 0.8 times.

Cells.  Split the y at medians, column after column, until a cell holds about sqrt(m) of them.
Fewer would add noise, more would add bias (not swept).  Each cell has a y, so the estimate is
finite.  With the fractions p_c of the x and q_c of the y,

    KL(p || q) ~= sum_c p_c log(p_c / q_c) - bias                                         (4)
    bias        = (C' - 1) / (2 n) + sum_c p_c (1 / q_c - 1) / (2 m)                      (5)
    stderr^2    = var_p[log(p_c / q_c)] / n + sum_c q_c (p_c / q_c - 1)^2 / m             (6)

with C' the number of cells that hold an x.  The true probabilities of the cells have at most the KL
of p and q (data processing inequality).  The noise of p_c and q_c adds (5), to first order.  The
cells depend only on the order of the coordinates: an increasing map of each column changes nothing.

Source: Scott 1992, "Multivariate density estimation"; (4) Wang, Kulkarni, Verdu 2005, "Divergence
estimation of continuous distributions based on data-dependent partitions"; (5) Miller 1955, "Note
on the bias of information estimates".
Checked in tests/divergence/test_plug_in.py::test_kernels_equal_a_loop
and tests/divergence/test_plug_in.py::test_cells_equal_a_loop.
"""
import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import cdist

from scratch.divergence.repeats import constant_columns, on_plane
from scratch.divergence.samples import two_samples
from scratch.estimate import Estimate

EVALUATED = 1000                          # at most so many x_i, on all kernels; chosen by hand for the time
CHUNK = 1 << 22                           # distances at a time: 32 MB
ALMOST_ALL = 1 - np.finfo(float).eps      # of a density from one sample: what the others add is rounding


def kl_kernel_density(x, y):
    """KL(p || q) in nats from x (n, D) of p and y (m, D) of q, by kernel densities.

    O(1000 (n + m)) time, linear memory: from 1,000 points on, the mean is over evenly spaced x_i.
    """
    x, y = two_samples(x, y)
    (n, D), m = x.shape, len(y)
    if min(n, m) < max(D + 1, 3):
        raise ValueError(f"a covariance in {D} dimensions needs at least {max(D + 1, 3)} rows, "
                         f"got {n} of x and {m} of y")
    if constant_columns(x, y).any():
        return on_plane(kl_kernel_density, x, y)
    chosen = np.arange(0, n, -(-n // EVALUATED))                                  # (n',)
    log_p, g, squares_x = _log_kernel_density(x[chosen], x, leave_out=chosen)     # (1)
    log_q, e, squares_y = _log_kernel_density(x[chosen], y)
    terms = log_p - log_q                                                         # (n',)  (2)
    influence = g - g.mean()                                                      # (n,)
    influence[chosen] += n / len(chosen) * (terms - terms.mean())
    variance = np.mean(influence ** 2) / n + np.var(e) / m - squares_x - squares_y    # (3)
    variance = max(variance, np.var(terms, ddof=1) / len(terms))
    return Estimate(float(terms.mean()), float(np.sqrt(variance)), n)


def _log_kernel_density(at, data, leave_out=None):
    """The log-density at n' rows (n',); g or e of the data (n,); the sum over a_ij^2 or b_ij^2 in (3).

    leave_out: for each row of `at` the row of data that is itself.
    """
    n, D = data.shape
    h = n ** (-1 / (D + 4))
    unit = np.ptp(data, axis=0)                                                   # (D,) no square overflows
    at, data = ((z - data[0]) / unit for z in (at, data))
    S = np.atleast_2d(np.cov(data.T))
    spread = np.sqrt(np.diag(S))
    if np.linalg.eigvalsh(S / np.outer(spread, spread))[0] < 1e-12:               # singular but for rounding
        raise ValueError("the columns of x or y are linearly dependent: they have no density")
    root = h * cholesky(S, lower=True)
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
        log_sums[rows] = (top + np.log(total))[:, 0]
        kernel = np.minimum(kernel / total, ALMOST_ALL, out=kernel)               # the fractions f_ij
        kernel = -np.log1p(-kernel, out=kernel)                                   # a_ij or b_ij
        collected += kernel.sum(axis=0)
        squares += np.sum(kernel ** 2)
    log_constant = 0.5 * D * np.log(2 * np.pi) + np.log(np.diag(root) * unit).sum()
    log_density = log_sums - np.log(n - (leave_out is not None)) - log_constant
    return log_density, collected * n / len(at), squares / len(at) ** 2


# ---- cells ----

def kl_binned(x, y):
    """KL(p || q) in nats from x (n, D) of p and y (m, D) of q, by cells of about sqrt(m) of the y.

    O(n log n).  The columns are split in turn: of many columns only the first are split at all.
    """
    x, y = two_samples(x, y)
    n, m = len(x), len(y)
    if n < 2 or m < 4:
        raise ValueError(f"at least 2 rows of x and 4 of y are needed, got {n} and {m}")
    if constant_columns(x, y).any():
        return on_plane(kl_binned, x, y)
    count_x, count_y = np.array(_cells(x, y, max(2, round(np.sqrt(m))))).T        # (C,) each
    p, q = count_x / n, count_y / m
    seen = p > 0
    log_ratio = np.log(p[seen] / q[seen])
    kl = p[seen] @ log_ratio
    bias = (seen.sum() - 1) / (2 * n) + np.sum(p * (1 / q - 1)) / (2 * m)         # (5)
    variance = p[seen] @ (log_ratio - kl) ** 2 / n + q @ (p / q - 1) ** 2 / m     # (6)
    return Estimate(float(kl - bias), float(np.sqrt(variance)), n)                # (4)


def _cells(x, y, size, depth=0):
    """[(number of x, number of y)] in the cells: y halved, column after column, down to `size`."""
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
