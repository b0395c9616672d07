"""Early stopping: keep the parameters that do best on rows that training does not use.

The loss on the training rows goes on falling while a model memorizes them.  The loss on validation
rows falls and then rises, and its least value marks where to stop (Morgan and Bourlard 1990,
"Generalization and Parameter Estimation in Feedforward Nets").  One rule serves every model with
one loss: the noise for the validation rows is drawn once, before training begins, so that the
validation loss is one fixed function of theta.
"""
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from scratch import checks
from scratch.learning.training import train

MEASURED = 4096                # by hand: validation rows are repeated to about so many, each with its own noise


class Stopped(NamedTuple):
    """The parameters with the least validation loss."""
    theta: np.ndarray       # (P,), averaged
    loss: float             # of the validation rows, without a penalty on theta
    step: int               # after this many steps of training


def stop_early(model, theta, rows, held_out, rng, *, steps, every=50, patience=20, recipe=None):
    """Train on rows and return the averaged parameters with the least loss on held_out, other rows.

    The validation loss is computed after every `every` steps.  Training ends after `patience`
    computations without a new minimum (50 and 20 by hand, not swept).  The loss returned is the
    least of many, hence biased downwards: measure the model on a third set.  For few rows small
    batches are better, recipe = replace(model.recipe, batch_size=32): on 272 rows in the plane the
    KL of the autoregressive mixture is then 0.1 to 0.2 nats, and in whole batches 0.4 to 0.6.
    """
    every, patience = checks.size(every, "every"), checks.size(patience, "patience")
    states = train(model, theta, rows, rng, steps=steps, recipe=recipe)       # checks its arguments
    loss = _validation_loss(model, held_out, rng)
    best = Stopped(theta, loss(theta), 0)
    for state in states:
        if state.step % every == 0 or state.step == steps:
            now = loss(state.average)
            if now < best.loss:
                best = Stopped(state.average, now, state.step)
            elif state.step >= best.step + patience * every:
                break
    return best


def _validation_loss(model, held_out, rng):
    """The function theta -> loss of held_out, without a penalty and with fixed noise; NaN counts as inf."""
    if hasattr(model, "players"):
        raise TypeError("early stopping needs one loss, but "
                        f"{checks.brief(model)} has one for each of two players")
    if hasattr(model, "penalty"):
        model = replace(model, penalty=1e-300)              # changes no digit; LinearSVM needs one above 0
    x, noise = checks.table(held_out, "held_out"), model.draw_noise(rng, 1)
    if noise is not None:
        x = np.tile(rng.permutation(x), (max(1, MEASURED // len(x)), 1))      # noise may depend on the place in a batch
        noise = model.draw_noise(rng, len(x))
    return lambda theta: float(np.nan_to_num(model.loss(theta, x, noise)[0], nan=np.inf))
