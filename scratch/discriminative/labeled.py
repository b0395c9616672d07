"""Labeled rows: the data of p(y|x) as one array, with the target y in the last column.

    rows = [x_1 ... x_D, y]                    (N, D + 1)

The N rows are one array, so that a shuffle keeps each label with its input.  y is a real number, or
one of C classes, stored as the float 0.0, 1.0, ... C-1.

Every discriminative model here minimizes 1/N sum_n loss_n + penalty/2 |w|^2.  The biases are not
penalized, so that a shift of all the data shifts the boundary with it.  Where the loss is in nats
per row, so is the penalty: 1/N of the negative log density of a prior w ~ N(0, 1 / (penalty N)).
"""
import numpy as np

from scratch import checks
from scratch.kernels.stable import log_softmax


def join(x, y):
    """Rows (N, D + 1) from inputs x (N, D) and classes or numbers y (N,).

    >>> join(np.array([[0.5, 0.2], [0.1, 0.9]]), np.array([1, 0]))
    array([[0.5, 0.2, 1. ],
           [0.1, 0.9, 0. ]])
    """
    x, y = checks.rows(x), checks.constant(y, "y", kinds="fiub")
    if y.shape != (len(x),):
        raise ValueError(f"y must have shape ({len(x)},), one for each row of x, got {y.shape}")
    return np.column_stack([x, y]).astype(x.dtype, copy=False)


def split_classes(rows, dim, classes):
    """x (N, dim) and y (N,), integers in 0 ... classes-1, from labeled rows (N, dim + 1)."""
    (x, y), classes = split_numbers(rows, dim), checks.size(classes, "classes")
    wrong = (y != np.floor(y)) | (y < 0) | (y >= classes)
    if wrong.any():
        raise ValueError(f"the last column of rows must hold classes 0 ... {classes - 1}, got {y[wrong][0]}")
    return x, y.astype(int)


def split_numbers(rows, dim):
    """x (N, dim) and y (N,) from labeled rows (N, dim + 1)."""
    rows = checks.rows(rows, checks.size(dim, "dim") + 1, "rows")
    if rows.dtype.kind == "c":
        raise TypeError(f"rows must be real, got dtype {rows.dtype}")
    return rows[:, :-1], rows[:, -1]


def labeled_inputs(model, theta, rows, classes=None):
    """theta (P,), x (N, D), y (N,), checked, in theta's precision; without classes y is real."""
    theta = checks.flat(theta, model.size)
    x, y = split_numbers(rows, model.dim) if classes is None else split_classes(rows, model.dim, classes)
    real = theta.real.dtype
    return theta, x.astype(real, copy=False), y.astype(real, copy=False) if classes is None else y


def most_probable(log_p):
    """The class (N,) of the largest log_p (N, C); an error if no class has mass, or one is NaN."""
    bad = ~np.isfinite(log_p.max(axis=1))                   # the maximum of a row with NaN is NaN
    if bad.any():
        raise ValueError(f"no class has mass, or one is NaN, at {bad.sum()} of {len(log_p)} rows of x")
    return np.argmax(log_p, axis=1)


class LabeledModel:
    """What every model of labeled rows inherits: the checks of its fields, a loss without noise."""

    def __post_init__(self):
        checks.fields(self, dim=checks.size, penalty=checks.nonnegative)
        if "classes" in self.__dataclass_fields__:
            checks.fields(self, classes=lambda value, name: checks.size(value, name, minimum=2))

    def draw_noise(self, rng, n):
        """None: the loss is exact."""
        return None


class ClassProbabilities:
    """What classifiers inherit: all that follows from scores(theta, x), one logit a class."""

    def log_posterior(self, theta, x):
        """log p(k|x) for every class, (N, C)."""
        return log_softmax(self.scores(theta, x))[0]

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own class (not log p(x, y)), (N,) nats."""
        x, y = split_classes(rows, self.dim, self.classes)
        return self.log_posterior(theta, x)[np.arange(len(y)), y]

    def predict(self, theta, x):
        """The most probable class, (N,)."""
        return most_probable(self.log_posterior(theta, x))
