"""The task of detection: a classifier of windows, applied at every pixel, finds structures.

A detector is a function from windows (n, size^2) to scores (n,).  The steps of the task are

    score_map       the score of the window around every pixel
    suppress        non-maximum suppression: of all marks within a radius, keep the best
    match           a mark is a hit if some structure within a radius belongs to no better mark
    free_response   the free-response ROC (FROC): sensitivity against false marks per picture, over
                    all thresholds (Bunch et al. 1978, "A free-response approach")

Training windows come from `Insertion`: background windows, half of them with the structure added.
Among random windows few are negatives that a detector gets wrong.  Hard negative mining (`hardest`)
selects those for a second training (Sung and Poggio 1998, "Example-based learning for view-based
human face detection").

The baseline is the matched filter.  For Gaussian backgrounds with mean m and covariance S, the log
likelihood ratio of "with template t" to "without" is linear in the window x:

    score(x) = t^T S^-1 (x - m - t/2)                                                        (1)

No detector then has a larger area under its ROC (Neyman and Pearson 1933, "On the Problem of the
Most Efficient Tests of Statistical Hypotheses").  Pictures are not Gaussian, so a network's gain
over (1) is due to features beyond mean and covariance.
Checked in tests/discriminative/test_detection.py::test_the_matched_filter_is_the_likelihood_ratio
Symbols: H, W height and width of a picture, D = size^2 pixels of a window.
"""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scratch import checks
from scratch.discriminative.labeled import join


def windows(picture, size):
    """A view of the windows around each pixel, (H - size + 1, W - size + 1, size, size)."""
    picture, size = checks.rows(picture, name="picture"), checks.size(size, "size")
    if size > min(picture.shape):
        raise ValueError(f"size must be at most {min(picture.shape)}, the picture's shorter side, got {size}")
    return sliding_window_view(picture, (size, size))


def score_map(score, picture, size, mask=None):
    """The score of every window (H - size + 1, W - size + 1); -inf where mask is False."""
    view = windows(picture, size)
    mask = np.ones(view.shape[:2], bool) if mask is None else checks.labels(mask, "mask")
    if mask.shape != view.shape[:2] or mask.dtype != bool:
        raise ValueError(f"mask must be bool of shape {view.shape[:2]}, got {mask.dtype}, {mask.shape}")
    scores = np.full(view.shape[:2], -np.inf)
    if mask.any():
        scores[mask] = _scored(score, view[mask].reshape(-1, size * size))
    return scores


def _scored(score, x):
    """score(x) for windows x (n, D), (n,)."""
    scores = checks.array(checks.function(score, "score")(x), "score(x)")
    if scores.shape != (len(x),):
        raise ValueError(f"score must return one number for each of {len(x)} rows, got shape {scores.shape}")
    return scores


class Marks(NamedTuple):
    """The detections, best first."""
    places: np.ndarray          # (n, 2) row and column in the score map
    scores: np.ndarray          # (n,)
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__   # it holds arrays


def suppress(scores, radius):
    """Non-maximum suppression: Marks more than radius pixels apart, best first; none at -inf."""
    scores = checks.array(scores, "scores")
    if scores.ndim != 2 or scores.dtype.kind != "f" or np.isnan(scores).any():
        raise ValueError(f"scores must be a map (H, W) without NaN, got shape {scores.shape}")
    radius = checks.size(radius, "radius", minimum=0)
    reach = np.arange(-radius, radius + 1)
    disk = reach[:, None] ** 2 + reach ** 2 <= radius ** 2
    free = np.pad(scores > -np.inf, radius)                 # padding, so that no disk is cut at an edge
    order, places = np.argsort(-scores, axis=None, kind="stable"), []
    for i, j in zip(*np.unravel_index(order, scores.shape)):
        if free[i + radius, j + radius]:
            places.append((i, j))
            free[i:i + 2 * radius + 1, j:j + 2 * radius + 1] &= ~disk
    places = np.array(places, int).reshape(-1, 2)
    return Marks(places, scores[tuple(places.T)])


