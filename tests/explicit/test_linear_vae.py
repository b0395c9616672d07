import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from scratch.data.real import mri_patches
from scratch.explicit import evidence
from scratch.explicit.linear_vae import LinearVAE
from scratch.kernels.dense import mlp_views
from scratch.learning.training import fit


def data(rng, n=300):
    """Rows around a center whose principal axes are turned at random; their standard deviations are 3 to 0.4."""
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    return rng.normal(size=(n, 4)) * (3.0, 1.5, 0.7, 0.4) @ rotation + (1, -2, 0.5, 3)


def sigma_points(latent, n):
    """2 K draws with mean 0 and covariance I: they integrate a quadratic exactly, so the ELBO has no noise left."""
    points = np.sqrt(latent) * np.concatenate([np.eye(latent), -np.eye(latent)])
    return np.repeat(points[:, None], n, axis=1)                                # (2 K, n, K)


# ---- 1 definition, 3 closed form against quadrature and importance sampling ----

@pytest.mark.parametrize("latent", [1, 2])
def test_log_prob_in_closed_form_is_log_prob_by_quadrature(latent, rng):
    model, x = LinearVAE(4, latent=latent), data(rng, 20)
    theta = model.init(rng, np.float64) + 0.3 * rng.normal(size=model.size)
    np.testing.assert_allclose(model.log_prob(theta, x), evidence.log_prob_quadrature(model, theta, x), rtol=1e-9)
    law = multivariate_normal(theta[-5:-1], model.law(theta).covariances[0])
    np.testing.assert_allclose(model.log_prob(theta, x), law.logpdf(x), rtol=1e-10)


def test_importance_sampling_finds_the_closed_form_within_its_error_bar(rng):
    model, (rotation, _) = LinearVAE(4, latent=3), np.linalg.qr(rng.normal(size=(4, 4)))
    x = rng.normal(size=(30, 4)) * (2, 1.2, 0.8, 0.5) @ rotation
    theta = model.optimum(x) + 0.02 * rng.normal(size=model.size)
    (_, c), = mlp_views(model.split(theta)[0], model.encoder_widths)               # a view
    c[3:] += 0.3                                            # q wider than the posterior: bounded weights
    value, error = evidence.log_prob_importance(model, theta, x, rng, samples=4000)
    z = (value - model.log_prob(theta, x)) / error
    assert (np.abs(z) < 5).all() and z.std() > 0.3


# ---- 4 closed-form counterpart: probabilistic PCA ----

def test_optimum_is_probabilistic_pca_and_its_gap_is_zero(rng):
    x, model = data(rng), LinearVAE(4, latent=2)
    theta = model.optimum(x)
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    s2 = values[2:].mean()                                                      # Tipping and Bishop 1999, eq. 8
    exact = -0.5 * (4 * np.log(2 * np.pi) + np.log(values[:2]).sum() + 2 * np.log(s2) + 4)
    assert abs(np.exp(2 * theta[-1]) - s2) < 1e-12
    assert abs(model.log_prob(theta, x).mean() - exact) < 1e-11
    np.testing.assert_allclose(model.elbo(theta, x, sigma_points(2, len(x))).mean(), exact, rtol=1e-12)
    np.testing.assert_allclose(evidence.kl_to_posterior(model, theta, x[:5]), 0, atol=1e-9)
    np.testing.assert_allclose(model.unit_kl(x), 0.5 * np.log(values[:2] / s2), rtol=1e-11)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.5])
def test_gradient_is_zero_at_the_optimum_for_any_beta(beta, rng):
    x, model = data(rng), LinearVAE(4, latent=3, beta=beta)
    theta = model.optimum(x)
    loss, dtheta = model.loss(theta, x, sigma_points(3, len(x)))
    assert np.abs(dtheta).max() < 1e-10
    _, (_, kl), _ = model.elbo_loss(theta, x, sigma_points(3, len(x)))
    assert abs(kl.mean() - model.unit_kl(x).sum()) < 1e-11


