"""Samplers: from noise to data, with any denoiser, one noise level after the other.

Everything is in the sigma form x_sigma = x0 + sigma eps, eps ~ N(0, I).  The denoiser
D(x, sigma) = E[x0 | x_sigma = x] gives the score of the noised distribution p_sigma:
    grad log p_sigma(x) = (D - x) / sigma^2                        (Tweedie; Robbins 1956)       (1)

A sampler takes x with the distribution p_sigma at sigmas[0] down to sigmas[-1], usually 0.  With a
distribution ("law" in the code) whose denoiser is exact:

    sample = heun(law.denoise, law.noised(80.0).sample(n, rng), karras_sigmas(32))

p_sigma is the distribution at time sigma^2 of a Brownian motion that starts at the data.  Two
equations run through these distributions backward (processes.py):
    ODE    dx = -sigma score dsigma = (x - D) / sigma dsigma       "probability flow"            (2)
    SDE    dx = -score d(sigma^2) + noise of variance -d(sigma^2)                                (3)

The simplest step from sigma to lower holds D or the whole score fixed.  The equation is then
linear, and its exact solution is
    x' = D + keep (x - D) + add z,    z ~ N(0, I)                                                (4)

    method                     equation   fixed   keep                add^2
    euler = ddim with eta = 0  ODE        D       lower / sigma       0
    ddim with eta = 1          SDE        D       lower^2 / sigma^2   lower^2 (1 - lower^2/sigma^2)
    euler_maruyama             SDE        score   lower^2 / sigma^2   sigma^2 - lower^2

The second row is ancestral sampling (DDPM): by Bayes' rule, x' given x and x0 = D has this mean and
variance (a Brownian bridge).  All three are of order 1: their error falls as 1 / steps.  heun and
dpm_solver_2m measure how D changes along a step and are of order 2.

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

    Evenly spaced in sigma^(1/rho), so that steps are shorter where sigma is small (Karras et al.
    2022, eq. 5; the three constants from their table 1).
    >>> karras_sigmas(3, 1.0, 9.0, rho=2.0)
    array([9., 4., 1., 0.])
    """
    n, rho = checks.size(n, "n"), checks.positive(rho, "rho")
    sigma_min, sigma_max = checks.positive(sigma_min, "sigma_min"), checks.positive(sigma_max, "sigma_max")
    if not sigma_min < sigma_max:
        raise ValueError(f"sigma_min must be below sigma_max, got {sigma_min} and {sigma_max}")
    return np.append(np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n) ** rho, 0.0)


# ---- the ODE (2): no noise, so x at the start determines x at the end ----

def euler(denoise, x, sigmas):
    """Order 1, one evaluation a step: follow the tangent (2)."""
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    for sigma, lower in pairwise(sigmas):
        x = x + (lower - sigma) * (x - denoise(x, sigma)) / sigma                                # (2)
    return x


def heun(denoise, x, sigmas):
    """Order 2, two evaluations a step: the mean of dx/dsigma at both ends.

    (2) divides by sigma, so a step to level 0 is Euler's: x becomes D (Karras et al. 2022, Alg. 1).
    On data N(0, 4) the ODE (2) takes x = 80 from sigma = 80 to 80 * 2 / sqrt(80^2 + 2^2) = 1.9994:

    >>> denoise, x = lambda x, sigma: x * 4 / (4 + sigma ** 2), np.array([[80.0]])
    >>> [round(float(sampler(denoise, x, karras_sigmas(64))[0, 0]), 4) for sampler in (euler, heun)]
    [1.9268, 2.0043]
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

    In l = -log sigma, (2) is d(x / sigma)/dl = D / sigma.  A step of h = log(sigma / lower) is
        x'     = lower / sigma x + lower int exp(l) D dl                                         (5)
        middle = D + h / (2 h_before) (D - D_before)                                             (6)

    With D fixed, (5) is Euler's step.  With its value in the middle of the step, on the line (6)
    through the last two evaluations, it is of order 2.  The first step has no D before it, a step
    to 0 no middle.  (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling", Alg. 2.)
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


# ---- with noise ----

def ddim(denoise, x, sigmas, eta, rng):
    """eta = 0 is Euler's step, eta = 1 ancestral sampling (DDPM).  In (4),
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
    return _reverse_sde(denoise, x, sigmas, rng)


def predictor_corrector(denoise, x, sigmas, rng, ratio=0.16):
    """After each step of the reverse SDE (3) one of Langevin dynamics at the level reached:
        dx = score dt + sqrt(2 dt) z,    dt = 2 (ratio sigma)^2                                  (8)

    The stationary distribution of (8) is p_sigma up to O(dt): the variance V > sigma^2 of a
    Gaussian becomes V / (1 - dt / (2 V)).  So (8) corrects the distribution of x.  The score moves
    x `ratio` times as far as the noise does, if |score| = sqrt(dim) / sigma (Song et al. 2021,
    "Score-Based ...", Alg. 2 and 4; 0.16 as in their code for CIFAR-10).
    """
    return _reverse_sde(denoise, x, sigmas, rng, checks.positive(ratio, "ratio"))


def _reverse_sde(denoise, x, sigmas, rng, ratio=None):
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    rng = checks.generator(rng)
    for sigma, lower in pairwise(sigmas):
        denoised = denoise(x, sigma)
        mean = denoised + (lower / sigma) ** 2 * (x - denoised)                                  # (4)
        if lower == 0:
            return mean
        x = mean + sqrt(sigma ** 2 - lower ** 2) * noise_like(x, rng)                            # (4)
        if ratio is not None:
            dt, score = 2 * (ratio * lower) ** 2, (denoise(x, lower) - x) / lower ** 2           # (1)
            x = x + dt * score + sqrt(2 * dt) * noise_like(x, rng)                               # (8)
    return x


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
