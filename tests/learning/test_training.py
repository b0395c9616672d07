import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest

from scratch.data.standardized import Standardized
from scratch.explicit.mixture_em import MixtureEM
from scratch.learning import training
from scratch.learning.optimizers import SGD, Adam, average, constant
from scratch.learning.training import Diverged, Recipe, fit, next_batch, train
from tests.test_checks import Frame


class Mean:
    """The smallest model: theta is the mean of a unit Gaussian; the loss is its NLL without the constant."""
    recipe = Recipe(Adam(0.05), batch_size=16)

    def init(self, rng, dtype=np.float64):
        return np.zeros(2, dtype)

    def draw_noise(self, rng, n):
        return rng.standard_normal((n, 2))

    def loss(self, theta, x, noise):
        return 0.5 * np.sum((x - theta) ** 2) / len(x), np.sum(theta - x, axis=0) / len(x)


class Law:
    def sample(self, n, rng):
        return np.array([3.0, -1.0]) + rng.standard_normal((n, 2))


class Exploding(Mean):
    def loss(self, theta, x, noise):
        loss, dtheta = super().loss(theta, x, noise)
        return (np.nan if theta[0] > 0.2 else loss), dtheta


def test_fit_finds_the_mean_of_a_law_and_of_rows(rng):
    model = Mean()
    theta = fit(model, model.init(rng), Law(), rng, steps=600)
    np.testing.assert_allclose(theta, [3, -1], atol=0.1)
    rows = Law().sample(200, rng)
    recipe = Recipe(SGD(0.5), batch_size=200)
    theta = fit(model, model.init(rng), rows, rng, steps=100, recipe=recipe)
    np.testing.assert_allclose(theta, rows.mean(axis=0), rtol=1e-6)


def test_the_loop_is_the_chapters_loop(rng):
    """Three steps of SGD written out, with the same random stream."""
    model, recipe = Mean(), Recipe(SGD(0.1), constant, batch_size=4)
    states = list(train(model, np.ones(2), Law(), np.random.default_rng(5), steps=3, recipe=recipe))
    stream, theta = np.random.default_rng(5), np.ones(2)
    for state in states:
        x = Law().sample(4, stream)
        loss, dtheta = model.loss(theta, x, model.draw_noise(stream, 4))
        theta = theta - 0.1 * dtheta
        assert state.loss == loss
        np.testing.assert_array_equal(state.theta, theta)


def test_the_loop_takes_the_rows_as_they_wait(rng):
    """Six steps, in which an epoch of 10 rows ends twice, written out with the same random stream."""
    model, rows, recipe = Mean(), rng.standard_normal((10, 2)), Recipe(SGD(0.1), constant, batch_size=4)
    states = list(train(model, np.ones(2), rows, np.random.default_rng(5), steps=6, recipe=recipe))
    stream, theta, waiting = np.random.default_rng(5), np.ones(2), np.arange(0)
    for state in states:
        x, waiting = next_batch(rows, waiting, 4, stream)
        theta = theta - 0.1 * model.loss(theta, x, model.draw_noise(stream, 4))[1]
        np.testing.assert_array_equal(state.theta, theta)
        np.testing.assert_array_equal(state.waiting, waiting)


def test_schedule_starts_at_the_full_rate_and_ends_just_above_zero(rng):
    seen = []
    recipe = Recipe(SGD(0.1), lambda done: seen.append(done) or 1.0, batch_size=4)
    fit(Mean(), np.zeros(2), Law(), rng, steps=4, recipe=recipe)
    assert seen == [0.0, 0.25, 0.5, 0.75]


