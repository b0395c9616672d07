from dataclasses import replace

import numpy as np
import pytest

from scratch.data.distributions import grid, moons, ring, spirals
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.explicit import evidence
from scratch.explicit.bernoulli_vae import BernoulliVAE
from scratch.explicit.linear_vae import LinearVAE
from scratch.explicit.vae import VAE
from scratch.grid import midpoints
from scratch.kernels.dense import mlp, mlp_size, mlp_views
from scratch.kernels.stable import logsumexp
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit

GAUSS = VAE(dim=3, latent=2, hidden=(5,), beta=1.7, samples=2, prior=1)
BINARY = BernoulliVAE(dim=4, latent=2, hidden=(5, 4), beta=0.6, prior=1)
MIXTURE = VAE(dim=3, latent=2, hidden=(5,), beta=1.7, samples=2, prior=3)
MIXTURE_BINARY = BernoulliVAE(dim=4, latent=2, hidden=(5, 4), beta=0.6, prior=2)
IMPORTANCE = VAE(dim=3, latent=2, hidden=(4,), samples=3, importance=True, prior=1)
IMPORTANCE_MIXTURE = VAE(dim=3, latent=2, hidden=(4,), samples=3, importance=True, prior=3)
IMPORTANCE_BINARY = BernoulliVAE(dim=3, latent=1, hidden=(), samples=3, importance=True, prior=3)
SCALED = VAE(dim=3, latent=2, hidden=(5,), beta=1.7, samples=2, prior=1, sigma_data=0.6)
SCALED_IMPORTANCE = VAE(dim=3, latent=2, hidden=(4,), samples=3, importance=True, prior=3, sigma_data=4.0)
MODELS = [GAUSS, SCALED, SCALED_IMPORTANCE, BINARY, MIXTURE,
          MIXTURE_BINARY, IMPORTANCE, IMPORTANCE_MIXTURE, IMPORTANCE_BINARY]


def random_theta(model, rng):
    return 0.5 * rng.standard_normal(model.size)            # log s and all biases away from zero


def rows(model, rng, n=5):
    if isinstance(model, BernoulliVAE):
        x = rng.integers(0, 2, (n, model.dim)).astype(float)
        x[0] = 1 - x[1]                                     # no column of zeros: its weights would have no gradient
        return x
    return rng.normal(size=(n, model.dim)) * model.sigma_data / 1.5


def naive_log_weight(model, theta, x, eps):
    """log p(x | z), log p(z) and log q(z | x) at one draw for one row, from the densities' definitions."""
    encoder, decoder, prior = model.split(theta)
    u = 1 if isinstance(model, BernoulliVAE) else model.sigma_data / 1.5
    y = mlp(encoder, x[None] / u, model.encoder_widths)[0][0]
    mean, std = y[:model.latent], np.exp(y[model.latent:])
    z = mean + std * eps
    f = mlp(decoder[:mlp_size(model.decoder_widths)], z[None], model.decoder_widths)[0][0]
    if isinstance(model, BernoulliVAE):
        p = 1 / (1 + np.exp(-f))
        log_x = np.log(np.where(x == 1, p, 1 - p)).sum()
    else:
        s = u * np.exp(decoder[-1])
        log_x = np.log(np.exp(-0.5 * ((x - u * f) / s) ** 2) / (np.sqrt(2 * np.pi) * s)).sum()
    if model.prior == 1:
        log_prior = np.log(np.exp(-0.5 * z ** 2) / np.sqrt(2 * np.pi)).sum()
    else:
        *parts, b = prior.reshape(2 * model.latent + 1, model.prior)
        means, stds = np.array(parts[:model.latent]), np.exp(parts[model.latent:])              # (L, K)
        each = np.exp(-0.5 * ((z[:, None] - means) / stds) ** 2) / np.sqrt(2 * np.pi) / stds
        log_prior = np.log(np.sum(np.exp(b) / np.exp(b).sum() * np.prod(each, axis=0)))
    log_q = np.log(np.exp(-0.5 * eps ** 2) / (np.sqrt(2 * np.pi) * std)).sum()
    return log_x, log_prior, log_q


# ---- 1 definition ----

