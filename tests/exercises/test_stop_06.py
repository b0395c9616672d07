"""Answers to the exercises of stop 6, variational autoencoders."""
import numpy as np

from exercises.stops import stops
from scratch.explicit.vae import VAE
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import form, names


def test_change():
    """It is B4: the naive loop sees it.  Value and gradient agree, so the complex step does not."""
    bug = form("B4", 2)
    assert [stops()["6"].tests[0] in bug.red, stops()["6"].tests[1] in bug.blind] == [True, True]


def test_6_1(rng):
    """m, and s^2 - 1."""
    m, log_s = at = rng.standard_normal(2)
    assert gradient_error(lambda q: 0.5 * (q[0] ** 2 + np.exp(2 * q[1]) - 2 * q[1] - 1), at,
                          np.array([m, np.exp(2 * log_s) - 1])) < 1e-12


def test_6_2():
    """KL(p || p) = 0 sees it.  The gradient and so training are the same; each number that is reported is wrong."""
    bug = form("B6", 4)
    assert bug.name == "Without the constant" and names(bug.blind) == ["test_gradient_in_every_parameter"]
    assert names(bug.red) == ["test_kl_of_the_prior_to_itself_is_zero_and_never_negative"]


def test_6_3(rng):
    """The importance-weighted bound rises toward log p.  The ELBO keeps its expectation and has less noise."""
    model, x = VAE(2, hidden=(8,), prior=1), rng.standard_normal((4000, 2))
    theta = model.init(rng, np.float64) + 0.3 * rng.standard_normal(model.size)
    one, twenty = rng.standard_normal((1, 4000, 2)), rng.standard_normal((20, 4000, 2))
    rise = model.importance_bound(theta, x, twenty) - model.importance_bound(theta, x, one)
    assert rise.mean() > 5 * rise.std() / np.sqrt(len(x))
    change = model.elbo(theta, x, twenty) - model.elbo(theta, x, one)
    assert abs(change.mean()) < 5 * change.std() / np.sqrt(len(x))
