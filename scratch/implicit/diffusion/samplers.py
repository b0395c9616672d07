"""Samplers: from noise to data, with any denoiser, one noise level after the other.

Everything is in the sigma form x_sigma = x0 + sigma eps, eps ~ N(0, I), and rests on one function,
the denoiser D(x, sigma) = E[x0 | x_sigma = x], which gives the score of the noised distribution:

    grad log p_sigma(x) = (D - x) / sigma^2                        (Tweedie; Robbins 1956)       (1)

A sampler takes x with the distribution p_sigma at sigmas[0] down to sigmas[-1], usually 0.  With a
distribution ("law" in the code) whose denoiser is exact:

    sample = heun(law.denoise, law.noised(80.0).sample(n, rng), karras_sigmas(32))

p_sigma is the distribution of a Brownian motion that starts at the data, at time sigma^2.
Two equations run through these distributions backward (processes.py):

    ODE    dx = -sigma score dsigma = (x - D) / sigma dsigma       "probability flow"            (2)
    SDE    dx = -score d(sigma^2) + noise of variance -d(sigma^2)                                (3)

The simplest step from sigma to lower holds D fixed, or the whole score.  The equation is then
linear, and its exact solution has the form

    x' = D + keep (x - D) + add z,    z ~ N(0, I)                                                (4)

    method                     equation   fixed   keep                add^2
    euler = ddim with eta = 0  ODE        D       lower / sigma       0
    ddim with eta = 1          SDE        D       lower^2 / sigma^2   lower^2 (1 - lower^2/sigma^2)
    euler_maruyama             SDE        score   lower^2 / sigma^2   sigma^2 - lower^2

The second row is ancestral sampling (DDPM), because it is also Bayes' rule: given x0 = D,
x' given x is a Brownian bridge with this mean and variance.  All three are of order 1: their error
falls as 1 / steps.  heun and dpm_solver_2m evaluate how D changes along the way and are of order 2.

Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models".
Checked in tests/implicit/diffusion/test_samplers.py::test_each_sampler_is_its_papers_algorithm
Checked in tests/implicit/diffusion/test_samplers.py::test_variance_follows_the_linear_recursion
Checked in tests/implicit/diffusion/test_samplers.py::test_orders_one_and_two
Symbols: N rows, D the denoiser.  x is (N, dim) and keeps its dtype, unless that of D is wider.
"""
from itertools import pairwise
from math import log, sqrt

import numpy as np

from scratch import checks


def karras_sigmas(n, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """n levels from sigma_max down to sigma_min and then 0, (n + 1,): n steps.

    Evenly spaced in sigma^(1/rho), so that the steps shrink nearly in proportion to sigma
    (Karras et al. 2022, eq. 5; the three constants from their table 1).

    >>> karras_sigmas(3, 1.0, 9.0, rho=2.0)
    array([9., 4., 1., 0.])
    """
    n, rho = checks.size(n, "n"), checks.positive(rho, "rho")
    sigma_min, sigma_max = checks.positive(sigma_min, "sigma_min"), checks.positive(sigma_max, "sigma_max")
    if not sigma_min < sigma_max:
        raise ValueError(f"sigma_min must be below sigma_max, got {sigma_min} and {sigma_max}")
    return np.append(np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n) ** rho, 0.0)


# ---- along the probability flow: no noise, x at the start decides x at the end ----

def euler(denoise, x, sigmas):
    """Order 1, one evaluation a step: follow the tangent (2)."""
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    for sigma, lower in pairwise(sigmas):
        x = x + (lower - sigma) * (x - denoise(x, sigma)) / sigma                                # (2)
    return x


