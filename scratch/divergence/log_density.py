"""The values of a log-density at rows, checked, for every estimator here that needs a density.

A distribution is given as a function log_p(x): (n, D) -> (n,), natural logarithm, -inf where the
density is zero.  It is evaluated in chunks, so that the hidden layers of a network fit in memory.
"""
import numpy as np

from scratch import checks

CHUNK = 1 << 14                           # rows: 8 MB for each hidden layer of 128 units in float32


def evaluate(log_density, x, name):
    """log_density at every row of x, as float64 (n,); -inf is a value, NaN and +inf are errors.

    >>> evaluate(lambda x: -x[:, 0], np.array([[1.0], [2.0]]), "log_p")
    array([-1., -2.])
    """
    checks.function(log_density, name)
    values = np.empty(len(x))
    for start in range(0, len(x), CHUNK):
        rows = x[start:start + CHUNK]
        part = checks.array(log_density(rows), f"what {name} returns")
        if part.shape != (len(rows),) or part.dtype.kind != "f":
            raise ValueError(f"{name} must return {len(rows)} floats of shape ({len(rows)},) for x of shape "
                             f"{rows.shape}, got dtype {part.dtype} of shape {part.shape}")
        values[start:start + CHUNK] = part
    bad = np.isnan(values) | (values == np.inf)
    if bad.any():
        raise ValueError(f"{name} must be finite or -inf, got {values[bad][0]} at x = {checks.brief(x[bad][0])}")
    return values
