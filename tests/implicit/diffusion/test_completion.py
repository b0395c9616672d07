from itertools import pairwise

import numpy as np
import pytest

from scratch.data.distributions import GaussianMixture, moons, ring
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.entropy import kl_cross_entropy
from scratch.implicit.diffusion.completion import exact_guidance, reconstruction_guidance, repaint, replacement
from scratch.implicit.diffusion.likelihood import mixture_jvp
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient

MEAN, S = np.array([0.3, -0.5]), np.array([[1.2, 0.9], [0.9, 0.8]])
GAUSSIAN = GaussianMixture(MEAN[None], S[None], [1.0])
Y = 2.0                                                     # the known x_0; x_1 is to be drawn


def noise(n, dim, sigma, rng):
    return sigma * rng.standard_normal((n, dim))


def law_of_the_rest(sigmas, turns, law=(MEAN, S, Y)):
    """Mean and variance of x_1 when repaint is done, by the recursion that it is on Gaussian data.

    D_1 = m_1 + G_10 (x_0 - m_0) + G_11 (x_1 - m_1) with x_0 = y + sigma eps, and the step is
    x_1' = a x_1 + (1 - a) D_1 + lower sqrt(1 - a) z, where a = lower^2 / sigma^2.
    """
    (m_0, m_1), S, y = law
    mean, variance = 0.0, sigmas[0] ** 2
    for sigma, lower in pairwise(np.asarray(sigmas).tolist()):
        G_10, G_11 = np.linalg.solve(S + sigma ** 2 * np.eye(2), S[:, 1]).tolist()    # G is symmetric
        a = lower ** 2 / sigma ** 2
        for turn in range(turns):
            variance += (sigma ** 2 - lower ** 2) * (turn > 0)
            mean = a * mean + (1 - a) * (m_1 + G_10 * (y - m_0) + G_11 * (mean - m_1))
            variance = ((a + (1 - a) * G_11) ** 2 * variance + ((1 - a) * G_10 * sigma) ** 2
                        + lower ** 2 * (1 - a))
    return mean, variance


def bias(sigmas, turns):
    """KL(what comes out || p(x_1 | x_0 = 1.5)) in nats for the pair of the module's docstring, exact."""
    mean, variance = law_of_the_rest(sigmas, turns, (np.zeros(2), np.array([[1.0, 0.8], [0.8, 1.0]]), 1.5))
    return kl_gaussians([mean], [[variance]], [0.8 * 1.5], [[1 - 0.8 ** 2]]).value


# ---- replacement and repaint against their closed form ----

@pytest.mark.parametrize("sigmas", [karras_sigmas(12), np.array([1.5, 0.8, 0.3, 0.0])])
@pytest.mark.parametrize("turns", [1, 4])
def test_both_moments_follow_a_linear_recursion(turns, sigmas, rng):
    n = 20_000
    x = repaint(GAUSSIAN.denoise, noise(n, 2, sigmas[0], rng), sigmas, {0: Y}, rng, turns)[:, 1]
    mean, variance = law_of_the_rest(sigmas, turns)
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(x.var() - variance) < 5 * variance * np.sqrt(2 / n)


def test_replacement_is_repaint_with_one_turn(rng):
    x, sigmas = noise(50, 2, 80, rng), karras_sigmas(5)
    one = replacement(GAUSSIAN.denoise, x, sigmas, {1: Y}, np.random.default_rng(3))
    two = repaint(GAUSSIAN.denoise, x, sigmas, {1: Y}, np.random.default_rng(3), turns=1)
    np.testing.assert_array_equal(one, two)


def test_more_steps_do_not_remove_the_bias_of_replacement_and_turns_with_many_steps_do():
    few, many = (bias(karras_sigmas(n), turns=1) for n in (500, 2000))
    assert abs(few - many) < 0.02 * many and f"{many:.2f}" == "0.31"
    turned = [bias(karras_sigmas(1000), turns) for turns in (1, 4, 16, 64)]
    assert all(after < before / 4 for before, after in zip(turned, turned[1:])) and f"{turned[-1]:.4f}" == "0.0001"
    assert bias(karras_sigmas(10), turns=64) > 0.05         # turns alone do not: the error of long steps stays


# ---- the exact conditional denoiser ----

def posterior(law, x, sigma, nodes, cell):
    """The definition: mean and covariance of x0 on the nodes, weighted by p(x0) N(x; x0, sigma^2)."""
    weight = np.exp(law.log_prob(nodes) - 0.5 * ((x - nodes) ** 2).sum(axis=1) / sigma ** 2) * cell
    weight /= weight.sum()
    mean = weight @ nodes
    return mean, (weight[:, None] * (nodes - mean)).T @ (nodes - mean)


