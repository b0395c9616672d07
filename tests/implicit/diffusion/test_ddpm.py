import numpy as np
import pytest

from scratch.data.distributions import LAWS, moons, ring
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion import ddpm
from scratch.implicit.diffusion.chain import Chain, cosine
from scratch.implicit.diffusion.ddpm import DDPM, bound_coefficients, last_term, noise_error
from scratch.implicit.diffusion.samplers import ddim
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit

MODEL = DDPM(dim=3, steps=6, hidden=(5, 4))


def normal(mean, std):
    return GaussianMixture([[mean]], [[[std ** 2]]], [1.0])


class Signs(np.random.Generator):
    """In place of N(0, 1): the rows +1, -1, +1, ...  A mean of something quadratic in the noise is then exact."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, shape, dtype=float):
        return np.resize([[1.0], [-1.0]], shape)


def expected_bound(chain, law, points):
    """E over the noise of L_0 + ... + L_T at points of a one-dimensional Gaussian law, exactly."""
    terms = ddpm.bound_terms(chain, law.denoise, np.repeat(points, 2)[:, None], Signs())
    return terms.sum(axis=0).reshape(-1, 2).mean(axis=1)


def model_law(chain, mean, std):
    """Mean and variance of p(x_0) with the exact denoiser of N(mean, std^2): an affine recursion."""
    m, v = 0.0, 1.0
    for t in range(chain.steps, 0, -1):
        gain = std ** 2 / (std ** 2 + chain.sigma[t] ** 2)
        of_x0, of_x = chain.posterior_weights(t)
        factor = of_x0 * gain / np.sqrt(chain.alpha_bar[t]) + of_x
        m, v = factor * m + of_x0 * (1 - gain) * mean, factor ** 2 * v + chain.beta[t]
    return m, v


# ---- 1 definition ----

def test_loss_is_the_naive_loop(rng):
    theta, x = MODEL.init(rng, np.float64), rng.normal(size=(4, 3))
    t, eps = MODEL.draw_noise(rng, 4)
    total = 0.0
    for n in range(4):
        abar = np.prod(1 - MODEL.chain.beta[1:t[n] + 1])
        x_t = np.sqrt(abar) * x[n] + np.sqrt(1 - abar) * eps[n]
        eps_hat, _ = MODEL.network(theta, x_t[None], 0.25 * np.log(np.sqrt(1 / abar - 1)))
        total += np.sum((eps[n] - eps_hat[0]) ** 2)
    assert abs(MODEL.loss(theta, x, (t, eps))[0] - total / x.size) < 1e-12


def test_loss_is_the_noise_error_of_the_denoiser(rng):
    """eps, x_0 and x_t are one triangle: the error in eps is the error in x_0 over sigma."""
    theta, x = MODEL.init(rng, np.float64), rng.normal(size=(5, 3))
    for t in (1, 4, 6):
        eps = rng.normal(size=x.shape)
        error = ddpm.noise_error(MODEL.chain, lambda x, s: MODEL.denoise(theta, x, s), x, t, eps)
        assert abs(MODEL.loss(theta, x, (np.full(5, t), eps))[0] / (error.mean() / 3) - 1) < 1e-10


def test_every_t_from_1_to_T_is_trained_equally_often(rng):
    t, eps = MODEL.draw_noise(rng, 60_000)
    counts = np.bincount(t)
    assert len(counts) == 7 and counts[0] == 0
    assert np.abs(counts[1:] - 10_000).max() < 5 * np.sqrt(10_000 * 5 / 6)
    assert abs(eps.mean()) < 5 / np.sqrt(eps.size) and abs(eps.var() - 1) < 5 * np.sqrt(2 / eps.size)


def test_bound_terms_are_kl_divergences():
    """Between the two reverse Gaussians: L_(t-1) from the posterior's mean and variance and the model's, by the general formula."""
    chain, law, x0 = Chain(6, cosine), LAWS["moons"], np.array([[0.4, -0.3]])
    terms = ddpm.bound_terms(chain, law.denoise, x0, np.random.default_rng(5))[:, 0]
    same = np.random.default_rng(5)
    for t in range(1, 7):
        x = chain.noised(x0, t, same.standard_normal(x0.shape))
        guess = ddpm.reverse_mean(chain, law.denoise, x, t)[0]
        if t == 1:
            exact = -normal_log_density(x0[0], guess, chain.beta[1])
        else:
            exact = kl_gaussians(chain.posterior_mean(x, x0, t)[0], chain.posterior_variance[t] * np.eye(2),
                                 guess, chain.beta[t] * np.eye(2)).value
        assert abs(terms[t - 1] - exact) < 1e-9
    mean, variance = chain.noised(x0, 6, 0 * x0)[0], 1 - chain.alpha_bar[6]
    last = kl_gaussians(mean, variance * np.eye(2), np.zeros(2), np.eye(2))
    assert abs(terms[6] - last.value) < 1e-9


def normal_log_density(x, mean, variance):
    return np.sum(-0.5 * (x - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance))


# ---- 2 gradient ----

@pytest.mark.parametrize("model", [MODEL, DDPM(1, steps=1, hidden=(4,), schedule=cosine),
                                   DDPM(2, hidden=(4,))])
def test_gradient_in_every_parameter(model, rng):
    theta = model.init(rng, np.float64)
    theta, x = theta + 0.3 * rng.standard_normal(theta.shape), rng.normal(size=(6, model.dim))
    noise = model.draw_noise(rng, 6)
    dtheta = model.loss(theta, x, noise)[1]
    assert gradient_error(lambda theta: model.loss(theta, x, noise)[0], theta, dtheta) < 1e-10


# ---- 3 two ways to the same number, and closed forms ----

@pytest.mark.parametrize("chain", [Chain(1), Chain(5), Chain(100), Chain(100, cosine)])
def test_for_unit_data_the_bound_is_the_entropy(chain):
    """N(0, 1) data: every reverse Gaussian is exact, nothing is lost, and x_0 = -1, 1 has its second moment."""
    bound = np.mean(expected_bound(chain, normal(0.0, 1.0), [-1.0, 1.0]))
    assert abs(bound - 0.5 * np.log(2 * np.pi * np.e)) < 1e-9


@pytest.mark.parametrize("chain", [Chain(1), Chain(5), Chain(100), Chain(100, cosine)])
@pytest.mark.parametrize("std", [0.15, 1.5])
def test_the_bound_is_above_the_negative_log_density_at_every_point(chain, std):
    law = normal(0.4, std)
    mean, variance = model_law(chain, 0.4, std)
    points = np.array([-3.0, -0.5, 0.4, 2.0])
    nll = 0.5 * (points - mean) ** 2 / variance + 0.5 * np.log(2 * np.pi * variance)
    assert (expected_bound(chain, law, points) > nll).all()


def test_the_gap_of_a_thousand_steps_is_a_hundredth_of_a_nat():
    law, chain = normal(0.4, 0.15), Chain(1000)
    bound = np.mean(expected_bound(chain, law, [0.25, 0.55]))
    mean, variance = model_law(chain, 0.4, 0.15)
    kl = 0.5 * (0.15 ** 2 / variance - 1 - np.log(0.15 ** 2 / variance) + (mean - 0.4) ** 2 / variance)
    assert 0 < kl < 1e-4
    assert 0.010 < bound - law.entropy() < 0.012


def test_with_the_exact_denoiser_the_bound_is_above_the_entropy_of_a_mixture(rng):
    """By 0.44 nats for 50 steps: twice the 0.21 of N(0, 0.15^2) in one coordinate, and a little more."""
    law, x0 = LAWS["ring"], LAWS["ring"].sample(4000, rng)
    gap = ddpm.bound_terms(Chain(50), law.denoise, x0, rng).sum(axis=0) + law.log_prob(x0)
    assert abs(gap.mean() - 0.44) < 5 * gap.std() / np.sqrt(len(gap)) < 0.2


def test_no_denoiser_has_a_lower_noise_error_than_the_exact_one(rng):
    """The floor of L_simple, and what lies above it is the distance to the exact answer."""
    law, chain, n = LAWS["ring"], Chain(100), 20_000
    x0 = law.sample(n, rng)
    for t in (5, 40):
        eps = rng.standard_normal((n, 2))

        def wrong(x, sigma):
            return law.denoise(x, sigma) + 0.3 * np.sin(x) * sigma
        excess = (ddpm.noise_error(chain, wrong, x0, t, eps) - ddpm.noise_error(chain, law.denoise, x0, t, eps))
        y = x0 + chain.sigma[t] * eps
        expected = np.sum((0.3 * np.sin(y)) ** 2, axis=1).mean()
        assert abs(excess.mean() - expected) < 5 * excess.std() / np.sqrt(n)


def test_ancestral_samples_of_a_gaussian_have_the_mean_and_variance_of_the_model(rng):
    chain, n = Chain(20), 40_000
    x = ddpm.ancestral(chain, normal(0.4, 0.15).denoise, rng.standard_normal((n, 1)), rng)
    mean, variance = model_law(chain, 0.4, 0.15)
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(x.var() / variance - 1) < 5 * np.sqrt(2 / n)


def test_ancestral_sampling_with_the_exact_denoiser_gives_the_law(rng):
    law, n = ring(std=0.3), 2000
    x = ddpm.ancestral(Chain(200), law.denoise, rng.standard_normal((n, 2)), rng)
    kl = kl_adaptive_neighbors(law.sample(n, rng), x)
    assert abs(kl.value) < 5 * kl.stderr


def test_the_posterior_with_the_guess_for_the_data_is_ddim_with_eta_1():
    """Ho's other variance, btilde_t, in the sigma form of samplers.py: same noise, same samples."""
    chain, law = Chain(12), LAWS["moons"]
    x = start = np.random.default_rng(3).standard_normal((5, 2))
    same = np.random.default_rng(4)
    for t in range(12, 0, -1):
        x = ddpm.reverse_mean(chain, law.denoise, x, t)
        x = x + np.sqrt(chain.posterior_variance[t]) * same.standard_normal(x.shape)
    scaled, same = start / np.sqrt(chain.alpha_bar[-1]), np.random.default_rng(4)
    np.testing.assert_allclose(ddim(law.denoise, scaled, chain.sigma[::-1], 1.0, same), x, atol=1e-9)


