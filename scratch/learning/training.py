"""The chapter's training loop, one for all families.

The chapter writes it for PyTorch, with four numbered comments and then the optimizer's step.  Here
a loss is a function that returns its own gradient, so the lines become:

    1. real samples from the data      x, waiting = next_batch(data, waiting, n, rng)
    2. generated samples               noise = model.draw_noise(rng, n)
    3. the loss                        loss, dtheta = model.loss(theta, x, noise)
    4. backpropagation                 the same call: dtheta is the gradient of loss
       the optimizer's step            theta, memory = optimizer.step(theta, dtheta, memory, scale)

noise is all the randomness of the loss, drawn before it, so that the loss is a function.  waiting
is the rest of the epoch.  Each step makes one State from the last, and checkpoint.py saves it.
Checked in tests/learning/test_training.py::test_the_loop_is_the_chapters_loop.

Symbols: n batch, D data, P parameters.  `done` in [0, 1] is the fraction of the run that is over.
"""
import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.learning import optimizers
from scratch.learning.checkpoint import Run, State, of_this_run, save, saved

USUAL_STD = 1.5                # of LAWS, and the scale of data for which models without sigma_data are made
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


class Diverged(FloatingPointError):
    """A loss, a gradient or a step is not finite; `state` is the last one with a finite loss."""

    def __init__(self, step, loss, state):
        super().__init__(f"step {step}: the loss ({loss}), its gradient or the step is not finite; the last "
                         f"good parameters are in this error's .state (lower the learning rate?)")
        self.state = state


def train(model, theta, data, rng, *, steps, recipe=None, resume=None):
    """Yield the State after every step, so that the caller draws, logs or stops as it likes.

    data: an array of rows (n, D), taken in a new random order each epoch, or a law, that is, a
    distribution with .sample(n, rng).  recipe: by default the model's own.  Warns about rows in
    units for which the model is not made.

    resume: a State of this run.  The run goes on from it with the same bits; the state of rng is
    set to that of the State, and theta is not used.  Between two steps draw from a generator of
    your own, observer = rng.spawn(1)[0]: drawing from rng would change the run.
    """
    if not checks.has(model, "loss", "draw_noise"):
        raise TypeError(f"model must be a model such as VAE(2), with loss and draw_noise, got {checks.brief(model)}")
    checks.generator(rng)
    steps = checks.size(steps, "steps")
    theta = checks.finite(checks.array(theta, "theta", 1), "theta")
    recipe = model.recipe if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be a Recipe, got {checks.brief(recipe)}")
    if not checks.has(data, "sample"):
        rows = checks.table(data, "data")
        _warn_about_scale(model, rows)
        data = _narrowed(rows, _precision(model, theta))
    run = Run.of(model, recipe, data, theta, rng, steps)
    if resume is None:
        state = State(0, np.nan, theta, theta, recipe.optimizer.start(theta), np.arange(0), None, run)
    else:
        state = of_this_run(resume, run)
    return _loop(model, data, rng, recipe, state)


def _warn_about_scale(model, rows):
    """Warn if a column of float rows has a mean or a standard deviation for which the model is not made."""
    if hasattr(model, "to_model"):                          # a Standardized model
        model, rows = model.model, model.to_model(rows)
    expected = getattr(model, "stds", getattr(model, "sigma_data", USUAL_STD if hasattr(model, "sample") else None))
    if expected is None or rows.dtype.kind != "f":
        return
    columns = zip(rows.mean(axis=0), rows.std(axis=0), np.broadcast_to(expected, model.dim))
    for i, (mean, std, expected) in enumerate(columns):
        if abs(mean) > FARTHEST * expected or not expected / FARTHEST < std < FARTHEST * expected:
            warnings.warn(f"column {i} of data has mean {mean:.3g} and standard deviation {std:.3g}, but "
                          f"{type(model).__name__} is made for 0 and about {expected:.3g}: use standardize(model, "
                          f"rows) of scratch.data.standardized", stacklevel=3)
            return


