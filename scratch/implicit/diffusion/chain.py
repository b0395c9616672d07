"""The discrete chain: data turn into noise in T small Gaussian steps, all known in closed form.

Step.       q(x_t | x_(t-1)) = N(sqrt(1 - beta_t) x_(t-1), beta_t I),      t = 1 ... T           (1)

The mean shrinks by the factor that keeps unit variance: (1 - beta_t) + beta_t = 1.  Variances of
independent e, e', e'' ~ N(0, I) add, so two steps have the distribution of a longer one,
    sqrt(a') (sqrt(a) x + sqrt(1 - a) e) + sqrt(1 - a') e'  ~  sqrt(a a') x + sqrt(1 - a a') e''

So with a_t = 1 - beta_t and abar_t = a_1 a_2 ... a_t:

Marginal.   q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I)                                   (2)

Posterior.  q(x_(t-1) | x_t, x_0) is proportional to q(x_t | x_(t-1)) q(x_(t-1) | x_0), a product of
two Gaussians in x_(t-1).  Precisions add, and means are weighted by them:
    1 / btilde_t = a_t / beta_t + 1 / (1 - abar_(t-1))
    btilde_t     = beta_t (1 - abar_(t-1)) / (1 - abar_t)                                        (3)
    mean         = btilde_t (sqrt(a_t) x_t / beta_t + sqrt(abar_(t-1)) x_0 / (1 - abar_(t-1)))
                 = [sqrt(abar_(t-1)) beta_t x_0 + sqrt(a_t) (1 - abar_(t-1)) x_t] / (1 - abar_t) (4)

Sigma form.  Divided by sqrt(abar_t), x_t is data plus noise:
    x_t / sqrt(abar_t) = x_0 + sigma_t eps,      sigma_t^2 = (1 - abar_t) / abar_t               (5)

So a denoiser E[x_0 | x_0 + sigma eps], exact or learned, serves the chain as well.

Source: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", eqs. 2, 4, 6, 7.
Checked in tests/implicit/diffusion/test_chain.py::test_step_by_step_is_the_closed_form_at_every_t
Checked in tests/implicit/diffusion/test_chain.py::test_posterior_is_brute_force_conditioning
Checked in tests/implicit/diffusion/test_chain.py::test_sigma_form_is_data_plus_noise
Arrays run over t = 0 ... T, and t = 0 is the data: abar_0 = 1, beta_0 = 0, sigma_0 = 0.
So `array[t]` is the symbol with the index t.  A shift by one is the usual error here.
Symbols: N rows, D data, T steps; t is one integer, or (N,) of them, one for each row.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

from scratch import checks

HO_BETAS = np.linspace(1e-4, 0.02, 1000)                    # Ho et al. 2020, section 4
MOST_BETA, COSINE_OFFSET = 0.999, 0.008      # Nichol and Dhariwal 2021, at eq. 17: so abar_T > 0


# ---- schedules: abar as a curve over u = t / T in [0, 1], from 1 down ----

def linear(u):
    """abar(u) of 1,000 steps with beta_t linear in t, from 1 to 4e-5, for any number of steps."""
    log_curve = np.concatenate([[0.0], np.cumsum(np.log1p(-HO_BETAS))])
    return np.exp(np.interp(checks.constant(u, "u") * len(HO_BETAS), np.arange(len(log_curve)), log_curve))


def cosine(u):
    """abar(u) = f(u) / f(0), f(u) = cos^2(pi/2 (u + s) / (1 + s)), which falls more evenly.

    (Nichol and Dhariwal 2021, "Improved Denoising Diffusion Probabilistic Models", eq. 17.)
    """
    u, s = checks.constant(u, "u"), COSINE_OFFSET
    return (np.cos((u + s) / (1 + s) * np.pi / 2) / np.cos(s / (1 + s) * np.pi / 2)) ** 2


@dataclass(frozen=True)
class Chain:
    """T = steps Gaussian steps from data to noise along a schedule, u in [0, 1] -> abar.

    Constants (T + 1,): alpha_bar, beta, sigma, and posterior_variance, the btilde of (3).

    >>> chain = Chain(steps=1000)
    >>> x = chain.noised(np.ones((2, 3)), 1000, eps=np.zeros((2, 3)))
    >>> print(f"{x[0, 0]:.5f} of x_0 is left under {chain.sigma[1000]:.1f} times as much noise")
    0.00635 of x_0 is left under 157.4 times as much noise
    """
    steps: int
    schedule: Callable = linear

    def __post_init__(self):
        checks.fields(self, steps=checks.size, schedule=checks.function)
        curve = np.asarray(self.schedule(np.arange(self.steps + 1) / self.steps))
        if curve.shape != (self.steps + 1,) or not (abs(curve[0] - 1) < 1e-12 and (np.diff(curve) < 0).all()
                                                    and curve[-1] > -1e-12):
            raise ValueError("schedule must fall from abar(0) = 1 and stay above 0")
        a = np.cumprod(np.concatenate([[1.0], np.maximum(curve[1:] / curve[:-1], 1 - MOST_BETA)]))  # abar_t
        beta = np.concatenate([[0.0], 1 - a[1:] / a[:-1]])
        btilde = np.concatenate([[0.0], beta[1:] * (1 - a[:-1]) / (1 - a[1:])])                     # (3)
        sigma = np.sqrt((1 - a) / a)                                                                # (5)
        for name, array in dict(alpha_bar=a, beta=beta, sigma=sigma, posterior_variance=btilde).items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def step(self, x, t, eps):
        """x_t from x_(t-1) = x and eps ~ N(0, I), (N, D)."""
        x, t = self._at(x, t)
        beta = _column(self.beta[t], x)
        return np.sqrt(1 - beta) * x + np.sqrt(beta) * eps                                          # (1)

    def noised(self, x0, t, eps):
        """x_t from x_0 and eps ~ N(0, I), (N, D), at once; t = 0 gives x_0 back."""
        x0, t = self._at(x0, t, first=0)
        a = self.alpha_bar[t]
        return _column(np.sqrt(a), x0) * x0 + _column(np.sqrt(1 - a), x0) * eps                     # (2)

    def posterior_mean(self, x, x0, t):
        """The mean (N, D) of q(x_(t-1) | x_t, x_0); the covariance is posterior_variance[t] I."""
        x, t = self._at(x, t)
        of_x0, of_x = (_column(weight, x) for weight in self.posterior_weights(t))
        return of_x0 * x0 + of_x * x                                                                # (4)

    def posterior_weights(self, t):
        """The weights of x_0 and of x_t in the posterior mean, each of the shape of t."""
        before, after, beta = self.alpha_bar[t - 1], self.alpha_bar[t], self.beta[t]
        return np.sqrt(before) * beta / (1 - after), np.sqrt(1 - beta) * (1 - before) / (1 - after)  # (4)

    def denoised(self, denoise, x, t):
        """E[x_0 | x_t = x], (N, D), by a denoiser of the sigma form, for one t."""
        x, t = self._at(x, checks.size(t, "t"))
        return denoise(x / _column(np.sqrt(self.alpha_bar[t]), x), float(self.sigma[t]))

    def _at(self, x, t, first=1):
        """x as rows and t as integers from `first` to T, one or one for each row."""
        x, t = checks.rows(x), np.asarray(t)
        if t.dtype.kind not in "iu":
            raise TypeError(f"t must be integers, got {t.dtype}")
        if t.shape not in ((), (len(x),)) or t.min() < first or t.max() > self.steps:
            raise ValueError(f"t must be one integer, or ({len(x)},) of them, from {first} to {self.steps}, "
                             f"got shape {t.shape} from {t.min()} to {t.max()}")
        return x, t


def _column(values, x):
    """Constants of one t, or one per row, as a column in the dtype of x: float32 stays float32."""
    return np.asarray(values).astype(x.real.dtype).reshape(-1, 1)
