"""Pictures with prompts: 16 x 16 gray pictures that are made from four words and four numbers.

The words are a style, a size, a shape and a place, all combinations equally likely.  Given the words, the
center c = (x, y), the radius r and the ink a are uniform in ranges that the words set.  So the right answer
to a prompt is known, and picture_reader.py reads words and numbers back from a picture.
A picture has 256 pixels but only four numbers vary.  So its distribution has no density, and it is not in LAWS.

Picture.  picture_shapes.py has the signed distance d_1 of each shape of radius 1 around 0.  For c and r it is

    d(p) = r d_1((p - c) / r)                                                                (1)
    D = d                                              solid, soft                           (2)
      = |d + t/2| - t/2                                outlined: only the outer t of the shape   (3)
      = max(d, |v| - h/3)                              hatched: stripes at every h; v in [-h/2, h/2] is
                                                         the place across the nearest one, from its middle   (4)
    a pixel around p is  a clip(1/2 - D(p) / w, 0, 1)                                        (5)

In (5) w is one pixel, and four in soft.  With one, a pixel that is cut by a border along the grid shows the share
of it that lies inside (antialiasing).  D in (4) has the sign of the distance to the striped shape, and is never larger.

Derivative.  With u = (p - c) / r and the gradient g of d_1 at u, the chain rule in (1) gives

    dd/dc = -g,      dd/dr = d_1 - u . g                                                    d(1)
    dD = sign(d + t/2) dd in (3).  In (4) D follows the larger of the two; the stripe's distance has
    dD/dc = - sign(v) times the direction of v, and dD/dr = 0                               d(4)

Source: none; the distribution is our own.
Checked in tests/data/test_pictures.py::test_a_picture_is_the_loop_over_its_pixels
Checked in tests/data/test_pictures.py::test_derivative_is_the_difference_quotient
Symbols: N pictures, D = 256 pixels, row by row from the top.  Lengths are in units of half a picture.
"""
import numpy as np

from scratch import checks
from scratch.data.picture_shapes import SHAPES

SIDE = 16                                    # pixels; the picture is the square [-1, 1]^2
PIXEL = 2 / SIDE
WORDS = {"style": ("solid", "outlined", "hatched", "soft"), "size": ("small", "large"), "shape": tuple(SHAPES),
         "place": ("left", "right")}
COUNTS = tuple(len(words) for words in WORDS.values())
# Ranges by hand.  A shape lies in its circle of radius r, and the circle in the picture.  The gaps between small
# and large, and left and right, leave no doubt about a word.
X = ((-0.30, -0.02), (0.02, 0.30))           # left, right
Y = (-0.3, 0.3)
RADIUS = ((0.38, 0.48), (0.58, 0.70))        # small, large
INK = (0.7, 1.0)
PAIRS = tuple((style, shape) for style in WORDS["style"] for shape in WORDS["shape"])
# No prompt in training has these pairs: does a model compose words that it never saw together?  Each shape is held
# out once and each style once or twice, so that every word stays common.
HELD_OUT = (("soft", "circle"), ("hatched", "square"), ("outlined", "triangle"), ("solid", "star"),
            ("hatched", "moon"), ("outlined", "cross"))
PROMPTED = tuple(pair for pair in PAIRS if pair not in HELD_OUT)
OUTLINE, STRIPES, SOFT = PIXEL, 3 * PIXEL, 4 * PIXEL         # t, h, and w of soft; by hand
ACROSS = np.exp(0.25j * np.pi)               # the direction of v
POINTS = ((np.arange(SIDE) + 0.5) * PIXEL - 1 - 1j * ((np.arange(SIDE)[:, None] + 0.5) * PIXEL - 1)).ravel()  # the p


# ---- words and numbers ----