def _loop(model, data, rng, recipe, state):
    _keep_freed_memory()
    if state.random is None:
        state = state._replace(random=rng.bit_generator.state)
    rng.bit_generator.state = state.random                  # set last, after all other draws from rng
    good, run, steps, dtype = state, state.run, state.run.steps, _precision(model, state.theta)
    for step in range(state.step + 1, steps + 1):
        done = (step - 1) / steps
        stage = recipe.anneal(model, done) if recipe.anneal else model
        x, waiting = next_batch(data, state.waiting, recipe.batch_size, rng)        # 1. real samples
        x = _narrowed(x, dtype)
        noise = model.draw_noise(rng, len(x))               # 2. the randomness of generated ones
        with np.errstate(all="ignore"):                     # caught below, if not finite
            loss, dtheta = stage.loss(state.theta, x, noise)        # 3. the loss and 4. its gradient
            finite = np.isfinite(loss).all()
            if finite:
                good = state                                # the last theta that had a finite loss
            theta, memory = recipe.optimizer.step(state.theta, dtheta, state.memory, recipe.schedule(done))
        if not (finite and np.isfinite(theta).all()):
            raise Diverged(step, loss, good)
        average = optimizers.average(state.average, theta, step)
        state = State(step, loss, theta, average, memory, waiting, rng.bit_generator.state, run)
        yield state


def fit(model, theta, data, rng, *, steps, recipe=None, progress=False, checkpoint=None, every=1000):
    """Train to the end and return the averaged parameters (P,).

    progress: show a line with step, loss and time, if standard error is a terminal.
    checkpoint: save the run to this file, a name that ends in .npz, after every `every` steps and
    at the end.  If the file is there already, the run goes on from it and returns the same bits:
    call the same line again, with the same theta and a generator in the same state.
    """
    began = last = time.monotonic()
    progress = progress and sys.stderr is not None and sys.stderr.isatty()
    every, state = checks.size(every, "every"), None if checkpoint is None else saved(checkpoint, theta, rng)
    for state in train(model, theta, data, rng, steps=steps, recipe=recipe, resume=state):
        if checkpoint is not None and (state.step % every == 0 or state.step == steps):
            save(checkpoint, state)
        if progress and (state.step == steps or time.monotonic() - last > 0.2):
            last, end = time.monotonic(), "\n" if state.step == steps else ""
            print(f"\rstep {state.step}/{steps}  loss {np.round(state.loss, 4)}  {last - began:.0f} s ",
                  end=end, file=sys.stderr, flush=True)
    return state.average


def next_batch(data, waiting, batch_size, rng):
    """A batch (n, D) from an array of rows or a law, and the rows (m,) that still wait in the epoch.

    Every row comes exactly once an epoch, in a new random order, whatever the batch size.
    """
    if not isinstance(data, np.ndarray):
        return data.sample(batch_size, rng), waiting
    n = min(batch_size, len(data))
    if len(waiting) < n:                                    # a batch across two epochs
        waiting = np.concatenate([waiting, rng.permutation(len(data))])
    return data[waiting[:n]], waiting[n:]


def _precision(model, theta):
    """The dtype of real rows: that of theta; None leaves them to a model that first subtracts a large mean."""
    return None if hasattr(model, "to_model") else theta.dtype


def _narrowed(x, dtype):
    return x.astype(dtype or x.dtype, copy=False) if x.dtype.kind == "f" else x


def _keep_freed_memory():
    """Let the C library keep the memory that a training step frees: without this, steps are slower.

    Each step frees a dozen arrays of some 100 KiB and makes them anew.  The C library of Linux
    gives such blocks back to the system, which must then map every page again.  A step of Diffusion
    took a quarter longer (median of 12 pairs of runs on a busy machine; least 6 %).  The library
    keeps all blocks smaller than the largest that it has seen freed (mallopt(3), M_MMAP_THRESHOLD,
    at most 32 MiB), so one of 31 MiB is freed here.  It is never written to and takes no memory.
    """
    np.empty(31 << 20, np.uint8)
