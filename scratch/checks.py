"""Clear errors for bad input: a public function calls these before it computes anything.

Each check returns its argument, converted, or raises a TypeError or a ValueError that says what was
expected and what came.  One rule holds everywhere:

    taken as they are     float32, float64, and complex128 (the complex step's probe) arrays
    cast                  lists, tuples and data frames of floats; rows to the precision of theta; constants
                          and sizes to Python numbers, because a NumPy scalar would widen float32 arrays
    refused               integers for real data (a silent cast hides swapped arguments), ragged lists,
                          masked entries, objects, NaN and infinity, an empty batch

    x = checks.rows(x, dim=2)
"""
import numbers
import reprlib
from pathlib import Path
from types import ModuleType

import numpy as np


def brief(value):
    """value in at most 80 characters, as a message shows it."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    shown = reprlib.repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _numbers(a, name, kinds, expected, shape=None):
    """a as an array of one of these dtype kinds, without masked entries.

    shape: "n" and "dim" in it, as in ("n", 2), stand for any length of 1 or more.
    """
    if np.ma.isMaskedArray(a) and np.ma.getmaskarray(a).any():
        raise ValueError(f"{name} has {np.ma.count_masked(a)} masked entries: fill them, or leave their rows out")
    try:
        values = np.asarray(a)
    except (TypeError, ValueError):                         # ragged lists, arrays of other kinds
        raise ValueError(f"{name} must {expected}, got {brief(a)}") from None
    if values.dtype.kind not in kinds:
        raise TypeError(f"{name} must {expected}, got dtype {values.dtype}"
                        + f" of {brief(a)}" * (values.dtype.kind == "O"))
    if shape is not None:
        fits = [wanted in (length, "n", "dim") for wanted, length in zip(shape, values.shape)]
        if len(shape) != values.ndim or not all(fits):
            raise ValueError(f"{name} must have shape {shape}, got {values.shape}".replace("'", ""))
        if values.size == 0:
            raise ValueError(f"{name} must have at least one row and one column, got shape {values.shape}")
    return values


def array(a, name, dimensions=0):
    """a as a floating point array with at least so many dimensions and one entry; NaN passes."""
    a = _numbers(a, name, "fc", "be floating point")
    if a.ndim < dimensions or a.size == 0:
        raise ValueError(f"{name} must be a non-empty array of {dimensions} or more dimensions, got shape {a.shape}")
    return a


def rows(x, dim=None, name="x"):
    """x as an array of data rows (n, dim): floating point, finite, n >= 1."""
    return finite(_numbers(x, name, "fc", "be floating point", ("n", "dim" if dim is None else dim)), name)


def table(data, name):
    """data as an array of rows (n, dim) of floats or integers, finite, n >= 1."""
    return finite(_numbers(data, name, "fiu", "be rows of real numbers, or a law with .sample", ("n", "dim")), name)


def class_rows(x, dim, classes):
    """x as integers (n, dim) in 0 ... classes-1; whole floats are taken (a law's batch may be)."""
    expected = f"hold the integers 0 ... {classes - 1}"
    x = finite(_numbers(x, "x", "iuf", expected, ("n", dim)))
    if x.min() < 0 or x.max() >= classes or (x != np.floor(x)).any():
        raise ValueError(f"x must {expected}, got values from {x.min()} to {x.max()}")
    return x.astype(np.int64)


def flat(theta, size, name="theta"):
    """theta as one flat vector of parameters (size,): floating point, finite."""
    return finite(_numbers(theta, name, "fc", "be floating point", (size,)), name)


def inputs(model, theta, x):
    """theta (P,) and rows x (n, D) of a model, checked; real x in the precision of theta."""
    theta, x = flat(theta, model.size), rows(x, model.dim)
    return theta, x.astype(theta.real.dtype, copy=False) if x.dtype.kind == "f" else x


def noise(parts, x, **shapes):
    """The parts of a model's noise, named and shaped by `shapes`, as a tuple; real ones in the precision of x.

        eps, sigma = checks.noise(noise, x, eps=x.shape, sigma=(len(x),))
    """
    says = "noise must be (" + ", ".join(f"{name} {shape}" for name, shape in shapes.items()) + ")"
    if not isinstance(parts, (tuple, list)) or len(parts) != len(shapes):
        raise TypeError(f"{says}, got {brief(parts)}")
    parts = [_numbers(part, f"{name} of the noise", "fciub", "hold numbers") for part, name in zip(parts, shapes)]
    if [part.shape for part in parts] != list(shapes.values()):
        raise ValueError(f"{says}, got shapes {', '.join(str(part.shape) for part in parts)}")
    return tuple(part.astype(x.dtype, copy=False) if part.dtype.kind == "f" else part for part in parts)


def constant(value, name, shape=None, kinds="fiu"):
    """A constant of a law or a rule, a number or lists of them, as a finite float64 array of this shape."""
    return finite(_numbers(value, name, kinds, "hold real numbers in rows of equal length", shape).astype(float), name)


def labels(a, name):
    """a as an array of numbers or names that only tell groups apart."""
    return _numbers(a, name, "fiubUS", "hold numbers or names, one for each row")


def known(values, dim):
    """values as a dict from some, not all, of the coordinates 0 ... dim-1 to one float each."""
    if not isinstance(values, dict):
        raise TypeError(f"known must be a dict from coordinate to value, got {brief(values)}")
    axes = [size(axis, "each coordinate of known", minimum=0) for axis in values]
    y = constant(list(values.values()), "the values of known")
    if not 1 <= len(axes) < dim or max(axes) >= dim or y.ndim != 1:
        raise ValueError("known must hold one number for each coordinate, "
                         f"1 to {dim - 1} coordinates below {dim}, got {brief(values)}")
    return dict(zip(axes, y.tolist()))


def finite(x, name="x"):
    """x, if it holds no NaN and no infinity."""
    if not np.isfinite(x).all():
        bad = int(np.size(x) - np.isfinite(x).sum())
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite of {np.size(x)} entries")
    return x


def size(value, name, minimum=1):
    """value as an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {brief(value)}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def widths(values, name="hidden"):
    """values as a tuple of ints of at least 1: the widths of hidden layers."""
    if not isinstance(values, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of layer widths, got {brief(values)}")
    return tuple(size(value, f"each of {name}") for value in values)


def number(value, name, kind="", holds=lambda value: True):
    """value as a finite Python float, for which `holds`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a {kind}number, got {brief(value)}")
    value = float(value)
    if not (np.isfinite(value) and holds(value)):
        raise ValueError(f"{name} must be a {kind}finite number, got {value}")
    return value


def positive(value, name):
    """value as a finite float greater than 0."""
    return number(value, name, "positive ", lambda value: value > 0)


def nonnegative(value, name):
    """value as a finite float of at least 0."""
    return number(value, name, "non-negative ", lambda value: value >= 0)


def covariances(value, name, shape):
    """Symmetric positive definite matrices (..., D, D) of this shape, and their Cholesky factors.

    An asymmetry of 1e-6 of the standard deviations, the rounding of float32 with room, is averaged out.
    """
    S = constant(value, name, shape)
    std = np.sqrt(np.abs(np.diagonal(S, axis1=-2, axis2=-1)))
    asymmetry = np.abs(S - S.mT)
    if (asymmetry > 1e-6 * std[..., None] * std[..., None, :]).any():
        raise ValueError(f"{name} must be symmetric, got entries that differ by {asymmetry.max():g}")
    S = S / 2 + S.mT / 2
    try:
        return S, np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        raise ValueError(f"{name} must be positive definite, got an eigenvalue of "
                         f"{np.linalg.eigvalsh(S).min():g}") from None


def fields(model, **checked):
    """Each named field of a frozen dataclass replaced by what its check returns.

        checks.fields(self, dim=checks.size, hidden=checks.widths, sigma_data=checks.positive)
    """
    for name, check in checked.items():
        object.__setattr__(model, name, check(getattr(model, name), name))


def function(value, name):
    """value, if it can be called and is no class."""
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name} must be a function, got {brief(value)}")
    return value