# ---- 5 learning ----

def test_learns_moons_in_a_few_hundred_steps(rng):
    law, model = moons(std=0.2), DDPM(dim=2, steps=50, hidden=(32, 32))
    theta = fit(model, model.init(rng), law, rng, steps=400)
    x = law.sample(1000, rng)
    learned = model.bound_terms(theta, x, np.random.default_rng(1))
    exact = ddpm.bound_terms(model.chain, law.denoise, x, np.random.default_rng(1))
    excess = (learned - exact).sum(axis=0)                  # the same noise in both
    assert 0 < excess.mean() < 0.35 and learned[-1] == pytest.approx(exact[-1])
    samples = model.sample(theta, 1000, rng).astype(float)
    assert kl_adaptive_neighbors(x, samples).value < 0.35


def test_elbo_is_the_full_sweep_in_expectation():
    """Over the noise: every t once, and signs +-1 for eps, whose average is exact for a linear network."""
    model, x = DDPM(1, steps=6, hidden=()), np.array([[0.7]])
    theta = np.zeros(model.size)
    theta[0] = 0.3                                          # eps_hat = 0.3 x_t: |eps - eps_hat|^2 is quadratic in eps
    t, signs = np.repeat(np.arange(1, 7), 2), np.tile([[1.0], [-1.0]], (6, 1))
    one_term = model.elbo(theta, np.repeat(x, 12, axis=0), (t, signs))
    sweep = model.bound_terms(theta, np.repeat(x, 2, axis=0), Signs()).sum(axis=0)
    assert abs(one_term.mean() + sweep.mean()) < 1e-12
    assert one_term.std() > 0.1                             # the terms differ: their mean is the statement


