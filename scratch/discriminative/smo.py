"""Sequential minimal optimization: the dual of every kernel machine, two rows at a time.

A kernel machine f(x) = sum_n beta_n k(x_n, x) + b wants to come near targets
t_n, and does not mind errors smaller than epsilon.  Its dual is

    maximize   D(beta) = t^T beta - epsilon |beta|_1 - 1/2 beta^T K beta
    subject to sum_n beta_n = 0,   low_n <= beta_n <= high_n

Regression has t = y and the box [-C, C]; classification has t = s = +1 or -1,
epsilon = 0, and the box between 0 and s C (beta = s alpha in the usual notation).

Let r = t - K beta be what is left of the targets: the gradient of D, but for
epsilon.  Moving a little weight from row j to row i keeps the sum, and D rises
as long as i gains more than j loses.  So at the maximum a number b lies between
the gains of all rows that can go up and the losses of all that can go down:

    r_i + up_i   <= b,    up_i   = -epsilon if beta_i >= 0, +epsilon if not, -inf if beta_i = high_i
    r_j + down_j >= b,    down_j = +epsilon if beta_j <= 0, -epsilon if not, +inf if beta_j = low_j

which is the whole of the Karush-Kuhn-Tucker conditions, and b is the bias.

A step (Platt 1999; the choice of the pair is that of Fan, Chen and Lin 2005):
i gains the most, j is the partner with the largest rise of D, slope^2 / (2
curvature), and the pair moves by

    slope / curvature,    slope = r_i + up_i - r_j - down_j,    curvature = K_ii + K_jj - 2 K_ij,

or until one of the two meets its box or the kink at 0.

The proof.  With errors e = r - b, for any b and any beta in the box of sum 0,

    P = 1/2 beta^T K beta + sum_n [ high_n max(e_n - epsilon, 0) + low_n min(e_n + epsilon, 0) ]

is the primal value of the same f, and P - D is a sum of terms none of which can
be negative, computed below as it is written there, without cancellation.  Since
D <= maximum = minimum <= P, a gap of 1e-6 P proves f right to that share of P.
"""
from typing import NamedTuple

import numpy as np

from scratch import checks

CHECK_EVERY = 200              # steps from one look at the gap to the next: it costs some steps' time
MOST_STEPS = 10_000_000


class DualSolution(NamedTuple):
    """A feasible point of the dual, with its proof."""
    beta: np.ndarray            # (N,)
    bias: float
    primal: float
    gap: float                  # primal - dual, never negative
    steps: int


def maximize_dual(K, target, low, high, epsilon=0.0, tolerance=1e-6):
    """Solve the dual until gap <= tolerance * primal.

    K (N, N) symmetric and positive semidefinite, held whole; target, low <= 0 <= high (N,).
    """
    K = checks.rows(K, len(target), "K")
    if len(K) != len(target) or np.shape(low) != np.shape(target) or np.shape(high) != np.shape(target):
        raise ValueError(f"K must be square with one target, low and high for each row, got {K.shape}, "
                         f"{np.shape(target)}, {np.shape(low)} and {np.shape(high)}")
    if not (low <= 0).all() or not (high >= 0).all():
        raise ValueError("the box must hold 0: low <= 0 <= high")
    beta, r = np.zeros(len(target)), np.array(target, float)
    diagonal = np.diagonal(K).copy()
    up = np.where(high > 0, -epsilon, -np.inf)
    down = np.where(low < 0, epsilon, np.inf)
    nothing = 1e-13 * np.ptp(r)                             # a slope of this size is rounding
    for step in range(MOST_STEPS):
        gain = r + up
        i = int(np.argmax(gain))
        slope = gain[i] - (r + down)                        # (N,) of D, moving weight from each row to i
        curvature = np.maximum(diagonal[i] + diagonal - 2 * K[i], 1e-12)
        rise = np.maximum(slope, 0)
        rise *= rise
        rise /= curvature
        j = int(np.argmax(rise))
        if step % CHECK_EVERY == 0 or slope[j] <= nothing:
            bias = gain[i] - slope.max() / 2                # half way between the largest gain and the least loss
            solution = _certified(beta, r, target, low, high, epsilon, bias, step)
            if solution.gap <= tolerance * solution.primal or slope[j] <= nothing:
                return solution
        move = slope[j] / curvature[j]
        stops = [_next_stop(beta[i], high[i]), _next_stop(beta[j], low[j])]
        move = min(move, stops[0] - beta[i], beta[j] - stops[1])
        for row, change, stop in ((i, move, stops[0]), (j, -move, stops[1])):
            moved = beta[row] + change
            beta[row] = stop if abs(moved - stop) < 1e-14 * (high[row] - low[row]) else moved
            up[row] = -np.inf if beta[row] == high[row] else epsilon if beta[row] < 0 else -epsilon
            down[row] = np.inf if beta[row] == low[row] else -epsilon if beta[row] > 0 else epsilon
        r -= move * (K[i] - K[j])
    raise RuntimeError(f"the duality gap is still {solution.gap:.2g} of {solution.primal:.2g} "
                       f"after {MOST_STEPS} steps")


def _next_stop(value, edge):
    """Where the way from value to the edge of the box is first interrupted: at 0, the kink, or at the edge."""
    return 0.0 if value * edge < 0 else edge


def _certified(beta, r, target, low, high, epsilon, bias, steps):
    above, below = np.maximum(r - bias - epsilon, 0), np.maximum(bias - r - epsilon, 0)
    inside = np.clip(r - bias, -epsilon, epsilon)
    gap = np.sum((high - beta) * above + (beta - low) * below + epsilon * np.abs(beta) - beta * inside)
    dual = 0.5 * (target + r) @ beta - epsilon * np.sum(np.abs(beta))             # beta^T K beta = (t - r)^T beta
    return DualSolution(beta.copy(), float(bias), float(dual + gap), float(gap), steps)
