"""The laws that the models learn: all in two dimensions, all known exactly, in nats.

Every law offers the same six things, and LAWS holds one of each kind:

    dim                  the number of coordinates D
    sample(n, rng)       (n, D) independent draws
    log_prob(x)          (n,) log density at the rows of x; -inf outside the support
    score(x)             (n, D) its gradient in x
    entropy()            -E log p: closed form, or quadrature with its error stated
    bounds()             (D, 2) a box that holds nearly all of the mass

KL(p || model) = -entropy - E log model is then a number, not a matter of taste.
The curved laws are Gaussian mixtures too.  Their components stand one standard
deviation apart along a curve, so that the crest is flat to 2 exp(-2 pi^2),
5 parts in 10^9; but nothing rests on that, because the law is the mixture and
not the curve: its density is exact whatever the spacing.

All have the same scale: nearly all of the mass lies in [-4, 4]^2.
"""
from math import ceil, pi

import numpy as np

from scratch import checks
from scratch.data.beyond_mixtures import Checkerboard, WarpedGaussian
from scratch.data.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture", "WarpedGaussian", "Checkerboard", "LAWS", "ring", "grid", "moons",
           "spirals", "pinwheel", "checkerboard", "banana", "funnel"]

MOST_COMPONENTS = 10_000


def ring(modes=8, radius=2.0, std=0.15):
    """Round Gaussians evenly spaced on a circle: has a model dropped a mode?"""
    angle = 2 * pi * np.arange(checks.size(modes, "modes")) / modes    # linspace(0, 2 pi, modes) repeats 0
    return _round(checks.positive(radius, "radius") * _unit(angle), std)


def grid(side=5, spacing=1.0, std=0.15):
    """Round Gaussians on a square grid of side x side points around the origin."""
    axis = (np.arange(checks.size(side, "side")) - (side - 1) / 2) * checks.positive(spacing, "spacing")
    return _round(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), std)


def moons(std=0.12, radius=1.0):
    """Two interleaved half circles, as in scikit-learn's make_moons, centered."""
    half = _unit(np.linspace(0, pi, 5000))                                        # (5000, 2)
    return _along([checks.positive(radius, "radius") * curve
                   for curve in (half - (0.5, 0.25), (0.5, 0.25) - half)], std)


def spirals(std=0.10, radius=3.0, turns=1.25):
    """Two arms that wind outward from radius / 6 to radius, a half turn apart: long thin dependence."""
    angle = np.linspace(0, 2 * pi * checks.positive(turns, "turns"), 5000)
    arm = np.linspace(checks.positive(radius, "radius") / 6, radius, 5000)[:, None] * _unit(angle)
    return _along([arm, -arm], std)


def pinwheel(arms=5, radius=2.0, length=0.5, twist=0.6, std=0.10):
    """Curved arms that fade out at both ends, out of needles laid along their tangents.

    Arm a is the curve c(t) = t (cos, sin)(2 pi a / arms + twist t), after Johnson et
    al. 2016 (SVAE).  Its needles stand at t = radius + length (-2.5, -2, ..., 2.5), with
    bell-shaped weights and covariances (length/2)^2 c'(t) c'(t)^T + std^2 I.
    """
    radius, length, std = (checks.positive(value, name) for value, name in
                           ((radius, "radius"), (length, "length"), (std, "std")))
    twist = checks.finite(float(twist), "twist")
    t = np.tile(radius + length * np.linspace(-2.5, 2.5, 11), checks.size(arms, "arms"))
    turn = np.repeat(2 * pi * np.arange(arms) / arms, 11) + twist * t
    slope = _unit(turn) + (twist * t)[:, None] * _unit(turn + pi / 2)             # c'(t)
    needles = (length / 2) ** 2 * slope[:, :, None] * slope[:, None, :] + std ** 2 * np.eye(2)
    weights = np.exp(-0.5 * ((t - radius) / length) ** 2)
    return GaussianMixture(t[:, None] * _unit(turn), needles, weights / weights.sum())


def checkerboard(side=4, width=1.5):
    """Uniform on the dark squares: walls, and a density that is zero in between."""
    return Checkerboard(side, width)


def banana(curvature=0.5, std=1.0, noise=0.3):
    """x2 scatters around a parabola of x1: dependence that no covariance sees."""
    return WarpedGaussian(std, checks.positive(curvature, "curvature"), noise, slope=0.0)


def funnel(std=1.0):
    """x2 | x1 ~ N(0, exp(x1)): a scale that changes by the point.  Neal takes std = 3."""
    return WarpedGaussian(std, curvature=0.0, noise=1.0, slope=1.0)


def _unit(angle):
    """Points (n, 2) of the unit circle."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _round(means, std):
    """Equal weights, and the covariance std^2 I at each of the means."""
    K, D = means.shape
    covariance = checks.positive(std, "std") ** 2 * np.eye(D)
    return GaussianMixture(means, np.broadcast_to(covariance, (K, D, D)), np.full(K, 1 / K))


def _along(curves, std):
    """Round Gaussians at most one std apart along each curve, a fine polyline (points, 2)."""
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
