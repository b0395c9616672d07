import numpy as np
import pytest
from scipy.optimize import minimize

from scratch.data.distributions import ring
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.quadrature import kl_quadrature
from scratch.implicit.gan import GAN, non_saturating, relativistic
from scratch.implicit.optimal_discriminator import (cell_masses, discriminator_loss, js_lower_bound, log_ratio,
                                                    relativistic_loss)
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import gradient_error
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

P, Q = ring(modes=5, radius=1.5, std=0.4), GaussianMixture([[0.3, 0.0]], [[[1.5, 0.4], [0.4, 1.0]]], [1.0])
BOUNDS = [(-8, 8), (-8, 8)]


def line_masses(n):
    """Cell masses of two laws on a line, and log p / q at the cells."""
    p = GaussianMixture([[-1.0], [1.5]], [[[0.2]], [[0.5]]], [0.3, 0.7])
    q = GaussianMixture([[0.4]], [[[1.5]]], [1.0])
    nodes, mass_p, mass_q = cell_masses(p.log_prob, q.log_prob, [(-8, 9)], n)
    return mass_p, mass_q, log_ratio(p.log_prob, q.log_prob)(nodes)


# ---- 1 definition, 2 gradient ----

def test_losses_are_the_naive_double_loops(rng):
    p, q, C = rng.random(7), rng.random(7), rng.normal(size=7)
    one = sum(p[i] * np.log(1 + np.exp(-C[i])) + q[i] * np.log(1 + np.exp(C[i])) for i in range(7))
    pairs = sum(p[i] * q[j] * np.log(1 + np.exp(C[j] - C[i])) for i in range(7) for j in range(7))
    assert abs(discriminator_loss(C, p, q)[0] - one) < 1e-14
    assert abs(relativistic_loss(C, p, q)[0] - pairs) < 1e-14


@pytest.mark.parametrize("objective, loss", [(non_saturating, discriminator_loss),
                                             (relativistic, relativistic_loss)])
def test_losses_are_the_discriminators_losses_of_the_gan(objective, loss, rng):
    """Every row of data against every sample: the expectation of a GAN's loss over pairings."""
    real, fake = rng.normal(size=4), rng.normal(size=5)
    C, p, q = np.concatenate([real, fake]), np.repeat([1 / 4, 0], [4, 5]), np.repeat([0, 1 / 5], [4, 5])
    paired = np.array([(x, y) for x in real for y in fake])
    assert abs(loss(C, p, q)[0] - objective(*paired.T).discriminator_loss) < 1e-14


@pytest.mark.parametrize("loss", [discriminator_loss, relativistic_loss])
def test_gradient_in_every_logit(loss, rng):
    p, q, C = rng.random(7), rng.random(7), rng.normal(size=7)
    assert gradient_error(lambda C: loss(C, p, q)[0], C, loss(C, p, q)[1]) < 1e-10


def test_log_ratio_where_a_law_has_no_mass():
    C = log_ratio(lambda x: np.where(x[:, 0] > 0, -1.0, -np.inf), lambda x: np.where(x[:, 1] > 0, -3.0, -np.inf))
    points = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])      # both, p alone, q alone, none
    np.testing.assert_array_equal(C(points), [2.0, np.inf, -np.inf, 0.0])


# ---- 3 a second computation ----

def test_value_of_the_game_is_jensen_shannon():
    nodes, p, q = cell_masses(P.log_prob, Q.log_prob, BOUNDS)
    C = log_ratio(P.log_prob, Q.log_prob)(nodes)
    middle = lambda x: np.logaddexp(P.log_prob(x), Q.log_prob(x)) - np.log(2)
    js = sum(0.5 * kl_quadrature(law.log_prob, middle, BOUNDS, 300).value for law in (P, Q))
    assert 0.1 < js < 0.6
    assert abs(discriminator_loss(C, p, q)[0] - (2 * np.log(2) - 2 * js)) < 1e-9
    assert abs(js_lower_bound(C, p, q) - js) < 1e-9


