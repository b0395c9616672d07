"""Samplers: from noise to data, with any denoiser, one noise level after the other.

Everything is in the one-variable form x_sigma = x0 + sigma eps, eps ~ N(0, I), and
rests on one function, the denoiser D(x, sigma) = E[x0 | x_sigma = x].  It holds the
score, grad log p_sigma(x) = (D - x) / sigma^2 (Tweedie; Robbins 1956).  A sampler
takes x with the law p_sigma at sigmas[0] down to sigmas[-1], usually 0:

    sample = heun(law.denoise, law.noised(80.0).sample(n, rng), karras_sigmas(32))

The laws p_sigma are those of a Brownian motion that starts at the data, with
sigma^2 for its clock.  Two processes run through them backward (processes.py):

    ODE    dx = -sigma score dsigma = (x - D) / sigma dsigma          "probability flow"
    SDE    dx = -score d(sigma^2) + noise of variance -d(sigma^2)

The simplest step from sigma to lower holds D fixed, or the whole score.  The equation
is then linear, and its exact solution has the form x' = D + keep (x - D) + add z:

    method                       equation   fixed   keep                add^2,  z ~ N(0, I)
    euler = ddim with eta = 0    ODE        D       lower / sigma       0
    ddim with eta = 1            SDE        D       lower^2 / sigma^2   lower^2 (1 - lower^2 / sigma^2)
    euler_maruyama               SDE        score   lower^2 / sigma^2   sigma^2 - lower^2

The second row is ancestral sampling (DDPM), for it is also Bayes' rule: x' given x and
x0 = D is a Brownian bridge, with this mean and variance.  All three are of order 1:
their error falls as 1 / steps.  heun and dpm_solver_2m also see how D changes along
the way, and reach order 2.

Source of the form: Karras et al. 2022, "Elucidating the design space of diffusion-based
generative models".  x may be float32, float64 or complex, and stays so unless D is wider.
"""
from itertools import pairwise
from math import log, sqrt

import numpy as np

from scratch import checks


