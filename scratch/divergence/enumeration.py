"""KL between two distributions of discrete vectors by enumeration: the sum over all states, exact.

Needs both log-probabilities as functions of rows.

    KL(p || q) = sum over states u of p(u) [log p(u) - log q(u)] - p(u) + q(u)            (1)

Both p and q sum to 1, so the last two sums cancel.  With them a term is p (exp(d) - 1 - d) for
d = log q - log p, and never negative.  The result holds the sums of p and q too: they show whether
a model's probabilities sum to 1.
Checked in tests/divergence/test_enumeration.py::test_it_equals_a_loop_over_all_states.
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.divergence.quadrature import MassEstimate


def all_states(dim, values):
    """Every row of length dim over the given values, (len(values) ** dim, dim), the last column fastest.

    >>> all_states(2, [0, 1]).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    dim, values = checks.size(dim, "dim"), checks.constant(values, "values")
    if values.ndim != 1 or values.size == 0 or len(np.unique(values)) < values.size:
        raise ValueError(f"values must be a list of different numbers, got {checks.brief(values)}")
    return np.stack(np.meshgrid(*[values] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def kl_enumeration(log_p, log_q, states):
    """KL(p || q) in nats; states (n, D): every state, once.  Exact: stderr 0."""
    states = checks.rows(states, name="states")
    if len(np.unique(states, axis=0)) < len(states):
        raise ValueError("states must differ, got some row twice")
    log_p, log_q = evaluate(log_p, states, "log_p"), evaluate(log_q, states, "log_q")     # (n,)
    inside = log_p > -np.inf                                                              # 0 log 0 = 0
    p, q, d = np.exp(log_p[inside]), np.exp(log_q), log_q[inside] - log_p[inside]
    terms = np.where(d < 1, p * (np.expm1(np.minimum(d, 1)) - d), q[inside] - p - p * d)
    value = np.sum(terms) + np.sum(q[~inside])                                            # (1)
    return MassEstimate(float(value), 0.0, len(states), *(float(np.exp(log).sum()) for log in (log_p, log_q)))
