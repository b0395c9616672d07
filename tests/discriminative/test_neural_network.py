import numpy as np
import pytest

from scratch.data.distributions import WarpedGaussian, spirals
from scratch.discriminative.generative_classifier import parts_of_mixture
from scratch.discriminative.labeled import join, split_classes
from scratch.discriminative.logistic_regression import SoftmaxRegression
from scratch.discriminative.neural_network import Classifier, Regressor, stop_early
from scratch.kernels.dense import mlp_size, mlp_views
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient_error
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit, train

CLASSIFIER = Classifier(3, classes=4, hidden=(5, 6), penalty=0.2)
REGRESSOR = Regressor(3, hidden=(5, 6), penalty=0.2)
SHALLOW = [Classifier(2, classes=2, hidden=()), Regressor(1, hidden=())]


def problem(model, n, rng):
    """An asymmetric theta and rows."""
    theta = model.init(rng, np.float64) + 0.5 * rng.standard_normal(model.size)
    x = rng.normal(size=(n, model.dim))
    return theta, join(x, rng.integers(model.classes, size=n) if hasattr(model, "classes") else rng.normal(size=n))


def naive_network(model, theta, x):
    layers, h = mlp_views(theta, model.widths), list(x)
    for place, (W, b) in enumerate(layers):
        a = [sum(h[i] * W[i, j] for i in range(len(h))) + b[j] for j in range(len(b))]
        h = a if place == len(layers) - 1 else [v / (1 + np.exp(-v)) for v in a]
    return h


def naive_loss(model, theta, rows):
    total = 0.0
    for *x, y in rows:
        out = naive_network(model, theta, x)
        if isinstance(model, Classifier):
            total -= np.log(np.exp(out[int(y)]) / sum(np.exp(a) for a in out))
        else:
            mean, std = out[0], np.exp(out[1])
            total += 0.5 * ((y - mean) / std) ** 2 + np.log(std * np.sqrt(2 * np.pi))
    return total / len(rows) + model.penalty / 2 * sum((W ** 2).sum() for W, _ in mlp_views(theta, model.widths))


# ---- 1 definition, 2 gradient ----

@pytest.mark.parametrize("model", [CLASSIFIER, REGRESSOR, *SHALLOW])
def test_loss_is_the_naive_loop(model, rng):
    theta, rows = problem(model, 6, rng)
    np.testing.assert_allclose(model.loss(theta, rows)[0], naive_loss(model, theta, rows), rtol=1e-12)


@pytest.mark.parametrize("model", [CLASSIFIER, REGRESSOR, *SHALLOW])
def test_gradient_in_every_parameter(model, rng):
    theta, rows = problem(model, 6, rng)
    assert gradient_error(lambda theta: model.loss(theta, rows)[0], theta, model.loss(theta, rows)[1]) < 1e-10


@pytest.mark.parametrize("model", [CLASSIFIER, REGRESSOR])
def test_without_a_penalty_loss_is_the_mean_negative_log_prob(model, rng):
    theta, rows = problem(model, 6, rng)
    free = type(model)(**{**vars(model), "penalty": 0.0})
    np.testing.assert_allclose(free.loss(theta, rows)[0], -model.log_prob(theta, rows).mean(), rtol=1e-13)


def test_biases_feel_no_penalty(rng):
    for model in (CLASSIFIER, REGRESSOR):
        theta, rows = problem(model, 6, rng)
        free = type(model)(**{**vars(model), "penalty": 0.0})
        pull = model.loss(theta, rows)[1] - free.loss(theta, rows)[1]
        for (dW, db), (W, _) in zip(mlp_views(pull, model.widths), mlp_views(theta, model.widths)):
            np.testing.assert_allclose(dW, 0.2 * W, atol=1e-14)
            np.testing.assert_allclose(db, 0, atol=1e-14)


def test_a_regressor_has_no_classes_and_blocks_name_every_parameter():
    assert not hasattr(REGRESSOR, "classes")
    for model in (CLASSIFIER, REGRESSOR):
        assert [part.stop - part.start for part in model.blocks.values()][1] == 5          # b1
        assert sum(part.stop - part.start for part in model.blocks.values()) == model.size