def has(value, *methods):
    """Whether value is an object with these methods: no class, no module, and no data frame, which has .sample too."""
    return (not isinstance(value, (type, ModuleType)) and not hasattr(value, "__array__")
            and all(callable(getattr(value, method, None)) for method in methods))


def law(value, name, *methods):
    """value, if it is a distribution with these methods."""
    if not has(value, *methods):
        raise TypeError(f"{name} must be a distribution with {', '.join(methods)}, got {brief(value)}")
    return value


def path(value, name, ending):
    """value as a Path that ends so, in a folder that exists."""
    if not isinstance(value, (str, Path)):
        raise TypeError(f"{name} must be the name of a file that ends in {ending}, got {brief(value)}")
    value = Path(value)
    if value.suffix != ending or not value.parent.is_dir():
        raise ValueError(f"{name} must end in {ending} and lie in a folder that exists, got {value}")
    return value


def dtype(value):
    """value as a NumPy dtype of floating point parameters."""
    try:
        if np.dtype(value).kind in "fc":
            return np.dtype(value)
    except (TypeError, ValueError):                         # no dtype at all
        pass
    raise TypeError(f"dtype must be float32 or float64, got {brief(value)}")


def generator(rng):
    """rng, if it is a numpy.random.Generator: randomness is always an argument."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator (np.random.default_rng(seed)), got {brief(rng)}")
    return rng