def test_annealing_trains_the_model_of_each_part_of_the_run(rng):
    """A weight that halves along the run, by hand."""
    @dataclass(frozen=True)
    class Weighted(Mean):
        weight: float = 1.0

        def loss(self, theta, x, noise):
            loss, dtheta = super().loss(theta, x, noise)
            return self.weight * loss, self.weight * dtheta

    recipe = Recipe(SGD(0.1), constant, batch_size=4, anneal=lambda model, done: replace(model, weight=0.5 ** done))
    states = list(train(Weighted(), np.ones(2), Law(), np.random.default_rng(5), steps=4, recipe=recipe))
    stream, theta = np.random.default_rng(5), np.ones(2)
    for i, state in enumerate(states):
        x = Law().sample(4, stream)
        theta = theta - 0.1 * 0.5 ** (i / 4) * Mean().loss(theta, x, Mean().draw_noise(stream, 4))[1]
        np.testing.assert_allclose(state.theta, theta, rtol=1e-14)


def test_the_average_is_that_of_the_parameters_so_far_and_what_fit_returns():
    states = list(train(Mean(), np.zeros(2), Law(), np.random.default_rng(1), steps=5))
    mean = states[0].theta
    for state in states:
        mean = average(mean, state.theta, state.step)
        np.testing.assert_array_equal(state.average, mean)
    assert not np.array_equal(mean, states[-1].theta)
    np.testing.assert_array_equal(fit(Mean(), np.zeros(2), Law(), np.random.default_rng(1), steps=5), mean)


def test_states_are_kept_apart(rng):
    states = list(train(Mean(), np.zeros(2), Law(), rng, steps=3))
    assert [state.step for state in states] == [1, 2, 3]
    assert len({state.theta.tobytes() for state in states}) == 3


def test_same_seed_same_bits():
    runs = [fit(Mean(), np.zeros(2), Law(), np.random.default_rng(1), steps=20) for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_start_is_not_written_to(rng):
    theta = np.zeros(2)
    fit(Mean(), theta, Law(), rng, steps=3)
    np.testing.assert_array_equal(theta, 0)


def batches(rows, batch_size, rng, n):
    """The first n batches of rows."""
    waiting, found = np.arange(0), []
    for _ in range(n):
        batch, waiting = next_batch(rows, waiting, batch_size, rng)
        found.append(batch)
    return found


def test_every_row_is_seen_once_an_epoch_in_a_new_order(rng):
    seen = np.concatenate(batches(np.arange(10.0)[:, None], 4, rng, 15)).reshape(6, 10)
    for epoch in seen:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in seen}) == 6


def test_the_first_epoch_is_in_a_new_order_too(rng):
    assert (batches(np.arange(50.0)[:, None], 50, rng, 1)[0][:, 0] != np.arange(50)).any()


def test_columns_of_a_row_stay_together(rng):
    rows = np.stack([np.arange(10.0), 100 + np.arange(10.0)], axis=1)
    for batch in batches(rows, 4, rng, 10):
        np.testing.assert_array_equal(batch[:, 1], batch[:, 0] + 100)


def test_a_batch_larger_than_the_data_is_the_data(rng):
    assert batches(np.ones((3, 2)), 512, rng, 1)[0].shape == (3, 2)


def test_a_law_draws_each_batch_and_nothing_waits():
    batch, waiting = next_batch(Law(), np.arange(0), 4, np.random.default_rng(1))
    np.testing.assert_array_equal(batch, Law().sample(4, np.random.default_rng(1)))
    assert len(waiting) == 0


def test_batches_take_the_dtype_of_theta_and_leave_integers_alone(rng):
    seen = []

    class Spy(Mean):
        def loss(self, theta, x, noise):
            seen.append(x.dtype)
            return super().loss(theta, x, noise)
    for data in (Law(), np.ones((3, 2)), np.ones((3, 2), int)):
        fit(Spy(), np.zeros(2, np.float32), data, rng, steps=1)
    assert seen == [np.float32, np.float32, int]


def test_a_loss_that_turns_nan_stops_with_the_step_and_keeps_the_last_good_parameters(rng):
    with pytest.raises(Diverged, match=r"step [0-9]+: the loss \(nan\)") as caught:
        fit(Exploding(), np.zeros(2), Law(), rng, steps=100)
    state = caught.value.state
    assert state.step >= 1 and np.isfinite(Exploding().loss(state.theta, np.zeros((2, 2)), None)[0])


