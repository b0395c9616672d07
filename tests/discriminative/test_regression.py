import numpy as np
import pytest
from scipy.stats import kstest, norm

from scratch.discriminative.regression import coverage, nats, transform


def heteroscedastic(n, rng):
    mean, std = rng.normal(size=n), np.exp(rng.normal(size=n))
    return mean, std, mean + std * rng.standard_normal(n)


def test_nats_are_scipys_log_density(rng):
    mean, std, y = heteroscedastic(40, rng)
    terms = -norm.logpdf(y, mean, std)
    estimate = nats(mean, std, y)
    assert estimate.value == pytest.approx(terms.mean())
    assert estimate.stderr == pytest.approx(terms.std(ddof=1) / 40 ** 0.5)


def test_of_the_true_density_nats_are_its_entropy(rng):
    mean, std, y = heteroscedastic(20_000, rng)
    estimate = nats(mean, std, y)
    assert abs(estimate.value - np.mean(np.log(std)) - 0.5 * np.log(2 * np.pi * np.e)) < 5 * estimate.stderr


def test_the_transform_of_the_true_density_is_uniform_and_of_a_wrong_one_is_not(rng):
    mean, std, y = heteroscedastic(2000, rng)
    assert kstest(transform(mean, std, y), "uniform").pvalue > 0.01
    assert kstest(transform(mean, 2 * std, y), "uniform").pvalue < 1e-6
    np.testing.assert_allclose(transform(mean, std, y), norm.cdf(y, mean, std))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_coverage_is_its_level_for_the_true_density(level, rng):
    mean, std, y = heteroscedastic(20_000, rng)
    found = coverage(mean, std, y, level)
    assert abs(found.value - level) < 5 * found.stderr
    assert found.value == np.mean(np.abs(y - mean) <= norm.ppf(0.5 + level / 2) * std)


@pytest.mark.parametrize("call, error, says", [
    (lambda: nats(np.zeros(2), np.ones(3), np.zeros(3)), ValueError, "one shape"),
    (lambda: nats(np.zeros(1), np.ones(1), np.zeros(1)), ValueError, "at least 2 rows"),
    (lambda: transform(np.zeros(2), np.array([1.0, 0.0]), np.zeros(2)), ValueError, "std must be positive"),
    (lambda: transform(np.zeros(2), np.ones(2), np.array([0, np.nan])), ValueError, "y must be finite"),
    (lambda: coverage(np.zeros(2), np.ones(2), np.zeros(2), 1.0), ValueError, "level must lie in"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
