"""Entropy from samples, and KL from samples of p and the density of q.

Needs samples x_1 .. x_n of a distribution p in D dimensions, and for the KL also log q.  The
density of a model is often known where that of the data is not.  Then only the first half of

    KL(p || q) = E_p[log p] - E_p[log q] = -H(p) + cross-entropy(p, q)                    (1)

needs an estimate.  The ball around x_i that reaches its k-th nearest of the n - 1 other x, at the
distance rho_i, holds a random mass of p, the k-th smallest of n - 1 uniform numbers.  The
expectation of its logarithm is psi(k) - psi(n), with psi the digamma function.  Setting the mass
equal to p(x_i) c rho_i^D, with c the volume of the unit ball, gives

    log p(x_i) ~= psi(k) - psi(n) - log c - D log rho_i                                   (2)
    KL(p || q) ~= mean of t_i = log p(x_i) - log q(x_i),    H(p) ~= -mean log p(x_i)      (3)
    stderr^2    = var(t + g) / n - 1 / (n k)                                              (4)

with g as in nearest_neighbor.py: g_j = (number of x that have x_j among their k nearest) / k.
The famous error is log k in place of psi(k), a bias that no number of samples removes.

(2) takes p as constant within a ball.  Where the balls are wide (few points, many dimensions) the
KL has a bias, of either sign up to D of about 5 and downward beyond: -0.15 nats at D = 10 and -1.4
at D = 20 for n = 1,000.  In nearest_neighbor.py, with two samples, most of it cancels.  Without a
density (a constant column, or more than k copies of a point) H = -inf, and the KL is inf.

Source: Kozachenko and Leonenko 1987, "Sample estimate of the entropy of a random vector" (k = 1);
Kraskov, Stoegbauer, Grassberger 2004, "Estimating mutual information", eq. (20); with a density in
place of the second sample Perez-Cruz 2008 (ISIT), "Kullback-Leibler divergence estimation of
continuous distributions", eq. (18).
Checked in tests/divergence/test_entropy.py::test_both_equal_a_loop_over_the_points
and tests/divergence/test_entropy.py::test_no_bias_on_a_line.
"""
import numpy as np
from scipy.special import digamma, gammaln

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.divergence.neighbors import LEAST, collected, nearest_others
from scratch.divergence.repeats import constant_columns, places
from scratch.divergence.samples import one_sample
from scratch.estimate import Estimate


def entropy_nearest_neighbor(x, k=5):
    """The differential entropy of p in nats from samples x (n, D), n > k.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))       # truth: log(2 pi e) / 2 = 1.4189
    >>> print(entropy_nearest_neighbor(x))
    1.4155 +- 0.0136 nats (n = 4000)
    """
    log_p, g = _log_densities(x, k)
    return _estimate(-log_p, -g, k)


def kl_cross_entropy(x, log_q, k=5):
    """KL(p || q) in nats from samples x (n, D) of p, n > k, and the log-density of q.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))
    >>> print(kl_cross_entropy(x, lambda x: -0.5 * (x[:, 0] - 1) ** 2 - 0.5 * np.log(2 * np.pi)))
    0.5169 +- 0.0181 nats (n = 4000)
    """
    log_p, g = _log_densities(x, k)
    return _estimate(log_p - evaluate(log_q, np.asarray(x), "log_q"), g, k)               # (3)


def _log_densities(x, k):
    """log p (n,) at the samples, inf if p has no density, and g (n,)."""
    x = one_sample(x)
    k = checks.size(k, "k")
    n, D = x.shape
    if n <= k:
        raise ValueError(f"k = {k} needs more than k rows of x, got {n}")
    at = places(x, x[:0])
    if at.atoms(k).any() or constant_columns(x).any():
        return np.full(n, np.inf), np.zeros(n)
    unit = np.abs(x).max()
    rho, near = nearest_others(x / unit, x / unit, at.of_x, k)
    log_rho = np.log(np.maximum(rho, LEAST)) + np.log(unit)
    log_c = 0.5 * D * np.log(np.pi) - gammaln(0.5 * D + 1)
    log_p = digamma(k) - digamma(n) - log_c - D * log_rho                         # (n,)  (2)
    return log_p, collected(near, at.count_x)[at.of_x]


def _estimate(terms, g, k):
    """The mean of the terms (n,) and its error."""
    n = len(terms)
    if np.isinf(terms).any():
        return Estimate(float(terms[np.isinf(terms)][0]), 0.0, n)
    variance = max(np.var(terms + g, ddof=1) / n - 1 / (n * k), np.var(terms, ddof=1) / n)  # (4)
    return Estimate(float(terms.mean()), float(np.sqrt(variance)), n)
