from dataclasses import replace

import numpy as np
import pytest

from scipy.stats import kstest
from scratch.data.distributions import LAWS, ring
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.mode_coverage import mode_coverage
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.grid import midpoints
from scratch.implicit import smoothed_density
from scratch.implicit.gan import (GAN, Penalty, lower_gamma, minimax, non_saturating, one_centered, relativistic,
                                  wasserstein, zero_centered)
from scratch.kernels.dense import mlp_size, mlp_views
from scratch.learning.gradient_check import complex_step, gradient, gradient_error
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

OBJECTIVES = [minimax, non_saturating, wasserstein, relativistic]
EVERY_GAME = [(objective, penalty, gamma) for objective in OBJECTIVES
              for penalty, gamma in ((zero_centered, 0.0), (zero_centered, 0.3), (one_centered, 0.7))]
TEXTBOOK = dict(prior=1, output_noise=0.0)            # z ~ N(0, I) and x = G(z)


def start(rng, objective, penalty=None, gamma=None, n=5, **options):
    """A model with its three arguments of loss, at a random point."""
    model = GAN(3, hidden=(6, 5), objective=objective, penalty=penalty, gamma=gamma,
                frequencies=(1.0, 2.0), latent_frequencies=(1.0,), **dict(prior=3) | options)
    theta = model.init(rng, np.float64)
    theta = theta + 0.1 * rng.standard_normal(theta.shape)
    return model, theta, rng.standard_normal((n, 3)), model.draw_noise(rng, n)


# ---- definition ----

def naive_losses(model, theta, x, noise):
    """Both losses row by row, in the words of the papers; gradients in x by the complex step."""
    e, k, eps, mix = noise
    mu, log_std, t = (theta[model.blocks[name]] for name in ("prior mean", "prior log_std", "t"))
    mu, std = mu.reshape(3, 2), np.exp(log_std).reshape(3, 2)
    z = np.array([mu[component] + std[component] * draw for component, draw in zip(k, e)])
    samples = model.generate(theta, z) + 0.1 * np.exp(t[0] / 10) * eps
    real, fake = model.logits(theta, x), model.logits(theta, samples)

    def squared_length(point):
        def at(point):
            return model.logits(theta, point[None])[0]
        return sum(complex_step(at, point, axis) ** 2 for axis in np.eye(3))

    generator = discriminator = 0.0
    for i in range(len(x)):
        D_real, D_fake = 1 / (1 + np.exp(-real[i])), 1 / (1 + np.exp(-fake[i]))         # D(x), D(G(z))
        discriminator += {wasserstein: fake[i] - real[i],
                   relativistic: -np.log(1 / (1 + np.exp(-(real[i] - fake[i]))))
                   }.get(model.objective, -np.log(D_real) - np.log(1 - D_fake))
        generator += {minimax: np.log(1 - D_fake), non_saturating: -np.log(D_fake), wasserstein: -fake[i],
                      relativistic: -np.log(1 / (1 + np.exp(-(fake[i] - real[i]))))}[model.objective]
        if model.penalty is zero_centered:
            discriminator += model.gamma / 2 * (squared_length(x[i]) + squared_length(samples[i]))
        else:
            between = mix[i] * x[i] + (1 - mix[i]) * samples[i]
            discriminator += model.gamma * (np.sqrt(squared_length(between)) - 1) ** 2
    return generator / len(x), discriminator / len(x)


@pytest.mark.parametrize("game", EVERY_GAME)
def test_the_losses_are_those_of_the_papers(game, rng):
    model, theta, x, noise = start(rng, *game, n=3)
    np.testing.assert_allclose(model.loss(theta, x, noise)[0], naive_losses(model, theta, x, noise), rtol=1e-12)


def test_the_relativistic_game_is_the_default_and_each_objective_brings_its_penalty():
    assert GAN(2).objective is relativistic
    assert (GAN(2).penalty, GAN(2).gamma) == (zero_centered, 0.2)
    wgan = GAN(2, objective=wasserstein)
    assert (wgan.penalty, wgan.gamma) == (one_centered, 10.0)
    assert GAN(2, objective=non_saturating).gamma == GAN(2, objective=minimax).gamma == 0.0