def test_elbo_of_random_noise_averages_to_the_full_sweep(rng):
    n, x = 20_000, rng.normal(size=(1, 3))
    theta = MODEL.init(rng, np.float64)
    one_term = MODEL.elbo(theta, np.repeat(x, n, axis=0), MODEL.draw_noise(rng, n))
    sweep = -MODEL.bound_terms(theta, np.repeat(x, n, axis=0), rng).sum(axis=0)
    error = np.hypot(one_term.std(), sweep.std()) / np.sqrt(n)
    assert abs(one_term.mean() - sweep.mean()) < 5 * error
    assert MODEL.sample(theta.astype(np.float32), 4, rng).dtype == np.float32


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: DDPM(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: DDPM(2, steps=0), ValueError, "steps must be at least 1"),
    (lambda m, t, rng: DDPM(2, hidden=4), TypeError, "hidden must be"),
    (lambda m, t, rng: DDPM(2, schedule="cosine"), TypeError, "schedule must be a function"),
    (lambda m, t, rng: m.draw_noise(rng, 0), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 4)), m.draw_noise(rng, 2)), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int), m.draw_noise(rng, 2)), TypeError, "floating point"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), m.draw_noise(rng, 3)), ValueError, "noise must be"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), (np.array([0, 1]), np.zeros((2, 3)))), ValueError, "from 1 on"),
    (lambda m, t, rng: m.denoise(t[:-1], np.zeros((2, 3)), 1.0), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.elbo(t, np.zeros((0, 3)), m.draw_noise(rng, 2)), ValueError, "at least one row"),
    (lambda m, t, rng: m.elbo(t, np.full((1, 3), np.nan), m.draw_noise(rng, 1)), ValueError, "finite"),
    (lambda m, t, rng: m.elbo(t, np.zeros((2, 3)), rng), TypeError, "noise must be"),
    (lambda m, t, rng: m.bound_terms(t, np.zeros((2, 3)), 7), TypeError, "Generator"),
    (lambda m, t, rng: m.denoise(t, np.zeros((2, 3)), 0.0), ValueError, "sigma must be a positive"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 5, 7), TypeError, "Generator"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)


def test_the_elbo_of_every_t_once_is_minus_the_sum_of_the_bounds_terms(rng):
    model = DDPM(3, steps=6, hidden=(4,))
    theta, t, eps = model.init(rng, np.float64), np.arange(1, 7), rng.standard_normal((6, 3))
    x, (c, w) = np.tile(rng.standard_normal((1, 3)), (6, 1)), bound_coefficients(model.chain, 3)
    terms = [c[s] + w[s] * noise_error(model.chain, lambda x, sigma: model.denoise(theta, x, sigma), x[:1], int(s), eps[[i]])[0]
             for i, s in enumerate(t)]
    expected = -last_term(model.chain, x[:1])[0] - sum(terms)
    assert model.elbo(theta, x, (t, eps)).mean() == pytest.approx(expected, rel=1e-10)
