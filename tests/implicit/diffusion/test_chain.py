import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion.chain import Chain, cosine, linear

CHAINS = [Chain(1000), Chain(200, cosine), Chain(7), Chain(7, cosine), Chain(1), Chain(50, lambda u: 1 - 0.9 * u)]
ONE, ZERO = np.ones((1, 1)), np.zeros((1, 1))


# ---- 1 definition ----

def test_the_linear_chain_of_a_thousand_steps_is_that_of_ho_et_al():
    chain = Chain(1000)
    np.testing.assert_allclose(chain.beta[1:], np.linspace(1e-4, 0.02, 1000), rtol=1e-9)
    naive = 1.0
    for t, beta in enumerate(np.linspace(1e-4, 0.02, 1000), start=1):
        naive *= 1 - beta
        assert abs(chain.alpha_bar[t] / naive - 1) < 1e-11
    assert f"{chain.alpha_bar[-1]:.3e}" == "4.036e-05"


def test_a_shorter_linear_chain_reads_the_same_curve_at_fewer_places():
    np.testing.assert_allclose(Chain(50).alpha_bar, Chain(1000).alpha_bar[::20], rtol=1e-11)


def test_cosine_schedule_is_the_published_formula_with_its_clip():
    def f(t):
        return np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    t = np.arange(1, 1001)
    beta = np.minimum(1 - f(t) / f(t - 1), 0.999)
    np.testing.assert_allclose(Chain(1000, cosine).beta[1:], beta, atol=1e-12)
    assert Chain(1000, cosine).beta[-1] == pytest.approx(0.999) and Chain(1000, cosine).beta[-2] < 0.8


@pytest.mark.parametrize("chain", CHAINS)
def test_every_array_starts_at_the_data_and_ends_with_step_T(chain):
    for array in (chain.alpha_bar, chain.beta, chain.sigma, chain.posterior_variance):
        assert array.shape == (chain.steps + 1,)
    starts = (chain.alpha_bar[0], chain.beta[0], chain.sigma[0], chain.posterior_variance[1])
    assert starts == (1, 0, 0, 0)
    assert (np.diff(chain.sigma) > 0).all() and (chain.beta[1:] > 0).all() and (chain.beta <= 0.999 + 1e-9).all()


# ---- 3 two methods ----

@pytest.mark.parametrize("chain", CHAINS)
def test_step_by_step_is_the_closed_form_at_every_t(chain):
    """The weight of x_0 and the variance of the noise, carried through `step`, against `noised`."""
    weight, variance = ONE, 0.0
    for t in range(1, chain.steps + 1):
        weight = chain.step(weight, t, ZERO)
        variance = variance * chain.step(ONE, t, ZERO)[0, 0] ** 2 + chain.step(ZERO, t, ONE)[0, 0] ** 2
        np.testing.assert_allclose(chain.noised(ONE, t, ZERO), weight, rtol=1e-11)
        np.testing.assert_allclose(chain.noised(ZERO, t, ONE) ** 2, variance, rtol=1e-9)


@pytest.mark.parametrize("chain", CHAINS)
def test_data_of_unit_variance_keep_it_at_every_t(chain):
    t = np.arange(chain.steps + 1)
    one, zero = np.ones((len(t), 1)), np.zeros((len(t), 1))
    np.testing.assert_allclose(chain.noised(one, t, zero) ** 2 + chain.noised(zero, t, one) ** 2, 1, rtol=1e-12)
    one, zero, t = one[1:], zero[1:], t[1:]
    np.testing.assert_allclose(chain.step(one, t, zero) ** 2 + chain.step(zero, t, one) ** 2, 1, rtol=1e-12)


@pytest.mark.parametrize("chain", CHAINS)
def test_posterior_is_brute_force_conditioning(chain):
    """The joint Gaussian of (x_(t-1), x_t) given x_0 is built from `noised` and `step`, then conditioned."""
    x0, x = np.array([[0.7]]), np.array([[-1.3]])
    for t in range(1, chain.steps + 1):
        mean_before, std_before = chain.noised(x0, t - 1, ZERO)[0, 0], chain.noised(ZERO, t - 1, ONE)[0, 0]
        mean_after = chain.step(np.array([[mean_before]]), t, ZERO)[0, 0]
        slope, std_step = chain.step(ONE, t, ZERO)[0, 0], chain.step(ZERO, t, ONE)[0, 0]
        covariance = slope * std_before ** 2
        variance_after = slope ** 2 * std_before ** 2 + std_step ** 2
        mean = mean_before + covariance / variance_after * (x[0, 0] - mean_after)
        variance = std_before ** 2 - covariance ** 2 / variance_after
        assert abs(chain.posterior_mean(x, x0, t)[0, 0] - mean) < 1e-10
        assert abs(chain.posterior_variance[t] - variance) < 1e-11