def karras_sigmas(n, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """n levels from sigma_max down to sigma_min and then 0, (n + 1,): n steps (Karras et al. 2022, eq. 5).

    Evenly spaced in sigma^(1/rho): the steps shrink nearly in proportion to sigma.

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
    """Order 1, one evaluation a step: follow the tangent dx/dsigma = (x - D) / sigma."""
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    for sigma, lower in pairwise(sigmas):
        x = x + (lower - sigma) * (x - denoise(x, sigma)) / sigma
    return x


def heun(denoise, x, sigmas):
    """Order 2, two evaluations a step: the mean of the slopes at both ends (Karras et al. 2022, Alg. 1).

    At level 0 there is no slope, so a step to 0 is Euler's: x becomes D.
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    for sigma, lower in pairwise(sigmas):
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (lower - sigma) * slope
        if lower > 0:
            slope = (slope + (ahead - denoise(ahead, lower)) / lower) / 2
            ahead = x + (lower - sigma) * slope
        x = ahead
    return x


def dpm_solver_2m(denoise, x, sigmas):
    """Order 2, one evaluation a step: DPM-Solver++(2M) (Lu et al. 2022, Alg. 2, with alpha = 1).

    x / sigma changes only as far as D does.  In l = -log sigma the flow is
    d(x / sigma)/dl = D / sigma, a step of length h = log(sigma / lower), so that

        x' = lower / sigma x + lower int exp(l) D dl

    With D frozen this is Euler's step.  Taking D at the middle of the step instead,
    on the line through the last two evaluations, D + h / (2 h_before) (D - D_before),
    gains an order.  The first step has no D before it, and one to 0 no middle.
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    before = h_before = None
    for sigma, lower in pairwise(sigmas):
        now = middle = denoise(x, sigma)
        if lower > 0:
            h = log(sigma / lower)
            if before is not None:
                middle = now + h / (2 * h_before) * (now - before)
            before, h_before = now, h
        x = middle + lower / sigma * (x - middle)
    return x


# ---- with noise: x at the start is forgotten on the way ----

def ddim(denoise, x, sigmas, eta, rng):
    """Song et al. 2021 (DDIM), eq. 12 and 16: eta = 0 is Euler's step, eta = 1 ancestral sampling (DDPM).

    Of the noise in x', add = eta lower sqrt(1 - lower^2 / sigma^2) is fresh; the rest is the
    noise that x shows, (x - D) / sigma, at such a length that the variances sum to lower^2.
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    eta, rng = checks.constant(eta, "eta"), checks.generator(rng)
    if eta.ndim or not 0 <= eta <= 1:
        raise ValueError(f"eta must be one number in [0, 1], got {eta}")
    eta = float(eta)
    for sigma, lower in pairwise(sigmas):
        denoised = denoise(x, sigma)
        add = eta * lower * sqrt(1 - (lower / sigma) ** 2)
        keep = sqrt(lower ** 2 - add ** 2) / sigma
        x = denoised + keep * (x - denoised) + add * noise_like(x, rng)
    return x


def euler_maruyama(denoise, x, sigmas, rng):
    """The reverse SDE, its score held fixed over each step (Song et al. 2021, SDE, appendix E).

    A step to 0 leaves out the noise, which no later step would take away, and ends in D.
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    rng = checks.generator(rng)
    for sigma, lower in pairwise(sigmas):
        x = _reverse_diffusion(denoise, x, sigma, lower, rng)
    return x


def predictor_corrector(denoise, x, sigmas, rng, ratio=0.16):
    """A step of the reverse SDE, then one of Langevin dynamics (Song et al. 2021, SDE, Alg. 2 and 4).

    Langevin dynamics dx = score dt + sqrt(2 dt) z has p_sigma as its resting law, and so
    corrects the law of x at the level that the step has reached.  Song et al. choose dt so
    that the push of the score is `ratio` times as long as that of the noise; with |score|
    about sqrt(D) / sigma this is dt = 2 (ratio sigma)^2.  As nothing is rejected, the
    resting law is p_sigma only up to O(dt): the variance V of a Gaussian comes out as
    V / (1 - dt / (2 V)), where V > sigma^2 bounds the error.
    """
    denoise, x, sigmas = sampler_arguments(denoise, x, sigmas)
    rng, ratio = checks.generator(rng), checks.positive(ratio, "ratio")
    for sigma, lower in pairwise(sigmas):
        x = _reverse_diffusion(denoise, x, sigma, lower, rng)
        if lower > 0:
            x = _langevin(denoise, x, lower, 2 * (ratio * lower) ** 2, rng)
    return x


def _reverse_diffusion(denoise, x, sigma, lower, rng):
    """x + (sigma^2 - lower^2) score + sqrt(sigma^2 - lower^2) z; a step to 0 ends in D, without noise."""
    denoised = denoise(x, sigma)
    mean = denoised + (lower / sigma) ** 2 * (x - denoised)
    return mean + sqrt(sigma ** 2 - lower ** 2) * noise_like(x, rng) if lower > 0 else mean


def _langevin(denoise, x, sigma, dt, rng):
    """x + dt score + sqrt(2 dt) z."""
    score = (denoise(x, sigma) - x) / sigma ** 2
    return x + dt * score + sqrt(2 * dt) * noise_like(x, rng)


# ---- what all samplers share, those of completion.py too ----

def noise_like(x, rng):
    """Standard normal noise of the shape and the precision of x; real, if x is complex too."""
    return rng.standard_normal(x.shape, x.real.dtype)


def sampler_arguments(denoise, x, sigmas):
    """The three arguments of all samplers, checked: denoise guarded, x as rows, sigmas as a list of floats."""
    if not callable(denoise):
        raise TypeError(f"denoise must be a function (x, sigma) -> (n, D), got {denoise!r}")
    x, sigmas = checks.rows(x), checks.constant(sigmas, "sigmas")
    if sigmas.ndim != 1 or len(sigmas) < 2 or not (np.diff(sigmas) < 0).all() or sigmas[-1] < 0:
        raise ValueError("sigmas must be two or more levels that decrease, down to 0 or above it, "
                         f"got {np.array2string(sigmas, threshold=8)}")

    def guarded(x, sigma):
        denoised = denoise(x, sigma)
        if np.shape(denoised) != x.shape:                   # would broadcast in silence
            raise ValueError(f"denoise must return shape {x.shape}, that of its x, got {np.shape(denoised)}")
        return denoised
    return guarded, x, sigmas.tolist()                      # Python floats leave float32 as it is