@pytest.mark.parametrize("model", MODELS)
def test_bounds_are_the_naive_loop(model, rng):
    theta, x = random_theta(model, rng), rows(model, rng)
    noise = rng.standard_normal((4, 5, model.latent))
    _, (reconstruction, kl), _ = model.elbo_loss(theta, x, noise)
    _, log_w, _ = model.importance_loss(theta, x, noise)
    elbo, bound = model.elbo(theta, x, noise), model.importance_bound(theta, x, noise)
    mean, log_std = model.encode(theta, x)
    for n in range(5):
        logs = np.array([naive_log_weight(model, theta, x[n], eps) for eps in noise[:, n]])
        exact_kl = sum(0.5 * (m ** 2 + np.exp(2 * s) - 2 * s - 1) for m, s in zip(mean[n], log_std[n]))
        if model.prior > 1:
            exact_kl = np.mean(logs[:, 2] - logs[:, 1])
        assert abs(reconstruction[n] + logs[:, 0].mean()) < 1e-11
        assert abs(kl[n] - exact_kl) < 1e-11
        assert abs(elbo[n] - logs[:, 0].mean() + exact_kl) < 1e-11
        np.testing.assert_allclose(log_w[:, n], logs[:, 0] + logs[:, 1] - logs[:, 2], rtol=0, atol=1e-11)
        assert abs(bound[n] - np.log(np.mean(np.exp(logs[:, 0] + logs[:, 1] - logs[:, 2])))) < 1e-11


@pytest.mark.parametrize("model", MODELS)
def test_loss_is_minus_the_bound_in_nats_per_row(model, rng):
    theta, x, noise = random_theta(model, rng), rows(model, rng), model.draw_noise(rng, 5)
    _, (reconstruction, kl), _ = model.elbo_loss(theta, x, noise)
    exact = (reconstruction + model.beta * kl).mean()
    if model.importance:
        exact = -model.importance_bound(theta, x, noise).mean()
    assert abs(model.loss(theta, x, noise)[0] - exact) < 1e-13


@pytest.mark.parametrize("model", [GAUSS, SCALED, BINARY])
def test_log_likelihood_of_pairs_is_that_of_the_draws(model, rng):
    theta, x, z = random_theta(model, rng), rows(model, rng), rng.normal(size=(7, model.latent))
    decoder = model.split(theta)[1]
    every_z_with_every_x = np.repeat(z[:, None], len(x), axis=1)                # (7, 5, L)
    np.testing.assert_allclose(model.log_likelihood_pairs(decoder, x, z),
                               model.log_likelihood(decoder, x, every_z_with_every_x)[0].T, rtol=1e-12)


@pytest.mark.parametrize("model", [GAUSS, BINARY, MIXTURE, MIXTURE_BINARY, LinearVAE(4), VAE(2), BernoulliVAE(2)])
def test_blocks_name_every_parameter_once_and_in_order(model, rng):
    stops = [block.stop for block in model.blocks.values()]
    assert [block.start for block in model.blocks.values()] == [0, *stops[:-1]] and stops[-1] == model.size
    theta = model.init(rng)
    encoder, decoder, prior = model.split(theta)
    last = mlp_views(encoder, model.encoder_widths)[-1]
    first = mlp_views(decoder[:mlp_size(model.decoder_widths)], model.decoder_widths)[0]
    np.testing.assert_array_equal(theta[model.blocks[f"encoder W{len(model.hidden) + 1}"]], last[0].ravel())
    np.testing.assert_array_equal(theta[model.blocks["decoder b1"]], first[1])
    assert ("log_s" in model.blocks) != isinstance(model, BernoulliVAE)
    if "log_s" in model.blocks:
        np.testing.assert_array_equal(theta[model.blocks["log_s"]], decoder[-1:])
    parts = [theta[place] for name, place in model.blocks.items() if name.startswith("prior")]
    np.testing.assert_array_equal(np.concatenate([[], *parts]), prior)


# ---- 2 gradient ----

@pytest.mark.parametrize("model", MODELS)
def test_gradient_in_every_parameter(model, rng):
    theta, x, noise = random_theta(model, rng), rows(model, rng), model.draw_noise(rng, 5)
    loss, dtheta = model.loss(theta, x, noise)
    assert gradient_error(lambda theta: model.loss(theta, x, noise)[0], theta, dtheta) < 1e-10
    assert (dtheta != 0).all()                              # noise and data are generic: no block is dead


# ---- 3 closed form against Monte Carlo ----

