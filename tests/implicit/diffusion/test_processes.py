import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion.processes import VE, VP, as_eps, as_score, as_v, as_x0, translate
from scratch.implicit.diffusion.samplers import heun
from scratch.learning.gradient_check import gradient

PROCESSES = [VP(), VP(0.3, 5.0), VE(), VE(0.1, 7.0)]
TIMES = np.array([0.0, 0.01, 0.2, 0.5, 0.9, 1.0])
WORDS = [as_x0, as_eps, as_v, as_score]
MIXTURE = GaussianMixture([[-1.0, 0.2], [1.0, -0.5], [0.3, 1.1]],
                          [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]], [[0.3, -0.1], [-0.1, 0.2]]],
                          [0.5, 0.2, 0.3])


def law_at(process, t):
    """The law of x_t = s (x_0 + sigma eps) for data from the mixture, component by component."""
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


@pytest.mark.parametrize("process", [VP(), VP(0.3, 5.0), VP(4.0, 1.0)])
def test_vp_keeps_variance_one(process, rng):
    """In exact numbers, and for noised rows of unit data."""
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose(process.scale(t) ** 2 + process.std(t) ** 2, 1, atol=1e-14)
    for t in TIMES:
        x = process.add_noise(rng.choice([-1.0, 1.0], (20_000, 1)), t, rng.standard_normal((20_000, 1)))
        squares = x ** 2
        assert abs(squares.mean() - 1) <= 4 * squares.std() / np.sqrt(20_000) + 1e-12


@pytest.mark.parametrize("process", [*PROCESSES, VP(4.0, 1.0), VP(2.0, 2.0)])
def test_data_stand_at_time_zero_and_time_inverts_sigma(process):
    assert process.scale(0.0) == 1 and process.sigma(0.0) == 0
    np.testing.assert_allclose(process.time(process.sigma(TIMES)), TIMES, rtol=1e-12, atol=1e-15)


def test_published_constants():
    """Song et al. 2021: at t = 1 VP keeps exp(-(beta_min + beta_max) / 4) of the data; VE ends at sigma_max."""
    assert VP().scale(1.0) == pytest.approx(np.exp(-20.1 / 4), rel=1e-14)
    assert VE(0.01, 50.0).sigma(1.0) == pytest.approx(np.sqrt(50.0 ** 2 - 0.01 ** 2), rel=1e-14)
    assert VE(0.01, 50.0).diffusion(0.5) == pytest.approx(np.sqrt(0.5) * np.sqrt(2 * np.log(5000)), rel=1e-13)


def test_noise_takes_a_column_of_times(rng):
    x0, eps, t = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), TIMES[:, None]
    for process in PROCESSES:
        rowwise = [process.add_noise(x0[i:i + 1], float(t[i, 0]), eps[i:i + 1])[0] for i in range(6)]
        np.testing.assert_allclose(process.add_noise(x0, t, eps), rowwise, rtol=1e-14)
        assert process.reverse_drift(x0, t, eps).shape == process.probability_flow(x0, t, eps).shape == (6, 2)


# ---- backward ----

