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

Scores of neighbors in one picture are not independent.  The terms of such a cluster are summed
before they are squared (Obuchowski 1997, "Nonparametric Analysis of Clustered ROC Curve Data").
Then M / (M - 1) in (7) becomes G / (G - 1), with G the number of clusters that hold positives, and
likewise for the negatives.  For the difference of two areas on the same items, the terms are
subtracted before they are squared, so that their covariance counts.
Checked in tests/discriminative/test_roc.py::test_stderr_is_delongs
Checked in tests/discriminative/test_roc.py::test_the_error_of_clusters_is_the_scatter_of_repeats

Where all positives score above all negatives, (7) is 0 although the true area may be less than 1.
Since Var A is at most A (1 - A) / min(M, N) (Birnbaum and Klose 1957, "Bounds for the variance of
the Mann-Whitney statistic"), error and interval are Wilson's (estimate.py) for min(M, N) trials.
Checked in tests/discriminative/test_roc.py::test_a_perfect_area_has_an_error
Symbols: M positives, N negatives, A area, G clusters.
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
    area, *terms = _area(positive, negative)
    return Share.with_variance(area, *_variance(terms, positive_clusters, negative_clusters))


def area_difference(first, second, positive_clusters=None, negative_clusters=None):
    """A of the first minus A of the second, each a pair (positive, negative) of the same items."""
    for pair in (first, second):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"first and second must be pairs (positive, negative), got {checks.brief(pair)}")
    (area, u, v), (other, other_u, other_v) = _area(*first), _area(*second)
    if (u.shape, v.shape) != (other_u.shape, other_v.shape):
        raise ValueError("both detectors must have scored the same positives and negatives")
    variance, n = _variance((u - other_u, v - other_v), positive_clusters, negative_clusters)
    return Estimate(area - other, float(np.sqrt(variance)), n, unit="")


def _area(positive, negative):
    """A, and the terms (M,) and (N,) of its error (6)."""
    positive, negative = _scores(positive, "positive"), _scores(negative, "negative")
    M, N = len(positive), len(negative)
    if M < 2 or N < 2:
        raise ValueError(f"a standard error needs at least 2 positives and 2 negatives, got {M} and {N}")
    ranks = rankdata(np.concatenate([positive, negative]))                        # ties have their mean rank
    u = (ranks[:M] - rankdata(positive)) / N                # (M,)  (4): rank among all - among positives
    v = 1 - (ranks[M:] - rankdata(negative)) / M            # (N,)  (5)
    area = float(u.mean())                                  # (3)
    return area, (u - area) / M, (v - area) / N             # (6)


def _variance(terms, *clusters):
    """The variance (7), and the number of independent terms in the smaller class."""
    if all(labels is None for labels in clusters):
        clusters = np.arange(len(terms[0])), -1 - np.arange(len(terms[1]))        # each score its own
    clusters = [checks.labels(labels, "clusters") for labels in clusters]
    if [labels.shape for labels in clusters] != [part.shape for part in terms]:
        raise ValueError("clusters must have one label for each score, got shapes "
                         f"{clusters[0].shape} and {clusters[1].shape}")
    G = np.array([len(np.unique(labels)) for labels in clusters])
    if G.min() < 2:
        raise ValueError("a standard error needs at least 2 clusters of positives and of negatives")
    terms = np.concatenate([part * np.sqrt(g / (g - 1)) for part, g in zip(terms, G)])
    sums = np.bincount(np.unique(np.concatenate(clusters), return_inverse=True)[1], terms)
    return float(sums @ sums), int(G.min())                                       # (7)


def _scores(scores, name):
    scores = checks.constant(scores, name)
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"{name} must be scores of shape (n,), n >= 1, got {scores.shape}")
    return scores
