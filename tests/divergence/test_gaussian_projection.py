import numpy as np
import pytest

from scratch.data.distributions import GaussianMixture
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.gaussian_projection import ForwardFit, ReverseFit
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit

TWO_MODES = GaussianMixture([[-2.0, -1.0], [2.0, 1.0]], [[[0.5, 0.2], [0.2, 0.4]], [[0.3, -0.1], [-0.1, 0.6]]],
                            [0.5, 0.5])
ONE_MODE = GaussianMixture([[1.0, -0.5]], [[[0.5, 0.2], [0.2, 0.4]]], [1.0])


def test_the_start_is_the_round_gaussian_that_it_names():
    model = ForwardFit(3)
    theta = model.start([1.0, -2.0, 0.5], 0.3)
    mu, L = model.unpack(theta)
    assert mu.tolist() == [1.0, -2.0, 0.5] and theta.shape == (model.size,)
    np.testing.assert_allclose(L @ L.T, 0.3 ** 2 * np.eye(3), rtol=1e-14)


def random_theta(model, rng):
    return model.start(np.zeros(model.dim), 1.0) + 0.5 * rng.standard_normal(model.size)


@pytest.mark.parametrize("model", [ForwardFit(3), ForwardFit(1), ReverseFit(2, law=TWO_MODES)])
def test_gradient_in_every_parameter(model, rng):
    theta, x = random_theta(model, rng), rng.standard_normal((6, model.dim))
    noise = model.draw_noise(rng, 6)
    assert gradient_error(lambda theta: model.loss(theta, x, noise)[0], theta, model.loss(theta, x, noise)[1]) < 1e-10


def test_losses_are_the_divergences_in_closed_form(rng):
    """Against one Gaussian, the mean loss is KL(p || q) + H(p), and KL(q || p)."""
    forward, reverse = ForwardFit(2), ReverseFit(2, law=ONE_MODE)
    theta, n = random_theta(forward, rng), 200_000
    mu, L = forward.unpack(theta)
    p, q = (ONE_MODE.means[0], ONE_MODE.covariances[0]), (mu, L @ L.T)
    exact_forward = kl_gaussians(*p, *q).value + ONE_MODE.entropy()
    exact_reverse = kl_gaussians(*q, *p).value
    for model, exact in ((forward, exact_forward), (reverse, exact_reverse)):
        losses = [model.loss(theta, ONE_MODE.sample(n // 50, rng), model.draw_noise(rng, n // 50))[0]
                  for _ in range(50)]
        assert abs(np.mean(losses) - exact) < 5 * np.std(losses) / np.sqrt(50)


def test_forward_covers_the_modes_and_reverse_seeks_one(rng):
    forward, reverse = ForwardFit(2), ReverseFit(2, law=TWO_MODES)
    mu, L = forward.unpack(fit(forward, forward.start([1.0, 1.0], 1.0), TWO_MODES, rng, steps=300))
    np.testing.assert_allclose(mu, TWO_MODES.mean(), atol=0.1)                    # the exact optimum: moments
    np.testing.assert_allclose(L @ L.T, TWO_MODES.covariance(), atol=0.25)
    for start, mode in (([1.0, 1.0], 1), ([-1.0, -1.0], 0)):
        mu, L = reverse.unpack(fit(reverse, reverse.start(start, 1.0), TWO_MODES, rng, steps=300))
        np.testing.assert_allclose(mu, TWO_MODES.means[mode], atol=0.1)
        np.testing.assert_allclose(L @ L.T, TWO_MODES.covariances[mode], atol=0.1)


@pytest.mark.parametrize("call, error, says", [
    (lambda: ForwardFit(0), ValueError, "dim must be at least 1"),
    (lambda: ForwardFit(2).start([0.0], 1.0), ValueError, "mean must have shape"),
    (lambda: ForwardFit(2).start([0.0, 0.0], 0.0), ValueError, "std must be a positive"),
    (lambda: ForwardFit(2).loss(np.zeros(4), np.zeros((3, 2))), ValueError, "theta must have shape"),
    (lambda: ForwardFit(2).loss(np.zeros(5), np.zeros((3, 3))), ValueError, r"shape \(n, 2\)"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_float32_stays_float32_and_a_law_is_needed(rng):
    law = GaussianMixture(np.zeros((1, 2)), [np.eye(2)], [1.0])
    for model in (ForwardFit(2), ReverseFit(2, law=law)):
        theta = model.start([0.5, -0.5], 1.5).astype(np.float32)
        x = rng.normal(size=(9, 2))
        assert model.loss(theta, x, model.draw_noise(rng, 9))[1].dtype == np.float32
    for bad in (None, GaussianMixture, np.zeros((3, 2)), lambda x: x):
        with pytest.raises(TypeError, match="law must be a distribution with log_prob, score"):
            ReverseFit(2, law=bad)
