"""Newton's method for a convex loss, with a proof at the end that there was a minimum to be found.

    step = -H^-1 g,      theta <- theta + step,      H the Hessian, g the gradient

For logistic regression this is iteratively reweighted least squares (Rubin
1983; Bishop 2006, section 4.3.3).  Near the minimum the error is squared at
every step.  Far away a step may overshoot: it is halved until the loss falls
by a fair share of what its slope promised (Armijo 1966).

When to stop, and when to give up.  Let separating weights v exist: v^T x_n
favors the right class of every row, or is neutral.  Then no minimum exists
without a penalty (Albert and Anderson 1984), since the loss falls along v for
ever, to an infimum that no theta attains.  Let m_n >= 0 be the margin that v
gives to row n, p_n the probability of its right class, d_n what the Newton
step adds to the logit of the right class.  Multiply H step = -g by v:

    sum_n p_n (1 - p_n) m_n d_n = sum_n (1 - p_n) m_n

so a weighted mean of p_n d_n is 1, and some d_n is at least 1.  On separable data
every Newton step moves some logit by at least 1, wherever it starts; the same
holds for the softmax, for a difference of two logits.  Turned around: a step
that moves no logit by 1 proves that a minimum exists, and a step that moves
none by 1e-8 will be followed by one of 1e-16: that is the stopping rule.  Data
that still make unit steps after 30 of them lack, up to exp(-30), a minimum.

A model offers loss(theta, rows), hessian(theta, rows), scores(theta, x), linear
in theta, and its sizes dim and size.
"""
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from scratch.discriminative.labeled import split_numbers

MOST_STEPS = 30
ARRIVED = 1e-4                 # beyond it an answer is not passed off as the minimum
SMALL = 1e-8


class Separable(ValueError):
    """The classes can be told apart without an error, and nothing holds the weights back."""


class Iterate(NamedTuple):
    """Where Newton's method stands, and what its next step will do."""
    theta: np.ndarray       # (P,)
    loss: float
    slope: float            # |gradient|
    moved: float            # the largest change of a logit in the whole step ahead


def newton(model, rows, theta=None):
    """Yield an Iterate per step, from theta (by default 0) to the minimum; Separable if there is none."""
    theta = np.zeros(model.size) if theta is None else np.asarray(theta, float)
    moved = np.inf
    for _ in range(MOST_STEPS):
        arrived = moved <= SMALL
        loss, dtheta = model.loss(theta, rows)
        step, moved = newton_step(model, theta, rows, dtheta)
        yield Iterate(theta, loss, float(np.linalg.norm(dtheta)), moved)
        if arrived:
            return
        length, promised = 1.0, dtheta @ step
        while model.loss(theta + length * step, rows)[0] > loss + 1e-4 * length * promised + 1e-15 * loss:
            length /= 2
        theta = theta + length * step
    refuse(moved)


def newton_step(model, theta, rows, dtheta):
    """The step, and the most that it moves a logit, or a difference of two, on any row.

    Where the Hessian is singular (repeated columns; the softmax, which does not
    see a constant added to all logits) it is the shortest of the possible steps,
    in units in which every parameter has curvature 1: without them a column in
    large units would make lstsq take the others for null directions.
    """
    hessian = model.hessian(theta, rows)
    curvature = np.sqrt(np.diagonal(hessian))
    unit = 1 / np.where(curvature > 0, curvature, 1)
    step = -unit * np.linalg.lstsq(unit[:, None] * hessian * unit, unit * dtheta)[0]      # (P,)
    x, _ = split_numbers(rows, model.dim)
    moves = model.scores(step, x).reshape(len(x), -1)                          # (N, 1) or (N, K)
    moves = np.ptp(moves, axis=1) if moves.shape[1] > 1 else np.abs(moves)
    return step, float(moves.max())


def minimum(model, rows):
    """theta (P,) at the minimum of the loss, by Newton's method."""
    for iterate in newton(model, rows):
        pass
    return iterate.theta


def minimum_by_lbfgs(model, rows):
    """The same by scipy's L-BFGS, driven by model.loss alone; the Hessian is used only for the proof."""
    result = minimize(lambda theta: model.loss(theta, rows), np.zeros(model.size), jac=True, method="L-BFGS-B",
                      options=dict(maxiter=10_000, maxfun=20_000, ftol=0.0, gtol=1e-9))
    refuse(newton_step(model, result.x, rows, result.jac)[1])
    return result.x


def refuse(moved):
    """Raise Separable if a Newton step moves a logit by 1 or more (see above), RuntimeError if by far too much."""
    if moved >= 0.99:                                       # 1, but for rounding
        raise Separable(f"the loss has no minimum: the classes can be separated, and each step still moves "
                        f"a logit by {moved:.2f}, so the weights would grow for ever. A penalty > 0 "
                        "holds them, if no class is empty")
    if moved > ARRIVED:
        raise RuntimeError(f"not at the minimum yet: the next Newton step would still move a logit by {moved:.2g}; "
                           "columns of very different scales? Center and scale them")
