import numpy as np
import pytest

from scratch.explicit.mixture_prior import (draw_prior, kl_to_prior, log_prior, log_prior_over_q, prior_box, prior_init,
                                            prior_size)
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient_error

NORMAL = np.empty(0)                                        # N(0, I)


@pytest.fixture(params=[1, 3], ids=["normal", "mixture"])
def case(request, rng):
    """A prior of L = 2, and q of 5 rows with 4 draws of each."""
    prior = NORMAL if request.param == 1 else 0.7 * rng.standard_normal(prior_size(3, 2))
    return prior, rng.normal(size=(5, 2)), rng.normal(-0.5, 0.4, (5, 2)), rng.normal(size=(4, 5, 2))


def naive_density(prior, z):
    """p(z) at one point by its definition."""
    if not len(prior):
        return np.prod(np.exp(-0.5 * z ** 2) / np.sqrt(2 * np.pi))
    *rows, b = prior.reshape(2 * len(z) + 1, -1)
    mean, std, pi = rows[:len(z)], np.exp(rows[len(z):]), np.exp(b) / np.exp(b).sum()
    return sum(pi[k] * np.prod([np.exp(-0.5 * ((z[l] - mean[l][k]) / std[l][k]) ** 2) / np.sqrt(2 * np.pi) / std[l][k]
                                for l in range(len(z))]) for k in range(len(b)))


# ---- 1 definition ----

def test_log_density_and_kl_are_the_naive_loop(case):
    prior, mean, log_std, noise = case
    z = mean + np.exp(log_std) * noise
    log_p, ratio = log_prior(prior, z)[0], log_prior_over_q(prior, z, log_std, noise)[0]
    kl = kl_to_prior(prior, mean, log_std, z, noise)[0]
    for n in range(5):
        std = np.exp(log_std[n])
        p = [naive_density(prior, draw) for draw in z[:, n]]
        q = [np.prod(np.exp(-0.5 * ((draw - mean[n]) / std) ** 2) / np.sqrt(2 * np.pi) / std) for draw in z[:, n]]
        np.testing.assert_allclose(log_p[:, n], np.log(p), rtol=0, atol=1e-12)
        np.testing.assert_allclose(ratio[:, n], np.log(p) - np.log(q), rtol=0, atol=1e-12)
        closed = 0.5 * sum(mean[n] ** 2 + std ** 2 - np.log(std ** 2) - 1)
        assert abs(kl[n] - (np.mean(np.log(q) - np.log(p)) if len(prior) else closed)) < 1e-12


# ---- 2 gradient ----

def test_gradient_in_every_argument(case, rng):
    prior, mean, log_std, noise = case
    z, d, dkl = mean + np.exp(log_std) * noise, rng.normal(size=(4, 5)), rng.normal(size=5)
    dprior, dz = log_prior(prior, z)[1](d)
    assert gradient_error(lambda z: np.sum(d * log_prior(prior, z)[0]), z, dz) < 1e-10
    _, dz_ratio, dlog_std = log_prior_over_q(prior, z, log_std, noise)[1](d)
    ratio = lambda prior, z, s: np.sum(d * log_prior_over_q(prior, z, s, noise)[0])
    assert gradient_error(lambda z: ratio(prior, z, log_std), z, dz_ratio) < 1e-10
    assert gradient_error(lambda s: ratio(prior, z, s), log_std, np.broadcast_to(dlog_std, (5, 2))) < 1e-10
    kl = lambda prior, m, s: np.sum(dkl * kl_to_prior(prior, m, s, m + np.exp(s) * noise, noise)[0])
    dprior_kl, dmean, dlog_std = kl_to_prior(prior, mean, log_std, z, noise)[1](dkl)
    assert gradient_error(lambda m: kl(prior, m, log_std), mean, dmean) < 1e-10
    assert gradient_error(lambda s: kl(prior, mean, s), log_std, dlog_std) < 1e-10
    assert dprior.shape == prior.shape
    if len(prior):
        assert gradient_error(lambda prior: np.sum(d * log_prior(prior, z)[0]), prior, dprior) < 1e-10
        assert gradient_error(lambda prior: kl(prior, mean, log_std), prior, dprior_kl) < 1e-10


# ---- 3 two roads ----

def test_equal_gaussians_are_one(rng):
    """Three times N(0, I) is N(0, I), in value and in the gradient in z."""
    z, d = rng.normal(size=(6, 2)), rng.normal(size=6)
    (one, pull_one), (three, pull_three) = log_prior(NORMAL, z), log_prior(np.zeros(prior_size(3, 2)), z)
    np.testing.assert_allclose(three, one, rtol=1e-14)
    np.testing.assert_allclose(pull_three(d)[1], pull_one(d)[1], rtol=1e-13)


def test_the_sampled_kl_is_the_integral(rng):
    prior, mean, log_std = 0.7 * rng.standard_normal(prior_size(3, 2)), rng.normal(size=(3, 2)), np.full((3, 2), -0.4)
    noise = rng.standard_normal((20_000, 3, 2))
    z = mean + np.exp(log_std) * noise
    sampled = -log_prior_over_q(prior, z, log_std, noise)[0]
    e, cell = midpoints([(-8, 8)] * 2, 200)
    log_e = log_prior(NORMAL, e)[0]
    for n in range(3):
        at = mean[n] + np.exp(log_std[n]) * e
        exact = cell * np.exp(log_e) @ (log_e - log_std[n].sum() - log_prior(prior, at)[0])
        assert abs(sampled[:, n].mean() - exact) < 5 * sampled[:, n].std() / np.sqrt(20_000)
    np.testing.assert_allclose(kl_to_prior(prior, mean, log_std, z, noise)[0], sampled.mean(axis=0), rtol=1e-12)


def test_mass_is_1_in_the_box_and_draws_follow_the_density(rng):
    prior = 0.7 * rng.standard_normal(prior_size(3, 2))
    z, cell = midpoints(np.stack(prior_box(prior, 2, 7.0), axis=1), 400)
    p, n = cell * np.exp(log_prior(prior, z)[0]), 20_000
    assert abs(p.sum() - 1) < 1e-9
    draws = draw_prior(prior, n, 2, rng)
    for function in (lambda z: z[:, 0], lambda z: z[:, 1] ** 2, lambda z: z[:, 0] * z[:, 1],
                     lambda z: log_prior(prior, z)[0]):
        values = function(draws)
        assert abs(values.mean() - p @ function(z)) < 5 * values.std() / np.sqrt(n)


def test_the_box_reaches_radius_standard_deviations_beyond_every_gaussian():
    low, high = prior_box(np.concatenate([[0.0, 1.0, -2.0, 3.0], np.log([1.0, 2.0, 0.5, 0.1]), [0.0, 3.0]]), 2, 6.0)
    np.testing.assert_allclose([low, high], [[-11.0, -5.0], [13.0, 3.6]])
    np.testing.assert_array_equal(prior_box(NORMAL, 2, 6.5), [[-6.5, -6.5], [6.5, 6.5]])


def test_one_component_has_nothing_to_learn_and_draws_a_standard_normal(rng):
    assert prior_size(1, 2) == 0 and len(prior_init(rng, 1, 2, np.float32)) == 0
    np.testing.assert_array_equal(draw_prior(NORMAL, 7, 2, np.random.default_rng(3)),
                                  np.random.default_rng(3).standard_normal((7, 2)))
