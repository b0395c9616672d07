"""The multilayer perceptron by hand: value, pullback, tangent, and the tangent's pullback.

    a_l = h_(l-1) W_l + b_l,      h_l = silu(a_l),      h_0 = x,      y = a_L      (last layer linear)

Rows are data and weights are (in, out).  All parameters are one flat vector
theta = [W_1, b_1, W_2, b_2, ...], so that an optimizer, an average, a mask or
a gradient check is one line on one array.

Pullback (backpropagation, Rumelhart et al. 1986).  With dz for the gradient
of the final scalar in z, each forward line gives its lines backwards:

    h = silu(a)       ->   da = dh silu'(a)
    a = h_in W + b    ->   dW = h_in^T da,     db = sum over rows of da,     dh_in = da W^T

Tangent.  Moving x with velocity x_dot moves every layer (forward mode):

    a_dot = h_dot W,           h_dot = silu'(a) a_dot

Pullback of the tangent.  y_dot is a function of theta, x and x_dot, and the
same rules apply to its lines; silu'(a) depends on a as well, which brings in
silu'' and is the only new term:

    h_dot = silu'(a) a_dot   ->   da_dot = dh_dot silu'(a),     da += dh_dot a_dot silu''(a)
    a_dot = h_dot W          ->   dW += h_dot^T da_dot,         dh_dot = da_dot W^T

This one derivation is all that second-order gradients need: a gradient
penalty, score matching and the divergence of a vector field are a scalar
function of (y, y_dot), pulled back (Pearlmutter 1994).

Symbols: N rows, widths = (D_in, H_1, ..., D_out), s = sigmoid(a).
    silu'  = s + h (1 - s)
    silu'' = s (1 - s) (1 - h) + silu' (1 - s)          differentiate silu' once more, s' = s (1 - s)
"""
import numpy as np

from scratch import checks
from scratch.kernels.stable import sigmoid


def mlp_size(widths):
    """The length of theta: sum over layers of (in + 1) out.

    >>> mlp_size((2, 3, 1))
    13
    """
    widths = _check_widths(widths)
    return sum((n_in + 1) * n_out for n_in, n_out in zip(widths[:-1], widths[1:]))


def mlp_views(theta, widths):
    """The flat theta cut into [(W_1, b_1), (W_2, b_2), ...]: views, not copies."""
    size = mlp_size(widths)
    if np.shape(theta) != (size,):
        raise ValueError(f"theta must have shape ({size},) for widths {tuple(widths)}, got {np.shape(theta)}")
    layers, start = [], 0
    for n_in, n_out in zip(widths[:-1], widths[1:]):
        middle, end = start + n_in * n_out, start + (n_in + 1) * n_out
        layers.append((theta[start:middle].reshape(n_in, n_out), theta[middle:end]))
        start = end
    return layers


def mlp_blocks(widths, prefix="", start=0):
    """Where each W and b stands in a theta, {"W1": slice, "b1": slice, ...}: names after `prefix`, places from `start`.

    >>> mlp_blocks((2, 3, 1), "encoder ")["encoder b1"]
    slice(6, 9, None)
    """
    blocks = {}
    for layer, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:]), start=1):
        for name, length in ((f"W{layer}", n_in * n_out), (f"b{layer}", n_out)):
            blocks[prefix + name] = slice(start, start + length)
            start += length
    return blocks


def mlp_init(rng, widths, dtype=np.float32):
    """Random theta (P,): W ~ N(0, 2 / in) keeps the activations' scale (He et al. 2015).

    Biases are N(0, 1) in the first layer, so that its units bend at different
    places of a low-dimensional input, and 0 in the others.
    """
    checks.generator(rng)
    theta = np.zeros(mlp_size(widths), dtype)
    for layer, (W, b) in enumerate(mlp_views(theta, widths)):
        W[...] = rng.normal(0, np.sqrt(2 / len(W)), W.shape)
        if layer == 0:
            b[...] = rng.normal(0, 1, b.shape)
    return theta


def mlp(theta, x, widths):
    """y (N, D_out) for x (N, D_in), and pull(dy) -> (dtheta, dx)."""
    theta, x = _check_inputs(theta, x, widths)
    layers = mlp_views(theta, widths)
    inputs, gates, y = _forward(layers, x)

    def pull(dy):
        def slope(layer):                                   # when its turn comes: it is still in the cache then
            return _silu_slope(gates[layer], inputs[layer + 1])
        return _backward(theta, layers, inputs, slope, _check_like(dy, y, "dy"), widths)

    return y, pull


def mlp_jvp(theta, x, x_dot, widths):
    """y, y_dot (N, D_out) for x, x_dot (N, D_in), and pull(dy, dy_dot) -> (dtheta, dx, dx_dot).

    y_dot = dy/dx x_dot, row by row: the directional derivative of the network.
    """
    theta, x = _check_inputs(theta, x, widths)
    x_dot = _check_like(x_dot, x, "x_dot")
    layers = mlp_views(theta, widths)
    inputs, gates, y = _forward(layers, x)
    slopes = _slopes(inputs, gates)
    y_dot, pull_tangent = _tangent(theta, layers, inputs, gates, slopes, x_dot, widths)

    def pull(dy, dy_dot):
        return pull_tangent(_check_like(dy, y, "dy"), _check_like(dy_dot, y_dot, "dy_dot"))

    return y, y_dot, pull


