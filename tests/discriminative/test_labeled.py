import numpy as np
import pytest

from scratch.discriminative.labeled import join, labeled_inputs, split_classes, split_numbers
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.learning.training import batches


def test_split_undoes_join(rng):
    x, y = rng.normal(size=(7, 3)), rng.integers(4, size=7)
    back_x, back_y = split_classes(join(x, y), 3, 4)
    np.testing.assert_array_equal(back_x, x)
    np.testing.assert_array_equal(back_y, y)
    assert back_y.dtype.kind == "i"
    numbers = rng.normal(size=7)
    np.testing.assert_array_equal(split_numbers(join(x, numbers), 3)[1], numbers)


def test_join_keeps_the_precision_of_x(rng):
    assert join(rng.normal(size=(7, 3)).astype(np.float32), np.arange(7)).dtype == np.float32


def test_inputs_of_a_model_have_the_precision_of_theta(rng):
    model, rows = LogisticRegression(2), join(rng.normal(size=(5, 2)), np.arange(5) % 2)
    for dtype in (np.float32, np.float64, np.complex128):
        theta, x, y = labeled_inputs(model, np.ones(3, dtype), rows, classes=2)
        assert theta.dtype == dtype and x.dtype == theta.real.dtype and y.dtype.kind == "i"
    numbers = labeled_inputs(model, np.ones(3, np.float32), rows)[2]
    assert numbers.dtype == np.float32


def test_labels_stay_with_their_rows_in_the_training_loops_batches(rng):
    """The label is a function of x here, so a label shuffled apart from its row would show."""
    x = rng.normal(size=(50, 2))
    stream = batches(join(x, (x[:, 0] > 0).astype(int)), 16, rng, np.float64)
    for _ in range(10):
        x, y = split_classes(next(stream), 2, 2)
        np.testing.assert_array_equal(y, x[:, 0] > 0)


@pytest.mark.parametrize("call, error, says", [
    (lambda: join(np.zeros((3, 2)), np.zeros(2)), ValueError, r"y must have shape \(3,\)"),
    (lambda: join(np.zeros((3, 2), int), np.zeros(3)), TypeError, "floating point"),
    (lambda: split_classes(np.zeros((3, 2)), 2, 2), ValueError, r"rows must have shape \(n, 3\)"),
    (lambda: split_classes(np.full((3, 3), 0.5), 2, 2), ValueError, "classes 0 ... 1, got 0.5"),
    (lambda: split_classes(np.full((3, 3), 2.0), 2, 2), ValueError, "classes 0 ... 1, got 2.0"),
    (lambda: split_classes(np.full((3, 3), -1.0), 2, 2), ValueError, "classes 0 ... 1, got -1.0"),
    (lambda: split_classes(np.full((3, 3), np.nan), 2, 2), ValueError, "finite"),
    (lambda: split_numbers(np.zeros((3, 3), complex), 2), TypeError, "must be real"),
    (lambda: LogisticRegression(2, penalty=-0.1), ValueError, "penalty must be at least 0"),
    (lambda: LogisticRegression(2, penalty=np.inf), ValueError, "penalty must be finite"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
