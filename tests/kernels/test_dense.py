import numpy as np
import pytest

from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_jvp, mlp_size, mlp_slope, mlp_views
from scratch.learning.gradient_check import complex_step, pullback_errors

WIDTHS = (3, 5, 4, 2)


def random_theta(rng, widths=WIDTHS):
    return rng.normal(0, 0.7, mlp_size(widths))             # biases away from zero too


def naive_mlp(theta, x, widths):
    """The definition, one number at a time."""
    rows = []
    for row in x:
        h, at = list(row), 0
        for layer, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:])):
            W, b = theta[at:at + n_in * n_out], theta[at + n_in * n_out:at + (n_in + 1) * n_out]
            at += (n_in + 1) * n_out
            a = [sum(h[i] * W[i * n_out + j] for i in range(n_in)) + b[j] for j in range(n_out)]
            last = layer == len(widths) - 2
            h = a if last else [v / (1 + np.exp(-v)) for v in a]
        rows.append(h)
    return np.array(rows)


def test_value_is_the_naive_loop(rng):
    theta, x = random_theta(rng), rng.normal(size=(4, 3))
    np.testing.assert_allclose(mlp(theta, x, WIDTHS)[0], naive_mlp(theta, x, WIDTHS), rtol=1e-12)


@pytest.mark.parametrize("widths", [(3, 2), (3, 4, 2), WIDTHS, (1, 2, 2, 2, 1)])
def test_pullback_in_every_parameter_and_input(widths, rng):
    theta, x = random_theta(rng, widths), rng.normal(size=(6, widths[0]))
    assert max(pullback_errors(lambda theta, x: mlp(theta, x, widths), [theta, x], rng)) < 1e-12


@pytest.mark.parametrize("widths", [(3, 2), (3, 4, 2), WIDTHS, (1, 2, 2, 2, 1)])
def test_pullback_of_value_and_tangent_in_every_argument(widths, rng):
    theta, x, x_dot = random_theta(rng, widths), rng.normal(size=(6, widths[0])), rng.normal(size=(6, widths[0]))
    errors = pullback_errors(lambda theta, x, x_dot: mlp_jvp(theta, x, x_dot, widths), [theta, x, x_dot], rng)
    assert max(errors) < 1e-12


def test_tangent_is_the_derivative_along_the_velocity(rng):
    theta, x, x_dot = random_theta(rng), rng.normal(size=(1, 3)), rng.normal(size=(1, 3))
    y, y_dot, _ = mlp_jvp(theta, x, x_dot, WIDTHS)
    np.testing.assert_array_equal(y, mlp(theta, x, WIDTHS)[0])
    for j in range(2):
        exact = complex_step(lambda x: mlp(theta, x, WIDTHS)[0][0, j], x, x_dot)
        assert abs(y_dot[0, j] - exact) < 1e-13


@pytest.mark.parametrize("widths", [(3, 1), (3, 4, 1), (3, 5, 4, 1)])
def test_pullback_of_value_and_slope_in_every_argument(widths, rng):
    theta, x = random_theta(rng, widths), rng.normal(size=(6, 3))
    assert max(pullback_errors(lambda theta, x: mlp_slope(theta, x, widths), [theta, x], rng)) < 1e-12


def test_an_unused_slope_is_a_cotangent_of_zero(rng):
    theta, x = random_theta(rng, (3, 5, 4, 1)), rng.normal(size=(4, 3))
    _, slope, pull = mlp_slope(theta, x, (3, 5, 4, 1))
    dy = rng.normal(size=(4, 1))
    for part, same in zip(pull(dy, None), pull(dy, np.zeros_like(slope))):
        np.testing.assert_allclose(part, same, rtol=1e-12, atol=1e-15)


def test_the_pullback_of_the_tangent_takes_a_complex_probe_of_any_one_input(rng):
    theta, x, x_dot = random_theta(rng), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    dy, dy_dot = rng.normal(size=(2, 4, 2))
    real = mlp_jvp(theta, x, x_dot, WIDTHS)[2](dy, dy_dot)
    for place in range(3):
        inputs = [theta, x, x_dot]
        inputs[place] = inputs[place].astype(complex)
        for part, same in zip(mlp_jvp(*inputs, WIDTHS)[2](dy, dy_dot), real):
            np.testing.assert_allclose(part, same, rtol=1e-12, atol=1e-14)


def test_the_slope_is_the_gradient_of_the_output(rng):
    theta, x = random_theta(rng, (3, 5, 4, 1)), rng.normal(size=(4, 3))
    y, slope, _ = mlp_slope(theta, x, (3, 5, 4, 1))
    value, pull = mlp(theta, x, (3, 5, 4, 1))
    np.testing.assert_array_equal(y, value)
    np.testing.assert_allclose(slope, pull(np.ones_like(y))[1], rtol=1e-12)
    with pytest.raises(ValueError, match="one output"):
        mlp_slope(random_theta(rng), x, WIDTHS)


def test_tangent_and_pullback_are_transposes(rng):
    """<dy, J x_dot> = <J^T dy, x_dot>."""
    theta, x, x_dot = random_theta(rng), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    dy = rng.normal(size=(5, 2))
    _, y_dot, _ = mlp_jvp(theta, x, x_dot, WIDTHS)
    dx = mlp(theta, x, WIDTHS)[1](dy)[1]
    assert abs(np.sum(dy * y_dot) - np.sum(dx * x_dot)) < 1e-13


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtype_follows_theta(dtype, rng):
    theta = random_theta(rng).astype(dtype)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    y, pull = mlp(theta, x, WIDTHS)
    dtheta, dx = pull(np.ones_like(y))
    assert y.dtype == dtheta.dtype == dx.dtype == dtype


