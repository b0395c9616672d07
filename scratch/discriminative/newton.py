"""Newton's method for a convex loss L(theta), with a proof that a minimum exists or that none does.

    H step = -g,         theta <- theta + t step,       g, H first and second derivative of L (1)
    L(theta + t step) <= L(theta) + 1e-4 t g^T step                                          (2)

For logistic regression this is iteratively reweighted least squares (Bishop 2006, "Pattern
Recognition and Machine Learning", section 4.3.3).  Near the minimum each step squares the error.
Far away the full step, t = 1, may increase the loss, so t is halved until (2) holds (Armijo's
condition, with the 1e-4 of Nocedal and Wright 2006, "Numerical Optimization", section 3.1).
Checked in tests/discriminative/test_newton.py::test_convergence_is_quadratic

Existence of a minimum.  The bias is the weight of a further coordinate of x that is always 1, and
s_n = +1 or -1 is the class of row n.  A vector v separates the data if its margins m_n obey

    m_n = s_n v^T x_n >= 0, and at least one is greater than 0.                              (3)

Without a penalty the loss falls along such a v without end, and no minimum exists.  If there is no
such v, a minimum exists (Albert and Anderson 1984, "On the existence of maximum likelihood
estimates in logistic regression models").  Newton's step decides between the two cases.  Let p_n be
the probability of row n's own class, and d_n the change of that class's logit by a full step:

    N g = -sum_n (1 - p_n) s_n x_n,         N H = sum_n p_n (1 - p_n) x_n x_n^T,
    d_n = s_n step^T x_n.                                                                    (4)

Multiply H step = -g by N v^T from the left.  On each side v^T x_n becomes s_n m_n:

    sum_n p_n (1 - p_n) m_n d_n = sum_n (1 - p_n) m_n.                                       (5)

Divide by the right side.  The fractions c_n = (1 - p_n) m_n / sum_i (1 - p_i) m_i are at least 0
and sum to 1, so by (5) a weighted mean is 1:

    sum_n c_n (p_n d_n) = 1.                                                                 (6)

Some p_n d_n is therefore at least 1, and p_n < 1, so d_n > 1.  On separable data every Newton step,
from any theta, moves some logit by more than 1 (for the softmax, a difference of two logits).
Conversely, a step that moves no logit by 1 proves that a minimum exists.
Checked in tests/discriminative/test_newton.py::test_a_weighted_mean_of_the_moves_is_one
Checked in tests/discriminative/test_newton.py::test_steps_on_separable_data_move_a_logit_by_one

A step that moves no logit by 1e-8 would be followed by one of about 1e-16: the method stops there.
Even if a logit moves by 1 in every step, a minimum may exist far away.  `Separable` is raised only
for a v that was found, as theta itself or by the linear program max sum_n m_n subject to 0 <= m_n
<= 1.  With a penalty on w, v has biases only, and exists only if a class has no rows.
Checked in tests/discriminative/test_newton.py::test_separation_is_claimed_only_if_it_is_proved

A constant c added to x changes b alone, to b - w^T c.  x is centered, so that no digits are lost.
Checked in tests/discriminative/test_newton.py::test_the_minimum_does_not_see_the_units_of_a_column
"""
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from scratch import checks
from scratch.discriminative.labeled import LabeledModel, split_classes, split_numbers
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

SUSPICIOUS = 30                # steps, after which separable rows have p within exp(-30) of 1
MOST_STEPS = 500               # enough for a minimum with logits near 500, and exp(-500) > 0
SMALL = 1e-8                   # derived: its square is below the rounding error of a float64


class Separable(ValueError):
    """The loss has no minimum: the data are separable without a penalty, or a class has no rows."""


class Iterate(NamedTuple):
    """The state of Newton's method before a step."""
    theta: np.ndarray       # (P,)
    loss: float
    gradient_norm: float    # in w and in the bias at the mean of x
    moved: float            # the largest change of a logit by the next full step


def newton(model, rows, theta=None):
    """Yield an Iterate a step, from theta (default 0) to the minimum; Separable if none exists."""
    rows, mean = centered(model, rows)
    theta = np.zeros(model.size) if theta is None else checks.constant(theta, "theta")
    theta, moved = with_bias_at(model, checks.flat(theta, model.size), mean), np.inf
    for step_number in range(MOST_STEPS):
        if step_number == SUSPICIOUS:
            refuse_separable(model, theta, rows)
        arrived = moved <= SMALL                            # by the step before
        loss, dtheta = model.loss(theta, rows)
        step, moved = newton_step(model, theta, rows, dtheta)
        yield Iterate(with_bias_at(model, theta, -mean), loss, float(np.linalg.norm(dtheta)), moved)
        if arrived:                                         # H is flat in more directions than at 0?
            ranks = [np.linalg.matrix_rank(scaled_hessian(model, at, rows)[0]) for at in (theta, 0 * theta)]
            if model.penalty == 0 and ranks[0] < ranks[1]:
                raise RuntimeError("no minimum was found: in some direction the loss is flat up to rounding. "
                                   "A penalty > 0 gives a clear minimum")
            return
        t, linear = 1.0, dtheta @ step
        while model.loss(theta + t * step, rows)[0] > loss + 1e-4 * t * linear + 1e-15 * loss:      # (2)
            t /= 2                                          # 1e-15 allows for rounding
        theta = theta + t * step                                                  # (P,)  (1)
    raise RuntimeError(f"not at the minimum after {MOST_STEPS} steps: a step moves a logit by {moved:.2g}")


