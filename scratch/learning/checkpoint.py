"""A run as a value that can be saved: stopped, loaded and resumed, it ends with the same bits.

A State holds all that changes during a run: the parameters, their average, the optimizer's memory,
the step, the rows still waiting in the epoch, and the state of the random generator.  All else is
an argument of train.  A Run describes these arguments in words, and train refuses a State of another
Run: of another model, recipe or data, another precision, or another number of steps, on which the
schedule depends.

    save("run.npz", state)                                                   in the loop over train
    train(model, theta, law, rng, steps=5000, resume=load("run.npz"))        yields the steps that are missing
    fit(model, theta, law, rng, steps=5000, checkpoint="run.npz")            saves, and resumes if it was stopped

A file is one .npz without pickle: the arrays, and a header in JSON.  It appears whole or not at all.
The last digits depend on the versions of NumPy and its BLAS, on the number of threads, and on the
processor: load warns if they are not those of the file.  What a Run does not describe is not compared: the
code of a function, and the attributes of a law or a model that is no dataclass.

Checked in tests/learning/test_checkpoint.py::test_a_resumed_run_ends_with_the_same_bits
Checked in tests/learning/test_checkpoint.py::test_every_piece_of_the_state_is_needed
Symbols: P parameters; m rows that still wait.
"""
import json
import os
import warnings
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from numbers import Number
from typing import NamedTuple

import numpy as np

from scratch import checks

VERSION = 1                    # of the format


class Run(NamedTuple):
    """What does not change during a run, in words that are the same in every process."""
    model: str
    recipe: str
    data: str               # of rows a hash
    parameters: str         # how many, and their dtype
    generator: str          # the kind of the random generator
    steps: int              # in all
    start: str              # a hash of theta and of the generator's state when train was called

    @classmethod
    def of(cls, model, recipe, data, theta, rng, steps):
        """The Run of these arguments of train."""
        return cls(words(model), words(recipe), words(data), f"{len(theta)} of {theta.dtype}",
                   rng.bit_generator.state["bit_generator"], steps, _start(theta, rng))


class State(NamedTuple):
    """A run after `step` steps.  Its arrays are never written to again."""
    step: int
    loss: object            # of the batch, before this step: a float, or one per player
    theta: np.ndarray       # (P,)
    average: np.ndarray     # (P,) the averaged parameters, from which one samples
    memory: tuple           # the optimizer's
    waiting: np.ndarray     # (m,) the rows still waiting in the epoch, as indices; for a law empty
    random: dict            # the state of the random generator
    run: Run


def words(value):
    """value as text without addresses: a dataclass with its fields, a function by its name, an array by a hash.

    >>> from scratch.learning.optimizers import Adam, cosine
    >>> words((Adam(0.1), cosine, np.zeros(3)))
    '(Adam(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-08), cosine, float64 (3,) 2bb6ae06ad472028)'
    """
    if is_dataclass(value) and not isinstance(value, type):
        inside = ", ".join(f"{field.name}={words(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__qualname__}({inside})"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(words, value))})"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {_hash(value.tobytes())}"
    if isinstance(value, (Number, str, np.generic, type(None))):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


def _hash(content):
    return blake2b(content, digest_size=8).hexdigest()


def _start(theta, rng):
    return _hash(f"{words(theta)} {_json(rng.bit_generator.state)}".encode())


def _json(value):
    return json.dumps(value, default=np.ndarray.tolist)     # some generators hold an array


def of_this_run(state, run):
    """state, if it belongs to a run like `run`, wherever that starts."""
    if not isinstance(state, State):
        raise TypeError(f"resume must be a State of train, such as load(path), got {checks.brief(state)}")
    for name, then, now in zip(Run._fields, state.run, run):
        if name != "start" and then != now:
            raise ValueError(f"resume must be a State of this run, but {name} = {then} there and {now} here")
    return state


def save(path, state):
    """Write a State of train to the file `path`, a name that ends in .npz, whole or not at all."""
    path = checks.path(path, "path", ".npz")
    if not isinstance(state, State):
        raise TypeError(f"state must be a State of train, got {checks.brief(state)}")
    if not isinstance(state.memory, tuple) or not all(map(_fits_a_file, state.memory)):
        raise TypeError("the optimizer's memory must be a tuple of arrays and Python numbers, "
                        f"got {checks.brief(state.memory)}")
    arrays = {f"memory {i}": part for i, part in enumerate(state.memory) if isinstance(part, np.ndarray)}
    numbers = [None if isinstance(part, np.ndarray) else part for part in state.memory]
    header = dict(checkpoint=VERSION, step=state.step, run=state.run, memory=numbers, random=state.random,
                  arithmetic=arithmetic())
    with open(f"{path}.tmp", "wb") as file:                 # one name: a save that is killed leaves one such file
        np.savez(file, header=_json(header), loss=state.loss, theta=state.theta, average=state.average,
                 waiting=state.waiting, **arrays)
        file.flush()
        os.fsync(file.fileno())                             # on the disk before the old file goes
    os.replace(f"{path}.tmp", path)


def _fits_a_file(part):
    return part.dtype.kind in "fciub" if isinstance(part, np.ndarray) else type(part) in (int, float)


def load(path):
    """The State that save wrote to `path`.  Warns if numbers are rounded differently here; refuses other files."""
    path = checks.path(path, "path", ".npz")
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].item())
                newer = header["checkpoint"] > VERSION
                state = None if newer else _state(header, arrays)
        except Exception:                                   # a damaged archive raises errors of many kinds
            raise ValueError(f"{path} is no whole file of scratch.learning.checkpoint.save") from None
    if newer:
        raise ValueError(f"{path} was saved by a newer version of scratch")
    for name, here in arithmetic().items():
        then = header["arithmetic"].get(name)
        if then != here:
            warnings.warn(f"{path} was saved with {name} {then}, here is {name} {here}: the run goes on, but its "
                          "last digits may differ", stacklevel=2)
    return state


def _state(header, arrays):
    memory = tuple(arrays[f"memory {i}"] if part is None else part for i, part in enumerate(header["memory"]))
    return State(header["step"], arrays["loss"][()], arrays["theta"], arrays["average"], memory, arrays["waiting"],
                 header["random"], Run(*header["run"]))


def saved(path, theta, rng):
    """The State at `path` of the run that starts from theta and rng, or None if there is no file yet."""
    path, theta, rng = checks.path(path, "checkpoint", ".npz"), checks.array(theta, "theta", 1), checks.generator(rng)
    if not path.exists():
        return None
    state = load(path)
    if state.run.start != _start(theta, rng):
        raise ValueError(f"{path} holds a run from another theta or another state of rng: resume with those of its "
                         "start, or name another file")
    return state


def arithmetic():
    """What rounding depends on: NumPy, its BLAS and the number of threads, the processor's vector instructions."""
    config, threads = np.show_config(mode="dicts"), os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    blas, vectors = config["Build Dependencies"].get("blas", {}), config.get("SIMD Extensions", {})
    return dict(NumPy=np.__version__, BLAS=f"{blas.get('name')} {blas.get('version')}",
                threads=str(os.environ.get("OPENBLAS_NUM_THREADS", threads)), SIMD=" ".join(vectors.get("found", [])))