def test_gamma_falls_geometrically_along_the_run_and_only_if_it_is_zero_centered():
    model = GAN(2, hidden=(4,), gamma=2.0)
    assert lower_gamma(model, 0.0).gamma == 2.0
    np.testing.assert_allclose(lower_gamma(model, 0.5).gamma, 2.0 * np.sqrt(1e-2))
    wgan, plain = GAN(2, objective=wasserstein), GAN(2, objective=non_saturating)
    assert lower_gamma(wgan, 0.5) == wgan
    assert lower_gamma(plain, 0.5) == plain


def test_without_frequencies_both_networks_read_their_bare_input(rng):
    """The GAN of 2014: perceptrons of z and x, and no penalty."""
    model = GAN(2, latent=3, hidden=(4,), objective=non_saturating, frequencies=(), latent_frequencies=(), **TEXTBOOK)
    assert model.generator_widths == (3, 4, 2) and model.discriminator_widths == (2, 4, 1)
    theta, z = model.init(rng, np.float64), rng.normal(size=(5, 3))
    (W, b), (V, c) = mlp_views(model.split(theta)[0], (3, 4, 2))
    a = z @ W + b
    np.testing.assert_allclose(model.generate(theta, z), a / (1 + np.exp(-a)) @ V + c, rtol=1e-12)
    n = 7
    z, noise = np.random.default_rng(1).standard_normal((n, 3)), model.draw_noise(np.random.default_rng(1), n)
    np.testing.assert_array_equal(noise[0], z)              # independent draws of N(0, I)
    np.testing.assert_array_equal(model.sample(theta, n, np.random.default_rng(1)), model.generate(theta, z))


def test_blocks_name_every_parameter_in_order():
    model = GAN(2, hidden=(4,), frequencies=(), latent_frequencies=(1.0,))
    parts = ["W1", "b1", "W2", "b2"]
    assert list(model.blocks) == [*(f"generator {part}" for part in parts), "prior mean", "prior log_std", "t",
                                  *(f"discriminator {part}" for part in parts)]
    ends = [block.stop for block in model.blocks.values()]
    assert [block.start for block in model.blocks.values()] == [0, *ends[:-1]] and ends[-1] == model.size
    assert model.blocks["discriminator W1"].start == model.players[1].start == (6 * 4 + 4 + 4 * 2 + 2) + 4 * 64 + 1
    assert len(GAN(2, hidden=(4,), **TEXTBOOK).blocks) == 8


# ---- gradient ----

@pytest.mark.parametrize("game", EVERY_GAME)
def test_each_block_is_the_gradient_of_its_players_own_loss(game, rng):
    model, theta, x, noise = start(rng, *game)
    _, field = model.loss(theta, x, noise)
    for player, block in enumerate(model.players):
        def own_loss(part):
            moved = theta.astype(part.dtype)
            moved[block] = part
            return model.loss(moved, x, noise)[0][player]
        assert np.abs(field[block]).max() > 1e-6            # a generator without a gradient would pass below
        assert gradient_error(own_loss, theta[block], field[block]) < 1e-10


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objectives_gradients_are_those_of_its_losses(objective, rng):
    real, fake = rng.normal(size=4), rng.normal(size=4)
    game = objective(real, fake)
    assert gradient_error(lambda real: objective(real, fake).discriminator_loss, real, game.dreal) < 1e-12
    assert gradient_error(lambda fake: objective(real, fake).discriminator_loss, fake, game.dfake) < 1e-12
    assert gradient_error(lambda fake: objective(real, fake).generator_loss, fake, game.dgenerator) < 1e-12


@pytest.mark.parametrize("penalty", [zero_centered, one_centered])
def test_a_penalty_goes_with_its_gradient(penalty, rng):
    v = rng.normal(size=(4, 3))
    assert gradient_error(lambda v: np.sum(penalty.function(v)[0]), v, penalty.function(v)[1]) < 1e-12


