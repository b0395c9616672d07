"""DDPM: the chain run backwards, one learned Gaussian at a time, and the variational bound that it obeys.

Model.   x_T ~ N(0, I), and for t = T ... 1 the posterior of chain.py with a guess in place of x_0:

    p(x_(t-1) | x_t) = N(mean_t(x_t, xhat), beta_t I),       xhat = E[x_0 | x_t] as learned

(Ho et al. 2020).  The true q(x_(t-1) | x_t) has the covariance btilde_t I + (what is
unknown of x_0), which for a single point as data is btilde_t I, and for N(0, I) is
beta_t I: Ho's two choices.  The second is near the truth for any density and small beta_t,
and it is not 0 at t = 1: every factor, the last one too, is a density over R^D.  For T = 1000
and N(0, s^2) with s from 0.15 to 1.5 the bound then is at most 0.012 nats per coordinate
above the entropy; with btilde_t (and beta_1 at t = 1) it would be more than 0.4.

Bound.   In nats, by Jensen's inequality along the whole chain (eq. 5):

    -log p(x_0) <= E [L_T + L_(T-1) + ... + L_1 + L_0]
    L_T     = KL(q(x_T | x_0) || N(0, I)) = 1/2 [abar_T |x_0|^2 - D (abar_T + log(1 - abar_T))]
    L_(t-1) = KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t)) = c_t + w_t |eps - eps_hat|^2,     t = T ... 2
    L_0     = -log p(x_0 | x_1)                             = c_1 + w_1 |eps - eps_hat|^2

    w_t = beta_t / (2 a_t (1 - abar_t)),      a_t = 1 - beta_t                       (eq. 12)
    c_t = D/2 (r - 1 - log r) with r = btilde_t / beta_t,      c_1 = D/2 log(2 pi beta_1)

Means differ by what x_0 weighs in them, sqrt(abar_(t-1)) beta_t / (1 - abar_t), times
x_0 - xhat = sigma_t (eps_hat - eps); the square over 2 beta_t is w_t |...|^2.  (Ho et al.
discretize the pixels in L_0; here x is continuous, and so is p(x_0 | x_1).)

Loss.    L_simple = E |eps - eps_hat(x_t, t)|^2, t uniform on 1 ... T (eq. 14): the bound's
variable part with the weight of term t divided by w_t.  w_1 is 1/2 and w_T about beta_T / 2, so
L_simple cares more for the noisy end than the bound does.  Its unit is that of eps^2, not
nats.  Any weights have the same best answer, E[eps | x_t]; what it leaves,
E |eps - E[eps | x_t]|^2, is the floor of the loss, and the rest, E |E[eps | x_t] - eps_hat|^2,
the excess: the same functions with law.denoise for the network tell them apart.

Gradient.  A mean square: deps_hat = 2/N (eps_hat - eps), pulled back by the network.

Symbols: N batch, D data, T steps.  noise is (t (N,), eps (N, D)).
"""
from dataclasses import dataclass
from functools import cached_property
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.chain import Chain, linear
from scratch.implicit.diffusion.network import Network
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


# ---- for any denoiser in the sigma form, (x (n, D), sigma) -> E[x_0 | x_0 + sigma eps = x] ----

def reverse_mean(chain, denoise, x, t):
    """The mean (n, D) of p(x_(t-1) | x_t = x); its covariance is beta_t I.  t is one integer."""
    return chain.posterior_mean(x, chain.denoised(denoise, x, t), t)


def ancestral(chain, denoise, x, rng):
    """x_0 from x_T = x, (n, D): the T factors of the model in a row (Ho et al. 2020, Algorithm 2).

    At t = 1 Algorithm 2 shows the mean.  Here the noise of p(x_0 | x_1) is drawn like
    any other, because the bound is about that density.
    """
    rng = checks.generator(rng)
    for t in range(chain.steps, 0, -1):
        x = reverse_mean(chain, denoise, x, t)
        x = x + np.sqrt(chain.beta[t]).astype(x.dtype) * rng.standard_normal(x.shape, x.dtype)
    return x


def noise_error(chain, denoise, x0, t, eps):
    """|eps - eps_hat|^2 at x_t from x_0 and eps, (n,), with eps_hat from a denoiser; t is one integer."""
    sigma = chain.sigma[checks.size(t, "t")]
    xhat = chain.denoised(denoise, chain.noised(x0, t, eps), t)
    return np.sum((x0 - xhat) ** 2, axis=1) / sigma ** 2


