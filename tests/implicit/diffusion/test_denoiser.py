from itertools import pairwise

import numpy as np
import pytest

from scratch.data.distributions import LAWS, grid, spirals
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.divergence.quadrature import kl_quadrature
from scratch.implicit.diffusion.completion import repaint
from scratch.implicit.diffusion.denoiser import SIGMA_MAX, SIGMA_MIN, Diffusion
from scratch.implicit.diffusion.samplers import karras_sigmas
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit

MODEL = Diffusion(dim=3, hidden=(5, 4), sigma_data=0.8)
LAW = GaussianMixture([[-1.0, 0.2], [1.0, -0.5]], [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]]], [0.3, 0.7])


def point(model, rng, n=5):
    """theta away from zeros and symmetric starts, x, and sigma for each row."""
    theta = model.init(rng, np.float64)
    return theta + 0.1 * rng.standard_normal(theta.shape), rng.normal(size=(n, model.dim)), np.exp(rng.normal(-1, 1, n))


# ---- 1 definition ----

def test_loss_is_the_weighted_square_of_the_denoiser_row_by_row(rng):
    theta, x, _ = point(MODEL, rng)
    eps, sigma = noise = MODEL.draw_noise(rng, len(x))
    total = 0.0
    for row, e, level in zip(x, eps, sigma):
        c_out = 0.8 * level / np.sqrt(0.8 ** 2 + level ** 2)
        denoised = MODEL.denoise(theta, (row + level * e)[None], float(level))[0]
        total += np.sum((denoised - row) ** 2) / c_out ** 2
    assert MODEL.loss(theta, x, noise)[0] == pytest.approx(total / x.size, rel=1e-12)


def test_denoiser_is_karras_formula_with_the_network_inside(rng):
    theta, x, sigma = point(MODEL, rng)
    for n in range(len(x)):
        s, t = 0.8, sigma[n]
        F = MODEL.network(theta, x[n:n + 1] / np.sqrt(t ** 2 + s ** 2), np.log(t / s) / 4)[0]
        expected = s ** 2 / (t ** 2 + s ** 2) * x[n] + t * s / np.sqrt(t ** 2 + s ** 2) * F[0]
        np.testing.assert_allclose(MODEL.denoise(theta, x, sigma)[n], expected, rtol=1e-12)


def test_input_and_target_of_the_network_have_unit_variance_for_data_of_that_scale(rng):
    """What the three constants are for (Karras et al. 2022, appendix B.6), at every level."""
    n, s = 200_000, 0.8
    x, eps = s * rng.standard_normal(n), rng.standard_normal(n)
    for sigma in (0.01, 0.3, 1.0, 30.0):
        c_skip, c_out, c_in, _ = MODEL._scales(sigma)
        noisy = x + sigma * eps
        assert np.var(c_in * noisy) == pytest.approx(1, abs=0.02)
        assert np.var((x - c_skip * noisy) / c_out) == pytest.approx(1, abs=0.02)
        assert abs(np.mean((x - c_skip * noisy) * noisy)) < 0.02 * s * sigma          # linearly, nothing is left to say


def test_an_untrained_denoiser_is_nearly_the_linear_one_and_its_loss_nearly_one(rng):
    model = Diffusion(2, hidden=(32, 32))
    x = 1.5 * rng.standard_normal((4000, 2))
    assert model.loss(model.init(rng), x, model.draw_noise(rng, len(x)))[0] == pytest.approx(1, abs=0.1)


def test_noise_levels_are_log_normal_and_stratified(rng):
    _, sigma = MODEL.draw_noise(rng, 1000)
    z = np.sort((np.log(sigma / 0.8) + 1.4) / 1.2)
    assert abs(z.mean()) < 0.005 and abs(z.std() - 1) < 0.01      # plain draws: 0.03 and 0.02
    assert np.histogram(z, [-np.inf, -0.6744898, 0, 0.6744898, np.inf])[0].tolist() == [250] * 4


# ---- 2 gradient ----