def test_where_the_discriminator_is_flat_a_penalty_gives_no_nan():
    """|v| has no derivative at v = 0; the square root there is a famous source of NaN."""
    values, dv = one_centered.function(np.zeros((2, 3)))
    np.testing.assert_array_equal(values, 1)
    np.testing.assert_array_equal(dv, 0)
    model = GAN(2, hidden=(4,), objective=wasserstein)
    losses, field = model.loss(np.zeros(model.size), np.ones((3, 2)), model.draw_noise(np.random.default_rng(0), 3))
    assert losses[1] == model.gamma and np.isfinite(field).all()


def test_the_generators_loss_leaves_no_trace_in_the_discriminators_block(rng):
    """minimax and non_saturating share the discriminator's loss and differ in the generator's.

    A gradient of the generator's step that stays in the discriminator, or a batch of samples that
    overwrites what the batch of data left behind, is a common error of hand-written GANs.
    """
    model, theta, x, noise = start(rng, minimax)
    generator, discriminator = model.players
    field, other = model.loss(theta, x, noise)[1], replace(model, objective=non_saturating).loss(theta, x, noise)[1]
    np.testing.assert_array_equal(field[discriminator], other[discriminator])
    assert not np.allclose(field[generator], other[generator])


def test_gamma_of_any_float_type_leaves_the_precision_of_theta(rng):
    model = GAN(2, hidden=(4,), gamma=np.float64(0.1))
    losses, field = model.loss(model.init(rng), np.ones((3, 2)), model.draw_noise(rng, 3))
    assert losses.dtype == field.dtype == np.float32


def test_the_weights_of_the_mixtures_reach_the_discriminator_alone(rng):
    model, theta, x, (*noise, mix) = start(rng, wasserstein)
    generator, discriminator = model.players
    field, other = (model.loss(theta, x, (*noise, weight))[1] for weight in (mix, 1 - mix))
    np.testing.assert_array_equal(field[generator], other[generator])
    assert not np.allclose(field[discriminator], other[discriminator])


def test_weights_are_one_per_row_and_between_0_and_1(rng):
    e, k, eps, mix = GAN(3, hidden=(4,)).draw_noise(rng, 1000)
    assert e.shape == (1000, 2) and k.shape == (1000,) and eps.shape == (1000, 3) and mix.shape == (1000, 1)
    assert 0 <= mix.min() < 0.01 and 0.99 < mix.max() <= 1


# ---- a second computation ----

def test_the_generators_gradient_is_that_of_one_network_after_the_other(rng):
    """d/dtheta of the mean of -C(G(z)), by the complex step through both networks."""
    model, theta, x, noise = start(rng, wasserstein, **TEXTBOOK)
    block = model.players[0]

    def composed(part):
        moved = theta.astype(part.dtype)
        moved[block] = part
        return -np.mean(model.logits(moved, model.generate(moved, noise[0])))

    np.testing.assert_allclose(model.loss(theta, x, noise)[1][block], gradient(composed, theta[block]), rtol=1e-9,
                               atol=1e-13)


def linear(model, theta, A):
    """theta with weights that are 0 on the sines and keep silu far from its bend: G(z) = z A."""
    (W_1, b_1), (W_2, b_2) = mlp_views(theta[:mlp_size(model.generator_widths)], model.generator_widths)
    for part in (W_1, b_1, W_2, b_2):
        part[...] = 0
    W_1[:2], b_1[...] = 0.01 * np.eye(2), 30.0              # silu(a) = a to 1e-12 there
    W_2[...] = 100 * A
    b_2[...] = -30.0 * W_2.sum(axis=0)
    return theta


A = np.array([[1.0, 0.5], [0.0, 2.0]])


