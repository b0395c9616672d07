"""The parts of a transformer: embedding, affine map, layer norm, causal attention.

Every function returns (y, pull), where pull(dy) is the vector-Jacobian product: the gradients of
sum(dy * y) in the arguments.  All work on the last axis (attention: the last two) and leave the
axes before it alone, so that the same kernel serves one token and a batch of sequences.

Layer norm (Ba, Kiros and Hinton 2016, "Layer normalization", eqs. 3 and 4), over the last axis:

    (1)   z = (x - mean) / std                              std^2 = variance + EPSILON
    (2)   y = gain z + bias

    d(2)  dz = dy gain,      dgain = sum of dy z,      dbias = sum of dy
    d(1)  dx = (dz - mean(dz) - z mean(dz z)) / std

A shift of x does not change z, and a scaling changes it through EPSILON only.  So dx has no component
along (1, ..., 1), and almost none along z.  The two means in d(1) subtract these components.
Checked in tests/kernels/test_attention.py::test_layer_norm_pullback_in_the_input_gain_and_bias.

Causal attention (Vaswani et al. 2017, "Attention is all you need", eq. 1, with the mask of section
3.2.3).  The query of position t is compared with the keys of all positions s <= t:

    (3)   scores = Q K^T / sqrt(d)
    (4)   A = softmax of each row t of the scores over s <= t
    (5)   Y = A V

    d(5)  dV = A^T dY,      dA = dY V^T
    d(4)  dscores = A (dA - sum over s of A dA)    diag(a) - a a^T is the softmax's Jacobian; 0 at s > t
    d(3)  dQ = dscores K / sqrt(d),      dK = dscores^T Q / sqrt(d)

Checked in tests/kernels/test_attention.py::test_attention_pullback_in_queries_keys_and_values.

Symbols: T queries, S keys, d features of a head, C classes, W width, n rows.
"""
import numpy as np

from scratch import checks

EPSILON = 1e-5                 # the usual value; it keeps 1 / std finite for a constant row


def embedding(table, x):
    """y = table[x] (..., W) for x (...,) in 0 ... C-1 and a table (C, W); pull(dy) -> dtable."""
    if x.size == 0 or x.min() < 0 or x.max() >= len(table):     # -1 would be taken as the last row
        raise ValueError(f"x must hold at least one of the integers 0 ... {len(table) - 1}, got {checks.brief(x)}")
    y = table[x]

    def pull(dy):
        one_hot = (x.reshape(-1, 1) == np.arange(len(table))).astype(dy.dtype)      # (n, C)
        return one_hot.T @ dy.reshape(-1, table.shape[1])   # a row used twice: the sum of both

    return y, pull


def affine(x, W, b):
    """y = x W + b, (..., out) for x (..., in); pull(dy) -> (dx, dW, db)."""
    rows = x.reshape(-1, len(W))                            # one large product, not many small ones
    y = (rows @ W + b).reshape(*x.shape[:-1], len(b))

    def pull(dy):
        drows = dy.reshape(-1, len(b))
        return (drows @ W.T).reshape(x.shape), rows.T @ drows, drows.sum(axis=0)

    return y, pull


def layer_norm(x, gain, bias):
    """y = gain (x - mean) / std + bias over the last axis; pull(dy) -> (dx, dgain, dbias).

    >>> layer_norm(np.array([1.0, 2.0, 6.0]), np.ones(3), np.zeros(3))[0].round(3)
    array([-0.926, -0.463,  1.389])
    """
    centered = x - _mean(x)
    inverse_std = 1 / np.sqrt(_mean(centered * centered) + EPSILON)
    z = centered * inverse_std                                          # (1)
    y = gain * z + bias                                                 # (2)

    def pull(dy):
        axes = tuple(range(dy.ndim - 1))
        dgain, dbias = np.sum(dy * z, axis=axes), np.sum(dy, axis=axes)         # d(2)
        dz = dy * gain                                                  # d(2)
        dx = (dz - _mean(dz) - z * _mean(dz * z)) * inverse_std         # d(1)
        return dx, dgain, dbias

    return y, pull


def _mean(x):
    """The mean over the last axis, kept: a matrix product is faster than sums of short rows."""
    return x @ np.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)


def causal_attention(q, k, v):
    """y (..., T, d) for queries (..., T, d), keys and values (..., S, d); pull(dy) -> (dq, dk, dv).

    The queries belong to the last T <= S of the S positions: to all of them in training,
    to the last one when the earlier keys and values come from a cache.

    >>> q, k, v = np.random.default_rng(0).normal(size=(3, 4, 2))
    >>> y, _ = causal_attention(q, k, v)                    # the first position sees itself alone
    >>> bool((y[0] == v[0]).all())
    True
    """
    (T, d), S = q.shape[-2:], k.shape[-2]
    allowed = np.arange(S) <= np.arange(S - T, S)[:, None]              # (T, S)  s <= t
    scale = float(d) ** -0.5
    scores = np.where(allowed, q @ k.swapaxes(-1, -2) * scale, -np.inf)         # (..., T, S)  (3)
    scores -= np.max(scores.real, axis=-1, keepdims=True)               # exp stays finite
    a = np.exp(scores, out=scores)
    a /= np.sum(a, axis=-1, keepdims=True)                              # (..., T, S)  (4)
    y = a @ v                                                           # (..., T, d)  (5)

    def pull(dy):
        dv = a.swapaxes(-1, -2) @ dy                                    # d(5)
        da = dy @ v.swapaxes(-1, -2)                                    # d(5)
        dscores = a * (da - np.sum(a * da, axis=-1, keepdims=True))     # d(4)
        dscores *= scale
        return dscores @ k, dscores.swapaxes(-1, -2) @ q, dv            # d(3)

    return y, pull
