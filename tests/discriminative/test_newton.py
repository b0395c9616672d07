import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit

from scratch.discriminative import newton as newton_module
from scratch.discriminative.labeled import join
from scratch.discriminative.logistic_regression import LogisticRegression, SoftmaxRegression
from scratch.discriminative.newton import Separable, minimum, newton, newton_step
from scratch.discriminative.svm import LinearSVM


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
    theirs = minimize(model.loss, np.zeros(model.size), rows, jac=True, method="L-BFGS-B",
                      options=dict(maxiter=10_000, maxfun=20_000, ftol=0.0, gtol=1e-9)).fun
    assert abs(model.loss(minimum(model, rows), rows)[0] - theirs) < 1e-8


@pytest.mark.parametrize("make", [completely_separated, separated_but_for_ties])
@pytest.mark.parametrize("kind", [lambda dim: LogisticRegression(dim), lambda dim: SoftmaxRegression(dim, classes=2)])
def test_separable_data_are_reported_as_such(make, kind, rng):
    rows = make(rng)
    model = kind(rows.shape[1] - 1)
    with pytest.raises(Separable, match="no minimum: the classes can be separated"):
        minimum(model, rows)


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


# ---- scale and location ----

KINDS = [LogisticRegression(2), LogisticRegression(2, penalty=0.01), SoftmaxRegression(2, classes=3),
         SoftmaxRegression(2, classes=3, penalty=0.01), LinearSVM(2, penalty=0.01)]


@pytest.mark.parametrize("shift", [[1e4, 0.0], [1.7e9, -3e5], [-1e6, 1e6]])
@pytest.mark.parametrize("model", KINDS)
def test_a_constant_added_to_a_column_changes_the_bias_alone(model, shift, rng):
    """The weights are those of the rows that were not moved; the bias is b - W^T shift, in its own precision."""
    rows = overlapping(300, 2, model.classes, rng)
    rows[:, :2] = np.round(rows[:, :2], 3)                  # what 1.7e9 leaves of three decimals is 2e-7
    here, there = minimum(model, rows), minimum(model, rows + np.append(shift, 0))
    W, b = np.split(here.reshape(-1, model.outputs), [-1])
    np.testing.assert_allclose(there[:-model.outputs], W.ravel(), atol=1e-5)
    moved = np.append(W, b - shift @ W)
    np.testing.assert_allclose(there[-model.outputs:], moved[-model.outputs:], rtol=1e-5, atol=1e-4)
    assert abs(model.loss(there, rows + np.append(shift, 0))[0] - model.loss(here, rows)[0]) < 1e-6


@pytest.mark.parametrize("model", [LogisticRegression(1), LogisticRegression(1, penalty=1e-6),
                                   SoftmaxRegression(1, classes=2), LinearSVM(1, penalty=1e-3)])
def test_unix_seconds_are_a_column_like_any_other(model, rng):
    """A day's rows, in seconds since 1970 and in days: nothing but the unit of w differs."""
    days = rng.random(400)
    y = days + 0.2 * rng.logistic(size=400) > 0.5
    seconds = join(np.round(86400 * days)[:, None] + 1.7e9, y)
    theta = model.fit(seconds)
    loss, dtheta = model.loss(theta, seconds)
    centered = join(seconds[:, :1] - seconds[:, :1].mean(), y)
    assert loss == pytest.approx(model.loss(model.fit(centered), centered)[0], rel=1e-9)
    assert np.abs(dtheta[-model.outputs:]).max() < 1e-9     # dw = 1.7e9 times the rounding error of this
    scaled = join(centered[:, :1] / 86400, y)
    if model.penalty == 0:
        assert loss == pytest.approx(model.loss(model.fit(scaled), scaled)[0], rel=1e-9)


@pytest.mark.parametrize("moved", [lambda x: x + 1e4, lambda x: x * [1e8, 1.0], lambda x: x * [1e-9, 1.0],
                                   lambda x: x * [1e-3, 1e3] + [100, -1e6], lambda x: x.astype(np.float32)])
def test_the_minimum_does_not_see_the_units_of_a_column(moved, rng):
    x = rng.standard_normal((400, 2))
    y = x @ [1.0, 2.0] + 1 + rng.logistic(size=400) > 0
    model = LogisticRegression(dim=2)
    here, there = (model.loss(minimum(model, rows), rows)[0] for rows in (join(x, y), join(moved(x), y)))
    assert abs(here - there) < 1e-8


def test_columns_of_scales_from_a_thousandth_to_a_thousand_and_a_penalty_in_their_units(rng):
    """The objective is that of the given columns: SciPy's trust region, on columns of scale 1, must agree."""
    scale = np.logspace(-3, 3, 7)
    x = rng.standard_normal((300, 7)) @ (np.eye(7) + 0.3) + 2
    rows = join(x * scale, x @ np.linspace(-1, 1, 7) + rng.logistic(size=300) > 0)
    model = LogisticRegression(7, penalty=1e-3)
    unit = np.append(1 / scale, 1.0)

    def objective(v):
        value, dtheta = model.loss(unit * v, rows)
        return value, unit * dtheta
    best = minimize(objective, np.zeros(8), jac=True, method="BFGS", options=dict(gtol=1e-9)).fun
    assert abs(model.loss(minimum(model, rows), rows)[0] - best) < 1e-9


@pytest.mark.parametrize("value", [3.0, 1.7e9 + 0.1, 1e-30])
def test_a_constant_column_has_no_weight(value, rng):
    rows = overlapping(100, 1, 2, rng)
    theta = minimum(LogisticRegression(2), np.column_stack([rows[:, 0], np.full(100, value), rows[:, 1]]))
    np.testing.assert_allclose(theta, np.insert(minimum(LogisticRegression(1), rows), 1, 0.0), rtol=1e-6, atol=1e-12)


