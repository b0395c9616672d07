"""The task of classification: how often wrong, how many nats, and are the probabilities true?

A classifier's answer is log p(k|x) for every class, (N, K), whatever made it: a
model's log_posterior(theta, x), or a GenerativeClassifier's log_posterior(x).

Calibration.  Of all rows on which p = 0.8 was announced, 80 % should be hits.
`reliability` sorts the rows by p, cuts them into bins of equal count, and
compares the mean of p with the frequency of hits.  The mean distance of the two,
the expected calibration error, is never 0 on finite data: with n_b rows in a bin
even true probabilities miss by about sqrt(2 p (1 - p) / (pi n_b)) (the mean of
|N(0, s^2)| is s sqrt(2 / pi)).  That floor is reported with it.

Temperature (Guo et al. 2017).  Overconfident logits are divided by one number T,
fitted on rows held out: p_T(k|x) is proportional to p(k|x)^(1/T).  The nats are
convex in b = 1/T, with the derivative

    d/db  -mean log p_T(y|x) = mean over rows of E_(k ~ p_T) log p(k|x) - log p(y|x)

and it vanishes where the log probabilities announced are, on average, those found.
"""
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from scratch import checks
from scratch.estimate import Estimate, Share
from scratch.kernels.stable import log_softmax


def error_rate(log_posterior, y):
    """The share of rows whose most probable class is not y.

    >>> print(error_rate(np.log([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0])))
    0.5000 +- 0.3536 (n = 2)
    """
    log_posterior, y = _checked(log_posterior, y)
    wrong = float(np.mean(np.argmax(log_posterior, axis=1) != y))
    return Share(wrong, float(np.sqrt(wrong * (1 - wrong) / len(y))), len(y))


def nats(log_posterior, y):
    """-mean log p(y|x): 0 for a prophet, log K for one who knows nothing, inf for one caught in a certainty."""
    log_posterior, y = _checked(log_posterior, y)
    if len(y) < 2:
        raise ValueError(f"a standard error needs at least 2 rows, got {len(y)}")
    terms = -log_posterior[np.arange(len(y)), y]
    if np.isinf(terms).any():
        return Estimate(np.inf, 0.0, len(y))
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(y))), len(y))


class Reliability(NamedTuple):
    """What was announced and what came, bin by bin, each (B,)."""
    announced: np.ndarray       # the mean of p
    found: np.ndarray           # the frequency of hits
    low: np.ndarray             # Wilson's 95 % interval of the frequency: within [0, 1] also at its ends
    high: np.ndarray
    count: np.ndarray

    def error(self):
        """The expected calibration error, and the floor that true probabilities would show."""
        share = self.count / self.count.sum()
        noise = np.sqrt(2 * self.announced * (1 - self.announced) / (np.pi * self.count))
        return float(share @ np.abs(self.found - self.announced)), float(share @ noise)


def reliability(p, hits, bins=10):
    """Compare probabilities p (N,) with what happened, hits (N,) of 0 and 1 (or bool)."""
    p, hits = checks.finite(np.asarray(p, float), "p"), np.asarray(hits, float)
    bins = checks.size(bins, "bins")
    if p.ndim != 1 or hits.shape != p.shape or len(p) < bins:
        raise ValueError(f"p and hits must have one shape (n,) with n >= bins = {bins}, "
                         f"got {p.shape} and {hits.shape}")
    if p.min() < 0 or p.max() > 1 or not np.isin(hits, (0, 1)).all():
        raise ValueError("p must lie in [0, 1] and hits must be 0 or 1")
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    count = np.array([len(part) for part in parts])
    announced = np.array([p[part].mean() for part in parts])
    found = np.array([hits[part].mean() for part in parts])
    z2 = ndtri(0.975) ** 2                                  # Wilson 1927
    center = (found + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * found * (1 - found) / count + z2 * z2 / (4 * count ** 2)) / (1 + z2 / count)
    return Reliability(announced, found, center - half, center + half, count)


def temperature(log_posterior, y):
    """T > 0 that makes softmax(log_posterior / T) the best on these rows, which training has not seen."""
    log_posterior, y = _checked(log_posterior, y)
    right = log_posterior[np.arange(len(y)), y]
    checks.finite(log_posterior, "log_posterior")

    def slope(log_b):
        p = np.exp(log_softmax(np.exp(log_b) * log_posterior)[0])
        return np.mean(np.sum(p * log_posterior, axis=1) - right)

    if not slope(np.log(1e-3)) < 0 < slope(np.log(1e3)):
        raise ValueError("no temperature is best: every row is right, or the answers are worse than a guess")
    return float(np.exp(-brentq(slope, np.log(1e-3), np.log(1e3))))


def _checked(log_posterior, y):
    log_posterior, y = np.asarray(log_posterior), np.asarray(y)
    if log_posterior.ndim != 2 or len(log_posterior) == 0 or log_posterior.dtype.kind != "f":
        raise ValueError(f"log_posterior must be floating point of shape (n, classes), "
                         f"got dtype {log_posterior.dtype} of shape {log_posterior.shape}")
    if np.isnan(log_posterior).any() or log_posterior.max() > 1e-3:
        raise ValueError("log_posterior must hold log probabilities, at most 0")
    if y.shape != (len(log_posterior),) or y.dtype.kind not in "iu":
        raise ValueError(f"y must be {len(log_posterior)} integers, got dtype {y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= log_posterior.shape[1]:
        raise ValueError(f"y must hold classes 0 ... {log_posterior.shape[1] - 1}, got {y.min()} ... {y.max()}")
    return log_posterior, y
