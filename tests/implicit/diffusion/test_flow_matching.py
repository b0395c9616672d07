from functools import lru_cache
from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scratch.data.distributions import moons
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.implicit.diffusion import likelihood, samplers
from scratch.implicit.diffusion.flow_matching import (FlowMatching, euler, graded_times, heun, independent,
                                                    minibatch_optimal_transport, runge_kutta)
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient, gradient_error
from scratch.learning.training import Recipe, fit

MODEL = FlowMatching(dim=3, hidden=(6, 5))
LAW = GaussianMixture([[-1.0, 0.5], [1.2, 0.0]], [[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.4]]], [0.4, 0.6])
COUPLINGS = [independent, minibatch_optimal_transport]


def random_theta(model, rng):
    return model.init(rng, np.float64) + 0.3 * rng.standard_normal(model.size)


def exact_velocity(x, t):
    """v* = (x_t - E[x0 | x_t]) / t, by the mixture's own denoiser; at t = 0 the noise is unseen: v* = -x."""
    return -x if t == 0 else (x - LAW.denoise(x / (1 - t), t / (1 - t))) / t if t < 1 else x - LAW.mean()


@lru_cache
def trained(coupling):
    """A short training on two moons."""
    rng, law = np.random.default_rng(5), moons(std=0.25)
    model = FlowMatching(2, hidden=(32, 32), coupling=coupling, sigma_data=0.9)
    recipe = Recipe(model.recipe.optimizer, batch_size=128)
    return model, fit(model, model.init(rng), law, rng, steps=500, recipe=recipe), law


# ---- 1 definition, 2 gradient ----

@pytest.mark.parametrize("coupling", COUPLINGS)
def test_loss_is_the_naive_loop_over_rows(coupling, rng):
    model = FlowMatching(3, hidden=(6, 5), coupling=coupling)
    theta, x, (eps, t) = random_theta(model, rng), rng.normal(size=(5, 3)), model.draw_noise(rng, 5)
    paired, total = coupling(x, eps), 0.0
    for row, e, time in zip(x, paired, t):
        v = model.velocity(theta, ((1 - time) * row + time * e)[None], float(time))[0]
        total += np.mean((v - (e - row)) ** 2) / 5
    assert abs(model.loss(theta, x, (eps, t))[0] - total) < 1e-13


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_gradient_in_every_parameter(coupling, rng):
    model = FlowMatching(3, hidden=(6, 5), coupling=coupling, sigma_data=0.7)
    theta, x, noise = random_theta(model, rng), rng.normal(size=(5, 3)), model.draw_noise(rng, 5)
    dtheta = model.loss(theta, x, noise)[1]
    assert gradient_error(lambda theta: model.loss(theta, x, noise)[0], theta, dtheta) < 1e-10


@pytest.mark.parametrize("name, at", [("velocity", 0.3), ("velocity", 0.0), ("velocity", 1.0), ("denoise", 2.0)])
def test_jvps_are_derivatives(name, at, rng):
    theta, x, x_dot = random_theta(MODEL, rng), rng.normal(size=(1, 3)), rng.normal(size=(1, 3))
    value, tangent = getattr(MODEL, f"{name}_jvp")(theta, x, x_dot, at)
    np.testing.assert_allclose(value, getattr(MODEL, name)(theta, x, at), rtol=1e-12)
    jacobian = np.stack([gradient(lambda x: getattr(MODEL, name)(theta, x, at)[0, i], x)[0] for i in range(3)])
    np.testing.assert_allclose(tangent[0], jacobian @ x_dot[0], rtol=1e-9)


def test_transport_finds_the_pairing_that_trying_all_finds(rng):
    x0, eps = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    costs = {order: np.sum((x0 - eps[list(order)]) ** 2) for order in permutations(range(6))}
    best = min(costs, key=costs.get)
    np.testing.assert_array_equal(minibatch_optimal_transport(x0, eps), eps[list(best)])
    np.testing.assert_array_equal(independent(x0, eps), eps)


# ---- 3 two ways to the same number ----