def test_a_start_is_taken_where_it_stands(rng):
    rows, theta = overlapping(100, 2, 2, rng) + [50.0, -20.0, 0.0], np.array([0.3, -0.2, 1.0])
    first = next(newton(LogisticRegression(2), rows, theta))
    np.testing.assert_allclose(first.theta, theta, rtol=1e-12)
    assert first.loss == pytest.approx(LogisticRegression(2).loss(theta, rows)[0], rel=1e-12)


# ---- what is claimed is proved ----

FOUR = join(np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1]))


@pytest.mark.parametrize("penalty", [1e-4, 1e-10, 1e-16, 1e-30, 1e-100])
def test_separation_is_claimed_only_if_it_is_proved(penalty):
    """dL/dw = -(sigmoid(-w) + 2 sigmoid(-2 w)) / 2 + penalty w has a root for every penalty; 32.66 at 1e-16."""
    root = brentq(lambda w: np.log(expit(-w) + 2 * expit(-2 * w)) - np.log(2 * penalty * w), 1e-3, 700)
    for model, weight in ((LogisticRegression(1, penalty=penalty), lambda theta: theta[0]),
                          (SoftmaxRegression(1, classes=2, penalty=2 * penalty), lambda theta: theta[1] - theta[0])):
        assert weight(minimum(model, FOUR)) == pytest.approx(root, rel=1e-6)
    if penalty == 1e-16:
        assert root == pytest.approx(32.66, abs=0.005)


@pytest.mark.parametrize("penalty", [1e-6, 1e-10])
def test_thirty_columns_that_separate_have_a_minimum_with_a_penalty(penalty, rng):
    """As the standardized breast-cancer data: separable, correlated, hundreds of rows."""
    x = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 30)) + 0.3 * rng.standard_normal((300, 30))
    rows = join(x, x @ rng.standard_normal(30) > 0)
    model = LogisticRegression(30, penalty=penalty)
    theta = minimum(model, rows)
    loss, dtheta = model.loss(theta, rows)
    assert np.linalg.norm(dtheta) < 1e-12 and 0 < loss < 0.05
    for v in rng.standard_normal((20, 31)):                 # convex: no better direction
        assert model.loss(theta + 1e-3 * v, rows)[0] >= loss
    with pytest.raises(Separable):
        minimum(LogisticRegression(30), rows)


@pytest.mark.parametrize("overlap", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_tiny_overlap_has_a_minimum(overlap):
    """x = -1, -o, o, 1 of classes 0, 1, 0, 1: sigmoid(-w) = o sigmoid(o w), so that w is about log(2 / o)."""
    rows = join(np.array([[-1.0], [-overlap], [overlap], [1.0]]), np.array([0, 1, 0, 1]))
    root = brentq(lambda w: np.log(expit(-w)) - np.log(overlap * expit(overlap * w)), 0.0, 100)
    np.testing.assert_allclose(minimum(LogisticRegression(1), rows), [root, 0], rtol=1e-6, atol=1e-8)


def tilted(seed):
    """Rows of both classes on a tilted boundary: quasi-complete separation, but for rounding errors."""
    rng = np.random.default_rng(seed)
    v, x, b = rng.standard_normal(4), rng.standard_normal((80, 4)), rng.standard_normal()
    x[:20] -= np.outer(x[:20] @ v + b, v) / (v @ v)
    return join(x, np.where(np.arange(80) < 20, np.arange(80) % 2, x @ v + b > 0))


@pytest.mark.parametrize("seed", range(20))
def test_rows_on_a_tilted_boundary_are_proved_separable(seed):
    for model in (LogisticRegression(4), SoftmaxRegression(4, classes=2)):
        with pytest.raises(Separable, match="no minimum: the classes can be separated"):
            minimum(model, tilted(seed))


def test_where_rounding_flattens_the_loss_no_minimum_is_claimed(monkeypatch):
    """Without the linear program, Newton's method arrives where a curvature is lost, and says so in most cases."""
    monkeypatch.setattr(newton_module, "refuse_separable", lambda *given: None)
    said = 0
    for seed in range(20):
        try:
            minimum(LogisticRegression(4), tilted(seed))
        except RuntimeError as error:
            said += "flat up to rounding" in str(error)
    assert said >= 12


@pytest.mark.parametrize("model", [LogisticRegression(5), SoftmaxRegression(5, classes=2)])
def test_ties_among_many_rows_and_columns_are_proved_separable(model, rng):
    """The linear program ends with ties of 1e-7; these are made 0 before the margins are looked at."""
    x = rng.standard_normal((2000, 5)) + 3
    x[:50, 0] = 3
    y = np.where(np.arange(2000) < 50, np.arange(2000) % 2, x[:, 0] > 3)
    with pytest.raises(Separable, match="in a direction that was found"):
        minimum(model, join(x, y))


@pytest.mark.parametrize("model", [LogisticRegression(1, penalty=1.0), SoftmaxRegression(1, classes=3, penalty=1.0)])
def test_an_empty_class_has_no_minimum_with_a_penalty_either(model, rng):
    with pytest.raises(Separable, match="if no class is empty"):
        minimum(model, join(rng.standard_normal((9, 1)), np.ones(9)))


def test_a_model_that_is_not_convex_is_named():
    with pytest.raises(TypeError, match="model must be convex"):
        minimum(None, FOUR)