def sample(n, rng, pairs=PAIRS):
    """Words (n, 4) and parameters (n, 4) of n pictures, which are render(*sample(n, rng)).

    pairs: the (style, shape) that occur, all equally likely; HELD_OUT and PROMPTED are two such lists.
    words: integers, the places of style, size, shape and place in WORDS.  parameters: x, y, radius, ink.
    """
    n, rng = checks.size(n, "n"), checks.generator(rng)
    if not isinstance(pairs, (tuple, list)) or not pairs or any(pair not in PAIRS for pair in pairs):
        raise ValueError(f"pairs must be (style, shape) pairs of PAIRS, one or more, got {checks.brief(pairs)}")
    index = np.array([PAIRS.index(pair) for pair in pairs])[rng.integers(len(pairs), size=n)]
    style, shape = np.divmod(index, len(WORDS["shape"]))
    words = np.stack([style, rng.integers(2, size=n), shape, rng.integers(2, size=n)], axis=1)
    return words, draw_parameters(words, rng)


def draw_parameters(words, rng):
    """Parameters (n, 4) for words (n, 4): uniform in their ranges."""
    low, high = ranges(words)
    return low + (high - low) * checks.generator(rng).random(low.shape)


def ranges(words):
    """The lower and the upper ends of the parameters for words (n, 4), (n, 4) each."""
    _, size, _, place = known_words(words).T
    both = np.broadcast_to(np.array([Y, INK]), (len(size), 2, 2))
    return np.stack([np.array(X)[place], both[:, 0], np.array(RADIUS)[size], both[:, 1]], axis=1).transpose(2, 0, 1)


def known_words(words):
    """words (n, 4) as integers, if each is the place of a word in WORDS."""
    words = checks.class_rows(words, 4, max(COUNTS))
    if (words >= COUNTS).any():
        raise ValueError(f"the columns of words must hold integers below {COUNTS}, got up to {words.max(axis=0)}")
    return words


def prompt(words):
    """The n prompts of words (n, 4), as text.

    >>> prompt(np.array([[3, 1, 4, 0]]))
    ['soft large moon left']
    """
    return [" ".join(names[i] for names, i in zip(WORDS.values(), row)) for row in known_words(words).tolist()]


# ---- pictures ----

def render(words, parameters):
    """Pictures (n, 256), 0 (no ink) to 1."""
    return rendering(words, parameters)[0]


def rendering(words, parameters):
    """Pictures (n, 256), and jacobian() -> their derivatives in x, y, radius and ink, (n, 256, 4)."""
    words, parameters = known_words(words), checks.rows(parameters, 4, "parameters")
    if len(words) != len(parameters) or not (parameters[:, 2] > 0).all():
        raise ValueError(f"parameters must be {len(words)} rows x, y, radius > 0, ink, got shape {parameters.shape}")
    x, y, r, a = parameters.T[:, :, None]                                         # (n, 1)
    away = POINTS - (x + 1j * y)                                                  # (n, 256)
    D, g, dr = np.empty(away.shape), np.empty(away.shape, complex), np.empty(away.shape)
    for shape, distance in enumerate(SHAPES.values()):
        rows = words[:, 2] == shape
        u = away[rows] / r[rows]
        d_1, g[rows] = distance(u)
        D[rows] = r[rows] * d_1                                                   # (1), (2)
        dr[rows] = d_1 - (u.conj() * g[rows]).real                                # d(1)
    for style, change in ((1, _outline), (2, _hatch)):
        rows = words[:, 0] == style
        D[rows], g[rows], dr[rows] = change(D[rows], g[rows], dr[rows], away[rows])
    w = np.where(words[:, :1] == 3, SOFT, PIXEL)
    cover = np.clip(0.5 - D / w, 0, 1)

    def jacobian():
        dD = -a / w * ((cover > 0) & (cover < 1))                                 # d(5)
        return np.stack([-dD * g.real, -dD * g.imag, dD * dr, cover], axis=2)     # d(1), d(5)

    return a * cover, jacobian                                                    # (5)


def _outline(d, g, dr, _):
    """D, its gradient in p, and its derivative in r."""
    sign = np.where(d + OUTLINE / 2 < 0, -1, 1)
    return np.abs(d + OUTLINE / 2) - OUTLINE / 2, sign * g, sign * dr             # (3)


def _hatch(d, g, dr, away):
    """As _outline."""
    v = (np.conj(ACROSS) * away).real
    v = v - STRIPES * np.rint(v / STRIPES)
    stripe = np.abs(v) - STRIPES / 3
    shape = d >= stripe
    return np.maximum(d, stripe), np.where(shape, g, np.sign(v) * ACROSS), np.where(shape, dr, 0)      # (4), d(4)