@pytest.mark.parametrize("options", [dict(prior=3), dict(prior=1)])
def test_the_density_of_a_linear_generator_is_a_mixture_of_gaussians(options, rng, monkeypatch):
    """N(mu_k A, A^T diag std_k^2 A + s^2 I); the samples have it too.

    Light cells are cut too: whole, they are worth up to 0.02 nats to a row in the tails.
    """
    monkeypatch.setattr(smoothed_density, "SMALL", 1e-12)
    model = GAN(2, hidden=(2,), output_noise=0.3, **options)
    theta = linear(model, model.init(rng, np.float64), A)
    theta[model.blocks["t"]] = 2.0
    s, K = 0.3 * np.exp(0.2), model.prior
    assert model.output_std(theta) == pytest.approx(s, rel=1e-12)
    mu, std = np.zeros((1, 2)), np.ones((1, 2))
    if K > 1:
        theta[model.blocks["prior log_std"]] += 0.3 * rng.standard_normal(2 * K)
        mu = theta[model.blocks["prior mean"]].reshape(K, 2)
        std = np.exp(theta[model.blocks["prior log_std"]]).reshape(K, 2)
    law = GaussianMixture(mu @ A, [A.T @ np.diag(v) @ A + s * s * np.eye(2) for v in std ** 2], np.full(K, 1 / K))
    x = np.concatenate([law.sample(200, rng), [[30.0, -30.0]]])         # the last is far outside
    np.testing.assert_allclose(model.log_prob(theta, x)[:200], law.log_prob(x)[:200], rtol=0, atol=1e-6)
    assert np.isfinite(model.log_prob(theta, x)).all()
    samples = model.sample(theta, 20_000, rng)
    error = samples.mean(axis=0) - law.means.mean(axis=0)
    assert (np.abs(error) < 5 * samples.std(axis=0) / np.sqrt(len(samples))).all()
    assert abs(np.mean(law.log_prob(samples)) + law_entropy(law)) < 5 * np.std(law.log_prob(samples)) / 141 + 1e-3


def law_entropy(law):
    """In nats, by the midpoint rule."""
    nodes, cell = midpoints(law.bounds(), 400)
    log_p = law.log_prob(nodes)
    return -cell * np.sum(np.exp(log_p) * log_p)


# ---- learning ----

def test_a_short_run_finds_all_modes_of_a_ring():
    """From next to nothing; five seeds gave a high quality of 0.70 to 0.75 and a reverse KL below 0.04."""
    law, rng = ring(modes=4, radius=1.5, std=0.2), np.random.default_rng(0)
    model = GAN(2, hidden=(32, 32), frequencies=(1.0, 2.0, 4.0))
    start = model.init(rng)
    theta = fit(model, start, law, rng, steps=400, recipe=replace(model.recipe, batch_size=256))
    before, after = (mode_coverage(model.sample(part, 1000, rng).astype(float), law.means, 0.2)
                     for part in (start, theta))
    assert before.high_quality < 0.15
    assert after.modes == 4 and after.high_quality > 0.6 and after.reverse_kl < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moons", "grid"])
def test_the_default_comes_near_a_law_in_both_directions(name, rng):
    """Three seeds gave 0.04 to 0.08 nats on the moons and 0.07 to 0.10 on the grid, by neighbors."""
    law, model = LAWS[name], GAN(2)
    theta = fit(model, model.init(rng), law, rng, steps=3000)
    x, samples = law.sample(2000, rng), model.sample(theta, 2000, rng).astype(float)

    def log_q(rows):
        return model.log_prob(theta, rows)

    forward, reverse = kl_monte_carlo(law.log_prob, log_q, x), kl_monte_carlo(log_q, law.log_prob, samples)
    assert -0.01 < forward.value < 0.16 and -0.01 < reverse.value < 0.25


def test_float32_stays_float32_through_a_run(rng):
    model = GAN(2, hidden=(4,))
    assert fit(model, model.init(rng), ring(), rng, steps=2).dtype == np.float32


