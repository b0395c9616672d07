"""KL from samples of p and the density of q, by an estimate of the entropy of p.

Needs samples x_1 .. x_n of a distribution p in D dimensions, and log q.  Often the density of the
model is known and that of the data is not.  Then only the first half of

    KL(p || q) = E_p[log p] - E_p[log q] = -entropy of p + cross-entropy of p, q          (1)

needs an estimate.  Let rho_i be the distance from x_i to its k-th nearest of the n - 1 other x.  The
ball of this radius holds a random mass of p, distributed as the k-th smallest of n - 1 uniform
numbers.  The expectation of its logarithm is psi(k) - psi(n), with psi the digamma function.
Setting the mass equal to p(x_i) c rho_i^D, with c the volume of the unit ball, gives

    log p(x_i) ~= psi(k) - psi(n) - log c - D log rho_i                                   (2)
    KL(p || q) ~= mean of t_i = log p(x_i) - log q(x_i)                                   (3)
    stderr^2    = var(t + g) / n - 1 / (n k)                                              (4)

with g_j = (number of x that have x_j among their k nearest) / k as in nearest_neighbor.py.  A common
error is log k in place of psi(k), a bias that no number of samples removes.

(2) takes p as constant within a ball.  Where the balls are wide (few points, many dimensions) the
KL has a bias, of either sign up to D of about 5 and downward beyond.  For n = 1,000 it is -0.15
nats at D = 10 and -1.4 at D = 20.  In nearest_neighbor.py, with two samples, most of it cancels.  If p has no
density (a constant column, or more than k copies of a point), the KL is inf.

Source: Kozachenko and Leonenko 1987, "Sample estimate of the entropy of a random vector" (k = 1);
Kraskov, Stoegbauer, Grassberger 2004, "Estimating mutual information", eq. (20); with a density in
place of the second sample Perez-Cruz 2008 (ISIT), "Kullback-Leibler divergence estimation of
continuous distributions", eq. (18).
Checked in tests/divergence/test_entropy.py::test_it_equals_a_loop_over_the_points
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


def kl_cross_entropy(x, log_q, k=5):
    """KL(p || q) in nats from samples x (n, D) of p, n > k, and the log-density of q.

    With log q = 0 it is minus the entropy of p.  k = 5 as in nearest_neighbor.py.

    >>> x = np.random.default_rng(0).normal(size=(4000, 1))                       # truth: 1/2
    >>> print(kl_cross_entropy(x, lambda x: -0.5 * (x[:, 0] - 1) ** 2 - 0.5 * np.log(2 * np.pi)))
    0.5169 +- 0.0181 nats (n = 4000)
    """
    x = one_sample(x)
    k = checks.size(k, "k")
    n, D = x.shape
    if n <= k:
        raise ValueError(f"k = {k} needs more than k rows of x, got {n}")
    log_q = evaluate(log_q, x, "log_q")                                           # (n,)
    at = places(x, x[:0])
    if at.atoms(k).any() or constant_columns(x).any() or np.isinf(log_q).any():
        return Estimate(np.inf, 0.0, n)
    unit = np.abs(x).max()                                                        # no square overflows
    rho, near = nearest_others(x / unit, x / unit, at.of_x, k)                    # (n,), (n, k)
    log_rho = np.log(np.maximum(rho, LEAST)) + np.log(unit)
    log_c = 0.5 * D * np.log(np.pi) - gammaln(0.5 * D + 1)
    log_p = digamma(k) - digamma(n) - log_c - D * log_rho                         # (2)
    terms = log_p - log_q                                                         # (3)
    g = collected(near, at.count_x)[at.of_x]
    variance = max(np.var(terms + g, ddof=1) / n - 1 / (n * k), np.var(terms, ddof=1) / n)        # (4)
    return Estimate(float(terms.mean()), float(np.sqrt(variance)), n)
