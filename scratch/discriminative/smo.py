"""Sequential minimal optimization: the dual of every kernel machine, solved two rows at a time.

The model f(x) = sum_n beta_n k(x_n, x) + b approximates targets t_n; errors up to epsilon cost
nothing.  With K_nm = k(x_n, x_m) its dual problem is

    maximize    D(beta) = t^T beta - epsilon |beta|_1 - 1/2 beta^T K beta                    (1)
    subject to  sum_n beta_n = 0   and   low_n <= beta_n <= high_n.

Regression has t = y and the box [-C, C].  Classification has t = s = +1 or -1, epsilon = 0 and the
box between 0 and s C; its beta is s alpha in the usual notation.

Optimality.  Let r be the gradient of D without its epsilon term.  D changes at the rate u_i as
beta_i increases, and at the rate -v_j as beta_j decreases:

    r   = t - K beta                                                                         (2)
    u_i = r_i + up_i,    up_i = -epsilon if beta_i >= 0, else epsilon; -inf if beta_i = high_i
    v_j = r_j + down_j,  down_j = epsilon if beta_j <= 0, else -epsilon; inf if beta_j = low_j   (3)

If beta_i increases as much as beta_j decreases, the sum stays and D changes at the rate u_i - v_j.
The Karush-Kuhn-Tucker conditions hold if and only if no pair has u_i > v_j (a violating pair).
Then there is a number b, the bias, with

    max_i u_i <= b <= min_j v_j.                                                             (4)

Step (Platt 1999, "Fast Training of Support Vector Machines Using Sequential Minimal Optimization").
Take the i with the largest u_i, and the j with the largest predicted rise of D (Fan, Chen and Lin
2005, "Working Set Selection Using Second Order Information"):

    rise_j = (u_i - v_j)^2 / (2 c_j),    c_j = K_ii + K_jj - 2 K_ij                          (5)
    move   = (u_i - v_j) / c_j                                                               (6)

The move ends earlier where beta_i or beta_j reaches an end of its box, or 0, the kink of |beta|.

Columns in very different units need millions of such steps.  Every CHECK_EVERY steps, therefore,
all rows F strictly inside their boxes move towards the maximum of D over them (Newton's step d):

    K_FF d + lambda 1 = r_F - epsilon sign(beta_F),      sum_F d = 0.                        (7)
Checked in tests/discriminative/test_smo.py::test_columns_in_different_units_do_not_take_millions_of_steps

Duality gap.  With errors e = r - b, for any b and any feasible beta, the primal value of f is

    P     = 1/2 beta^T K beta
            + sum_n [ high_n max(e_n - epsilon, 0) + low_n min(e_n + epsilon, 0) ]           (8)
    P - D = sum_n [ (high_n - beta_n) max(e_n - epsilon, 0) + epsilon |beta_n|
            + (beta_n - low_n) max(-e_n - epsilon, 0) - beta_n clip(e_n, -epsilon, epsilon) ]  (9)

No term of (9) is negative.  Since D <= max D = min P <= P, a gap of 1e-6 P proves that P exceeds
the minimum by at most one part in a million.
Checked in tests/discriminative/test_smo.py::test_the_karush_kuhn_tucker_conditions_hold
Checked in tests/discriminative/test_smo.py::test_primal_and_gap_are_the_formulas
Symbols: N rows, D the dual objective (not the data dimension), C the bound of the box.
"""
from typing import NamedTuple

import numpy as np

from scratch import checks

CHECK_EVERY = 200              # steps between two computations of the gap; by hand, not swept
MOST_STEPS = 1_000_000         # about a minute at N = 1,000; by hand
MOST_FREE = 300                # rows F in (7): about as costly as the steps between; by hand
LEAST_CURVATURE = 1e-12        # for rows with equal kernels, as in Fan, Chen and Lin 2005


class DualSolution(NamedTuple):
    """A feasible point of the dual, with its duality gap."""
    beta: np.ndarray            # (N,)
    bias: float
    primal: float
    gap: float                  # primal - dual, never negative
    steps: int
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__   # it holds arrays


