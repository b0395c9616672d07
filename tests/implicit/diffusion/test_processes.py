import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion.processes import VP
from scratch.implicit.diffusion.samplers import heun
from scratch.learning.gradient_check import gradient

PROCESSES = [VP(), VP(0.3, 5.0), VP(4.0, 1.0)]
TIMES = np.array([0.0, 0.01, 0.2, 0.5, 0.9, 1.0])
MIXTURE = GaussianMixture([[-1.0, 0.2], [1.0, -0.5], [0.3, 1.1]],
                          [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]], [[0.3, -0.1], [-0.1, 0.2]]],
                          [0.5, 0.2, 0.3])


def law_at(process, t):
    """The distribution of x_t = s (x_0 + sigma eps) for data from the mixture, component by component."""
    s, b = float(process.scale(t)), float(process.std(t))
    return GaussianMixture(s * MIXTURE.means, s ** 2 * MIXTURE.covariances + b ** 2 * np.eye(2), MIXTURE.weights)


def rates(drift):
    """(a, c) of an affine drift a x + c in one dimension."""
    at_0, at_1 = drift(np.array([[0.0], [1.0]]))[:, 0]
    return at_1 - at_0, at_0


def moments(rate, noise, start, times):
    """Mean and variance along a linear SDE, from d mean = a mean + c and d var = 2 a var + noise."""
    def slope(t, moment):
        a, c = rate(t)
        return a * moment[0] + c, 2 * a * moment[1] + noise(t)
    return solve_ivp(slope, (times[0], times[-1]), start, "DOP853", times, rtol=1e-9, atol=1e-12).y


# ---- the forward process ----

@pytest.mark.parametrize("process", PROCESSES)
def test_scale_and_sigma_solve_the_forward_sde(process):
    """The moments of dx = f x dt + g dw, integrated as they stand, against s and s sigma."""
    mean, var = 1.7, 0.6
    solved = moments(lambda t: rates(lambda x: process.drift(x, t)), lambda t: process.diffusion(t) ** 2,
                     (mean, var), TIMES)
    s, b = process.scale(TIMES), process.std(TIMES)
    np.testing.assert_allclose(solved, [s * mean, s ** 2 * var + b ** 2], rtol=1e-8)


@pytest.mark.parametrize("process", PROCESSES)
def test_the_clock_is_the_integral_of_g_over_s_squared(process):
    for t in TIMES[1:]:
        clock = quad(lambda t: (process.diffusion(t) / process.scale(t)) ** 2, 0, t, epsrel=1e-12)[0]
        assert process.sigma(t) ** 2 == pytest.approx(clock, rel=1e-10)


@pytest.mark.parametrize("process", [*PROCESSES, VP(2.0, 2.0)])
def test_data_stand_at_time_zero_and_unit_variance_is_kept(process):
    assert process.scale(0.0) == 1 and process.sigma(0.0) == 0
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose(process.scale(t) ** 2 + process.std(t) ** 2, 1, atol=1e-14)


def test_published_constants():
    """Song et al. 2021: at t = 1 VP keeps exp(-(beta_min + beta_max) / 4) of the data."""
    assert VP().scale(1.0) == pytest.approx(np.exp(-20.1 / 4), rel=1e-14)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_column_of_times_gives_each_row_its_own(process, rng):
    x, score, t = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), TIMES[:, None]
    for method in (process.probability_flow, process.reverse_drift):
        rowwise = [method(x[i:i + 1], float(t[i, 0]), score[i:i + 1])[0] for i in range(6)]
        np.testing.assert_allclose(method(x, t, score), rowwise, rtol=1e-14)


# ---- backward ----

