import numpy as np
import pytest

from scratch.implicit.diffusion.network import FREQUENCIES, LEVEL_FREQUENCIES, Network
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import directional_error, gradient, gradient_error

NETWORK = Network(dim=3, hidden=(5, 4), classes=2)
LABEL = np.array([1, -1, 0, 1])


def point(network, rng, n=4):
    """theta, x and level, all away from zeros and symmetric starts."""
    theta = network.init(rng, np.float64)
    return theta + 0.1 * rng.standard_normal(theta.shape), rng.normal(size=(n, network.dim)), rng.normal(-0.3, 0.2, n)


def naive(network, theta, x, level, label):
    """The definition: one row, one coordinate, one frequency at a time."""
    y = np.empty_like(x)
    for n, row in enumerate(x):
        noise_variance = 1 / (1 + np.exp(-8 * level[n]))
        features = list(row)
        for f in (np.sin, np.cos):
            for k in FREQUENCIES:
                features += [np.exp(-0.5 * k ** 2 * noise_variance) * f(k * coordinate) for coordinate in row]
        features += [np.sin(w * level[n]) for w in LEVEL_FREQUENCIES]
        features += [np.cos(w * level[n]) for w in LEVEL_FREQUENCIES]
        features += [float(label[n] == c) for c in range(network.classes)]
        h = np.array(features)
        *hidden, (W, b) = mlp_views(theta, network.widths)
        for V, c in hidden:
            h = (h @ V + c) / (1 + np.exp(-(h @ V + c)))
        y[n] = h @ W + b
    return y


# ---- 1 definition ----

def test_network_is_the_naive_loop(rng):
    theta, x, level = point(NETWORK, rng)
    np.testing.assert_allclose(NETWORK(theta, x, level, LABEL)[0], naive(NETWORK, theta, x, level, LABEL), rtol=1e-12)


def test_sines_have_the_size_that_they_keep_in_the_mean_under_the_noise_of_x(rng):
    """x = (x0 + sigma eps) / sqrt(sigma^2 + s^2) holds noise of standard deviation n, which is averaged over."""
    network, s, sigma, center = Network(1, ()), 0.7, 0.4, 0.3
    n = sigma / np.hypot(sigma, s)
    features, _ = network._features(np.array([[center]]), np.array([0.25 * np.log(sigma / s)]), None)
    moved = center + n * rng.standard_normal((400_000, 1))
    K = len(FREQUENCIES)
    for f, found in ((np.sin, features[0, 1:K + 1]), (np.cos, features[0, K + 1:2 * K + 1])):
        draws = f(np.asarray(FREQUENCIES) * moved)                                # (400,000, K)
        assert (np.abs(draws.mean(axis=0) - found) < 4 * draws.std(axis=0) / np.sqrt(len(moved))).all()


def test_one_level_or_label_for_all_rows_is_the_same_for_each(rng):
    theta, x, _ = point(NETWORK, rng)
    np.testing.assert_array_equal(NETWORK(theta, x, -0.2, 1)[0],
                                  NETWORK(theta, x, np.full(4, -0.2), np.full(4, 1))[0])


def test_no_label_is_the_label_minus_one_and_differs_from_every_class(rng):
    theta, x, level = point(NETWORK, rng)
    nothing = NETWORK(theta, x, level)[0]
    np.testing.assert_array_equal(nothing, NETWORK(theta, x, level, -1)[0])
    for label in (0, 1):
        assert (nothing != NETWORK(theta, x, level, label)[0]).all()


# ---- 2 gradient ----

@pytest.mark.parametrize("network, label", [(NETWORK, LABEL), (Network(2, (6,)), None), (Network(1, ()), None)])
def test_pullback_in_every_parameter_and_input(network, label, rng):
    theta, x, level = point(network, rng)
    y, pull = network(theta, x, level, label)
    dy = rng.standard_normal(y.shape)
    dtheta, dx = pull(dy)
    assert gradient_error(lambda theta: np.sum(dy * network(theta, x, level, label)[0]), theta, dtheta) < 1e-10
    assert gradient_error(lambda x: np.sum(dy * network(theta, x, level, label)[0]), x, dx) < 1e-10