def test_complex_inputs_and_real_cotangents_mix(rng):
    theta, x, dy = random_theta(rng), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    for a, b, c in ((theta, x + 0j, dy), (theta + 0j, x, dy), (theta, x, dy + 0j)):
        for gradient, real in zip(mlp(a, b, WIDTHS)[1](c), mlp(theta, x, WIDTHS)[1](dy)):
            np.testing.assert_allclose(gradient, real, rtol=1e-12)


def test_pull_may_be_called_twice_and_changes_nothing(rng):
    theta, x, dy = random_theta(rng), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    kept = theta.copy(), x.copy(), dy.copy()
    _, pull = mlp(theta, x, WIDTHS)
    _, _, pull_jvp = mlp_jvp(theta, x, x, WIDTHS)
    for first, second in zip((*pull(dy), *pull_jvp(dy, dy)), (*pull(dy), *pull_jvp(dy, dy))):
        np.testing.assert_array_equal(first, second)
    for now, then in zip((theta, x, dy), kept):
        np.testing.assert_array_equal(now, then)


def test_without_dx_the_gradient_in_theta_is_the_same(rng):
    theta, x, dy = random_theta(rng), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    _, pull = mlp(theta, x, WIDTHS)
    dtheta, dx = pull(dy, need_dx=False)
    np.testing.assert_array_equal(dtheta, pull(dy)[0])
    assert dx is None and pull(dy)[1].shape == x.shape


def test_large_activations_neither_overflow_nor_warn():
    theta, x = np.array([1.0, 0, 1, 0]), np.array([[-1e4], [-800.0], [800.0], [1e4]])
    y, pull = mlp(theta, x, (1, 1, 1))
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(pull(np.ones_like(y))[1], x > 0)


def test_views_and_blocks_cover_theta_once_and_in_order(rng):
    theta = np.arange(float(mlp_size(WIDTHS)))
    parts = [part.ravel() for layer in mlp_views(theta, WIDTHS) for part in layer]
    np.testing.assert_array_equal(np.concatenate(parts), theta)
    blocks = mlp_blocks(WIDTHS, "encoder ", start=7)
    assert list(blocks) == [f"encoder {name}{layer}" for layer in (1, 2, 3) for name in "Wb"]
    for block, part in zip(blocks.values(), parts):
        np.testing.assert_array_equal(np.concatenate([np.zeros(7), theta])[block], part)
    assert mlp_size(list(WIDTHS)) == mlp_size(WIDTHS)


def test_init_shrinks_the_activations_by_a_third_a_layer(rng):
    """The mean square of a, layer by layer, is that of a wide network: 1, then x 0.71, 0.67, 0.63."""
    h, squares = rng.standard_normal((400, 300)), []
    for W, _ in mlp_views(mlp_init(rng, (300,) * 5, float), (300,) * 5):
        a = h @ W / np.sqrt(2) ** (not squares)             # the first layer's input is no silu: mean square 1
        squares.append(np.mean(a * a))
        h = a / (1 + np.exp(-a))
    np.testing.assert_allclose(np.divide(squares[1:], squares[:-1]), [0.71, 0.67, 0.63], atol=0.1)


def test_init_scales_by_the_number_of_inputs_and_spreads_the_first_biases(rng):
    (W_1, b_1), (W_2, b_2) = mlp_views(mlp_init(rng, (50, 400, 20), float), (50, 400, 20))
    for W, variance in ((W_1, 2 / 50), (W_2, 2 / 400)):
        assert abs(W.var() / variance - 1) < 5 * np.sqrt(2 / W.size)
    assert abs(b_1.var() - 1) < 5 * np.sqrt(2 / 400) and (b_2 == 0).all()


@pytest.mark.parametrize("call, error, says", [
    (lambda: mlp_size((3,)), ValueError, "at least an input and an output"),
    (lambda: mlp_size((3, 0)), ValueError, "at least 1"),
    (lambda: mlp_size((3, 2.5)), TypeError, "integer"),
    (lambda: mlp_size(3), TypeError, "not iterable"),
    (lambda: mlp_init(0, WIDTHS), TypeError, "numpy.random.Generator"),
    (lambda: mlp(np.zeros(7), np.zeros((2, 3)), WIDTHS), ValueError, "theta must have shape"),
    (lambda: mlp_views(np.zeros(99), WIDTHS), ValueError, "theta must have shape"),
    (lambda: mlp_slope(np.zeros(mlp_size(WIDTHS)), np.zeros((2, 3)), WIDTHS), ValueError, "one output"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("call", [
    lambda theta, x: mlp(theta, x[:, :2], WIDTHS),
    lambda theta, x: mlp(theta, x, WIDTHS)[1](np.zeros((4, 3))),
    lambda theta, x: mlp(theta, x, WIDTHS)[1](np.zeros((1, 2))),
    lambda theta, x: mlp(theta, x, WIDTHS)[1](np.zeros((4, 1))),
    lambda theta, x: mlp_jvp(theta, x, x[:, :1], WIDTHS),
    lambda theta, x: mlp_jvp(theta, x, x[:1], WIDTHS)[2](np.zeros((4, 2)), np.zeros((4, 2))),
])
def test_a_wrong_shape_is_an_error_and_never_broadcast(call, rng):
    with pytest.raises(ValueError):
        call(random_theta(rng), rng.normal(size=(4, 3)))
