import numpy as np
import pytest

from scratch.discriminative.mixture_density import MixtureRegressor
from scratch.discriminative.neural_network import Regressor
from scratch.kernels.dense import mlp, mlp_views
from scratch.learning.training import fit

MODEL = MixtureRegressor(2, hidden=(5,), components=3, penalty=0.1)


def point(rng):
    return MODEL.init(rng, np.float64) + 0.3 * rng.standard_normal(MODEL.size), rng.normal(size=(6, 3))


def test_log_prob_is_the_naive_loop(rng):
    theta, rows = point(rng)
    out = mlp(theta, rows[:, :2], MODEL.widths)[0]
    for row, o, log_p in zip(rows, out, MODEL.log_prob(theta, rows)):
        w = np.exp(o[:3]) / np.exp(o[:3]).sum()
        density = sum(w[k] * np.exp(-0.5 * ((row[2] - o[3 + k]) / np.exp(o[6 + k])) ** 2) / np.exp(o[6 + k])
                      for k in range(3)) / np.sqrt(2 * np.pi)
        assert log_p == pytest.approx(np.log(density), rel=1e-12)


def test_draws_follow_the_density_and_predict_is_their_mean_and_std(rng):
    theta, rows = point(rng)
    x = np.repeat(rows[:1, :2], 40_000, axis=0)
    y = MODEL.draw(theta, x, rng)
    mean, std = (value[0] for value in MODEL.predict(theta, x[:1]))
    assert abs(y.mean() - mean) < 5 * std / 200
    nodes = np.linspace(mean - 12 * std, mean + 12 * std, 4001)
    p = np.exp(MODEL.log_prob(theta, np.column_stack([np.repeat(x[:1], 4001, axis=0), nodes])))
    cell = nodes[1] - nodes[0]
    assert abs(cell * p.sum() - 1) < 1e-6
    assert cell * p @ nodes == pytest.approx(mean, abs=1e-6)
    assert np.sqrt(cell * p @ (nodes - mean) ** 2) == pytest.approx(std, rel=1e-5)
    for quantile in (0.1, 0.5, 0.9):
        at = nodes[np.searchsorted(np.cumsum(p) * cell, quantile)]
        assert abs((y < at).mean() - quantile) < 5 * np.sqrt(quantile * (1 - quantile) / len(y)) + 0.004   # the grid


def test_two_branches_are_learned_where_one_gaussian_fails(rng):
    """y = +-x with noise 0.1: entropy log 2 + log 0.1 + 1/2 log 2 pi e = -0.19 nats where the branches are apart."""
    x = rng.uniform(1, 2, size=(4000, 1))
    rows = np.column_stack([x, x[:, 0] * rng.choice([-1, 1], 4000) + 0.1 * rng.standard_normal(4000)])
    nats = []
    for model in (MixtureRegressor(1, hidden=(32,), components=4), Regressor(1, hidden=(32,))):
        theta = fit(model, model.init(rng), rows[:3000], rng, steps=500)
        nats.append(-model.log_prob(theta, rows[3000:]).mean())
    entropy = np.log(2) + np.log(0.1) + 0.5 * np.log(2 * np.pi * np.e)
    assert abs(nats[0] - entropy) < 0.15 and nats[1] > 1.5


@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: MixtureRegressor(2, components=0), ValueError, "components must be at least 1"),
    (lambda m, t, rng: m.draw(t, np.ones((2, 2)), 0), TypeError, "rng must be"),
    (lambda m, t, rng: m.draw(t, np.ones((2, 3)), rng), ValueError, r"shape \(n, 2\)"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)


def test_at_the_start_components_differ_in_their_means_alone(rng):
    """Adam moves equal components alike, whatever their weights: they would stay equal."""
    model = MixtureRegressor(2, components=200, hidden=(5,))
    a, m, l = np.split(mlp_views(model.init(rng, np.float64), model.widths)[-1][1], 3)      # the last biases
    assert abs(m.std() - 1) < 5 / np.sqrt(400) and np.ptp(a) == 0 and np.ptp(l) == 0
