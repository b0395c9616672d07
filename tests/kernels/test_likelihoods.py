from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import bernoulli, norm

from scratch.grid import midpoints
from scratch.kernels.likelihoods import (bernoulli_log_density, categorical_log_density, gaussian_log_density,
                                         mixture_log_density)
from scratch.learning.gradient_check import pullback_errors


def parameters(rng, *shape):
    return rng.normal(size=shape), rng.normal(0, 2, shape), rng.normal(-0.3, 0.5, shape)


def test_value_is_the_definition(rng):
    logits, means, log_stds = parameters(rng, 4, 3, 5)
    x = rng.normal(size=(4, 3))
    log_p, _ = mixture_log_density(x, logits, means, log_stds)
    for n in range(4):
        for d in range(3):
            weights = np.exp(logits[n, d]) / np.exp(logits[n, d]).sum()
            p = sum(w * norm.pdf(x[n, d], m, np.exp(s)) for w, m, s in zip(weights, means[n, d], log_stds[n, d]))
            assert abs(log_p[n, d] - np.log(p)) < 1e-12


def test_pullback_in_the_point_and_every_parameter(rng):
    x, params = rng.normal(size=(4, 3)), parameters(rng, 4, 3, 5)
    assert max(pullback_errors(mixture_log_density, [x, *params], rng)) < 1e-12


def test_density_integrates_to_one(rng):
    nodes, cell = midpoints([(-25, 25)], 5000)
    logits, means, log_stds = (np.broadcast_to(p, (5000, 6)) for p in parameters(rng, 6))
    log_p, _ = mixture_log_density(nodes[:, 0], logits, means, log_stds)
    assert abs(cell * np.exp(log_p).sum() - 1) < 1e-12


def test_far_away_the_log_density_is_still_right():
    logits, means, log_stds = np.zeros((1, 2)), np.array([[-1.0, 1.0]]), np.zeros((1, 2))
    log_p, pull = mixture_log_density(np.array([1e4]), logits, means, log_stds)
    exact = logsumexp(norm.logpdf(1e4, means[0])) - np.log(2)
    np.testing.assert_allclose(log_p, exact, rtol=1e-14)
    assert all(np.isfinite(d).all() for d in pull(np.ones(1)))


def test_gaussian_is_scipys_normal(rng):
    x, mean, log_std = rng.normal(0, 2, (3, 4, 5))
    log_p, _ = gaussian_log_density(x, mean, log_std)
    np.testing.assert_allclose(log_p, norm.logpdf(x, mean, np.exp(log_std)), rtol=1e-12)


def test_gaussian_pullback_in_every_argument(rng):
    assert max(pullback_errors(gaussian_log_density, list(rng.normal(0, 0.7, (3, 4, 5))), rng)) < 1e-12


def test_bernoulli_is_scipys_with_its_gradient(rng):
    x, logits = rng.integers(0, 2, (4, 5)), rng.normal(0, 2, (4, 5))
    log_p, _ = bernoulli_log_density(x, logits)
    np.testing.assert_allclose(log_p, bernoulli.logpmf(x, 1 / (1 + np.exp(-logits))), rtol=1e-12)
    assert max(pullback_errors(lambda a: bernoulli_log_density(x, a), [logits], rng)) < 1e-12


def test_categorical_is_the_definition_with_gradient(rng):
    x, logits = rng.integers(0, 3, (4, 5)), rng.normal(0, 2, (4, 5, 3))
    log_p, _ = categorical_log_density(x, logits)
    for i in np.ndindex(4, 5):
        assert abs(log_p[i] - np.log(np.exp(logits[i][x[i]]) / np.exp(logits[i]).sum())) < 1e-12
    assert max(pullback_errors(lambda a: categorical_log_density(x, a), [logits], rng)) < 1e-12


def test_two_classes_are_a_bernoulli(rng):
    x, a = rng.integers(0, 2, 6), rng.normal(size=6)
    two, _ = categorical_log_density(x, np.stack([np.zeros(6), a], axis=1))
    np.testing.assert_allclose(two, bernoulli_log_density(x, a)[0], rtol=1e-13)


def test_a_bernoulli_at_a_fraction_is_minus_the_cross_entropy():
    p = 1 / (1 + np.exp(-0.7))
    log_p, _ = bernoulli_log_density(np.array([0.3]), np.array([0.7]))
    np.testing.assert_allclose(log_p, 0.3 * np.log(p) + 0.7 * np.log(1 - p), rtol=1e-14)


def test_certain_logits_cost_nothing_if_right_and_their_size_if_wrong():
    log_p, pull = bernoulli_log_density(np.array([1, 0, 1, 0]), np.array([800.0, -800.0, -800.0, 800.0]))
    np.testing.assert_array_equal(log_p, [0, 0, -800, -800])
    np.testing.assert_array_equal(pull(np.ones(4)), [0, 0, 1, -1])


@pytest.mark.parametrize("x", [np.array([3]), np.array([1.0])])
def test_a_class_that_is_not_there_is_an_error(x):
    with pytest.raises(IndexError):
        categorical_log_density(x, np.zeros((1, 3)))


def test_bernoulli_keeps_its_digits_where_the_outcome_is_nearly_certain():
    a = np.array([-100.0, -40.0, 40.0, 100.0])
    with localcontext() as context:
        context.prec = 100
        rare = [float((-Decimal(abs(v))).exp() / (1 + (-Decimal(abs(v))).exp())) for v in a]
        log = [float(-(1 + (-Decimal(abs(v))).exp()).ln()) for v in a]
    x = (a > 0).astype(float)                               # the outcome that is nearly certain
    log_p, pull = bernoulli_log_density(x, a)
    np.testing.assert_allclose(log_p, log, rtol=1e-15)
    np.testing.assert_allclose(pull(np.ones(4)), np.sign(a) * rare, rtol=1e-15)
    log_p, pull = bernoulli_log_density(1 - x, a)           # and the one that is nearly impossible
    np.testing.assert_allclose(log_p, -np.abs(a) + np.array(log), rtol=1e-15)
    np.testing.assert_allclose(pull(np.ones(4)), -np.sign(a) * (1 - np.array(rare)), rtol=1e-15)


def test_a_constant_in_all_logits_costs_no_digits(rng):
    x, (logits, means, log_stds) = rng.normal(size=4), parameters(rng, 4, 3)
    logits = np.round(logits * 2 ** 20) / 2 ** 20           # so that the sum below is exact
    shifted, _ = mixture_log_density(x, logits + 2.0 ** 30, means, log_stds)
    np.testing.assert_allclose(shifted, mixture_log_density(x, logits, means, log_stds)[0], rtol=1e-15)
