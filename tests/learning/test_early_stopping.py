"""Early stopping on rows that training does not see, for every model with one loss."""
import inspect
from dataclasses import dataclass

import numpy as np
import pytest

from scratch.data.standardized import standardize
from scratch.discriminative.neural_network import Classifier, Regressor
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.vae import VAE
from scratch.family_tree import MODELS
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.flow_matching import FlowMatching
from scratch.implicit.gan import GAN
from scratch.learning.early_stopping import MEASURED, Stopped, stop_early
from scratch.learning.optimizers import SGD, constant
from scratch.learning.training import Recipe, train


@dataclass(frozen=True)
class Walk:
    """theta walks along a line at one unit a step; the loss on a row x is (theta - x)^2."""
    recipe = Recipe(SGD(1.0), constant, batch_size=1)

    def draw_noise(self, rng, n):
        return None

    def loss(self, theta, x, noise):
        return np.mean((theta - x) ** 2), np.full_like(theta, -1.0)


def averages(steps):
    return [state.average[0] for state in train(Walk(), np.zeros(1), np.zeros((1, 1)), np.random.default_rng(0), steps=steps)]


def walk(best, **options):
    return stop_early(Walk(), np.zeros(1), np.zeros((1, 1)), np.full((3, 1), best), np.random.default_rng(0), **options)


# ---- the rule ----

def test_it_returns_the_average_and_not_theta_at_the_least_validation_loss():
    means = averages(60)
    target = means[29]                                      # where the average is after 30 steps: theta is at 30
    stopped = walk(target, steps=60, every=5)
    assert stopped == Stopped(stopped.theta, stopped.loss, 30) and stopped.loss == 0.0
    np.testing.assert_array_equal(stopped.theta, [target])
    assert abs(target - 30) > 1                             # theta and its average are apart


def test_it_stops_after_its_patience_and_not_before(monkeypatch):
    means, steps = averages(200), []
    loss = Walk.loss
    monkeypatch.setattr(Walk, "loss", lambda self, theta, x, noise: (
        steps.append(len(x)), loss(self, theta, x, noise))[1])
    stopped = walk(means[49], steps=200, every=10, patience=4)
    assert stopped.step == 50 and steps.count(1) == 90      # batches of 1 row: 50 steps, then 4 x 10 without a gain
    assert steps.count(3) == 1 + 9                          # validation: at the start, and after 10, 20, ... 90


def test_by_default_it_measures_every_50_steps_and_waits_for_20_measurements():
    defaults = inspect.signature(stop_early).parameters
    assert (defaults["every"].default, defaults["patience"].default) == (50, 20)


def test_a_gain_renews_the_patience():
    """Two minima, the second one lower, 3 measurements apart."""
    means = averages(100)

    class Two(Walk):
        def loss(self, theta, x, noise):
            return min(abs(theta[0] - means[19]) + 0.5, abs(theta[0] - means[49])), np.full_like(theta, -1.0)

    def stopped(patience):
        return stop_early(Two(), np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1)), np.random.default_rng(0), steps=100,
                          every=10, patience=patience)
    assert [stopped(patience).step for patience in (1, 2, 3)] == [20, 20, 50]


def test_the_start_is_returned_if_nothing_is_better():
    stopped = walk(-5.0, steps=40, every=5)
    assert stopped.step == 0 and stopped.theta[0] == 0.0 and stopped.loss == 25.0


def test_a_tie_is_no_gain():
    class Flat(Walk):
        def loss(self, theta, x, noise):
            return 1.0, np.full_like(theta, -1.0)
    stopped = stop_early(Flat(), np.zeros(1), np.zeros((1, 1)), np.zeros((3, 1)), np.random.default_rng(0), steps=9, every=2)
    assert stopped.step == 0


def test_the_end_is_measured_even_between_two_multiples():
    assert walk(1000.0, steps=33, every=10).step == 33


def test_a_start_without_a_finite_loss_is_worse_than_any():
    class Wild(Walk):
        def loss(self, theta, x, noise):
            return (np.nan if theta[0] == 0 and len(x) == 3 else (theta[0] - 10) ** 2), np.full_like(theta, -1.0)
    stopped = stop_early(Wild(), np.zeros(1), np.zeros((1, 1)), np.zeros((3, 1)), np.random.default_rng(0), steps=40, every=5)
    assert stopped.step > 0 and np.isfinite(stopped.loss)


# ---- every model with one loss ----

@pytest.mark.parametrize("name", [name for name in MODELS if not hasattr(MODELS[name].model, "players")])
def test_every_model_stops_early_in_its_own_precision(name, rng):
    entry = MODELS[name]
    model = entry()
    theta, rows, held_out = model.init(rng), entry.rows(model, rng, 20), entry.rows(model, rng, 20)
    stopped = stop_early(model, theta, rows, held_out, rng, steps=4, every=2)
    assert stopped.theta.shape == theta.shape and stopped.theta.dtype == theta.dtype and np.isfinite(stopped.loss)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", [Classifier(2, hidden=(16,), penalty=1e-2), Regressor(2, hidden=(16,), penalty=1e-2)])
