"""Bad input, stopped at the door.

A public function calls these before it computes anything, so that a mistake
is answered with what was expected and what came, and never with a traceback
from deep inside NumPy.  Each check returns its (converted) argument:

    x = checks.rows(x, dim=2)
"""
import numbers

import numpy as np


def rows(x, dim=None, name="x"):
    """x as an array of data rows (n, dim): floating point, finite, n >= 1.

    float32, float64 and complex128 (the complex step's probe) pass as they
    are.  Integers are refused: silent casts hide swapped arguments.
    """
    x = np.asarray(x)
    expected = f"(n, {'dim' if dim is None else dim})"
    if x.dtype.kind not in "fc":
        raise TypeError(f"{name} must be floating point of shape {expected}, got dtype {x.dtype}")
    if x.ndim != 2 or x.shape[1] == 0 or (dim is not None and x.shape[1] != dim):
        raise ValueError(f"{name} must have shape {expected}, got {x.shape}")
    if len(x) == 0:
        raise ValueError(f"{name} must have at least one row, got shape {x.shape}")
    finite(x, name)
    return x


def class_rows(x, dim, classes):
    """x as integers (n, dim) in 0 ... classes-1; floats are taken if they are whole (a law's batch may be)."""
    x = np.asarray(x)
    if x.dtype.kind not in "iuf":
        raise TypeError(f"x must hold the integers 0 ... {classes - 1} in shape (n, {dim}), got dtype {x.dtype}")
    if x.ndim != 2 or x.shape[1] != dim or len(x) == 0:
        raise ValueError(f"x must have shape (n, {dim}) with at least one row, got {x.shape}")
    finite(x, "x")
    if x.min() < 0 or x.max() >= classes or (x != np.floor(x)).any():
        raise ValueError(f"x must hold the integers 0 ... {classes - 1}, got values from {x.min()} to {x.max()}")
    return x.astype(np.int64)


def array(a, name, dimensions=0):
    """a as a floating point array with at least so many dimensions: the door of a kernel, which takes NaN too."""
    a = np.asarray(a)
    if a.dtype.kind not in "fc":
        raise TypeError(f"{name} must be floating point, got dtype {a.dtype}")
    if a.ndim < dimensions or a.size == 0:
        raise ValueError(f"{name} must be a non-empty array of {dimensions} or more dimensions, got shape {a.shape}")
    return a


def flat(theta, size, name="theta"):
    """theta as one flat vector of parameters (size,): floating point, finite."""
    theta = np.asarray(theta)
    if theta.dtype.kind not in "fc":
        raise TypeError(f"{name} must be floating point of shape ({size},), got dtype {theta.dtype}")
    if theta.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), got {theta.shape}")
    return finite(theta, name)


def inputs(model, theta, x):
    """theta (P,) and rows x (n, D) of a model, checked; real x in the precision of theta."""
    theta, x = flat(theta, model.size), rows(x, model.dim)
    return theta, x.astype(theta.real.dtype, copy=False) if x.dtype.kind == "f" else x


def noise(parts, x, **shapes):
    """The parts of a model's noise, named and shaped by `shapes`, as a tuple of arrays in the precision of x.

        eps, sigma = checks.noise(noise, x, eps=x.shape, sigma=(len(x),))
    """
    says = "noise must be (" + ", ".join(f"{name} {shape}" for name, shape in shapes.items()) + ")"
    if not isinstance(parts, (tuple, list)) or len(parts) != len(shapes):
        raise TypeError(f"{says}, got {type(parts).__name__}")
    if [np.shape(part) for part in parts] != list(shapes.values()):
        raise ValueError(f"{says}, got shapes {', '.join(str(np.shape(part)) for part in parts)}")
    return tuple(np.asarray(part).astype(x.dtype, copy=False) for part in parts)


def constant(value, name):
    """A constant of a law or a rule, from numbers or lists of them, as a finite float64 array."""
    try:
        value = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be numbers in rows of equal length, got {value!r}") from None
    if value.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    return finite(value.astype(float), name)


def finite(x, name="x"):
    """x, if it holds no NaN and no infinity."""
    if not np.isfinite(x).all():
        bad = int(np.size(x) - np.isfinite(x).sum())
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite of {np.size(x)} entries")
    return x


def size(value, name, minimum=1):
    """value as an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def widths(values, name="hidden"):
    """values as a tuple of ints of at least 1: the widths of hidden layers."""
    if not np.iterable(values):
        raise TypeError(f"{name} must be a tuple of layer widths, got {values!r}")
    return tuple(size(value, f"each of {name}") for value in values)


def positive(value, name):
    """value as a finite float greater than 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a positive number, got {value!r}")
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, got {value}")
    return float(value)


def generator(rng):
    """rng, if it is a numpy.random.Generator: randomness is always an argument."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator (np.random.default_rng(seed)), got {rng!r}")
    return rng
