import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.closed_form import kl_gaussians
from scratch.implicit.gan import minimax, non_saturating, one_centered, relativistic, wasserstein, zero_centered
from scratch.implicit.linear_gan import LinearGAN
from scratch.implicit.push_forward import PushForward
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import gradient, gradient_error
from scratch.learning.training import fit

MEAN, COVARIANCE = np.array([1.0, -0.5]), np.array([[1.0, 0.5], [0.5, 0.8]])
POINTS = np.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])   # mean 0, covariance I: exact for quadratics
DATA = POINTS @ np.linalg.cholesky(COVARIANCE).T + MEAN
NOISE = POINTS, np.zeros(4, int), np.zeros((4, 2)), np.zeros((4, 1))


def random_theta(model, rng):
    return model.init(rng, np.float64) + 0.3 * rng.normal(size=model.size)


# ---- 1 definition, 2 gradient ----

def test_discriminator_is_the_naive_quadratic_and_its_gradient(rng):
    model, x = LinearGAN(3), rng.normal(size=(5, 3))
    theta = random_theta(model, rng)
    discriminator = model.split(theta)[1]
    r, Q, c = discriminator[:3], discriminator[3:12].reshape(3, 3), discriminator[12]
    naive = [sum(0.5 * Q[i, j] * row[i] * row[j] for i in range(3) for j in range(3)) + r @ row + c for row in x]
    np.testing.assert_allclose(model.logits(theta, x), naive, rtol=1e-12)
    v = gradient(lambda x: model.logits(theta, x).sum(), x)
    np.testing.assert_allclose(model._discriminator(discriminator, x)[1], v, rtol=1e-10)


@pytest.mark.parametrize("objective, penalty", [(minimax, zero_centered), (non_saturating, zero_centered),
                                                (relativistic, zero_centered), (wasserstein, zero_centered),
                                                (wasserstein, one_centered)])
def test_gradient_of_each_player_in_its_own_parameters(objective, penalty, rng):
    model = LinearGAN(3, latent=4, objective=objective, penalty=penalty, gamma=0.7)
    theta, x, noise = random_theta(model, rng), rng.normal(size=(6, 3)), model.draw_noise(rng, 6)
    dtheta = model.loss(theta, x, noise)[1]
    for player, block in enumerate(model.players):
        def loss(part):
            moved = theta.astype(part.dtype)
            moved[block] = part
            return model.loss(moved, x, noise)[0][player]
        assert np.abs(dtheta[block]).max() > 1e-3
        assert gradient_error(loss, theta[block], dtheta[block]) < 1e-10


# ---- 3 a second computation ----

def test_log_prob_is_scipys_and_that_of_the_push_forward_mesh(rng):
    model, x = LinearGAN(2), rng.normal(size=(50, 2))
    theta = random_theta(model, rng)
    law = multivariate_normal(theta[4:6], model.covariance(theta))
    np.testing.assert_allclose(model.log_prob(theta, x), law.logpdf(x), rtol=1e-10)
    mesh = PushForward.of(lambda z: model.generate(theta, z)).log_prob(x)
    np.testing.assert_allclose(model.log_prob(theta, x)[mesh > -np.inf], mesh[mesh > -np.inf], atol=1e-8)
    samples = model.sample(theta, 40_000, rng)
    error = np.cov(samples.T) - model.covariance(theta)
    assert np.abs(error).max() < 0.04 * np.abs(model.covariance(theta)).max()


# ---- 4 closed-form counterpart ----

def with_best_discriminator(model, theta):
    """theta, with the discriminator of equation (3) for data N(MEAN, COVARIANCE)."""
    W, c = mlp_views(model.split(theta)[1], model.discriminator_widths)[0]      # views
    r, Q = W[:model.dim, 0], W[model.dim:, 0].reshape(model.dim, model.dim)
    b, precision, zero = theta[4:6], np.linalg.inv(model.covariance(theta)), np.zeros((1, 2))
    Q[...] = precision - np.linalg.inv(COVARIANCE)
    r[...] = np.linalg.solve(COVARIANCE, MEAN) - precision @ b
    c[...] = multivariate_normal(MEAN, COVARIANCE).logpdf(zero) - model.log_prob(theta, zero)
    return theta


def test_best_discriminator_is_log_p_over_q(rng):
    """The gradient of its loss is an average over rows whose expectation is 0: 7 numbers within 5 errors."""
    model = LinearGAN(2, objective=non_saturating, gamma=0.0)
    theta = with_best_discriminator(model, random_theta(model, rng))
    x = rng.normal(size=(20, 2))
    ratio = multivariate_normal(MEAN, COVARIANCE).logpdf(x) - model.log_prob(theta, x)
    np.testing.assert_allclose(model.logits(theta, x), ratio, rtol=1e-9, atol=1e-9)
    law = GaussianMixture(MEAN[None], COVARIANCE[None], np.ones(1))
    gradients = np.array([model.loss(theta, law.sample(2000, rng), model.draw_noise(rng, 2000))[1]
                          for _ in range(40)])[:, model.players[1]]
    assert (np.abs(gradients.mean(axis=0)) < 5 * gradients.std(axis=0, ddof=1) / np.sqrt(40)).all()


