import numpy as np
import pytest

from scratch.data import picture_shapes
from scratch.data.picture_shapes import SHAPES


def corners(name):
    """The corners of a polygon, written out around the whole turn."""
    if name == "square":
        return [np.exp(1j * np.pi * (k + 0.5) / 2) for k in range(4)]
    if name == "triangle":
        return [np.exp(1j * np.pi * (2 * k / 3 + 0.5)) for k in range(3)]
    if name == "star":
        return [(1 if k % 2 == 0 else 0.48) * np.exp(1j * np.pi * (k / 5 + 0.5)) for k in range(10)]
    b, length = 0.36, np.sqrt(1 - 0.36 ** 2)
    return [turn * p for turn in (1, 1j, -1, -1j) for p in (length - 1j * b, length + 1j * b, b + 1j * b)]


def border(name, n=3000):
    """Points on each edge or arc of the border, close together."""
    if name == "circle":
        return np.exp(2j * np.pi * np.arange(20 * n) / (20 * n))
    if name == "moon":
        outer, inner = border("circle"), 0.55 + 0.75 * border("circle")
        return np.concatenate([outer[np.abs(outer - 0.55) >= 0.75], inner[np.abs(inner) <= 1]])
    around = corners(name)
    return np.concatenate([e + (f - e) * np.arange(n) / n for e, f in zip(around, around[1:] + around[:1])])


def inside(name, p):
    """Whether p is inside; a polygon by the number of edges that a ray to the right of p crosses."""
    if name in ("circle", "moon"):
        return abs(p) < 1 and (name == "circle" or abs(p - 0.55) > 0.75)
    around, crossed = corners(name), 0
    for e, f in zip(around, around[1:] + around[:1]):
        if (e.imag > p.imag) != (f.imag > p.imag):
            crossed += e.real + (p.imag - e.imag) / (f.imag - e.imag) * (f.real - e.real) > p.real
    return crossed % 2 == 1


def points(rng, n):
    return rng.uniform(-1.4, 1.4, n) + 1j * rng.uniform(-1.4, 1.4, n)


@pytest.mark.parametrize("name", SHAPES)
def test_distances_are_those_to_a_fine_border(name, rng):
    p, line = points(rng, 300), border(name)
    expected = [np.abs(line - q).min() * (-1 if inside(name, q) else 1) for q in p]
    np.testing.assert_allclose(SHAPES[name](p)[0], expected, atol=4e-4)           # half the distance of its points


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_is_the_difference_quotient(name, rng):
    p, h = points(rng, 200), 1e-6
    d = SHAPES[name]
    slope = [(d(p + h * step)[0] - d(p - h * step)[0]) / (2 * h) for step in (1, 1j)]
    _, gradient = d(p)
    np.testing.assert_allclose(gradient, slope[0] + 1j * slope[1], atol=1e-6)
    np.testing.assert_allclose(np.abs(gradient), 1)


@pytest.mark.parametrize("name, area", [
    ("circle", np.pi), ("square", 2), ("triangle", 3 * np.sqrt(3) / 4), ("star", 5 * 0.48 * np.sin(np.pi / 5)),
    ("cross", 8 * 0.36 * np.sqrt(1 - 0.36 ** 2) - 4 * 0.36 ** 2)])
def test_areas_are_exact(name, area):
    axis = (np.arange(800) + 0.5) / 400 - 1
    d, _ = SHAPES[name](axis + 1j * axis[:, None])
    assert np.mean(d < 0) * 4 == pytest.approx(area, abs=0.01)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_touch_the_unit_circle_from_inside(name, rng):
    assert np.abs(border(name)).max() == pytest.approx(1)
    around = 1.001 * border("circle")
    assert (SHAPES[name](around)[0] > 0).all()


@pytest.mark.parametrize("name", SHAPES)
def test_the_middle_and_the_corners_have_finite_distances(name):
    p = np.array([0, 1, 1j, picture_shapes.MOON_SHIFT, *np.asarray(border(name, 1))[:3]], complex)
    assert all(np.isfinite(part).all() for part in SHAPES[name](p))
