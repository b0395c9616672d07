import numpy as np
import pytest

from scratch.divergence.samples import equal_rows, two_samples


def test_rows_are_in_one_group_exactly_if_they_are_equal():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, size=(40, 3)) / 2, rng.integers(0, 3, size=(30, 3)) / 2
    group = np.concatenate(equal_rows(x, y))
    rows = np.concatenate([x, y])
    same = (rows[:, None] == rows[None]).all(axis=2)
    assert np.array_equal(group[:, None] == group[None], same)
    assert set(group) == set(range(group.max() + 1))


def test_minus_zero_equals_zero():
    group_x, group_y = equal_rows(np.array([[0.0, 1.0]]), np.array([[-0.0, 1.0]]))
    assert group_x[0] == group_y[0]


def test_float32_becomes_float64_and_the_caller_keeps_its_own():
    x = np.ones((2, 1), np.float32)
    a, b = two_samples(x, x)
    a += 1
    assert a.dtype == b.dtype == np.float64 and (x == 1).all()


@pytest.mark.parametrize("x, y, error, message", [
    (np.ones((3, 2)), np.ones((3, 1)), ValueError, r"same number of columns, got shapes \(3, 2\) and \(3, 1\)"),
    (np.ones(3), np.ones((3, 1)), ValueError, r"x must have shape \(n, dim\), got \(3,\)"),
    (np.ones((3, 1)), np.ones((0, 1)), ValueError, "y must have at least one row"),
    (np.ones((3, 1)), np.ones((3, 1), int), TypeError, "y must be floating point"),
    (np.ones((3, 1)), np.full((3, 1), np.inf), ValueError, "y must be finite"),
    (np.ones((3, 1), complex), np.ones((3, 1)), TypeError, "x must be real"),
])
def test_bad_samples_are_refused_by_name(x, y, error, message):
    with pytest.raises(error, match=message):
        two_samples(x, y)
