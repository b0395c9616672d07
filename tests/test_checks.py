import numpy as np
import pytest

from scratch import checks


@pytest.mark.parametrize("call, error, says", [
    (lambda: checks.rows(np.zeros((2, 3)), dim=2), ValueError, r"x must have shape \(n, 2\), got \(2, 3\)"),
    (lambda: checks.rows(np.zeros(3)), ValueError, r"shape \(n, dim\), got \(3,\)"),
    (lambda: checks.rows(np.zeros((0, 2)), name="batch"), ValueError, "batch must have at least one row"),
    (lambda: checks.rows(np.zeros((2, 0))), ValueError, "must have shape"),
    (lambda: checks.rows([[1, 2]]), TypeError, "floating point .* got dtype int64"),
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