def heun(denoise, x, sigmas):
    """Order 2, two evaluations a step: the mean of dx/dsigma at both ends.

    (2) divides by sigma, so a step to level 0 is Euler's: x becomes D (Karras et al. 2022, Alg. 1).
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    for sigma, lower in pairwise(sigmas):
        velocity = (x - denoise(x, sigma)) / sigma                                               # (2)
        ahead = x + (lower - sigma) * velocity
        if lower > 0:
            velocity = (velocity + (ahead - denoise(ahead, lower)) / lower) / 2
            ahead = x + (lower - sigma) * velocity
        x = ahead
    return x


def dpm_solver_2m(denoise, x, sigmas):
    """Order 2, one evaluation a step: DPM-Solver++(2M), with alpha = 1.

    In l = -log sigma, (2) is d(x / sigma)/dl = D / sigma, and a step has the length
    h = log(sigma / lower):

        x'     = lower / sigma x + lower int exp(l) D dl                                         (5)
        middle = D + h / (2 h_before) (D - D_before)                                             (6)

    With D fixed, (5) is Euler's step.  Fixing it at its value in the middle of the step instead,
    on the line (6) through the last two evaluations, gains an order.  The first step has no D
    before it, and a step to 0 has no middle.
    (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling", Alg. 2.)
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    before = h_before = None
    for sigma, lower in pairwise(sigmas):
        now = middle = denoise(x, sigma)
        if lower > 0:
            h = log(sigma / lower)
            if before is not None:
                middle = now + h / (2 * h_before) * (now - before)                               # (6)
            before, h_before = now, h
        x = middle + lower / sigma * (x - middle)                                                # (5)
    return x


# ---- with noise: the end depends less and less on x at the start ----

def ddim(denoise, x, sigmas, eta, rng):
    """eta = 0 is Euler's step, eta = 1 ancestral sampling (DDPM).

        add = eta lower sqrt(1 - lower^2 / sigma^2),    keep^2 sigma^2 + add^2 = lower^2         (7)

    The noise in x' has variance lower^2: add^2 of it is fresh, and the rest is the present
    noise (x - D) / sigma (Song et al. 2021, "Denoising Diffusion Implicit Models", eqs. 12, 16).
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    eta, rng = checks.constant(eta, "eta"), checks.generator(rng)
    if eta.ndim or not 0 <= eta <= 1:
        raise ValueError(f"eta must be one number in [0, 1], got {eta}")
    eta = float(eta)
    for sigma, lower in pairwise(sigmas):
        denoised = denoise(x, sigma)
        add = eta * lower * sqrt(1 - (lower / sigma) ** 2)                                       # (7)
        keep = sqrt(lower ** 2 - add ** 2) / sigma                                               # (7)
        x = denoised + keep * (x - denoised) + add * noise_like(x, rng)                          # (4)
    return x


def euler_maruyama(denoise, x, sigmas, rng):
    """The reverse SDE (3), its score held fixed over each step.

    A step to 0 ends in D without noise, because no later step would remove it (Song et al. 2021,
    "Score-Based Generative Modeling through Stochastic Differential Equations", appendix E).
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    rng = checks.generator(rng)
    for sigma, lower in pairwise(sigmas):
        x = _reverse_diffusion(denoise, x, sigma, lower, rng)
    return x


def predictor_corrector(denoise, x, sigmas, rng, ratio=0.16):
    """A step of the reverse SDE (3), then one of Langevin dynamics at the level reached:

        dx = score dt + sqrt(2 dt) z,    dt = 2 (ratio sigma)^2                                  (8)

    The stationary distribution of (8) is p_sigma up to O(dt), so it corrects the distribution of
    x: the variance V > sigma^2 of a Gaussian becomes V / (1 - dt / (2 V)).  In (8) the score's
    displacement is `ratio` times as long as the noise's, if |score| = sqrt(dim) / sigma (Song
    et al. 2021, "Score-Based ...", Alg. 2 and 4; 0.16 as in their code for CIFAR-10).
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    rng, ratio = checks.generator(rng), checks.positive(ratio, "ratio")
    for sigma, lower in pairwise(sigmas):
        x = _reverse_diffusion(denoise, x, sigma, lower, rng)
        if lower > 0:
            dt, score = 2 * (ratio * lower) ** 2, (denoise(x, lower) - x) / lower ** 2           # (1)
            x = x + dt * score + sqrt(2 * dt) * noise_like(x, rng)                               # (8)
    return x


def _reverse_diffusion(denoise, x, sigma, lower, rng):
    """x + (sigma^2 - lower^2) score + sqrt(sigma^2 - lower^2) z; a step to 0 ends in D."""
    denoised = denoise(x, sigma)
    mean = denoised + (lower / sigma) ** 2 * (x - denoised)                                      # (4)
    return mean + sqrt(sigma ** 2 - lower ** 2) * noise_like(x, rng) if lower > 0 else mean


# ---- shared by all samplers, those of completion.py too ----

def noise_like(x, rng):
    """Standard normal noise of the shape and the precision of x; real, if x is complex too."""
    return rng.standard_normal(x.shape, x.real.dtype)


def sampler_arguments(denoise, x, sigmas):
    """The arguments of all samplers: denoise with checked shapes, x as rows, sigmas as floats."""
    checks.function(denoise, "denoise")
    x, sigmas = checks.rows(x), checks.constant(sigmas, "sigmas")
    if sigmas.ndim != 1 or len(sigmas) < 2 or not (np.diff(sigmas) < 0).all() or sigmas[-1] < 0:
        raise ValueError("sigmas must be two or more levels that decrease, down to 0 or above it, "
                         f"got {np.array2string(sigmas, threshold=8)}")

    def guarded(x, sigma):
        denoised = denoise(x, sigma)
        if np.shape(denoised) != x.shape:                   # would broadcast without an error
            raise ValueError(f"denoise must return shape {x.shape}, that of its x, got {np.shape(denoised)}")
        return denoised
    return guarded, x, sigmas.tolist()                      # Python floats leave float32 as it is
