"""Answers to the exercises of stop 5, autoregressive models."""
import importlib

import numpy as np

from exercises.stops import stops
from scratch.explicit.made import MADE
from scratch.kernels.stable import log_softmax
from scratch.learning.gradient_check import pullback_errors
from tests.exercises.judge import form, names
from tests.known_bugs.plant import planted

STATES = np.stack(np.unravel_index(np.arange(64), (2,) * 6), axis=1)
SIZES = dict(hidden=(16,), classes=2)


def test_change():
    """It is B28: the gradient check stays green."""
    leak = form("B28", 1)
    assert [stops()["5"].tests[0] in leak.red, stops()["5"].tests[1] in leak.blind] == [True, True]


def test_5_1(rng):
    """dlog_p (onehot - softmax)."""
    c = np.array([2, 0, 1])

    def log_p(a):
        y = log_softmax(a)[0]
        return y[np.arange(3), c], lambda dy: dy[:, None] * ((c[:, None] == np.arange(4)) - np.exp(y))
    assert max(pullback_errors(log_p, [rng.standard_normal((3, 4))], rng)) < 1e-12


def test_5_2(rng):
    """No: the product of conditionals that see their own bit is no distribution."""
    leak, theta = form("B28", 1), 3 * rng.standard_normal(MADE(6, **SIZES).size)
    assert names(leak.blind) == ["test_gradient_in_every_parameter"]
    with planted(leak.changes):
        leaking = importlib.import_module("scratch.explicit.made").MADE(6, **SIZES)
        assert abs(np.exp(leaking.log_prob(theta, STATES)).sum() - 1) > 0.01
    assert abs(np.exp(MADE(6, **SIZES).log_prob(theta, STATES)).sum() - 1) < 1e-12


def test_5_3(rng):
    """p(x) changes, as other weights are cut.  The mass does not: every order is a distribution."""
    theta = rng.standard_normal(MADE(6, **SIZES).size)
    p, other = (np.exp(MADE(6, orders=(order,), **SIZES).log_prob(theta, STATES))
                for order in (range(6), (5, 3, 1, 0, 2, 4)))
    assert np.abs(p - other).max() > 1e-3 and abs(p.sum() - 1) < 1e-12 and abs(other.sum() - 1) < 1e-12
