"""Answers to the exercises of stop 2, backpropagation."""
import numpy as np

from exercises.stops import stops
from scratch.learning.gradient_check import gradient_error, pullback_errors
from tests.exercises.judge import form, judged, names


def test_change():
    """The code has u = a / 2 and passes da W^T / 2 down: tanh' = 1 - h^2 comes with a factor 2."""
    assert judged("scratch/kernels/dense.py",
                  ("        h.append(np.multiply(u, g[-1], out=u))              # (N, H)  (2)\n    y =",
                   "        h.append(np.tanh(2 * u))\n    y ="),
                  ("da *= g[l] + h[l] * (2 - g[l])              # (N, H)  d(2)\n        return dtheta, da @ W",
                   "da *= 2 * (1 - h[l] ** 2)\n        return dtheta, da @ W"),
                  tests=stops()["2"].tests) == [True, False]


def layer(W, b, x):
    y = np.tanh(x @ W + b)

    def pull(dy):
        da = dy * (1 - y * y)
        return x.T @ da, da.sum(axis=0), da @ W.T
    return y, pull


def test_2_1(rng):
    """da = dy (1 - y^2), then d(1) of dense.py."""
    inputs = [rng.standard_normal(shape) for shape in ((3, 4), (4,), (5, 3))]
    assert max(pullback_errors(layer, inputs, rng)) < 1e-12


def test_2_2(rng):
    """For one row a mean is a sum."""
    assert names(form("B14", 1).red) == ["test_pullback_in_every_parameter_and_input"]

    def wrong(W, b, x):
        y, pull = layer(W, b, x)
        return y, lambda dy: tuple(part / len(x) ** (i == 1) for i, part in enumerate(pull(dy)))
    for rows, seen in ((1, False), (2, True)):
        inputs = [rng.standard_normal(shape) for shape in ((3, 4), (4,), (rows, 3))]
        assert [error > 1e-3 for error in pullback_errors(wrong, inputs, rng)] == [False, seen, False]


def test_2_3(rng):
    """W = W1 W2, and dW1 = dW W2^T: the gradient of a product."""
    W1, W2, x, dy = (rng.standard_normal(shape) for shape in ((3, 4), (4, 2), (5, 3), (5, 2)))
    np.testing.assert_allclose(x @ W1 @ W2, x @ (W1 @ W2), rtol=1e-12)
    assert gradient_error(lambda W1: np.sum(dy * (x @ W1 @ W2)), W1, x.T @ dy @ W2.T) < 1e-12
