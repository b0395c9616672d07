"""The distributions ("laws" in the code) that the models learn: in the plane, and known exactly.

Each has the members in README.md, so KL(p || model) = -entropy - E log model can be measured.  LAWS
holds one of each kind.

The curved ones are Gaussian mixtures too, with components one standard deviation apart along a
curve.  So the density varies along a straight curve by 2 exp(-2 pi^2), 5 parts in 10^9.  The
density is exact for any spacing, because the distribution is defined as the mixture.  All constants
are chosen by hand, not swept: nearly all of the mass lies in [-4, 4]^2, and modes do not overlap.
Checked in tests/data/test_distributions.py::test_density_integrates_to_one
Checked in tests/data/test_distributions.py::test_score_is_the_gradient_of_log_prob
Checked in tests/data/test_distributions.py::test_entropy_agrees_with_monte_carlo
"""
from math import ceil, pi

import numpy as np

from scratch import checks
from scratch.data.beyond_mixtures import Checkerboard, WarpedGaussian
from scratch.data.gaussian_mixture import GaussianMixture

MOST_COMPONENTS = 10_000                  # of one curve: a tiny std would fill the memory; not swept
POINTS = 5000                             # of the polyline for a curve, 1e-6 off at most


def ring(modes=8, radius=2.0, std=0.15):
    """Round Gaussians evenly spaced on a circle: the test for a dropped mode."""
    angle = 2 * pi * np.arange(checks.size(modes, "modes")) / modes
    return _round(checks.positive(radius, "radius") * _unit(angle), std)


def grid(side=5, spacing=1.0, std=0.15):
    """Round Gaussians on a square grid of side x side points around the origin."""
    axis = (np.arange(checks.size(side, "side")) - (side - 1) / 2) * checks.positive(spacing, "spacing")
    return _round(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), std)


def moons(std=0.12, radius=1.0):
    """Two interleaved half circles, as in scikit-learn's make_moons, centered."""
    half = _unit(np.linspace(0, pi, POINTS))                                      # (POINTS, 2)
    return _along([checks.positive(radius, "radius") * curve
                   for curve in (half - (0.5, 0.25), (0.5, 0.25) - half)], std)


def spirals(std=0.10, radius=3.0, turns=1.25):
    """Two arms that wind outward from radius / 6 to radius, a half turn apart."""
    angle = np.linspace(0, 2 * pi * checks.positive(turns, "turns"), POINTS)
    arm = np.linspace(checks.positive(radius, "radius") / 6, radius, POINTS)[:, None] * _unit(angle)
    return _along([arm, -arm], std)


def pinwheel(arms=5, radius=2.0, length=0.5, twist=0.6, std=0.10):
    """Curved arms that fade out at both ends, made of narrow Gaussians (needles) along them.

    Arm a is the curve c(t) = t (cos, sin)(2 pi a / arms + twist t), after Johnson et al. 2016,
    "Composing graphical models with neural networks".  Its 11 needles have means c(t), t = radius +
    length (-2.5, -2, ..., 2.5), covariances (length/2)^2 c'(t) c'(t)^T + std^2 I and weights that
    are Gaussian in t.
    """
    radius, length, std = (checks.positive(value, name) for value, name in
                           ((radius, "radius"), (length, "length"), (std, "std")))
    twist = checks.number(twist, "twist")
    t = np.tile(radius + length * np.linspace(-2.5, 2.5, 11), checks.size(arms, "arms"))
    turn = np.repeat(2 * pi * np.arange(arms) / arms, 11) + twist * t
    tangent = _unit(turn) + (twist * t)[:, None] * _unit(turn + pi / 2)           # c'(t)
    needles = (length / 2) ** 2 * tangent[:, :, None] * tangent[:, None, :] + std ** 2 * np.eye(2)
    weights = np.exp(-0.5 * ((t - radius) / length) ** 2)
    return GaussianMixture(t[:, None] * _unit(turn), needles, weights / weights.sum())


def checkerboard(side=4, width=1.5):
    """Uniform on the dark squares: the density jumps to zero at their edges."""
    return Checkerboard(side, width)


def banana(curvature=0.5, std=1.0, noise=0.3):
    """x2 scatters around a parabola of x1: dependent, but uncorrelated."""
    return WarpedGaussian(std, checks.positive(curvature, "curvature"), noise, slope=0.0)


def funnel(std=1.0):
    """x2 | x1 ~ N(0, exp(x1)): the scale differs from place to place.  Neal 2003 has std = 3."""
    return WarpedGaussian(std, curvature=0.0, noise=1.0, slope=1.0)


def _unit(angle):
    """Points (n, 2) of the unit circle."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _round(means, std):
    """Equal weights, and the covariance std^2 I at each of the means."""
    K, D = means.shape
    covariances = np.broadcast_to(checks.positive(std, "std") ** 2 * np.eye(D), (K, D, D))
    return GaussianMixture(means, covariances, np.full(K, 1 / K))


def _along(curves, std):
    """Round Gaussians at most one std apart along each curve, a polyline (POINTS, 2)."""
    checks.positive(std, "std")
    means = []
    for curve in curves:
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
        if arc[-1] > MOST_COMPONENTS * std:
            raise ValueError(f"std = {std} is too thin for curves of length {arc[-1]:.3g}: "
                             f"more than {MOST_COMPONENTS} components each")
        nodes = np.linspace(0, arc[-1], ceil(arc[-1] / std) + 1)
        means.append(np.stack([np.interp(nodes, arc, coordinate) for coordinate in curve.T], axis=1))
    return _round(np.concatenate(means), std)


LAWS = {make.__name__: make() for make in
        (ring, grid, moons, spirals, pinwheel, checkerboard, banana, funnel)}