def test_kl_in_closed_form_is_kl_by_monte_carlo(rng):
    theta, x = random_theta(GAUSS, rng), rows(GAUSS, rng, 3)
    mean, log_std = GAUSS.encode(theta, x)
    eps = rng.standard_normal((20_000, 3, 2))
    z = mean + np.exp(log_std) * eps
    terms = (0.5 * z ** 2 - 0.5 * eps ** 2 - log_std).sum(axis=2)               # log q - log prior
    error = terms.std(axis=0) / np.sqrt(len(eps))
    kl = GAUSS.elbo_loss(theta, x, eps[:1])[1][1]
    assert (np.abs(terms.mean(axis=0) - kl) < 5 * error).all() and (error < 0.05 * kl).all()


def test_kl_of_the_prior_to_itself_is_zero_and_never_negative(rng):
    x, noise = rows(GAUSS, rng), GAUSS.draw_noise(rng, 5)
    theta = np.zeros(GAUSS.size)                            # an encoder of zeros: mean 0, std 1
    assert (GAUSS.elbo_loss(theta, x, noise)[1][1] == 0).all()
    for _ in range(20):
        assert (GAUSS.elbo_loss(random_theta(GAUSS, rng), x, noise)[1][1] > 0).all()


@pytest.mark.parametrize("model", [GAUSS, MIXTURE, BernoulliVAE(4, latent=1, hidden=(5,), prior=2)])
def test_bounds_stand_in_order_elbo_then_k_then_log_p(model, rng):
    theta, x = random_theta(model, rng), rows(model, rng, 4)
    noise = rng.standard_normal((16 * 600, 4, model.latent))
    _, log_w, _ = model.importance_loss(theta, x, noise)
    bounds = [logsumexp(np.swapaxes(log_w.reshape(-1, k, 4), 1, 2))[0] - np.log(k) for k in (1, 4, 16)]
    np.testing.assert_allclose(bounds[2][0], model.importance_bound(theta, x, noise[:16]), rtol=1e-12)
    value = np.array([bound.mean(axis=0) for bound in bounds])
    error = np.array([bound.std(axis=0) / np.sqrt(len(bound)) for bound in bounds])
    elbo, log_p = model.elbo(theta, x, noise), model.log_prob(theta, x)
    assert (np.abs(value[0] - elbo) < 5 * error[0]).all()                       # k = 1 is the ELBO
    assert (value[0] < value[1]).all() and (value[1] < value[2]).all()          # the same draws: without error bars
    assert (value[2] < log_p + 5 * error[2]).all() and (elbo < log_p).all()


@pytest.mark.parametrize("model", [VAE(1, hidden=(4,), prior=1), VAE(2, latent=1, hidden=(4,), prior=3),
                                   VAE(1, hidden=(4,), prior=1, sigma_data=2.5),
                                   VAE(2, latent=1, prior=3, sigma_data=1.2)])
def test_density_by_quadrature_integrates_to_one_and_samples_follow_it(model, rng):
    theta = 0.7 * random_theta(model, rng)
    if model.prior > 1:
        theta[model.blocks["prior mean"]] = [-3, 0, 2]      # far from N(0, I)
    nodes, cell = midpoints([(-12, 12)] * model.dim, 400 if model.dim == 1 else 100)
    p = cell * np.exp(model.log_prob(theta, nodes, nodes=80))
    assert abs(p.sum() - 1) < 1e-8
    x = model.sample(theta, 20_000, rng)
    for power in (1, 2):
        values = (x ** power).sum(axis=1)
        assert abs(values.mean() - p @ (nodes ** power).sum(axis=1)) < 5 * values.std() / np.sqrt(20_000)


def test_binary_probabilities_sum_to_one_and_samples_follow_them(rng):
    theta = 2 * random_theta(BINARY, rng)
    x = np.stack(np.unravel_index(np.arange(16), (2,) * 4), axis=1)
    p = np.exp(BINARY.log_prob(theta, x))
    assert abs(p.sum() - 1) < 1e-9
    count = np.bincount(BINARY.sample(theta, 20_000, rng) @ [8, 4, 2, 1], minlength=16)
    assert (np.abs(count / 20_000 - p) < 5 * np.sqrt(p * (1 - p) / 20_000)).all()