def mlp_slope(theta, x, widths):
    """y (N, 1), slope = dy/dx (N, D_in), and pull(dy, dslope) -> (dtheta, dx), for a network with one output.

    dslope = None says that the slope is not used, and saves more than half of the work.

    <dslope, slope> is the tangent y_dot along x_dot = dslope, so the pullback of
    the slope is the pullback of the tangent in the direction dslope, held fixed.
    """
    theta, x = _check_inputs(theta, x, widths)
    if widths[-1] != 1:
        raise ValueError(f"the slope is that of a network with one output, got widths {tuple(widths)}")
    layers = mlp_views(theta, widths)
    inputs, gates, y = _forward(layers, x)
    slopes = _slopes(inputs, gates)
    slope = np.broadcast_to(layers[-1][0].T, (len(x), len(layers[-1][0])))
    for (W, _), silu_slope in zip(layers[-2::-1], slopes[::-1]):
        slope = (slope * silu_slope) @ W.T                  # (N, in)

    def pull(dy, dslope):
        dy = _check_like(dy, y, "dy")
        if dslope is None:
            return _backward(theta, layers, inputs, slopes.__getitem__, dy, widths)
        dslope = _check_like(dslope, slope, "dslope")
        _, pull_tangent = _tangent(theta, layers, inputs, gates, slopes, dslope, widths)
        dtheta, dx, _ = pull_tangent(dy, np.ones_like(dy))
        return dtheta, dx

    return y, slope, pull


def _forward(layers, x):
    """What each layer is given, the gates sigmoid(a) of the hidden ones, and y."""
    inputs, gates = [], []                                  # what backpropagation will need
    h = x                                                   # (N, D_in)
    for W, b in layers[:-1]:
        inputs.append(h)
        a = h @ W                                           # (N, H)
        a += b
        s = sigmoid(a)[0]                                   # (N, H)
        gates.append(s)
        h = np.multiply(a, s, out=a)                        # silu(a)
    inputs.append(h)
    W, b = layers[-1]
    y = h @ W                                               # (N, D_out)
    y += b
    return inputs, gates, y


def _backward(theta, layers, inputs, slope, dy, widths):
    """(dtheta, dx) of <dy, y>; slope(l) is silu'(a) of hidden layer l."""
    dtheta = np.empty(theta.shape, np.result_type(theta, inputs[0], dy))
    dlayers = mlp_views(dtheta, widths)
    da = dy                                                 # the last layer is linear
    for layer in reversed(range(len(layers))):
        W, (dW, db), h = layers[layer][0], dlayers[layer], inputs[layer]
        np.matmul(h.T, da, out=dW)
        np.sum(da, axis=0, out=db)
        dh = da @ W.T                                       # (N, in)
        if layer > 0:
            da = dh * slope(layer - 1)
    return dtheta, dh


def _slopes(inputs, gates):
    """silu'(a) of every hidden layer; its output silu(a) is the next layer's input."""
    return [_silu_slope(s, h) for s, h in zip(gates, inputs[1:])]


def _tangent(theta, layers, inputs, gates, slopes, x_dot, widths):
    """y_dot for x_dot, and pull(dy, dy_dot) -> (dtheta, dx, dx_dot)."""
    dots, tangents = [x_dot], []                            # h_dot before each layer, a_dot of the hidden ones
    for (W, _), slope in zip(layers[:-1], slopes):
        tangents.append(dots[-1] @ W)                       # (N, H)
        dots.append(slope * tangents[-1])
    y_dot = dots[-1] @ layers[-1][0]

    def pull(dy, dy_dot):
        dtheta = np.empty(theta.shape, np.result_type(theta, inputs[0], x_dot, dy, dy_dot))
        dlayers = mlp_views(dtheta, widths)
        da, da_dot = dy, dy_dot
        for layer in reversed(range(len(layers))):
            W, (dW, db), h, h_dot = layers[layer][0], dlayers[layer], inputs[layer], dots[layer]
            np.matmul(h.T, da, out=dW)
            dW += h_dot.T @ da_dot
            np.sum(da, axis=0, out=db)
            dh, dh_dot = da @ W.T, da_dot @ W.T             # (N, in) each
            if layer > 0:
                s, slope, a_dot = gates[layer - 1], slopes[layer - 1], tangents[layer - 1]
                curvature = 1 - h                           # silu'' = (1 - s) (silu' + s (1 - h))
                curvature *= s
                curvature += slope
                da = dh * slope + curvature * (1 - s) * a_dot * dh_dot
                da_dot = dh_dot * slope
        return dtheta, dh, dh_dot

    return y_dot, pull


def _silu_slope(s, h):
    """silu'(a) from s = sigmoid(a) and h = silu(a)."""
    slope = 1 - s
    slope *= h
    slope += s
    return slope


def _check_widths(widths):
    if not np.iterable(widths):
        raise TypeError(f"widths must be a tuple of layer sizes, got {widths!r}")
    widths = tuple(checks.size(width, "each of widths") for width in widths)
    if len(widths) < 2:
        raise ValueError(f"widths must name at least an input and an output size, got {widths}")
    return widths


def _check_inputs(theta, x, widths):
    theta, x = checks.array(theta, "theta"), checks.array(x, "x")
    if x.ndim != 2 or x.shape[1] != widths[0]:
        raise ValueError(f"x must have shape (n, {widths[0]}), got {x.shape}")
    return theta, x


def _check_like(a, model, name):
    a = checks.array(a, name)
    if a.shape != model.shape:
        raise ValueError(f"{name} must have the shape of what it belongs to, {model.shape}, got {a.shape}")
    return a