def maximize_dual(K, target, low, high, epsilon=0.0, tolerance=1e-6, most_steps=MOST_STEPS):
    """Solve (1) until gap <= tolerance * primal; the default proves six digits of the objective.

    K (N, N) symmetric and positive semidefinite, held whole; target, low <= 0 <= high (N,).
    """
    target, low = checks.constant(target, "target"), checks.constant(low, "low")
    high, K, n = checks.constant(high, "high"), checks.rows(K, target.size, "K"), (target.size,)
    epsilon, tolerance = checks.nonnegative(epsilon, "epsilon"), checks.positive(tolerance, "tolerance")
    if (K.shape, target.shape, low.shape, high.shape) != (2 * n, n, n, n):
        raise ValueError(f"K must be square with one target, low and high for each row, got {K.shape}, "
                         f"{target.shape}, {low.shape}, {high.shape}")
    if (low > 0).any() or (high < 0).any():
        raise ValueError("the box must hold 0: low <= 0 <= high")
    beta, r = np.zeros(len(target)), target.copy()                                # (N,)  (2)
    diagonal, (up, down) = np.diagonal(K).copy(), _rates(beta, low, high, epsilon)
    rounding = 1e-13 * np.ptp(r)                            # a smaller violation is rounding error
    for step in range(checks.size(most_steps, "most_steps")):
        if step % CHECK_EVERY == CHECK_EVERY - 1:
            beta = _move_all_free(K, beta, target, low, high, epsilon)
            r, (up, down) = target - K @ beta, _rates(beta, low, high, epsilon)   # (2)
        u = r + up                                                                # (N,)  (3)
        i = int(np.argmax(u))
        violation = u[i] - (r + down)                                             # (N,) u_i - v_j  (3)
        curvature = np.maximum(diagonal[i] + diagonal - 2 * K[i], LEAST_CURVATURE)
        j = int(np.argmax(np.maximum(violation, 0) ** 2 / curvature))             # twice (5)
        if step % CHECK_EVERY == 0 or violation[j] <= rounding:
            bias = u[i] - violation.max() / 2               # the middle of the interval  (4)
            solution = _solution(beta, r, target, low, high, epsilon, bias, step)
            if solution.gap <= tolerance * solution.primal or violation[j] <= rounding:
                return solution
        ends = [0.0 if beta[n] * edge < 0 else edge for n, edge in ((i, high[i]), (j, low[j]))]
        move = min(violation[j] / curvature[j], ends[0] - beta[i], beta[j] - ends[1])           # (6)
        for row, change, end in ((i, move, ends[0]), (j, -move, ends[1])):
            moved = beta[row] + change                      # exactly the end, if only rounding differs
            beta[row] = end if abs(moved - end) < 1e-14 * (high[row] - low[row]) else moved
            up[row] = -np.inf if beta[row] == high[row] else epsilon if beta[row] < 0 else -epsilon
            down[row] = np.inf if beta[row] == low[row] else -epsilon if beta[row] > 0 else epsilon
        r -= move * (K[i] - K[j])                                                 # (2)
    raise RuntimeError(f"the gap is still {solution.gap:.2g} of {solution.primal:.2g} after {most_steps} "
                       "steps: divide each column of x by its standard deviation, or allow more most_steps")


def _rates(beta, low, high, epsilon):
    """up and down (3), (N,) each."""
    return (np.where(beta == high, -np.inf, np.where(beta >= 0, -epsilon, epsilon)),
            np.where(beta == low, np.inf, np.where(beta <= 0, epsilon, -epsilon)))


def _move_all_free(K, beta, target, low, high, epsilon):
    """beta (N,) after steps (7), until one need not be shortened; each that is makes F smaller."""
    beta, t = beta.copy(), 0.0
    while t < 1:
        F = np.flatnonzero((low < beta) & (beta < high) & (beta != 0))
        if not 2 <= len(F) <= MOST_FREE:
            break
        start, sign, r = beta[F], np.sign(beta[F]), target[F] - K[F] @ beta                      # (2)
        system = np.block([[K[np.ix_(F, F)], np.ones((len(F), 1))], [np.ones(len(F)), np.zeros(1)]])
        d = np.linalg.lstsq(system, np.append(r - epsilon * sign, 0.0))[0][:-1]   # (7)
        ends = np.where(d * sign > 0, np.where(sign > 0, high[F], low[F]), 0.0)   # where d would leave
        far = np.abs(d) > np.abs(ends - start)
        reach = np.where(far, (ends - start) / np.where(far, d, 1), 1.0)
        t = reach.min()
        beta[F] = np.where(far & (reach == t), ends, start + t * d)
    return beta


def _solution(beta, r, target, low, high, epsilon, bias, steps):
    """The DualSolution at beta, with the gap (8) and the primal value as dual + gap."""
    above, below = np.maximum(r - bias - epsilon, 0), np.maximum(bias - r - epsilon, 0)
    inside = np.clip(r - bias, -epsilon, epsilon)
    gap = np.sum((high - beta) * above + (beta - low) * below + epsilon * np.abs(beta) - beta * inside)  # (9)
    dual = 0.5 * (target + r) @ beta - epsilon * np.sum(np.abs(beta))             # (1), as K beta = t - r
    return DualSolution(beta.copy(), float(bias), float(dual + gap), float(gap), steps)      # (8) = (1) + (9)