@pytest.mark.parametrize("network, label", [(NETWORK, LABEL), (Network(2, (6,)), None)])
def test_tangent_is_the_derivative_along_x_dot(network, label, rng):
    theta, x, level = point(network, rng)
    x_dot = rng.standard_normal(x.shape)
    y, y_dot, _ = network.jvp(theta, x, x_dot, level, label)
    np.testing.assert_array_equal(y, network(theta, x, level, label)[0])
    exact = network(theta, x + 1e-30j * x_dot, level, label)[0].imag / 1e-30
    np.testing.assert_allclose(y_dot, exact, rtol=1e-12, atol=1e-14)


def test_pullback_of_the_tangent_in_every_parameter(rng):
    theta, x, level = point(NETWORK, rng)
    x_dot, dy, dy_dot = rng.standard_normal((3, *x.shape))

    def contracted(theta):
        y, y_dot, _ = NETWORK.jvp(theta, x, x_dot, level, LABEL)
        return np.sum(dy * y) + np.sum(dy_dot * y_dot)
    dtheta = NETWORK.jvp(theta, x, x_dot, level, LABEL)[2](dy, dy_dot)
    assert gradient_error(contracted, theta, dtheta) < 1e-10
    assert directional_error(contracted, theta, dtheta, rng) < 1e-10


def test_float32_stays_float32_and_agrees_with_float64(rng):
    theta, x, level = point(NETWORK, rng)
    y, pull = NETWORK(theta.astype(np.float32), x.astype(np.float32), level, LABEL)
    dtheta, dx = pull(np.ones_like(y))
    assert y.dtype == dtheta.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(y, NETWORK(theta, x, level, LABEL)[0], rtol=1e-3, atol=1e-5)


def test_nothing_overflows_without_noise_and_without_data(rng):
    theta = NETWORK.init(rng)
    x = np.full((2, 3), 1e4, np.float32)
    for level in (-20.0, 20.0):
        y, pull = NETWORK(theta, x, level, 0)
        assert np.isfinite(y).all() and np.isfinite(pull(np.ones_like(y))[1]).all()


def test_at_high_noise_the_network_cannot_wiggle(rng):
    """dy/dx of a random network: at sigma = 80 fast sines are gone; at sigma = 0.01 they are there."""
    network = Network(1, (64, 64))
    theta = network.init(rng, np.float64)
    x = np.linspace(-2, 2, 2001)[:, None]
    bends = []
    for sigma in (0.01, 80.0):
        y = network(theta, x, 0.25 * np.log(sigma))[0][:, 0]
        bends.append(np.abs(np.diff(y, 2)).max() / np.ptp(y))
    assert bends[0] > 5 * bends[1]


# ---- bad input ----

def labeled_network(label):
    network = Network(2, (4,), classes=3)
    return network(np.zeros(network.size), np.zeros((1, 2)), 0.0, label)


@pytest.mark.parametrize("call, error, says", [
    (lambda: Network(0, (4,)), ValueError, "dim must be at least 1"),
    (lambda: Network(2, 4), TypeError, "hidden must be a tuple"),
    (lambda: Network(2, (4.0,)), TypeError, "each of hidden"),
    (lambda: Network(2, (4,), -1), ValueError, "classes must be at least 0"),
    (lambda: Network(2, (4,)).init(0), TypeError, "Generator"),
    (lambda: Network(2, (4,))(np.zeros(3), np.zeros((1, 2)), 0.0), ValueError, "theta must have shape"),
    (lambda: labeled_network(3), ValueError, "label must hold integers from -1 to 2"),
    (lambda: labeled_network(-2), ValueError, "label must hold integers"),
    (lambda: labeled_network(1.0), ValueError, "label must hold integers"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
