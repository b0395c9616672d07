from math import comb

import numpy as np
import pytest

from scratch.divergence import two_sample
from scratch.divergence.two_sample import classifier_two_sample


def two_gaussians(rng, n, m, dim, shift):
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + shift


@pytest.fixture
def first_column(monkeypatch):
    """The first column in the place of a trained network; holds what it was trained on and asked for."""
    trained, asked = [], []

    def train(x, y, rng, **settings):
        trained.extend([x, y])
        return lambda rows: asked.append(rows) or rows[:, 0]

    monkeypatch.setattr(two_sample, "train_log_ratio", train)
    return trained, asked


@pytest.mark.parametrize("n, m, shift", [(30, 41, -0.8), (17, 16, 0.0), (12, 50, 2.0)])
def test_accuracy_error_and_p_value_equal_a_hand_count(first_column, rng, n, m, shift):
    result = classifier_two_sample(*two_gaussians(rng, n, m, 2, shift), rng)
    test_x, test_y = (rows[:, 0] for rows in first_column[1])
    n, m = len(test_x), len(test_y)
    right_x, right_y = sum(test_x > 0), sum(test_y <= 0)
    a, b = right_x / n, right_y / m
    assert result.value == pytest.approx((a + b) / 2, rel=1e-14)
    assert result.stderr == pytest.approx(np.sqrt(a * (1 - a) / n + b * (1 - b) / m) / 2, rel=1e-14)
    assert result.n == n + m
    # Fisher: given how many are called x in all, the chance of so many or more among the x
    called = right_x + m - right_y
    ways = sum(comb(n, k) * comb(m, called - k) for k in range(right_x, min(n, called) + 1))
    assert result.p_value == pytest.approx(ways / comb(n + m, called), rel=1e-9)


def test_rows_to_train_on_and_to_test_on_are_disjoint_halves(first_column, rng):
    x, y = two_gaussians(rng, 20, 31, 2, 0.0)
    classifier_two_sample(x, y, rng)
    for trained, tested, whole in zip(*first_column, (x, y)):
        assert abs(len(trained) - len(tested)) <= 1
        assert np.array_equal(np.sort(np.concatenate([trained, tested]), axis=0), np.sort(whole, axis=0))
        assert not np.array_equal(trained, whole[:len(trained)])                  # in random order


def test_equal_laws_get_even_p_values():
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p_values.append(classifier_two_sample(*two_gaussians(rng, 80, 120, 2, 0.0), rng, (8,), 20).p_value)
    p_values = np.array(p_values)
    assert np.mean(p_values < 0.05) <= 0.12 and 0.25 < np.mean(p_values < 0.5) < 0.65


def test_different_laws_are_told_apart_but_no_better_than_by_the_bayes_rule(rng):
    # N(0, I) against N(mu, I): 1/2 + TV / 2 = Phi(|mu| / 2), here 0.8413 for |mu| = 2.
    result = classifier_two_sample(*two_gaussians(rng, 1000, 1000, 2, np.sqrt(2)), rng, steps=100)
    assert result.p_value < 1e-10
    assert 0.8413 - 0.05 < result.value < 0.8413 + 4 * result.stderr


def test_a_network_that_says_one_thing_only_finds_no_difference(first_column, rng):
    x, y = two_gaussians(rng, 20, 20, 1, 0.0)
    result = classifier_two_sample(np.abs(x), np.abs(y), rng)
    assert (result.value, result.stderr, result.p_value) == (0.5, 0, 1)


def test_same_seed_same_bits():
    x, y = two_gaussians(np.random.default_rng(0), 30, 30, 2, 1.0)
    once, again = (classifier_two_sample(x, y, np.random.default_rng(1), (4,), 5) for _ in range(2))
    assert once == again


def test_bad_input_is_refused(rng):
    x, y = two_gaussians(rng, 20, 20, 2, 0.0)
    with pytest.raises(ValueError, match="at least 8 rows of x and of y, got 20 and 7"):
        classifier_two_sample(x, y[:7], rng)
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator"):
        classifier_two_sample(x, y, 0)
    with pytest.raises(ValueError, match="same number of columns"):
        classifier_two_sample(x, y[:, :1], rng)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        classifier_two_sample(x, y, rng, steps=0)
