"""DDPM: the chain of chain.py run backwards, one learned Gaussian at a time, and its bound.

Model.   x_T ~ N(0, I), then for t = T ... 1 (Ho et al. 2020, "Denoising Diffusion Probabilistic
Models"; data are x_0, and their distribution is the `law` of the code)
    p(x_(t-1) | x_t) = N(m_t(x_t, xhat), beta_t I)                                             (1)
    xhat = (x_t - sqrt(1 - abar_t) eps_hat) / sqrt(abar_t)                                     (2)

m_t(x_t, x_0) is the mean of the posterior q(x_(t-1) | x_t, x_0) of chain.py.  xhat, the estimate of
E[x_0 | x_t], stands in place of x_0.  The network eps_hat(x_t, t) estimates the noise in x_t.

Variance.  The true q(x_(t-1) | x_t) averages the posterior over the unknown x_0.  Its covariance is
    btilde_t I + v_t^2 Cov[x_0 | x_t],      v_t = sqrt(abar_(t-1)) beta_t / (1 - abar_t)         (3)

where v_t is the weight of x_0 in m_t.  This is btilde_t I for data at a single point and beta_t I
for data N(0, I), the two choices of Ho et al.  (1) takes beta_t: it is not 0 at t = 1, so every
factor is a density.  For T = 1000 and data N(0, s^2), s from 0.15 to 1.5, the bound is then at most
0.012 nats per coordinate above the entropy.  With btilde_t (and beta_1 at t = 1) it is above 0.4.

Bound.   In nats, by Jensen's inequality along the whole chain (their eq. 5), with t uniform in (5):
    -log p(x_0) <= E [L_T + L_(T-1) + ... + L_0]                                               (4)
                 = E [L_T + T L_(t-1)]                                                         (5)
    L_T     = KL(q(x_T | x_0) || N(0, I))                                                      (6)
            = 1/2 [abar_T |x_0|^2 - D (abar_T + log(1 - abar_T))]
    L_(t-1) = KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t)) = c_t + w_t |eps - eps_hat|^2      (7)
    w_t = beta_t / (2 a_t (1 - abar_t)),    a_t = 1 - beta_t                   (their eq. 12)  (8)
    c_t = D/2 (r - 1 - log r),    r = btilde_t / beta_t,    c_1 = D/2 log(2 pi beta_1)         (9)

The means in (7) differ by v_t (x_0 - xhat).  Its square over 2 beta_t is w_t |eps - eps_hat|^2.
L_0 = -log p(x_0 | x_1) is the right side of (7) with c_1.  (In Ho et al. x_0 is discrete.)

Loss.    L_simple / D = 1/D E |eps - eps_hat(x_t, t)|^2,    t uniform on 1 ... T              (10)

Eq. 14 of Ho et al. sums over coordinates: it is D times (10).  (10) gives all t the same weight.
(5) gives t the weight w_t, nearly 1/2 at t = 1 and beta_T / 2 at t = T.  So (10) puts more weight
on noisy x_t.  For any weights the minimizer is E[eps | x_t].  Its loss is the floor, to which a
network adds 1/D E |E[eps | x_t] - eps_hat|^2.

Gradient.  deps_hat = 2/(N D) (eps_hat - eps), pulled back to dtheta (vector-Jacobian product).

Checked in tests/implicit/diffusion/test_ddpm.py::test_gradient_in_every_parameter
Checked in tests/implicit/diffusion/test_ddpm.py::test_bound_terms_are_kl_divergences
Checked in tests/implicit/diffusion/test_ddpm.py::test_elbo_is_the_full_sweep_in_expectation
Symbols: N batch (n rows), D data, P parameters, T steps.  noise is (t (N,), eps (N, D)).
"""
from dataclasses import KW_ONLY, dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.chain import Chain, linear
from scratch.implicit.diffusion.network import OnNetwork
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class DDPM(OnNetwork):
    """T = steps learned reverse steps (1,000 in Ho et al.) for data of a scale near 1.

    Data in other units: see data/standardized.py.  eps_hat = 0 has the loss E eps^2 = 1:
    >>> model, noise = DDPM(1), (np.array([1, 1000]), np.array([[1.0], [-1.0]]))
    >>> float(model.loss(np.zeros(model.size), np.array([[0.5], [2.0]]), noise)[0])
    1.0
    """
    dim: int
    _: KW_ONLY
    steps: int = 1000
    hidden: tuple = (128, 128, 128)
    schedule: Callable = linear

    recipe = Recipe(Adam(2e-3, beta2=0.99), batch_size=512)                       # by hand: see denoiser.py
    sigma_data = 1.0                                        # s, derived: the chain keeps variance 1

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "chain", Chain(self.steps, self.schedule))       # the one that is undone

    def draw_noise(self, rng, n):
        """t (n,), uniform on 1 ... T, and eps (n, D)."""
        t = checks.generator(rng).integers(1, self.steps + 1, size=checks.size(n, "n"))
        return t, rng.standard_normal((n, self.dim))

    def loss(self, theta, x, noise):
        """The mean square of eps - eps_hat per coordinate, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        error, pull = self._error(theta, x, noise)
        loss = np.sum(error * error) / error.size                                 # (10)
        deps_hat = error * (2 / error.size)                                       # d(10)
        return loss, pull(deps_hat, need_dx=False)[0]

    def elbo(self, theta, x, noise):
        """Minus one draw of (5), (N,) nats: an unbiased estimate of the bound by one evaluation."""
        theta, x = checks.inputs(self, theta, x)
        error, _ = self._error(theta, x, noise)
        c, w = (part[noise[0]] for part in bound_coefficients(self.chain, self.dim))            # (N,)
        return -last_term(self.chain, x) - self.steps * (c + w * np.sum(error * error, axis=1))     # (5), (7)

    def bound_terms(self, theta, x, rng):
        """The full sweep (4): L_0 ... L_T of each row in nats, (T + 1, n), by T evaluations."""
        theta, x = checks.flat(theta, self.size), checks.rows(x, self.dim)
        return bound_terms(self.chain, lambda x, sigma: self.denoise(theta, x, sigma), x, rng)

    def sample(self, theta, n, rng):
        """n rows (n, D) from pure noise, by T evaluations of the network."""
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        x = rng.standard_normal((n, self.dim), theta.dtype)
        return ancestral(self.chain, lambda x, sigma: self.denoise(theta, x, sigma), x, rng)

    def denoise(self, theta, x, sigma):
        """E[x_0 | x_0 + sigma eps = x] as learned, (n, D), at x_t = x / sqrt(1 + sigma^2)."""
        sigma = checks.positive(sigma, "sigma")
        theta, scaled = checks.inputs(self, theta, checks.rows(x, self.dim) / (1 + sigma ** 2) ** 0.5)
        eps_hat, _ = self.network(theta, scaled, 0.25 * np.log(sigma))            # level with s = 1
        return x - sigma * eps_hat                                                # (2)

    def _error(self, theta, x, noise):
        """eps_hat - eps (N, D), and the network's pullback."""
        _, eps = checks.noise(noise, x, t=(len(x),), eps=x.shape)
        t = noise[0]                                        # as integers
        if np.min(t) < 1:
            raise ValueError(f"noise must hold t from 1 on, got {np.min(t)}")
        eps_hat, pull = self.network(theta, self.chain.noised(x, t, eps), 0.25 * np.log(self.chain.sigma[t]))
        return eps_hat - eps, pull


