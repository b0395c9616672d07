from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from scratch.discriminative.labeled import join, split_classes
from scratch.discriminative.logistic_regression import LogisticRegression, SoftmaxRegression
from scratch.discriminative.newton import Separable
from scratch.learning.gradient_check import complex_step, gradient_error
from scratch.learning.optimizers import SGD, constant
from scratch.learning.training import Recipe, fit


MODELS = [model(3, penalty=penalty, **sizes) for penalty in (0.0, 0.3)
          for model, sizes in ((LogisticRegression, {}), (SoftmaxRegression, dict(classes=4)))]


def labeled(model, n, rng):
    """Rows on different scales and away from 0, labels that depend on them but not fully."""
    x = rng.normal(size=(n, model.dim)) * [1.0, 3.0, 0.2] + [1.0, -2.0, 0.5]
    steep = rng.normal(size=(model.dim, model.classes))
    return join(x, np.argmax(x @ steep + 2 * rng.gumbel(size=(n, model.classes)), axis=1))


def naive_loss(model, theta, rows):
    """The definition, one row and one class at a time."""
    total = 0.0
    for *x, y in rows:
        if isinstance(model, LogisticRegression):
            weights, a = theta[:3], [0.0, sum(w * v for w, v in zip(theta, x)) + theta[3]]
        else:
            W, b = theta[:12].reshape(3, 4), theta[12:]
            weights, a = theta[:12], [sum(W[i, k] * x[i] for i in range(3)) + b[k] for k in range(4)]
        total -= np.log(np.exp(a[int(y)]) / sum(np.exp(v) for v in a))
    return total / len(rows) + model.penalty / 2 * sum(w ** 2 for w in weights)


# ---- 1 definition ----

@pytest.mark.parametrize("model", MODELS)
def test_loss_is_the_naive_loop(model, rng):
    theta, rows = rng.normal(size=model.size), labeled(model, 20, rng)
    assert abs(model.loss(theta, rows)[0] - naive_loss(model, theta, rows)) < 1e-12


@pytest.mark.parametrize("model", MODELS)
def test_posterior_sums_to_one_and_log_prob_picks_the_rows_class(model, rng):
    theta, rows = rng.normal(size=model.size), labeled(model, 20, rng)
    x, y = split_classes(rows, model.dim, model.classes)
    p = np.exp(model.log_posterior(theta, x))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(model.log_prob(theta, rows)), [p[n, k] for n, k in enumerate(y)])
    np.testing.assert_array_equal(model.predict(theta, x), p.argmax(axis=1))


# ---- 2 gradient ----

@pytest.mark.parametrize("model", MODELS)
def test_gradient_in_every_parameter(model, rng):
    theta, rows = rng.normal(size=model.size), labeled(model, 20, rng)
    assert gradient_error(lambda theta: model.loss(theta, rows)[0], theta, model.loss(theta, rows)[1]) < 1e-10


@pytest.mark.parametrize("model", MODELS)
def test_hessian_is_the_derivative(model, rng):
    theta, rows = 0.3 * rng.normal(size=model.size), labeled(model, 20, rng)
    H = model.hessian(theta, rows)
    for i in range(model.size):
        column = [complex_step(lambda theta: model.loss(theta, rows)[1][j], theta, np.eye(model.size)[i])
                  for j in range(model.size)]
        np.testing.assert_allclose(H[i], column, atol=1e-10 * np.abs(H).max())


# ---- 3 what must hold at the minimum ----