@pytest.mark.parametrize("process", PROCESSES)
def test_score_is_the_gradient_of_the_log_density(process, rng):
    for t in (0.05, 0.4, 1.0):
        x = process.scale(t) * MIXTURE.sample(5, rng) + process.std(t) * rng.normal(size=(5, 2))
        score = process.score(MIXTURE.denoise, x, t)
        law = law_at(process, t)
        np.testing.assert_allclose(score, gradient(lambda x: law.log_prob(x).sum(), x), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("equation", ["ODE", "SDE"])
@pytest.mark.parametrize("process", PROCESSES)
def test_marginals_on_gaussian_data_are_exact(process, equation):
    """Both equations are linear there: mean and variance, run back from t = 1, against s and s sigma."""
    mean, var = 1.7, 0.6
    law, times = GaussianMixture([[mean]], [[[var]]], [1.0]), TIMES[:0:-1]

    def drift(x, t):
        backward = process.probability_flow if equation == "ODE" else process.reverse_drift
        return backward(x, t, process.score(law.denoise, x, t))

    s, b = process.scale(times), process.std(times)
    exact = np.array([s * mean, s ** 2 * var + b ** 2])
    g = (lambda t: 0.0) if equation == "ODE" else process.diffusion
    solved = moments(lambda t: rates(lambda x: drift(x, t)), lambda t: -g(t) ** 2, exact[:, 0], times)
    np.testing.assert_allclose(solved, exact, rtol=1e-7)    # noise adds variance as t falls: -g^2 per dt


@pytest.mark.parametrize("process", [VP(), VP(0.3, 5.0)])
def test_samples_of_the_reverse_sde_have_the_marginals(process, rng):
    """Euler-Maruyama in t itself, on the mixture: first and second moments at every fifth of time."""
    n, times = 2000, np.linspace(1, 0.02, 146)
    x = law_at(process, 1.0).sample(n, rng)
    for i, (t, lower) in enumerate(zip(times, times[1:]), 1):
        drift = process.reverse_drift(x, t, process.score(MIXTURE.denoise, x, t))
        x = x + (lower - t) * drift + process.diffusion(t) * np.sqrt(t - lower) * rng.standard_normal(x.shape)
        if i % 29 == 0:
            law = law_at(process, lower)
            assert (np.abs(x.mean(axis=0) - law.mean()) < 5 * x.std(axis=0) / np.sqrt(n)).all()
            away = x - law.mean()
            products = away[:, :, None] * away[:, None, :]
            assert (np.abs(products.mean(axis=0) - law.covariance()) < 5 * products.std(axis=0) / np.sqrt(n)).all()


@pytest.mark.parametrize("process", [VP(), VP(0.3, 5.0)])
def test_the_flow_in_t_is_the_flow_in_sigma(process, rng):
    """x_t / s(t) moves as in the sigma form, where s = 1 and sigma is the time."""
    start, stop, x = 0.9, 0.2, rng.normal(size=(4, 2))

    def velocity(t, x):
        x = x.reshape(4, 2)
        return process.probability_flow(x, t, process.score(MIXTURE.denoise, x, t)).ravel()
    in_t = solve_ivp(velocity, (start, stop), x.ravel(), "DOP853", rtol=1e-8, atol=1e-8).y[:, -1].reshape(4, 2)
    sigmas = np.geomspace(float(process.sigma(start)), float(process.sigma(stop)), 401)
    in_sigma = heun(MIXTURE.denoise, x / process.scale(start), sigmas)
    np.testing.assert_allclose(in_t / process.scale(stop), in_sigma, atol=1e-4)


# ---- the predictions of a network ----

@pytest.mark.parametrize("process", PROCESSES)
def test_predictions_fit_known_data_and_noise(process, rng):
    """(6) to (9) of the docstring; for (8) with a denoiser that returns the x_0 of its row."""
    t = 0.3
    a, b = float(process.scale(t)), float(process.std(t))
    x0, eps = rng.normal(size=(2, 7, 3))
    x = a * x0 + b * eps
    np.testing.assert_allclose((x - b * eps) / a, x0, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose((x - a * x0) / b, eps, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(process.score(lambda y, sigma: x0, x, t), -eps / b, rtol=1e-11, atol=1e-12)
    phi = np.arctan2(b, a)
    v = (np.cos(phi + 1e-30j) * x0 + np.sin(phi + 1e-30j) * eps).imag / 1e-30    # dx / dphi by complex step
    np.testing.assert_allclose(v, a * eps - b * x0, rtol=1e-11, atol=1e-12)


def test_v_is_the_velocity_of_the_flow_in_the_angle(rng):
    """a = cos phi, b = sin phi: dx/dphi = (dx/dt) / (dphi/dt), with dphi/dt = -a' / b = beta a / (2 b)."""
    process, t = VP(), 0.3
    a, b = float(process.scale(t)), float(process.std(t))
    x = rng.normal(size=(5, 2))
    velocity = process.probability_flow(x, t, process.score(MIXTURE.denoise, x, t))
    x0 = MIXTURE.denoise(x / a, b / a)
    v = a * (x - a * x0) / b - b * x0                       # (7) in (9)
    np.testing.assert_allclose(velocity / (process.diffusion(t) ** 2 * a / (2 * b)), v, rtol=1e-9, atol=1e-12)


# ---- bad input ----

ROWS = np.zeros((3, 2))


@pytest.mark.parametrize("call, error, says", [
    (lambda: VP(0.0, 1.0), ValueError, "beta_min must be a positive"),
    (lambda: VP(0.1, "20"), TypeError, "beta_max must be a positive"),
    (lambda: VP().scale(1.5), ValueError, r"t must lie in \[0, 1\]"),
    (lambda: VP().sigma(np.nan), ValueError, "t must be finite"),
    (lambda: VP().drift(ROWS, -0.1), ValueError, "t must lie in"),
    (lambda: VP().scale([0.5, 1.5]), ValueError, "t must lie in"),
    (lambda: VP().score(MIXTURE.denoise, ROWS, 0.0), ValueError, "t must be a positive"),
    (lambda: VP().drift(np.zeros((3, 2), int), 0.5), TypeError, "floating point"),
    (lambda: VP().drift(ROWS, [0.5, 0.6]), ValueError, r"t must be one number or a column \(3, 1\), got shape"),
    (lambda: VP().reverse_drift(ROWS[:, :1], TIMES[:3], ROWS[:, :1]), ValueError, r"t must be one number"),
    (lambda: VP().probability_flow(ROWS, 0.5, np.zeros((3, 1))), ValueError, r"score must have shape \(n, 2\)"),
    (lambda: VP().reverse_drift(ROWS * np.nan, 0.5, ROWS), ValueError, "x must be finite"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
