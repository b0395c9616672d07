"""Bad arguments are answered clearly, where users stand: one at a time, over MODELS and the public functions.

An answer is clear if it is a TypeError or a ValueError that a `raise` of this project made, or no error at
all (the argument was taken).  Anything from inside NumPy, and any other kind of error, is unclear.
"""
import inspect
import linecache
import traceback

import numpy as np
import pytest

from scratch.family_tree import MODELS
from scratch.learning.training import Diverged, fit, train

RAGGED, MASKED = [[1.0, 2.0], [3.0]], np.ma.masked_array(np.ones((5, 3)), mask=np.eye(5, 3))
BAD = [None, "a", b"a", [], {}, (), object(), RAGGED, MASKED, True, 0, -1, 1.5, 10 ** 6, 1j, np.nan, np.inf, np.float64(2.5),
       np.array("a"), np.array([]), np.array(None), np.zeros((0, 3)), np.full((5, 3), np.nan), np.zeros((5, 3), int),
       np.zeros((2, 5, 3)), np.zeros(7), [1.0, "b"], np.zeros((5, 3), bool), np.array([[object()]]), lambda: None,
       np.random, type, float, {"a": 1}, [np.zeros(3), np.zeros(2)], (np.zeros((5, 3)),), slice(3), range(3)]


def answer(function, *arguments, **keywords):
    """"taken", "clear", or the unclear error in words."""
    try:
        with np.errstate(all="ignore"):
            function(*arguments, **keywords)
    except (TypeError, ValueError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = linecache.getline(last.filename, last.lineno).strip()
        if "scratch" in last.filename and line.startswith("raise "):
            return "clear"
        if isinstance(error, TypeError) and "argument" in str(error) and "__init__" in str(error):
            return "clear"                                  # a missing or unknown keyword, in Python's own words
        return f"{type(error).__name__}: {str(error)[:80]} ({last.filename.split('/')[-1]}:{last.lineno})"
    except Diverged:
        return "clear"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:80]} ({last.filename.split('/')[-1]}:{last.lineno})"
    return "taken"


def small(bad):
    """Whether an integer is small enough to be tried as a size."""
    return not (isinstance(bad, int) and bad > 1000)


def model_calls(entry):
    """(name, function, good arguments) for the public methods of a model."""
    rng = np.random.default_rng(0)
    model = entry()
    theta, x = model.init(rng), entry.rows(model, rng, 5)
    noise = model.draw_noise(rng, 5)
    data_name = list(inspect.signature(model.loss).parameters)[1]                # x, or rows if they carry a label
    calls = [("init", model.init, dict(rng=rng, dtype=np.float32)), ("draw_noise", model.draw_noise, dict(rng=rng, n=3)),
             ("loss", model.loss, {"theta": theta, data_name: x, "noise": noise}),
             ("fit", fit, dict(model=model, theta=theta, data=x, rng=rng, steps=2))]
    features = x[:, :model.dim] if data_name == "rows" else x
    good = dict(theta=theta, x=features, rows=x, n=3, rng=rng, noise=noise, known={0: x[0, 0]}, z=None)
    for name in ("sample", "log_prob", "elbo", "complete", "denoise", "velocity", "score", "log_posterior", "predict",
                 "encode", "importance_bound"):
        if hasattr(model, name):
            needed = [p.name for p in inspect.signature(getattr(model, name)).parameters.values()
                      if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
            values = {key: good[key] for key in needed if key in good}
            values |= {key: 0.5 for key in needed if key in ("sigma", "t")}
            if len(values) == len(needed):
                calls.append((name, getattr(model, name), values))
    calls.append(("constructor", entry.model, dict(entry.sizes)))
    return calls


def unclear(entry):
    """(number of tries, the unclear ones)."""
    tries, found = 0, []
    for name, function, good in model_calls(entry):
        for argument in good:
            for bad in filter(small, BAD):
                if bad is None and argument == "noise" or argument == "self":
                    continue
                tries += 1
                said = answer(function, **{**good, argument: bad})
                if said not in ("taken", "clear"):
                    found.append(f"{name}({argument}={str(bad)[:30]!r}): {said}")
    return tries, found


@pytest.mark.parametrize("name", MODELS)
def test_bad_arguments_of_a_model_are_answered_clearly(name):
    tries, found = unclear(MODELS[name])
    assert len(found) <= 0.01 * tries, "\n".join(found)


if __name__ == "__main__":
    total, all_found = 0, []
    for name, entry in MODELS.items():
        tries, found = unclear(entry)
        total += tries
        all_found += [f"{name}.{line}" for line in found]
        print(name, tries, len(found))
    print(total, len(all_found))
    print("\n".join(all_found))
