"""The multilayer perceptron by hand: its value, and its gradient directly below.

Model.  Rows are data, weights are (in, out).  With h_0 = x, layer l = 1 ... L computes

    (1)  a_l = h_(l-1) W_l + b_l               the last layer is linear: y = a_L
    (2)  h_l = silu(a_l) = a_l sigmoid(a_l)    (Elfwing et al. 2018, "Sigmoid-weighted linear units")

All parameters are one flat vector theta = [W_1, b_1, W_2, b_2, ...], so that
an optimizer, an average or a gradient check is one line on one array.

Gradient.  Write dz for the gradient of a final scalar in z.  pull(dy) is the vector-Jacobian
product: it turns dy into the gradients in theta and x.  This is backpropagation (Rumelhart, Hinton
and Williams 1986, "Learning representations by back-propagating errors"), last line first:

    d(2)  da_l = dh_l silu'(a_l)
    d(1)  dW_l = h_(l-1)^T da_l,      db_l = sum of the rows of da_l,      dh_(l-1) = da_l W_l^T

Checked in tests/kernels/test_dense.py::test_pullback_in_every_parameter_and_input.

Units of the code.  With u = a / 2 and g = 1 + tanh(u) = 2 sigmoid(a),

    silu(a) = u g,      silu'(a) = f / 2  where  f = g + h (2 - g)

The factors 1/2 are applied to W, which has fewer entries than a.  Halving is exact: no result
changes.  g has the rounding error eps of 1, and so silu(a) one of eps |a|.  Far below 0 this is a
large relative error of a tiny number, and does not matter in the sums of the next layer.  silu of
kernels/stable.py does not have it, and is slower.

Symbols: N rows, L layers, H hidden units, widths = (D_in, H_1, ..., D_out), P = len(theta).  Lists
count from 0: h[l] is h_l, and W[l] is W_(l+1), the matrix by which h[l] is multiplied.
"""
from functools import lru_cache
from itertools import pairwise

import numpy as np

from scratch import checks


def mlp(theta, x, widths):
    """y (N, D_out) for x (N, D_in), and pull(dy, need_dx=True) -> (dtheta, dx or None)."""
    W, b = zip(*mlp_views(theta, widths))
    h, g = [x], [None]                                      # += and out= reuse arrays: 5 % faster
    for l in range(len(W) - 1):
        u = h[l] @ (0.5 * W[l])
        u += 0.5 * b[l]                                     # (N, H)  (1)
        g.append(np.tanh(u))
        g[-1] += 1
        h.append(np.multiply(u, g[-1], out=u))              # (N, H)  (2)
    y = h[-1] @ W[-1] + b[-1]                               # (N, D_out)  (1)

    def pull(dy, need_dx=True):
        dtheta = np.empty(theta.shape, np.result_type(theta, x, dy))
        (dW, db), da = zip(*mlp_views(dtheta, widths)), dy.astype(dtheta.dtype, copy=False)
        for l in reversed(range(len(W))):
            np.matmul(h[l].T, da, out=dW[l])                # d(1)
            da.sum(axis=0, out=db[l])                       # d(1)
            if l > 0:
                da = da @ (0.5 * W[l].T)                    # (N, H)  d(1)
                da *= g[l] + h[l] * (2 - g[l])              # (N, H)  d(2)
        return dtheta, da @ W[0].T if need_dx else None     # d(1)

    return y, pull


# ---- the flat vector of parameters ----

@lru_cache(maxsize=None)
def _layout(widths):
    """For each layer (slice of W, shape of W, slice of b): computed once, not at every step."""
    if len(checks.widths(widths, "widths")) < 2:
        raise ValueError(f"widths must name at least an input and an output size, got {widths}")
    layers, start = [], 0
    for n_in, n_out in pairwise(widths):
        middle, end = start + n_in * n_out, start + (n_in + 1) * n_out
        layers.append((slice(start, middle), (n_in, n_out), slice(middle, end)))
        start = end
    return tuple(layers)


def mlp_size(widths):
    """P, the length of theta: the sum over layers of (in + 1) out.

    >>> mlp_size((2, 3, 1)), (2 + 1) * 3 + (3 + 1) * 1
    (13, 13)
    """
    _, _, last = _layout(tuple(widths))[-1]
    return last.stop


