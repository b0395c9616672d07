"""Entropy from samples, and KL from samples of p and the density of q.

A model's density is often known where the data's is not.  Then only the first
half of the KL needs an estimate:

    KL(p || q) = E_p[log p] - E_p[log q] = -H(p) + cross-entropy(p, q)

The ball around x_i that reaches its k-th nearest neighbor among the n - 1 others,
of radius rho_i, holds a random mass of p, the k-th smallest of n - 1 uniform
numbers, whose logarithm has mean psi(k) - psi(n).  Setting that mass equal to
p(x_i) c rho_i^D, with c the volume of the unit ball in D dimensions, gives

    H(p) ~= psi(n) - psi(k) + log c + D/n sum_i log rho_i

Source: Kozachenko and Leonenko 1987 (k = 1); Kraskov, Stoegbauer, Grassberger
2004, eq. (20); with a density in place of the second sample Perez-Cruz 2008,
eq. (18).  The famous error is log k, or psi(k) with a 1-nearest distance, in
place of psi(k): a bias that no number of samples removes.

p is taken as constant within a ball.  Where the balls are wide (few points, many
dimensions) that makes a bias, of either sign up to D of about 5, and upward for
H, downward for the KL, beyond: -0.15 nats at D = 10 and -1.4 at D = 20 for
n = 1,000.  Two samples are better off there: in nearest_neighbor.py most of
this bias cancels.

A law with a repeated point, or a constant column, has no density: H = -inf, and
its KL to any density is inf.  (A point must have k or more copies to be seen.)
"""
import numpy as np
from scipy.special import digamma, gammaln

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.divergence.neighbors import LEAST, nearest_others, shares
from scratch.divergence.samples import equal_rows, one_sample
from scratch.estimate import Estimate


def entropy_nearest_neighbor(x, k=5):
    """The differential entropy of p in nats from samples x (n, D), n > k.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))       # truth: log(2 pi e) / 2 = 1.4189
    >>> print(entropy_nearest_neighbor(x))
    1.4155 +- 0.0136 nats (n = 4000)
    """
    log_p, influence = _log_densities(x, k)
    return _estimate(-log_p, -influence, k)


def kl_cross_entropy(x, log_q, k=5):
    """KL(p || q) in nats from samples x (n, D) of p, n > k, and the log-density of q.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))
    >>> print(kl_cross_entropy(x, lambda x: -0.5 * (x[:, 0] - 1) ** 2 - 0.5 * np.log(2 * np.pi)))
    0.5169 +- 0.0181 nats (n = 4000)
    """
    log_p, influence = _log_densities(x, k)
    log_q = evaluate(log_q, np.asarray(x), "log_q")                               # (n,)
    return _estimate(log_p - log_q, influence - log_q, k)


def _log_densities(x, k):
    """The estimates of log p(x_i) (n,), inf at an atom, and the same plus what rests on x_i."""
    x = one_sample(x)
    k = checks.size(k, "k")
    n, dim = x.shape
    if n <= k:
        raise ValueError(f"k = {k} needs more than k rows of x, got {n}")
    group, _ = equal_rows(x, x[:0])
    count = np.bincount(group)
    if (count > k).any() or (x == x[0]).all(axis=0).any():
        return np.full(n, np.inf), np.full(n, np.inf)
    unit = np.abs(x).max()
    rho, near = nearest_others(x / unit, x / unit, group, k)
    log_rho = np.log(np.maximum(rho, LEAST)) + np.log(unit)
    log_ball = 0.5 * dim * np.log(np.pi) - gammaln(0.5 * dim + 1)
    log_p = digamma(k) - digamma(n) - log_ball - dim * log_rho
    return log_p, log_p + shares(near, count)[group]


def _estimate(terms, influence, k):
    """The mean of the terms, with the standard error of nearest_neighbor.py (its part from x)."""
    n = len(terms)
    if np.isinf(terms).any():
        return Estimate(float(terms[np.isinf(terms)][0]), 0.0, n)
    variance = max(np.var(influence, ddof=1) / n - 1 / (n * k), np.var(terms, ddof=1) / n)
    return Estimate(float(terms.mean()), float(np.sqrt(variance)), n)
