"""Support vector machines: not a probability but a boundary, with the widest margin.

y in {0, 1}, s = +1 or -1 for class 1 or 0, f(x) = w^T phi(x) + b, margins m_n = s_n f(x_n).

Linear, in the primal, with the squared hinge (Chang, Hsieh and Lin 2008):

    P(w, b) = 1/N sum_n max(0, 1 - m_n)^2 + penalty/2 |w|^2
    df_n    = -2 s_n max(0, 1 - m_n) / N
    H       = 2/N sum over m_n < 1 of x~_n x~_n^T + penalty diag(1, ..., 1, 0)

The loss is piecewise quadratic, so Newton's method (newton.py) ends exactly as soon
as the set of rows inside the margin stays the same (Keerthi and DeCoste 2005).

Kernel, in the dual, with the hinge (Cortes and Vapnik 1995):

    P(w, b) = 1/N sum_n max(0, 1 - m_n) + penalty/2 |w|^2,        w = sum_n beta_n phi(x_n)

Divided by the penalty, P is 1/2 |w|^2 + C sum_n max(0, 1 - m_n) with the C = 1 / (penalty N)
of the textbooks.  The dual knows phi only through k(x, z) = phi(x)^T phi(z) and is solved
by smo.py.  Rows outside the margin get beta = 0; the others are the support vectors: on
the margin if 0 < |beta| < C, inside or misclassified if |beta| = C.  The same solver fits
a curve through numbers y with a tube of half-width epsilon around it (Vapnik 1995):

    P(w, b) = 1/N sum_n max(0, |y_n - f(x_n)| - epsilon) + penalty/2 |w|^2

Every dual point in its box bounds the minimum from below, so primal - dual, the gap,
bounds the error of any answer, whatever made it: the machines carry it as a proof.
"""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratch import checks
from scratch.discriminative.labeled import join, split_classes, split_numbers
from scratch.discriminative.newton import minimum
from scratch.discriminative.smo import maximize_dual
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class LinearSVM:
    """f(x) = w^T x + b; theta = [w_1 ... w_D, b].  Rows carry their class, 0 or 1, in the last column.

    >>> svm = LinearSVM(dim=1, penalty=1e-3)
    >>> theta = svm.fit(np.array([[-2.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [3.0, 1.0]]))
    >>> svm.predict(theta, np.array([[-0.5], [0.5]]))
    array([0, 1])
    """
    dim: int
    penalty: float

    recipe = Recipe(Adam(3e-2), batch_size=512)

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.positive(self.penalty, "penalty")

    @property
    def size(self):
        """The length P of theta."""
        return self.dim + 1

    def init(self, rng, dtype=np.float32):
        """Small random theta (P,); the loss is convex, so the start decides nothing."""
        return checks.generator(rng).normal(0, 0.1, self.size).astype(dtype)

    def draw_noise(self, rng, n):
        """The loss is exact: no noise."""
        return None

    def loss(self, theta, rows, noise=None):
        """P(w, b), and its gradient (P,)."""
        x, y = split_classes(rows, self.dim, 2)
        f, s = self.scores(theta, x), 2 * y - 1                                   # (N,)
        short = np.where(s * f.real < 1, 1 - s * f, 0)      # of a margin of 1
        w = theta[:-1]
        loss = np.sum(short * short) / len(x) + self.penalty / 2 * np.sum(w * w)
        df = -2 * s * short / len(x)
        dtheta = np.append(df @ x, np.sum(df)).astype(f.dtype, copy=False)
        dtheta[:-1] += self.penalty * w
        return loss, dtheta

    def hessian(self, theta, rows):
        """The second derivative of the loss away from its kinks, (P, P)."""
        x, y = split_classes(rows, self.dim, 2)
        inside = x[(2 * y - 1) * self.scores(theta, x) < 1]
        inside = np.hstack([inside, np.ones((len(inside), 1))])
        return 2 / len(x) * inside.T @ inside + self.penalty * np.diag(np.append(np.ones(self.dim), 0))

    def fit(self, rows):
        """theta at the minimum of the loss over these rows, by Newton's method."""
        return minimum(self, rows)

    def primal_and_dual(self, theta, rows):
        """P(theta) and a dual value below the minimum: their difference bounds the error of theta.

        The dual of the squared hinge is, for alpha >= 0 with sum_n s_n alpha_n = 0,

            D(alpha) = 1/N sum_n (alpha_n - alpha_n^2 / 4) - |sum_n alpha_n s_n x_n|^2 / (2 penalty N^2)

        At the minimum alpha = 2 max(0, 1 - m).  Elsewhere the class with the larger
        sum is scaled down, which makes the same alpha feasible.
        """
        x, y = split_classes(rows, self.dim, 2)
        s = 2 * y - 1
        alpha = 2 * np.maximum(1 - s * self.scores(theta, x), 0)
        sums = np.bincount(y, alpha, minlength=2)
        if sums.all():
            alpha *= (sums.min() / sums)[y]
        else:
            alpha[:] = 0
        w = (s * alpha) @ x / (self.penalty * len(x))
        dual = np.mean(alpha - alpha * alpha / 4) - self.penalty / 2 * (w @ w)
        return float(self.loss(theta, rows)[0]), float(dual)

    def scores(self, theta, x):
        """f(x), (N,): positive on the side of class 1."""
        theta, x = checks.flat(theta, self.size), checks.rows(x, self.dim)
        return x.astype(theta.real.dtype, copy=False) @ theta[:-1] + theta[-1]

    def predict(self, theta, x):
        """The side of the boundary that x is on, (N,)."""
        return (self.scores(theta, x) > 0).astype(int)


