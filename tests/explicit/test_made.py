from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom

from scratch import checks
from scratch.data.discrete import SpinGlass
from scratch.explicit.made import MADE, autoregressive_mask
from scratch.explicit.transformer import Transformer
from scratch.kernels.dense import mlp_size, mlp_views
from scratch.learning.gradient_check import gradient, gradient_error
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

MODELS = [MADE(3, hidden=(5, 4), classes=3, orders=[(2, 0, 1)]), MADE(4, hidden=(6,), orders=[(0, 1, 2, 3), (3, 1, 0, 2)]),
          MADE(1, hidden=(3,), classes=4), MADE(3, hidden=())]


def random_theta(model, rng, spread=0.7):
    return spread * rng.standard_normal(mlp_size(model.widths))


def states(dim, classes=2):
    return np.stack(np.unravel_index(np.arange(classes ** dim), (classes,) * dim), axis=1)


def naive_log_prob(model, theta, x):
    """The definition: one network evaluation per row and order; coordinates that may not be seen are spoiled."""
    total = np.zeros((len(x), len(model.orders)))
    for n, row in enumerate(x):
        for o, order in enumerate(model.orders):
            for place, i in enumerate(order):
                h = np.full((model.dim, model.classes), 1e3)
                for j in order[:place]:
                    h[j] = [float(row[j] == c) for c in range(model.classes)]
                h = h.ravel()
                layers = mlp_views(model.masks[o] * theta, model.widths)
                for W, b in layers[:-1]:
                    a = h @ W + b
                    h = a / (1 + np.exp(-np.clip(a, -700, None)))
                logits = (h @ layers[-1][0] + layers[-1][1]).reshape(model.dim, model.classes)[i]
                total[n, o] += np.log(np.exp(logits[row[i]]) / np.exp(logits).sum())
    return np.log(np.exp(total).mean(axis=1)), total


def binomial_tails(count, p):
    """How likely a count is at most or at least as large: exact also where n p < 1, which standard errors are not."""
    return np.minimum(binom.cdf(count, count.sum(), p), binom.sf(count - 1, count.sum(), p))


# ---- 1 definition ----

@pytest.mark.parametrize("model", MODELS)
def test_log_prob_is_the_naive_loop_and_the_mean_over_orders(model, rng):
    theta, x = random_theta(model, rng), rng.integers(0, model.classes, (5, model.dim))
    log_p, by_order = naive_log_prob(model, theta, x)
    np.testing.assert_allclose(model.log_prob(theta, x), log_p, rtol=1e-12)
    np.testing.assert_allclose(model.loss(theta, x)[0], -by_order.mean(), rtol=1e-12)


# ---- 2 gradient ----

@pytest.mark.parametrize("model", MODELS)
def test_gradient_in_every_parameter(model, rng):
    theta, x = random_theta(model, rng), rng.integers(0, model.classes, (6, model.dim))
    loss, dtheta = model.loss(theta, x)
    assert gradient_error(lambda theta: model.loss(theta, x)[0], theta, dtheta) < 1e-10


@pytest.mark.parametrize("dim, classes, hidden", [(2, 2, (4,)), (3, 3, (5, 4)), (4, 2, (3, 7, 5)), (3, 2, ())])
def test_jacobian_is_strictly_triangular_for_every_order(dim, classes, hidden, rng):
    for order in permutations(range(dim)):
        model = MADE(dim, hidden=hidden, classes=classes, orders=[order])
        theta, ones = random_theta(model, rng), rng.normal(size=(1, dim * classes))
        for place, i in enumerate(order):
            for c in range(classes):
                dones = gradient(lambda ones: model._logits(theta, ones, model.masks[0])[0][0, i, c], ones)
                seen = (dones.reshape(dim, classes) != 0)
                assert not seen[list(order[place:])].any()              # exactly: no path at all
                assert seen[list(order[:place])].all()                  # and no allowed path is missing


# ---- 3 two ways ----

@pytest.mark.parametrize("orders", [None, [tuple(range(12)), tuple(range(12))[::-1]]])
def test_probabilities_of_all_4096_states_sum_to_one(orders, rng):
    model = MADE(12, hidden=(16, 16), orders=orders)
    assert abs(np.exp(model.log_prob(random_theta(model, rng), states(12))).sum() - 1) < 1e-10


