import numpy as np
import pytest

from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.network import FREQUENCIES, LEVEL_FREQUENCIES, Network
from scratch.kernels.dense import mlp_init, mlp_views
from scratch.learning.gradient_check import directional_error, gradient_error

NETWORK = Network(dim=3, hidden=(5, 4), context_dim=2)
NO_SINES = Network(dim=2, hidden=(5,), context_dim=3, frequencies=())


def point(network, rng, n=4):
    """theta, x, level and context, all away from zeros and symmetric starts."""
    theta = mlp_init(rng, network.widths, np.float64)
    theta += 0.1 * rng.standard_normal(theta.shape)
    context = rng.normal(size=(n, network.context_dim)) if network.context_dim else None
    return theta, rng.normal(size=(n, network.dim)), rng.normal(-0.3, 0.2, n), context


def naive(network, theta, x, level, context):
    """The definition: one row, one coordinate, one frequency at a time."""
    y = np.empty_like(x)
    for n, row in enumerate(x):
        noise_variance = 1 / (1 + np.exp(-8 * level[n]))
        features = list(row)
        for f in (np.sin, np.cos):
            for k in network.frequencies:
                features += [np.exp(-0.5 * k ** 2 * noise_variance) * f(k * coordinate) for coordinate in row]
        features += [np.sin(w * level[n]) for w in LEVEL_FREQUENCIES]
        features += [np.cos(w * level[n]) for w in LEVEL_FREQUENCIES]
        features += list(context[n])
        h = np.array(features)
        *hidden, (W, b) = mlp_views(theta, network.widths)
        for V, c in hidden:
            h = (h @ V + c) / (1 + np.exp(-(h @ V + c)))
        y[n] = h @ W + b
    return y


# ---- 1 definition ----

@pytest.mark.parametrize("network", [NETWORK, NO_SINES])
def test_network_is_the_naive_loop(network, rng):
    theta, *inputs = point(network, rng)
    np.testing.assert_allclose(network(theta, *inputs)[0], naive(network, theta, *inputs), rtol=1e-12)


def test_sines_have_the_amplitude_that_they_keep_in_expectation_under_the_noise_of_x():
    """x = (x0 + sigma eps) / sqrt(sigma^2 + s^2) holds noise of standard deviation n: by Gauss-Hermite quadrature."""
    network, s, sigma, center = Network(1, ()), 0.7, 0.4, 0.3
    features, _ = network._features(np.array([[center]]), np.array([0.25 * np.log(sigma / s)]))
    eps, weights = np.polynomial.hermite_e.hermegauss(80)
    moved, F = center + sigma / np.hypot(sigma, s) * eps, len(FREQUENCIES)
    for f, found in ((np.sin, features[0, 1:F + 1]), (np.cos, features[0, F + 1:2 * F + 1])):
        expected = f(np.outer(FREQUENCIES, moved)) @ weights / weights.sum()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_frequencies_are_four_octaves_and_a_fourier_series_on_the_levels():
    assert FREQUENCIES == (1, 2, 4, 8)
    np.testing.assert_allclose(LEVEL_FREQUENCIES, 2 * np.pi * np.arange(1, 5) / 4)     # period 4: from -2 to 2


def test_one_level_for_all_rows_is_the_same_for_each(rng):
    theta, x, _, context = point(NETWORK, rng)
    np.testing.assert_array_equal(NETWORK(theta, x, -0.2, context)[0],
                                  NETWORK(theta, x, np.full(4, -0.2), context)[0])


def test_no_context_is_a_context_of_zeros(rng):
    theta, x, level, context = point(NETWORK, rng)
    nothing = NETWORK(theta, x, level)[0]
    np.testing.assert_array_equal(nothing, NETWORK(theta, x, level, 0 * context)[0])
    assert (nothing != NETWORK(theta, x, level, context)[0]).all()


def test_models_on_a_network_name_every_weight_and_start_small_in_the_last_layer(rng):
    model = Diffusion(2, hidden=(30, 20))
    theta, filled = model.init(rng), np.zeros(model.size, int)
    for block in model.blocks.values():
        filled[block] += 1
    assert (filled == 1).all() and list(model.blocks) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    W2, W3 = theta[model.blocks["W2"]], theta[model.blocks["W3"]]
    assert abs(W2.std() / np.sqrt(2 / 30) - 1) < 5 / np.sqrt(2 * 600)             # He's scale, and a tenth of it
    assert abs(W3.std() / np.sqrt(2 / 20) - 0.1) < 5 * 0.1 / np.sqrt(2 * 40)
    for dtype in (np.float32, np.float64):
        assert model.init(rng, dtype).dtype == dtype


# ---- 2 gradient ----

