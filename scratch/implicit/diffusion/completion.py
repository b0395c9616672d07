"""Completion: some coordinates of x are known, a model of the whole x draws the others.

Wanted is p(x_rest | x_known = y).  At hand is a denoiser of the whole x, which knows
nothing of y.  Four ways, from the cheapest to the exact one (s for sigma, eps ~ N(0, I)):

replacement   Sample the whole x, but before each step put the known part, noised to the
              level that x has now, in its place: x_known = y + s eps, eps fresh
              (Song et al. 2021, SDE, section 5 and appendix I.2).
repaint       The same with each step taken several times: noise is added to return to the
              level before it, and the step is repeated, so that the rest can adapt to the
              known part (Lugmayr et al. 2022, algorithm 1, jumps of one step; one turn is replacement).
guidance      Tell the denoiser: E[x0 | x] becomes E[x0 | x, y], if x0 given x is taken as
              Gaussian.  Its mean is D; its covariance is s^2 J, J = dD/dx (Tweedie's rule
              once more), so Gaussian conditioning on x0_known = y gives, s^2 canceling,

                  D' = D + J[:, known] J[known, known]^-1 (y - D_known)                  (1)

              (the reconstruction guidance of Ho et al. 2022, Video Diffusion, with the
              covariance of Boys et al. 2023, "Tweedie moment projected diffusions").
exact         For a mixture E[x0 | x, y] is known: the rest is denoised by the law
              given y; the noisy x_known says nothing that y has not said.

The first two are biased however many steps they take.  The rest is moved by
E[x0_rest | x_rest, x_known noised], whereas y is known without noise: while sigma is
large the noised part says little, and when it says much the rest hardly moves any
more.  The known coordinates look perfect all the same.  On Gaussian data all is
linear and the bias is a number (see the tests): for two coordinates of correlation 0.8,
one of them known to be 1.5, replacement ends 0.31 nats from the truth after infinitely
many steps.  Turns let the rest mix again at a sigma so small that the noise does not
matter: with 64 of them, and 1,000 steps, 0.0001 nats are left.  (1) is exact for one
Gaussian, and an approximation where x0 given x has several modes.
"""
from itertools import pairwise
from math import sqrt

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.samplers import ddim, noise_like, sampler_arguments


def replacement(denoise, x, sigmas, axes, values, rng):
    """Rows (n, D) with x[:, axes] = values, completed by ancestral sampling from x, noise of level sigmas[0]."""
    return repaint(denoise, x, sigmas, axes, values, rng, turns=1)


def repaint(denoise, x, sigmas, axes, values, rng, turns=10):
    """As replacement, with every step taken `turns` times: turns (len(sigmas) - 1) evaluations."""
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    turns, rng = checks.size(turns, "turns"), checks.generator(rng)
    axes, values = _known(axes, values, x.shape[1])
    for sigma, lower in pairwise(sigmas):
        for turn in range(turns):
            if turn > 0:                                    # back up, from lower to sigma
                x = x + sqrt(sigma ** 2 - lower ** 2) * noise_like(x, rng)
            # The known part is noised to the level of x: here that is sigma, not yet lower.
            x = _put(x, axes, values + sigma * noise_like(x[:, axes], rng))
            x = ddim(denoise, x, [sigma, lower], 1.0, rng)
    return _put(x, axes, values)


def reconstruction_guidance(tangent, axes, values, least=0.0):
    """The denoiser (1), for any sampler: its known part is `values` at every sigma.

    tangent(x, x_dot, sigma) -> (D, dD/dx x_dot), (n, D) each.  One call for each known axis.
    least: for networks, whose J may by error be near 0 or negative, above all at sigma of 10
    and more, where the true one is tiny.  The eigenvalues of J[known, known] are kept above
    least^2 / (least^2 + sigma^2), their value for data N(0, least^2 I).
    """
    least = checks.constant(least, "least")
    if least.ndim or least < 0:
        raise ValueError(f"least must be one number, 0 or above, got {least}")
    if not callable(tangent):
        raise TypeError(f"tangent must be a function (x, x_dot, sigma) -> (D, dD/dx x_dot), got {tangent!r}")
    least = float(least)

    def denoise(x, sigma):
        x = checks.rows(x)
        known, y = _known(axes, values, x.shape[1])
        y = y.astype(x.real.dtype)                          # float32 stays float32
        columns = []
        for axis in known:
            x_dot = np.zeros_like(x)
            x_dot[:, axis] = 1
            denoised, column = tangent(x, x_dot, sigma)
            columns.append(column)
        J = np.stack(columns, axis=2)                                             # (n, D, k) = dD / dx_known
        size, V = np.linalg.eigh((J[:, known] + J[:, known].transpose(0, 2, 1)) / 2)   # V diag(size) V^T
        size = np.maximum(size, least ** 2 / (least ** 2 + sigma ** 2))           # (n, k)
        if not (size > 0).all():
            raise ValueError(f"dD/dx of the known coordinates must be positive, got an eigenvalue of "
                             f"{size.min():g} at sigma = {sigma:g}: give a least > 0, or start below this sigma")
        missing = (y - denoised[:, known])[:, :, None]                            # (n, k, 1)
        pull = V @ (V.transpose(0, 2, 1) @ missing / size[:, :, None])
        return _put(denoised + (J @ pull)[:, :, 0], known, y)
    return denoise


def exact_guidance(law, axes, values):
    """E[x0 | x, x0_known = values] of a mixture, as a denoiser of the whole x for any sampler."""
    _mixture(law)
    axes, values = _known(axes, values, law.dim)
    given = law.conditional(axes, values)
    rest = [i for i in range(law.dim) if i not in axes]

    def denoise(x, sigma):
        x = _put(checks.rows(x, law.dim), axes, values)
        x[:, rest] = given.denoise(x[:, rest], sigma)
        return x
    return denoise


def _mixture(law):
    if not hasattr(law, "conditional"):
        raise TypeError(f"law must be a mixture with .denoise and .conditional, like GaussianMixture, got {law!r}")


def _put(x, axes, values):
    """A copy of x with x[:, axes] = values."""
    x = x.copy()
    x[:, axes] = values
    return x


def _known(axes, values, dim):
    """axes as a list of different coordinates, not all of them, and values (k,), one for each."""
    if not np.iterable(axes):
        raise TypeError(f"axes must be a list of coordinate numbers, got {axes!r}")
    axes, values = [checks.size(axis, "each axis", minimum=0) for axis in axes], checks.constant(values, "values")
    if not 1 <= len(axes) < dim or len(set(axes)) < len(axes) or max(axes) >= dim:
        raise ValueError(f"axes must be 1 to {dim - 1} different numbers below {dim}, got {axes}")
    if values.shape != (len(axes),):
        raise ValueError(f"values must have shape ({len(axes)},), one for each axis, got {values.shape}")
    return axes, values
