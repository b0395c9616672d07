"""Early stopping: keep the parameters that do best on rows that training does not see.

The loss on the training rows goes on falling while a model memorizes them.  The loss on rows held
out first falls and then rises, and its least value marks where to stop (Morgan and Bourlard 1990,
"Generalization and parameter estimation in feedforward nets").  One rule serves every model with
one loss, because a loss that is measured twice with the same noise is the same function of theta:
the noise for the rows held out is drawn once, before training begins.
"""
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from scratch import checks
from scratch.learning.training import train

MEASURED = 4096                # rows held out are repeated up to about this number, each with noise of its own


class Stopped(NamedTuple):
    """The best parameters (P,) that were seen, their loss on the rows held out, and the step."""
    theta: np.ndarray
    loss: float
    step: int


def stop_early(model, theta, rows, held_out, rng, *, steps, every=50, patience=20, recipe=None):
    """Train on rows, measure the loss on held_out after every so many steps, and return the best that was seen.

    Gives up after `patience` measurements without a better one.  The loss returned is the least of
    many, hence a little too small: measure the model on a third set of rows.
    """
    every, patience = checks.size(every, "every"), checks.size(patience, "patience")
    loss = held_out_loss(model, held_out, checks.generator(rng))
    best = Stopped(theta, loss(theta), 0)
    for state in train(model, theta, rows, rng, steps=steps, recipe=recipe):
        if state.step % every == 0 or state.step == steps:
            now = loss(state.average)
            if now < best.loss:
                best = Stopped(state.average, now, state.step)
            elif state.step >= best.step + patience * every:
                break
    return best


def held_out_loss(model, held_out, rng):
    """The function theta -> loss on held_out, without a penalty on theta and with noise that is drawn once."""
    if hasattr(model, "players"):
        raise TypeError("early stopping needs one loss, but the players of a GAN have two")
    if hasattr(model, "penalty"):
        model = replace(model, penalty=0.0)
    noise = model.draw_noise(rng, 1)
    x = np.asarray(held_out)
    if noise is not None:
        x = np.tile(x, (max(1, MEASURED // len(x)), 1))
        noise = model.draw_noise(rng, len(x))
    return lambda theta: float(model.loss(theta, x, noise)[0])