@pytest.mark.parametrize("model", MODELS)
def test_samples_follow_the_probabilities(model, rng):
    theta, x = random_theta(model, rng), states(model.dim, model.classes)
    p = np.exp(model.log_prob(theta, x))
    drawn = model.sample(theta, 10_000, rng)
    count = np.bincount(np.ravel_multi_index(drawn.T, (model.classes,) * model.dim), minlength=len(x))
    assert binomial_tails(count, p).min() > 3e-7            # as rare as five errors


@pytest.mark.parametrize("known", [{3: 1}, {0: 1}, {0: 0, 3: 1}, {0: 1, 3: 0}])
def test_completion_follows_the_exact_conditional_of_the_orders_that_allow_it(known, rng):
    model = MADE(4, hidden=(6,), orders=[(0, 3, 1, 2), (3, 0, 2, 1)])
    x, able = states(4), [order for order in model.orders if set(order[:len(known)]) == set(known)]
    agrees = (x[:, list(known)] == list(known.values())).all(axis=1)
    for _ in range(100):                                    # until p_o(known) matters, if two orders allow it
        theta = random_theta(model, rng, 2.0)
        by_order = np.array([agrees * np.exp(replace(model, orders=[o]).log_prob(theta, x)) for o in able])   # (O, 16)
        p, equal = by_order.sum(axis=0) / by_order.sum(), (by_order / by_order.sum(axis=1, keepdims=True)).mean(axis=0)
        if len(able) == 1 or np.abs(p - equal).max() > 0.05:
            break
    drawn = model.complete(theta, known, 10_000, rng)
    count = np.bincount(np.ravel_multi_index(drawn.T, (2,) * 4), minlength=16)
    assert binomial_tails(count, p).min() > 3e-7


def test_completion_that_no_order_allows_is_refused(rng):
    model = MADE(4, hidden=(6,), orders=[(0, 1, 2, 3), (3, 1, 0, 2)])
    with pytest.raises(ValueError, match="first coordinates of an order .*got .0, 3."):
        model.complete(model.init(rng), {3: 1, 0: 0}, 5, rng)


def test_integers_and_whole_floats_are_the_same_data(rng):
    model, x = MODELS[1], rng.integers(0, 2, (5, 4))
    theta = model.init(rng)
    np.testing.assert_array_equal(model.log_prob(theta, x), model.log_prob(theta, x.astype(np.float32)))
    np.testing.assert_array_equal(checks.class_rows(x.astype(float), 4, 2), x)


