"""The chapter's training loop, one for all families.

The chapter writes it for PyTorch, with four numbered comments and then the optimizer's step.  Here
a loss is a function that returns its own gradient, so the lines become:

    1. real samples from the data      x = next(batches)
    2. generated samples               noise = model.draw_noise(rng, n)
    3. the loss                        loss, dtheta = model.loss(theta, x, noise)
    4. backpropagation                 the same call: dtheta is the gradient of loss
       the optimizer's step            theta, memory = optimizer.step(theta, dtheta, memory, scale)

noise is all the randomness of the loss, drawn before it, so that the loss is a function.
Checked in tests/learning/test_training.py::test_the_loop_is_the_chapters_loop.

Symbols: n batch, D data, P parameters.  `done` in [0, 1] is the fraction of the run that is over.
"""
import sys
import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratch import checks
from scratch.learning import optimizers

USUAL_STD = 1.5                # of LAWS, and so the scale of data that models without sigma_data are made for
FARTHEST = 5.0                 # by hand: a scale of the rows that is off by more than this factor gives a warning


@dataclass(frozen=True)
class Recipe:
    """How to train a family: model.recipe.  1e-3 is Adam's published rate; 512 was not swept."""
    optimizer: object = optimizers.Adam(1e-3)
    schedule: object = optimizers.cosine
    batch_size: int = 512
    anneal: object = None       # anneal(model, done): the model whose loss is used at that point

    def __post_init__(self):
        checks.size(self.batch_size, "batch_size")
        if not (hasattr(self.optimizer, "start") and hasattr(self.optimizer, "step")):
            raise TypeError(f"optimizer must have start and step, like Adam(1e-3), got {checks.brief(self.optimizer)}")
        checks.function(self.schedule, "schedule")
        if self.anneal is not None:
            checks.function(self.anneal, "anneal")


class State(NamedTuple):
    """A run after `step` steps.  Its arrays are never written to again."""
    step: int
    loss: object            # of the batch, before this step: a float, or one per player
    theta: np.ndarray       # (P,)
    average: np.ndarray     # (P,) the averaged parameters, from which one samples
    memory: object          # the optimizer's


class Diverged(FloatingPointError):
    """A loss, a gradient or a step is not finite; `state` is the last one with a finite loss."""

    def __init__(self, step, loss, state):
        super().__init__(f"step {step}: the loss ({loss}), its gradient or the step is not finite; the last "
                         f"good parameters are in this error's .state (lower the learning rate?)")
        self.state = state


def train(model, theta, data, rng, *, steps, recipe=None):
    """Yield the State after every step, so that the caller draws, logs or stops as it likes.

    data: an array of rows (n, D), taken in a new random order each epoch, or a law, that is, a
    distribution with .sample(n, rng).  recipe: by default the model's own.  Warns about rows in
    units for which the model is not made.
    """
    if not checks.has(model, "loss", "draw_noise"):
        raise TypeError(f"model must be a model such as VAE(2), with loss and draw_noise, got {checks.brief(model)}")
    checks.generator(rng)
    steps = checks.size(steps, "steps")
    theta = checks.finite(checks.array(theta, "theta", 1), "theta")
    recipe = model.recipe if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be a Recipe, got {checks.brief(recipe)}")
    standardized = hasattr(model, "to_model")               # it subtracts a large mean before it rounds
    stream = batches(data, recipe.batch_size, rng, None if standardized else theta.dtype)
    if hasattr(data, "__array__"):
        _warn_about_scale(model, np.asarray(data))
    return _loop(model, theta, stream, rng, steps, recipe)


def _warn_about_scale(model, rows):
    """Warn if a column of float rows has a mean or a standard deviation for which the model is not made."""
    if hasattr(model, "to_model"):                          # a Standardized model
        model, rows = model.model, model.to_model(rows)
    expected = getattr(model, "sigma_data", USUAL_STD if hasattr(model, "sample") else None)
    if expected is None or rows.dtype.kind != "f":
        return
    for i, (mean, std) in enumerate(zip(rows.mean(axis=0)[:model.dim], rows.std(axis=0)[:model.dim])):
        if abs(mean) > FARTHEST * expected or not expected / FARTHEST < std < FARTHEST * expected:
            warnings.warn(f"column {i} of data has mean {mean:.3g} and standard deviation {std:.3g}, but "
                          f"{type(model).__name__} is made for 0 and about {expected:.3g}: use standardize(model, "
                          f"rows) of scratch.data.standardized", stacklevel=3)
            return


