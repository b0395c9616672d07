"""Signed distances of six shapes: how far a point is from the border, below 0 inside.

Points of the plane are complex numbers p = x + iy.  Every shape is inscribed in the unit circle.  |d| is the
distance to the nearest piece of the border, and the sign says whether p is inside.

    circle      d = |p| - 1                                                                  (1)
    polygons    square, triangle, star, cross.  n rotations and n mirrors map them onto themselves, and their
                mirrors are the rays at axis + pi k / n.  For p between two neighboring rays a nearest point
                of the border lies between them too: a point beyond a ray has a reflection on this side,
                which is at least as near.  So p is rotated, and reflected if needed, to an angle in [0, pi / n]:
                    p' = p exp(-i (axis + 2 pi k / n)), or its conjugate if Im p' < 0        (2)
                Each edge from e to f that lies there is a piece of the border, at the distance
                    |p' - e - s (f - e)|,   s = clip(Re(conj(f - e) (p' - e)) / |f - e|^2, 0, 1)   (3)
                p' is inside if it lies in a triangle 0, e, f, that is, left of its three sides:
                    Im(conj(e) p') >= 0,   Im(conj(f - e) (p' - e)) >= 0,   Im(conj(f) p') <= 0    (4)
    moon        the unit disk without the disk of radius R around b > 0.  The two circles meet in
                    k = (1 - R^2 + b^2) / (2 b) + i sqrt(1 - (Re k)^2), and in conj(k)       (5)
                because |k| = 1 and |k - b| = R.  Of the unit circle p / |p| is nearest if the other disk does
                not cover it.  Of the other circle b + R (p - b) / |p - b| is nearest if the unit disk covers
                it.  Otherwise the arc's nearest point is its end on the side of p, k or conj(k).         (6)

Gradient.  If q is the nearest point of the border, grad d = (p - q) / |p - q| outside and minus that inside,
as a complex number again.  For (2) it is conjugated and rotated back.

Source: none; such distances are common knowledge in computer graphics.
Checked in tests/data/test_picture_shapes.py::test_distances_are_those_to_a_fine_border
Checked in tests/data/test_picture_shapes.py::test_gradient_is_the_difference_quotient
"""
from itertools import pairwise

import numpy as np

NOTHING = 1e-300                             # keeps 0 / 0 away in the middle and on the border: the gradient is 0 there
MOON_RADIUS, MOON_SHIFT = 0.75, 0.55         # R and b, by hand


def circle(p):
    """d, and its gradient, at complex points p of any shape."""
    r = np.abs(p)
    return r - 1, p / (r + NOTHING)                                               # (1)


def polygon(n, axis, corners):
    """The same for a polygon with n mirrors; corners: complex, its corners from angle 0 to pi / n off the axis."""
    turns = np.exp(1j * (axis + 2 * np.pi * np.arange(n) / n))

    def distance(p):
        k = np.rint((np.angle(p) - axis) * n / (2 * np.pi)).astype(int) % n
        near = p * turns[k].conj()
        mirrored = near.imag < 0
        near = np.where(mirrored, near.conj(), near)                              # (2)
        away, inside = np.full(p.shape, np.inf + 0j), np.zeros(p.shape, bool)
        for e, f in pairwise(corners):
            edge, from_e = f - e, near - e
            s = np.clip((np.conj(edge) * from_e).real / abs(edge) ** 2, 0, 1)
            piece = from_e - s * edge                                             # (3)
            away = np.where(np.abs(piece) < np.abs(away), piece, away)
            inside |= (((np.conj(e) * near).imag >= 0) & ((np.conj(edge) * from_e).imag >= 0)
                       & ((np.conj(f) * near).imag <= 0))                         # (4)
        d, gradient = _signed(away, inside)
        return d, np.where(mirrored, gradient.conj(), gradient) * turns[k]        # d(2)

    return distance


def moon(p):
    """As circle."""
    R, b = MOON_RADIUS, MOON_SHIFT
    k = (1 - R ** 2 + b ** 2) / (2 * b)
    end = k + 1j * np.sqrt(1 - k ** 2) * np.where(p.imag < 0, -1, 1)              # (5)
    outer = p / (np.abs(p) + NOTHING)
    outer = np.where(np.abs(outer - b) >= R, outer, end)                          # (6)
    inner = b + R * (p - b) / (np.abs(p - b) + NOTHING)
    inner = np.where(np.abs(inner) <= 1, inner, end)                              # (6)
    away = np.where(np.abs(p - outer) < np.abs(p - inner), p - outer, p - inner)
    return _signed(away, (np.abs(p) <= 1) & (np.abs(p - b) >= R))


def _signed(away, inside):
    """d and its gradient from p - q and from where p is inside."""
    size, sign = np.abs(away), np.where(inside, -1, 1)
    return sign * size, sign * away / (size + NOTHING)


def _at(radius, angle):
    return radius * np.exp(1j * angle)


# Widths by hand: the star's inner corners lie at STAR, the cross's bars are 2 CROSS wide.
STAR, CROSS = 0.48, 0.36
LENGTH = np.sqrt(1 - CROSS ** 2)             # of the cross's arms, inscribed in the circle
UP = np.pi / 2
SHAPES = {
    "circle": circle,
    "square": polygon(4, 0.0, (np.sqrt(0.5) + 0j, _at(1, np.pi / 4))),
    "triangle": polygon(3, -UP, (0.5 + 0j, _at(1, np.pi / 3))),
    "star": polygon(5, UP, (1 + 0j, _at(STAR, np.pi / 5))),
    "moon": moon,
    "cross": polygon(4, 0.0, (LENGTH + 0j, LENGTH + 1j * CROSS, CROSS + 1j * CROSS)),
}
