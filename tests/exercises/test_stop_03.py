"""Answers to the exercises of stop 3, the key formula and its estimators."""
import numpy as np

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.monte_carlo import k1
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import form, names


def value(parameters):
    m, log_s = parameters
    return log_s + (1 + m * m) / 2 * np.exp(-2 * log_s) - 0.5


def test_3_1(rng):
    """m / s^2, and 1 - (1 + m^2) / s^2."""
    m, log_s = at = rng.standard_normal(2)
    square = np.exp(2 * log_s)
    assert abs(value(at) - kl_gaussians([0], [[1]], [m], [[square]]).value) < 1e-12
    assert gradient_error(value, at, np.array([m / square, 1 - (1 + m * m) / square])) < 1e-12


def test_3_2():
    """A loop over ten points.  The shift is 1 / n and the standard error about 1 / sqrt(n), larger at each n."""
    assert names(form("B29", 1).red) == ["test_fixed_k_equals_a_loop_over_the_points",
                                         "test_adaptive_k_equals_a_loop_over_the_points"]
    n = np.array([10, 1000, 100_000])
    assert (1 / n < 1 / np.sqrt(n)).all()


def test_change_and_3_3(rng):
    """E_q[log p - log q] = -KL(q || p): the other direction, with a minus."""
    p, q = (GaussianMixture([[0.0]], [[[variance]]], [1.0]) for variance in (1.0, 4.0))
    x = q.sample(20_000, rng)
    terms = k1(q.log_prob(x) - p.log_prob(x))
    other = kl_gaussians([0], [[4]], [0], [[1]]).value
    assert abs(terms.mean() + other) < 5 * terms.std() / np.sqrt(len(x)) < 0.1