def mlp_views(theta, widths):
    """The flat theta cut into [(W_1, b_1), (W_2, b_2), ...]: views, not copies."""
    if np.shape(theta) != (mlp_size(widths),):              # a longer theta would raise no error below
        raise ValueError(f"theta must have shape ({mlp_size(widths)},) for {widths}, got {np.shape(theta)}")
    return [(theta[W].reshape(shape), theta[b]) for W, shape, b in _layout(tuple(widths))]


def mlp_blocks(widths, prefix="", start=0):
    """Where each W and b stands in a theta that begins at `start`: {"W1": slice, "b1": slice, ...}.

    >>> {name: place.stop - place.start for name, place in mlp_blocks((2, 3, 1)).items()}     # 13 in all
    {'W1': 6, 'b1': 3, 'W2': 3, 'b2': 1}
    """
    return {f"{prefix}{name}{layer}": slice(start + place.start, start + place.stop)
            for layer, (W, _, b) in enumerate(_layout(tuple(widths)), start=1)
            for name, place in (("W", W), ("b", b))}


def mlp_init(rng, widths, dtype=np.float32):
    """Random theta (P,): W ~ N(0, 2 / in); b ~ N(0, 1) in the first layer and 0 in the others.

    2 / in is the variance for ReLU (He et al. 2015, "Delving deep into rectifiers", eq. 10).  Under
    silu the mean square of a shrinks by about a third a layer, because E silu(z)^2 = 0.356 for
    z ~ N(0, 1).  The variance 2.81 / in would keep it.  With random first biases the units bend at
    different places of a low-dimensional x.  Both scales, 2 and 1, were chosen by hand, not swept.
    Checked in tests/kernels/test_dense.py::test_init_shrinks_the_activations_by_a_third_a_layer.
    """
    checks.generator(rng)
    theta = np.zeros(mlp_size(widths), checks.dtype(dtype))
    for layer, (W, b) in enumerate(mlp_views(theta, widths)):
        W[...] = rng.normal(0, np.sqrt(2 / len(W)), W.shape)
        if layer == 0:
            b[...] = rng.normal(0, 1, b.shape)
    return theta


# ---------------- second order: skip at first reading ----------------
#
# Tangent (Jacobian-vector product).  If x moves with velocity x_dot, every layer moves:
#
#     (3)  a_dot_l = h_dot_(l-1) W_l,      h_dot_0 = x_dot,      y_dot = a_dot_L
#     (4)  h_dot_l = silu'(a_l) a_dot_l
#
# Its pullback.  silu' depends on a, which brings in silu'', the only new term:
#
#     d(4)  da_dot_l = dh_dot_l silu'(a_l),            da_l += dh_dot_l a_dot_l silu''(a_l)
#     d(3)  dW_l += h_dot_(l-1)^T da_dot_l,            dh_dot_(l-1) = da_dot_l W_l^T
#
# This gives the gradient of every function of (y, y_dot): gradient penalties, score matching,
# divergences of vector fields (Pearlmutter 1994, "Fast exact multiplication by the Hessian").
# Checked in tests/kernels/test_dense.py::test_pullback_of_value_and_tangent_in_every_argument.
#
# Units of the code: u_dot = a_dot / 2 and silu''(a) = (2 - g) (f + g (1 - h)) / 4.  Proof: let
# s = sigmoid(a), s' = s (1 - s).  silu' = s + h (1 - s) has derivative (1 - s) (silu' + s (1 - h)).

