"""How noise is added: the SDEs, the one-variable form, and the four ways to predict.

Forward.   A linear SDE carries data x_0 to noise, t from 0 to 1 (Song et al. 2021, eq. 5):

    dx = f(t) x dt + g(t) dw

Its solution from a given x_0 is Gaussian.  Put x = s(t) y with s = exp(int_0^t f).  By
the product rule the drift drops out, dy = g / s dw, and what is left of the process is
a clock (Karras et al. 2022, appendix B):

    x_t = s (x_0 + sigma eps),    eps ~ N(0, I),    sigma^2 = int_0^t (g / s)^2

So x_t / s is one and the same Brownian motion for every such SDE, read by a clock of its
own.  Networks and samplers then need sigma alone (samplers.py), and what is called a
model of its own is a choice of two functions:

    VP   f = -beta / 2, g^2 = beta:   s = exp(-B / 2), sigma^2 = exp(B) - 1, B = int_0^t beta
         "variance preserving": s^2 (1 + sigma^2) = 1 keeps data of variance 1 at 1
    VE   f = 0:                       s = 1, sigma^2 = int_0^t g^2       "variance exploding"

Backward.   The density of x_t obeys the Fokker-Planck equation, and lap p = div(score p)
with score = grad log p, so that

    dp/dt = -div(f x p) + g^2 / 2 lap p = -div[(f x - g^2 / 2 score) p]

The right side belongs to a motion without noise, its velocity in parentheses: this
"probability flow" has the densities of the SDE at every t, and can run either way.
In t' = -t, with g^2 / 2 lap p taken out of the divergence again,

    dp/dt' = div[(f x - g^2 score) p] + g^2 / 2 lap p

which belongs to an SDE that runs back (Anderson 1982).  Written in t, with dt < 0:

    ODE   dx = (f x - g^2 / 2 score) dt
    SDE   dx = (f x - g^2     score) dt + g dw

Dictionary.   Write x = a x_0 + b eps, with a = s and b = s sigma.  Given x, any one of

    x0     the data                    E[x_0 | x]
    eps    the noise                   E[eps | x] = (x - a x0) / b
    score  grad log p_t(x)             -eps / b           (differentiate p_t = int p_0 N(x; a x_0, b^2 I))
    v      the velocity, a eps - b x0  (Salimans and Ho 2022): dx / dphi where a = cos phi, b = sin phi

tells the others.  Each equals p x + q x0 with two numbers p and q, and these pairs are
the dictionary.  A network may predict any of the four; what differs is how much an error
in the prediction counts.
"""
from dataclasses import dataclass
from math import log

import numpy as np

from scratch import checks


class _LinearSDE:
    """What follows from f, g, s and sigma.

    t is a number in [0, 1] or an array of them: beside rows x (n, D) a column (n, 1).
    """

    def std(self, t):
        """The standard deviation of x_t given x_0, s sigma."""
        return self.scale(t) * self.sigma(t)

    def add_noise(self, x0, t, eps):
        """x_t = s (x_0 + sigma eps)."""
        x0 = checks.rows(x0, name="x0")                                           # (n, D)
        t = _number_or_column(x0, t, "t")
        return self.scale(t) * (x0 + self.sigma(t) * _rows_like(x0, eps, "eps"))

    def score(self, denoise, x, t):
        """grad log p_t(x) from a denoiser of the sigma form, for one t > 0.

        p_t(x) is p_sigma(x / s) but for a constant, and the chain rule gives another 1 / s.
        """
        x, t = checks.rows(x), checks.positive(t, "t")
        s, sigma = float(self.scale(t)), float(self.sigma(t))
        y = x / s
        return (denoise(y, sigma) - y) / (s * sigma ** 2)

    def probability_flow(self, x, t, score):
        """dx/dt of the ODE that has the marginals of the SDE."""
        return self.drift(x, t) - 0.5 * self.diffusion(t) ** 2 * _rows_like(x, score, "score")

    def reverse_drift(self, x, t, score):
        """The drift of the SDE that runs back, dt < 0; its noise is diffusion(t) again."""
        return self.drift(x, t) - self.diffusion(t) ** 2 * _rows_like(x, score, "score")

    def _level(self, sigma):
        sigma, most = checks.constant(sigma, "sigma"), self.sigma(1.0)
        if not ((sigma >= 0) & (sigma <= most)).all():
            raise ValueError(f"sigma must lie in [0, {most:.10g}], the levels of {self}, "
                             f"got {sigma.min():.10g} to {sigma.max():.10g}")
        return sigma


