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

p is taken as constant within a ball, so that H comes out too large, and the KL
too small, when the balls are wide: few points, many dimensions.

A law with a repeated point, or a constant column, has no density: H = -inf, and
its KL to any density is inf.  (A point must have k or more copies to be seen.)
"""
import numpy as np
from scipy.special import digamma, gammaln

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.divergence.neighbors import nearest_others, same_scale
from scratch.divergence.samples import equal_rows, one_sample
from scratch.estimate import Estimate


def entropy_nearest_neighbor(x, k=5):
    """The differential entropy of p in nats from samples x (n, D), n > k.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))       # truth: log(2 pi e) / 2 = 1.4189
    >>> print(entropy_nearest_neighbor(x))
    1.4122 +- 0.0140 nats (n = 4000)
    """
    terms = -_log_density_terms(x, k)
    return _estimate(terms)


def kl_cross_entropy(x, log_q, k=5):
    """KL(p || q) in nats from samples x (n, D) of p, n > k, and the log-density of q.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))
    >>> print(kl_cross_entropy(x, lambda x: -0.5 * (x[:, 0] - 1) ** 2 - 0.5 * np.log(2 * np.pi)))
    0.4864 +- 0.0175 nats (n = 4000)
    """
    terms = _log_density_terms(x, k)
    return _estimate(terms - evaluate(log_q, np.asarray(x), "log_q"))


def _log_density_terms(x, k):
    """The estimates of log p(x_i), (n,), whose mean is -H; inf at an atom."""
    x = one_sample(x)
    k = checks.size(k, "k")
    n, dim = x.shape
    if n <= k:
        raise ValueError(f"k = {k} needs more than k rows of x, got {n}")
    group, _ = equal_rows(x, x[:0])
    if (np.bincount(group) > k).any() or (x == x[0]).all(axis=0).any():
        return np.full(n, np.inf)
    unit = np.abs(x).max()
    rho, _ = nearest_others(x / unit, x / unit, group, k)
    rho = np.maximum(rho, np.sqrt(np.finfo(float).tiny))
    log_ball = 0.5 * dim * np.log(np.pi) - gammaln(0.5 * dim + 1)
    return digamma(k) - digamma(n) - log_ball - dim * (np.log(rho) + np.log(unit))


def _estimate(terms):
    if np.isinf(terms).any():
        return Estimate(float(terms[np.isinf(terms)][0]), 0.0, len(terms))
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(terms))), len(terms))