@pytest.mark.parametrize("model", MODELS)
def test_mean_p_is_the_class_fraction(model, rng):
    rows = labeled(model, 200, rng)
    x, y = split_classes(rows, model.dim, model.classes)
    p = np.exp(model.log_posterior(model.fit(rows), x))
    np.testing.assert_allclose(p.mean(axis=0), np.bincount(y, minlength=model.classes) / 200, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_moving_all_data_moves_the_boundary_with_it(model, rng):
    rows = labeled(model, 200, rng)
    shift = np.array([5.0, -3.0, 1.0])
    moved = rows + np.append(shift, 0)
    there, here = model.fit(moved), model.fit(rows)
    np.testing.assert_allclose(model.log_posterior(there, moved[:, :3]), model.log_posterior(here, rows[:, :3]),
                               atol=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_weights_shrink_and_nats_grow_monotonically_with_the_penalty(classes, rng):
    def make(c):
        return LogisticRegression(3, penalty=c) if classes == 2 else SoftmaxRegression(3, classes=4, penalty=c)
    rows = labeled(make(0.0), 200, rng)
    free = 1 if classes == 2 else classes
    norms, nats = [], []
    for penalty in (0, 1e-3, 1e-2, 0.1, 1.0, 10.0):
        model = make(penalty)
        theta = model.fit(rows)
        norms.append(np.linalg.norm((theta.reshape(4, -1) - theta.reshape(4, -1).mean(axis=1, keepdims=True)
                                     if classes > 2 else theta).ravel()[:-free]))
        nats.append(-model.log_prob(theta, rows).mean())
    assert (np.diff(norms) < 0).all() and (np.diff(nats) > 0).all()
    assert norms[-1] < 0.2 * norms[0]


# ---- 4 independent solutions ----

@pytest.mark.parametrize("model, start", list(product(MODELS, (0, 1))))
def test_the_minimum_is_scipys(model, start, rng):
    """scipy sees only the value, differentiates it itself, and starts elsewhere."""
    rows = labeled(model, 100, rng)
    result = minimize(lambda theta: model.loss(theta, rows)[0], start * rng.normal(size=model.size), method="BFGS",
                      options=dict(gtol=1e-6))
    ours = model.loss(model.fit(rows), rows)[0]
    assert ours <= result.fun + 1e-12
    assert abs(ours - result.fun) < 1e-8


def test_two_softmax_classes_with_twice_the_penalty_are_logistic_regression(rng):
    logistic, softmax = LogisticRegression(3, penalty=0.1), SoftmaxRegression(3, classes=2, penalty=0.2)
    rows = labeled(logistic, 100, rng)
    np.testing.assert_allclose(softmax.log_posterior(softmax.fit(rows), rows[:, :3]),
                               logistic.log_posterior(logistic.fit(rows), rows[:, :3]), atol=1e-10)


def test_one_coordinate_of_two_values_has_the_log_odds_of_its_table(rng):
    """x in {0, 1}: without a penalty the fit is the table of frequencies, in closed form."""
    x, y = np.repeat([0.0, 0.0, 1.0, 1.0], [6, 2, 3, 9])[:, None], np.repeat([0, 1, 0, 1], [6, 2, 3, 9])
    theta = LogisticRegression(1).fit(join(x, y))
    np.testing.assert_allclose(theta, [np.log(9 / 3) - np.log(2 / 6), np.log(2 / 6)], rtol=1e-12)


# ---- 5 learning ----

@pytest.mark.parametrize("model", [LogisticRegression(3, penalty=0.1), SoftmaxRegression(3, classes=4, penalty=0.1)])
def test_the_training_loop_descends_to_the_same_minimum(model, rng):
    rows = labeled(model, 100, rng)
    best = model.loss(model.fit(rows), rows)[0]
    plain = Recipe(SGD(0.3), constant, batch_size=100)      # the whole batch: gradient descent
    theta = fit(model, model.init(rng, np.float64), rows, rng, steps=800, recipe=plain)
    assert abs(model.loss(theta, rows)[0] - best) < 1e-7
    theta = fit(model, model.init(rng), rows.astype(np.float32), rng, steps=400)
    assert model.loss(theta.astype(float), rows)[0] - best < 0.01


def test_the_distribution_of_the_labels_is_recovered(rng):
    """Labels drawn from the model: the fit is within 5 standard errors (inverse Hessian / N) of the truth."""
    x, truth = rng.normal(size=(20_000, 2)), np.array([1.5, -0.5, 0.3])
    model = LogisticRegression(2)
    rows = join(x, rng.random(20_000) < np.exp(model.log_posterior(truth, x)[:, 1]))
    theta = model.fit(rows)
    error = np.sqrt(np.diag(np.linalg.inv(model.hessian(theta, rows))) / 20_000)
    assert (np.abs(theta - truth) < 5 * error).all()


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda: LogisticRegression(0), ValueError, "dim must be at least 1"),
    (lambda: LogisticRegression(2, penalty=-1.0), ValueError, "penalty must be a non-negative finite number"),
    (lambda: SoftmaxRegression(2, classes=1), ValueError, "classes must be at least 2"),
    (lambda: LogisticRegression(2).loss(np.zeros(3), np.zeros((4, 2))), ValueError, r"shape \(n, 3\)"),
    (lambda: LogisticRegression(2).loss(np.zeros(4), np.zeros((4, 3))), ValueError, "theta must have shape"),
    (lambda: LogisticRegression(2).loss(np.zeros(3), np.full((4, 3), 2.0)), ValueError, "classes 0 ... 1"),
    (lambda: SoftmaxRegression(2, classes=3).fit(np.full((4, 3), 3.0)), ValueError, "classes 0 ... 2"),
    (lambda: LogisticRegression(2).fit(np.zeros((0, 3))), ValueError, "at least one row"),
    (lambda: LogisticRegression(2).predict(np.zeros(3), np.zeros((4, 2), int)), TypeError, "floating point"),
    (lambda: LogisticRegression(2).init(3), TypeError, "Generator"),
    (lambda: LogisticRegression(1, penalty=1.0).fit(np.ones((4, 2))), Separable, "if no class is empty"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