def bound_coefficients(chain, dim):
    """c_t and w_t in nats, (T + 1,) each: L_(t-1) = c_t + w_t |eps - eps_hat|^2; entry 0 is not used."""
    beta, alpha_bar = chain.beta[1:], chain.alpha_bar[1:]
    c, w = np.zeros((2, chain.steps + 1))
    w[1:] = beta / (2 * (1 - beta) * (1 - alpha_bar))
    r = chain.posterior_variance[2:] / chain.beta[2:]
    c[2:] = dim / 2 * (r - 1 - np.log(r))
    c[1] = dim / 2 * np.log(2 * np.pi * chain.beta[1])
    return c, w


def bound_terms(chain, denoise, x0, rng):
    """L_0 ... L_T in nats, (T + 1, n): row k is L_k with one draw of its noise; the column sums are the bound."""
    x0, rng = checks.rows(x0), checks.generator(rng)
    c, w = bound_coefficients(chain, x0.shape[1])
    terms = np.empty((chain.steps + 1, len(x0)))
    for t in range(1, chain.steps + 1):
        eps = rng.standard_normal(x0.shape)
        terms[t - 1] = c[t] + w[t] * noise_error(chain, denoise, x0, t, eps)
    left = chain.alpha_bar[-1]
    terms[-1] = 0.5 * (left * np.sum(x0 * x0, axis=1) - x0.shape[1] * (left + np.log1p(-left)))
    return terms


# ---- the model ----

@dataclass(frozen=True)
class DDPM:
    """T = steps learned reverse steps for data of a scale near 1; the network predicts eps.

    >>> model = DDPM(dim=2, steps=20, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.sample(theta, 4, np.random.default_rng(1)).shape
    (4, 2)
    """
    dim: int
    steps: int
    hidden: tuple
    schedule: Callable = linear

    recipe = Recipe(Adam(2e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        object.__setattr__(self, "hidden", self.network.hidden)                   # checked there, as a tuple
        self.chain                                                                # so are steps and schedule

    @cached_property
    def chain(self):
        """The chain of noise that is undone."""
        return Chain(self.steps, self.schedule)

    @property
    def network(self):
        """The network, without its parameters."""
        return Network(self.dim, self.hidden)

    @property
    def size(self):
        """The length of theta."""
        return self.network.size

    def init(self, rng, dtype=np.float32):
        """Random theta (P,); eps_hat starts near 0."""
        return self.network.init(rng, dtype)

    def draw_noise(self, rng, n):
        """t (n,), uniform on 1 ... T, and eps (n, D)."""
        t = checks.generator(rng).integers(1, self.steps + 1, size=checks.size(n, "n"))
        return t, rng.standard_normal((n, self.dim))

    def loss(self, theta, x, noise):
        """L_simple, the mean of |eps - eps_hat|^2 over the batch, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        t, eps = noise
        eps = np.asarray(eps).astype(x.dtype, copy=False)
        if np.shape(t) != (len(x),) or eps.shape != x.shape or np.min(t) < 1:
            raise ValueError(f"noise must be t ({len(x)},), from 1 on, and eps {x.shape}, "
                             f"got shapes {np.shape(t)} and {eps.shape}, and t from {np.min(t)}")
        eps_hat, pull = self.network(theta, self.chain.noised(x, t, eps), _level(self.chain.sigma[t]))
        error = eps_hat - eps                                                     # (N, D)
        loss = np.sum(error * error) / len(x)
        deps_hat = error * (2 / len(x))
        dtheta, _ = pull(deps_hat)
        return loss, dtheta

    def denoise(self, theta, x, sigma):
        """E[x_0 | x_0 + sigma eps = x] as learned, (n, D): x - sigma eps_hat at x_t = x / sqrt(1 + sigma^2)."""
        sigma = checks.positive(sigma, "sigma")
        theta, scaled = checks.inputs(self, theta, checks.rows(x, self.dim) / (1 + sigma ** 2) ** 0.5)
        eps_hat, _ = self.network(theta, scaled, _level(np.array(sigma)))
        return x - sigma * eps_hat

    def sample(self, theta, n, rng):
        """n rows (n, D) from pure noise, by T evaluations of the network."""
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        x = rng.standard_normal((n, self.dim), theta.dtype)
        return ancestral(self.chain, lambda x, sigma: self.denoise(theta, x, sigma), x, rng)

    def bound_terms(self, theta, x, rng):
        """L_0 ... L_T of each row in nats, (T + 1, n), with one draw of their noise."""
        theta, x = checks.flat(theta, self.size), checks.rows(x, self.dim)
        return bound_terms(self.chain, lambda x, sigma: self.denoise(theta, x, sigma), x, rng)

    def elbo(self, theta, x, rng):
        """Minus the bound, (n,) nats: in the mean over its noise at most log p(x)."""
        return -self.bound_terms(theta, x, rng).sum(axis=0)


def _level(sigma):
    """What the network sees of t: log sigma_t / 4, which is even in the noise whatever the schedule."""
    return 0.25 * np.log(sigma)