def test_classifiers_stop_at_the_least_validation_nats_bit_for_bit(model, dtype, rng):
    """-mean log p(y|x) without the penalty, and no draw of the generator before training."""
    rows, held_out = (rng.standard_normal((n, 2)) for n in (30, 200))
    rows, held_out = (np.column_stack([x, x.sum(axis=1) + 0.7 * rng.standard_normal(len(x)) > 0]) for x in (rows, held_out))
    theta = model.init(rng, dtype)
    looks = [state for state in train(model, theta, rows, np.random.default_rng(1), steps=100) if state.step % 10 == 0]
    values = [-float(np.mean(model.log_prob(state.average, held_out))) for state in looks]
    stopped = stop_early(model, theta, rows, held_out, np.random.default_rng(1), steps=100, every=10, patience=50)
    best = looks[int(np.argmin(values))]
    assert stopped.step == best.step > 0 and stopped.loss == min(values)
    np.testing.assert_array_equal(stopped.theta, best.average)


@pytest.mark.parametrize("model", [VAE(2, hidden=(8,), prior=1), Diffusion(2, hidden=(8,)), FlowMatching(2, hidden=(8,))])
def test_the_validation_loss_is_that_of_many_draws_of_noise(model, rng):
    """Of 40 rows, repeated; sorted rows do not bias it."""
    held_out = np.sort(1.5 * rng.standard_normal((40, 2)), axis=0)
    theta = model.init(rng, np.float64) + 0.05 * rng.standard_normal(model.size)
    still = Recipe(SGD(1e-30), batch_size=4)
    losses = [stop_early(model, theta, held_out, held_out, np.random.default_rng(seed), steps=1, recipe=still).loss
              for seed in range(12)]
    many = np.tile(held_out, (1000, 1))[rng.permutation(40_000)]
    exact, _ = model.loss(theta, many, model.draw_noise(rng, len(many)))
    error = np.std(losses, ddof=1) * np.sqrt(1 / 12 + MEASURED / 40_000)
    assert abs(np.mean(losses) - exact) < 8 * error          # of 12 losses: as rare as five errors
    once = np.std([model.loss(theta, held_out, model.draw_noise(rng, 40))[0] for _ in range(200)])
    assert np.std(losses, ddof=1) < 0.3 * once               # 0.1: 102 draws of noise for each row; with one draw 1


def test_the_noise_of_the_validation_rows_is_drawn_once_before_training(monkeypatch, rng):
    seen, loss = [], VAE.loss
    monkeypatch.setattr(VAE, "loss", lambda self, theta, x, noise: (
        seen.append((x, noise)) if len(x) > 20 else None, loss(self, theta, x, noise))[1])
    model, rows = VAE(2, hidden=(8,)), rng.standard_normal((20, 2))
    stop_early(model, model.init(rng), rows, rows, np.random.default_rng(1), steps=10, every=2)
    assert len(seen) == 6 and all(x is seen[0][0] and noise is seen[0][1] for x, noise in seen)
    assert MEASURED - 20 < len(seen[0][0]) <= MEASURED
    np.testing.assert_array_equal(np.sort(seen[0][0], axis=0), np.sort(np.tile(rows, (204, 1)), axis=0))


def test_rows_that_are_memorized_end_early_and_better(rng):
    """A hundred rows of N(0, 1.5^2 I) and a hundred parameters and more: the truth is worth 3.65 nats."""
    model = AutoregressiveMixture(2, components=8, hidden=(16,))
    rows, held_out, fresh = (1.5 * rng.standard_normal((n, 2)) for n in (100, 200, 2000))
    start = model.init(rng)
    stopped = stop_early(model, start, rows, held_out, np.random.default_rng(1), steps=400, every=10, patience=10)
    *_, last = train(model, start, rows, np.random.default_rng(1), steps=400)
    early, late = (-np.mean(model.log_prob(theta, fresh)) for theta in (stopped.theta, last.average))
    assert 0 < stopped.step < 400 and early < late - 0.3
    error = np.std(model.log_prob(stopped.theta, held_out)) / np.sqrt(200)       # 0.13 as a rule
    assert abs(stopped.loss - early) < 6 * error


# ---- bad input ----

@pytest.mark.parametrize("model", [GAN(2, hidden=(4,)), standardize(GAN(2, hidden=(4,)), np.eye(2))])
def test_a_game_is_refused(model, rng):
    with pytest.raises(TypeError, match="early stopping needs one loss, but .* has one for each of two players"):
        stop_early(model, model.init(rng), rng.standard_normal((9, 2)), rng.standard_normal((9, 2)), rng, steps=3)


@pytest.mark.parametrize("change, error, says", [
    (dict(every=0), ValueError, "every must be at least 1"),
    (dict(patience=2.5), TypeError, "patience must be an integer"),
    (dict(steps=0), ValueError, "steps must be at least 1"),
    (dict(rng=3), TypeError, "Generator"),
    (dict(model=None), TypeError, "model must .* loss and draw_noise"),
    (dict(theta=None), TypeError, "theta must be floating point"),
    (dict(rows=np.zeros((0, 2))), ValueError, "at least one row"),
    (dict(held_out=None), TypeError, "held_out must be rows"),
    (dict(held_out=np.zeros((0, 2))), ValueError, "held_out must have at least"),
    (dict(held_out=np.full((3, 2), np.nan)), ValueError, "held_out must be finite"),
    (dict(held_out=np.zeros((3, 5))), ValueError, r"x must have shape \(n, 2\)"),
    (dict(recipe="adam"), TypeError, "recipe must be a Recipe"),
])
def test_bad_input_is_refused_before_the_first_step(change, error, says, rng):
    model = VAE(2, hidden=(4,))
    arguments = dict(model=model, theta=model.init(rng), rows=rng.standard_normal((9, 2)),
                     held_out=rng.standard_normal((9, 2)), rng=rng, steps=3) | change
    with pytest.raises(error, match=says):
        stop_early(**arguments)