def test_posterior_and_marginal_have_the_law_of_the_forward_chain(rng):
    """x_t, then x_(t-1) from the posterior: x_(t-1) must come out as `noised` makes it."""
    chain, t, n = Chain(7), 4, 40_000
    x0 = np.full((n, 1), 0.7)
    x = chain.noised(x0, t, rng.standard_normal((n, 1)))
    back = chain.posterior_mean(x, x0, t) + np.sqrt(chain.posterior_variance[t]) * rng.standard_normal((n, 1))
    exact_mean, exact_std = 0.7 * chain.noised(ONE, t - 1, ZERO)[0, 0], chain.noised(ZERO, t - 1, ONE)[0, 0]
    assert abs(back.mean() - exact_mean) < 5 * exact_std / np.sqrt(n)
    assert abs(back.var() / exact_std ** 2 - 1) < 5 * np.sqrt(2 / n)


@pytest.mark.parametrize("chain", CHAINS)
def test_sigma_form_is_data_plus_noise(chain, rng):
    t = np.arange(chain.steps + 1)
    x0, eps = rng.normal(size=(2, len(t), 3))
    x = chain.noised(x0, t, eps) / np.sqrt(chain.alpha_bar)[:, None]
    np.testing.assert_allclose(x, x0 + chain.sigma[:, None] * eps, rtol=1e-11, atol=1e-12)


# ---- 4 exact counterpart ----

@pytest.mark.parametrize("t", [1, 3, 7])
def test_the_exact_denoiser_of_a_mixture_is_the_posterior_mean_along_the_chain(t):
    """E[x_0 | x_t] from Bayes' rule by quadrature over x_0, in the chain's own scale."""
    chain, law = Chain(7), GaussianMixture([[-1.0], [1.5]], [[[0.2]], [[0.4]]], [0.3, 0.7])
    x0 = np.linspace(-8, 8, 8001)[:, None]
    for x in (-1.2, 0.1, 0.9):
        scale, std = chain.noised(ONE, t, ZERO)[0, 0], chain.noised(ZERO, t, ONE)[0, 0]
        weights = np.exp(law.log_prob(x0) - 0.5 * ((x - scale * x0[:, 0]) / std) ** 2)
        exact = weights @ x0[:, 0] / weights.sum()
        assert abs(chain.denoised(law.denoise, np.array([[x]]), t)[0, 0] - exact) < 1e-10


# ---- one t for all rows, or one each ----

def test_rows_may_have_a_t_each(rng):
    chain, t = Chain(7), np.array([1, 7, 4])
    x, x0 = rng.normal(size=(2, 3, 2))
    for law in (chain.noised, chain.step):
        one_by_one = [law(x[i:i + 1], int(t[i]), x0[i:i + 1]) for i in range(3)]
        np.testing.assert_array_equal(law(x, t, x0), np.concatenate(one_by_one))
    one_by_one = [chain.posterior_mean(x[i:i + 1], x0[i:i + 1], int(t[i])) for i in range(3)]
    np.testing.assert_array_equal(chain.posterior_mean(x, x0, t), np.concatenate(one_by_one))


def test_single_precision_stays():
    x, t = np.ones((2, 2), np.float32), np.array([1, 5])
    chain = Chain(7)
    for y in (chain.noised(x, t, x), chain.step(x, t, x), chain.posterior_mean(x, x, t)):
        assert y.dtype == np.float32


# ---- bad input ----

X = np.zeros((3, 2))


@pytest.mark.parametrize("call, error, says", [
    (lambda c: Chain(0), ValueError, "steps must be at least 1"),
    (lambda c: Chain(5.0), TypeError, "steps must be an integer"),
    (lambda c: Chain(5, "linear"), TypeError, "schedule must be a function"),
    (lambda c: Chain(5, lambda u: 0.9 - 0.5 * u), ValueError, "abar\\(0\\) = 1"),
    (lambda c: Chain(5, lambda u: 1 + u), ValueError, "must fall"),
    (lambda c: Chain(5, lambda u: 1 - np.minimum(u, 0.5)), ValueError, "must fall"),
    (lambda c: Chain(5, lambda u: 1 - 2 * u), ValueError, "stay above 0"),
    (lambda c: c.noised(X, 8, X), ValueError, "from 0 to 7"),
    (lambda c: c.noised(X, -1, X), ValueError, "from 0 to 7"),
    (lambda c: c.step(X, 0, X), ValueError, "from 1 to 7"),
    (lambda c: c.posterior_mean(X, X, 0), ValueError, "from 1 to 7"),
    (lambda c: c.posterior_mean(X, X, np.array([1, 2])), ValueError, r"\(3,\) of them"),
    (lambda c: c.step(X, 1.0, X), TypeError, "t must be integers"),
    (lambda c: c.step(X.astype(int), 1, X), TypeError, "floating point"),
    (lambda c: c.step(X[:0], 1, X), ValueError, "at least one row"),
    (lambda c: c.noised(X * np.nan, 1, X), ValueError, "finite"),
    (lambda c: c.denoised(lambda x, s: x, X, 0), ValueError, "t must be"),
    (lambda c: c.denoised(lambda x, s: x, X, np.array([1, 2, 3])), TypeError, "t must be an integer"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call(Chain(7))
