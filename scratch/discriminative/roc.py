"""The receiver operating characteristic: every threshold at once, and the area under it with its error.

A detector gives a score.  At threshold t it marks a share true(t) of the positives
and a share false(t) of the negatives; the curve true against false over all t does
not depend on how common the positives are, nor on the scale of the scores.  The
area under it is a probability (Mann and Whitney 1947; Bamber 1975):

    A = P(score of a positive > score of a negative) + 1/2 P(the two are equal)

Its error (DeLong, DeLong and Clarke-Pearson 1988).  With the placements

    u_i = share of negatives below positive i (ties half),     mean of u = A
    v_j = share of positives above negative j (ties half),     mean of v = A

A errs, to first order, by a sum of independent parts, (u_i - A)/M over the M positives
and (v_j - A)/N over the N negatives, so its variance is the sum of their squares
(with M (M - 1) for M^2 and N (N - 1) for N^2, as in any sample variance).  Scores of
neighbors in one picture are not independent: the parts of a cluster are then summed
before they are squared (Obuchowski 1997).  Two detectors on the same pictures are
compared by the differences of their parts, so that what both find hard cancels.
"""
import numpy as np
from scipy.stats import rankdata

from scratch import checks
from scratch.estimate import Share


def roc_curve(positive, negative):
    """false, true: the shares marked at each threshold, from (0, 0) to (1, 1); equal scores make one step.

    >>> roc_curve(np.array([3.0, 1.0]), np.array([2.0, 1.0]))
    (array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 0.5, 1. ]))
    """
    positive, negative = _scores(positive, "positive"), _scores(negative, "negative")
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    true, false = (1 - np.searchsorted(np.sort(scores), thresholds) / len(scores) for scores in (positive, negative))
    return np.append(0.0, false), np.append(0.0, true)


def area_under_roc(positive, negative, positive_clusters=None, negative_clusters=None):
    """A with its standard error; clusters: a label for each score, shared by those that are not independent."""
    area, parts = _area(positive, negative)
    return _share(area, parts, _clusters(positive_clusters, negative_clusters, positive, negative))


def area_difference(first, second, positive_clusters=None, negative_clusters=None):
    """A of the first minus A of the second; each is a pair (positive, negative) of scores of the same things."""
    if [np.shape(scores) for scores in first] != [np.shape(scores) for scores in second]:
        raise ValueError("both detectors must have scored the same positives and negatives")
    (area, parts), (other, other_parts) = _area(*first), _area(*second)
    return _share(area - other, parts - other_parts, _clusters(positive_clusters, negative_clusters, *first))


def _area(positive, negative):
    """A, and the independent parts (M + N,) of its error."""
    positive, negative = _scores(positive, "positive"), _scores(negative, "negative")
    M, N = len(positive), len(negative)
    if min(M, N) < 2:
        raise ValueError(f"a standard error needs at least 2 positives and 2 negatives, got {M} and {N}")
    ranks = rankdata(np.concatenate([positive, negative]))                        # ties share their mean rank
    u = (ranks[:M] - rankdata(positive)) / N                # rank among all minus rank among positives
    v = 1 - (ranks[M:] - rankdata(negative)) / M
    area = float(u.mean())
    return area, np.concatenate([(u - area) / np.sqrt(M * (M - 1)), (v - area) / np.sqrt(N * (N - 1))])


def _share(value, parts, clusters):
    """The value, with the root of the summed squares of its parts, or of its clusters' sums of parts."""
    if clusters is None:
        return Share(value, float(np.linalg.norm(parts)), len(parts))
    sums = np.bincount(clusters, parts)
    if len(sums) < 2:
        raise ValueError("a standard error needs at least 2 clusters")
    return Share(value, float(np.sqrt(len(sums) / (len(sums) - 1)) * np.linalg.norm(sums)), len(sums))


def _clusters(positive_clusters, negative_clusters, positive, negative):
    """One number 0, 1, ... per cluster for all M + N scores, or None."""
    if positive_clusters is None and negative_clusters is None:
        return None
    for clusters, scores in ((positive_clusters, positive), (negative_clusters, negative)):
        if np.shape(clusters) != np.shape(scores):
            raise ValueError(f"clusters must have one label for each score, got {np.shape(clusters)} "
                             f"labels for {np.shape(scores)} scores")
    return np.unique(np.concatenate([positive_clusters, negative_clusters]), return_inverse=True)[1]


def _scores(scores, name):
    scores = checks.finite(np.asarray(scores, float), name)
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"{name} must be scores of shape (n,), n >= 1, got {scores.shape}")
    return scores