def test_gradient_of_the_loss_in_every_parameter(rng):
    theta, x, _ = point(MODEL, rng)
    noise = MODEL.draw_noise(rng, len(x))
    dtheta = MODEL.loss(theta, x, noise)[1]
    assert gradient_error(lambda theta: MODEL.loss(theta, x, noise)[0], theta, dtheta) < 1e-10


def test_jvp_of_the_denoiser_is_its_derivative_along_x_dot(rng):
    theta, x, sigma = point(MODEL, rng)
    x_dot = rng.standard_normal(x.shape)
    xhat, xhat_dot = MODEL.denoise_jvp(theta, x, x_dot, sigma)
    np.testing.assert_array_equal(xhat, MODEL.denoise(theta, x, sigma))
    exact = MODEL.denoise(theta, x + 1e-30j * x_dot, sigma).imag / 1e-30
    np.testing.assert_allclose(xhat_dot, exact, rtol=1e-11)


# ---- 3 two ways to the same number, and closed forms ----

def test_scaling_the_data_and_sigma_data_scales_the_denoiser(rng):
    theta, x, sigma = point(MODEL, rng)
    twice = Diffusion(3, hidden=(5, 4), sigma_data=1.6)
    np.testing.assert_allclose(twice.denoise(theta, 2 * x, 2 * sigma), 2 * MODEL.denoise(theta, x, sigma), rtol=1e-12)
    noise = MODEL.draw_noise(np.random.default_rng(1), 5), twice.draw_noise(np.random.default_rng(1), 5)
    assert twice.loss(theta, 2 * x, noise[1])[0] == pytest.approx(MODEL.loss(theta, x, noise[0])[0], rel=1e-12)


