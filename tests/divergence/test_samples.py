import numpy as np
import pytest

from scratch.divergence.samples import two_samples


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
