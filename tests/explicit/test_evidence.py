import numpy as np
import pytest
from scipy.integrate import quad

from scratch.explicit import evidence
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.vae import VAE, BernoulliVAE
from scratch.learning.gradient_check import gradient_error

MODELS = [VAE(2, latent=1, hidden=(5,)), VAE(3, hidden=(5,)), BernoulliVAE(4, hidden=(5,))]


@pytest.fixture(params=MODELS, ids=str)
def case(request, rng):
    """A model, parameters and rows; the decoder bends, so that no posterior is Gaussian."""
    model = request.param
    theta = 0.4 * rng.standard_normal(model.size)
    x = rng.integers(0, 2, (4, 4)) if isinstance(model, BernoulliVAE) else rng.normal(size=(4, model.dim))
    return model, theta, x


def test_log_prob_by_quadrature_is_scipys_integral(rng):
    model, theta, x = MODELS[0], 0.6 * rng.standard_normal(MODELS[0].size), rng.normal(size=(3, 2))
    for row, log_p in zip(x, evidence.log_prob_quadrature(model, theta, x)):
        def joint(z):
            f, s = model.decode(theta, np.array([[z]]))[0], np.exp(theta[-1])
            return np.exp(-0.5 * z ** 2 - 0.5 * np.sum((row - f) ** 2) / s ** 2) / (2 * np.pi) ** 1.5 / s ** 2
        assert abs(log_p - np.log(quad(joint, -8, 8, epsabs=1e-13, epsrel=1e-12)[0])) < 1e-8


def test_twice_the_nodes_change_nothing(case):
    model, theta, x = case
    twice = 2 * evidence.NODES[model.latent]
    np.testing.assert_allclose(evidence.log_prob_quadrature(model, theta, x),
                               evidence.log_prob_quadrature(model, theta, x, nodes=twice), atol=1e-9)


def test_the_gap_is_the_kl_to_the_posterior(case):
    """log p (quadrature) - ELBO (closed-form KL and Gauss-Hermite) = KL(q || posterior) (its table), to 1e-6 nats."""
    model, theta, x = case
    elbo, _ = evidence.elbo_quadrature(model, theta, x, *model.encode(theta, x))
    gap = evidence.log_prob_quadrature(model, theta, x) - elbo
    kl = evidence.kl_to_posterior(model, theta, x)
    assert (kl > 1e-3).all()
    np.testing.assert_allclose(gap, kl, rtol=0, atol=1e-6)


def test_elbo_by_quadrature_is_elbo_by_monte_carlo(case, rng):
    model, theta, x = case
    elbo, _ = evidence.elbo_quadrature(model, theta, x, *model.encode(theta, x))
    means = np.stack([model.elbo(theta, x, noise) for noise in rng.standard_normal((50, 80, 4, model.latent))])
    assert (np.abs(means.mean(axis=0) - elbo) < 5 * means.std(axis=0, ddof=1) / np.sqrt(50)).all()


def test_gradient_of_the_elbo_in_q(case, rng):
    model, theta, x = case
    mean, log_std = rng.normal(size=(4, model.latent)), rng.normal(-0.5, 0.3, (4, model.latent))
    weight = rng.normal(size=4)
    dmean, dlog_std = evidence.elbo_quadrature(model, theta, x, mean, log_std)[1](weight)
    assert gradient_error(lambda m: weight @ evidence.elbo_quadrature(model, theta, x, m, log_std)[0],
                          mean, dmean) < 1e-10
    assert gradient_error(lambda s: weight @ evidence.elbo_quadrature(model, theta, x, mean, s)[0],
                          log_std, dlog_std) < 1e-10


def test_the_best_gaussian_is_between_the_encoder_and_log_p(case, rng):
    model, theta, x = case
    encoder = model.encode(theta, x)
    best = evidence.best_gaussians(model, theta, x)
    elbo, best_elbo = (evidence.elbo_quadrature(model, theta, x, *q)[0] for q in (encoder, best))
    assert (elbo < best_elbo).all() and (best_elbo < evidence.log_prob_quadrature(model, theta, x)).all()
    for _ in range(20):                                     # nothing near it is better
        near = best + 1e-2 * rng.standard_normal(np.shape(best))
        assert (evidence.elbo_quadrature(model, theta, x, *near)[0] < best_elbo + 1e-9).all()


def test_importance_sampling_meets_quadrature_within_its_error_bar(case, rng):
    model, theta, x = case
    value, error = evidence.log_prob_importance(model, theta, x, rng, samples=4000)
    z = (value - evidence.log_prob_quadrature(model, theta, x)) / error
    assert (np.abs(z) < 5).all() and (error < 0.1).all()


def test_importance_sampling_in_parts_is_its_definition_on_all_draws(case, rng, monkeypatch):
    model, theta, x = case
    log_w = model.importance_loss(theta, x, np.random.default_rng(3).standard_normal((51, 4, model.latent)))[1]
    w = np.exp(log_w)
    monkeypatch.setattr(evidence, "ROWS", 10)               # two draws of the four rows at once
    value, error = evidence.log_prob_importance(model, theta, x, np.random.default_rng(3), samples=51)
    np.testing.assert_allclose(value, np.log(w.mean(axis=0)), rtol=1e-12)
    np.testing.assert_allclose(error, w.std(axis=0, ddof=1) / w.mean(axis=0) / np.sqrt(51), rtol=1e-12)


def test_its_error_bar_is_the_spread_of_repeated_estimates(rng):
    model = MODELS[0]
    theta, x = 0.6 * rng.standard_normal(model.size), rng.normal(size=(3, 2))
    pairs = np.array([evidence.log_prob_importance(model, theta, x, rng, samples=60) for _ in range(150)])
    ratio = pairs[:, 0].std(axis=0) / np.sqrt((pairs[:, 1] ** 2).mean(axis=0))
    assert ((0.8 < ratio) & (ratio < 1.25)).all()


def test_a_posterior_finer_than_a_cell_is_detected(rng):
    """The linear VAE's exact log p: right at std 0.05, wrong at 0.02, and the second grid differs."""
    for std, wrong in ((0.05, False), (0.02, True)):
        model = LinearVAE(dim=2, latent=2)
        theta = model.init(rng, np.float64)
        decoder = model.split(theta)[1]
        decoder[:4] = np.eye(2).ravel()
        decoder[-1] = np.log(std)
        x = rng.standard_normal((5, 2))
        error = np.abs(evidence.log_prob_quadrature(model, theta, x) - model.log_prob(theta, x))
        estimated = evidence.quadrature_error(model, theta, x)
        assert (error.max() > 1e-3) == wrong and (estimated.max() > 1e-3) == wrong