@pytest.mark.parametrize("network", [NETWORK, NO_SINES, Network(2, (6,)), Network(1, ())])
def test_pullback_in_every_parameter_and_input(network, rng):
    """theta, x and context; x or context alone may be complex, which the complex step makes them."""
    theta, x, level, context = point(network, rng)
    y, pull = network(theta, x, level, context)
    dy = rng.standard_normal(y.shape)
    dtheta, dx, dcontext = pull(dy)
    assert gradient_error(lambda theta: np.sum(dy * network(theta, x, level, context)[0]), theta, dtheta) < 1e-10
    assert gradient_error(lambda x: np.sum(dy * network(theta, x, level, context)[0]), x, dx) < 1e-10
    assert dcontext.shape == (4, network.context_dim)
    if network.context_dim:
        assert gradient_error(lambda c: np.sum(dy * network(theta, x, level, c)[0]), context, dcontext) < 1e-10
    only_dtheta, *nothing = pull(dy, need_dx=False)
    np.testing.assert_array_equal(only_dtheta, dtheta)
    assert nothing == [None, None]


@pytest.mark.parametrize("network", [NETWORK, NO_SINES, Network(2, (6,))])
def test_tangent_is_the_derivative_along_x_dot(network, rng):
    theta, x, level, context = point(network, rng)
    x_dot = rng.standard_normal(x.shape)
    y, y_dot, _ = network.jvp(theta, x, x_dot, level, context)
    np.testing.assert_array_equal(y, network(theta, x, level, context)[0])
    exact = network(theta, x + 1e-30j * x_dot, level, context)[0].imag / 1e-30
    np.testing.assert_allclose(y_dot, exact, rtol=1e-12, atol=1e-14)


def test_pullback_of_the_tangent_in_every_parameter(rng):
    theta, x, level, context = point(NETWORK, rng)
    x_dot, dy, dy_dot = rng.standard_normal((3, *x.shape))

    def contracted(theta):
        y, y_dot, _ = NETWORK.jvp(theta, x, x_dot, level, context)
        return np.sum(dy * y) + np.sum(dy_dot * y_dot)
    dtheta = NETWORK.jvp(theta, x, x_dot, level, context)[2](dy, dy_dot)
    assert gradient_error(contracted, theta, dtheta) < 1e-10
    assert directional_error(contracted, theta, dtheta, rng) < 1e-10


def test_float32_stays_float32_and_agrees_with_float64(rng):
    """A context in float64 widens nothing."""
    theta, x, level, context = point(NETWORK, rng)
    y, pull = NETWORK(theta.astype(np.float32), x.astype(np.float32), level, context)
    gradients = pull(np.ones_like(y))
    assert y.dtype == np.float32 and all(gradient.dtype == np.float32 for gradient in gradients)
    np.testing.assert_allclose(y, NETWORK(theta, x, level, context)[0], rtol=1e-3, atol=1e-5)


def test_nothing_overflows_without_noise_and_without_data(rng):
    network = Network(3, (5, 4))
    theta, x = mlp_init(rng, network.widths), np.full((2, 3), 1e4, np.float32)
    for level in (-20.0, 20.0):
        y, pull = network(theta, x, level)
        assert np.isfinite(y).all() and np.isfinite(pull(np.ones_like(y))[1]).all()


def test_at_high_noise_the_network_cannot_wiggle(rng):
    """dy/dx of a random network: at sigma = 80 fast sines are gone; at sigma = 0.01 they are there."""
    network = Network(1, (64, 64))
    theta = mlp_init(rng, network.widths, np.float64)
    x = np.linspace(-2, 2, 2001)[:, None]
    bends = []
    for sigma in (0.01, 80.0):
        y = network(theta, x, 0.25 * np.log(sigma))[0][:, 0]
        bends.append(np.abs(np.diff(y, 2)).max() / np.ptp(y))
    assert bends[0] > 5 * bends[1]


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda: Network(0, (4,)), ValueError, "dim must be at least 1"),
    (lambda: Network(2, (4,))(np.zeros(3), np.zeros((1, 2)), 0.0), ValueError, "theta must have shape"),
    (lambda: Network(2, (4,), -1), ValueError, "context_dim must be at least 0"),
    (lambda: Network(2, (4,), frequencies=3.0), TypeError, "frequencies must be a tuple"),
    (lambda: Network(2, (4,), frequencies=(0.0,)), ValueError, "each of frequencies must be a positive"),
    (lambda: NO_SINES(np.zeros(NO_SINES.size), np.zeros((1, 2)), 0.0, np.zeros((1, 2))), ValueError,
     r"context must have shape \(1, 3\), got \(1, 2\)"),
    (lambda: NO_SINES(np.zeros(NO_SINES.size), np.zeros((2, 2)), 0.0, np.zeros(3)), ValueError, "context must have shape"),
    (lambda: NO_SINES(np.zeros(NO_SINES.size), np.zeros((1, 2)), 0.0, [[0, 1, 0]]), TypeError, "context must be floating"),
    (lambda: Diffusion(2, hidden=4), TypeError, "hidden must be a tuple"),
    (lambda: Diffusion(2, hidden=(4.0,)), TypeError, "each of hidden"),
    (lambda: Diffusion(2).init(0), TypeError, "Generator"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
