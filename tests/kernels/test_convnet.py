import numpy as np
import pytest

from scratch.kernels.convnet import (convnet, convnet_blocks, convnet_init, convnet_jvp, convnet_size, convnet_slope,
                                     convnet_views)
from scratch.kernels.convolution import Convolution, Dense, Transposed
from scratch.kernels.dense import mlp, mlp_init, mlp_jvp, mlp_size, mlp_slope
from scratch.learning.gradient_check import complex_step, pullback_errors

DOWN = (Convolution(8, 1, 3, 4, 2), Convolution(4, 3, 4, 4, 2, circular=False), Dense(4, 3, 2), Dense(3, 1))
FLAT = (Convolution(8, 1, 3, 4, 2, shift=1), Convolution(4, 3, 2, 2, 1), Dense(8, 1))
UP = (Dense(2, 6), Transposed(2, 3, 2, 4, 2, circular=False), Transposed(4, 2, 1, 6, 2))
MIDDLE = (Dense(3, 4), Transposed(2, 2, 3, 4, 2), Convolution(4, 3, 2, 4, 2), Dense(2, 1, 2))
NETS = [DOWN, FLAT, UP, MIDDLE, (Convolution(8, 1, 2, 4, 2),), (Transposed(2, 3, 1, 4, 2),)]
ONE_OUTPUT = [DOWN, FLAT, MIDDLE, (Dense(4, 1, 2),)]


def point(rng, layers, n=4):
    """theta with biases away from zero, and x."""
    return rng.normal(0, 0.7, convnet_size(layers)), rng.normal(size=(n, layers[0].sizes[0]))


def test_value_is_the_naive_loop(rng):
    """One number at a time: two convolutions, a mean over time, and two dense layers."""
    theta, x = point(rng, DOWN, 2)
    (W_1, b_1), (W_2, b_2), (W_3, b_3), (W_4, b_4) = convnet_views(theta, DOWN)
    for row, y in zip(x, convnet(theta, x, DOWN)[0]):
        h = np.zeros((4, 3))
        for t, o in np.ndindex(4, 3):                       # circular, no whole stride to the left
            a = b_1[o] + sum(row[(2 * t + j) % 8] * W_1[j, o] for j in range(4))
            h[t, o] = a / (1 + np.exp(-a))
        k = np.zeros((2, 4))
        for t, o in np.ndindex(2, 4):                       # linear
            a = b_2[o] + sum(h[2 * t + j, c] * W_2[3 * j + c, o] for j in range(4) for c in range(3) if 2 * t + j < 4)
            k[t, o] = a / (1 + np.exp(-a))
        mean = [(k[0, c] + k[1, c]) / 2 for c in range(4)]
        a = [b_3[o] + sum(mean[c] * W_3[c, o] for c in range(4)) for o in range(3)]
        assert y[0] == pytest.approx(b_4[0] + sum(v / (1 + np.exp(-v)) * W_4[o, 0] for o, v in enumerate(a)), rel=1e-12)


@pytest.mark.parametrize("layers", NETS)
def test_pullback_in_every_parameter_and_input(layers, rng):
    assert max(pullback_errors(lambda theta, x: convnet(theta, x, layers), point(rng, layers), rng)) < 1e-12


@pytest.mark.parametrize("layers", NETS)
def test_pullback_of_value_and_tangent_in_every_argument(layers, rng):
    theta, x = point(rng, layers)
    inputs = [theta, x, rng.normal(size=x.shape)]
    assert max(pullback_errors(lambda theta, x, x_dot: convnet_jvp(theta, x, x_dot, layers), inputs, rng)) < 1e-12


@pytest.mark.parametrize("layers", ONE_OUTPUT)
def test_pullback_of_value_and_slope_in_every_argument(layers, rng):
    assert max(pullback_errors(lambda theta, x: convnet_slope(theta, x, layers), point(rng, layers), rng)) < 1e-12


@pytest.mark.parametrize("layers", NETS)
def test_tangent_is_the_derivative_along_the_velocity(layers, rng):
    theta, x = point(rng, layers, 1)
    x_dot = rng.normal(size=x.shape)
    y, y_dot, _ = convnet_jvp(theta, x, x_dot, layers)
    np.testing.assert_array_equal(y, convnet(theta, x, layers)[0])
    for j in range(y.shape[1]):
        assert abs(y_dot[0, j] - complex_step(lambda x: convnet(theta, x, layers)[0][0, j], x, x_dot)) < 1e-13


