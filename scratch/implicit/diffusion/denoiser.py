"""Diffusion: learn to remove noise of every level, and sampling, score and likelihood all follow.

Model.   x = x0 + sigma eps,  eps ~ N(0, I).  The denoiser that is best in mean square,

    D*(x, sigma) = E[x0 | x],       gives the score       grad log p_sigma(x) = (D*(x, sigma) - x) / sigma^2

(Tweedie's identity; Vincent 2011), and the score is all that the reverse
process needs: to learn D is to learn the law.

Preconditioning (Karras et al. 2022, section 5).  A bare network would have to
take inputs and give outputs of every size.  So F sees a scaled x, and corrects
a multiple of it:

    D(x, sigma) = c_skip x + c_out F(c_in x, c_noise)

    c_in    = 1 / sqrt(sigma^2 + s^2)           the input has unit variance, for data of standard deviation s
    c_skip  = s^2 / (sigma^2 + s^2)             the best linear denoiser: it makes c_out as small as can be
    c_out   = s sigma / sqrt(sigma^2 + s^2)     the target (x0 - c_skip x) / c_out of F has unit variance:
                                                (1 - c_skip)^2 s^2 + c_skip^2 sigma^2 = c_out^2
    c_noise = 1/4 log(sigma / s)

Loss.    L = E |D(x, sigma) - x0|^2 / (dim c_out^2)  =  E |F - target|^2 / dim,    log(sigma / s) ~ N(m, v^2)

The weight 1 / c_out^2 makes every level count alike.  The unit of L is the
variance of the target: a mean square per coordinate, not nats, equal to 1 for
F = 0 and data of standard deviation s.  Its floor is not 0 but the loss of D*;
what lies above it is E |D - D*|^2 / (dim c_out^2), see `excess`.

Gradient.  L is a mean square in F: dF = 2 / (N dim) (F - target), pulled back by the network.

Symbols: N batch, s = sigma_data; in shapes, D = dim.  noise is (eps (N, D), sigma (N,)).
"""
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from scratch import checks
from scratch.implicit.diffusion import likelihood
from scratch.implicit.diffusion.network import Network
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

LOG_MEAN, LOG_STD = -1.4, 1.2             # m and v: 95 % of the levels lie between s / 43 and 2.6 s
SIGMA_MIN, SIGMA_MAX = 0.002, 80.0        # where sampling and the likelihood end and begin
LEVELS = 32                               # quantiles of the law of log sigma in floor and excess