def test_linear_part_is_the_best_linear_guess_and_the_network_gets_unit_variance(rng):
    """F = 0 is the regression of eps - x0 on x_t, for data of standard deviation s at every t."""
    model, n = FlowMatching(1, hidden=(4,), sigma_data=1.7), 200_000
    x0, eps = 1.7 * rng.normal(size=n), 1.7 / 1.5 * rng.normal(size=n)
    for t in (0.0, 0.2, 0.7, 1.0):
        x_t, v = (1 - t) * x0 + t * eps, eps - x0
        linear, rest, scale, _ = model._scales_at(t, x_t)
        assert abs(x_t @ v / (x_t @ x_t) - linear) < 0.02
        assert abs((v - linear * x_t).std() / rest - 1) < 0.01
        assert abs((scale * x_t).std() - 1) < 0.01


def test_the_draws_of_noise_are_a_third_of_those_of_uniform_t_and_independent_of_the_rows(rng):
    _, t = MODEL.draw_noise(rng, 1000)
    sigma = 3 * np.sort(t) / (1 - np.sort(t))               # u / (1 - u)
    assert (np.floor(sigma / (1 + sigma) * 1000) == np.arange(1000)).all()
    assert abs(np.corrcoef(t, np.arange(1000))[0, 1]) < 0.15


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_density_of_a_trained_flow_integrates_to_one_and_is_that_of_its_samples(coupling, rng):
    model, theta, _ = trained(coupling)
    nodes, cell = midpoints([(-4, 4)] * 2, 40)
    log_p = model.log_prob(theta.astype(float), nodes, steps=8)
    p = cell * np.exp(log_p)
    assert abs(p.sum() - 1) < 5e-3
    x = model.sample(theta, 10_000, rng).astype(float)
    for f in (lambda x: x[:, 0], lambda x: x[:, 0] * x[:, 1], lambda x: np.cos(3 * x[:, 0])):
        assert abs(f(x).mean() - f(nodes) @ p) < 5 * f(x).std() / 100 + 2e-3


def test_density_is_that_of_likelihood_py(rng):
    """The diffusion package's likelihood, given this model's denoiser, walks the same flow in other units."""
    model, theta, law = trained(independent)
    theta, x = theta.astype(float), law.sample(40, rng)
    along_sigma = likelihood.log_prob(lambda x, x_dot, sigma: model.denoise_jvp(theta, x, x_dot, sigma), x,
                                      1e-3, 1e3, scale=0.9)
    np.testing.assert_allclose(model.log_prob(theta, x), along_sigma, atol=0.02)
    assert abs((model.log_prob(theta, x) - along_sigma).mean()) < 3e-3


def test_density_is_kuttas_rule_along_the_flow_written_out(rng):
    """Three steps, the divergence by the complex step.  The order of the rule, 4, is measured on exact flows below."""
    theta, x = random_theta(MODEL, rng), rng.normal(size=(5, 3))

    def slope(x, t):
        columns = [MODEL.velocity(theta, x + 1e-30j * e, t).imag / 1e-30 for e in np.eye(3)]
        return MODEL.velocity(theta, x, t), sum(column[:, i] for i, column in enumerate(columns))
    y, gained = x, np.zeros(5)
    for t, later in pairwise((np.arange(4) / 3) ** 1.5):
        h = later - t
        v1, d1 = slope(y, t)
        v2, d2 = slope(y + 0.5 * h * v1, t + 0.5 * h)
        v3, d3 = slope(y + 0.5 * h * v2, t + 0.5 * h)
        v4, d4 = slope(y + h * v3, later)
        y, gained = y + h * (v1 + 2 * v2 + 2 * v3 + v4) / 6, gained + h * (d1 + 2 * d2 + 2 * d3 + d4) / 6
    noise = multivariate_normal(np.zeros(3), MODEL.unit ** 2 * np.eye(3))
    np.testing.assert_allclose(MODEL.log_prob(theta, x, steps=3), noise.logpdf(y) + gained, rtol=1e-10)


def test_times_are_finer_near_the_data():
    np.testing.assert_allclose(graded_times(4), np.array([0, 1, 2, 3, 4]) ** 1.5 / 8, rtol=1e-12)


# ---- 4 closed forms ----