@dataclass(frozen=True)
class VP(_LinearSDE):
    """Variance preserving, beta growing linearly (Song et al. 2021, eq. 32 and 33): the limit of DDPM's chain."""
    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        checks.positive(self.beta_min, "beta_min"), checks.positive(self.beta_max, "beta_max")

    def drift(self, x, t):
        """f(t) x = -beta / 2 x."""
        x = checks.rows(x)
        return -0.5 * self._beta(_number_or_column(x, t, "t")) * x

    def diffusion(self, t):
        """g(t) = sqrt(beta)."""
        return np.sqrt(self._beta(t))

    def scale(self, t):
        """s(t) = exp(-B / 2)."""
        return np.exp(-0.5 * self._integral(t))

    def sigma(self, t):
        """sqrt(exp(B) - 1)."""
        return np.sqrt(np.expm1(self._integral(t)))

    def time(self, sigma):
        """The t at which sigma(t) = sigma: B = log(1 + sigma^2), a quadratic equation in t."""
        B, slope = np.log1p(self._level(sigma) ** 2), self.beta_max - self.beta_min
        return 2 * B / (self.beta_min + np.sqrt(self.beta_min ** 2 + 2 * slope * B))

    def _beta(self, t):
        return self.beta_min + _time(t) * (self.beta_max - self.beta_min)

    def _integral(self, t):
        """B = int_0^t beta."""
        t = _time(t)
        return t * (self.beta_min + t * (self.beta_max - self.beta_min) / 2)


@dataclass(frozen=True)
class VE(_LinearSDE):
    """Variance exploding, geometrically (Song et al. 2021, eq. 30).

    g^2 = d/dt sigma_min^2 R^(2 t), R = sigma_max / sigma_min, so that the integral
    from 0 is sigma^2 = sigma_min^2 (R^(2 t) - 1).  Their eq. 31 leaves out the -1;
    here p_0 is the data.
    """
    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self):
        checks.positive(self.sigma_min, "sigma_min"), checks.positive(self.sigma_max, "sigma_max")
        if not self.sigma_min < self.sigma_max:
            raise ValueError(f"sigma_min must be below sigma_max, got {self.sigma_min} and {self.sigma_max}")

    def drift(self, x, t):
        """0: the data are not shrunk."""
        x = checks.rows(x)
        _time(_number_or_column(x, t, "t"))
        return np.zeros_like(x)

    def diffusion(self, t):
        """g(t) = sigma_min R^t sqrt(2 log R)."""
        return self.sigma_min * np.exp(self._log_ratio * _time(t)) * np.sqrt(2 * self._log_ratio)

    def scale(self, t):
        """1."""
        return np.ones_like(_time(t))

    def sigma(self, t):
        """sigma_min sqrt(R^(2 t) - 1)."""
        return self.sigma_min * np.sqrt(np.expm1(2 * self._log_ratio * _time(t)))

    def time(self, sigma):
        """The t at which sigma(t) = sigma."""
        return np.log1p((self._level(sigma) / self.sigma_min) ** 2) / (2 * self._log_ratio)

    @property
    def _log_ratio(self):
        return log(self.sigma_max / self.sigma_min)


# ---- the dictionary: each word is the pair (p, q) of  prediction = p x + q x0 ----

def as_x0(a, b):
    """x0 itself."""
    return 0.0, 1.0


def as_eps(a, b):
    """eps = (x - a x0) / b."""
    return 1 / b, -a / b


def as_v(a, b):
    """v = a eps - b x0 = a (x - a x0) / b - b x0."""
    return a / b, -(a * a + b * b) / b


def as_score(a, b):
    """score = -eps / b = (a x0 - x) / b^2."""
    return -1 / b ** 2, a / b ** 2


def translate(prediction, x, a, b, source, target):
    """What `target` would have predicted at x = a x_0 + b eps, where `source` predicts this.

    >>> eps = np.array([[0.5, -1.0]]); x0 = np.array([[3.0, 4.0]])
    >>> translate(eps, 0.8 * x0 + 0.6 * eps, 0.8, 0.6, as_eps, as_x0)
    array([[3., 4.]])
    """
    x = checks.rows(x)
    prediction = _rows_like(x, prediction, "prediction")
    a, b = _number_or_column(x, a, "a"), _number_or_column(x, b, "b")
    if not ((a > 0) & (b > 0)).all():
        raise ValueError(f"a and b must be positive, got a = {a} and b = {b}")
    p, q = source(a, b)
    x0 = (prediction - p * x) / q
    p, q = target(a, b)
    return p * x + q * x0


def _time(t):
    t = checks.constant(t, "t")
    if not ((t >= 0) & (t <= 1)).all():
        raise ValueError(f"t must lie in [0, 1], got {t.min():g} to {t.max():g}")
    return t


def _number_or_column(x, value, name):
    """value, one for all rows of x or one for each; (n,) would be spread along D, or turn (n, 1) into (n, n)."""
    value = checks.constant(value, name)
    if value.shape not in ((), (len(x), 1)):
        raise ValueError(f"{name} must be one number or a column ({len(x)}, 1), got shape {value.shape}")
    return value


def _rows_like(x, y, name):
    y = checks.rows(y, name=name)
    if y.shape != np.shape(x):
        raise ValueError(f"{name} must have the shape of x, {np.shape(x)}, got {y.shape}")
    return y