def test_samples_are_the_decoded_prior_and_independent_noise(rng):
    n = 20_000
    for model in (GAUSS, SCALED, BINARY, MIXTURE):
        theta = random_theta(model, rng)
        x = model.sample(theta, n, np.random.default_rng(3))
        z = model.sample_prior(theta, n, np.random.default_rng(3))              # drawn first
        mean = model.decode(theta, z)
        std = np.sqrt(mean * (1 - mean)) if model is BINARY else model.unit * np.exp(model.split(theta)[1][-1])
        noise = (x - mean) / std
        assert (np.abs(noise.mean(axis=0)) < 5 / np.sqrt(n)).all()
        second = noise.T @ noise / n - np.eye(model.dim)
        error = np.std(noise[:, :, None] * noise[:, None, :], axis=0) / np.sqrt(n)
        assert (np.abs(second) < 5 * error).all()
        assert (np.abs(noise.T @ z / n) < 5 * np.std(noise[:, :, None] * z[:, None, :], axis=0) / np.sqrt(n)).all()


@pytest.mark.parametrize("options", [dict(prior=1), dict(prior=3, samples=2)])
@pytest.mark.parametrize("c", [2.0 ** -10, 2.0 ** 20])
def test_data_in_another_unit_are_the_same_model_bit_for_bit(c, options, rng):
    """But for the change of variables: the loss grows by D log c.  (Importance weights round log w, with that term.)"""
    here, there = (VAE(2, hidden=(6,), sigma_data=s, **options) for s in (1.5, 1.5 * c))
    for dtype in (np.float32, np.float64):
        theta, x = random_theta(here, rng).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)
        noise, z = here.draw_noise(rng, 40), rng.normal(size=(5, 2))
        (loss, dtheta), (moved, same) = here.loss(theta, x, noise), there.loss(theta, c * x, noise)
        np.testing.assert_array_equal(dtheta, same)
        assert moved == pytest.approx(loss + 2 * np.log(c), rel=1e-12 if dtype is np.float64 else 1e-5)
        np.testing.assert_array_equal(here.encode(theta, x), there.encode(theta, c * x))
        np.testing.assert_array_equal(c * here.decode(theta, z), there.decode(theta, z))
        samples = [model.sample(theta, 20, np.random.default_rng(3)) for model in (here, there)]
        np.testing.assert_array_equal(c * samples[0], samples[1])
        fits = [fit(model, theta, scale * x.astype(float), np.random.default_rng(2), steps=5)
                for model, scale in ((here, 1), (there, c))]
        np.testing.assert_array_equal(*fits)


def test_every_density_changes_with_the_unit_as_a_density_must(rng):
    """log p of 5 x under 5 times sigma_data is log p of x, minus D log 5; by each road."""
    here, there = VAE(2, hidden=(6,), prior=3, sigma_data=0.7), VAE(2, hidden=(6,), prior=3, sigma_data=3.5)
    theta, x, noise = random_theta(here, rng), rng.normal(size=(2, 2)), rng.standard_normal((4, 2, 2))
    roads = [lambda m, x: m.elbo(theta, x, noise), lambda m, x: m.importance_bound(theta, x, noise),
             lambda m, x: m.log_prob(theta, x, nodes=60),
             lambda m, x: evidence.log_prob_importance(m, theta, x, np.random.default_rng(1), 50)[0]]
    for road in roads:
        np.testing.assert_allclose(road(there, 5 * x), road(here, x) - 2 * np.log(5), rtol=1e-9)
    for measure in (evidence.kl_to_posterior, evidence.best_gaussians):          # in the latent: no change
        np.testing.assert_allclose(measure(there, theta, 5 * x), measure(here, theta, x), rtol=1e-4, atol=1e-6)


def test_float32_stays_float32_and_same_seed_same_bits(rng):
    for model in MODELS:
        theta = model.init(rng)
        x, noise = rows(model, rng), model.draw_noise(rng, 5)
        loss, dtheta = model.loss(theta, x, noise)
        assert loss.dtype == dtheta.dtype == theta.dtype == np.float32
        assert model.elbo(theta, x, noise).dtype == model.importance_bound(theta, x, noise).dtype == np.float32
        first, second = (model.sample(theta, 10, np.random.default_rng(3)) for _ in range(2))
        np.testing.assert_array_equal(first, second)


# ---- 5 learning ----

def test_learns_moons_and_importance_weights_tighten_its_bound(rng):
    law = moons(std=0.3)
    model = VAE(2, hidden=(32,), samples=8, importance=True)
    theta = fit(model, model.init(rng), law, rng, steps=250, recipe=replace(model.recipe, batch_size=128))
    x = law.sample(400, rng)
    kl = kl_monte_carlo(law.log_prob, lambda x: model.log_prob(theta, x, nodes=100), x)
    assert 0 < kl.value < 0.5
    one, many = (model.importance_bound(theta, x, rng.standard_normal((k, 400, 2))).mean() for k in (1, 50))
    assert one < many < model.log_prob(theta, x, nodes=100).mean() + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("law, most", [(ring(), 0.01), (grid(), 0.02), (moons(), 0.01), (spirals(), 0.06)])