def test_field_vanishes_at_the_optimum_and_nowhere_near_it(rng):
    model = LinearGAN(2, objective=wasserstein)
    theta = model.optimum(MEAN, COVARIANCE)
    losses, dtheta = model.loss(theta, DATA, NOISE)
    assert np.abs(dtheta).max() < 1e-14 and np.abs(losses).max() < 1e-14
    np.testing.assert_allclose(model.covariance(theta), COVARIANCE, atol=1e-14)
    assert np.abs(model.loss(theta + 1e-3, DATA, NOISE)[1]).max() > 1e-4


def test_training_follows_the_games_eigenvalues_to_the_optimum(rng):
    """From afar plain gradient steps end at the data's Gaussian, and the last stretch is (I - h J)^t."""
    model, h = LinearGAN(2, objective=wasserstein), 0.1
    optimum = model.optimum(MEAN, COVARIANCE)
    J = np.stack([gradient(lambda theta: model.loss(theta, DATA, NOISE)[1][i], optimum)
                  for i in range(model.size)])
    radius = np.sort(np.abs(1 - h * np.linalg.eigvals(J)))
    np.testing.assert_allclose(radius[-3:], 1, atol=1e-9)    # z turned, Q antisymmetric, c: nothing changes
    assert 0.97 < radius[-4] < 0.99
    off = 1e-6 * rng.normal(size=model.size)
    theta = optimum + off
    for _ in range(200):
        theta = theta - h * model.loss(theta, DATA, NOISE)[1]
    linear = np.linalg.matrix_power(np.eye(model.size) - h * J, 200) @ off
    np.testing.assert_allclose(theta - optimum, linear, atol=1e-10)
    theta = model.init(rng, np.float64)
    for _ in range(2500):
        theta = theta - h * model.loss(theta, DATA, NOISE)[1]
    np.testing.assert_allclose(model.covariance(theta), COVARIANCE, atol=1e-9)
    np.testing.assert_allclose(theta[4:6], MEAN, atol=1e-9)
    np.testing.assert_allclose(model.logits(theta, DATA) - model.logits(theta, DATA)[0], 0, atol=1e-9)


# ---- 5 learning ----

@pytest.mark.parametrize("objective, steps", [(non_saturating, 1800), (relativistic, 1800), (wasserstein, 800)])
def test_learns_the_gaussian_from_samples_under_every_objective(objective, steps, rng):
    """Twelve seeds end below 2e-4; half of the steps are too few for one seed in three."""
    law = GaussianMixture(MEAN[None], COVARIANCE[None], np.ones(1))
    model = LinearGAN(2, objective=objective)
    theta = fit(model, model.init(rng), law, rng, steps=steps).astype(float)
    assert kl_gaussians(MEAN, COVARIANCE, theta[4:6], model.covariance(theta)).value < 2e-3


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t: LinearGAN(3, latent=2).optimum(np.zeros(3), np.eye(3)), ValueError, "latent >= dim"),
    (lambda m, t: m.optimum(MEAN, ["a"]), TypeError, "covariance must hold real numbers"),
    (lambda m, t: m.log_prob(t, np.zeros((2, 3))), ValueError, r"shape \(n, 2\)"),
    (lambda m, t: m.logits(t[1:], np.zeros((2, 2))), ValueError, "theta must have shape"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(LinearGAN(2), LinearGAN(2).init(rng))


def test_the_optimum_of_a_covariance_in_float32_and_bad_ones_refused(rng):
    rows = rng.normal(size=(200, 3)).astype(np.float32)
    S = np.einsum("ni,nj->ij", rows, rows) / np.float32(200)
    S[0, 1] = np.nextafter(S[0, 1], np.float32(9))
    model = LinearGAN(3)
    np.testing.assert_allclose(model.covariance(model.optimum(rows.mean(axis=0), S)), (S.astype(float) + S.T) / 2, rtol=1e-12)
    for bad, says in (([[1.0, 0.9, 0], [0.0, 1, 0], [0, 0, 1]], "symmetric"), (np.eye(2), "shape"), (-np.eye(3), "definite")):
        with pytest.raises(ValueError, match=f"covariance must .*{says}"):
            model.optimum(np.zeros(3), bad)
    with pytest.raises(ValueError, match=r"mean must have shape \(3,\)"):
        model.optimum(0.0, np.eye(3))
