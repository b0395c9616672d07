"""Reading a picture: which words and numbers made it, and how far it is from the nearest picture of the distribution.

Nearest rendering.  Each of the 24 pairs of style and shape is rendered on a grid of centers and radii with ink 1.
The best ink for a picture p and a rendering R is <p, R> / |R|^2, and it leaves

    |p - a R|^2 = |p|^2 - (<p, R> / |R|)^2                                                   (1)

so the nearest rendering of a pair has the largest <p, R> / |R|, one matrix product for all of them.

Gauss-Newton.  From there the four numbers m = (x, y, radius, ink) minimize |e|^2, e = p - render(m), with the
derivative J of the renderer and a damping l as in Levenberg and Marquardt:

    step = (J^T J + l diag(J^T J))^-1 J^T e                                                  (2)

A step that makes |e| smaller is taken and l falls, otherwise l grows.  This is done for the CANDIDATES nearest
pairs.  The pair with the smallest |e| is refined from several starts, because (2) can stop early: a thin straight
border that leaves a row of pixels changes all of them at once.  Style and shape are the words of this pair; size
and place are those whose range is nearest to the radius and to x.

A picture that is no rendering, such as a generated one, gets the words and numbers of the rendering that fits it
best, however bad the fit.  Its residual, the root mean square of e over the pixels, says how bad.  The numbers may
lie outside their ranges: an empty picture has ink 0, and a gray one is a shape larger than the picture.  Of 6,000
true pictures one was read with a wrong word, and five had a residual above 1e-9.  1,000 pictures take 2 seconds.
Checked in tests/data/test_picture_reader.py::test_words_and_numbers_of_true_pictures_are_read
Checked in tests/data/test_picture_reader.py::test_a_picture_with_noise_is_read_as_its_least_squares_fit
Symbols: N pictures of 256 pixels.
"""
from functools import lru_cache
from itertools import product

import numpy as np

from scratch import checks
from scratch.data.pictures import PAIRS, RADIUS, SIDE, X, Y, rendering

GRID = 13                                    # points a number: steps of 0.055, below half a pixel; by hand
MARGIN = 0.04                                # by which the grid exceeds the ranges
CANDIDATES = 3                               # by hand; of 3,000 true pictures all have their pair among the first two
ROUGH, FINE = 6, 12                          # steps (2) for all candidates, and for the best; by hand
STARTS = 0.03 * np.array([[0, 0, 0, 0], *np.eye(4)[:3], *-np.eye(4)[:3]])    # around the best, by hand: 0.015 to 0.045
SMALLEST = 0.05                              # radius, so that a step cannot turn a shape inside out
DAMPING = 1e-2                               # l at the start
NOTHING = 1e-12                              # keeps (2) solvable where a number changes nothing, as with ink 0
CHUNK = 500                                  # pictures at a time, for memory


def read(pictures):
    """Words (n, 4), parameters (n, 4) and residual (n,) of pictures (n, 256); nothing else is known of them."""
    pictures = checks.rows(pictures, SIDE ** 2, "pictures").astype(float)
    parts = [_read(pictures[i:i + CHUNK]) for i in range(0, len(pictures), CHUNK)]
    return tuple(np.concatenate(part) for part in zip(*parts))


def _read(pictures):
    n, (pairs, starts) = len(pictures), _nearest(pictures)                        # (n, C), (n, C, 4)
    rough, square = _fit(pairs, starts, pictures, ROUGH)
    row, best = np.arange(n), square.argmin(axis=1)
    pairs, starts = pairs[row, best], rough[row, best]
    fine, square = _fit(np.repeat(pairs[:, None], len(STARTS), axis=1), starts[:, None] + STARTS, pictures, FINE)
    parameters, square = fine[row, square.argmin(axis=1)], square.min(axis=1)
    words = _words(pairs)
    words[:, 1] = parameters[:, 2] > (RADIUS[0][1] + RADIUS[1][0]) / 2
    words[:, 3] = parameters[:, 0] > (X[0][1] + X[1][0]) / 2
    return words, parameters, np.sqrt(square / SIDE ** 2)


def _words(pairs):
    """Words (n, 4) for places in PAIRS; size and place are not known yet."""
    style, shape = np.divmod(pairs, len(PAIRS) // 4)
    return np.stack([style, 0 * style, shape, 0 * style], axis=1)


@lru_cache
def _renderings():
    """The grid of x, y and radius with ink 1, (G, 4), and its renderings divided by their norms, (24 G, 256)."""
    x, y, r = (np.linspace(low - MARGIN, high + MARGIN, GRID)
               for low, high in ((X[0][0], X[1][1]), Y, (RADIUS[0][0], RADIUS[1][1])))
    grid = np.array(list(product(x, y, r, [1.0])))
    directions = []
    for pair in range(len(PAIRS)):
        R, _ = rendering(_words(np.full(len(grid), pair)), grid)
        directions.append((R / np.linalg.norm(R, axis=1, keepdims=True)).astype(np.float32))
    return grid, np.concatenate(directions)


def _nearest(pictures):
    """The CANDIDATES nearest pairs (n, C), places in PAIRS, and the numbers of their nearest renderings (n, C, 4)."""
    grid, directions = _renderings()
    fit = (pictures.astype(np.float32) @ directions.T).reshape(len(pictures), len(PAIRS), -1)   # <p, R> / |R|
    place = fit.argmax(axis=2)                                                    # (n, 24)
    fit = np.take_along_axis(fit, place[..., None], axis=2)[..., 0]
    pairs = np.argsort(-fit, axis=1)[:, :CANDIDATES]                              # (1)
    numbers = grid[np.take_along_axis(place, pairs, axis=1)]
    return pairs, numbers


def _fit(pairs, numbers, pictures, steps):
    """Numbers (n, S, 4) after `steps` steps (2) from S starts for each picture, and |e|^2, (n, S)."""
    words, m, shape = _words(pairs.ravel()), numbers.reshape(-1, 4).copy(), pairs.shape
    pictures = np.repeat(pictures, shape[1], axis=0)
    damping, square = np.full(len(m), DAMPING), np.full(len(m), np.inf)
    error, J, trial = np.empty_like(pictures), np.empty((*pictures.shape, 4)), m
    for _ in range(steps + 1):
        fitted, jacobian = rendering(words, trial)
        left = np.sum((pictures - fitted) ** 2, axis=1)
        better = left < square
        m[better], square[better], error[better] = trial[better], left[better], (pictures - fitted)[better]
        J[better], damping = jacobian()[better], np.where(better, damping / 10, damping * 10)
        A = J.swapaxes(1, 2) @ J
        A = A + (damping[:, None, None] * A + NOTHING) * np.eye(4)
        trial = m + np.linalg.solve(A, J.swapaxes(1, 2) @ error[..., None])[..., 0]             # (2)
        trial[:, 2] = np.maximum(trial[:, 2], SMALLEST)
    return m.reshape(numbers.shape), square.reshape(shape)
