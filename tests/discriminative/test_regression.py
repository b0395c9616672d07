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
    assert kstest(transform(mean, std, y), "uniform").pvalue > 1e-6
    assert kstest(transform(mean, 2 * std, y), "uniform").pvalue < 1e-12
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


def test_full_coverage_of_twenty_rows_is_no_certainty():
    found = coverage(np.zeros(20), np.ones(20), np.zeros(20))
    assert found.value == 1 and found.stderr > 0.02 and found.interval() == pytest.approx((0.8389, 1), abs=1e-4)


def test_masked_rows_are_refused_and_lists_are_taken():
    assert nats([0, 1], [1, 1], [0.0, 1.0]).value == pytest.approx(0.5 * np.log(2 * np.pi))
    with pytest.raises(ValueError, match="y has 1 masked"):
        nats([0, 1], [1, 1], np.ma.masked_array([0.0, -999.0], mask=[False, True]))