def test_same_seed_same_bits(rng):
    model = MODELS[1]
    theta = model.init(rng)
    first, second = (model.sample(theta, 10, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.int64 and theta.dtype == model.loss(theta, first)[1].dtype == np.float32


# ---- 4 closed form ----

def test_two_bits_without_hidden_layers_learn_their_table_exactly(rng):
    """A linear layer on one bit can say any p(x_2 | x_1): the optimum is the table of frequencies."""
    rows = rng.choice(4, size=300, p=[0.1, 0.4, 0.3, 0.2])
    frequency = np.bincount(rows) / 300
    model, x = MADE(2, hidden=()), states(2)[rows]
    result = minimize(lambda t: model.loss(t, x), np.zeros(mlp_size(model.widths)), jac=True,
                      method="BFGS", options=dict(gtol=1e-9))
    assert abs(result.fun + frequency @ np.log(frequency)) < 1e-12
    np.testing.assert_allclose(np.exp(model.log_prob(result.x, states(2))), frequency, atol=1e-8)


def test_mask_of_one_unit_per_coordinate_is_the_degree_rule():
    (first, _), (last, _) = mlp_views(autoregressive_mask((1, 0, 2), (4,), 1, 1), (3, 4, 3))
    np.testing.assert_array_equal(first, [[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])   # degrees 2 1 3 -> 1 2 1 2
    np.testing.assert_array_equal(last, [[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])


# ---- 5 learning ----

def test_learns_parity_which_no_pair_of_bits_shows(rng):
    """x_4 = x_1 xor x_2 xor x_3: 8 states of 1/8, entropy log 8."""
    bits = rng.integers(0, 2, (2000, 3))
    x = np.column_stack([bits, bits.sum(axis=1) % 2])
    model = MADE(4, hidden=(64,))
    theta = fit(model, model.init(rng), x, rng, steps=700, recipe=Recipe(Adam(1e-2, beta2=0.99), batch_size=128))
    p = np.exp(model.log_prob(theta, states(4)))
    right = states(4).sum(axis=1) % 2 == 0
    assert 0 <= np.mean(-np.log(8 * p[right])) < 0.01                   # KL(truth || model) in nats


def test_learns_the_spin_glass_whose_4096_probabilities_are_known(rng):
    """Over five orders of magnitude; the sum is 1 whatever theta is."""
    law, model = SpinGlass(), MADE(12, hidden=(48, 48))
    theta = fit(model, model.init(rng), law, rng, steps=400, recipe=Recipe(Adam(1e-2, beta2=0.99), batch_size=128))
    log_q = model.log_prob(theta.astype(float), law.states)
    assert abs(np.exp(log_q).sum() - 1) < 1e-12 and np.ptp(law.log_p) > 5 * np.log(10)
    assert 0 < np.exp(law.log_p) @ (law.log_p - log_q) < 0.02           # KL(law || model) by enumeration


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: MADE(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: MADE(2, classes=1), ValueError, "classes must be at least 2"),
    (lambda m, t, rng: MADE(2, hidden=4), TypeError, "hidden must be"),
    (lambda m, t, rng: MADE(2, hidden=(0,)), ValueError, "each of hidden"),
    (lambda m, t, rng: MADE(2, orders=[(0, 2)]), ValueError, "an order must hold"),
    (lambda m, t, rng: MADE(2, orders=(0, 1)), TypeError, "an order must be"),
    (lambda m, t, rng: MADE(2, orders=()), TypeError, "orders must be"),
    (lambda m, t, rng: m.init(3), TypeError, "Generator"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int)), ValueError, r"shape \(n, 4\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((0, 4), int)), ValueError, "at least one row"),
    (lambda m, t, rng: m.loss(t, np.full((2, 4), 2)), ValueError, "integers 0 ... 1"),
    (lambda m, t, rng: m.log_prob(t, np.full((2, 4), 0.5)), ValueError, "integers 0 ... 1"),
    (lambda m, t, rng: m.log_prob(t, np.full((2, 4), np.nan)), ValueError, "finite"),
    (lambda m, t, rng: m.log_prob(t, np.full((2, 4), "a")), TypeError, "integers 0 ... 1"),
    (lambda m, t, rng: m.log_prob(t[:-1], np.zeros((2, 4), int)), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 5, 7), TypeError, "Generator"),
    (lambda m, t, rng: m.complete(t, [1, 0], 5, rng), TypeError, "known must be a dict"),
    (lambda m, t, rng: m.complete(t, {0: 2}, 5, rng), ValueError, "known classes must lie in 0 ... 1"),
    (lambda m, t, rng: m.complete(t, {4: 1}, 5, rng), ValueError, "known must name fewer than 4"),
    (lambda m, t, rng: m.complete(t, dict.fromkeys(range(4), 1), 5, rng), ValueError, "fewer than 4"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODELS[1], MODELS[1].init(rng), rng)


def test_numpy_scalars_are_stored_as_python_numbers():
    model, plain = MADE(dim=np.int64(3), classes=np.int64(2), hidden=(np.int64(4),), orders=(np.array([1, 0, 2]),)), MADE(dim=3, classes=2, hidden=(4,), orders=((1, 0, 2),))
    assert model == plain and hash(model) == hash(plain) and repr(model) == repr(plain)


def test_init_counts_only_the_inputs_that_the_mask_keeps(rng):
    model = MADE(6)
    layers, masks = (mlp_views(part, model.widths) for part in (model.init(rng, np.float64), model.masks[0]))
    for (W, _), (kept, _) in zip(layers[:-1], masks):
        assert np.sum((W * kept) ** 2, axis=0).mean() == pytest.approx(2.0, rel=0.2)   # the 2 of mlp_init


@pytest.mark.parametrize("model", [MADE(4, classes=3), Transformer(4, classes=3)])
def test_starts_near_the_uniform_distribution(model, rng):
    x = rng.integers(3, size=(50, 4))
    assert np.abs(model.log_prob(model.init(rng), x) + 4 * np.log(3)).max() < 0.8
