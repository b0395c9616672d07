"""Gradient descent and Adam on one flat vector; schedules; averaged parameters.

An optimizer is a rule and its constants, without state.  Its memory is an argument and a result,
so that a run can be stopped, saved and compared.

    memory        = optimizer.start(theta)
    theta, memory = optimizer.step(theta, dtheta, memory, scale)

`scale` multiplies the learning rate; a schedule computes it from the fraction of the run that is
done.  The rate is a number, or (P,) numbers, one for each parameter (0 keeps it fixed), so that two
players can learn at different rates.  These are kept as a tuple, which can be compared and hashed.
No step changes its arguments.

Symbols: g = dtheta, the gradient; P parameters; t counts steps from 1.
"""
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from scratch import checks


class _Rates:
    _rates = cached_property(lambda self: np.array(self.learning_rate))     # made once, not at every step


@dataclass(frozen=True)
class SGD(_Rates):
    """theta <- theta - rate g."""
    learning_rate: float

    def __post_init__(self):
        checks.fields(self, learning_rate=_numbers)

    def start(self, theta):
        """Nothing to remember."""
        return ()

    def step(self, theta, dtheta, memory, scale=1.0):
        """One step against the gradient."""
        return theta - _rate(self, theta, scale) * dtheta, memory


@dataclass(frozen=True)
class Adam(_Rates):
    """Kingma and Ba 2015, "Adam: a method for stochastic optimization", Algorithm 1.

    (1)  m_hat = the mean of g over the steps s = 1 ... t, weighted by beta1^(t-s)
    (2)  v_hat = the mean of g^2, weighted by beta2^(t-s)
    (3)  theta <- theta - rate m_hat / (sqrt(v_hat) + epsilon)

    The code keeps the weighted sums m and v.  The weights add up to (1 - beta^t) / (1 - beta), and
    division by that is the paper's bias correction.  Both divisors are numbers, and go into one
    factor of the rate, as at the end of the paper's section 2.

    Under a constant gradient every coordinate moves by rate at each step (up to epsilon), and theta
    by rate sqrt(P).  So Adam hides a wrong factor in the loss: "it trains" proves nothing.
    figures/learning/adam_hides.py trains six wrong codes beside the right ones.

    >>> theta, adam = np.zeros(3), Adam(0.1)
    >>> adam.step(theta, np.array([1e-3, 1.0, -50.0]), adam.start(theta))[0].round(4)
    array([-0.1, -0.1,  0.1])

    Constants.  0.9, 0.999 and 1e-8 are the paper's.  Most recipes here set beta2 = 0.99: g^2 is
    averaged over about 100 steps, and a bad start is forgotten ten times faster than with 0.999.
    beta2 and the rates of the recipes were tuned by hand on LAWS; no sweep is recorded.
    Checked in tests/learning/test_optimizers.py::test_first_five_steps_of_adam_by_hand.
    """
    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        checks.fields(self, learning_rate=_numbers, beta1=_memory_factor, beta2=_memory_factor,
                      epsilon=checks.positive)

    def start(self, theta):
        """Both sums zero, at step 0."""
        return np.zeros_like(theta), np.zeros_like(theta), 0

    def step(self, theta, dtheta, memory, scale=1.0):
        """One step: two sums, two means, the update; NaN where v overflows (in float32 at g of 1e18)."""
        m, v, t = memory
        t = t + 1
        m = self.beta1 * m + dtheta
        try:
            with np.errstate(over="raise"):                 # m / sqrt(inf) = 0 would not move, unnoticed
                v = self.beta2 * v + dtheta * dtheta
        except FloatingPointError:
            v = np.full_like(theta, np.nan)
        weight_m = (1 - self.beta1 ** t) / (1 - self.beta1)             # m_hat = m / weight_m  (1)
        root_weight_v = sqrt((1 - self.beta2 ** t) / (1 - self.beta2)) # v_hat = v / this^2  (2)
        rate = _rate(self, theta, scale) * (root_weight_v / weight_m)
        theta = theta - rate * m / (np.sqrt(v) + self.epsilon * root_weight_v)      # (P,)  (3)
        return theta, (m, v, t)


def constant(done):
    """Schedule: the full learning rate throughout."""
    return 1.0


def cosine(done):
    """Schedule: 1 to 0 along half a cosine (Loshchilov and Hutter 2017, "SGDR"), done in [0, 1]."""
    return 0.5 + 0.5 * float(np.cos(np.pi * checks.number(done, "done")))


def warmed_up_cosine(done):
    """Schedule: up to 1 over the first twentieth of the run, then as cosine.

    The twentieth and the first factor, 0.01, were chosen by hand for the transformer and not swept.
    """
    return cosine(done) * min(1.0, done * 20 + 0.01)


def average(mean, theta, t, gamma=7.0):
    """The mean of the first t values of theta, from the mean of t - 1; value s has the weight w_s.

    w_s = s^(gamma+1) - (s-1)^(gamma+1) is about (gamma + 1) s^gamma: the "power function" profile
    (Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models",
    section 3.1).  The window grows with the run, so nothing depends on the number of steps.
    gamma = 7 puts half of the weight on the last 1 - 2^(-1/8) = 8 % of the run.  It is the smaller
    of the paper's two exponents (6.94 and 16.97), rounded, and was not swept here.
    Checked in tests/learning/test_optimizers.py::test_average_is_the_weighted_mean_it_claims.
    """
    keep = float((1 - 1 / t) ** (gamma + 1))
    return keep * mean + (1 - keep) * theta


def _numbers(rate, name):
    """rate as a float, or as a tuple of P floats."""
    rates = checks.constant(rate, name)
    if rates.ndim == 0:
        return checks.positive(rates.item(), name)
    if rates.ndim != 1 or not (rates >= 0).all():
        raise ValueError(f"{name} must be positive, or (P,) numbers of 0 or more, got {checks.brief(rate)}")
    return tuple(rates.tolist())


def _rate(optimizer, theta, scale):
    """scale times the learning rate: a float, or an array (P,) in the precision of theta."""
    rate = optimizer.learning_rate
    if isinstance(rate, float):
        return float(scale * rate)                          # a NumPy scalar would widen float32
    if len(rate) != len(theta):
        raise ValueError(f"learning_rate has {len(rate)} entries, but there are {len(theta)} parameters")
    return np.asarray(scale * optimizer._rates, theta.dtype)


def _memory_factor(beta, name):
    if not 0 <= checks.number(beta, name) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {beta}")
    return float(beta)
