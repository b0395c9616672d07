"""A network of convolutional and dense layers: dense.py with more kinds of layers.

Model.  Each layer of convolution.py arranges its input before and after the product with its matrix.
With h_0 = x, layer l = 1 ... L computes

    (1)  a_l = after(before(h_(l-1)) W_l) + b_l              the last layer is linear: y = a_L
    (2)  h_l = silu(a_l)

before and after are linear, and primes are their transposes.  They have no parameters, and so the
equations of dense.py hold with them at the places where sizes change.

Gradient.  e_l = after'(da_l) is the gradient in the product, de in convolution.py.

    d(2)  da_l = dh_l silu'(a_l)
    d(1)  dW_l = before(h_(l-1))^T e_l,     db_l = sum of the rows of da_l,     dh_(l-1) = before'(e_l W_l^T)

Tangent.   If x moves with velocity x_dot, and its pullback:

    (3)  a_dot_l = after(before(h_dot_(l-1)) W_l)
    (4)  h_dot_l = silu'(a_l) a_dot_l
    d(4) da_dot_l = dh_dot_l silu'(a_l),           da_l += dh_dot_l a_dot_l silu''(a_l)
    d(3) dW_l += before(h_dot_(l-1))^T after'(da_dot_l),    dh_dot_(l-1) = before'(after'(da_dot_l) W_l^T)

Slope.     For one output, from p_L = 1 down to slope = q_0, and its pullback, from dq_0 = dslope up:

    (5)  q_(l-1) = before'(r_l W_l^T),   r_l = after'(p_l)
    (6)  p_l = q_l silu'(a_l)
    d(5) dp_l = after(before(dq_(l-1)) W_l),       dW_l += before(dq_(l-1))^T r_l
    d(6) dq_l = dp_l silu'(a_l),                   da_l += dp_l q_l silu''(a_l)

This is how R1, R2 and the penalty of WGAN-GP go through convolutions.
Checked in tests/kernels/test_convnet.py::test_value_is_the_naive_loop
Checked in tests/kernels/test_convnet.py::test_pullback_in_every_parameter_and_input
Checked in tests/kernels/test_convnet.py::test_pullback_of_value_and_tangent_in_every_argument
Checked in tests/kernels/test_convnet.py::test_pullback_of_value_and_slope_in_every_argument

Units of the code.  As in dense.py: u = a / 2, g = 1 + tanh(u), silu(a) = u g, silu'(a) = f / 2.
Symbols: N rows, T_l times and C_l channels of h_l, P = len(theta).  h_l is (N T_l, C_l), x is (N, T_0 C_0).
Lists count from 0: h[l] is h_l, and layers[l], W[l], c[l] = before(h[l]) belong to layer l + 1.
"""
from functools import lru_cache
from itertools import pairwise

import numpy as np

from scratch import checks


def _forward(W, b, x, layers):
    """y (N T_L, C_L), and the lists c, g, h of the layers."""
    if x.ndim != 2 or x.shape[1] != layers[0].sizes[0]:     # a reshape would cut longer rows in two
        raise ValueError(f"x must have rows of {layers[0].sizes[0]} numbers, got shape {x.shape}")
    c, g, h = [], [None], [x]
    for l, layer in enumerate(layers):
        c.append(layer.before(h[l]))
        if l < len(layers) - 1:
            u = layer.after(c[l] @ (0.5 * W[l])) + 0.5 * b[l]                   # (N T_l, C_l)  (1)
            g.append(1 + np.tanh(u))
            h.append(u * g[-1])                                                 # (N T_l, C_l)  (2)
    return layer.after(c[-1] @ W[-1]) + b[-1], c, g, h                          # (1)


