import numpy as np
import pytest
from scipy.integrate import quad

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.explicit import evidence
from scratch.explicit.bernoulli_vae import BernoulliVAE
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.mixture_prior import prior_views
from scratch.explicit.vae import VAE
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import gradient_error

MODELS = [VAE(2, latent=1, hidden=(5,), prior=1), VAE(3, hidden=(5,), prior=1), VAE(3, hidden=(5,), prior=3),
          BernoulliVAE(4, hidden=(5,), prior=2)]


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


@pytest.mark.parametrize("latent, far", [(1, 1.0), (1, 15.0), (2, 1.0), (2, 5.0)])
def test_log_prob_of_a_linear_decoder_is_a_mixture_of_gaussians(latent, far, rng):
    """x = W^T z + b + s eps maps each Gaussian of the prior to one: the closed-form counterpart, in a box that follows."""
    model = VAE(2, latent=latent, hidden=(), prior=3)
    theta = 0.4 * rng.standard_normal(model.size)
    theta[model.blocks["prior mean"]] *= far / 0.4
    _, decoder, prior = model.split(theta)
    mean, log_std, logits = prior_views(prior, latent)
    W, b, variance = decoder[:2 * latent].reshape(latent, 2), decoder[-3:-1], np.exp(2 * decoder[-1])
    law = GaussianMixture(mean.T @ W + b, [W.T @ np.diag(np.exp(2 * s)) @ W + variance * np.eye(2) for s in log_std.T],
                          np.exp(logits) / np.exp(logits).sum())
    x = law.sample(40, rng)
    np.testing.assert_allclose(evidence.log_prob_quadrature(model, theta, x), law.log_prob(x), rtol=0, atol=1e-7)


def test_twice_the_nodes_change_nothing(case):
    model, theta, x = case
    twice = 2 * evidence.NODES[model.latent]
    np.testing.assert_allclose(evidence.log_prob_quadrature(model, theta, x),
                               evidence.log_prob_quadrature(model, theta, x, nodes=twice), atol=1e-9)


def test_the_gap_is_the_kl_to_the_posterior(case, monkeypatch):
    """log p (quadrature) - ELBO (Gauss-Hermite) = KL(q || posterior) (its table), to the error of the ELBO.

    That is below its difference from half the nodes: in 60 runs each doubling left at most half of the error.
    As a rule it is 1e-13 nats, and 1e-8 between the Gaussians of a mixture, where log p(z) bends sharply.
    """
    model, theta, x = case
    theta = 0.7 * theta                                     # a decoder that the nodes follow
    if model.prior > 1:
        theta[model.blocks["prior log_std"]] *= 0.5         # bends that they follow
    half, _ = evidence.elbo_quadrature(model, theta, x, *model.encode(theta, x))
    monkeypatch.setattr(evidence, "HERMITE", 2 * evidence.HERMITE)
    elbo, _ = evidence.elbo_quadrature(model, theta, x, *model.encode(theta, x))
    gap = evidence.log_prob_quadrature(model, theta, x) - elbo
    kl, error = evidence.kl_to_posterior(model, theta, x), np.abs(elbo - half) + 1e-8       # 1e-8: of both grids
    assert kl.max() > 1e-2 and error.max() < (1e-6 if model.prior == 1 else 0.02)
    assert (np.abs(gap - kl) < error).all()


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


def with_a_wide_encoder(model, theta):
    """theta with q(z | x) = N(small, 2^2): wider than prior and posterior, so that the weights are bounded."""
    theta = theta.copy()
    W, b = mlp_views(model.split(theta)[0], model.encoder_widths)[-1]          # views
    W *= 0.1
    b[:model.latent], b[model.latent:] = 0.1, np.log(2.0)
    return theta


def test_importance_sampling_meets_quadrature_within_its_error_bar(case, rng):
    model, theta, x = case
    theta = with_a_wide_encoder(model, theta)
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
    theta, x = with_a_wide_encoder(model, 0.6 * rng.standard_normal(model.size)), rng.normal(size=(3, 2))
    pairs = np.array([evidence.log_prob_importance(model, theta, x, rng, samples=60) for _ in range(400)])
    ratio = pairs[:, 0].std(axis=0) / np.sqrt((pairs[:, 1] ** 2).mean(axis=0))
    assert (np.abs(ratio - 1) < 0.15 + 5 / np.sqrt(800)).all()      # to first order, and the error of a scatter


def narrow(std, latent, rng):
    """A linear VAE whose log p is exact, its theta, and rows; p(z | x) is about as narrow as std.

    400 rows: two wrong grids may agree by chance, which a check of their difference alone let pass in one row of 100.
    """
    model = LinearVAE(dim=2 if latent == 2 else 3, latent=latent)
    theta = model.init(rng, np.float64)
    decoder = model.split(theta)[1]
    decoder[:latent * model.dim] = np.eye(latent, model.dim).ravel()
    decoder[-1] = np.log(std)
    return model, theta, model.sample(theta, 5 if latent == 2 or std < 1e-3 else 400, rng)


@pytest.mark.parametrize("latent, std", [(1, 0.02), (1, 3e-3), (1, 1e-4), (2, 0.05)])
def test_a_narrow_posterior_gets_a_finer_grid(latent, std, rng):
    model, theta, x = narrow(std, latent, rng)
    log_p = evidence.log_prob_quadrature(model, theta, x)
    np.testing.assert_allclose(log_p, model.law(theta).log_prob(x), rtol=0, atol=1e-7)