def test_relativistic_value_is_that_of_products():
    """log 2 - JS(p x q, q x p), the two product laws compared cell by cell in the plane of pairs."""
    p, q, C = line_masses(400)
    m = (np.outer(p, q) + np.outer(q, p)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        js = np.nansum(np.outer(p, q) * np.log(np.outer(p, q) / m))              # the other half is the same
    assert 0.05 < js < np.log(2)
    assert abs(relativistic_loss(C, p, q)[0] - (np.log(2) - js)) < 1e-9
    assert abs(relativistic_loss(C + 3.7, p, q)[0] - relativistic_loss(C, p, q)[0]) < 1e-12


# ---- 4 the optimum ----

@pytest.mark.parametrize("loss", [discriminator_loss, relativistic_loss])
def test_gradient_vanishes_at_log_p_over_q_and_minimizing_arrives_there(loss, rng):
    p, q, C = line_masses(60)
    assert np.abs(loss(C, p, q)[1]).max() < 1e-9
    found = minimize(loss, rng.normal(size=len(C)), args=(p, q), jac=True, method="BFGS", options=dict(gtol=1e-9))
    assert abs(found.fun - loss(C, p, q)[0]) < 1e-7
    seen = p + q > 1e-3
    gap = (found.x - C)[seen]
    if loss is relativistic_loss:
        gap -= gap.mean()                                   # the constant that cancels in every pair
    assert np.abs(gap).max() < 1e-3


def test_every_other_discriminator_gives_less(rng):
    nodes, p, q = cell_masses(P.log_prob, Q.log_prob, BOUNDS, 90)
    C = log_ratio(P.log_prob, Q.log_prob)(nodes)
    for _ in range(20):
        assert js_lower_bound(C + 0.3 * rng.normal(size=len(C)), p, q) < js_lower_bound(C, p, q)


# ---- 5 learning ----

def test_training_against_a_frozen_generator_approaches_the_bound_from_below(rng):
    """The generator is set to N(0, 2 I) by hand, since silu(a) - silu(-a) = a, and never moves."""
    model = GAN(2, hidden=(32,), objective=non_saturating, frequencies=(1.0, 2.0), latent_frequencies=(),
                prior=1, output_noise=0.0)
    theta = model.init(rng)
    (W, b), (V, c) = mlp_views(model.split(theta)[0], model.generator_widths)
    W[...], b[...], V[...], c[...] = 0, 0, 0, 0
    W[:, :2], W[:, 2:4] = np.eye(2), -np.eye(2)
    V[:2], V[2:4] = np.sqrt(2) * np.eye(2), -np.sqrt(2) * np.eye(2)
    recipe = Recipe(Adam(model.rates(0.0, 4e-3), beta2=0.99), batch_size=256)
    after = fit(model, theta, P, rng, steps=400, recipe=recipe)
    np.testing.assert_allclose(model.split(after)[0], model.split(theta)[0], atol=1e-6)
    q = GaussianMixture([[0.0, 0.0]], [2 * np.eye(2)], [1.0])
    nodes, mass_p, mass_q = cell_masses(P.log_prob, q.log_prob, BOUNDS, 90)
    best = js_lower_bound(log_ratio(P.log_prob, q.log_prob)(nodes), mass_p, mass_q)
    before, trained = (js_lower_bound(model.logits(t, nodes), mass_p, mass_q) for t in (theta, after))
    assert before < 0 < best - 0.02 < trained < best


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda: discriminator_loss(np.zeros(3), np.zeros(3), np.zeros(4)), ValueError, "one entry a cell"),
    (lambda: relativistic_loss(np.zeros(3, int), np.zeros(3), np.zeros(3)), TypeError, "logits must be floating"),
    (lambda: log_ratio("p", P.log_prob)(np.zeros((2, 2))), TypeError, "log_p must be a function"),
    (lambda: cell_masses(P.log_prob, Q.log_prob, [(1, 0), (0, 1)]), ValueError, "low < high"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_cell_without_data_may_have_a_logit_of_minus_infinity():
    value, _ = discriminator_loss(np.array([-np.inf, 0.0]), np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    assert value == pytest.approx(1.5 * np.log(2))
