"""The parts of a transformer: embedding, affine map, layer norm, causal attention, each with its pullback.

All work on the last axis (or the last two, for attention) and leave the axes
before it alone, so that the same kernel serves one token and a batch of sequences.

Layer norm (Ba, Kiros and Hinton 2016).  With z = (x - mean) / std over the last axis,

    y = gain z + bias
    dx = (dz - mean(dz) - z mean(dz z)) / std,      dz = dy gain

The two means are what x gives to `mean` and to `std`: z has mean 0 and mean
square 1 whatever x is, so no gradient may point along these two directions.

Causal attention (Vaswani et al. 2017, eq. 1, with the mask of section 3.2.3).
Position t asks with a query, all positions s <= t answer with a key and a value:

    S = Q K^T / sqrt(d),      A = softmax of each row of S over s <= t,      Y = A V

Backwards, last line first; a row of a softmax has the Jacobian diag(a) - a a^T:

    dV = A^T dY,      dA = dY V^T
    dS = A (dA - sum over s of A dA)              A = 0 in the future makes dS = 0 there
    dQ = dS K / sqrt(d),      dK = dS^T Q / sqrt(d)
"""
import numpy as np

from scratch import checks

EPSILON = 1e-5                 # added to the variance: a constant row has no scale to divide by


def embedding(table, x):
    """y = table[x] (..., W) for integers x (...,) and a table (C, W); pull(dy) -> dtable."""
    table, x = checks.array(table, "table", 2), np.asarray(x)
    if x.dtype.kind not in "iu":
        raise TypeError(f"x must hold integers, the rows of the table, got dtype {x.dtype}")
    if x.size == 0 or x.min() < 0 or x.max() >= len(table):
        raise ValueError(f"x must hold at least one of the integers 0 ... {len(table) - 1}, got {x.tolist()}")
    y = table[x]

    def pull(dy):
        _has_shape(dy, y.shape, "dy")
        one_hot = (x.reshape(-1, 1) == np.arange(len(table))).astype(dy.dtype)      # (n, C)
        return one_hot.T @ dy.reshape(-1, table.shape[1])               # a row collects from all its uses

    return y, pull


def affine(x, W, b):
    """y = x W + b, (..., out) for x (..., in); pull(dy) -> (dx, dW, db)."""
    x, W = checks.array(x, "x", 1), checks.array(W, "W", 2)
    _has_shape(W, (x.shape[-1], W.shape[-1]), "W")
    _has_shape(b, W.shape[1:], "b")
    rows = x.reshape(-1, len(W))                                        # one large product, not many small ones
    y = (rows @ W + b).reshape(*x.shape[:-1], len(b))

    def pull(dy):
        _has_shape(dy, y.shape, "dy")
        drows = dy.reshape(-1, len(b))
        return (drows @ W.T).reshape(x.shape), rows.T @ drows, drows.sum(axis=0)

    return y, pull


def layer_norm(x, gain, bias):
    """y = gain (x - mean) / std + bias over the last axis; pull(dy) -> (dx, dgain, dbias).

    >>> layer_norm(np.array([1.0, 2.0, 6.0]), np.ones(3), np.zeros(3))[0].round(3)
    array([-0.926, -0.463,  1.389])
    """
    x = checks.array(x, "x", 1)
    _has_shape(gain, x.shape[-1:], "gain")
    _has_shape(bias, x.shape[-1:], "bias")
    away = x - _mean(x)
    inverse_std = 1 / np.sqrt(_mean(away * away) + EPSILON)
    z = away * inverse_std
    y = gain * z + bias

    def pull(dy):
        _has_shape(dy, y.shape, "dy")
        axes = tuple(range(dy.ndim - 1))
        dgain, dbias = np.sum(dy * z, axis=axes), np.sum(dy, axis=axes)
        dz = dy * gain
        dx = dz - _mean(dz) - z * _mean(dz * z)
        dx *= inverse_std
        return dx, dgain, dbias

    return y, pull


def _mean(x):
    """The mean over the last axis, kept with length 1: as a matrix product, since sums of short rows are slow."""
    return x @ np.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)


def causal_attention(q, k, v):
    """y (..., T, d) for queries (..., T, d), keys and values (..., S, d), S >= T; pull(dy) -> (dq, dk, dv).

    The queries belong to the last T of the S positions (all of them in training,
    one when the earlier keys and values come from a cache), and none looks ahead.
    """
    q, k = checks.array(q, "q", 2), checks.array(k, "k", 2)
    (T, d), S = q.shape[-2:], k.shape[-2]
    if T > S:
        raise ValueError(f"there must be a key for each query, got {T} queries and {S} keys")
    _has_shape(k, (*q.shape[:-2], S, d), "k")
    _has_shape(v, (*q.shape[:-2], S, d), "v")
    seen = np.arange(S) <= np.arange(S - T, S)[:, None]                 # (T, S)  s <= t
    scale = float(d) ** -0.5
    scores = np.where(seen, q @ k.swapaxes(-1, -2) * scale, -np.inf)    # (..., T, S)
    scores -= np.max(scores.real, axis=-1, keepdims=True)
    a = np.exp(scores, out=scores)
    a /= np.sum(a, axis=-1, keepdims=True)
    y = a @ v                                                           # (..., T, d)

    def pull(dy):
        _has_shape(dy, y.shape, "dy")
        dv = a.swapaxes(-1, -2) @ dy
        da = dy @ v.swapaxes(-1, -2)
        dscores = a * (da - np.sum(a * da, axis=-1, keepdims=True))
        dscores *= scale
        return dscores @ k, dscores.swapaxes(-1, -2) @ q, dv

    return y, pull


def _has_shape(array, shape, name):
    if np.shape(array) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {np.shape(array)}")
