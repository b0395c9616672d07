"""How noise is added: a stochastic differential equation (SDE), its sigma form, and two ways back.

Forward.   A linear SDE carries data x_0 to noise, t from 0 to 1:
    dx = f(t) x dt + g(t) dw                                                                 (1)

Given x_0, its solution is Gaussian.  Put x = s(t) y with s = exp(int_0^t f).  By the product rule
the drift cancels, dy = (g / s) dw, so
    x_t = s (x_0 + sigma eps),    eps ~ N(0, I),    sigma^2 = int_0^t (g / s)^2              (2)

Thus x_t / s is the same Brownian motion for every linear SDE, and only its time scale sigma(t)
differs (Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
appendix B).  Networks and samplers need sigma alone (samplers.py).  "Variance preserving" (VP) is
    f = -beta / 2,  g^2 = beta:   s = exp(-B / 2),  sigma^2 = exp(B) - 1,  B = int_0^t beta   (3)

because s^2 (1 + sigma^2) = 1 keeps data of variance 1 at 1.  chain.py tends to it as T grows.

Backward.  The density p of x_t obeys the Fokker-Planck equation.  With score = grad log p and the
Laplacian lap p = div grad p = div(score p) it reads
    dp/dt = -div(f x p) + g^2 / 2 lap p = -div[(f x - g^2 / 2 score) p]

So points that move with the velocity in brackets, without noise, have the densities of the SDE at
every t.  This ODE, the "probability flow", runs either way.  With t' = -t the right side changes its
sign.  Take g^2 / 2 score p off inside the bracket once more, and add its divergence outside:
    dp/dt' = div[(f x - g^2 score) p] + g^2 / 2 lap p

This is the Fokker-Planck equation of an SDE that runs back (Anderson 1982, "Reverse-time diffusion
equation models").  Written in t, with dt < 0:
    ODE   dx = (f x - g^2 / 2 score) dt                                                      (4)
    SDE   dx = (f x - g^2     score) dt + g dw                                               (5)

Predictions.  Write x = a x_0 + b eps, a = s, b = s sigma.  A network may predict the score, or the
expectation given x of x_0, of eps or of the velocity v.  Given x, each gives the others.
    x_0   = (x - b eps) / a                                                                  (6)
    eps   = (x - a x_0) / b                                                                  (7)
    score = grad log p_t(x) = E[-eps / b | x]     (as p_t = int p_0(x_0) N(x; a x_0, b^2 I))  (8)
    v     = a eps - b x_0 = dx / dphi,  a = cos phi, b = sin phi                             (9)

(v: Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models".)

Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential
Equations", eqs. 5, 6, 13, 32, 33.
Checked in tests/implicit/diffusion/test_processes.py::test_scale_and_sigma_solve_the_forward_sde
Checked in tests/implicit/diffusion/test_processes.py::test_score_is_the_gradient_of_the_log_density
Checked in tests/implicit/diffusion/test_processes.py::test_marginals_on_gaussian_data_are_exact
Checked in tests/implicit/diffusion/test_processes.py::test_predictions_fit_known_data_and_noise
Symbols: N rows, D data, w a Brownian motion, B the integral of beta.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks


@dataclass(frozen=True)
class VP:
    """The VP SDE with beta growing linearly in t, constants as in Song et al. 2021, appendix C.

    t is a number in [0, 1] or an array of them: beside rows x (N, D) a column (N, 1).

    >>> process = VP()
    >>> print(f"x_1 = {process.scale(1.0):.4f} x_0 + {process.std(1.0):.4f} eps")
    x_1 = 0.0066 x_0 + 1.0000 eps
    """
    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        checks.positive(self.beta_min, "beta_min"), checks.positive(self.beta_max, "beta_max")

    def drift(self, x, t):
        """f(t) x, (N, D)."""
        x = checks.rows(x)
        return -0.5 * self._beta(_number_or_column(x, t)) * x                     # (1)

    def diffusion(self, t):
        """g(t)."""
        return np.sqrt(self._beta(t))                                             # (1)

    def scale(self, t):
        """s(t)."""
        return np.exp(-0.5 * self._integral(t))                                   # (3)

    def sigma(self, t):
        """The noise in x_t relative to the data in it."""
        return np.sqrt(np.expm1(self._integral(t)))                               # (3)

    def std(self, t):
        """b, the standard deviation of x_t given x_0."""
        return self.scale(t) * self.sigma(t)                                      # (2)

    def score(self, denoise, x, t):
        """grad log p_t(x), (N, D), from a denoiser of the sigma form y = x / s, for one t > 0."""
        t = checks.positive(t, "t")
        s, sigma = float(self.scale(t)), float(self.sigma(t))
        y = checks.rows(x) / s
        return (denoise(y, sigma) - y) / (s * sigma ** 2)                         # (7), (8)

    def probability_flow(self, x, t, score):
        """dx/dt, (N, D), of the ODE that has the densities of the SDE."""
        score = checks.rows(score, np.shape(x)[-1], "score")
        return self.drift(x, t) - 0.5 * self.diffusion(t) ** 2 * score            # (4)

    def reverse_drift(self, x, t, score):
        """The drift (N, D) of the SDE that runs back, dt < 0; its noise is diffusion(t)."""
        score = checks.rows(score, np.shape(x)[-1], "score")
        return self.drift(x, t) - self.diffusion(t) ** 2 * score                  # (5)

    def _beta(self, t):
        return self.beta_min + _time(t) * (self.beta_max - self.beta_min)

    def _integral(self, t):
        """B = int_0^t beta."""
        t = _time(t)
        return t * (self.beta_min + t * (self.beta_max - self.beta_min) / 2)


def _time(t):
    t = checks.constant(t, "t")
    if not ((t >= 0) & (t <= 1)).all():
        raise ValueError(f"t must lie in [0, 1], got {t.min():g} to {t.max():g}")
    return t


def _number_or_column(x, t):
    """t, one for all rows of x or a column; (N,) would be spread along D without an error."""
    t = checks.constant(t, "t")
    if t.shape not in ((), (len(x), 1)):
        raise ValueError(f"t must be one number or a column ({len(x)}, 1), got shape {t.shape}")
    return t

