from fractions import Fraction

import numpy as np
import pytest

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.closed_form import kl_categoricals, kl_gaussians
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.grid import midpoints
from scratch.implicit.gan import GAN
from scratch.learning.optimizers import Adam


@pytest.mark.parametrize("call, error, says", [
    (lambda: checks.rows(np.zeros((2, 3)), dim=2), ValueError, r"x must have shape \(n, 2\), got \(2, 3\)"),
    (lambda: checks.rows(np.zeros(3)), ValueError, r"shape \(n, dim\), got \(3,\)"),
    (lambda: checks.rows(np.zeros((0, 2)), name="batch"), ValueError, "batch must have at least one row"),
    (lambda: checks.rows(np.zeros((2, 0))), ValueError, r"and one column, got shape \(2, 0\)"),
    (lambda: checks.rows([[1, 2]]), TypeError, "x must be floating point, got dtype int64"),
    (lambda: checks.rows([["a"]]), TypeError, "floating point"),
    (lambda: checks.rows(np.array([[1.0, np.nan], [np.inf, 0]])), ValueError, "2 NaN or infinite of 4"),
    (lambda: checks.flat(np.zeros(3), 4), ValueError, r"theta must have shape \(4,\), got \(3,\)"),
    (lambda: checks.flat(np.zeros(3, int), 3), TypeError, "theta must be floating point"),
    (lambda: checks.flat(np.array([np.nan]), 1), ValueError, "theta must be finite"),
    (lambda: checks.array([1, 2], "a"), TypeError, "a must be floating point, got dtype int64"),
    (lambda: checks.array(1.0, "a", dimensions=1), ValueError, "1 or more dimensions"),
    (lambda: checks.constant("a", "mean"), TypeError, "mean must hold real numbers"),
    (lambda: checks.constant(1j, "mean"), TypeError, "mean must hold real numbers"),
    (lambda: checks.constant([[1], [1, 2]], "mean"), ValueError, "rows of equal length"),
    (lambda: checks.constant([np.inf], "mean"), ValueError, "mean must be finite"),
    (lambda: checks.size(0, "n"), ValueError, "n must be at least 1, got 0"),
    (lambda: checks.size(2.0, "n"), TypeError, "n must be an integer, got 2.0"),
    (lambda: checks.size(True, "n"), TypeError, "integer"),
    (lambda: checks.positive(0, "std"), ValueError, "std must be a positive finite number, got 0"),
    (lambda: checks.positive(float("inf"), "std"), ValueError, "positive finite"),
    (lambda: checks.positive("1", "std"), TypeError, "std must be a positive number"),
    (lambda: checks.generator(0), TypeError, "default_rng"),
])
def test_says_what_was_expected_and_what_came(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("x", [[[0, 3]], [[0, -1]], [[0.0, 0.5]], [[0, 1.5]]])
def test_one_entry_that_is_no_class_is_enough(x):
    with pytest.raises(ValueError, match="x must hold the integers 0 ... 2, got values from"):
        checks.class_rows(x, 2, 3)


def test_an_asymmetry_above_the_rounding_of_float32_is_refused():
    """The limit is 1e-6 of the two standard deviations, here 1 and 10; below it the two entries are averaged."""
    S = np.array([[1.0, 3.0], [3.0 + 0.9e-5, 100.0]])
    assert checks.covariances(S, "S", (2, 2))[0][0, 1] == pytest.approx(3.0 + 0.45e-5, abs=1e-12)
    S[1, 0] = 3.0 + 1.1e-5
    with pytest.raises(ValueError, match="S must be symmetric"):
        checks.covariances(S, "S", (2, 2))


def test_hands_back_what_is_good():
    x = np.zeros((2, 3), np.float32)
    assert checks.rows(x, 3) is x
    assert checks.rows(x.astype(complex)).dtype == complex  # the complex step's probe
    assert checks.flat(x[0], 3).dtype == np.float32
    assert checks.size(np.int64(3), "n") == 3
    assert checks.positive(2, "std") == 2.0
    rng = np.random.default_rng(0)
    assert checks.generator(rng) is rng


def test_widths_are_a_tuple_of_sizes():
    assert checks.widths([3, np.int64(2)], "hidden") == (3, 2) and checks.widths((), "hidden") == ()
    for bad, says in ((4, "hidden must be a tuple"), ((4.0,), "each of hidden"), ((True,), "each of hidden")):
        with pytest.raises(TypeError, match=says):
            checks.widths(bad, "hidden")
    with pytest.raises(ValueError, match="each of hidden must be at least 1"):
        checks.widths((4, 0), "hidden")


# ---- what is taken, cast and refused ----

class Frame:
    """A data frame, as far as this project can see."""

    def __init__(self, rows):
        self.rows = rows

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.rows, dtype)

    def sample(self, n):
        raise AssertionError("a data frame was taken for a distribution")