@pytest.mark.parametrize("sigma", [0.2, 0.7])
def test_exact_guidance_is_the_posterior_mean(sigma, rng):
    law, x = moons(0.3), rng.normal(size=(3, 2))
    line, cell = midpoints([(-4, 4)], 600)
    nodes = np.hstack([line, np.full_like(line, 0.4)])
    exact = [posterior(law, row, sigma, nodes, cell)[0] for row in x]
    np.testing.assert_allclose(exact_guidance(law, {1: 0.4})(x, sigma), exact, rtol=1e-9)


@pytest.mark.parametrize("sigma", [0.2, 0.7])
def test_guidance_is_gaussian_conditioning(sigma, rng):
    law, x = moons(0.3), rng.normal(size=(3, 2))
    guided = reconstruction_guidance(mixture_jvp(law), {1: 0.4})(x, sigma)
    for row, found in zip(x, guided):
        mean, C = posterior(law, row, sigma, *midpoints([(-3, 3)] * 2, 150))
        np.testing.assert_allclose(found, mean + C[:, 1] / C[1, 1] * (0.4 - mean[1]), rtol=1e-7)


@pytest.mark.parametrize("axes", [[2], [2, 0], [3, 0, 2]])
def test_reconstruction_guidance_is_exact_for_a_gaussian(axes, rng):
    root = rng.normal(size=(4, 4))
    law = GaussianMixture(rng.normal(size=(1, 4)), [root @ root.T], [1.0])
    known = dict(zip(axes, rng.normal(size=len(axes))))
    x = rng.normal(size=(6, 4))
    for sigma in (0.05, 1.0, 50.0):
        np.testing.assert_allclose(reconstruction_guidance(mixture_jvp(law), known)(x, sigma),
                                   exact_guidance(law, known)(x, sigma), rtol=1e-8, atol=1e-10)


def test_a_least_below_the_laws_own_width_changes_nothing_and_one_above_it_bounds_the_correction(rng):
    x = rng.normal(size=(6, 2))
    denoise_jvp, narrowest = mixture_jvp(GAUSSIAN), np.sqrt(np.linalg.eigvalsh(S)[0])
    free, mild = (reconstruction_guidance(denoise_jvp, {0: Y}, least)(x, 0.7) for least in (0.0, 0.9 * narrowest))
    np.testing.assert_allclose(mild, free, rtol=1e-12)

    def flat(x, x_dot, sigma):                              # a bad network: dD/dx is negative
        return 0 * x, -0.1 * x_dot[:, :1] * np.ones(2)
    guided = reconstruction_guidance(flat, {0: Y}, least=2.0)(x, 1.0)
    np.testing.assert_allclose(guided, [[Y, -0.1 / 0.8 * Y]] * 6, rtol=1e-12)     # 0.8 = 4 / (4 + 1)
    with pytest.raises(ValueError, match="got an eigenvalue of 0 at sigma = 1: give a least > 0"):
        reconstruction_guidance(flat, {0: Y})(x, 1.0)
    with pytest.raises(ValueError, match="got an eigenvalue of 0 at sigma = 1"):           # flat at one row of six
        reconstruction_guidance(lambda x, x_dot, sigma: (0 * x, np.arange(6.0)[:, None] * x_dot), {0: Y})(x, 1.0)


def test_reconstruction_guidance_is_not_exact_where_x0_given_x_has_several_modes():
    law, x = ring(), np.array([[1.0, 0.5]])
    exact = exact_guidance(law, {0: 1.4})(x, 0.5)
    guess = reconstruction_guidance(mixture_jvp(law), {0: 1.4})(x, 0.5)
    assert exact[0, 1] > 1.3 and guess[0, 1] < 1.2


def test_mixture_jvp_is_the_derivative_of_the_denoiser(rng):
    law, x, x_dot = moons(0.3), rng.normal(size=(1, 2)), rng.normal(size=(1, 2))
    value, along = mixture_jvp(law)(x, x_dot, 0.6)
    np.testing.assert_allclose(value, law.denoise(x, 0.6), rtol=1e-14)
    for i in range(2):
        slope = gradient(lambda x: law.denoise(x, 0.6)[0, i], x)
        assert abs(along[0, i] - (slope * x_dot).sum()) < 1e-12


@pytest.mark.parametrize("law, y", [(moons(0.2), 0.5), (ring(5, 1.5, 0.3), -0.4)])
def test_samples_by_exact_guidance_follow_the_conditional_law_and_replacement_does_not(law, y, rng):
    n, exact, sigmas = 8000, law.conditional([0], [y]), karras_sigmas(24)
    x = heun(exact_guidance(law, {0: y}), noise(n, 2, 80, rng), sigmas)
    assert (x[:, 0] == y).all()
    kl = kl_cross_entropy(x[:, 1:], exact.log_prob)
    assert kl.agrees_with(0.0) and kl.stderr < 0.012
    replaced = kl_cross_entropy(replacement(law.denoise, noise(n, 2, 80, rng), sigmas, {0: y}, rng)[:, 1:],
                                exact.log_prob)
    assert replaced.value > 2 * replaced.stderr             # 7 errors as a rule: 0.045 nats