@pytest.mark.parametrize("layers", ONE_OUTPUT)
def test_the_slope_is_the_gradient_of_the_output(layers, rng):
    theta, x = point(rng, layers)
    y, slope, pull_slope = convnet_slope(theta, x, layers)
    value, pull = convnet(theta, x, layers)
    np.testing.assert_array_equal(y, value)
    np.testing.assert_allclose(slope, pull(np.ones_like(y))[1], rtol=1e-12, atol=1e-15)
    dy = rng.normal(size=y.shape)
    for unused, zero, plain in zip(pull_slope(dy, None), pull_slope(dy, np.zeros_like(slope)), pull(dy)):
        np.testing.assert_allclose(unused, zero, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(unused, plain, rtol=1e-12, atol=1e-15)


def test_dense_layers_alone_are_the_perceptron(rng):
    """Value, tangent and slope with their pullbacks, against dense.py."""
    layers, widths = (Dense(3, 5), Dense(5, 4), Dense(4, 1)), (3, 5, 4, 1)
    assert convnet_size(layers) == mlp_size(widths)
    theta, x = point(rng, layers)
    x_dot, dy = rng.normal(size=x.shape), rng.normal(size=(4, 1))
    for (*outputs, pull), (*others, other_pull), cotangents in (
            (convnet(theta, x, layers), mlp(theta, x, widths), (dy,)),
            (convnet_jvp(theta, x, x_dot, layers), mlp_jvp(theta, x, x_dot, widths), (dy, 2 * dy)),
            (convnet_slope(theta, x, layers), mlp_slope(theta, x, widths), (dy, x_dot))):
        for one, other in zip((*outputs, *pull(*cotangents)), (*others, *other_pull(*cotangents))):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(*(init(np.random.default_rng(0), of)
                                    for init, of in ((convnet_init, layers), (mlp_init, widths))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_follows_theta(dtype, rng):
    for layers in (DOWN, MIDDLE):
        theta, x = point(rng, layers)
        theta, x = theta.astype(dtype), x.astype(np.float32)
        y, slope, pull = convnet_slope(theta, x, layers)
        dtheta, dx = pull(np.ones_like(y), np.ones_like(slope))
        y_dot, pull_dot = convnet_jvp(theta, x, x, layers)[1:]
        found = (y, slope, dtheta, dx, y_dot, *pull_dot(y, y_dot), *convnet(theta, x, layers)[1](y))
        assert all(part.dtype == dtype for part in found)


def test_pull_may_be_called_twice_and_changes_nothing(rng):
    for layers in (DOWN, MIDDLE):
        theta, x = point(rng, layers)
        dy = rng.normal(size=(4, 1))
        kept = theta.copy(), x.copy(), dy.copy()
        pull, pull_jvp, pull_slope = (kernel[-1] for kernel in (
            convnet(theta, x, layers), convnet_jvp(theta, x, x, layers), convnet_slope(theta, x, layers)))
        twice = [(*pull(dy), *pull_jvp(dy, dy), *pull_slope(dy, x)) for _ in range(2)]
        for first, second in zip(*twice):
            np.testing.assert_array_equal(first, second)
        for now, then in zip((theta, x, dy), kept):
            np.testing.assert_array_equal(now, then)
        assert pull(dy, need_dx=False)[1] is None


def test_blocks_cover_theta_once_and_in_order(rng):
    theta = np.arange(float(convnet_size(DOWN)))
    np.testing.assert_array_equal(np.concatenate([part.ravel() for pair in convnet_views(theta, DOWN) for part in pair]),
                                  theta)
    blocks = convnet_blocks(DOWN, "critic ", start=7)
    assert list(blocks) == [f"critic {name}{layer}" for layer in (1, 2, 3, 4) for name in "Wb"]
    assert [place.start for place in blocks.values()] == [7, *(place.stop for place in blocks.values())][:-1]


def test_init_keeps_the_scale_of_the_sum_of_each_layers_terms(rng):
    """Each output of a transposed convolution sums in k / s terms: the variance of a is 2 for x of variance 1."""
    for layer in (Convolution(64, 40, 50, 8, 4), Transposed(16, 40, 50, 8, 4), Dense(300, 400)):
        theta, x = convnet_init(rng, (layer,), float), rng.normal(size=(100, layer.sizes[0]))
        theta[-layer.outputs:] = 0
        assert np.var(convnet(theta, x, (layer,))[0]) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("call, says", [
    (lambda: convnet_size((Dense(2, 3), Dense(4, 1))), "each layer must read"),
    (lambda: convnet(np.zeros(3), np.zeros((2, 8)), DOWN), "theta must have shape"),
    (lambda: convnet_slope(np.zeros(convnet_size(UP)), np.zeros((2, 2)), UP), "one output, got 8"),
    (lambda: convnet(np.zeros(convnet_size(UP)), np.zeros((2, 4)), UP), "rows of 2"),
    (lambda: convnet(np.zeros(convnet_size(DOWN)), np.zeros((2, 16)), DOWN), "rows of 8"),
    (lambda: convnet_jvp(np.zeros(convnet_size(DOWN)), np.zeros((2, 8)), np.zeros((1, 8)), DOWN), "shape of x"),
])
def test_a_wrong_shape_is_an_error_and_never_broadcast(call, says):
    with pytest.raises(ValueError, match=says):
        call()