def test_a_data_frame_is_rows_and_no_law(rng):
    rows = rng.normal(size=(4, 2))
    np.testing.assert_array_equal(checks.rows(Frame(rows), 2), rows)
    for bad in (Frame(rows), np.random, GaussianMixture, rows, "ring", None):
        with pytest.raises(TypeError, match="law must be a distribution with sample"):
            checks.law(bad, "law", "sample")
    law = GaussianMixture([[0.0]], [[[1.0]]], [1.0])
    assert checks.law(law, "law", "sample", "score") is law
    with pytest.raises(TypeError, match="with sample, conditional_score"):
        checks.law(law, "law", "sample", "conditional_score")


@pytest.mark.parametrize("value", [np.float32(0.1), np.float64(0.1), np.int64(2), 3, Fraction(1, 3)])
def test_numbers_become_python_floats(value):
    for check in (checks.number, checks.positive, checks.nonnegative):
        assert type(check(value, "a")) is float
    assert checks.nonnegative(np.float32(0), "a") == 0.0 and type(checks.number(np.float64(-1), "a")) is float


@pytest.mark.parametrize("bad", [float("nan"), -np.inf, np.float64("inf")])
def test_what_no_float_holds_is_refused_in_a_short_message(bad):
    for check in (checks.number, checks.positive, checks.nonnegative):
        with pytest.raises(ValueError, match="a must be a .*finite number") as caught:
            check(bad, "a")
        assert len(str(caught.value)) < 150
    with pytest.raises(ValueError, match="non-negative"):
        checks.nonnegative(-1e-300, "a")


def test_covariances_computed_in_float32_are_taken_and_made_symmetric(rng):
    A = rng.normal(size=(3, 3)).astype(np.float32)
    S = (A @ A.T) * np.float32(7)
    S[0, 1] *= np.float32(1 + 2e-7)                         # an asymmetry of the rounding of float32
    units = np.array([1e-6, 1.0, 1e6])                      # and no matter in which units
    for scale in (np.ones(3), units):
        taken, L = checks.covariances(S * np.outer(scale, scale), "S", (3, 3))
        assert taken.dtype == np.float64 and (taken == taken.T).all()
        np.testing.assert_allclose(L @ L.T, taken, rtol=1e-10)
    S[0, 1] += 1e-4 * np.sqrt(S[0, 0] * S[1, 1])
    with pytest.raises(ValueError, match="S must be symmetric"):
        checks.covariances(S * np.outer(units, units), "S", (3, 3))


@pytest.mark.parametrize("S, says", [
    ([[1.0, 2.0], [2.0, 1.0]], "positive definite, got an eigenvalue of -1"), ([[1.0]], r"shape \(2, 2\), got \(1, 1\)"),
    ([[1.0, 0.0], [0.0, -1.0]], "positive definite"), ([[np.nan, 0], [0, 1]], "S must be finite")])
def test_what_is_no_covariance_is_refused(S, says):
    with pytest.raises(ValueError, match=says):
        checks.covariances(S, "S", (2, 2))


def test_messages_never_print_a_whole_array():
    big = np.zeros((1000, 1000))
    for check in (lambda: checks.number(big, "a"), lambda: checks.generator(big), lambda: checks.function(big, "f"),
                  lambda: checks.law(big, "law", "sample"), lambda: checks.widths(list(big), "hidden"),
                  lambda: GaussianMixture(np.zeros((1, 200)), [np.triu(np.ones((200, 200)))], [1.0]),
                  lambda: kl_gaussians(np.zeros(200), np.eye(200), np.zeros(200), -np.eye(200)),
                  lambda: kl_gaussians(np.zeros(200), np.eye(200), np.zeros(200), np.tri(200)),
                  lambda: kl_categoricals(np.ones(10_000), np.ones(10_000)), lambda: Adam(-np.ones(10_000)),
                  lambda: midpoints(np.tile([1.0, 0.0], (1000, 1)), 3), lambda: GAN(2, frequencies=-np.ones(1000)),
                  lambda: kl_monte_carlo(lambda x: np.full(len(x), -np.inf), lambda x: x[:, 0], np.zeros((9, 5000)))):
        with pytest.raises((TypeError, ValueError)) as caught:
            check()
        assert len(str(caught.value)) < 200
