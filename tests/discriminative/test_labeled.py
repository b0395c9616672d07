import numpy as np
import pytest

from scratch.discriminative.labeled import join, labeled_inputs, split_classes, split_numbers
from scratch.discriminative.logistic_regression import LogisticRegression, SoftmaxRegression
from scratch.discriminative.svm import LinearSVM
from scratch.learning.training import next_batch


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
    rows, waiting = join(x, (x[:, 0] > 0).astype(int)), np.arange(0)
    for _ in range(10):
        batch, waiting = next_batch(rows, waiting, 16, rng)
        x, y = split_classes(batch, 2, 2)
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
    (lambda: LogisticRegression(2, penalty=-0.1), ValueError, "penalty must be a non-negative finite number"),
    (lambda: LogisticRegression(2, penalty=np.inf), ValueError, "penalty must be a non-negative finite number, got inf"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---- types ----

class Frame:
    """What a data frame offers to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_lists_frames_and_booleans_are_taken():
    expected = np.array([[0.5, 0.2, 1.0], [0.1, 0.9, 0.0]])
    for x, y in (([[0.5, 0.2], [0.1, 0.9]], [1, 0]), (Frame([[0.5, 0.2], [0.1, 0.9]]), [True, False]),
                 (expected[:, :2], np.array([1, 0], np.uint8)), (expected[:, :2], Frame([1.0, 0.0]))):
        np.testing.assert_array_equal(join(x, y), expected)
    x, y = split_classes(Frame(expected), 2, 2)
    np.testing.assert_array_equal(y, [1, 0])
    assert LogisticRegression(2, penalty=0.1).fit(expected.tolist()).shape == (3,)


@pytest.mark.parametrize("call, says", [
    (lambda: join(np.zeros((2, 1)), np.ma.masked_array([0, -999], mask=[False, True])), "y has 1 masked"),
    (lambda: join(np.zeros((2, 1)), ["a", "b"]), "y must hold real numbers"),
    (lambda: join(np.zeros((2, 1)), [[1], [1, 2]]), "y must hold real numbers"),
    (lambda: split_classes(np.full((2, 2), 1e300), 1, 2), "classes 0 ... 1, got 1e"),
    (lambda: LogisticRegression(2, penalty="a"), "penalty must be a non-negative number, got 'a'"),
    (lambda: LogisticRegression(2, penalty=True), "penalty must be a non-negative number, got True"),
    (lambda: LogisticRegression(2, penalty=np.ones(9)), "penalty must be a non-negative number, got an array of shape"),
    (lambda: SoftmaxRegression(2, classes=2.0), "classes must be an integer"),
])
def test_what_is_refused_is_named(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()


def test_numbers_of_numpy_become_numbers_of_python():
    model = SoftmaxRegression(np.int64(2), classes=np.int32(3), penalty=np.float32(0.5))
    assert (type(model.dim), type(model.classes), type(model.penalty)) == (int, int, float)
    assert model == SoftmaxRegression(2, classes=3, penalty=0.5) and hash(model) == hash(model)


def test_an_overflow_is_no_answer():
    with pytest.raises(ValueError, match="no class has mass, or one is NaN"), np.errstate(all="ignore"):
        SoftmaxRegression(1).predict(np.array([1e200, -1e200, 0, 0]), np.array([[1e200]]))
    with pytest.raises(ValueError, match="finite"), np.errstate(all="ignore"):
        LinearSVM(2).predict(np.array([1e200, -1e200, 0]), np.array([[1e200, 1e200]]))


def test_predicts_the_most_probable_class_and_keeps_a_plain_penalty():
    model = LogisticRegression(1, penalty=np.float64(0.5))
    np.testing.assert_array_equal(model.predict(np.array([1.0, 0.0]), np.array([[2.0], [-2.0]])), [1, 0])
    assert type(model.penalty) is float
