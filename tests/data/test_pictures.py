from collections import Counter

import numpy as np
import pytest

from scratch.data import pictures
from scratch.data.picture_shapes import SHAPES
from scratch.data.pictures import (HELD_OUT, PAIRS, PROMPTED, WORDS, draw_parameters, prompt, ranges, render, rendering,
                                   sample)

PIXEL = 1 / 8


def naive_pixel(style, shape, p, x, y, r, a):
    """(1) to (5) for one pixel."""
    d = r * SHAPES[shape](np.array([(p - complex(x, y)) / r]))[0][0]
    w = PIXEL
    if style == "outlined":
        d = max(d, -PIXEL - d)                                                    # inside, but not deeper than t
    if style == "hatched":
        across = ((p.real - x) + (p.imag - y)) / np.sqrt(2)
        d = max(d, min(abs(across - 3 * PIXEL * k) for k in range(-9, 10)) - PIXEL)
    if style == "soft":
        w = 4 * PIXEL
    return a * min(max(0.5 - d / w, 0), 1)


# ---- pictures ----

def test_a_picture_is_the_loop_over_its_pixels(rng):
    words, parameters = sample(40, rng)
    expected = np.zeros((40, 16, 16))
    for n, ((style, _, shape, _), numbers) in enumerate(zip(words, parameters)):
        for i in range(16):
            for j in range(16):
                p = complex(-1 + (j + 0.5) / 8, 1 - (i + 0.5) / 8)
                expected[n, i, j] = naive_pixel(WORDS["style"][style], WORDS["shape"][shape], p, *numbers)
    np.testing.assert_allclose(render(words, parameters), expected.reshape(40, 256), atol=1e-12)


def test_derivative_is_the_difference_quotient(rng):
    words, parameters = sample(60, rng)
    derivative, h = rendering(words, parameters)[1](), 1e-7
    for k, step in enumerate(h * np.eye(4)):
        slope = (render(words, parameters + step) - render(words, parameters - step)) / (2 * h)
        np.testing.assert_allclose(derivative[..., k], slope, atol=1e-6)


@pytest.mark.parametrize("shape, area", [
    ("circle", np.pi), ("square", 2), ("triangle", 3 * np.sqrt(3) / 4), ("star", 5 * 0.48 * np.sin(np.pi / 5)),
    ("cross", 8 * 0.36 * np.sqrt(1 - 0.36 ** 2) - 4 * 0.36 ** 2)])
def test_ink_is_the_area_of_the_shape(shape, area, rng):
    """Solid, at 4,000 places in a pixel.  Moving the border by s adds L s + O(s^2) to the area, and (5) is the mean over s
    in +-w/2, so the difference is O(w^2): pi w^2 / 12 for the circle, at most 0.7 w^2 for sharp corners; here w^2."""
    words = np.tile([0, 1, WORDS["shape"].index(shape), 1], (4000, 1))
    parameters = np.column_stack([PIXEL * rng.random((4000, 2)), np.full((4000, 2), 0.6)])
    parameters[:, 3] = 1.0
    ink = render(words, parameters).sum(axis=1) * PIXEL ** 2
    assert ink.mean() == pytest.approx(area * 0.36, abs=PIXEL ** 2)


def test_solid_hatched_and_outlined_lie_in_the_circle_and_in_the_picture(rng):
    words, parameters = sample(2000, rng)
    x, y, r, _ = parameters.T
    assert (np.abs(x) + r <= 1).all() and (np.abs(y) + r <= 1).all()
    away = np.abs(pictures.POINTS - (x + 1j * y)[:, None])
    drawn = render(words, parameters) > 0
    assert not (drawn & (away > r[:, None] + PIXEL / 2) & (words[:, :1] != 3)).any()


# ---- words and numbers ----

def test_held_out_pairs_are_spread_over_styles_and_shapes():
    styles, shapes = Counter(style for style, _ in HELD_OUT), Counter(shape for _, shape in HELD_OUT)
    assert len(set(HELD_OUT)) == 6 and set(HELD_OUT) <= set(PAIRS) and len(set(PAIRS)) == 24
    assert set(styles) == set(WORDS["style"]) and max(styles.values()) == 2
    assert set(shapes) == set(WORDS["shape"]) and max(shapes.values()) == 1
    assert set(PROMPTED) == set(PAIRS) - set(HELD_OUT)


@pytest.mark.parametrize("pairs", [PAIRS, PROMPTED, HELD_OUT])
def test_words_are_uniform_on_the_pairs_asked_for(pairs, rng):
    words, _ = sample(24_000, rng, pairs)
    seen = Counter((WORDS["style"][style], size, WORDS["shape"][shape], place) for style, size, shape, place in words)
    assert {(style, shape) for style, _, shape, _ in seen} == set(pairs) and len(seen) == 4 * len(pairs)
    expected = 6000 / len(pairs)
    assert max(abs(count - expected) for count in seen.values()) < 5 * np.sqrt(expected)


def test_numbers_are_uniform_in_the_ranges_of_their_words(rng):
    words, parameters = sample(8000, rng)
    for row, numbers in zip(words[:200], parameters[:200]):
        x, y, r, a = numbers
        assert (-0.3 <= x <= -0.02 if WORDS["place"][row[3]] == "left" else 0.02 <= x <= 0.3) and -0.3 <= y <= 0.3
        assert (0.38 <= r <= 0.48 if WORDS["size"][row[1]] == "small" else 0.58 <= r <= 0.7) and 0.7 <= a <= 1
    low, high = ranges(words)
    uniform = (parameters - low) / (high - low)                                   # mean 1/2, variance 1/12, independent
    assert (np.abs(uniform.mean(axis=0) - 0.5) < 5 * np.sqrt(1 / 12 / 8000)).all()
    off = np.cov(uniform.T) - np.eye(4) / 12
    assert (np.abs(off) < 5 / 12 / np.sqrt(8000)).all()


def test_a_prompt_is_its_four_words():
    assert prompt(np.array([[3, 1, 4, 0], [0, 0, 0, 1]])) == ["soft large moon left", "solid small circle right"]


def test_the_same_seed_gives_the_same_pictures():
    first, second, other = (render(*sample(5, np.random.default_rng(seed))) for seed in (3, 3, 4))
    assert (first == second).all() and (first != other).any()


def test_bad_input_is_refused(rng):
    words, parameters = sample(2, rng)
    for bad, message in (
            (lambda: sample(0, rng), "n must be at least 1"),
            (lambda: sample(2, rng, [("soft", "cat")]), "pairs must be"),
            (lambda: sample(2, rng, []), "pairs must be"),
            (lambda: draw_parameters(words[:, :3], rng), "shape"),
            (lambda: draw_parameters(words + [0, 2, 0, 0], rng), "integers below"),
            (lambda: render(words, parameters[:1]), "parameters must be 2 rows"),
            (lambda: render(words, -parameters), "radius > 0"),
            (lambda: render(words, parameters[:, :3]), "shape")):
        with pytest.raises(ValueError, match=message):
            bad()
    with pytest.raises(TypeError, match="rng must be"):
        sample(2, 0)
