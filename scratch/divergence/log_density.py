"""How this folder reads a law: the values of its log-density at rows, checked.

A law comes in as a function log_p(x): (n, D) -> (n,), natural logarithm,
-inf where the density is zero.  It is asked in chunks, so that a wide network
never sees a whole grid at once.
"""
from dataclasses import dataclass

import numpy as np

from scratch.estimate import Estimate

CHUNK = 1 << 14


def evaluate(log_density, x, name):
    """log_density at every row of x, as float64 (n,); -inf is a value, NaN and +inf are errors.

    >>> evaluate(lambda x: -x[:, 0], np.array([[1.0], [2.0]]), "log_p")
    array([-1., -2.])
    """
    if not callable(log_density):
        raise TypeError(f"{name} must be a function (n, D) -> (n,), got {log_density!r}")
    values = np.empty(len(x))
    for start in range(0, len(x), CHUNK):
        rows = x[start:start + CHUNK]
        part = np.asarray(log_density(rows))
        if part.shape != (len(rows),) or part.dtype.kind != "f":
            raise ValueError(f"{name} must return {len(rows)} floats of shape ({len(rows)},) for x of shape "
                             f"{rows.shape}, got dtype {part.dtype} of shape {part.shape}")
        values[start:start + CHUNK] = part
    bad = np.isnan(values) | (values == np.inf)
    if bad.any():
        raise ValueError(f"{name} must be finite or -inf, got {values[bad][0]} at x = {x[bad][0].tolist()}")
    return values


def relative_terms(log_p, log_q):
    """p log(p / q) elementwise from the logarithms: 0 where p = 0, inf where only q = 0."""
    inside = log_p > -np.inf
    terms = np.zeros_like(log_p)
    terms[inside] = np.exp(log_p[inside]) * (log_p[inside] - log_q[inside])
    return terms


@dataclass(frozen=True)
class MassEstimate(Estimate):
    """An Estimate from a sum over places, with the mass of p and of q found there (1 if all is well)."""
    mass_p: float
    mass_q: float
