"""Diffusion: learn to remove noise of every level.  The shortest complete path through the idea.

Process.  Noise of level sigma is added to data x0 (their distribution is the `law` of the code),
    x = x0 + sigma eps,      eps ~ N(0, I)                                                     (1)

The best denoiser in mean square is xhat(x, sigma) = E[x0 | x].  It gives the score of the
density of x, grad log p_sigma(x) = (xhat - x) / sigma^2 (Tweedie's formula; Vincent 2011, "A
Connection between Score Matching and Denoising Autoencoders").  The score gives an ordinary
differential equation (ODE) whose solutions have the density p_sigma at every sigma (Karras et al.
2022, "Elucidating the Design Space of Diffusion-Based Generative Models", eq. 1):
    dx/dsigma = (x - xhat(x, sigma)) / sigma                                                   (2)

From sigma_max down to sigma_min it turns noise into data.  From sigma_min up it gives log p(x).

Model.   A bare network would have to take inputs and give outputs of every size.  So the network F
takes a scaled x and corrects a multiple of x (Karras et al., eq. 7).  For data of standard
deviation (std) s,
    xhat(x, sigma) = c_skip x + c_out F(c_in x, c_noise)                                       (3)
    c_in    = 1 / sqrt(sigma^2 + s^2)         the input of F has variance 1                    (4)
    c_skip  = s^2 / (sigma^2 + s^2)           the best linear denoiser: it makes c_out smallest
    c_out   = s sigma / sqrt(sigma^2 + s^2)   the target (x0 - c_skip x) / c_out has variance 1:
                                              (1 - c_skip)^2 s^2 + c_skip^2 sigma^2 = c_out^2
    c_noise = 1/4 log(sigma / s)

Loss.    L = 1/D E |xhat(x, sigma) - x0|^2 / c_out^2 = 1/D E |F - target|^2                    (5)
         log(sigma / s) ~ N(m, v^2)                                                            (6)

L is a mean square per coordinate, not nats.  For F = 0 and data of std s it is 1 at every level.
Its minimum is not 0 but the loss of E[x0 | x], the floor.  A network adds the excess
    1/D E |xhat(x, sigma) - E[x0 | x]|^2 / c_out^2                                             (7)

Gradient.  dF = 2/(N D) (F - target), which the network pulls back (vector-Jacobian product).

Checked in tests/implicit/diffusion/test_denoiser.py::test_gradient_of_the_loss_in_every_parameter
Checked in tests/implicit/diffusion/test_denoiser.py::test_samples_follow_the_density
Symbols: N batch, D data, P parameters, s = sigma_data.  noise is (eps (N, D), sigma (N,)).
"""
from dataclasses import KW_ONLY, dataclass
from functools import partial

import numpy as np
from scipy.special import ndtri

from scratch import checks
from scratch.implicit.diffusion import likelihood
from scratch.implicit.diffusion.completion import repaint
from scratch.implicit.diffusion.network import FREQUENCIES, OnNetwork
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.learning.optimizers import Adam
from scratch.learning.training import USUAL_STD, Recipe

# m by hand: from -1.8 to -1.0 the KL is the same within 0.02 nats on ring, grid and spirals, at the
# -0.5 of Karras et al. 0.05 higher on spirals (2,000 steps of 64-64, one seed).  v is theirs.
LOG_MEAN, LOG_STD = -1.4, 1.2
SIGMA_MIN, SIGMA_MAX = 0.002, 80.0   # of Karras et al., table 1; in units of s / 1.5
LEVELS = 32                          # quantiles of (6) in floor and excess; by hand, not swept