def test_float32_stays_float32(rng):
    for model in (CLASSIFIER, REGRESSOR):
        theta, rows = problem(model, 6, rng)
        loss, dtheta = model.loss(theta.astype(np.float32), rows.astype(np.float32))
        assert dtheta.dtype == np.float32 and loss.dtype == np.float32


# ---- 3 normalization ----

def test_posterior_sums_to_one_and_the_density_of_y_integrates_to_one(rng):
    theta, rows = problem(CLASSIFIER, 6, rng)
    p = np.exp(CLASSIFIER.log_posterior(theta, rows[:, :3]))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.log(p[np.arange(6), rows[:, 3].astype(int)]), CLASSIFIER.log_prob(theta, rows))
    np.testing.assert_array_equal(CLASSIFIER.predict(theta, rows[:, :3]), p.argmax(axis=1))
    theta, rows = problem(REGRESSOR, 1, rng)
    mean, std = REGRESSOR.predict(theta, rows[:, :3])
    y, cell = midpoints([(mean[0] - 12 * std[0], mean[0] + 12 * std[0])], 2000)
    p = cell * np.exp(REGRESSOR.log_prob(theta, join(np.repeat(rows[:, :3], 2000, axis=0), y[:, 0])))
    np.testing.assert_allclose([p.sum(), p @ y[:, 0]], [1, mean[0]], rtol=1e-10)
    np.testing.assert_allclose(p @ (y[:, 0] - mean[0]) ** 2, std[0] ** 2, rtol=1e-10)


# ---- 4 closed forms ----

