import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.implicit.diffusion.samplers import (ddim, dpm_solver_2m, euler, euler_maruyama, heun, karras_sigmas,
                                                 predictor_corrector)

LAW = GaussianMixture([[-1.0, 0.2], [1.0, -0.5], [0.3, 1.1]],
                      [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]], [[0.3, -0.1], [-0.1, 0.2]]],
                      [0.5, 0.2, 0.3])
GAUSSIAN = GaussianMixture([[0.0]], [[[0.25]]], [1.0])
SEED, X = 5, np.zeros((3, 2))
# Every sampler as a function of (denoise, x, sigmas, rng), and a, b: n steps evaluate the denoiser a n + b times.
SAMPLERS = {
    "euler": (lambda d, x, s, rng: euler(d, x, s), 1, 0),
    "heun": (lambda d, x, s, rng: heun(d, x, s), 2, -1),
    "dpm_solver_2m": (lambda d, x, s, rng: dpm_solver_2m(d, x, s), 1, 0),
    "ddim 0": (lambda d, x, s, rng: ddim(d, x, s, 0.0, rng), 1, 0),
    "ddim 0.5": (lambda d, x, s, rng: ddim(d, x, s, 0.5, rng), 1, 0),
    "ddim 1": (lambda d, x, s, rng: ddim(d, x, s, 1.0, rng), 1, 0),
    "euler_maruyama": (euler_maruyama, 1, 0),
    "predictor_corrector": (predictor_corrector, 2, -1),
}
WITH_NOISE = ("ddim 0.5", "ddim 1", "euler_maruyama", "predictor_corrector")


@pytest.fixture(params=SAMPLERS)
def sampler(request):
    return SAMPLERS[request.param][0]


def start(n, sigma, rng):
    return LAW.noised(sigma).sample(n, rng)


# ---- 1 definition: each method as its paper writes it, with scores, slopes and eps in place of D ----

def score(x, sigma):
    return LAW.noised(sigma).score(x)


def naive_heun(x, sigmas, rng):
    """Karras et al. 2022, Algorithm 1, with d = -t score."""
    for t, t_next in zip(sigmas[:-1], sigmas[1:]):
        d = -t * score(x, t)
        x_next = x + (t_next - t) * d
        if t_next != 0:
            d_next = -t_next * score(x_next, t_next)
            x_next = x + (t_next - t) * (0.5 * d + 0.5 * d_next)
        x = x_next
    return x


def naive_dpm_solver_2m(x, sigmas, rng):
    """Lu et al. 2022, DPM-Solver++, Algorithm 2, in the VP scaling: r, expm1 and all; first order to 0."""
    sigmas = np.asarray(sigmas)
    alpha = 1 / np.sqrt(1 + sigmas ** 2)
    std = alpha * sigmas
    x, before = alpha[0] * x, None
    for i in range(1, len(sigmas)):
        data = (x + std[i - 1] ** 2 * score(x / alpha[i - 1], sigmas[i - 1]) / alpha[i - 1]) / alpha[i - 1]
        if sigmas[i] == 0:
            return data
        h = np.log(alpha[i] / std[i]) - np.log(alpha[i - 1] / std[i - 1])
        combined = data
        if before is not None:
            r = (np.log(alpha[i - 1] / std[i - 1]) - np.log(alpha[i - 2] / std[i - 2])) / h
            combined = (1 + 1 / (2 * r)) * data - 1 / (2 * r) * before
        x = std[i] / std[i - 1] * x - alpha[i] * np.expm1(-h) * combined
        before = data
    return x / alpha[-1]


def naive_ddim(eta):
    def sample(x, sigmas, rng):
        """Song et al. 2021, DDIM, eq. 12 and 16: chain of alpha-bars, predictions of eps."""
        bar = 1 / (1 + np.asarray(sigmas) ** 2)
        x = np.sqrt(bar[0]) * x
        for i in range(1, len(bar)):
            a, a_next = bar[i - 1], bar[i]
            eps = -sigmas[i - 1] * score(x / np.sqrt(a), sigmas[i - 1])
            x0 = (x - np.sqrt(1 - a) * eps) / np.sqrt(a)
            std = eta * np.sqrt((1 - a_next) / (1 - a)) * np.sqrt(1 - a / a_next)
            noise = rng.standard_normal(x.shape)
            x = np.sqrt(a_next) * x0 + np.sqrt(1 - a_next - std ** 2) * eps + std * noise
        return x / np.sqrt(bar[-1])
    return sample


