"""Support vector machines: a boundary with the widest margin, without a probability.

s = +1 or -1 for class 1 or 0, f(x) = w^T phi(x) + b, margins m_n = s_n f(x_n).

Linear, phi(x) = x, with the squared hinge (Chang, Hsieh and Lin 2008, "Coordinate Descent Method
for Large-scale L2-loss Linear Support Vector Machines"):

    Model     f(x)    = w^T x + b                                                            (1)
    Loss      P(w, b) = 1/N sum_n max(0, 1 - m_n)^2 + penalty/2 |w|^2                        (2)
    Gradient  df_n    = -2 s_n max(0, 1 - m_n) / N                                          d(2)
              dw      = X^T df + penalty w,      db = sum_n df_n                            d(1)
    Hessian   H       = 2/N sum over m_n < 1 of x~_n x~_n^T + penalty diag(1, ..., 1, 0)     (3)

The loss is piecewise quadratic.  Newton's method (newton.py) is exact once the set of rows with
m_n < 1 no longer changes (Keerthi and DeCoste 2005, "A Modified Finite Newton Method for Fast
Solution of Large Scale Linear SVMs").  Its dual, for alpha >= 0 with sum_n s_n alpha_n = 0, is

    D(alpha) = 1/N sum_n (alpha_n - alpha_n^2 / 4) - penalty/2 |w|^2,
    w        = sum_n alpha_n s_n x_n / (penalty N)                                           (4)
Checked in tests/discriminative/test_svm.py::test_gradient_in_every_parameter_and_hessian
Checked in tests/discriminative/test_svm.py::test_newton_ends_exactly_with_no_duality_gap

Kernel, with the hinge (Cortes and Vapnik 1995, "Support-Vector Networks"):

    Model     f(x)    = sum_n beta_n k(x_n, x) + b,      k(x, z) = phi(x)^T phi(z)           (5)
    Loss      P(w, b) = 1/N sum_n max(0, 1 - m_n) + penalty/2 |w|^2                          (6)

The linear kernel loses no digits if the mean c of x is subtracted first.  As sum_n beta_n = 0,
f(x) = sum_n beta_n (x_n - c)^T (x - c) + b + w^T c.
Checked in tests/discriminative/test_svm.py::test_a_constant_added_to_a_column_moves_the_bias_alone

P / penalty is 1/2 |w|^2 + C sum_n max(0, 1 - m_n) with C = 1 / (penalty N), the C of the
textbooks.  smo.py solves the dual.  Rows with m_n > 1 have beta = 0.  The others are the support
vectors, with |beta| = C if m_n < 1.  Regression has no loss for errors of at most epsilon (Vapnik
1995, "The Nature of Statistical Learning Theory"):

    Loss      P(w, b) = 1/N sum_n max(0, |y_n - f(x_n)| - epsilon) + penalty/2 |w|^2         (7)

Every feasible dual value is at most the minimum of P, so the duality gap, primal - dual, bounds how
far P lies above its minimum.
Checked in tests/discriminative/test_svm.py::test_primal_is_the_objective_and_the_gap_is_small
Checked in tests/discriminative/test_svm.py::test_the_tube_is_the_objective
Symbols: N rows, D inputs, S support vectors, C the bound of the dual's box.
"""
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from scratch import checks
from scratch.discriminative.labeled import labeled_inputs, split_classes, split_numbers
from scratch.discriminative.newton import Convex
from scratch.discriminative.smo import MOST_STEPS, maximize_dual


@dataclass(frozen=True)
class LinearSVM(Convex):
    """f(x) = w^T x + b, `scores`; theta = [w_1 ... w_D, b].  Rows end with their class, 0 or 1."""
    dim: int
    _: KW_ONLY
    penalty: float = 1e-3      # C = 1 at N = 1,000 rows; by hand, not swept.  (4) divides by it

    def __post_init__(self):
        checks.fields(self, penalty=checks.positive)
        super().__post_init__()

    def loss(self, theta, rows, noise=None):
        """P(w, b) (2), which is not in nats, and its gradient (P,)."""
        theta, x, y = labeled_inputs(self, theta, rows, classes=2)
        w, b, s = theta[:-1], theta[-1], (2 * y - 1).astype(x.dtype)
        f = x @ w + b                                                             # (N,)  (1)
        hinge = np.where(np.real(s * f) < 1, 1 - s * f, 0)                        # (N,) max(0, 1 - m_n)
        loss = np.sum(hinge * hinge) / len(x) + self.penalty / 2 * np.sum(w * w)  # (2)

        df = -2 * s * hinge / len(x)                                              # (N,)  d(2)
        dw = x.T @ df + self.penalty * w                                          # (D,)  d(1)
        db = np.sum(df)                                                           # d(1)
        return loss, np.append(dw, db)

    def hessian(self, theta, rows):
        """The second derivative H of the loss away from its kinks, (P, P)."""
        x, y = split_classes(rows, self.dim, 2)
        x1 = np.hstack([x, np.ones((len(x), 1))])                                 # x~, (N, D + 1)
        inside = x1[(2 * y - 1) * self.scores(theta, x) < 1]
        return 2 / len(x) * inside.T @ inside + self._penalty_hessian()           # (P, P)  (3)

    def primal_and_dual(self, theta, rows):
        """P (2) at theta and D (4) at a feasible alpha: their difference bounds the error."""
        x, y = split_classes(rows, self.dim, 2)
        s = 2 * y - 1
        alpha = 2 * np.maximum(1 - s * self.scores(theta, x), 0)                  # the best at the minimum
        sums = np.bincount(y, alpha, minlength=2)
        alpha *= (sums.min() / np.maximum(sums, 1e-300))[y]                       # sum_n s_n alpha_n = 0
        w = (s * alpha) @ x / (self.penalty * len(x))                             # (D,)  (4)
        dual = np.mean(alpha - alpha * alpha / 4) - self.penalty / 2 * (w @ w)    # (4)
        return float(self.loss(theta, rows)[0]), float(dual)

    def predict(self, theta, x):
        """The class on whose side of the boundary x lies, (N,)."""
        return (checks.finite(self.scores(theta, x), "f(x)") > 0).astype(int)