def test_no_hidden_layer_is_softmax_regression(rng):
    network, softmax = Classifier(3, classes=4, hidden=(), penalty=0.3), SoftmaxRegression(3, classes=4, penalty=0.3)
    theta, rows = problem(network, 30, rng)
    for ours, theirs in zip(network.loss(theta, rows), softmax.loss(theta, rows)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_allclose(network.log_posterior(theta, rows[:, :3]), softmax.log_posterior(theta, rows[:, :3]))


def test_the_spread_of_the_errors_is_learned(rng):
    """With all weights 0 the best mean and log std are those of y: the gradient vanishes there, and only there."""
    model, y = Regressor(1, hidden=()), rng.normal(3, 0.2, 50)
    rows = join(np.zeros((50, 1)), y)
    best = np.array([0, 0, y.mean(), np.log(y.std())])
    np.testing.assert_allclose(model.loss(best, rows)[1], 0, atol=1e-12)
    assert model.loss(best, rows)[0] == pytest.approx(np.log(y.std()) + 0.5 * np.log(2 * np.pi * np.e))


# ---- 5 learning ----

def test_two_spirals_reach_the_bayes_error_within_half_a_point(rng):
    """Averaged over the exact posterior of 20,000 points, so that the labels' own luck does not count."""
    law = spirals(std=0.25)
    truth = parts_of_mixture(law, np.arange(len(law.weights)) * 2 // len(law.weights))
    model = Classifier(dim=2, classes=2, hidden=(32, 32))
    theta = fit(model, model.init(rng), truth, rng, steps=700)
    x, _ = split_classes(truth.sample(20_000, rng), 2, 2)
    posterior = np.exp(truth.log_posterior(x))
    bayes = 1 - posterior.max(axis=1).mean()
    reached = 1 - posterior[np.arange(20_000), model.predict(theta, x)].mean()
    assert 0.03 < bayes < 0.04
    assert 0 <= reached - bayes < 0.005


def test_heteroscedastic_nats_come_within_two_hundredths_of_the_conditional_entropy(rng):
    """y | x ~ N(x^2/2 - 1/2, 0.3^2 exp(x)), x ~ N(0, 1): H(y|x) = log 0.3 + 1/2 log(2 pi e), exactly."""
    law, model = WarpedGaussian(std=1.0, curvature=0.5, noise=0.3, slope=1.0), Regressor(dim=1, hidden=(32, 32))
    theta = fit(model, model.init(rng), law, rng, steps=500)
    rows = law.sample(50_000, rng)
    exact = law.log_prob(rows) + 0.5 * rows[:, 0] ** 2 + 0.5 * np.log(2 * np.pi)          # log p(y|x)
    excess = exact - model.log_prob(theta, rows)
    assert np.log(0.3) + 0.5 * np.log(2 * np.pi * np.e) == pytest.approx(-exact.mean(), abs=0.02)
    assert -5 * excess.std() / np.sqrt(50_000) < excess.mean() < 0.02


def test_stop_early_returns_the_best_look_and_stops_after_its_patience(rng):
    """Twelve rows of pure noise: held-out nats get worse, and the first looks are the best."""
    model = Classifier(2, classes=2, hidden=(32,))
    rows, held_out = (join(rng.normal(size=(n, 2)), rng.integers(2, size=n)) for n in (12, 200))
    theta = model.init(rng, np.float64)
    best = stop_early(model, theta, rows, held_out, np.random.default_rng(1), steps=400, every=10, patience=3)
    looks = list(train(model, theta, rows, np.random.default_rng(1), steps=400))[9::10]
    nats = np.array([-model.log_prob(state.average, held_out).mean() for state in looks])
    within = nats[:best.step // 10 + 3]
    if best.step:
        assert best.loss == pytest.approx(within.min(), rel=1e-12) == nats[best.step // 10 - 1]
        np.testing.assert_array_equal(best.theta, looks[best.step // 10 - 1].average)
    else:
        np.testing.assert_array_equal(best.theta, theta)
    assert best.loss < nats[-1] - 0.1
    assert best.loss <= 1e-12 - model.log_prob(theta, held_out).mean()


def test_weight_decay_shrinks_the_weights(rng):
    rows = join(rng.normal(size=(40, 2)), rng.integers(2, size=40))
    norms = []                                              # in six seeds 3.7 to 4.8 times as large without
    for penalty in (0.0, 0.1):
        model = Classifier(2, classes=2, hidden=(16,), penalty=penalty)
        theta = fit(model, model.init(np.random.default_rng(2)), rows, np.random.default_rng(3), steps=300)
        norms.append(sum((W ** 2).sum() for W, _ in mlp_views(theta, model.widths)))
    assert norms[0] > 2 * norms[1]


def test_both_networks_are_trained_at_the_rate_that_was_swept():
    assert Classifier.recipe == Regressor.recipe == Recipe(Adam(5e-3, beta2=0.99), batch_size=512)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda rng: Classifier(0, classes=2, hidden=(4,)), ValueError, "dim must be at least 1"),
    (lambda rng: Classifier(2, classes=1, hidden=(4,)), ValueError, "classes must be at least 2"),
    (lambda rng: Classifier(2, classes=2, hidden=4), TypeError, "hidden must be a tuple"),
    (lambda rng: Classifier(2, classes=2, hidden=(0,)), ValueError, "each of hidden"),
    (lambda rng: Regressor(2, hidden=(4,), penalty=-1), ValueError, "penalty must be a non-negative finite number"),
    (lambda rng: CLASSIFIER.loss(CLASSIFIER.init(rng), np.full((2, 4), 4.0)), ValueError, "classes 0 ... 3, got 4"),
    (lambda rng: CLASSIFIER.loss(CLASSIFIER.init(rng), np.zeros((2, 3))), ValueError, r"rows must have shape \(n, 4\)"),
    (lambda rng: REGRESSOR.loss(REGRESSOR.init(rng), np.full((2, 4), np.nan)), ValueError, "rows must be finite"),
    (lambda rng: REGRESSOR.log_prob(REGRESSOR.init(rng)[:-1], np.zeros((2, 4))), ValueError, "theta must have shape"),
    (lambda rng: REGRESSOR.predict(REGRESSOR.init(rng), np.zeros((0, 3))), ValueError, "at least one row"),
    (lambda rng: CLASSIFIER.init(5), TypeError, "Generator"),
    (lambda rng: stop_early(CLASSIFIER, CLASSIFIER.init(rng), np.zeros((2, 4)), np.zeros((2, 4)), rng, steps=3,
                            every=0), ValueError, "every must be at least 1"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)


@pytest.mark.parametrize("model, widths, layer, factor", [(Classifier(2), "widths", -1, 0.1)])
def test_init_has_the_scale_that_its_lines_name(model, widths, layer, factor, rng):
    widths = getattr(model, widths)
    W, _ = mlp_views(model.init(rng)[:mlp_size(widths)], widths)[layer]
    assert W.std() == pytest.approx(factor * np.sqrt(2 / len(W)), rel=0.25)
