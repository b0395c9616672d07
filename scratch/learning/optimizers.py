"""Gradient descent, momentum and Adam on one flat vector; schedules; averaged parameters.

An optimizer is a rule and its constants.  It holds no state: its memory is
handed in and handed back, so that a run can be stopped, saved and compared.

    memory        = optimizer.start(theta)
    theta, memory = optimizer.step(theta, dtheta, memory, scale)

`scale` multiplies the learning rate; a schedule computes it from the fraction of
the run that is done.  The rate is a number, or an array (P,) of one number per
parameter (0 keeps it fixed), so that two players can learn at different rates.
No step changes its arguments.

Symbols: g = dtheta, the gradient; P parameters; t counts steps from 1.
"""
from dataclasses import dataclass
from math import sqrt

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
        return theta - _rate(self, theta, scale) * dtheta, memory


@dataclass(frozen=True)
class Momentum:
    """velocity <- beta velocity + g;  theta <- theta - rate velocity.

    (Polyak 1964, "Some methods of speeding up the convergence of iteration methods".)
    """
    learning_rate: float
    beta: float = 0.9

    def __post_init__(self):
        _check_rate(self.learning_rate)
        object.__setattr__(self, "beta", _memory_factor(self.beta, "beta"))

    def start(self, theta):
        """A velocity of zero."""
        return np.zeros_like(theta)

    def step(self, theta, dtheta, velocity, scale=1.0):
        """One step of the heavy ball."""
        velocity = self.beta * velocity + dtheta
        return theta - _rate(self, theta, scale) * velocity, velocity


@dataclass(frozen=True)
class Adam:
    """Adaptive moments (Kingma and Ba 2015, "Adam: a method for stochastic optimization", Algorithm 1).

    (1)  m_hat = weighted mean of g,       of weight beta1^(t-s) at step s
    (2)  v_hat = weighted mean of g^2,     of weight beta2^(t-s) at step s
    (3)  theta <- theta - rate m_hat / (sqrt(v_hat) + epsilon)

    The code keeps the weighted sums m and v.  Their weights add up to (1 - beta^t) / (1 - beta): dividing
    by that is the paper's bias correction.  The two quotients of (3) are numbers, and are combined before
    they meet an array, as at the end of section 2 of the paper.

    Under a constant gradient every coordinate moves by rate at each step (up to epsilon), and theta by
    rate sqrt(P).  So Adam hides a wrong factor in the loss, and "it trains" proves nothing.

    Constants.  0.9, 0.999 and 1e-8 are the paper's.  Most recipes here set beta2 = 0.99, which averages
    g^2 over about 100 steps instead of 1,000 and so forgets the large first gradients within a short run;
    it and the learning rates were tuned by hand on LAWS, rates between 1e-3 and 1e-2; no sweep is recorded.

    Checked in tests/learning/test_optimizers.py::test_first_five_steps_of_adam_by_hand.
    """
    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        _check_rate(self.learning_rate)
        object.__setattr__(self, "beta1", _memory_factor(self.beta1, "beta1"))
        object.__setattr__(self, "beta2", _memory_factor(self.beta2, "beta2"))
        object.__setattr__(self, "epsilon", checks.positive(self.epsilon, "epsilon"))

    def start(self, theta):
        """Both sums zero, at step 0."""
        return np.zeros_like(theta), np.zeros_like(theta), 0

    def step(self, theta, dtheta, memory, scale=1.0):
        """One step: two sums, two means, the update."""
        m, v, t = memory
        t = t + 1
        m = self.beta1 * m + dtheta
        v = self.beta2 * v + dtheta * dtheta
        weight_m = (1 - self.beta1 ** t) / (1 - self.beta1)             # m_hat = m / weight_m         (1)
        root_weight_v = sqrt((1 - self.beta2 ** t) / (1 - self.beta2))  # v_hat = v / root_weight_v^2  (2)
        rate = _rate(self, theta, scale) * (root_weight_v / weight_m)
        theta = theta - rate * m / (np.sqrt(v) + self.epsilon * root_weight_v)      # (P,)  (3)
        return theta, (m, v, t)


def constant(done):
    """Schedule: the full learning rate throughout."""
    return 1.0


def linear(done):
    """Schedule: from 1 straight down to 0; `done` in [0, 1] is the fraction of the run behind us."""
    return 1.0 - done


def cosine(done):
    """Schedule: from 1 to 0 along half a cosine, flat at both ends (Loshchilov and Hutter 2017, "SGDR")."""
    return 0.5 + 0.5 * float(np.cos(np.pi * done))


def warmed_up_cosine(done):
    """Schedule: up to 1 over the first twentieth of the run, then as cosine.

    Twentieth and the first factor 0.01 were chosen by hand for the transformer; not swept.
    """
    return min(1.0, done * 20 + 0.01) * cosine(done)


def average(mean, theta, t, gamma=7.0):
    """The running mean of theta after its t-th value, the s-th value weighing s^(gamma+1) - (s-1)^(gamma+1).

    That is about (gamma + 1) s^gamma: the "power function" profile (Karras et al. 2024, "Analyzing and
    improving the training dynamics of diffusion models", section 3.1).  The window grows with the run, so
    nothing has to be tuned to the number of steps; t = 1 gives theta itself.  gamma = 7 puts half of the
    weight on the last 1 - 2^(-1/8) = 8 % of the run, where the schedules have made the rate small.  The
    paper's exponents are 6.94 and 16.97 (averages as wide as 10 % and 5 % of the run); 7 is the first,
    rounded, and was not swept.

    Checked in tests/learning/test_optimizers.py::test_average_is_the_weighted_mean_it_claims.
    """
    keep = float((1 - 1 / t) ** (gamma + 1))
    return keep * mean + (1 - keep) * theta


def _check_rate(rate):
    if np.ndim(rate) == 0:
        checks.positive(rate, "learning_rate")
    elif np.ndim(rate) != 1 or not (checks.constant(rate, "learning_rate") >= 0).all():
        raise ValueError(f"learning_rate must be a positive number, or one per parameter (P,), 0 or more, got {rate!r}")


def _rate(optimizer, theta, scale):
    """scale times the learning rate: a float, or an array (P,) in the precision of theta."""
    rate = optimizer.learning_rate
    if np.ndim(rate) == 0:
        return float(scale * rate)                          # a NumPy scalar would widen a float32 theta
    if len(rate) != len(theta):
        raise ValueError(f"learning_rate has {len(rate)} entries, but there are {len(theta)} parameters")
    return np.asarray(scale * np.asarray(rate), theta.dtype)


def _memory_factor(beta, name):
    if not 0 <= beta < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {beta}")
    return float(beta)