@pytest.mark.parametrize("rows", [4, 6])
def test_fewer_rows_than_coordinates_have_an_optimum_too(rows, rng):
    """No direction out of the optimum lowers the loss, and its density is that of probabilistic PCA."""
    x, model = rng.normal(size=(rows, 8)) * np.arange(1, 9), LinearVAE(8, latent=2)
    theta, noise = model.optimum(x), sigma_points(2, rows)
    loss, dtheta = model.loss(theta, x, noise)
    assert np.abs(dtheta).max() < 1e-10
    for _ in range(20):
        assert model.loss(theta + 1e-3 * rng.normal(size=model.size), x, noise)[0] > loss
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    assert abs(np.exp(2 * theta[-1]) - values[2:].sum() / 6) < 1e-10            # zeros count: 8 - 2 are left out
    np.testing.assert_allclose(np.linalg.eigvalsh(model.law(theta).covariances[0])[::-1],
                               [*values[:2], *[values[2:].mean()] * 6], rtol=1e-10)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.5])
def test_minimizing_the_loss_of_the_vae_arrives_at_the_optimum(beta, rng):
    """The same loss that trains every VAE; L-BFGS and noise that integrates exactly take the sampling away."""
    x, model = data(rng, 60), LinearVAE(4, latent=2, beta=beta)
    noise = sigma_points(2, len(x))
    best = minimize(model.loss, model.init(rng, np.float64), args=(x, noise), jac=True, method="L-BFGS-B",
                    options=dict(maxiter=6000, maxfun=8000, ftol=1e-15, gtol=1e-8))
    assert -1e-9 < best.fun - model.loss(model.optimum(x), x, noise)[0] < 1e-6


def test_units_collapse_at_their_thresholds(rng):
    """A unit collapses when t = beta s^2 reaches its eigenvalue: one after the other, the weakest first."""
    x = data(rng)
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    models = [LinearVAE(4, latent=3, beta=beta) for beta in np.geomspace(0.3, 50, 60)]
    kls = np.array([model.unit_kl(x) for model in models])
    assert (kls[0] > 0).all() and (kls[-1] == 0).all()
    for model, kl in zip(models, kls):
        theta = model.optimum(x)
        t = model.beta * np.exp(2 * theta[-1])
        np.testing.assert_array_equal(kl > 0, values[:3] > t * (1 + 1e-12))
        mean, log_std = model.encode(theta, x)
        np.testing.assert_array_equal(kl > 0, mean.var(axis=0) > 1e-20)
        np.testing.assert_array_equal(kl > 0, log_std[0] != 0)


# ---- 5 learning ----

def test_training_reaches_the_pca_likelihood_of_real_patches_within_a_hundredth_of_a_nat(rng):
    x, _ = mri_patches(3, rng)
    model = LinearVAE(9, latent=4)
    theta = fit(model, model.init(rng), x, rng, steps=2500).astype(float)
    best = model.log_prob(model.optimum(x), x).mean()
    reached = model.log_prob(theta, x).mean()
    gap = reached - model.elbo(theta, x, sigma_points(4, len(x))).mean()
    assert 0 <= best - reached < 1e-2
    assert 0 <= gap < 1e-2


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, x, rng: m.optimum(x[:, :3]), ValueError, r"shape \(n, 4\)"),
    (lambda m, x, rng: m.optimum(x[:3]), ValueError, "more than latent directions"),
    (lambda m, x, rng: LinearVAE(4, latent=4).optimum(x), ValueError, "latent < dim"),
    (lambda m, x, rng: m.log_prob(m.init(rng), x[:, :3]), ValueError, r"shape \(n, 4\)"),
    (lambda m, x, rng: m.log_prob(m.init(rng)[1:], x), ValueError, "theta must have shape"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(LinearVAE(4, latent=2), data(rng), rng)