def newton_step(model, theta, rows, dtheta):
    """The step, and the largest change of a logit (or of a difference of two) on any row.

    H is singular if columns of x repeat, and always for the softmax.  Then lstsq returns the
    shortest step.  Scaling H to a diagonal of 1 keeps columns in small units from counting as null.
    """
    scaled, unit = scaled_hessian(model, theta, rows)
    step = -unit * np.linalg.lstsq(scaled, unit * dtheta)[0]                      # (P,)  (1)
    x, _ = split_numbers(rows, model.dim)
    moves = model.scores(step, x).reshape(len(x), -1)                             # (N, 1) or (N, C)  (4)
    moves = np.ptp(moves, axis=1) if moves.shape[1] > 1 else np.abs(moves)
    return step, float(moves.max())


def scaled_hessian(model, theta, rows):
    """H in units of theta in which its diagonal is 1, and these units (P,)."""
    hessian = model.hessian(theta, rows)
    curvature = np.sqrt(np.diagonal(hessian))
    unit = 1 / np.where(curvature > 0, curvature, 1)
    return unit[:, None] * hessian * unit, unit


def minimum(model, rows):
    """theta (P,) at the minimum of the loss over these rows, by Newton's method: model.fit."""
    for iterate in newton(model, rows):
        pass
    return iterate.theta


def centered(model, rows):
    """The rows with inputs of mean 0, in float64, and the mean (D,)."""
    if not isinstance(model, Convex):
        raise TypeError(f"model must be convex, like LogisticRegression(2), got {checks.brief(model)}")
    x, y = split_classes(rows, model.dim, model.classes)
    x = x.astype(float)
    mean = x[0] + (x - x[0]).mean(axis=0)                   # exact for a column of equal numbers
    return np.column_stack([x - mean, y]), mean


def with_bias_at(model, theta, origin):
    """theta with the bias that it needs if `origin` (D,) is subtracted from x."""
    W, b = np.split(theta.reshape(-1, model.outputs), [-1])
    return np.append(W, b + origin @ W)


def refuse_separable(model, theta, rows):
    """Raise Separable if theta or the linear program's v separates the data (3), up to rounding."""
    x, y = split_classes(rows, model.dim, model.classes)
    x1 = np.hstack([x * (model.penalty == 0), np.ones((len(x), 1))])              # (N, D + 1)
    others = (y[:, None] + np.arange(1, model.classes)) % model.classes           # (N, C - 1)
    one = np.eye(model.classes) if model.outputs > 1 else np.array([[-0.5], [0.5]])
    A = np.einsum("nkc,nd->nkdc", one[y][:, None] - one[others], x1)              # m = A v  (3)
    A = A.reshape(-1, model.size)
    unit = np.maximum(np.abs(A).max(axis=0), 1e-300)
    A, v = A / unit, unit * theta
    if not _separates(A, v):
        found = milp(-A.sum(axis=0), constraints=LinearConstraint(A, 0, 1), bounds=Bounds(-np.inf, np.inf)).x
        v = np.zeros(model.size) if found is None else found
        tied = A[np.abs(A @ v) < 1e-6]                      # 0 up to the solver's tolerance: made 0
        v = v - np.linalg.lstsq(tied, tied @ v)[0]
    if _separates(A, v):
        raise Separable("the loss has no minimum: the classes can be separated, in a direction that was "
                        "found. A penalty > 0 gives a minimum, if no class is empty")


def _separates(A, v):
    margins, rounding = A @ v, 8 * np.finfo(float).eps * (np.abs(A) @ np.abs(v))
    return (margins > rounding).any() and (margins >= -rounding).all()            # (3)


class Convex(LabeledModel):
    """What a linear model with a convex loss inherits; theta = [W (D, outputs), b (outputs,)].

    The model adds loss(theta, rows) and hessian(theta, rows).
    """
    outputs, classes = 1, 2    # one logit; the softmax has its own, and its own scores

    # Not for fit.  Rates swept here from 3e-3 to 0.3, 600 steps: the loss ends above its minimum by
    # 1e-8 at 3e-2 (softmax: 1e-3, less at 0.1) and by 5e-4 to 5e-2 at 3e-3.
    recipe = Recipe(Adam(3e-2), batch_size=512)

    size = property(lambda self: (self.dim + 1) * self.outputs)                   # P
    blocks = property(lambda self: {"W": slice(0, self.size - self.outputs),      # where they stand
                                    "b": slice(self.size - self.outputs, self.size)})

    def init(self, rng, dtype=np.float32):
        """Small random theta (P,); any start leads to the same minimum (0.1 by hand, not swept)."""
        return checks.generator(rng).normal(0, 0.1, self.size).astype(checks.dtype(dtype))

    fit = minimum

    def scores(self, theta, x):
        """w^T x + b, (N,): the log odds of class 1, or positive on the side of class 1 (SVM)."""
        theta, x = checks.inputs(self, theta, x)
        return x @ theta[:-1] + theta[-1]

    def _penalty_hessian(self):
        """The second derivative of penalty/2 |W|^2: penalty diag(1, ..., 1, 0, ..., 0)."""
        return self.penalty * np.diag(np.repeat([1.0, 0.0], [self.dim * self.outputs, self.outputs]))
