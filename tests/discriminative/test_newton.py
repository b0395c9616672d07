import numpy as np
import pytest

from scratch.discriminative.labeled import join
from scratch.discriminative.logistic_regression import LogisticRegression, SoftmaxRegression
from scratch.discriminative.newton import Separable, minimum, minimum_by_lbfgs, newton, newton_step


def overlapping(n, dim, classes, rng):
    x = rng.normal(size=(n, dim))
    return join(x, np.argmax(x @ rng.normal(size=(dim, classes)) + rng.gumbel(size=(n, classes)), axis=1))


def completely_separated(rng):
    x = rng.normal(size=(40, 2))
    x += 0.1 * np.sign(x)
    return join(x, x[:, 0] > 0)


def separated_but_for_ties(rng):
    """Rows with x = 0 in both classes: some rows lie on the boundary for ever (quasi-complete separation)."""
    x = np.concatenate([np.zeros(10), rng.uniform(-2, -0.1, 20), rng.uniform(0.1, 2, 20)])[:, None]
    return join(x, np.concatenate([np.arange(10) % 2, np.zeros(20), np.ones(20)]))


MODELS = [LogisticRegression(3), LogisticRegression(3, penalty=0.1),
          SoftmaxRegression(3, classes=3), SoftmaxRegression(3, classes=3, penalty=0.1)]


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_vanishes_at_the_minimum(model, rng):
    rows = overlapping(200, 3, model.classes, rng)
    assert np.linalg.norm(model.loss(minimum(model, rows), rows)[1]) < 1e-15


@pytest.mark.parametrize("model", MODELS)
def test_convergence_is_quadratic(model, rng):
    """The error is squared at every step: moved_next <= c moved^2, with a c of order 1, down to rounding."""
    moved = np.array([iterate.moved for iterate in newton(model, overlapping(200, 3, model.classes, rng))])
    near = (moved[:-1] < 0.3) & (moved[:-1] > 1e-7)
    assert near.sum() >= 2
    assert (moved[1:][near] < 2 * moved[:-1][near] ** 2).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_loss_falls_at_every_step_from_far_away(model, rng):
    """From theta = 8 N(0, 1) the full steps of the unpenalized models overshoot; the shortened ones do not."""
    rows = overlapping(200, 3, model.classes, rng)
    iterates = list(newton(model, rows, 8 * rng.normal(size=model.size)))
    loss = np.array([iterate.loss for iterate in iterates])
    assert (np.diff(loss) <= 1e-14).all()
    assert abs(loss[-1] - model.loss(minimum(model, rows), rows)[0]) < 1e-14


@pytest.mark.parametrize("model", MODELS)
def test_lbfgs_on_the_same_loss_ends_at_the_same_loss(model, rng):
    rows = overlapping(200, 3, model.classes, rng)
    ours, theirs = (model.loss(find(model, rows), rows)[0] for find in (minimum, minimum_by_lbfgs))
    assert abs(ours - theirs) < 1e-8


@pytest.mark.parametrize("make", [completely_separated, separated_but_for_ties])
@pytest.mark.parametrize("kind", [lambda dim: LogisticRegression(dim), lambda dim: SoftmaxRegression(dim, classes=2)])
def test_separable_data_are_reported_as_such(make, kind, rng):
    rows = make(rng)
    model = kind(rows.shape[1] - 1)
    for find in (minimum, minimum_by_lbfgs):
        with pytest.raises(Separable, match="no minimum: the classes can be separated"):
            find(model, rows)


def test_a_weighted_mean_of_the_moves_is_one(rng):
    """Equations (3) to (6) for the separating vector v = (1, 0), one row at a time."""
    rows, model, theta = completely_separated(rng), LogisticRegression(2), rng.normal(size=3)
    step, _ = newton_step(model, theta, rows, model.loss(theta, rows)[1])
    weights, moves = [], []
    for *x, y in rows:
        s = 2 * y - 1
        p = 1 / (1 + np.exp(-s * (theta[0] * x[0] + theta[1] * x[1] + theta[2])))
        weights.append((1 - p) * s * x[0])
        moves.append(p * s * (step[0] * x[0] + step[1] * x[1] + step[2]))
    assert min(weights) > 0
    assert np.average(moves, weights=weights) == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("make", [completely_separated, separated_but_for_ties])
def test_steps_on_separable_data_move_a_logit_by_one(make, rng):
    """The theorem of the docstring, at 100 random points for each of the two models."""
    rows = make(rng)
    model = LogisticRegression(rows.shape[1] - 1)
    for _ in range(100):
        theta = rng.normal(0, 2, model.size)
        assert newton_step(model, theta, rows, model.loss(theta, rows)[1])[1] >= 1 - 1e-9
    model = SoftmaxRegression(rows.shape[1] - 1, classes=2)
    for _ in range(100):
        theta = rng.normal(0, 1, model.size)
        assert newton_step(model, theta, rows, model.loss(theta, rows)[1])[1] >= 1 - 1e-9


@pytest.mark.parametrize("make", [completely_separated, separated_but_for_ties])
def test_a_penalty_makes_a_minimum(make, rng):
    rows = make(rng)
    model = LogisticRegression(rows.shape[1] - 1, penalty=1e-4)
    assert np.linalg.norm(model.loss(minimum(model, rows), rows)[1]) < 1e-12


def test_one_row_on_the_wrong_side_is_enough_for_a_minimum(rng):
    rows = completely_separated(rng)
    rows[np.argmax(rows[:, 0]), 2] = 0
    assert np.isfinite(minimum(LogisticRegression(2), rows)).all()


def test_a_repeated_column_shares_its_weight(rng):
    """The Hessian is singular, the minimum a line; the shortest steps lead to its nearest point."""
    rows = overlapping(200, 1, 2, rng)
    twice = np.column_stack([rows[:, 0], rows[:, 0], rows[:, 1]])
    one, two = minimum(LogisticRegression(1), rows), minimum(LogisticRegression(2), twice)
    np.testing.assert_allclose(two, [one[0] / 2, one[0] / 2, one[1]], rtol=1e-9)


@pytest.mark.parametrize("moved", [lambda x: x + 1e4, lambda x: x * [1e8, 1.0], lambda x: x * [1e-9, 1.0]])
def test_the_minimum_does_not_see_the_units_of_a_column(moved, rng):
    x = rng.standard_normal((400, 2))
    y = x @ [1.0, 2.0] + 1 + rng.logistic(size=400) > 0
    model = LogisticRegression(dim=2)
    here, there = (model.loss(minimum(model, rows), rows)[0] for rows in (join(x, y), join(moved(x), y)))
    assert abs(here - there) < 1e-10
