"""KL between discrete laws by enumeration: the sum over all states.

    KL(p || q) = sum over states s of p(s) [log p(s) - log q(s)]

The exact road for autoregressive models over few symbols, and the only one
that also proves that such a model sums to 1: the masses come with the result.
The laws are log-probabilities of rows, as everywhere in this folder.
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import MassEstimate, evaluate, relative_terms


def all_states(dim, values):
    """Every row of length dim over the given values, (len(values) ** dim, dim), the last column fastest.

    >>> all_states(2, [0, 1]).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    dim = checks.size(dim, "dim")
    values = checks.constant(values, "values")
    if values.ndim != 1 or values.size == 0 or len(np.unique(values)) < values.size:
        raise ValueError(f"values must be a list of different numbers, got {values.tolist()}")
    return np.stack(np.meshgrid(*[values] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def kl_enumeration(log_p, log_q, states):
    """KL(p || q) in nats; states (n, D): every state, once.  Exact: stderr 0."""
    states = checks.rows(states, name="states")
    if len(np.unique(states, axis=0)) < len(states):
        raise ValueError("states must differ, got some row twice")
    log_p, log_q = evaluate(log_p, states, "log_p"), evaluate(log_q, states, "log_q")  # (n,)
    value = relative_terms(log_p, log_q).sum()
    masses = [float(np.exp(log_density).sum()) for log_density in (log_p, log_q)]
    return MassEstimate(float(value), 0.0, len(states), *masses)
