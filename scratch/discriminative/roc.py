"""The receiver operating characteristic (ROC), and the area under it with its standard error.

A detector assigns a score to each item.  At threshold t it marks

    true(t)  = fraction of the M positives with a score of at least t                        (1)
    false(t) = fraction of the N negatives with a score of at least t.                       (2)

The curve does not depend on how common positives are, nor on the scale of the scores.  The area
under it is a probability (Bamber 1975, "The area above the ordinal dominance graph and the area
below the receiver operating characteristic graph"):

    A = P(score of a positive > score of a negative) + 1/2 P(the two are equal)              (3)

Standard error (DeLong, DeLong and Clarke-Pearson 1988, "Comparing the Areas under Two or More
Correlated Receiver Operating Characteristic Curves").  Define the placements

    u_i = fraction of negatives below positive i, ties counted half;   the mean of u is A    (4)
    v_j = fraction of positives above negative j, ties counted half;   the mean of v is A.   (5)

To first order the error of A is a sum of M + N independent terms, one for each score.  The sum of
their squares estimates its variance (with M (M - 1) for M^2, as in a sample variance):

    error = sum_i (u_i - A) / M + sum_j (v_j - A) / N                                        (6)
    Var A = sum_i (u_i - A)^2 / (M (M - 1)) + sum_j (v_j - A)^2 / (N (N - 1)).               (7)

Scores of neighbors in one picture are not independent.  Their terms are then summed within each
cluster before they are squared (Obuchowski 1997, "Nonparametric Analysis of Clustered ROC Curve
Data").  For two detectors on the same items the terms are subtracted first: this keeps covariances.
Checked in tests/discriminative/test_roc.py::test_stderr_is_delongs
Checked in tests/discriminative/test_roc.py::test_clusters_widen_the_interval_until_it_covers

Symbols: M positives, N negatives, A area.
"""
import numpy as np
from scipy.stats import rankdata

from scratch import checks
from scratch.estimate import Estimate, Share


def roc_curve(positive, negative):
    """false and true at every threshold, from (0, 0) to (1, 1); equal scores make one step.

    >>> roc_curve(np.array([3.0, 1.0]), np.array([2.0, 1.0]))
    (array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 0.5, 1. ]))
    """
    positive, negative = _scores(positive, "positive"), _scores(negative, "negative")
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    true, false = (1 - np.searchsorted(np.sort(scores), thresholds) / len(scores)         # (1), (2)
                   for scores in (positive, negative))
    return np.append(0.0, false), np.append(0.0, true)


def area_under_roc(positive, negative, positive_clusters=None, negative_clusters=None):
    """A (3) with its standard error; clusters: labels of the scores, equal for dependent ones."""
    area, terms = _area(positive, negative)
    clusters = _clusters(positive_clusters, negative_clusters, positive, negative)
    return Share(area, *_error(terms, clusters))


def area_difference(first, second, positive_clusters=None, negative_clusters=None):
    """A of the first minus A of the second, each a pair (positive, negative) of the same items."""
    if [np.shape(scores) for scores in first] != [np.shape(scores) for scores in second]:
        raise ValueError("both detectors must have scored the same positives and negatives")
    (area, terms), (other, other_terms) = _area(*first), _area(*second)
    clusters = _clusters(positive_clusters, negative_clusters, *first)
    return Estimate(area - other, *_error(terms - other_terms, clusters), unit="")


def _area(positive, negative):
    """A, and the terms (M + N,) whose squares sum to its variance (7)."""
    positive, negative = _scores(positive, "positive"), _scores(negative, "negative")
    M, N = len(positive), len(negative)
    if min(M, N) < 2:
        raise ValueError(f"a standard error needs at least 2 positives and 2 negatives, got {M} and {N}")
    ranks = rankdata(np.concatenate([positive, negative]))                        # ties have their mean rank
    u = (ranks[:M] - rankdata(positive)) / N                # (M,)  (4): rank among all - among positives
    v = 1 - (ranks[M:] - rankdata(negative)) / M            # (N,)  (5)
    area = float(u.mean())                                  # (3)
    return area, np.append((u - area) / np.sqrt(M * (M - 1)), (v - area) / np.sqrt(N * (N - 1)))    # (6)


def _error(terms, clusters):
    """The standard error, and the number of independent terms: scores, or sums over clusters."""
    if clusters is None:
        return float(np.linalg.norm(terms)), len(terms)                           # root of (7)
    sums = np.bincount(clusters, terms)
    if len(sums) < 2:
        raise ValueError("a standard error needs at least 2 clusters")
    return float(np.sqrt(len(sums) / (len(sums) - 1)) * np.linalg.norm(sums)), len(sums)


def _clusters(positive_clusters, negative_clusters, positive, negative):
    """One number 0, 1, ... per cluster for all M + N scores, or None."""
    if positive_clusters is None and negative_clusters is None:
        return None
    if [np.shape(positive_clusters), np.shape(negative_clusters)] != [np.shape(positive), np.shape(negative)]:
        raise ValueError("clusters must have one label for each score, got shapes "
                         f"{np.shape(positive_clusters)} and {np.shape(negative_clusters)}")
    return np.unique(np.concatenate([positive_clusters, negative_clusters]), return_inverse=True)[1]


def _scores(scores, name):
    scores = checks.finite(np.asarray(scores, float), name)
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"{name} must be scores of shape (n,), n >= 1, got {scores.shape}")
    return scores