def mlp_jvp(theta, x, x_dot, widths):
    """y, y_dot = dy/dx x_dot for x, x_dot (N, D_in); pull(dy, dy_dot) -> (dtheta, dx, dx_dot)."""
    W, b = zip(*mlp_views(theta, widths))
    h, h_dot, g, f, u_dot = [x], [x_dot], [None], [None], [None]
    for l in range(len(W) - 1):
        u = h[l] @ (0.5 * W[l]) + 0.5 * b[l]                            # (N, H)  (1)
        u_dot.append(h_dot[l] @ (0.5 * W[l]))                           # (N, H)  (3)
        g.append(1 + np.tanh(u))
        h.append(u * g[-1])                                             # (N, H)  (2)
        f.append(g[-1] + h[-1] * (2 - g[-1]))
        h_dot.append(f[-1] * u_dot[-1])                                 # (N, H)  (4)
    y, y_dot = h[-1] @ W[-1] + b[-1], h_dot[-1] @ W[-1]                 # (N, D_out)  (1), (3)

    def pull(dy, dy_dot):
        dtheta = np.empty(theta.shape, np.result_type(theta, x, x_dot, dy, dy_dot))
        (dW, db), da, da_dot = zip(*mlp_views(dtheta, widths)), dy, dy_dot
        for l in reversed(range(len(W))):
            np.matmul(h[l].T, da, out=dW[l])                            # d(1)
            dW[l][...] += h_dot[l].T @ da_dot                           # d(3)
            da.sum(axis=0, out=db[l])                                   # d(1)
            dh, dh_dot = da @ (0.5 * W[l].T), da_dot @ (0.5 * W[l].T)   # half of each  d(1), d(3)
            if l > 0:
                silu_2 = (2 - g[l]) * (f[l] + g[l] * (1 - h[l]))        # 4 silu''
                da = dh * f[l] + dh_dot * u_dot[l] * silu_2             # (N, H)  d(2), d(4)
                da_dot = dh_dot * f[l]                                  # (N, H)  d(4)
        return dtheta, 2 * dh, 2 * dh_dot

    return y, y_dot, pull


# Slope.  A network with one output has a gradient dy/dx in each row: backpropagation from dy = 1,
#
#     (5)  q_(l-1) = p_l W_l^T,      p_L = 1,      slope = q_0
#     (6)  p_l = q_l silu'(a_l)
#
# Its pullback starts at the input, from dq_0 = dslope, and follows (3) and (4):
#
#     d(5)  dp_l = dq_(l-1) W_l,             dW_l += dq_(l-1)^T p_l
#     d(6)  dq_l = dp_l silu'(a_l),          da_l += dp_l q_l silu''(a_l)
#
# Checked in tests/kernels/test_dense.py::test_pullback_of_value_and_slope_in_every_argument.

def mlp_slope(theta, x, widths):
    """y (N, 1) and slope = dy/dx (N, D_in) for D_out = 1; pull(dy, dslope) -> (dtheta, dx).

    dslope = None: the slope is not used, and its part of the pullback is left out.
    """
    if widths[-1] != 1:
        raise ValueError(f"the slope is that of a network with one output, got widths {widths}")
    W, b = zip(*mlp_views(theta, widths))
    h, g, f = [x], [None], [2]                              # x is its own activation: f / 2 = 1
    for l in range(len(W) - 1):
        u = h[l] @ (0.5 * W[l]) + 0.5 * b[l]                # (N, H)  (1)
        g.append(1 + np.tanh(u))
        h.append(u * g[-1])                                 # (N, H)  (2)
        f.append(g[-1] + h[-1] * (2 - g[-1]))
    y = h[-1] @ W[-1] + b[-1]                               # (N, 1)  (1)
    q, p = [None] * len(W), [None] * len(W) + [np.ones_like(y)]
    for l in reversed(range(len(W))):
        q[l] = p[l + 1] @ (0.5 * W[l].T)                    # half of q: (N, in)  (5)
        p[l] = q[l] * f[l]                                  # (N, in)  (6)

    def pull(dy, dslope):
        dtheta = np.zeros(theta.shape, np.result_type(theta, x, dy, y if dslope is None else dslope))
        (dW, db), bend, da = zip(*mlp_views(dtheta, widths)), [0] * len(W), dy  # bend: d(6) in da
        if dslope is not None:
            dq = dslope                                     # (N, D_in)
            np.matmul(dq.T, p[1], out=dW[0])                # d(5)
            for l in range(1, len(W)):
                dp = dq @ (0.5 * W[l - 1])                  # half of dp: (N, H)  d(5)
                bend[l] = dp * q[l] * (2 - g[l]) * (f[l] + g[l] * (1 - h[l]))       # (N, H)  d(6)
                dq = dp * f[l]                              # (N, H)  d(6)
                np.matmul(dq.T, p[l + 1], out=dW[l])        # d(5)
        for l in reversed(range(len(W))):
            dW[l][...] += h[l].T @ da                       # d(1)
            da.sum(axis=0, out=db[l])                       # d(1)
            da = da @ (0.5 * W[l].T) * f[l] + bend[l]       # (N, in)  d(1), d(2), d(6)
        return dtheta, da

    return y, p[0], pull