def test_one_of_two_players_without_a_finite_loss_is_enough_to_stop(rng):
    class Game(Mean):
        def loss(self, theta, x, noise):
            return np.array([1.0, np.nan]), np.zeros(2)
    with pytest.raises(Diverged, match="step 1: the loss"):
        fit(Game(), np.zeros(2), Law(), rng, steps=2)


def test_a_gradient_that_turns_infinite_stops_too(rng):
    class Steep(Mean):
        def loss(self, theta, x, noise):
            return 1.0, np.array([np.inf, 0.0])
    with pytest.raises(Diverged, match="step 1:"):
        fit(Steep(), np.zeros(2), Law(), rng, steps=2)


def test_a_last_step_that_overflows_is_noticed(rng):
    class Vast(Mean):
        def loss(self, theta, x, noise):
            return 1.0, np.full(2, 1e308)
    with pytest.raises(Diverged, match="step 1:") as caught:
        fit(Vast(), np.zeros(2), Law(), rng, steps=1, recipe=Recipe(SGD(100.0)))
    np.testing.assert_array_equal(caught.value.state.theta, 0)


@pytest.mark.parametrize("change, error, says", [
    (dict(steps=0), ValueError, "steps must be at least 1"),
    (dict(steps=2.5), TypeError, "steps must be an integer"),
    (dict(rng=3), TypeError, "Generator"),
    (dict(theta=np.array([np.nan, 0])), ValueError, "theta must be finite"),
    (dict(data=np.zeros((0, 2))), ValueError, "at least one row"),
    (dict(data=np.zeros(5)), ValueError, r"data must have shape \(n, dim\)"),
    (dict(data="ring"), TypeError, "law with .sample"),
    (dict(data=np.array([[np.inf, 0.0]])), ValueError, "data must be finite"),
    (dict(data=np.array([["a", "b"]])), TypeError, "numbers"),
    (dict(data=Law), TypeError, "law with .sample"),
    (dict(recipe="adam"), TypeError, "recipe must be a Recipe"),
])
def test_bad_input_is_refused_before_the_first_step(change, error, says, rng):
    arguments = dict(model=Mean(), theta=np.zeros(2), data=Law(), rng=rng, steps=3) | change
    with pytest.raises(error, match=says):
        train(**arguments)                                  # at the call, not at the first step


def test_bad_recipe_is_refused():
    with pytest.raises(ValueError, match="batch_size"):
        Recipe(batch_size=0)
    with pytest.raises(TypeError, match="optimizer must have start and step"):
        Recipe("adam")
    with pytest.raises(TypeError, match="schedule must be a function"):
        Recipe(schedule="cosine")
    with pytest.raises(TypeError, match="anneal must be a function"):
        Recipe(anneal=0.5)


def test_the_default_recipe_has_the_published_rate_and_decays_by_half_a_cosine():
    assert Recipe().schedule(0.25) == 0.5 + 0.5 * np.cos(np.pi / 4)
    assert (Recipe().optimizer, Recipe().batch_size, Recipe().anneal) == (Adam(1e-3), 512, None)


# ---- what people bring ----

def test_a_data_frame_is_rows_and_not_a_law(rng):
    rows = Law().sample(40, rng)
    first, second = (fit(Mean(), np.zeros(2), data, np.random.default_rng(3), steps=5) for data in (rows, Frame(rows)))
    np.testing.assert_array_equal(first, second)


def test_masked_entries_ragged_lists_and_models_without_a_loss_are_refused(rng):
    masked = np.ma.masked_equal([[1.0, -999.0], [2.0, 3.0]], -999.0)
    for data, says in ((masked, "1 masked entries"), ([[1.0], [2.0, 3.0]], "real numbers"), (None, "real numbers")):
        with pytest.raises((TypeError, ValueError), match=says):
            train(Mean(), np.zeros(2), data, rng, steps=3)
    for model in (None, Mean, "VAE", rng):
        with pytest.raises(TypeError, match="model must be a model such as"):
            train(model, np.zeros(2), Law(), rng, steps=3)


