"""The task of classification: error rate, log loss, and calibration of the probabilities.

Input: log p(k|x) of N rows and C classes, (N, C), from the log_posterior of any classifier here.

    error rate   1/N sum_n 1[argmax_k p(k|x_n) != y_n]                                       (1)
    log loss     L = -1/N sum_n log p(y_n|x_n), in nats                                      (2)

Calibration.  Of all rows with a predicted p = 0.8, 80 % should be positive.  `reliability` sorts
the rows by p and cuts them into bins b of equal count N_b, but never between equal p.  Let p_b be
the mean of p in bin b and f_b the frequency of positives.  The expected calibration error and its
floor are

    ECE   = sum_b N_b/N |f_b - p_b|                                                          (3)
    floor = sum_b N_b/N sqrt(2 p_b (1 - p_b) / (pi N_b)).                                    (4)

For true probabilities (4) is the expectation of (3): f_b - p_b is then nearly N(0, s^2) with
s^2 = p_b (1 - p_b) / N_b, so that E |f_b - p_b| = s sqrt(2/pi).
Checked in tests/discriminative/test_classification.py::test_ece_of_true_probabilities_is_the_floor

Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks").  Overconfident
logits are divided by one number T, fitted on validation rows: p_T(k|x) is proportional to
p(k|x)^(1/T).  The log loss is convex in b = 1/T, and at its minimum its derivative is 0:

    dL/db = 1/N sum_n [ E_(k ~ p_T) log p(k|x_n) - log p(y_n|x_n) ]                          (5)
Checked in tests/discriminative/test_classification.py::test_temperature_is_the_minimum_of_the_nats
"""
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from scratch import checks
from scratch.discriminative.labeled import most_probable
from scratch.estimate import Estimate, Share
from scratch.kernels.stable import log_softmax


def error_rate(log_posterior, y):
    """The error rate (1): the fraction of rows whose most probable class is not y.

    >>> print(error_rate(np.log([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0])))
    0.5000 +- 0.2887 (n = 2)
    """
    log_posterior, y = _checked(log_posterior, y)
    return Share.of(np.sum(np.argmax(log_posterior, axis=1) != y), len(y))        # (1)


def nats(log_posterior, y):
    """The log loss (2), or cross-entropy, in nats.

    It is 0 if every y has probability 1, log C for uniform p, infinite if some y has probability 0.
    """
    log_posterior, y = _checked(log_posterior, y)
    terms = -log_posterior[np.arange(len(y)), y]                                  # (N,)  (2)
    return Estimate(np.inf, 0.0, len(y)) if np.isinf(terms).any() else mean_in_nats(terms)


def mean_in_nats(terms):
    """The mean of independent terms (N,) in nats, with its standard error."""
    if len(terms) < 2:
        raise ValueError(f"a standard error needs at least 2 rows, got {len(terms)}")
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(terms))), len(terms))


class Reliability(NamedTuple):
    """A reliability diagram: predicted and observed frequencies, bin by bin, each (B,)."""
    announced: np.ndarray       # p_b, the mean of p
    found: np.ndarray           # f_b, the frequency of positives
    low: np.ndarray             # Wilson's 95 % interval of the frequency, which stays within [0, 1]
    high: np.ndarray
    count: np.ndarray           # N_b
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__   # it holds arrays

    def error(self):
        """The expected calibration error (3) and its noise floor (4); neither has a unit."""
        weights = self.count / self.count.sum()
        noise = np.sqrt(2 * self.announced * (1 - self.announced) / (np.pi * self.count))
        return float(weights @ np.abs(self.found - self.announced)), float(weights @ noise)     # (3), (4)


def reliability(p, hits, bins=10):
    """The Reliability of predictions p (N,), given the outcomes hits (N,), 0 or 1 (or bool)."""
    p, hits = checks.constant(p, "p"), checks.constant(hits, "hits", kinds="fiub")
    bins = checks.size(bins, "bins")
    if p.ndim != 1 or hits.shape != p.shape or len(p) < bins:
        raise ValueError(f"p and hits must have one shape (n,), n >= bins, got {p.shape}, {hits.shape}")
    if p.min() < 0 or p.max() > 1 or not np.isin(hits, (0, 1)).all():
        raise ValueError("p must lie in [0, 1] and hits must be 0 or 1")
    order = np.argsort(p, kind="stable")
    p, hits = p[order], hits[order]
    firsts = [part[0] for part in np.array_split(p, bins)]
    starts = np.unique(np.searchsorted(p, firsts))          # equal p stay together
    announced, found = (np.array([part.mean() for part in np.split(a, starts[1:])]) for a in (p, hits))
    count = np.diff([*starts, len(p)])
    low, high = np.transpose([Share.of(f * n, n).interval() for f, n in zip(found, count)])
    return Reliability(announced, found, low, high, count)


def temperature(log_posterior, y):
    """The T > 0 with the least log loss of softmax(log_posterior / T) on these validation rows."""
    log_posterior, y = _checked(log_posterior, y)
    own = checks.finite(log_posterior, "log_posterior")[np.arange(len(y)), y]
    ends = np.log(1e-3), np.log(1e3)                        # of log b; by hand, not swept

    def derivative(log_b):
        p = np.exp(log_softmax(np.exp(log_b) * log_posterior)[0])
        return np.mean(np.sum(p * log_posterior, axis=1) - own)                   # (5)

    if not derivative(ends[0]) < 0 < derivative(ends[1]):
        raise ValueError("no temperature is best: every row is right, or p is worse than a guess")
    return float(np.exp(-brentq(derivative, *ends)))


def _checked(log_posterior, y):
    log_posterior = checks.array(log_posterior, "log_posterior")
    if log_posterior.ndim != 2 or log_posterior.dtype.kind != "f" or not (log_posterior <= 1e-3).all():
        raise ValueError("log_posterior must hold log probabilities, at most 0, of shape (n, classes), "
                         f"got dtype {log_posterior.dtype}, shape {log_posterior.shape}")
    most_probable(log_posterior)                            # raises where no class has mass
    n, classes = log_posterior.shape
    labels = checks.constant(y, "y")
    if (labels.shape != (n,) or np.asarray(y).dtype.kind not in "iu"
            or labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"y must be {n} integers, the classes 0 ... {classes - 1}, got {checks.brief(y)}")
    return log_posterior, labels.astype(int)