def test_no_velocity_has_a_lower_loss_than_the_mixtures_own(rng):
    """v* is orthogonal to what it leaves over: loss(v* + d) = loss(v*) + |d|^2 for any d(x_t, t)."""
    x, eps, t = LAW.sample(100_000, rng), rng.normal(size=(100_000, 2)), 0.4
    x_t = (1 - t) * x + t * eps
    left = eps - x - exact_velocity(x_t, t)
    for d in (x_t, np.sin(3 * x_t), x_t[:, ::-1] ** 2):
        product = np.sum(left * d, axis=1)
        assert abs(product.mean()) < 5 * product.std() / np.sqrt(len(x))


def test_exact_flow_takes_noise_to_the_law_with_the_order_of_the_method(rng):
    noise = rng.normal(size=(100, 2))
    fine = runge_kutta(exact_velocity, noise, np.linspace(1, 0, 321))
    for follow, order, steps in ((euler, 1, (60, 120)), (heun, 2, (60, 120)), (runge_kutta, 4, (40, 80))):
        errors = [np.sqrt(np.mean((follow(exact_velocity, noise, np.linspace(1, 0, n + 1)) - fine) ** 2))
                  for n in steps]
        assert abs(np.log2(errors[0] / errors[1]) - order) < 0.2
    x = heun(exact_velocity, rng.normal(size=(5000, 2)), np.linspace(1, 0, 41))
    for power in (1, 2, 3):
        sample, law = x ** power, LAW.sample(40_000, rng) ** power
        error = np.sqrt(sample.var(axis=0) / 5000 + law.var(axis=0) / 40_000)
        assert (np.abs(sample.mean(axis=0) - law.mean(axis=0)) < 5 * error).all()


def test_euler_in_t_is_euler_in_sigma(rng):
    """The samplers of diffusion see x_t / (1 - t), and take the very same step."""
    theta, x = random_theta(MODEL, rng), rng.normal(size=(20, 3))
    times = np.array([0.9, 0.7, 0.4, 0.1, 0.0])
    in_t = euler(lambda x, t: MODEL.velocity(theta, x, t), x, times)
    in_sigma = samplers.euler(lambda x, sigma: MODEL.denoise(theta, x, sigma), x / 0.1, times / (1 - times))
    np.testing.assert_allclose(in_t, in_sigma, rtol=1e-10, atol=1e-12)


def test_denoiser_of_the_exact_velocity_is_the_exact_denoiser(rng):
    class Exact(FlowMatching):
        def velocity(self, theta, x, t):
            return exact_velocity(x, t)

    x = rng.normal(size=(30, 2))
    for sigma in (0.05, 1.0, 20.0):
        np.testing.assert_allclose(Exact(2).denoise(None, x, sigma), LAW.denoise(x, sigma), rtol=1e-9, atol=1e-9)


# ---- units of length ----