@dataclass(frozen=True)
class Diffusion:
    """A denoiser of data in `dim` coordinates, each with a standard deviation of about sigma_data.

    classes > 0: the network also takes a label in 0 ... classes - 1, or -1 for none.

    >>> model = Diffusion(dim=2, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.denoise(theta, np.zeros((4, 2)), sigma=0.5).shape
    (4, 2)
    """
    dim: int
    hidden: tuple
    sigma_data: float = 1.5
    classes: int = 0

    recipe = Recipe(Adam(3e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        checks.positive(self.sigma_data, "sigma_data")
        object.__setattr__(self, "hidden", self.network.hidden)                   # checked there, as a tuple

    @property
    def network(self):
        """The network, without its parameters."""
        return Network(self.dim, self.hidden, self.classes)

    @property
    def size(self):
        """The length of theta."""
        return self.network.size

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): D starts near the best linear denoiser."""
        return self.network.init(rng, dtype)

    def draw_noise(self, rng, n):
        """eps (n, D), and sigma (n,): log-normal, one from each n-th part of its law (less noise in the loss)."""
        eps = checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))
        return eps, self._noise_level((np.arange(n) + rng.random(n)) / n)

    def loss(self, theta, x, noise, label=None):
        """The mean square of F - target per coordinate, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        eps, sigma = (np.asarray(part).astype(x.dtype, copy=False) for part in noise)
        if eps.shape != x.shape or sigma.shape != (len(x),):
            raise ValueError(f"noise must be eps {x.shape} and sigma ({len(x)},), got {eps.shape} and {sigma.shape}")
        c_skip, c_out, c_in, c_noise = self._scales(sigma[:, None])
        noisy = x + sigma[:, None] * eps
        target = (x - c_skip * noisy) / c_out                                     # (N, D)
        F, pull = self.network(theta, c_in * noisy, c_noise[:, 0], label)
        error = F - target
        loss = np.sum(error * error) / error.size
        dF = error * (2 / error.size)
        dtheta, _ = pull(dF)
        return loss, dtheta

    # ---- the denoiser, its pullback and its tangent ----

    def denoise(self, theta, x, sigma, label=None):
        """E[x0 | x] as learned, (N, D); sigma > 0 is one number, or one for each row."""
        return self.denoise_pull(theta, x, sigma, label)[0]

    def denoise_pull(self, theta, x, sigma, label=None):
        """D (N, D), and pull(dD) -> (dtheta, dx)."""
        theta, x = checks.inputs(self, theta, x)
        c_skip, c_out, c_in, c_noise = self._scales(self._levels(sigma, x))
        F, pull_network = self.network(theta, c_in * x, c_noise[:, 0], label)

        def pull(dD):
            dtheta, dinput = pull_network(c_out * dD)
            return dtheta, c_skip * dD + c_in * dinput

        return c_skip * x + c_out * F, pull

    def denoise_tangent(self, theta, x, x_dot, sigma, label=None):
        """D and D_dot = dD/dx x_dot, (N, D) each."""
        theta, x = checks.inputs(self, theta, x)
        c_skip, c_out, c_in, c_noise = self._scales(self._levels(sigma, x))
        F, F_dot, _ = self.network.jvp(theta, c_in * x, c_in * x_dot.astype(x.dtype), c_noise[:, 0], label)
        return c_skip * x + c_out * F, c_skip * x_dot + c_out * F_dot

    def _noise_level(self, quantile):
        """sigma at this quantile of its law in training."""
        return self.sigma_data * np.exp(LOG_MEAN + LOG_STD * ndtri(quantile))

    def _scales(self, sigma):
        """c_skip, c_out, c_in, c_noise, shaped like sigma."""
        s = self.sigma_data
        total = sigma * sigma + s * s
        c_in = 1 / np.sqrt(total)
        return s * s / total, s * sigma * c_in, c_in, 0.25 * np.log(sigma / s)

    def _levels(self, sigma, x):
        """sigma as a column (N, 1) in the precision of x."""
        sigma = np.asarray(sigma, dtype=x.real.dtype)
        if sigma.shape not in ((), (len(x),)) or not (np.isfinite(sigma).all() and (sigma > 0).all()):
            raise ValueError(f"sigma must be one positive number or one for each of the {len(x)} rows, got {sigma}")
        return np.broadcast_to(sigma.reshape(-1, 1), (len(x), 1))

    # ---- use ----

    def sample(self, theta, n, rng, steps=32, label=None):
        """n rows (n, D): noise, carried down the probability-flow ODE by Heun's method."""
        n, theta = checks.size(n, "n"), checks.flat(theta, self.size)
        start = np.hypot(SIGMA_MAX, self.sigma_data) * checks.generator(rng).standard_normal((n, self.dim))
        return heun(lambda x, sigma: self.denoise(theta, x, sigma, label), start.astype(theta.dtype),
                    karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX))

    def log_prob(self, theta, x, label=None, steps=likelihood.STEPS):
        """log p(x) in nats, (N,), along the ODE with the exact divergence; label: one class for all rows."""
        def tangent(x, x_dot, sigma):
            return self.denoise_tangent(theta, x, x_dot, sigma, label)
        x = checks.rows(x, self.dim)
        return likelihood.log_prob(tangent, x, SIGMA_MIN, SIGMA_MAX, self.sigma_data, steps)

    # ---- exact twin ----

    def floor(self, exact, x, rng):
        """The loss of the exact denoiser(x, sigma), below which no network comes, from rows x of its law."""
        return self._mean_square(lambda noisy, sigma: exact(noisy, sigma) - x, x, rng)

    def excess(self, theta, exact, x, rng):
        """How far the loss lies above its floor: the same mean, of |D - D*|^2, and so with far less noise."""
        return self._mean_square(lambda noisy, sigma: self.denoise(theta, noisy, sigma) - exact(noisy, sigma), x, rng)

    def _mean_square(self, error, x, rng):
        """The mean of error(x + sigma eps, sigma)^2 / c_out^2 per coordinate, over the law of sigma."""
        x, rng, total = checks.rows(x, self.dim), checks.generator(rng), 0.0
        for sigma in self._noise_level((np.arange(LEVELS) + 0.5) / LEVELS).tolist():
            _, c_out, _, _ = self._scales(sigma)
            total += np.mean(error(x + sigma * rng.standard_normal(x.shape), sigma) ** 2) / c_out ** 2
        return float(total / LEVELS)
