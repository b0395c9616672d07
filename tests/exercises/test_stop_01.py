"""Answers to the exercises of stop 1, one whole gradient."""
import numpy as np
import pytest

from exercises.stops import stops
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import form, judged, names


def test_change():
    """The bias in the penalty: value and gradient agree, but the loss is no longer the one that is defined."""
    assert judged("scratch/discriminative/logistic_regression.py",
                  ("self.penalty / 2 * np.sum(w * w)         # (3)", "self.penalty / 2 * (w @ w + b * b)"),
                  ("        db = np.sum(da)  ", "        db = np.sum(da) + self.penalty * b  "),
                  tests=stops()["1"].tests) == [True, False]


def test_1_1(rng):
    """da = (e^a - y) / N; then dw and db as in every linear model."""
    x, y, theta = rng.standard_normal((7, 2)), rng.integers(5, size=7), rng.standard_normal(3)

    def value(theta):
        a = x @ theta[:2] + theta[2]
        return np.mean(np.exp(a) - y * a)
    da = (np.exp(x @ theta[:2] + theta[2]) - y) / len(x)
    assert gradient_error(value, theta, np.append(x.T @ da, da.sum())) < 1e-12


def test_1_2():
    """The naive loop of the definition sees it.  The gradient check compares the wrong value with its own gradient."""
    bug = form("B10", 2)
    assert names(bug.red) == ["test_loss_is_the_naive_loop"]
    assert names(bug.blind) == ["test_the_gradient_of_the_loss_is_exact_in_every_parameter[LogisticRegression]"]


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_1_3(penalty, rng):
    """db = 0 makes the sum 0 under both, as the bias is not penalized; dw = 0 makes the second one -penalty w."""
    x = rng.standard_normal((200, 2))
    y = rng.random(200) < 1 / (1 + np.exp(-x[:, 0]))
    model = LogisticRegression(2, penalty=penalty)
    theta = model.fit(np.column_stack([x, y]))
    error = np.exp(model.log_posterior(theta, x)[:, 1]) - y
    assert abs(error.sum()) < 1e-8
    np.testing.assert_allclose(x.T @ error / len(x), -penalty * theta[:2], atol=1e-10)