@pytest.mark.parametrize("s", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_without_a_network_it_is_the_normal_distribution_of_sigma_data_in_any_unit(s, rng):
    model = FlowMatching(2, hidden=(4,), sigma_data=s)
    for dtype in (np.float32, np.float64):
        theta, n = np.zeros(model.size, dtype), 5000
        x = model.sample(theta, n, rng)
        assert x.dtype == dtype and abs(x.std() / s - 1) < 5 / np.sqrt(4 * n) + 2e-3      # 2e-3: Heun's 32 steps
    z = rng.standard_normal((50, 2))
    exact = -0.5 * np.sum(z * z, axis=1) - np.log(2 * np.pi) - 2 * np.log(s)
    np.testing.assert_allclose(model.log_prob(theta, s * z), exact, atol=2e-3)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("c", [2.0 ** -10, 2.0 ** 20])
def test_data_in_another_unit_are_the_same_flow_bit_for_bit(c, coupling, rng):
    here, there = (FlowMatching(2, hidden=(6,), coupling=coupling, sigma_data=s) for s in (1.5, 1.5 * c))
    for dtype in (np.float32, np.float64):
        theta, x = random_theta(here, rng).astype(dtype), LAW.sample(40, rng).astype(dtype)
        noise = here.draw_noise(rng, 40)
        for a, b in zip(here.loss(theta, x, noise), there.loss(theta, c * x, noise)):
            np.testing.assert_array_equal(a, b)             # the loss has no unit: the training is the same
        fits = [fit(model, theta, scale * x.astype(float), np.random.default_rng(2), steps=5)
                for model, scale in ((here, 1), (there, c))]
        np.testing.assert_array_equal(*fits)
        samples = [model.sample(theta, 20, np.random.default_rng(3), steps=8) for model in (here, there)]
        np.testing.assert_array_equal(c * samples[0], samples[1])
        np.testing.assert_array_equal(c * here.velocity(theta, x, 0.3), there.velocity(theta, c * x, 0.3))
        np.testing.assert_array_equal(c * here.denoise(theta, x, 0.3), there.denoise(theta, c * x, 0.3 * c))
        for a, b in zip(here.denoise_jvp(theta, x, x, 0.3), there.denoise_jvp(theta, c * x, c * x, 0.3 * c)):
            np.testing.assert_array_equal(c * a, b)
        np.testing.assert_allclose(here.log_prob(theta, x, steps=8) - 2 * np.log(c),
                                   there.log_prob(theta, c * x, steps=8), rtol=1e-13 if dtype == float else 1e-6)


def test_a_numpy_scalar_as_sigma_data_leaves_float32_and_equality(rng):
    model = FlowMatching(2, hidden=(4,), sigma_data=np.float64(2.0))
    theta, x = model.init(rng), rng.standard_normal((4, 2), np.float32)
    assert model == FlowMatching(2, hidden=(4,), sigma_data=2.0) and type(model.sigma_data) is float
    assert {a.dtype for a in (*model.loss(theta, x, model.draw_noise(rng, 4)), model.sample(theta, 3, rng, steps=2),
                              model.denoise(theta, x, 0.3), *model.velocity_jvp(theta, x, x, 0.3))} == {np.dtype("f")}


# ---- 5 learning ----

def test_float32_stays_float32(rng):
    theta, x = MODEL.init(rng), rng.standard_normal((4, 3), np.float32)
    assert MODEL.velocity(theta, x, np.float64(0.3)).dtype == np.float32
    assert MODEL.denoise(theta, x, np.float64(2.0)).dtype == np.float32
    assert MODEL.velocity_jvp(theta, x, x, 0.3)[1].dtype == MODEL.sample(theta, 4, rng, steps=2).dtype == np.float32



@pytest.mark.parametrize("coupling", COUPLINGS)
def test_short_training_learns_the_moons(coupling, rng):
    model, theta, law = trained(coupling)
    x = law.sample(2000, rng)
    kl = kl_monte_carlo(law.log_prob, lambda x: model.log_prob(theta, x, steps=16), x)
    assert -4 * kl.stderr < kl.value < 0.12


def test_transport_straightens_the_paths(rng):
    """Mean square of what the velocity changes on its way, against the straight line from start to end."""
    bend = {}
    for coupling in COUPLINGS:
        model, theta, _ = trained(coupling)
        x, path = np.random.default_rng(0).normal(size=(500, 2)), []
        start = x
        for t, later in pairwise(graded_times(24)[::-1]):
            v = model.velocity(theta, x, t)
            path.append(v)
            x = x + (later - t) * v
        bend[coupling] = np.mean((np.array(path) - (start - x)) ** 2)
    assert bend[minibatch_optimal_transport] < 0.4 * bend[independent]


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: FlowMatching(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: FlowMatching(2, hidden=4), TypeError, "hidden must be"),
    (lambda m, t, rng: FlowMatching(2, coupling="independent"), TypeError, "coupling must be a function"),
    (lambda m, t, rng: FlowMatching(2, sigma_data=-1.0), ValueError, "sigma_data"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), (np.zeros((2, 3)), np.zeros(3))), ValueError, "noise must be"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 4)), m.draw_noise(rng, 2)), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int), m.draw_noise(rng, 2)), TypeError, "floating point"),
    (lambda m, t, rng: m.log_prob(t, np.full((2, 3), np.nan)), ValueError, "finite"),
    (lambda m, t, rng: m.log_prob(t[:-1], np.zeros((2, 3))), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.velocity(t, np.zeros((2, 3)), 1.5), ValueError, "t must be one number in"),
    (lambda m, t, rng: m.denoise(t, np.zeros((2, 3)), 0.0), ValueError, "sigma must be"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 3, rng, steps=0), ValueError, "steps must be at least 1"),
    (lambda m, t, rng: m.draw_noise(3, 3), TypeError, "Generator"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)