def test_the_two_examples_at_a_std_of_two_and_one_hundredths(rng):
    """VAE.log_prob itself; the plain grid of 240 nodes is wrong, and quadrature_error says by how much."""
    cell = 13 / 240                                         # a posterior at a node, between two, and in both ways
    places = cell * np.array([[0.5, 0.5], [20, 31], [5.25, 7.25], [10.5, -4]])
    for std in (0.02, 0.01):
        model, theta, _ = narrow(std, 2, rng)
        x = places * (1 + std ** 2) + model.split(theta)[1][-model.dim - 1:-1]
        vae, exact = VAE(2, latent=2, hidden=(), prior=1), model.law(theta).log_prob(x)
        np.testing.assert_allclose(vae.log_prob(theta, x), exact, rtol=0, atol=1e-7)
        error = np.abs(vae.log_prob(theta, x, nodes=240) - exact)
        estimated = evidence.quadrature_error(vae, theta, x, nodes=240)
        assert error.max() > 0.1 and estimated.max() > 0.1
        if std == 0.02:                                     # where the finer grid resolves the posterior
            np.testing.assert_allclose(estimated, error, atol=2e-3)


def test_only_the_rows_that_need_it_get_a_finer_grid(rng, monkeypatch):
    """A decoder that is steep in places: each row is as if it were alone."""
    model, z, steepest, flattest = VAE(2, latent=1, hidden=(8,), prior=1), np.linspace(-2.5, 2.5, 501), 0.0, 1.0
    while steepest < 4 * flattest:                          # every other decoder bends so much
        theta = rng.standard_normal(model.size)
        f = model.decode(theta, z[:, None])
        slope = np.hypot(*np.gradient(f, z, axis=0).T)
        steepest, flattest = slope.max(), slope.min()
    theta[-1] = np.log(0.25 * 0.0074 * steepest)            # 0.0074: the least std of a posterior on 2,000 nodes
    x, asked = np.repeat(f[[slope.argmin(), slope.argmax()]], 6, axis=0), []
    plain = evidence._midpoint_sum
    monkeypatch.setattr(evidence, "_midpoint_sum", lambda *a: asked.append(len(a[2])) or plain(*a))
    log_p = evidence.log_prob_quadrature(model, theta, x)
    assert asked[:2] == [12, 12] and 0 < asked[-1] < 12 and len(asked) >= 3
    np.testing.assert_allclose(log_p, evidence.log_prob_quadrature(model, theta, x, nodes=60_000), rtol=0, atol=1e-8)


def test_a_posterior_outside_of_the_box_is_found(rng):
    """At z = 6.6 the prior has exp(-22) of its peak; the row's mass is there all the same."""
    model, theta, _ = narrow(0.05, 1, rng)
    x = np.array([[6.6, 0.0, 0.0], [0.5, 0.0, 0.0]])
    x = x + model.split(theta)[1][-model.dim - 1:-1]
    np.testing.assert_allclose(evidence.log_prob_quadrature(model, theta, x), model.log_prob(theta, x), rtol=0, atol=1e-7)


def test_what_no_grid_resolves_is_refused(rng, monkeypatch):
    monkeypatch.setattr(evidence, "MOST", 2 ** 16)          # as the full limit, in less time
    model, theta, x = narrow(1e-4, 1, rng)
    with pytest.raises(ValueError, match="of 5 rows is narrower than a cell of a grid of 64000 .*log_prob_importance"):
        evidence.log_prob_quadrature(model, theta, x)


@pytest.mark.parametrize("std", [1.0, 0.05])
def test_rows_far_from_all_data_get_a_lower_bound_and_no_refusal(std, rng):
    """A picture's window holds such rows; their density is 0 there as it should be."""
    model, theta, _ = narrow(std, 2, rng)
    x = np.array([[0.0, 40.0], [-30.0, 30.0]])
    log_p = evidence.log_prob_quadrature(model, theta, x)
    assert np.isfinite(log_p).all() and (log_p < model.log_prob(theta, x) + 1e-6).all() and (log_p < -100).all()


def test_a_posterior_finer_than_a_cell_is_detected(rng):
    """On 240 nodes the exact log p is found at std 0.05 and not at 0.02, and the second grid says so."""
    for std, wrong in ((0.05, False), (0.02, True)):
        model, theta, x = narrow(std, 2, rng)
        error = np.abs(evidence.log_prob_quadrature(model, theta, x, nodes=240) - model.log_prob(theta, x))
        estimated = evidence.quadrature_error(model, theta, x, nodes=240)
        assert (error.max() > 1e-3) == wrong and (estimated.max() > 1e-3) == wrong


def test_its_bad_input_is_named(rng):
    model = MODELS[0]
    theta, x = model.init(rng), rng.normal(size=(3, 2))
    for call, says in [(lambda: evidence.log_prob_importance(model, theta, None, rng), "x must be floating point"),
                       (lambda: evidence.log_prob_importance(model, theta, x, rng, samples=1), "samples must be at least"),
                       (lambda: evidence.log_prob_quadrature(model, theta, x, nodes=2.5), "nodes must be an integer")]:
        with pytest.raises((TypeError, ValueError), match=says):
            call()