@dataclass(frozen=True)
class Diffusion(OnNetwork):
    """A denoiser of data in `dim` coordinates, each with a standard deviation of about sigma_data.

    1.5 is near that of ring, grid and spirals (1.42 to 1.55).  With F = 0, (3) is linear in x:
    >>> model = Diffusion(1, sigma_data=2.0)
    >>> model.denoise(np.zeros(model.size), np.array([[5.0]]), sigma=1.0)     # 2^2 / (1^2 + 2^2) x
    array([[4.]])
    """
    dim: int
    _: KW_ONLY
    hidden: tuple = (128, 128, 128)
    sigma_data: float = 1.5
    frequencies: tuple = FREQUENCIES                        # of x; (): no sines
    context_dim: int = 0                                    # C; 0: nothing is known of x0 but x

    # By hand.  In 2,000 steps beta2 = 0.999 does as well, and the rate 1e-3 worse and 1e-2 better.
    recipe = Recipe(Adam(3e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        checks.fields(self, sigma_data=checks.positive)
        super().__post_init__()

    def draw_noise(self, rng, n):
        """eps (n, D), and sigma (n,), one from each n-th part of (6): then the loss varies less."""
        eps = checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))
        return eps, self._noise_level((np.arange(n) + rng.random(n)) / n)

    def loss(self, theta, x, noise):
        """The mean square of F - target per coordinate, and its gradient (P,)."""
        loss, gradient = self.denoising_loss(theta, x, noise)
        return loss, gradient(need_dcontext=False)[0]

    def denoising_loss(self, theta, x, noise, context=None):
        """(5) of the network with a context (N, C), and gradient(need_dcontext=True) -> (dtheta, dcontext)."""
        theta, x = checks.inputs(self, theta, x)
        eps, sigma = checks.noise(noise, x, eps=x.shape, sigma=(len(x),))
        c_skip, c_out, c_in, c_noise = self._scales(sigma[:, None])
        noisy = x + sigma[:, None] * eps                                          # (N, D)  (1)
        F, pull = self.network(theta, c_in * noisy, c_noise[:, 0], context)
        error = F - (x - c_skip * noisy) / c_out                                  # F - target
        loss = np.sum(error * error) / error.size                                 # (5)

        def gradient(need_dcontext=True):
            dF = error * (2 / error.size)                                         # d(5)
            dtheta, _, dcontext = pull(dF, need_dcontext)
            return dtheta, dcontext

        return loss, gradient

    def denoise(self, theta, x, sigma, context=None):
        """E[x0 | x] as learned, (N, D); sigma > 0 is one number, or one for each row; context as in network.py."""
        theta, x = checks.inputs(self, theta, x)
        c_skip, c_out, c_in, c_noise = self._scales(self._column(sigma, x))
        return c_skip * x + c_out * self.network(theta, c_in * x, c_noise[:, 0], context)[0]    # (3)

    def sample(self, theta, n, rng, *, context=None, steps=32):
        """n rows (n, D): noise, carried down (2) by Heun's method."""
        return self._from_noise(heun, theta, n, rng, steps, context)              # (2)

    def log_prob(self, theta, x, *, context=None, steps=32):
        """log p(x) in nats, (N,), along (2) with its exact divergence."""
        x, ends = checks.rows(x, self.dim), (SIGMA_MIN * self.unit, SIGMA_MAX * self.unit)

        def part(x, *context):
            return likelihood.log_prob(lambda *point: Diffusion.denoise_jvp(self, theta, *point, *context), x,
                                       *ends, self.sigma_data, steps)                           # (2)
        return likelihood.in_chunks(part, x, *([] if context is None else [context]))

    # ---- a first reading ends here ----

    def denoise_jvp(self, theta, x, x_dot, sigma, context=None):
        """xhat and its Jacobian-vector product dxhat/dx x_dot, (N, D) each."""
        theta, x = checks.inputs(self, theta, x)
        c_skip, c_out, c_in, c_noise = self._scales(self._column(sigma, x))
        F, F_dot, _ = self.network.jvp(theta, c_in * x, c_in * x_dot.astype(x.dtype), c_noise[:, 0], context)
        return c_skip * x + c_out * F, c_skip * x_dot + c_out * F_dot             # (3), d(3)

    def complete(self, theta, known, n, rng, *, context=None, steps=80, turns=16):
        """n rows (n, D) with x[:, i] = known[i] for each i in known, by RePaint (completion.py).

        Fewer steps or turns are biased; figures/implicit/diffusion/completion.py measures these.
        """
        return self._from_noise(partial(repaint, known=known, rng=rng, turns=turns), theta, n, rng, steps, context)

    def floor(self, exact, x, rng):
        """The loss of the exact denoiser(x, sigma) = E[x0 | x], from rows x of its distribution."""
        return self._mean_square(lambda noisy, sigma: exact(noisy, sigma) - x, x, rng)          # (5)

    def excess(self, theta, exact, x, rng):
        """Loss minus floor by (7), which has far less noise than a difference of two losses."""
        return self._mean_square(lambda x, sigma: self.denoise(theta, x, sigma) - exact(x, sigma), x, rng)

    def _mean_square(self, error, x, rng):
        """The mean of error(x + sigma eps, sigma)^2 / c_out^2 per coordinate, over (6)."""
        x, rng, total = checks.rows(x, self.dim), checks.generator(rng), 0.0
        for sigma in self._noise_level((np.arange(LEVELS) + 0.5) / LEVELS).tolist():
            _, c_out, _, _ = self._scales(sigma)
            noisy = x + sigma * rng.standard_normal(x.shape)                      # (1)
            total += np.mean((error(noisy, sigma) / c_out) ** 2)                  # (7)
        return float(total / LEVELS)

    def _from_noise(self, sampler, theta, n, rng, steps, context):
        """What sampler(denoise, x, sigmas) makes of n rows of noise at sigma_max, under a context (n, C)."""
        n, theta = checks.size(n, "n"), checks.flat(theta, self.size)
        start = np.hypot(SIGMA_MAX, USUAL_STD) * checks.generator(rng).standard_normal((n, self.dim))
        return sampler(lambda x, sigma: Diffusion.denoise(self, theta, x, sigma, context),
                       start.astype(theta.dtype) * self.unit, karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX) * self.unit)

    def _noise_level(self, quantile):
        return self.sigma_data * np.exp(LOG_MEAN + LOG_STD * ndtri(quantile))     # (6)

    def _scales(self, sigma):
        """c_skip, c_out, c_in, c_noise, shaped like sigma."""
        s = self.sigma_data
        total = sigma * sigma + s * s
        c_in = 1 / np.sqrt(total)
        return s * s / total, s * sigma * c_in, c_in, 0.25 * np.log(sigma / s)    # (4)

    def _column(self, sigma, x):
        """sigma as a column (N, 1) in the precision of x."""
        sigma = checks.constant(sigma, "sigma").astype(x.real.dtype)
        if sigma.shape not in ((), (len(x),)) or not (sigma > 0).all():
            raise ValueError(f"sigma must be one positive number or one for each row ({len(x)}), "
                             f"got {checks.brief(sigma)}")
        return np.broadcast_to(sigma.reshape(-1, 1), (len(x), 1))