def convnet(theta, x, layers):
    """y (N, D_out) for x (N, D_in), and pull(dy, need_dx=True) -> (dtheta, dx or None)."""
    W, b = zip(*convnet_views(theta, layers))
    y, c, g, h = _forward(W, b, x, layers)

    def pull(dy, need_dx=True):
        dtheta = np.empty(theta.shape, np.result_type(theta, x, dy))
        (dW, db), da = zip(*convnet_views(dtheta, layers)), dy.reshape(y.shape)
        for l in reversed(range(len(W))):
            e = layers[l].after_transposed(da)
            np.matmul(c[l].T, e, out=dW[l])                                     # d(1)
            da.sum(axis=0, out=db[l])                                           # d(1)
            if l > 0:
                half = layers[l].before_transposed(e @ (0.5 * W[l].T)).reshape(h[l].shape)      # of dh  d(1)
                da = half * (g[l] + h[l] * (2 - g[l]))                          # (N T_l, C_l)  d(2)
        return dtheta, layers[0].before_transposed(e @ W[0].T).reshape(x.shape) if need_dx else None    # d(1)

    return y.reshape(len(x), -1), pull


def convnet_slope(theta, x, layers):
    """y (N, 1) and slope = dy/dx (N, D_in) for D_out = 1; pull(dy, dslope) -> (dtheta, dx).

    dslope = None: the slope is not used, and its part of the pullback is left out.
    """
    if layers[-1].sizes[1] != 1:
        raise ValueError(f"the slope is that of a network with one output, got {layers[-1].sizes[1]}")
    W, b = zip(*convnet_views(theta, layers))
    y, c, g, h = _forward(W, b, x, layers)
    f = [2] + [g_l + h_l * (2 - g_l) for g_l, h_l in zip(g[1:], h[1:])]         # x is its own activation: f / 2 = 1
    q, r, p = [None] * len(W), [None] * len(W), np.ones_like(y)
    for l in reversed(range(len(W))):
        r[l] = layers[l].after_transposed(p)                                    # (5)
        q[l] = layers[l].before_transposed(r[l] @ (0.5 * W[l].T)).reshape(h[l].shape)           # half of q  (5)
        p = q[l] * f[l]                                                         # (6)

    def pull(dy, dslope):
        dtheta = np.zeros(theta.shape, np.result_type(theta, x, dy, y if dslope is None else dslope))
        (dW, db), bend, da, dq = zip(*convnet_views(dtheta, layers)), [0] * len(W), dy, dslope  # bend: d(6) in da
        for l in range(len(W) if dslope is not None else 0):
            dc = layers[l].before(dq)
            np.matmul(dc.T, r[l], out=dW[l])                                    # d(5)
            if l < len(W) - 1:
                dp = layers[l].after(dc @ (0.5 * W[l]))                         # half of dp  d(5)
                bend[l + 1] = dp * q[l + 1] * (2 - g[l + 1]) * (f[l + 1] + g[l + 1] * (1 - h[l + 1]))   # d(6)
                dq = dp * f[l + 1]                                              # d(6)
        for l in reversed(range(len(W))):
            e = layers[l].after_transposed(da)
            dW[l][...] += c[l].T @ e                                            # d(1)
            da.sum(axis=0, out=db[l])                                           # d(1)
            half = layers[l].before_transposed(e @ (0.5 * W[l].T)).reshape(h[l].shape)          # of dh  d(1)
            da = half * f[l] + bend[l]                                          # d(2), d(6)
        return dtheta, da

    return y, p, pull


