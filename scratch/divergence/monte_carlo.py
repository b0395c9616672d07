"""KL from two log-densities and samples: Monte Carlo, with three estimators of one number.

Needs samples x of the distribution p, and log p and log q there.  Estimates KL(p || q) in nats, as
the mean over x of one of these, with log r = log q(x) - log p(x):

    k1 = -log r              unbiased; single terms may be negative                       (1)
    k2 = (log r)^2 / 2       biased, but little when p and q are close                    (2)
    k3 = (r - 1) - log r     unbiased, and no term is negative                            (3)
    stderr = standard deviation of the terms / sqrt(n)                                    (4)

k3 adds to k1 the control variate r - 1, whose expectation is int q - int p = 0.  That holds only if
q has no mass outside the support of p.  When p and q are far apart, rare samples dominate the mean
of r, and k3 is far noisier than k1.

Source: Schulman 2020, "Approximating KL divergence".  He writes KL[q, p] with x ~ q and r = p/q.
Here the letters are exchanged, so that the samples come from p as everywhere in this folder.
Checked in tests/divergence/test_monte_carlo.py::test_k1_k2_k3_match_their_closed_forms.
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.estimate import Estimate


def k1(log_r):
    """-log r: unbiased."""
    return -log_r                                                                 # (1)


def k2(log_r):
    """1/2 (log r)^2: biased, with little noise."""
    return 0.5 * log_r ** 2                                                       # (2)


def k3(log_r):
    """r - 1 - log r: unbiased and never negative.

    >>> k3(np.array([-0.1, 0.0, 0.1])).round(5)
    array([0.00484, 0.     , 0.00517])
    """
    return np.expm1(log_r) - log_r                                                # (3)


def kl_monte_carlo(log_p, log_q, x, estimator=k1):
    """KL(p || q) from n >= 2 samples x (n, D) of p and both log-densities.

    One sample where q has no mass proves that the KL is infinite (stderr 0).  A sample where p has
    no mass is not from p: an error.
    """
    x = checks.rows(x)
    if len(x) < 2:
        raise ValueError(f"a standard error needs at least 2 samples, got x of shape {x.shape}")
    log_p, log_q = evaluate(log_p, x, "log_p"), evaluate(log_q, x, "log_q")       # (n,)
    if (log_p == -np.inf).any():
        raise ValueError(f"x must be samples of p, but log_p is -inf at {checks.brief(x[log_p == -np.inf][0])}")
    if (log_q == -np.inf).any():
        return Estimate(np.inf, 0.0, len(x))
    with np.errstate(over="ignore"):                                              # k3 at log r > 709
        terms = checks.function(estimator, "estimator")(log_q - log_p)            # (n,)
    if np.shape(terms) != log_p.shape:
        raise ValueError(f"estimator must return shape {log_p.shape}, got {np.shape(terms)}")
    if not np.isfinite(terms).all():
        raise ValueError(f"q is up to exp({(log_q - log_p).max():.0f}) times p at these samples, too much "
                         "for this estimator: use k1")
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(x))), len(x))      # (4)