def naive_predictor_corrector(ratio):
    """Song et al. 2021, reverse diffusion and (for a ratio) Langevin, with |g| put at sqrt(D) / sigma."""
    def sample(x, sigmas, rng):
        for s, lower in zip(sigmas[:-1], sigmas[1:]):
            x = x + (s ** 2 - lower ** 2) * score(x, s)
            if lower > 0:
                x = x + np.sqrt(s ** 2 - lower ** 2) * rng.standard_normal(x.shape)
            if lower > 0 and ratio:
                step = 2 * (ratio * lower) ** 2
                x = x + step * score(x, lower) + np.sqrt(2 * step) * rng.standard_normal(x.shape)
        return x
    return sample


@pytest.mark.parametrize("name, naive", [
    ("euler", naive_ddim(0.0)), ("heun", naive_heun), ("dpm_solver_2m", naive_dpm_solver_2m),
    ("ddim 0", naive_ddim(0.0)), ("ddim 0.5", naive_ddim(0.5)), ("ddim 1", naive_ddim(1.0)),
    ("euler_maruyama", naive_predictor_corrector(0.0)), ("predictor_corrector", naive_predictor_corrector(0.16))])
@pytest.mark.parametrize("sigmas", [[5.0, 2.0, 1.1, 0.3, 0.0], [3.0, 0.9, 0.4]])
def test_each_sampler_is_its_papers_algorithm(name, naive, sigmas, rng):
    x = start(6, sigmas[0], rng)
    ours = SAMPLERS[name][0](LAW.denoise, x, np.array(sigmas), np.random.default_rng(SEED))
    np.testing.assert_allclose(ours, naive(x, sigmas, np.random.default_rng(SEED)), rtol=1e-10, atol=1e-12)