# ---- what all have in common ----

COMPLETIONS = {
    "replacement": lambda law, x, sigmas, known, rng: replacement(law.denoise, x, sigmas, known, rng),
    "repaint": lambda law, x, sigmas, known, rng: repaint(law.denoise, x, sigmas, known, rng, turns=2),
    "reconstruction": lambda law, x, sigmas, known, rng: heun(
        reconstruction_guidance(mixture_jvp(law), known), x, sigmas),
    "exact": lambda law, x, sigmas, known, rng: heun(exact_guidance(law, known), x, sigmas)}


@pytest.mark.parametrize("name", COMPLETIONS)
def test_known_coordinates_come_back_exactly_the_start_is_kept_and_the_seed_decides(name, rng):
    law = GaussianMixture(rng.normal(size=(2, 3)), [np.eye(3), np.diag([0.5, 1.0, 2.0])], [0.4, 0.6])
    x = noise(7, 3, 80, rng)
    kept = x.copy()
    first, second = (COMPLETIONS[name](law, x, karras_sigmas(4), {2: 0.1, 0: -0.7},
                                     rng=np.random.default_rng(3))
                     for _ in range(2))
    np.testing.assert_array_equal(first[:, [2, 0]], [[0.1, -0.7]] * 7)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first[:, 1]) > 0


def test_a_float32_denoiser_stays_in_float32(rng):
    x = noise(5, 2, 80, rng).astype(np.float32)
    assert repaint(lambda x, sigma: x / 2, x, karras_sigmas(3), {0: Y}, rng, 2).dtype == np.float32
    guided = reconstruction_guidance(lambda x, x_dot, sigma: (x / 2, x_dot / 2), {0: Y}, least=0.5)
    assert heun(guided, x, karras_sigmas(3)).dtype == np.float32


@pytest.mark.parametrize("known, error, says", [
    ({0: 1.0, 1: 2.0}, ValueError, "1 to 1 coordinates below 2"),
    ({}, ValueError, "1 to 1 coordinates"),
    ({2: 1.0}, ValueError, "below 2"),
    ({-1: 1.0}, ValueError, "at least 0"),
    ([0], TypeError, "known must be a dict from coordinate to value"),
    ({0.5: 1.0}, TypeError, "each coordinate of known must be an integer"),
    ({0: [1.0, 2.0]}, ValueError, "one number for each coordinate"),
    ({0: "1"}, TypeError, "the values of known must hold real numbers"),
    ({0: np.nan}, ValueError, "the values of known must be finite"),
])
@pytest.mark.parametrize("name", COMPLETIONS)
def test_bad_known_coordinates_are_named(name, known, error, says, rng):
    with pytest.raises(error, match=says):
        COMPLETIONS[name](GAUSSIAN, noise(4, 2, 80, rng), karras_sigmas(3), known, rng=rng)


@pytest.mark.parametrize("change, error, says", [
    (dict(turns=0), ValueError, "turns must be at least 1"),
    (dict(rng=5), TypeError, "Generator"),
    (dict(sigmas=[0.0, 1.0]), ValueError, "sigmas must be two or more levels that decrease"),
    (dict(x=np.zeros((3, 2), int)), TypeError, "floating point"),
    (dict(denoise=None), TypeError, "denoise must be a function"),
])
def test_bad_input_is_named(change, error, says, rng):
    arguments = dict(denoise=GAUSSIAN.denoise, x=np.zeros((3, 2)), sigmas=[1.0, 0.0], known={0: 1.0}, rng=rng)
    with pytest.raises(error, match=says):
        repaint(**arguments | change)


@pytest.mark.parametrize("call, error, says", [
    (lambda: reconstruction_guidance(None, {0: 1.0}), TypeError, "denoise_jvp must be a function"),
    (lambda: reconstruction_guidance(mixture_jvp(GAUSSIAN), {0: 1.0}, -0.5), ValueError, "least must be"),
    (lambda: reconstruction_guidance(mixture_jvp(GAUSSIAN), {0: 1.0}, [1, 2]), TypeError, "least must be"),
    (lambda: exact_guidance(GAUSSIAN.denoise, {0: 1.0}), TypeError, "law must be a mixture"),
    (lambda: exact_guidance(GAUSSIAN, {0: 1.0})(np.zeros((3, 1)), 1.0), ValueError, r"must have shape \(n, 2\)"),
    (lambda: mixture_jvp(GAUSSIAN.denoise), TypeError, "law must be a mixture"),
])
def test_bad_input_of_the_guided_denoisers_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
