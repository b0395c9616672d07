import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit import importance_density, smoothed_density
from scratch.implicit.gan import GAN
from scratch.implicit.importance_density import log_prob, modes
from scratch.implicit.wave_gan import WaveGAN
from scratch.kernels.dense import mlp_size, mlp_views


@pytest.fixture(autouse=True)
def few_starts(monkeypatch):
    monkeypatch.setattr(importance_density, "STARTS", 2000)


def linear(rng, latent, prior):
    """A GAN of 5 coordinates with G(z) = z A, and its density: N(mu_k A, A^T diag std_k^2 A + s^2 I)."""
    model = GAN(5, latent=latent, prior=prior, hidden=(latent,), output_noise=0.3, latent_frequencies=())
    theta, A = model.init(rng, np.float64), rng.normal(size=(latent, 5))
    (W_1, b_1), (W_2, b_2) = mlp_views(theta[:mlp_size(model.generator_widths)], model.generator_widths)
    W_1[...], b_1[...], W_2[...], b_2[...] = 0.01 * np.eye(latent), 30.0, 100 * A, -30.0 * 100 * A.sum(axis=0)
    mu, std = importance_density._prior(model, theta)
    law = GaussianMixture(mu @ A, [A.T @ np.diag(v) @ A + 0.09 * np.eye(5) for v in std ** 2], np.full(prior, 1 / prior))
    return model, theta, law


@pytest.mark.parametrize("latent, prior", [(4, 1), (4, 3), (2, 5)])
def test_a_linear_generator_has_a_mixture_of_gaussians(latent, prior, rng):
    model, theta, law = linear(rng, latent, prior)
    x = law.sample(60, rng)
    found = log_prob(model, theta, x, rng, draws=2000)
    z = (found.log_q - law.log_prob(x)) / found.stderr
    assert found.stderr.max() < 0.05 and np.abs(z).max() < 5
    assert abs(np.mean(z * z) - 1) < 5 * np.sqrt(2 / 60)    # the error is neither too small nor too large
    np.testing.assert_allclose(found.effective, 2000 / (1 + 2000 * found.stderr ** 2), rtol=1e-9)


def test_two_latent_coordinates_agree_with_quadrature(rng, monkeypatch):
    """Bent generators, convolutional and dense: rows of the generator, and rows beside it.

    Light cells are cut too: whole, they are worth up to 0.05 nats to a row in the tails.
    """
    monkeypatch.setattr(smoothed_density, "SMALL", 1e-10)
    for model in (WaveGAN(8, latent=2, prior=3, hidden=(5,), channels=(3,), kernels=(4,), strides=(2,), output_noise=0.2),
                  GAN(3, prior=2, hidden=(8,), output_noise=0.2)):
        theta = model.init(rng, np.float64)
        theta[model.blocks["generator W1"]] /= 3            # bent, and not folded many times
        x = model.sample(theta, 30, rng) + 0.2 * rng.standard_normal((30, model.dim))
        found = log_prob(model, theta, x, rng, draws=1000)
        difference = found.log_q - model.log_prob(theta, x)             # the grid too is off by 0.01 in places
        assert np.median(found.effective) > 100 and np.median(found.stderr) < 0.1
        assert np.abs(difference).max() < 0.5 and np.mean(np.abs(difference) < 3 * found.stderr + 0.01) >= 0.9, difference


def test_a_mode_is_where_the_height_is_flat(rng):
    """Levenberg-Marquardt ends at a minimum, and H is the second derivative there where G is linear."""
    model, theta, _ = linear(rng, 4, 1)
    x = model.sample(theta, 5, rng)
    A = np.array([model.generate(theta, e[None])[0] for e in np.eye(4)])
    z, H, f = modes(lambda z: model.generate(theta, z), np.zeros((1, 4)), np.ones((1, 4)), 0.3, x, rng)
    exact = np.linalg.solve(A @ A.T / 0.09 + np.eye(4), A @ x.T / 0.09).T
    np.testing.assert_allclose(z, np.broadcast_to(exact[:, None], z.shape), atol=1e-5)
    np.testing.assert_allclose(H, np.broadcast_to(A @ A.T / 0.09 + np.eye(4), H.shape), rtol=1e-5, atol=1e-5)
    heights = 0.5 * np.sum((x - exact @ A) ** 2, axis=1) / 0.09 + 0.5 * np.sum(exact ** 2, axis=1)
    np.testing.assert_allclose(f, np.repeat(heights[:, None], z.shape[1], axis=1), rtol=1e-6)


def test_the_stated_error_is_the_scatter_over_repeats(rng):
    model = GAN(3, prior=2, hidden=(8,), output_noise=0.2)
    theta = model.init(rng, np.float64)
    theta[model.blocks["generator W1"]] /= 3
    x = np.repeat(model.sample(theta, 1, rng), 150, axis=0)
    found = log_prob(model, theta, x, rng, draws=300)
    assert np.std(found.log_q) == pytest.approx(np.sqrt(np.mean(found.stderr ** 2)), rel=0.3)


def test_bad_input_is_refused(rng):
    model = GAN(3, hidden=(4,), output_noise=0.0)
    with pytest.raises(ValueError, match="output_noise > 0"):
        log_prob(model, model.init(rng), np.zeros((4, 3)), rng)
    model = GAN(3, hidden=(4,))
    for change, error, says in ((dict(x=np.zeros((4, 2))), ValueError, "shape"), (dict(draws=1), ValueError, "draws"),
                                (dict(rng=0), TypeError, "rng"), (dict(theta=np.zeros(3)), ValueError, "theta")):
        with pytest.raises(error, match=says):
            log_prob(**dict(model=model, theta=model.init(rng), x=np.zeros((4, 3)), rng=rng) | change)
