"""Labeled rows: the data of p(y|x) as one array, with the target y in the last column.

    rows = [x_1 ... x_D, y]                    (N, D + 1)

The N rows are one array, so that a shuffle keeps each label with its input.  y is one of C classes,
stored as the float 0.0, 1.0, ... C-1, or a real number.

Every discriminative model here minimizes 1/N sum_n loss_n + penalty/2 |w|^2.  The biases are not
penalized, so that a shift of all the data shifts the boundary with it.  Where the loss is in nats
per row, so is the penalty: 1/N of the negative log density of a prior w ~ N(0, 1 / (penalty N)).
"""
import numpy as np

from scratch import checks


def join(x, y):
    """Rows (N, D + 1) from inputs x (N, D) and classes or numbers y (N,).

    >>> join(np.array([[0.5, 0.2], [0.1, 0.9]]), np.array([1, 0]))
    array([[0.5, 0.2, 1. ],
           [0.1, 0.9, 0. ]])
    """
    x, y = checks.rows(x), np.asarray(y)
    if y.shape != (len(x),):
        raise ValueError(f"y must have shape ({len(x)},), one for each row of x, got {y.shape}")
    return np.column_stack([x, y]).astype(x.dtype, copy=False)


def split_classes(rows, dim, classes):
    """x (N, dim) and y (N,), integers in 0 ... classes-1, from labeled rows (N, dim + 1)."""
    x, y = split_numbers(rows, dim)
    labels = y.astype(int)
    if (labels != y).any() or labels.min() < 0 or labels.max() >= classes:
        bad = y[(labels != y) | (labels < 0) | (labels >= classes)][0]
        raise ValueError(f"the last column of rows must hold classes 0 ... {classes - 1}, got {bad}")
    return x, labels


def split_numbers(rows, dim):
    """x (N, dim) and y (N,) from labeled rows (N, dim + 1)."""
    rows = checks.rows(rows, dim + 1, "rows")
    if rows.dtype.kind == "c":
        raise TypeError(f"rows must be real, got dtype {rows.dtype}")
    return rows[:, :-1], rows[:, -1]


def labeled_inputs(model, theta, rows, classes=None):
    """theta (P,), x (N, D), y (N,), checked, in theta's precision; without classes y is real."""
    theta = checks.flat(theta, model.size)
    x, y = split_numbers(rows, model.dim) if classes is None else split_classes(rows, model.dim, classes)
    real = theta.real.dtype
    return theta, x.astype(real, copy=False), y.astype(real, copy=False) if classes is None else y


class LabeledModel:
    """What every model of labeled rows inherits: the checks of its fields, a loss without noise."""

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.size(getattr(self, "classes", 2), "classes", minimum=2)
        penalty = checks.finite(float(self.penalty), "penalty")
        if penalty < 0:
            raise ValueError(f"penalty must be at least 0, got {penalty}")
        object.__setattr__(self, "penalty", penalty)        # a Python float: it does not widen float32

    def draw_noise(self, rng, n):
        """None: the loss is exact."""
        return None


class ClassProbabilities:
    """The methods that follow from log_posterior(theta, x), for classifiers to inherit."""

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own class (not log p(x, y)), (N,) nats."""
        x, y = split_classes(rows, self.dim, self.classes)
        return self.log_posterior(theta, x)[np.arange(len(y)), y]

    def predict(self, theta, x):
        """The most probable class, (N,)."""
        return np.argmax(self.log_posterior(theta, x), axis=1)