# ---- for any denoiser in the sigma form, (x (n, D), sigma) -> E[x_0 | x_0 + sigma eps = x] ----

def reverse_mean(chain, denoise, x, t):
    """The mean (n, D) of p(x_(t-1) | x_t = x); its covariance is beta_t I.  t is one integer."""
    return chain.posterior_mean(x, chain.denoised(denoise, x, t), t)              # (1)


def ancestral(chain, denoise, x, rng):
    """x_0 from x_T = x, (n, D): algorithm 2 of Ho et al., with noise at t = 1 too, as in (1)."""
    rng = checks.generator(rng)
    for t in range(chain.steps, 0, -1):
        x = reverse_mean(chain, denoise, x, t)
        x = x + np.sqrt(chain.beta[t]).astype(x.dtype) * rng.standard_normal(x.shape, x.dtype)  # (1)
    return x


def noise_error(chain, denoise, x0, t, eps):
    """D times the loss at one t: |eps - eps_hat|^2 (n,) at x_t, for the eps_hat of a denoiser."""
    sigma = chain.sigma[checks.size(t, "t")]
    xhat = chain.denoised(denoise, chain.noised(x0, t, eps), t)
    return np.sum((x0 - xhat) ** 2, axis=1) / sigma ** 2                          # by (2)


def bound_coefficients(chain, dim):
    """c_t and w_t in nats, (T + 1,) each; entry 0 is not used."""
    beta, alpha_bar = chain.beta[1:], chain.alpha_bar[1:]
    c, w = np.zeros((2, chain.steps + 1))
    w[1:] = beta / (2 * (1 - beta) * (1 - alpha_bar))                             # (8)
    r = chain.posterior_variance[2:] / chain.beta[2:]
    c[2:] = dim / 2 * (r - 1 - np.log(r))                                         # (9)
    c[1] = dim / 2 * np.log(2 * np.pi * chain.beta[1])                            # (9)
    return c, w


def last_term(chain, x0):
    """L_T in nats, (n,)."""
    left = chain.alpha_bar[-1]
    return 0.5 * (left * np.sum(x0 * x0, axis=1) - x0.shape[1] * (left + np.log1p(-left)))      # (6)


def bound_terms(chain, denoise, x0, rng):
    """L_0 ... L_T in nats, (T + 1, n): row k is one draw of L_k, and their sum is one of (4).

    >>> from scratch.data.distributions import LAWS
    >>> law, rng = LAWS["ring"], np.random.default_rng(0)
    >>> bound = bound_terms(Chain(100), law.denoise, law.sample(400, rng), rng).sum(axis=0).mean()
    >>> print(f"bound {bound:.2f} >= entropy {law.entropy():.2f} nats")
    bound 1.31 >= entropy 1.12 nats
    """
    x0, rng = checks.rows(x0), checks.generator(rng)
    c, w = bound_coefficients(chain, x0.shape[1])
    terms = np.empty((chain.steps + 1, len(x0)))
    for t in range(1, chain.steps + 1):
        eps = rng.standard_normal(x0.shape)
        terms[t - 1] = c[t] + w[t] * noise_error(chain, denoise, x0, t, eps)      # (7)
    terms[-1] = last_term(chain, x0)
    return terms
