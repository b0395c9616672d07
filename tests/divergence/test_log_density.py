import numpy as np
import pytest

from scratch.divergence.log_density import CHUNK, evaluate


def test_every_row_gets_its_own_value_whatever_the_chunks():
    x = np.random.default_rng(0).normal(size=(2 * CHUNK + 7, 2))
    sizes = []

    def log_density(rows):
        sizes.append(len(rows))
        return rows[:, 0] - rows[:, 1] ** 2

    assert np.array_equal(evaluate(log_density, x, "log_p"), x[:, 0] - x[:, 1] ** 2)
    assert sizes == [CHUNK, CHUNK, 7]


def test_minus_infinity_is_a_value_and_float32_becomes_float64():
    values = evaluate(lambda x: np.full(len(x), -np.inf, np.float32), np.ones((3, 1)), "log_p")
    assert values.dtype == np.float64 and (values == -np.inf).all()


@pytest.mark.parametrize("log_density, error, message", [
    (0.5, TypeError, "log_q must be a function"),
    (lambda x: x, ValueError, r"log_q must return 3 floats of shape \(3,\).* got dtype float64 of shape \(3, 1\)"),
    (lambda x: -0.5, ValueError, r"got dtype float64 of shape \(\)"),
    (lambda x: np.zeros(len(x), int), TypeError, "got dtype int64"),
    (lambda x: np.where(x[:, 0] > 1, np.nan, 0.0), ValueError, r"finite or -inf, got nan at x = \[2.0\]"),
    (lambda x: np.where(x[:, 0] > 1, np.inf, 0.0), ValueError, r"finite or -inf, got inf at x = \[2.0\]"),
])
def test_what_is_no_log_density_is_refused_by_name(log_density, error, message):
    with pytest.raises(error, match=message):
        evaluate(log_density, np.array([[0.0], [1.0], [2.0]]), "log_q")
