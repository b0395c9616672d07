"""Completion: some coordinates of x are known, and a model of the whole x draws the others.

Wanted is p(x_rest | x_known = y).  Given is a denoiser D(x, sigma) of the whole x, which does not
depend on y.  There are four methods, from the cheapest to the exact one:

replacement   Sample the whole x.  Before each step from sigma to lower, give y the noise of x:
                  x_known = y + sigma eps,    eps ~ N(0, I) fresh at every step              (1)

repaint       Take each step of replacement several times ("turns").  Between turns, return to
              the level before the step, so that the rest can adapt to the known part:
                  x + sqrt(sigma^2 - lower^2) eps                                            (2)

guidance      Replace D = E[x0 | x] by E[x0 | x, y].  Approximate p(x0 | x) by a Gaussian with
              the mean D and the exact covariance sigma^2 J, J = dD/dx (Tweedie).
              Conditioning this Gaussian on x0_known = y gives, as sigma^2 cancels,
                  D' = D + J[:, known] J[known, known]^-1 (y - D_known)                      (3)

exact         For a mixture E[x0 | x, y] is known.  Given y, x_known carries no information, so
              x_rest is denoised by the conditional distribution:
                  D'_known = y,    D'_rest = E[x0_rest | x_rest, y]                          (4)

The first two are biased for any number of steps, though the known coordinates end at y.  They move
the rest by the denoiser at (x_rest, y + sigma eps).  At large sigma this noisy y carries little
information, and at small sigma the rest hardly moves.  On Gaussian data all is linear, and the bias
is a number: for two coordinates of correlation 0.8, one of them known to be 1.5, replacement ends
at a KL of 0.31 nats after infinitely many steps.  Turns let the rest move at a sigma so small that
the noise is negligible: 64 turns of 1,000 steps leave 0.0001 nats.  (3) is exact for one Gaussian,
and an approximation for several modes.

Source: replacement: Song et al. 2021, "Score-Based Generative Modeling through Stochastic
Differential Equations", appendix I.2.  repaint: Lugmayr et al. 2022, "RePaint", algorithm 1 with
jumps of one step.  guidance: Ho et al. 2022, "Video Diffusion Models", with the covariance of
Boys et al. 2023, "Tweedie Moment Projected Diffusions".
Checked in tests/implicit/diffusion/test_completion.py::test_both_moments_follow_a_linear_recursion
Checked in tests/implicit/diffusion/test_completion.py::test_guidance_is_gaussian_conditioning
Checked in tests/implicit/diffusion/test_completion.py::test_exact_guidance_is_the_posterior_mean
Symbols: x is (N, dim), D the denoiser, `known` a dict from coordinate to value, k = len(known).
"""
from itertools import pairwise
from math import sqrt

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.samplers import ddim, noise_like, sampler_arguments


def replacement(denoise, x, sigmas, known, rng):
    """Completed rows (N, dim), by ancestral sampling from x, which is noise of level sigmas[0]."""
    return repaint(denoise, x, sigmas, known, rng, turns=1)


def repaint(denoise, x, sigmas, known, rng, turns=10):
    """As replacement, with turns (len(sigmas) - 1) evaluations; 10 turns as Lugmayr et al. 2022."""
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    turns, rng = checks.size(turns, "turns"), checks.generator(rng)
    axes, y = _axes_and_values(known, x.shape[1])
    for sigma, lower in pairwise(sigmas):
        for turn in range(turns):
            if turn > 0:
                x = x + sqrt(sigma ** 2 - lower ** 2) * noise_like(x, rng)        # (2)
            x = _put(x, axes, y + sigma * noise_like(x[:, axes], rng))            # (1), not yet at lower
            x = ddim(denoise, x, [sigma, lower], 1.0, rng)
    return _put(x, axes, y)


def reconstruction_guidance(denoise_jvp, known, least=0.0):
    """The denoiser (3), for any sampler: its known part is y at every sigma.

    denoise_jvp(x, x_dot, sigma) -> D, dD/dx x_dot, (N, dim) each, is called once per known axis.
    least > 0 is for networks.  Where the true J is tiny, mostly at sigma of 10 and more, theirs may
    be near 0 or negative.  The eigenvalues of J[known, known] are kept above
    least^2 / (least^2 + sigma^2), their value for data N(0, least^2 I).
    """
    denoise_jvp, least = checks.function(denoise_jvp, "denoise_jvp"), checks.nonnegative(least, "least")

    def denoise(x, sigma):
        x = checks.rows(x)
        axes, y = _axes_and_values(known, x.shape[1])
        y = y.astype(x.real.dtype)                          # float32 stays float32
        units = (_put(np.zeros_like(x), axis, 1) for axis in axes)
        D, columns = zip(*(denoise_jvp(x, x_dot, sigma) for x_dot in units))
        D, J = D[0], np.stack(columns, axis=2)                                    # J (N, dim, k)
        size, V = np.linalg.eigh((J[:, axes] + J[:, axes].transpose(0, 2, 1)) / 2)     # V diag(size) V^T
        size = np.maximum(size, least ** 2 / (least ** 2 + sigma ** 2))           # (N, k)
        if not (size > 0).all():
            raise ValueError("dD/dx of the known coordinates must be positive, got an eigenvalue of "
                             f"{size.min():g} at sigma = {sigma:g}: give a least > 0, or start lower")
        missing = (y - D[:, axes])[:, :, None]                                    # (N, k, 1)
        solved = V @ (V.transpose(0, 2, 1) @ missing / size[:, :, None])          # J[known, known]^-1 missing
        return _put(D + (J @ solved)[:, :, 0], axes, y)                           # (3)
    return denoise


def exact_guidance(law, known):
    """The denoiser (4) of a distribution ("law") with exact conditionals, for any sampler."""
    if not hasattr(law, "conditional"):
        raise TypeError(f"law must be a mixture with .conditional, like GaussianMixture, got {law!r}")
    axes, y = _axes_and_values(known, law.dim)
    given, rest = law.conditional(axes, y), [i for i in range(law.dim) if i not in axes]

    def denoise(x, sigma):
        x = _put(checks.rows(x, law.dim), axes, y)                                # (4)
        x[:, rest] = given.denoise(x[:, rest], sigma)                             # (4)
        return x
    return denoise


def _put(x, axes, values):
    """A copy of x with x[:, axes] = values."""
    x = x.copy()
    x[:, axes] = values
    return x


def _axes_and_values(known, dim):
    """The coordinates and the values (k,) of the dict `known`."""
    known = checks.known(known, dim)
    return list(known), np.array(list(known.values()))