@dataclass(frozen=True)
class RBF:
    """k(x, z) = exp(-|x - z|^2 / (2 width^2)), the radial basis function kernel."""
    width: float

    def __post_init__(self):
        checks.fields(self, width=checks.positive)

    def __call__(self, x, z):
        """The kernel between all rows of x (N, D) and z (M, D), (N, M), in float64."""
        x = checks.rows(x)                                  # differences, not products: nothing cancels
        return np.exp(-cdist(x, checks.rows(z, x.shape[1], "z"), "sqeuclidean") / (2 * self.width ** 2))


def linear(x, z):
    """k(x, z) = x^T z, (N, M)."""
    x = checks.rows(x)
    return x @ checks.rows(z, x.shape[1], "z").T


class SupportVectors(NamedTuple):
    """A fitted kernel machine, f(x) = sum_n beta_n k(x_n, x) + bias, with its duality gap."""
    x: np.ndarray           # (S, D) the rows with beta != 0
    beta: np.ndarray        # (S,)
    bias: float
    primal: float           # P
    gap: float              # P - D: no f has an objective below P - gap
    steps: int
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__   # it holds arrays


@dataclass(frozen=True)
class _KernelMachine:
    """The common part of both machines.  kernel(x, z) -> (N, M) must be positive semidefinite."""
    dim: int
    _: KW_ONLY
    penalty: float = 1e-3      # as LinearSVM
    kernel: callable = RBF(1.0)     # for columns of standard deviation about 1; not swept

    def __post_init__(self):
        checks.fields(self, dim=checks.size, penalty=checks.positive, kernel=checks.function)

    def scores(self, machine, x):
        """f(x), (N,): positive on the side of class 1, or the prediction of y."""
        if not isinstance(machine, SupportVectors):
            raise TypeError(f"machine must be what fit returned, got {checks.brief(machine)}")
        x = checks.rows(x, self.dim).astype(float)
        if len(machine.x) == 0:                             # no error above epsilon: f is a constant
            return np.full(len(x), machine.bias)
        c, shift = self._center(machine.x, machine.beta)
        return self.kernel(x - c, machine.x - c) @ machine.beta + (machine.bias + shift)        # (5)

    def _center(self, x, beta):
        """The c (D,) to subtract from x, and w^T c, added to b; 0 if the kernel is not linear."""
        c = x[0] + (x - x[0]).mean(axis=0) if self.kernel is linear else np.zeros(self.dim)
        return c, beta @ (x - c) @ c

    def _fit(self, x, target, low, high, epsilon, tolerance, most_steps):
        x = x.astype(float)
        c, _ = self._center(x, np.zeros(len(x)))
        K = self.kernel(x - c, x - c)
        solution = maximize_dual(K, target, low, high, epsilon, tolerance, most_steps)
        beta, support = solution.beta, solution.beta != 0
        primal, gap = self.penalty * solution.primal, self.penalty * solution.gap               # (6), (7)
        bias = solution.bias - beta @ (x - c) @ c
        return SupportVectors(x[support], beta[support], float(bias), primal, gap, solution.steps)


@dataclass(frozen=True)
class KernelSVM(_KernelMachine):
    """KernelSVM(dim, *, penalty, kernel): classification (6).  fit holds an N x N matrix."""

    def fit(self, rows, tolerance=1e-6, *, most_steps=MOST_STEPS):
        """SupportVectors with a gap of at most tolerance times (6), or an error after most_steps."""
        x, y = split_classes(rows, self.dim, 2)
        if y.min() == y.max():
            raise ValueError(f"rows must hold both classes, got only class {y[0]}")
        s, C = 2.0 * y - 1, 1 / (self.penalty * len(y))
        return self._fit(x, s, np.minimum(s * C, 0), np.maximum(s * C, 0), 0.0, tolerance, most_steps)

    predict = LinearSVM.predict


@dataclass(frozen=True)
class KernelSVR(_KernelMachine):
    """KernelSVR(dim, *, penalty, kernel, epsilon): regression (7).  Rows end with the number y."""
    _: KW_ONLY
    epsilon: float = 0.1       # in the unit of y; by hand, not swept

    def __post_init__(self):
        super().__post_init__()
        checks.fields(self, epsilon=checks.positive)

    def fit(self, rows, tolerance=1e-6, *, most_steps=MOST_STEPS):
        """As KernelSVM.fit, with (7) in place of (6)."""
        x, y = split_numbers(rows, self.dim)
        box = np.full(len(y), 1 / (self.penalty * len(y)))
        y, middle = y.astype(float), y.mean(dtype=float)    # a constant added to y changes b alone
        machine = self._fit(x, y - middle, -box, box, self.epsilon, tolerance, most_steps)
        return machine._replace(bias=machine.bias + middle)

    predict = _KernelMachine.scores
