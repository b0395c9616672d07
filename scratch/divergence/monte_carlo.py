"""KL from two log-densities and samples: Monte Carlo, three estimators of one number, weights.

    KL(p || q) = E_p[log p(x) - log q(x)],     x ~ p

With log r = log q(x) - log p(x), the mean over x ~ p of each of these is (or
nearly is) the KL:

    k1 = -log r              unbiased; single terms may well be negative
    k2 = (log r)^2 / 2       biased, but little when p and q are close
    k3 = (r - 1) - log r     unbiased too, and no term is negative

k3 adds to k1 the term r - 1, whose mean is int q - int p = 0 (a control
variate).  That holds only where q has no mass outside the support of p, and
the mean of r is dominated by rare samples when p and q are far apart: there
k3 is far noisier than k1.

Source: Schulman 2020, "Approximating KL divergence".  He writes KL[q, p] with
x ~ q and r = p/q; the letters are exchanged here, so that the samples come
from p as everywhere in this folder.

Importance weights, for samples x ~ g of a third law: w = p / g, normalized by
their own sum,

    KL(p || q) ~= sum_i v_i k1_i,     v_i = w_i / sum_j w_j,     effective sample size = 1 / sum_i v_i^2
    stderr^2   ~= sum_i v_i^2 (k1_i - KL)^2                      (Owen 2013, Monte Carlo theory, eq. 9.9)

Normalizing makes a bias of order 1 / n and forgives an unknown constant in g,
but not in p, whose logarithm is also in the mean.  An effective size far below
n says that few samples carry the sum; where g misses a part of p, no number
computed from its samples can show it.
"""
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.estimate import Estimate


@dataclass(frozen=True)
class WeightedEstimate(Estimate):
    """An Estimate from weighted samples, with their effective number (n if all weights are equal)."""
    effective_n: float


def k1(log_r):
    """-log r"""
    return -log_r


def k2(log_r):
    """(log r)^2 / 2"""
    return 0.5 * log_r ** 2


def k3(log_r):
    """(r - 1) - log r"""
    return np.expm1(log_r) - log_r


def kl_monte_carlo(log_p, log_q, x, estimator=k1):
    """KL(p || q) from samples x (n, D) of p and both log-densities.

    stderr is sd / sqrt(n), so n is at least 2.  One sample where q has no
    mass settles the matter: the KL is infinite, and that is no estimate
    (stderr 0).  A sample where p has no mass is not from p: an error.
    """
    x, log_p, log_q = _at_samples(log_p, log_q, x)
    if (log_p == -np.inf).any():
        first = x[log_p == -np.inf][0]
        raise ValueError(f"x must be samples of p, but log_p is -inf at {first.tolist()}")
    if (log_q == -np.inf).any():
        return Estimate(np.inf, 0.0, len(x))
    with np.errstate(over="ignore"):                                              # k3 at log r > 709
        terms = estimator(log_q - log_p)                                          # (n,)
    if not np.isfinite(terms).all():
        raise OverflowError(f"q is up to exp({(log_q - log_p).max():.0f}) times p at these samples, too much "
                            "for this estimator: use k1")
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(x))), len(x))


def kl_importance(log_p, log_q, x, log_g):
    """KL(p || q) from samples x (n, D) of another law g, by self-normalized weights p / g."""
    x, log_p, log_q = _at_samples(log_p, log_q, x)
    log_g = evaluate(log_g, x, "log_g")
    if (log_g == -np.inf).any():
        first = x[log_g == -np.inf][0]
        raise ValueError(f"x must be samples of g, but log_g is -inf at {first.tolist()}")
    inside = log_p > -np.inf                                                      # elsewhere the weight is 0
    if not inside.any():
        raise ValueError("p has no mass at any of these samples of g")
    log_p, log_q, log_w = log_p[inside], log_q[inside], (log_p - log_g)[inside]
    weights = np.exp(log_w - logsumexp(log_w))                                    # (n',) sum to 1
    effective_n = float(1 / np.sum(weights ** 2))
    if (log_q == -np.inf).any():
        return WeightedEstimate(np.inf, 0.0, len(x), effective_n)
    terms = k1(log_q - log_p)
    value = weights @ terms
    stderr = np.sqrt(np.sum(weights ** 2 * (terms - value) ** 2))
    return WeightedEstimate(float(value), float(stderr), len(x), effective_n)


def _at_samples(log_p, log_q, x):
    """x and both log-densities there (n,); n >= 2 because a standard error is wanted."""
    x = checks.rows(x)
    if len(x) < 2:
        raise ValueError(f"a standard error needs at least 2 samples, got x of shape {x.shape}")
    return x, evaluate(log_p, x, "log_p"), evaluate(log_q, x, "log_q")
