"""Labeled rows: the data of p(y|x) as one array, with what is to be predicted in the last column.

    rows = [x_1 ... x_D, y]                    (N, D + 1)

One array has one order, so labels cannot be shuffled apart from their inputs,
and the training loop needs no second argument.  y is a class, stored as the
float 0.0, 1.0, ... K-1, or a number to be regressed on.

Every discriminative model here minimizes the same kind of objective,

    mean loss over the rows + penalty/2 |w|^2

where w are the weights.  Biases are not penalized: moving all the data must
move the boundary with it.  A penalty is the negative log density of a Gaussian
prior on w, of variance 1 / (penalty N): it is in nats per row, as the loss is.
"""
import numpy as np

from scratch import checks


def join(x, y):
    """Rows (n, D + 1) from inputs x (n, D) and classes or numbers y (n,).

    >>> join(np.array([[0.5, 0.2], [0.1, 0.9]]), np.array([1, 0]))
    array([[0.5, 0.2, 1. ],
           [0.1, 0.9, 0. ]])
    """
    x, y = checks.rows(x), np.asarray(y)
    if y.shape != (len(x),):
        raise ValueError(f"y must have shape ({len(x)},), one for each row of x, got {y.shape}")
    return np.column_stack([x, y]).astype(x.dtype, copy=False)


def split_classes(rows, dim, classes):
    """x (n, dim) and y (n,), integers in 0 ... classes-1, from labeled rows (n, dim + 1)."""
    x, y = split_numbers(rows, dim)
    labels = y.astype(int)
    if (labels != y).any() or labels.min() < 0 or labels.max() >= classes:
        bad = y[(labels != y) | (labels < 0) | (labels >= classes)][0]
        raise ValueError(f"the last column of rows must hold classes 0 ... {classes - 1}, got {bad}")
    return x, labels


def split_numbers(rows, dim):
    """x (n, dim) and y (n,) from labeled rows (n, dim + 1)."""
    rows = checks.rows(rows, dim + 1, "rows")
    if rows.dtype.kind == "c":
        raise TypeError(f"rows must be real, got dtype {rows.dtype}")
    return rows[:, :-1], rows[:, -1]


def check_penalty(penalty, minimum=0.0):
    """penalty as a finite float of at least `minimum`."""
    value = checks.finite(float(penalty), "penalty")
    if value < minimum:
        raise ValueError(f"penalty must be at least {minimum}, got {penalty}")
    return value