def test_the_default_model_and_recipe_come_this_close(law, most, rng):
    model = VAE(2)
    theta = fit(model, model.init(rng), law, rng, steps=8000)
    kl = kl_monte_carlo(law.log_prob, lambda x: model.log_prob(theta, x), law.sample(4000, rng))
    assert -3 * kl.stderr < kl.value < most, kl


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: VAE(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: VAE(2, 1), TypeError, "positional"),
    (lambda m, t, rng: VAE(2, hidden=4), TypeError, "hidden must be"),
    (lambda m, t, rng: VAE(2, beta=0), ValueError, "beta must be a positive"),
    (lambda m, t, rng: VAE(2, sigma_data=0.0), ValueError, "sigma_data must be a positive"),
    (lambda m, t, rng: VAE(2, sigma_data=None), TypeError, "sigma_data must be a positive"),
    (lambda m, t, rng: BernoulliVAE(2, sigma_data=1.5), TypeError, "sigma_data"),
    (lambda m, t, rng: VAE(2, prior=0), ValueError, "prior must be at least 1"),
    (lambda m, t, rng: VAE(2, samples=0), ValueError, "samples must be at least 1"),
    (lambda m, t, rng: VAE(2, beta=2.0, importance=True), ValueError, "beta must be 1"),
    (lambda m, t, rng: m.init(3), TypeError, "Generator"),
    (lambda m, t, rng: m.draw_noise(3, 4), TypeError, "Generator"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), np.zeros((2, 3, 2))), ValueError, r"eps \(2, 2, 2\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), None), TypeError, "noise must be floating point"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), np.zeros((0, 2, 2))), ValueError, "noise must be a non-empty"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 4)), np.zeros((2, 2, 2))), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int), np.zeros((2, 2, 2))), TypeError, "floating point"),
    (lambda m, t, rng: m.elbo(t, np.full((2, 3), np.nan), np.zeros((2, 2, 2))), ValueError, "finite"),
    (lambda m, t, rng: m.log_prob(t[:-1], np.zeros((2, 3))), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.encode(t, np.zeros((0, 3))), ValueError, "at least one row"),
    (lambda m, t, rng: m.decode(t, np.zeros((2, 3))), ValueError, "z must have shape"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: BINARY.elbo(np.zeros(BINARY.size), np.full((2, 4), 0.5), np.zeros((1, 2, 2))), ValueError,
     "integers 0 ... 1"),
    (lambda m, t, rng: (v := VAE(3, latent=3, hidden=())).log_prob(v.init(rng), np.zeros((2, 3))), ValueError,
     "1 or 2 latent"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(GAUSS, GAUSS.init(rng), rng)


def test_numpy_scalars_are_stored_as_python_numbers_and_float32_stays(rng):
    model = VAE(np.int64(3), latent=np.int32(2), hidden=(np.int64(4),), beta=np.float64(1.5), samples=np.int8(2))
    assert model == VAE(3, latent=2, hidden=(4,), beta=1.5, samples=2) and type(model.beta) is float
    assert all(type(value) is int for value in (model.dim, model.latent, *model.hidden, model.samples))
    theta = model.init(rng)
    assert model.loss(theta, rows(model, rng), model.draw_noise(rng, 5))[1].dtype == np.float32
    with pytest.raises(TypeError, match="importance must be True or False"):
        VAE(3, importance=np.zeros(3))


@pytest.mark.parametrize("model, widths, layer, factor", [(VAE(2), "encoder_widths", -1, 0.5)])
def test_init_has_the_scale_that_its_lines_name(model, widths, layer, factor, rng):
    widths = getattr(model, widths)
    W, _ = mlp_views(model.init(rng)[:mlp_size(widths)], widths)[layer]
    assert W.std() == pytest.approx(factor * np.sqrt(2 / len(W)), rel=0.25)


@pytest.mark.parametrize("options, log_s", [(dict(dim=2), -1.5), (dict(dim=2, prior=1), 0), (dict(dim=256, prior=1), -1),
                                            (dict(dim=256), -1.5), (dict(dim=64, prior=1, sigma_data=0.3), 0)])
def test_init_of_log_s(options, log_s, rng):
    model = VAE(**options)
    assert model.init(rng)[model.blocks["log_s"]] == np.float32(log_s)