def test_levels_are_equation_5_of_karras():
    n, low, high, rho = 18, 0.002, 80.0, 7.0
    exact = [(high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho for i in range(n)]
    np.testing.assert_allclose(karras_sigmas(n), [*exact, 0.0], rtol=1e-12)
    np.testing.assert_allclose(karras_sigmas(1), [80.0, 0.0], rtol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_number_of_evaluations(name, rng):
    sampler, a, b = SAMPLERS[name]
    levels = []

    def denoise(x, sigma):
        levels.append(sigma)
        return LAW.denoise(x, sigma)
    sampler(denoise, start(2, 80.0, rng), karras_sigmas(7), rng)
    assert len(levels) == a * 7 + b and min(levels) > 0


# ---- 3 two methods: Gaussian data, where every step is linear ----

PUBLISHED = {                                               # signed relative errors of the final x, by steps
    10: ("-2.696e-01", "+2.196e-01", "+1.588e-01"),
    18: ("-1.539e-01", "+5.527e-02", "+6.230e-02"),
    40: ("-7.028e-02", "+9.773e-03", "+1.040e-02"),
    80: ("-3.534e-02", "+2.310e-03", "+2.380e-03"),
    160: ("-1.772e-02", "+5.565e-04", "+5.646e-04"),
}


def relative_error(sampler, steps):
    """Of x at 0, for N(0, 0.25): the flow keeps x / sqrt(0.25 + sigma^2)."""
    sigmas = karras_sigmas(steps)
    exact = 0.5 / np.sqrt(0.25 + sigmas[0] ** 2)
    return float(sampler(GAUSSIAN.denoise, np.array([[1.0]]), sigmas)[0, 0] / exact - 1)


@pytest.mark.parametrize("steps", PUBLISHED)
def test_published_errors_to_all_digits(steps):
    assert tuple(f"{relative_error(sampler, steps):+.3e}" for sampler in (euler, heun, dpm_solver_2m)) \
        == PUBLISHED[steps]


@pytest.fixture(scope="module")
def flow():
    """Ten noisy points of the mixture and where the flow takes them: Heun extrapolated to step 0."""
    x = start(10, 80.0, np.random.default_rng(SEED))
    fine, finer = (heun(LAW.denoise, x, karras_sigmas(n)) for n in (200, 400))
    return x, finer + (finer - fine) / 3


@pytest.mark.parametrize("sampler, order", [(euler, 1), (heun, 2), (dpm_solver_2m, 2)])
def test_orders_one_and_two(sampler, order, flow):
    coarse, fine = relative_error(sampler, 80), relative_error(sampler, 160)
    assert abs(np.log2(coarse / fine) - order) < 0.1
    x, exact = flow
    coarse, fine = (np.sqrt(np.mean((sampler(LAW.denoise, x, karras_sigmas(n)) - exact) ** 2)) for n in (60, 120))
    assert abs(np.log2(coarse / fine) - order) < 0.15


@pytest.mark.parametrize("name", WITH_NOISE)
def test_variance_follows_the_linear_recursion(name, rng):
    """x' = (v + keep s^2) / (v + s^2) x + add z with the table's keep and add; then Langevin's own two factors."""
    v, sigmas, n = 0.25, karras_sigmas(8, 0.05, 5.0), 40_000
    variance = v + sigmas[0] ** 2
    x = np.sqrt(variance) * rng.standard_normal((n, 1))
    for s, lower in zip(sigmas[:-1], sigmas[1:]):
        eta = {"ddim 0.5": 0.5, "ddim 1": 1.0}.get(name)
        if eta is None:
            keep, add2 = lower ** 2 / s ** 2, (s ** 2 - lower ** 2) * (lower > 0)
        else:
            add2 = eta ** 2 * lower ** 2 * (1 - lower ** 2 / s ** 2)
            keep = np.sqrt(lower ** 2 - add2) / s
        variance = ((v + keep * s ** 2) / (v + s ** 2)) ** 2 * variance + add2
        if name == "predictor_corrector" and lower > 0:
            dt = 2 * 0.16 ** 2 * lower ** 2
            variance = (1 - dt / (v + lower ** 2)) ** 2 * variance + 2 * dt
    x = SAMPLERS[name][0](GAUSSIAN.denoise, x, sigmas, rng)
    assert abs(np.mean(x ** 2) / variance - 1) < 5 * np.sqrt(2 / n)


def test_langevin_rests_at_the_variance_that_is_stated():
    """Its step is a x + c z; the law that it leaves alone has variance c^2 / (1 - a^2) = V / (1 - dt / (2 V))."""
    above, sigma, ratio = 0.9, 0.7, 0.25
    V, dt = 0.25 + sigma ** 2, 2 * (ratio * sigma) ** 2
    at_0, at_1 = (predictor_corrector(lambda x, level: GAUSSIAN.denoise(x, level) if level == sigma else x,
                                      np.full((1, 1), x), [above, sigma], np.random.default_rng(SEED), ratio)[0, 0]
                  for x in (0.0, 1.0))                      # above sigma no score: the predictor only adds noise
    of_predictor, z = np.random.default_rng(SEED).standard_normal(2)
    a = at_1 - at_0
    c = (at_0 - a * np.sqrt(above ** 2 - sigma ** 2) * of_predictor) / z
    assert c ** 2 / (1 - a ** 2) == pytest.approx(V / (1 - dt / (2 * V)), rel=1e-10)


# ---- 4 exact counterpart ----

def test_with_the_true_eps_ddim_lands_exactly_on_the_next_level(rng):
    """eta = 0 and x0 known: x0 + sigma eps becomes x0 + lower eps, for any step."""
    x0, eps = rng.normal(size=(2, 5, 3))
    for sigma, lower in ((80.0, 79.0), (2.0, 0.1), (0.5, 0.0)):
        for sampler in (SAMPLERS["ddim 0"][0], SAMPLERS["euler"][0]):
            x = sampler(lambda x, s: x0, x0 + sigma * eps, [sigma, lower], rng)
            np.testing.assert_allclose(x, x0 + lower * eps, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma, lower", [(80.0, 79.0), (2.0, 0.1), (0.5, 0.4999)])
def test_ancestral_sampling_is_gaussian_conditioning(sigma, lower, rng):
    """Given x0, (x_lower, x_sigma) is Gaussian: x_sigma is x_lower plus independent noise."""
    x0, x = rng.normal(size=(5, 1)), rng.normal(size=(5, 1)) * sigma
    covariance = np.array([[lower ** 2, lower ** 2], [lower ** 2, sigma ** 2]])
    gain = covariance[0, 1] / covariance[1, 1]
    mean, variance = x0 + gain * (x - x0), covariance[0, 0] - gain * covariance[0, 1]
    drawn = ddim(lambda x, s: x0, x, [sigma, lower], 1.0, np.random.default_rng(SEED))
    z = np.random.default_rng(SEED).standard_normal((5, 1))
    np.testing.assert_allclose(drawn, mean + np.sqrt(variance) * z, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "ddim 0"])     # the same as euler
def test_the_exact_denoiser_gives_the_data_distribution(name, rng):
    """KL by nearest neighbors within its error of 0; means and covariances within theirs."""
    n, steps = 2000, 40 if name in ("heun", "dpm_solver_2m") else 160               # of order 2, of order 1
    x = SAMPLERS[name][0](LAW.denoise, start(n, 10.0, rng), karras_sigmas(steps, 0.005, 10.0), rng)
    kl = kl_nearest_neighbor(LAW.sample(n, rng), x)
    assert abs(kl.value) < 5 * kl.stderr < 0.1
    assert (np.abs(x.mean(axis=0) - LAW.mean()) < 5 * x.std(axis=0) / np.sqrt(n)).all()
    away = x - LAW.mean()
    products = away[:, :, None] * away[:, None, :]
    assert (np.abs(products.mean(axis=0) - LAW.covariance()) < 5 * products.std(axis=0) / np.sqrt(n)).all()


def test_a_step_to_zero_ends_in_the_denoiser_without_noise(sampler, rng):
    x = start(5, 0.3, rng)
    np.testing.assert_allclose(sampler(LAW.denoise, x, [0.3, 0.0], rng), LAW.denoise(x, 0.3), rtol=1e-12)


# ---- what callers rely on ----

@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "dpm_solver_2m"])
def test_a_run_may_be_cut_at_any_level(name, rng):
    """All but the multistep method: levels above the cut, then those below it, are the whole run, bit for bit."""
    x, sigmas, sampler = start(5, 80.0, rng), karras_sigmas(9), SAMPLERS[name][0]
    whole = sampler(LAW.denoise, x, sigmas, np.random.default_rng(SEED))
    rng = np.random.default_rng(SEED)
    half = sampler(LAW.denoise, x, sigmas[:5], rng)
    np.testing.assert_array_equal(sampler(LAW.denoise, half, sigmas[4:], rng), whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_the_dtype_of_x_stays_and_so_does_x(sampler, dtype, rng):
    x, seen = start(4, 80.0, rng).astype(dtype), []

    def denoise(x, sigma):
        seen.append((x.dtype, type(sigma)))
        return x * dtype(0.25 / (0.25 + sigma ** 2))
    kept = x.copy()
    first, second = (sampler(denoise, x, karras_sigmas(5), np.random.default_rng(SEED)) for _ in range(2))
    assert first.dtype == dtype and set(seen) == {(np.dtype(dtype), float)}
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("call, error, says", [
    (lambda rng: karras_sigmas(0), ValueError, "n must be at least 1"),
    (lambda rng: karras_sigmas(4, 1.0, 0.5), ValueError, "sigma_min must be below sigma_max"),
    (lambda rng: karras_sigmas(4, rho=-1.0), ValueError, "rho must be a positive"),
    (lambda rng: euler(LAW, X, [1.0, 0.0]), TypeError, "denoise must be a function"),
    (lambda rng: euler(LAW.denoise, X.astype(int), [1.0, 0.0]), TypeError, "floating point"),
    (lambda rng: heun(LAW.denoise, X * np.nan, [1.0, 0.0]), ValueError, "x must be finite"),
    (lambda rng: heun(LAW.denoise, X, [1.0]), ValueError, "two or more levels that decrease"),
    (lambda rng: heun(LAW.denoise, X, [0.0, 1.0]), ValueError, "two or more levels that decrease"),
    (lambda rng: heun(LAW.denoise, X, [1.0, 1.0, 0.0]), ValueError, "two or more levels that decrease"),
    (lambda rng: dpm_solver_2m(LAW.denoise, X, [1.0, -1.0]), ValueError, "two or more levels that decrease"),
    (lambda rng: dpm_solver_2m(LAW.denoise, X, [np.inf, 0.0]), ValueError, "sigmas must be finite"),
    (lambda rng: euler(lambda x, s: x[:, :1], X, [1.0, 0.0]), ValueError, r"denoise must return shape \(3, 2\)"),
    (lambda rng: ddim(LAW.denoise, X, [1.0, 0.0], 1.5, rng), ValueError, r"eta must be one number in \[0, 1\]"),
    (lambda rng: ddim(LAW.denoise, X, [1.0, 0.0], [0.5, 1.0], rng), ValueError, "eta must be one number"),
    (lambda rng: ddim(LAW.denoise, X, [1.0, 0.0], 1.0, 7), TypeError, "Generator"),
    (lambda rng: euler_maruyama(LAW.denoise, X, [1.0, 0.0], None), TypeError, "Generator"),
    (lambda rng: predictor_corrector(LAW.denoise, X, [1.0, 0.0], rng, 0.0), ValueError, "ratio must be"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)