def convnet_jvp(theta, x, x_dot, layers):
    """y, y_dot = dy/dx x_dot for x, x_dot (N, D_in); pull(dy, dy_dot) -> (dtheta, dx, dx_dot)."""
    if x.shape != x_dot.shape:
        raise ValueError(f"x_dot must have the shape of x, {x.shape}, got {x_dot.shape}")
    W, b = zip(*convnet_views(theta, layers))
    y, c, g, h = _forward(W, b, x, layers)
    f = [2] + [g_l + h_l * (2 - g_l) for g_l, h_l in zip(g[1:], h[1:])]
    c_dot, u_dot, h_dot = [], [None], x_dot
    for l, layer in enumerate(layers):
        c_dot.append(layer.before(h_dot))
        if l < len(layers) - 1:
            u_dot.append(layer.after(c_dot[l] @ (0.5 * W[l])))                  # (3)
            h_dot = f[l + 1] * u_dot[l + 1]                                     # (4)
    y_dot = layer.after(c_dot[-1] @ W[-1])                                      # (3)

    def pull(dy, dy_dot):
        dtheta = np.empty(theta.shape, np.result_type(theta, x, x_dot, dy, dy_dot))
        (dW, db), da, da_dot = zip(*convnet_views(dtheta, layers)), dy.reshape(y.shape), dy_dot.reshape(y.shape)
        for l in reversed(range(len(W))):
            e, e_dot = layers[l].after_transposed(da), layers[l].after_transposed(da_dot)
            np.matmul(c[l].T, e, out=dW[l])                                     # d(1)
            dW[l][...] += c_dot[l].T @ e_dot                                    # d(3)
            da.sum(axis=0, out=db[l])                                           # d(1)
            dh, dh_dot = (layers[l].before_transposed(part @ (0.5 * W[l].T)).reshape(h[l].shape)        # half of each
                          for part in (e, e_dot))                               # d(1), d(3)
            if l > 0:
                silu_2 = (2 - g[l]) * (f[l] + g[l] * (1 - h[l]))                # 4 silu''
                da = dh * f[l] + dh_dot * u_dot[l] * silu_2                     # d(2), d(4)
                da_dot = dh_dot * f[l]                                          # d(4)
        return dtheta, 2 * dh, 2 * dh_dot

    return y.reshape(len(x), -1), y_dot.reshape(len(x), -1), pull


# ---- the flat vector of parameters ----

@lru_cache(maxsize=None)
def _layout(layers):
    """For each layer (slice of W, shape of W, slice of b)."""
    for one, following in pairwise(layers):
        if one.sizes[1] != following.sizes[0]:
            raise ValueError("each layer must read what the last one gives, "
                             f"got {one.sizes[1]} and {following.sizes[0]}")
    places, start = [], 0
    for layer in layers:
        middle = start + layer.weights[0] * layer.weights[1]
        places.append((slice(start, middle), layer.weights, slice(middle, middle + layer.outputs)))
        start = middle + layer.outputs
    return tuple(places)


def convnet_size(layers):
    """P, the length of theta."""
    return _layout(tuple(layers))[-1][2].stop


def convnet_views(theta, layers):
    """The flat theta cut into [(W_1, b_1), (W_2, b_2), ...]: views, not copies."""
    if np.shape(theta) != (convnet_size(layers),):
        raise ValueError(f"theta must have shape ({convnet_size(layers)},) for these layers, got {np.shape(theta)}")
    return [(theta[W].reshape(shape), theta[b]) for W, shape, b in _layout(tuple(layers))]


def convnet_blocks(layers, prefix="", start=0):
    """Where each W and b stands in a theta that begins at `start`: {"W1": slice, "b1": slice, ...}."""
    return {f"{prefix}{name}{layer}": slice(start + place.start, start + place.stop)
            for layer, (W, _, b) in enumerate(_layout(tuple(layers)), start=1)
            for name, place in (("W", W), ("b", b))}


def convnet_init(rng, layers, dtype=np.float32):
    """Random theta (P,), by the rule of mlp_init: W ~ N(0, 2 / in), where `in` counts the terms of one output."""
    checks.generator(rng)
    theta = np.zeros(convnet_size(layers), checks.dtype(dtype))
    for l, (layer, (W, b)) in enumerate(zip(layers, convnet_views(theta, layers))):
        W[...] = rng.normal(0, np.sqrt(2 / layer.terms), W.shape)
        if l == 0:
            b[...] = rng.normal(0, 1, b.shape)
    return theta
