"""Steepest descent, momentum and Adam on one flat vector; schedules; averaged parameters.

An optimizer is a rule and its constants.  It holds no state: what it remembers
is handed in and handed back, so that a run can be stopped, saved, compared.

    memory        = optimizer.start(theta)
    theta, memory = optimizer.step(theta, dtheta, memory, scale)

`scale` multiplies the learning rate; a schedule computes it from the share of
the run that is done.  The rate is a number, or an array (P,) of one number per
parameter (0 holds it fast), so that two players can learn at different rates.
No step changes its arguments.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks


@dataclass(frozen=True)
class SGD:
    """theta <- theta - rate g."""
    learning_rate: float

    def __post_init__(self):
        _check_rate(self.learning_rate)

    def start(self, theta):
        """Nothing to remember."""
        return ()

    def step(self, theta, dtheta, memory, scale=1.0):
        """One step against the gradient."""
        return theta - scale * _rate(self, theta) * dtheta, memory


@dataclass(frozen=True)
class Momentum:
    """velocity <- beta velocity + g;  theta <- theta - rate velocity (Polyak 1964)."""
    learning_rate: float
    beta: float = 0.9

    def __post_init__(self):
        _check_rate(self.learning_rate)
        _check_memory_factor(self.beta, "beta")

    def start(self, theta):
        """A velocity of zero."""
        return np.zeros_like(theta)

    def step(self, theta, dtheta, velocity, scale=1.0):
        """One step of the heavy ball."""
        velocity = self.beta * velocity + dtheta
        return theta - scale * _rate(self, theta) * velocity, velocity


@dataclass(frozen=True)
class Adam:
    """Adaptive moments (Kingma and Ba 2015, Algorithm 1), line by line.

    m and v are moving averages of g and g^2 that start at 0, so after t steps
    they hold the weight 1 - beta^t: dividing by it removes the bias.  Under a
    constant gradient every step, the first included, has length rate exactly
    (up to epsilon): Adam does not see the scale of a loss, which is why it
    hides wrong factors and why "it trains" proves nothing.
    """
    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        _check_rate(self.learning_rate)
        _check_memory_factor(self.beta1, "beta1")
        _check_memory_factor(self.beta2, "beta2")
        checks.positive(self.epsilon, "epsilon")

    def start(self, theta):
        """Both moments zero, at step 0."""
        return np.zeros_like(theta), np.zeros_like(theta), 0

    def step(self, theta, dtheta, memory, scale=1.0):
        """One step: moments, bias correction, update."""
        m, v, t = memory
        t = t + 1
        m = self.beta1 * m + (1 - self.beta1) * dtheta
        v = self.beta2 * v + (1 - self.beta2) * (dtheta * dtheta)
        m_hat = m / (1 - self.beta1 ** t)
        v_hat = v / (1 - self.beta2 ** t)
        theta = theta - scale * _rate(self, theta) * m_hat / (np.sqrt(v_hat) + self.epsilon)
        return theta, (m, v, t)


def constant(done):
    """Schedule: the full learning rate throughout."""
    return 1.0


def linear(done):
    """Schedule: from 1 straight down to 0; `done` in [0, 1] is the share of the run behind us."""
    return 1.0 - done


def cosine(done):
    """Schedule: from 1 to 0 along half a cosine, flat at both ends (Loshchilov and Hutter 2017)."""
    return 0.5 + 0.5 * float(np.cos(np.pi * done))


def warmed_up_cosine(done):
    """Schedule: up to 1 over the first twentieth of the run, then as cosine."""
    return min(1.0, done * 20 + 0.01) * cosine(done)


def average(mean, theta, t, gamma=7.0):
    """The running mean of theta after its t-th value, later values weighing as t^gamma.

    (Karras et al. 2024, section 3.1, "power function" profile.)  The window
    grows with the run, about the last 1/(gamma + 1) of it, so that nothing has
    to be tuned to the number of steps; t = 1 gives theta itself.
    """
    keep = (1 - 1 / t) ** (gamma + 1)
    return keep * mean + (1 - keep) * theta


def _check_rate(rate):
    if np.ndim(rate) == 0:
        checks.positive(rate, "learning_rate")
    elif np.ndim(rate) != 1 or not (checks.constant(rate, "learning_rate") >= 0).all():
        raise ValueError(f"learning_rate must be a positive number, or one per parameter (P,), 0 or more, got {rate!r}")


def _rate(optimizer, theta):
    """The learning rate, if it is an array in the precision of theta."""
    rate = optimizer.learning_rate
    if np.ndim(rate) == 0:
        return rate
    if len(rate) != len(theta):
        raise ValueError(f"learning_rate has {len(rate)} entries, but there are {len(theta)} parameters")
    return np.asarray(rate, theta.dtype)


def _check_memory_factor(beta, name):
    if not 0 <= beta < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {beta}")