@pytest.mark.parametrize("s", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_without_a_network_it_is_the_normal_distribution_of_sigma_data_in_any_unit(s, rng):
    model = Diffusion(2, hidden=(4,), sigma_data=s)
    for dtype in (np.float32, np.float64):
        theta, n = np.zeros(model.size, dtype), 5000
        x = model.sample(theta, n, rng)
        assert x.dtype == dtype and abs(x.std() / s - 1) < 5 / np.sqrt(4 * n) + 0.01      # 0.01: Heun's 32 steps
    z = rng.standard_normal((50, 2))
    exact = -0.5 * np.sum(z * z, axis=1) - np.log(2 * np.pi) - 2 * np.log(s)
    np.testing.assert_allclose(model.log_prob(theta, s * z), exact, atol=1e-4)


@pytest.mark.parametrize("c", [2.0 ** -10, 2.0 ** 20])
def test_data_in_another_unit_are_the_same_model_bit_for_bit(c, rng):
    here, there = (Diffusion(2, hidden=(6,), sigma_data=s) for s in (1.5, 1.5 * c))
    for dtype in (np.float32, np.float64):
        theta, x = point(here, rng)[0].astype(dtype), LAW.sample(40, rng).astype(dtype)
        noise = [model.draw_noise(np.random.default_rng(1), 40) for model in (here, there)]
        np.testing.assert_array_equal(c * noise[0][1], noise[1][1])
        for a, b in zip(here.loss(theta, x, noise[0]), there.loss(theta, c * x, noise[1])):
            np.testing.assert_array_equal(a, b)
        fits = [fit(model, theta, scale * x.astype(float), np.random.default_rng(2), steps=5)
                for model, scale in ((here, 1), (there, c))]
        np.testing.assert_array_equal(*fits)
        samples = [model.sample(theta, 20, np.random.default_rng(3), steps=8) for model in (here, there)]
        np.testing.assert_array_equal(c * samples[0], samples[1])
        samples = [model.complete(theta, {1: 0.75 * scale}, 20, np.random.default_rng(3), steps=8, turns=2)
                   for model, scale in ((here, 1), (there, c))]
        np.testing.assert_array_equal(c * samples[0], samples[1])
        for a, b in zip(here.denoise_jvp(theta, x, x, 0.3), there.denoise_jvp(theta, c * x, c * x, 0.3 * c)):
            np.testing.assert_array_equal(c * a, b)
        np.testing.assert_allclose(here.log_prob(theta, x, steps=8) - 2 * np.log(c),
                                   there.log_prob(theta, c * x, steps=8), rtol=1e-13 if dtype == float else 1e-6)


def test_the_ends_at_the_usual_scale_are_those_of_karras():
    assert (SIGMA_MIN * Diffusion(2).unit, SIGMA_MAX * Diffusion(2).unit) == (0.002, 80.0)


def test_loss_is_its_floor_plus_the_excess(rng):
    """E |D - x0|^2 = E |D* - x0|^2 + E |D - D*|^2, because D* is a conditional mean."""
    model = Diffusion(2, hidden=(8,))
    theta = model.init(rng, np.float64)
    x = LAW.sample(4000, rng)
    losses = [model.loss(theta, LAW.sample(4000, rng), model.draw_noise(rng, 4000))[0] for _ in range(20)]
    predicted = model.floor(LAW.denoise, x, rng) + model.excess(theta, LAW.denoise, x, rng)
    error = np.hypot(np.std(losses) / np.sqrt(20), 0.002)
    assert abs(np.mean(losses) - predicted) < 5 * error
    assert model.excess(theta, LAW.denoise, x, rng) > 0.02         # and neither part is negligible


def test_excess_of_the_exact_denoiser_is_zero(rng):
    model = Diffusion(2, hidden=(8,))
    theta = model.init(rng, np.float64)
    assert model.excess(theta, lambda x, sigma: model.denoise(theta, x, sigma), LAW.sample(50, rng), rng) == 0


def test_samples_follow_the_density(rng):
    """Of a random network: E log p over its own samples = minus its entropy by quadrature; and so its means."""
    model = Diffusion(2, hidden=(16,), sigma_data=1.2)
    theta = model.init(rng, np.float64) * 1.5
    nodes = np.stack(np.meshgrid(np.linspace(-6, 6, 49), np.linspace(-6, 6, 49)), axis=-1).reshape(-1, 2)
    log_p = model.log_prob(theta, nodes, steps=10)
    p = np.exp(log_p) * 0.25 ** 2
    assert abs(p.sum() - 1) < 1e-3
    x = model.sample(theta, 2500, rng, steps=20)
    values = model.log_prob(theta, x, steps=10)
    assert abs(values.mean() - p @ log_p) < 5 * values.std() / np.sqrt(2500)
    for axis in (0, 1):
        assert abs(x[:, axis].mean() - p @ nodes[:, axis]) < 5 * x[:, axis].std() / np.sqrt(2500)


def test_completion_of_a_linear_denoiser_has_the_variance_of_its_recursion(rng):
    """With F = 0 the rest is independent of what is known, and every step and turn of RePaint is linear in it."""
    n, unit = 2000, 0.8 / 1.5
    variance = unit ** 2 * (80.0 ** 2 + 1.5 ** 2)
    for sigma, lower in pairwise(unit * karras_sigmas(32, 0.002, 80.0)):
        a, gain = (lower / sigma) ** 2, 0.8 ** 2 / (0.8 ** 2 + sigma ** 2)
        for turn in range(3):
            variance += (sigma ** 2 - lower ** 2) * (turn > 0)
            variance = (a + (1 - a) * gain) ** 2 * variance + lower ** 2 * (1 - a)
    x = MODEL.complete(np.zeros(MODEL.size), {2: 0.4, 0: -1.0}, n, rng, steps=32, turns=3)
    assert x.shape == (n, 3) and (x[:, 2] == 0.4).all() and (x[:, 0] == -1.0).all()
    assert abs(x[:, 1].mean()) < 5 * np.sqrt(variance / n)
    assert abs(x[:, 1].var() / variance - 1) < 5 * np.sqrt(2 / n)


# ---- 5 learning ----

def test_learns_a_mixture_in_a_few_hundred_steps(rng):
    model = Diffusion(2, hidden=(32, 32), sigma_data=1.0)
    theta = fit(model, model.init(rng), LAW, rng, steps=400)
    kl = kl_monte_carlo(LAW.log_prob, lambda x: model.log_prob(theta, x, steps=12), LAW.sample(1200, rng))
    assert -5 * kl.stderr < kl.value < 0.06 + 5 * kl.stderr
    assert model.excess(theta, LAW.denoise, LAW.sample(500, rng), rng) < 0.02
    assert theta.dtype == model.sample(theta, 5, rng).dtype == np.float32


BENCHMARKS = {name: LAWS[name] for name in ("ring", "grid", "moons", "spirals")} | {
    "short spirals": spirals(0.15, 3.0, 1.0), "coarse grid": grid(4, 1.5, 0.2)}
BOUNDS = {"ring": 0.01, "moons": 0.01}


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_ten_thousand_steps_reach_one_or_two_hundredths_of_a_nat(name, rng):
    law, model = BENCHMARKS[name], Diffusion(dim=2, hidden=(128, 128, 128))
    theta = fit(model, model.init(rng), law, rng, steps=10_000)
    kl = kl_monte_carlo(law.log_prob, lambda x: model.log_prob(theta, x), law.sample(20_000, rng))
    assert -4 * kl.stderr < kl.value < BOUNDS.get(name, 0.02)
    quadrature = kl_quadrature(law.log_prob, lambda x: model.log_prob(theta, x), law.bounds(), n=180)
    assert abs(quadrature.mass_q - 1) < 2e-3
    neighbors = kl_nearest_neighbor(law.sample(20_000, rng), model.sample(theta, 20_000, rng).astype(float))
    assert neighbors.agrees_with(kl)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: Diffusion(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: Diffusion(2, sigma_data=0.0), ValueError, "sigma_data must be a positive"),
    (lambda m, t, rng: m.draw_noise(0, 3), TypeError, "Generator"),
    (lambda m, t, rng: m.draw_noise(rng, 0), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.loss(t, np.zeros((4, 3)), m.draw_noise(rng, 5)), ValueError, r"noise must be \(eps \(4, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((4, 2)), m.draw_noise(rng, 4)), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((4, 3), int), m.draw_noise(rng, 4)), TypeError, "floating point"),
    (lambda m, t, rng: m.loss(t[:-1], np.zeros((4, 3)), m.draw_noise(rng, 4)), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.denoise(t, np.zeros((4, 3)), 0.0), ValueError, "sigma must be one positive number"),
    (lambda m, t, rng: m.denoise(t, np.zeros((4, 3)), np.ones(3)), ValueError, r"one for each row \(4\)"),
    (lambda m, t, rng: m.denoise(t, np.zeros((4, 3)), [1, 1, 0, 1]), ValueError, "sigma must be one positive number"),
    (lambda m, t, rng: m.denoise(t * np.nan, np.zeros((4, 3)), 1.0), ValueError, "theta must be finite"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 5, 7), TypeError, "Generator"),
    (lambda m, t, rng: m.sample(t, 5, rng, steps=0), ValueError, "must be at least 1"),
    (lambda m, t, rng: m.complete(t, {3: 1.0}, 5, rng), ValueError, "below 3|known"),
    (lambda m, t, rng: m.complete(t, {0: 1.0}, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.log_prob(t, np.array([[0, np.nan, 0]])), ValueError, "finite"),
    (lambda m, t, rng: m.log_prob(t, np.zeros((4, 3)), steps=0), ValueError, "steps must be at least 1"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)


def test_completion_is_repaint_from_the_largest_noise_with_its_own_steps_and_turns(rng):
    model = Diffusion(2, hidden=(4,), sigma_data=0.8)
    theta = model.init(rng, np.float64)
    for steps, turns in ((5, 1), (4, 3)):
        stream = np.random.default_rng(1)
        unit = 0.8 / 1.5                                    # of length: noise levels are relative to sigma_data
        start = unit * np.hypot(SIGMA_MAX, 1.5) * stream.standard_normal((6, 2))
        expected = repaint(lambda x, sigma: model.denoise(theta, x, sigma), start,
                           unit * karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX), {0: 0.5}, stream, turns)
        x = model.complete(theta, {0: 0.5}, 6, np.random.default_rng(1), steps=steps, turns=turns)
        np.testing.assert_allclose(x, expected, rtol=1e-9)