@dataclass(frozen=True)
class RBF:
    """k(x, z) = exp(-|x - z|^2 / (2 width^2))."""
    width: float

    def __post_init__(self):
        checks.positive(self.width, "width")

    def __call__(self, x, z):
        """The kernel between all rows of x (N, D) and z (M, D), (N, M)."""
        middle = z.mean(axis=0)                             # the kernel does not see a shift, the digits do
        x, z = x - middle, z - middle
        square = np.sum(x * x, axis=1)[:, None] + np.sum(z * z, axis=1) - 2 * x @ z.T
        return np.exp(-np.maximum(square, 0) / (2 * self.width ** 2))


def linear(x, z):
    """k(x, z) = x^T z, (N, M)."""
    return x @ z.T


class SupportVectors(NamedTuple):
    """What a kernel machine has learned: f(x) = sum_n beta_n k(x_n, x) + bias, and the proof of it."""
    x: np.ndarray           # (S, D) the rows with beta != 0
    beta: np.ndarray        # (S,)
    bias: float
    primal: float           # P
    gap: float              # P - D: no f has an objective below P - gap
    steps: int


@dataclass(frozen=True)
class KernelSVM:
    """The hinge machine with any positive semidefinite kernel(x, z) -> (N, M).  Rows as above.

    fit holds the N x N kernel matrix: 8 N^2 bytes.
    """
    dim: int
    penalty: float
    kernel: callable = RBF(1.0)

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.positive(self.penalty, "penalty")
        _check_kernel(self.kernel)

    def fit(self, rows, tolerance=1e-6):
        """SupportVectors with a duality gap of at most tolerance times the objective."""
        x, y = split_classes(rows, self.dim, 2)
        if y.min() == y.max():
            raise ValueError(f"rows must hold both classes, got only class {y[0]}")
        x, s, C = x.astype(float), 2.0 * y - 1, 1 / (self.penalty * len(y))
        box = np.minimum(s * C, 0), np.maximum(s * C, 0)
        solution = maximize_dual(self.kernel(x, x), s, *box, tolerance=tolerance)
        return _support_vectors(x, solution, self.penalty)

    def scores(self, machine, x):
        """f(x), (N,): positive on the side of class 1."""
        x = checks.rows(x, self.dim).astype(float, copy=False)
        return self.kernel(x, machine.x) @ machine.beta + machine.bias

    def predict(self, machine, x):
        """The side of the boundary that x is on, (N,)."""
        return (self.scores(machine, x) > 0).astype(int)


@dataclass(frozen=True)
class KernelSVR:
    """Regression with a tube that forgives errors below epsilon.  Rows carry their number y in the last column."""
    dim: int
    penalty: float
    epsilon: float
    kernel: callable = RBF(1.0)

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.positive(self.penalty, "penalty")
        checks.positive(self.epsilon, "epsilon")
        _check_kernel(self.kernel)

    def fit(self, rows, tolerance=1e-6):
        """SupportVectors with a duality gap of at most tolerance times the objective."""
        x, y = split_numbers(rows, self.dim)
        x, y, C = x.astype(float), y.astype(float), 1 / (self.penalty * len(y))
        box = np.full(len(y), -C), np.full(len(y), C)
        solution = maximize_dual(self.kernel(x, x), y, *box, epsilon=self.epsilon, tolerance=tolerance)
        return _support_vectors(x, solution, self.penalty)

    scores = KernelSVM.scores


@dataclass(frozen=True)
class OneAgainstRest:
    """K classes from K machines, each of them trained to tell its class from all others."""
    machine: object
    classes: int

    def __post_init__(self):
        checks.size(self.classes, "classes", minimum=2)

    def fit(self, rows):
        """A tuple of what the machine has learned for each class."""
        x, y = split_classes(rows, self.machine.dim, self.classes)
        return tuple(self.machine.fit(join(x, y == k)) for k in range(self.classes))

    def scores(self, machines, x):
        """One score per class, (N, K)."""
        return np.stack([self.machine.scores(learned, x) for learned in machines], axis=1)

    def predict(self, machines, x):
        """The class with the largest score, (N,)."""
        return np.argmax(self.scores(machines, x), axis=1)


def _check_kernel(kernel):
    if not callable(kernel):
        raise TypeError(f"kernel must be a function of two arrays of rows, such as RBF(1.0), got {kernel!r}")


def _support_vectors(x, solution, penalty):
    support = solution.beta != 0
    return SupportVectors(x[support], solution.beta[support], solution.bias,
                          penalty * solution.primal, penalty * solution.gap, solution.steps)