def _loop(model, theta, stream, rng, steps, recipe):
    _keep_freed_memory()
    optimizer, mean = recipe.optimizer, theta
    memory = optimizer.start(theta)
    good = state = State(0, np.nan, theta, mean, memory)
    for step in range(1, steps + 1):
        done = (step - 1) / steps
        stage = recipe.anneal(model, done) if recipe.anneal else model
        x = next(stream)                                    # 1. real samples
        noise = model.draw_noise(rng, len(x))               # 2. the randomness of generated ones
        with np.errstate(all="ignore"):                     # caught below, if not finite
            loss, dtheta = stage.loss(theta, x, noise)      # 3. the loss and 4. its gradient
            finite = np.isfinite(loss).all()
            if finite:
                good = state                                # the last theta that had a finite loss
            theta, memory = optimizer.step(theta, dtheta, memory, recipe.schedule(done))
        if not (finite and np.isfinite(theta).all()):
            raise Diverged(step, loss, good)
        mean = optimizers.average(mean, theta, step)
        state = State(step, loss, theta, mean, memory)
        yield state


def fit(model, theta, data, rng, *, steps, recipe=None, progress=False):
    """Train to the end and return the averaged parameters (P,).

    progress: show a line with step, loss and time, if standard error is a terminal.
    """
    began = last = time.monotonic()
    progress = progress and sys.stderr is not None and sys.stderr.isatty()
    for state in train(model, theta, data, rng, steps=steps, recipe=recipe):
        if progress and (state.step == steps or time.monotonic() - last > 0.2):
            last, end = time.monotonic(), "\n" if state.step == steps else ""
            print(f"\rstep {state.step}/{steps}  loss {np.round(state.loss, 4)}  {last - began:.0f} s ",
                  end=end, file=sys.stderr, flush=True)
    return state.average


def batches(data, batch_size, rng, dtype):
    """An endless stream of batches (batch_size, D) from an array of rows or a law.

    Every row comes exactly once an epoch, in a new random order, whatever the batch size.
    What can be made an array, a data frame too, is taken for rows even if it has a method `sample`.
    dtype: of real batches; None leaves them as they come.
    """
    checks.generator(rng)
    batch_size = checks.size(batch_size, "batch_size")
    if checks.has(data, "sample"):
        return _draws(data, batch_size, rng, dtype)
    rows = checks.table(data, "data")
    rows = rows.astype(dtype or rows.dtype, copy=False) if rows.dtype.kind == "f" else rows
    return _epochs(rows, min(batch_size, len(rows)), rng)


def _draws(law, batch_size, rng, dtype):
    while True:
        x = law.sample(batch_size, rng)
        yield x.astype(dtype or x.dtype, copy=False) if x.dtype.kind == "f" else x


def _epochs(rows, batch_size, rng):
    waiting = rng.permutation(len(rows))
    while True:
        if len(waiting) < batch_size:                       # a batch across two epochs
            waiting = np.concatenate([waiting, rng.permutation(len(rows))])
        yield rows[waiting[:batch_size]]
        waiting = waiting[batch_size:]


def _keep_freed_memory():
    """Let the C library keep the memory that a training step frees: without this, steps are slower.

    Each step frees a dozen arrays of some 100 KiB and makes them anew.  The C library of Linux
    gives such blocks back to the system, which must then map every page again.  A step of Diffusion
    took a quarter longer (median of 12 pairs of runs on a busy machine; least 6 %).  The library
    keeps all blocks smaller than the largest that it has seen freed (mallopt(3), M_MMAP_THRESHOLD,
    at most 32 MiB), so one of 31 MiB is freed here.  It is never written to and takes no memory.
    """
    np.empty(31 << 20, np.uint8)
