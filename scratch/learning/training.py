"""The chapter's training loop, one for all families.

The chapter writes it for PyTorch; here are its five comments, in its order, and
what they become when a loss is a function that hands back its own gradient:

    1. real samples from the data law         x = next(batches)
    2. fake samples, if the model makes any   noise = model.draw_noise(rng, n): all the randomness,
                                              drawn before the loss, which is then a function
    3. the loss                               loss, dtheta = model.loss(theta, x, noise)
    4. backpropagation                        came with the loss: value and gradient are one call
    5. the optimizer's step                   theta, memory = optimizer.step(theta, dtheta, memory)
"""
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratch import checks
from scratch.learning import optimizers


@dataclass(frozen=True)
class Recipe:
    """How a family likes to be trained; every model carries its own as `model.recipe`."""
    optimizer: object = optimizers.Adam(1e-3)
    schedule: object = optimizers.cosine
    batch_size: int = 512
    anneal: object = None       # anneal(model, done): the model whose loss holds at this share of the run

    def __post_init__(self):
        checks.size(self.batch_size, "batch_size")
        if not (hasattr(self.optimizer, "start") and hasattr(self.optimizer, "step")):
            raise TypeError(f"optimizer must have start and step, like Adam(1e-3), got {self.optimizer!r}")
        if not callable(self.schedule):
            raise TypeError(f"schedule must be a function of the share of the run done, got {self.schedule!r}")
        if not (self.anneal is None or callable(self.anneal)):
            raise TypeError(f"anneal must be a function of a model and the share of the run done, got {self.anneal!r}")


class State(NamedTuple):
    """Where a run stands after `step` steps.  Its arrays are never written to again."""
    step: int
    loss: object            # of the batch, before this step: a float, or one per player
    theta: np.ndarray       # (P,)
    average: np.ndarray     # (P,) the averaged parameters: what one samples from and measures
    memory: object          # what the optimizer remembers


class Diverged(FloatingPointError):
    """A loss, a gradient or a step that is not finite.

    `state` is the last one whose parameters were seen to have a finite loss.
    """

    def __init__(self, step, loss, state):
        super().__init__(f"step {step}: the loss ({loss}), its gradient or the step is not finite; the last "
                         f"good parameters are in this error's .state (lower the learning rate?)")
        self.state = state


def train(model, theta, data, rng, *, steps, recipe=None):
    """Yield the State after every step, so that the caller draws, logs or stops as it likes.

    data: an array of rows (n, D), walked through in a fresh order each epoch, or
    a law with .sample(n, rng).  recipe: a Recipe, by default the model's own.
    """
    checks.generator(rng)
    steps = checks.size(steps, "steps")
    theta = checks.finite(np.asarray(theta), "theta")
    recipe = model.recipe if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be a Recipe, got {recipe!r}")
    return _loop(model, theta, batches(data, recipe.batch_size, rng, theta.dtype), rng, steps, recipe)


def _loop(model, theta, stream, rng, steps, recipe):
    _keep_freed_memory()
    optimizer, mean = recipe.optimizer, theta
    memory = optimizer.start(theta)
    good = state = State(0, np.nan, theta, mean, memory)
    for step in range(1, steps + 1):
        x = next(stream)                                                # 1.
        noise = model.draw_noise(rng, len(x))                           # 2.
        done = (step - 1) / steps
        stage = recipe.anneal(model, done) if recipe.anneal else model
        with np.errstate(all="ignore"):                                 # what is not finite is caught below
            loss, dtheta = stage.loss(theta, x, noise)                  # 3. and 4.
            if np.isfinite(loss).all():
                good = state                                            # its theta has a finite loss
            theta, memory = optimizer.step(theta, dtheta, memory, recipe.schedule(done))    # 5.
        if not (np.isfinite(loss).all() and np.isfinite(theta).all()):
            raise Diverged(step, loss, good)
        mean = optimizers.average(mean, theta, step)
        state = State(step, loss, theta, mean, memory)
        yield state


def fit(model, theta, data, rng, *, steps, recipe=None, progress=False):
    """Train to the end and return the averaged parameters (P,).

    progress: show a line with step, loss and time, if standard error is a terminal.
    """
    states = train(model, theta, data, rng, steps=steps, recipe=recipe)
    if progress and sys.stderr.isatty():
        states = _with_progress_line(states, steps)
    for state in states:
        pass
    return state.average


def batches(data, batch_size, rng, dtype):
    """An endless stream of batches (batch_size, D) from an array of rows or a law.

    An array is walked through in a random order, and in a new one when all rows
    have been seen: every row exactly once an epoch, whatever the batch size.
    """
    checks.generator(rng)
    batch_size = checks.size(batch_size, "batch_size")
    if hasattr(data, "sample") and not isinstance(data, type):
        return _draws(data, batch_size, rng, dtype)
    rows = np.asarray(data)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"data must be a non-empty array of rows (n, dim) or a law with .sample, "
                         f"got {type(data).__name__} of shape {rows.shape}")
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"data must hold real numbers, got dtype {rows.dtype}")
    if rows.dtype.kind == "f":
        rows = checks.finite(rows, "data").astype(dtype, copy=False)
    return _epochs(rows, min(batch_size, len(rows)), rng)


def _draws(law, batch_size, rng, dtype):
    while True:
        x = law.sample(batch_size, rng)
        yield x.astype(dtype, copy=False) if x.dtype.kind == "f" else x


def _epochs(rows, batch_size, rng):
    waiting = rng.permutation(len(rows))
    while True:
        if len(waiting) < batch_size:                       # this batch ends one epoch and opens the next
            waiting = np.concatenate([waiting, rng.permutation(len(rows))])
        yield rows[waiting[:batch_size]]
        waiting = waiting[batch_size:]


def _with_progress_line(states, steps):
    began = last = time.monotonic()
    for state in states:
        yield state
        now = time.monotonic()
        if now - last > 0.2 or state.step == steps:
            last = now
            print(f"\rstep {state.step}/{steps}  loss {np.round(state.loss, 4)}  {now - began:.0f} s ",
                  end="\n" if state.step == steps else "", file=sys.stderr, flush=True)


def _keep_freed_memory():
    """Let glibc keep the arrays that a training step frees, instead of returning them to the system.

    Each step frees and makes again a dozen arrays of some 100 KiB; given back,
    their pages must be faulted in anew, a quarter of the step's time.  glibc
    raises its threshold to the size of the largest block that it has seen
    freed (mallopt(3), M_MMAP_THRESHOLD: dynamic up to 32 MiB): one is freed here.
    """
    np.empty(31 << 20, np.uint8)