def match(marks, structures, radius):
    """Which marks are hits, (n,) bool: each takes the nearest structure (of m, 2) still free."""
    structures = checks.constant(structures, "structures")
    if not isinstance(marks, Marks) or structures.size and structures.shape[1:] != (2,):
        raise TypeError(f"match needs Marks and structures (m, 2), got {type(marks)}, {structures.shape}")
    structures, radius = structures.reshape(-1, 2), checks.nonnegative(radius, "radius")
    free, hits = np.ones(len(structures), bool), np.zeros(len(marks.places), bool)
    for n, place in enumerate(marks.places):
        distance = np.where(free, np.hypot(*(structures - place).T), np.inf)
        if len(distance) and distance.min() <= radius:
            hits[n], free[distance.argmin()] = True, False
    return hits


def free_response(scores, hits, structures, pictures):
    """The FROC curve: false marks per picture and sensitivity, as the threshold falls.

    scores, hits (n,): the marks of all pictures together; structures: the number in all pictures.
    """
    scores, hits = checks.constant(scores, "scores"), checks.constant(hits, "hits", kinds="fiub").astype(bool)
    structures, pictures = checks.size(structures, "structures"), checks.size(pictures, "pictures")
    if hits.shape != scores.shape or scores.ndim != 1 or hits.sum() > structures:
        raise ValueError(f"scores and hits must have one shape (n,), with at most {structures} hits, "
                         f"got {scores.shape} and {hits.shape} with {hits.sum()} hits")
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) < 0, True)[:len(order)]         # equal scores, one threshold
    false, true = np.cumsum(~hits[order])[last], np.cumsum(hits[order])[last]
    return np.append(0, false) / pictures, np.append(0, true) / structures


def matched_filter(template, backgrounds=None, noise=0.0):
    """The log likelihood ratio (1) as a function x (n, D) -> (n,).

    m and S are the moments of backgrounds (n, D), plus noise^2 I in S; without any, 0 and I.
    """
    template, noise = checks.constant(template, "template").ravel(), checks.nonnegative(noise, "noise")
    mean, weights = np.zeros(template.size), template
    if backgrounds is not None:
        backgrounds = checks.rows(backgrounds, template.size, "backgrounds")
        mean = backgrounds.mean(axis=0)
        S = np.cov(backgrounds.T, bias=True) + noise ** 2 * np.eye(template.size)
        if np.linalg.matrix_rank(S, hermitian=True) < len(S):
            raise ValueError(f"the covariance of {len(backgrounds)} backgrounds of {len(S)} pixels "
                             "is singular: give more of them, or noise > 0")
        weights = np.linalg.solve(S, template)
    return lambda x: (checks.rows(x, template.size) - (mean + template / 2)) @ weights              # (1)


@dataclass(frozen=True, eq=False)
class Insertion:
    """Windows: a background (class 0) or a background plus the template (class 1), 1/2 each.

    hard: hard negatives, if any; a fraction `hard_share` of class 0 is drawn from them.
    """
    backgrounds: np.ndarray                                                       # (n, D)
    template: np.ndarray                                                          # (D,)
    hard: np.ndarray = None                                                       # (m, D)
    hard_share: float = 0.5                                                       # by hand, not swept

    def __post_init__(self):
        checks.fields(self, hard_share=checks.nonnegative,
                      template=lambda x, name: checks.constant(x, name).ravel(),
                      backgrounds=lambda x, name: checks.rows(x, self.template.size, name),
                      hard=lambda x, name: x if x is None else checks.rows(x, self.template.size, name))
        if self.hard_share > 1:
            raise ValueError(f"hard_share must lie in [0, 1], got {self.hard_share}")

    def sample(self, n, rng):
        """n labeled rows (n, D + 1)."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        y = rng.random(n) < 0.5
        x = self.backgrounds[rng.integers(len(self.backgrounds), size=n)]
        if self.hard is not None:
            swap = ~y & (rng.random(n) < self.hard_share)
            x[swap] = self.hard[rng.integers(len(self.hard), size=swap.sum())]
        x[y] += self.template
        return join(x, y)


def hardest(score, negatives, n):
    """Hard negative mining: the n negatives (of m, D) with the largest scores, in falling order."""
    negatives, n = checks.rows(negatives, name="negatives"), checks.size(n, "n")
    return negatives[np.argsort(-_scored(score, negatives), kind="stable")[:n]]