def test_a_gradient_whose_square_overflows_is_told_and_not_taken_for_zero(rng):
    """In float32 Adam's g^2 is infinite from 1.8e19 on, and its step 0."""
    class Steep(Mean):
        def loss(self, theta, x, noise):
            return np.float32(1), np.full(2, 2e19, np.float32)
    with pytest.raises(Diverged, match="step 1"):
        fit(Steep(), np.zeros(2, np.float32), Law(), rng, steps=3)


class Sampler(Mean):
    """A generative model of columns whose standard deviation is about 1.5."""
    dim = 2

    def sample(self, theta, n, rng):
        return theta + rng.standard_normal((n, 2))


@pytest.mark.parametrize("shift, scale", [(71.0, 13.0), (-71.0, 1.0), (0.0, 13.0), (1.7e9, 1.0), (0.0, 0.01), (0.0, 0.0)])
def test_rows_in_other_units_are_warned_about_with_the_remedy(shift, scale, rng):
    rows = np.stack([rng.standard_normal(50), shift + scale * rng.standard_normal(50)], axis=1)
    with pytest.warns(UserWarning, match=r"column 1 of data has mean .* use standardize\(model, rows\)"):
        train(Sampler(), np.zeros(2), rows, rng, steps=3)


def test_rows_of_the_models_scale_are_not_warned_about(rng):
    for rows in (rng.standard_normal((50, 2)), 3 + 2 * rng.standard_normal((50, 2)), rng.integers(9, size=(50, 2))):
        train(Sampler(), np.zeros(2), rows, rng, steps=3)
    train(Mean(), np.zeros(2), 71 + rng.standard_normal((50, 2)), rng, steps=3)           # it has no scale of its own


@pytest.mark.parametrize("mean, std, warned", [(7.4, 1.5, False), (-7.6, 1.5, True), (0.0, 7.4, False), (0.0, 7.6, True),
                                               (0.0, 0.31, False), (0.0, 0.29, True)])
def test_the_warning_begins_at_five_times_the_usual_standard_deviation_of_one_and_a_half(mean, std, warned, rng):
    rows = mean + std * np.array([[-1.0, 1.0], [1.0, -1.0]])                              # exactly these moments
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(Sampler(), np.zeros(2), rows, rng, steps=3)
    assert bool(caught) == warned


def test_progress_needs_a_terminal(rng, capsys, monkeypatch):
    fit(Mean(), np.zeros(2), Law(), rng, steps=3, progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(training.sys, "stderr", None)       # as under pythonw and some servers
    fit(Mean(), np.zeros(2), Law(), rng, steps=3, progress=True)


def test_progress_shows_step_loss_and_time(rng, capsys, monkeypatch):
    monkeypatch.setattr(training.sys.stderr, "isatty", lambda: True, raising=False)
    fit(Mean(), np.zeros(2), Law(), rng, steps=3, progress=True)
    assert "step 3/3  loss " in capsys.readouterr().err


def test_a_standardized_model_sees_the_rows_in_full_precision(rng):
    """At a mean of 1e6 float32 has steps of 0.06: the mean must go before the rows are narrowed."""
    rows, seen = 1e6 + rng.standard_normal((50, 1)), []

    @dataclass(frozen=True)
    class Spy(Standardized):
        def loss(self, theta, x, noise):
            seen.append(x)
            return 0.0, np.zeros_like(theta)
    model = Spy(MixtureEM(2, dim=1), (1e6,), (1.0,))
    fit(model, model.init(rng), rows, rng, steps=2, recipe=Recipe(batch_size=50))
    assert np.ptp(seen[0]) == np.ptp(rows)