def test_each_player_has_its_own_rate(rng):
    model = GAN(2, hidden=(4,))
    rates = model.rates(generator=0.1, discriminator=0.0)
    generator, discriminator = model.players
    assert (rates[generator] == 0.1).all() and (rates[discriminator] == 0).all()
    recipe = replace(model.recipe, optimizer=Adam(rates))
    theta = model.init(rng)
    after = fit(model, theta, ring(), rng, steps=2, recipe=recipe)
    np.testing.assert_array_equal(after[discriminator], theta[discriminator])
    assert not np.array_equal(after[generator], theta[generator])


# ---- bad input ----

@pytest.mark.parametrize("change, error, says", [
    (dict(dim=0), ValueError, "dim"), (dict(latent=1.5), TypeError, "latent"), (dict(hidden=4), TypeError, "hidden"),
    (dict(objective="wasserstein"), TypeError, "objective must be a function"),
    (dict(penalty="R1"), TypeError, "penalty must be a Penalty"),
    (dict(frequencies=(1.0, -2.0)), ValueError, "frequencies must be a tuple of positive"),
    (dict(latent_frequencies=("1",)), TypeError, "latent_frequencies must hold real numbers"),
    (dict(gamma=-1.0), ValueError, "gamma"), (dict(prior=0), ValueError, "prior"),
    (dict(output_noise=-0.1), ValueError, "output_noise"), (dict(output_noise="none"), TypeError, "output_noise"),
])
def test_bad_sizes_are_refused(change, error, says):
    with pytest.raises(error, match=says):
        GAN(**(dict(dim=2) | change))


def test_a_penalty_at_an_unknown_place_is_refused():
    with pytest.raises(ValueError, match="at must be"):
        Penalty(zero_centered.function, at="mixture")


def test_bad_arguments_are_refused(rng):
    model = GAN(2, latent=3, hidden=(4,))
    theta = model.init(rng)
    with pytest.raises(ValueError, match="noise must be"):
        model.loss(theta, np.zeros((4, 2)), model.draw_noise(rng, 5))
    for without in (model, GAN(2, hidden=(4,), output_noise=0.0)):
        with pytest.raises(ValueError, match="latent <= 2 and output_noise > 0"):
            without.log_prob(without.init(rng), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="theta"):
        model.sample(theta[1:], 3, rng)
    with pytest.raises(TypeError, match="floating"):
        model.logits(theta, np.zeros((4, 2), int))


def test_numpy_constants_do_not_widen_float32_and_models_can_be_compared(rng):
    x = rng.normal(size=(64, 2))
    model = GAN(np.int64(2), hidden=[8], gamma=x.std(), frequencies=np.logspace(0, 1, 3),
                latent_frequencies=np.array([1.0], np.float32))
    assert type(model.gamma) is float and all(type(k) is float for k in model.frequencies + model.latent_frequencies)
    theta = model.init(rng)
    losses, dtheta = model.loss(theta, x, model.draw_noise(rng, 64))
    assert dtheta.dtype == np.float32
    recipe = Recipe(Adam(model.rates(np.float64(1e-3), np.float32(2e-3))), anneal=model.recipe.anneal)
    assert fit(model, theta, x, rng, steps=2, recipe=recipe).dtype == np.float32
    assert model == GAN(2, hidden=(8,), gamma=float(x.std()), frequencies=model.frequencies, latent_frequencies=(1.0,))
    assert len({model, model}) == 1 and recipe == replace(recipe)


def test_mixtures_are_uniform_between_data_and_samples(rng):
    assert kstest(GAN(2).draw_noise(rng, 4000)[3][:, 0], "uniform").pvalue > 1e-6


def test_the_zero_centered_penalty_is_half_the_square_of_the_slope():
    v = np.array([[3.0, 4.0]])
    assert zero_centered.function(v)[0] == 12.5 and one_centered.function(v)[0] == 16
    assert (zero_centered.last, one_centered.last) == (1e-2, 1.0)


def test_the_generator_starts_steep(rng):
    model = GAN(2)
    W, b = mlp_views(model.init(rng)[:mlp_size(model.generator_widths)], model.generator_widths)[0]
    assert W.std() == pytest.approx(3 * np.sqrt(2 / len(W)), rel=0.1) and b.std() == pytest.approx(3, rel=0.2)
