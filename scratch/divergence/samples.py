"""Checks shared by the estimators that take samples."""
import numpy as np

from scratch import checks
from scratch.divergence.repeats import refuse_copies


def one_sample(x, name="x", dim=None):
    """Real data rows (n, dim) as float64."""
    x = checks.rows(x, dim, name)
    if x.dtype.kind == "c":
        raise TypeError(f"{name} must be real, got dtype {x.dtype}")
    return x.astype(np.float64)


def two_samples(x, y):
    """Samples x (n, D) of p and y (m, D) of q, of one dimension, as float64."""
    x, y = one_sample(x, "x"), one_sample(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have the same number of columns, got shapes {x.shape} and {y.shape}")
    refuse_copies(x, y)
    return x, y