@pytest.mark.parametrize("process", PROCESSES)
def test_score_is_the_gradient_of_the_log_density(process, rng):
    for t in (0.05, 0.4, 1.0):
        x = process.scale(t) * MIXTURE.sample(5, rng) + process.std(t) * rng.normal(size=(5, 2))
        score = process.score(MIXTURE.denoise, x, t)
        law = law_at(process, t)
        np.testing.assert_allclose(score, gradient(lambda x: law.log_prob(x).sum(), x), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("road", ["ODE", "SDE"])
@pytest.mark.parametrize("process", PROCESSES)
def test_marginals_on_gaussian_data_are_exact_at_all_times(process, road):
    """Both equations are linear there: mean and variance, run back from t = 1, against s and s sigma."""
    mean, var = 1.7, 0.6
    law, times = GaussianMixture([[mean]], [[[var]]], [1.0]), TIMES[:0:-1]

    def drift(x, t):
        backward = process.probability_flow if road == "ODE" else process.reverse_drift
        return backward(x, t, process.score(law.denoise, x, t))

    s, b = process.scale(times), process.std(times)
    exact = np.array([s * mean, s ** 2 * var + b ** 2])
    g = (lambda t: 0.0) if road == "ODE" else process.diffusion
    solved = moments(lambda t: rates(lambda x: drift(x, t)), lambda t: -g(t) ** 2, exact[:, 0], times)
    np.testing.assert_allclose(solved, exact, rtol=1e-7)    # noise adds variance as t falls: -g^2 per dt


@pytest.mark.parametrize("process", [VP(), VE(0.1, 7.0)])
def test_samples_of_the_reverse_sde_have_the_marginals(process, rng):
    """Euler-Maruyama in t itself, on the mixture: first and second moments at every fifth of time."""
    n, times = 2000, np.linspace(1, 0.02, 146)
    x = law_at(process, 1.0).sample(n, rng)
    for i, (t, lower) in enumerate(zip(times, times[1:]), 1):
        drift = process.reverse_drift(x, t, process.score(MIXTURE.denoise, x, t))
        x = x + (lower - t) * drift + process.diffusion(t) * np.sqrt(t - lower) * rng.standard_normal(x.shape)
        if i % 29 == 0:
            law = law_at(process, lower)
            assert (np.abs(x.mean(axis=0) - law.mean()) < 4 * x.std(axis=0) / np.sqrt(n)).all()
            away = x - law.mean()
            products = away[:, :, None] * away[:, None, :]
            assert (np.abs(products.mean(axis=0) - law.covariance()) < 4 * products.std(axis=0) / np.sqrt(n)).all()


@pytest.mark.parametrize("process", [VP(), VE(0.1, 7.0)])
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


# ---- the dictionary ----

@pytest.mark.parametrize("source", WORDS)
@pytest.mark.parametrize("target", WORDS)
def test_every_translation_and_its_way_back(source, target, rng):
    a, b = rng.uniform(0.2, 1.5, (2, 7, 1))                 # a column each, not on the circle: VE too
    x, said = rng.normal(size=(2, 7, 3))
    there = translate(said, x, a, b, source, target)
    np.testing.assert_allclose(translate(there, x, a, b, target, source), said, rtol=1e-10, atol=1e-12)


def test_known_data_and_noise_fit_every_word(rng):
    a, b = 0.28, 0.96                                       # a^2 + b^2 = 1
    x0, eps = rng.normal(size=(2, 7, 3))
    x = a * x0 + b * eps
    for word, meaning in ((as_x0, x0), (as_eps, eps), (as_v, a * eps - b * x0), (as_score, -eps / b)):
        np.testing.assert_allclose(translate(x0, x, a, b, as_x0, word), meaning, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(translate(meaning, x, a, b, word, as_x0), x0, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("process", PROCESSES)
def test_on_a_mixture_every_word_means_what_it_says(process, rng):
    """The best denoiser, translated: score = grad log p_t; eps and v = their posterior means, by enumeration."""
    atoms = GaussianMixture(rng.normal(size=(5, 2)), np.broadcast_to(1e-12 * np.eye(2), (5, 2, 2)), [0.2] * 5)
    t = 0.3
    s, a, b = (float(f(t)) for f in (process.scale, process.scale, process.std))
    x = process.add_noise(atoms.means, t, rng.normal(size=(5, 2)))
    x0 = atoms.denoise(x / s, b / s)
    square = ((x[:, None] - a * atoms.means) ** 2).sum(axis=2)                     # (5, atoms)
    weight = np.exp(-(square - square.min(axis=1, keepdims=True)) / (2 * b * b))
    weight /= weight.sum(axis=1, keepdims=True)
    noise = (x[:, None] - a * atoms.means) / b                                    # eps, if x_0 were that atom
    for word, meaning in ((as_x0, np.broadcast_to(atoms.means, noise.shape)), (as_eps, noise),
                          (as_v, a * noise - b * atoms.means), (as_score, -noise / b)):
        posterior_mean = np.einsum("nk,nkd->nd", weight, meaning)
        np.testing.assert_allclose(translate(x0, x, a, b, as_x0, word), posterior_mean, rtol=1e-6, atol=1e-6)
    x = process.add_noise(MIXTURE.sample(5, rng), t, rng.normal(size=(5, 2)))
    score = translate(MIXTURE.denoise(x / s, b / s), x, a, b, as_x0, as_score)
    np.testing.assert_allclose(score, process.score(MIXTURE.denoise, x, t), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(score, law_at(process, t).score(x), rtol=1e-9, atol=1e-12)


def test_v_is_the_velocity_of_the_vp_flow_in_the_angle(rng):
    """a = cos phi, b = sin phi: dx/dphi = (dx/dt) / (dphi/dt), with dphi/dt = -a' / b = beta a / (2 b)."""
    process, t = VP(), 0.3
    a, b = float(process.scale(t)), float(process.std(t))
    x = rng.normal(size=(5, 2))
    velocity = process.probability_flow(x, t, process.score(MIXTURE.denoise, x, t))
    v = translate(MIXTURE.denoise(x / a, b / a), x, a, b, as_x0, as_v)
    np.testing.assert_allclose(velocity / (process.diffusion(t) ** 2 * a / (2 * b)), v, rtol=1e-9, atol=1e-12)


# ---- bad input ----

ROWS = np.zeros((3, 2))


@pytest.mark.parametrize("call, error, says", [
    (lambda: VP(0.0, 1.0), ValueError, "beta_min must be a positive"),
    (lambda: VP(0.1, "20"), TypeError, "beta_max must be a positive"),
    (lambda: VE(2.0, 1.0), ValueError, "sigma_min must be below sigma_max"),
    (lambda: VE(-1.0, 1.0), ValueError, "sigma_min must be a positive"),
    (lambda: VP().scale(1.5), ValueError, r"t must lie in \[0, 1\]"),
    (lambda: VE().sigma(np.nan), ValueError, "t must be finite"),
    (lambda: VE().drift(ROWS, -0.1), ValueError, "t must lie in"),
    (lambda: VP().time(1e9), ValueError, r"sigma must lie in \[0"),
    (lambda: VE().time(50.0), ValueError, "49.999999"),                           # sigma(1) is just below
    (lambda: VE().time(-1.0), ValueError, r"sigma must lie in \[0"),
    (lambda: VP().score(MIXTURE.denoise, ROWS, 0.0), ValueError, "t must be a positive"),
    (lambda: VP().drift(np.zeros((3, 2), int), 0.5), TypeError, "floating point"),
    (lambda: VP().add_noise(ROWS, 0.5, np.zeros((2, 2))), ValueError, "eps must have the shape of x"),
    (lambda: VE().add_noise(ROWS[:, :1], TIMES[:3], ROWS[:, :1]), ValueError, r"t must be one .* \(3, 1\)"),
    (lambda: VP().drift(ROWS, [0.5, 0.6]), ValueError, r"t must be one number or a column \(3, 1\), got shape"),
    (lambda: VE().reverse_drift(ROWS[:, :1], TIMES[:3], ROWS[:, :1]), ValueError, r"t must be one number"),
    (lambda: VP().probability_flow(ROWS, 0.5, np.zeros((3, 1))), ValueError, "score must have the shape of x"),
    (lambda: VE().reverse_drift(ROWS * np.nan, 0.5, ROWS), ValueError, "x must be finite"),
    (lambda: translate(np.zeros((3, 1)), ROWS, 0.6, 0.8, as_x0, as_eps), ValueError, "prediction must have"),
    (lambda: translate(ROWS, ROWS, 0.6, [0.8, 0.8], as_x0, as_eps), ValueError, "b must be one number"),
    (lambda: translate(ROWS, ROWS, 0.6, 0.0, as_x0, as_eps), ValueError, "a and b must be positive"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
