import inspect

import numpy as np
import pytest
from scipy.optimize import minimize

from scratch.discriminative.labeled import join, split_classes
from scratch.discriminative.logistic_regression import LogisticRegression, SoftmaxRegression
from scratch.discriminative.newton import newton
from scratch.discriminative.smo import maximize_dual
from scratch.discriminative.svm import RBF, KernelSVM, KernelSVR, LinearSVM, linear
from scratch.learning.gradient_check import complex_step, gradient_error
from scratch.learning.training import fit


def two_classes(n, rng, dim=3):
    x = rng.normal(size=(n, dim)) * [1.0, 2.0, 0.3][:dim] + [1.0, -1.0, 0.2][:dim]
    return join(x, (x[:, 0] + 0.5 * x[:, 1] + 0.8 * rng.normal(size=n) > 0.3).astype(int))


# ---- linear, squared hinge ----

def test_loss_is_the_naive_loop(rng):
    svm, theta, rows = LinearSVM(3, penalty=0.3), rng.normal(size=4), two_classes(30, rng)
    total = 0.0
    for *x, y in rows:
        margin = (1 if y == 1 else -1) * (sum(w * v for w, v in zip(theta, x)) + theta[3])
        total += max(0, 1 - margin) ** 2 / 30
    assert abs(svm.loss(theta, rows)[0] - total - 0.15 * (theta[:3] ** 2).sum()) < 1e-12


def test_gradient_in_every_parameter_and_hessian(rng):
    svm, theta, rows = LinearSVM(3, penalty=0.3), rng.normal(size=4), two_classes(30, rng)
    assert gradient_error(lambda theta: svm.loss(theta, rows)[0], theta, svm.loss(theta, rows)[1]) < 1e-10
    H = [[complex_step(lambda theta: svm.loss(theta, rows)[1][j], theta, v) for j in range(4)] for v in np.eye(4)]
    np.testing.assert_allclose(svm.hessian(theta, rows), H, atol=1e-12)


@pytest.mark.parametrize("model", [LinearSVM, LogisticRegression, SoftmaxRegression])
def test_a_float64_penalty_does_not_widen_float32(model, rng):
    svm, rows = model(3, penalty=np.float64(0.3)), two_classes(30, rng).astype(np.float32)
    loss, dtheta = svm.loss(svm.init(rng), rows)
    assert loss.dtype == dtheta.dtype == np.float32


@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-5])
def test_newton_ends_exactly_with_no_duality_gap(penalty, rng):
    svm, rows = LinearSVM(3, penalty=penalty), two_classes(500, rng)
    *_, last = newton(svm, rows)
    primal, dual = svm.primal_and_dual(last.theta, rows)
    assert last.gradient_norm < 1e-14
    assert abs(primal - dual) < 1e-12 * primal


def test_every_dual_value_is_below_every_primal_value(rng):
    svm, rows = LinearSVM(3, penalty=0.1), two_classes(100, rng)
    best, _ = svm.primal_and_dual(svm.fit(rows), rows)
    for _ in range(100):
        primal, dual = svm.primal_and_dual(rng.normal(size=4), rows)
        assert dual <= best <= primal
    through_zero = minimize(lambda w: svm.loss(np.append(w, 0.0), rows)[0], np.zeros(3)).x
    assert svm.primal_and_dual(np.append(through_zero, 0.0), rows)[1] <= best   # the best of the planes with b = 0
    nothing_short = np.array([0.0, 0.0, 0.0, 5.0])          # one class has no alpha at all: D = 0
    assert svm.primal_and_dual(nothing_short, rows)[1] == 0


def test_the_linear_minimum_is_scipys(rng):
    svm, rows = LinearSVM(3, penalty=0.05), two_classes(200, rng)
    result = minimize(lambda theta: svm.loss(theta, rows)[0], rng.normal(size=4), method="BFGS",
                      options=dict(gtol=1e-8))
    assert abs(svm.loss(svm.fit(rows), rows)[0] - result.fun) < 1e-10


def test_the_squared_hinge_is_a_hard_margin_with_a_stiffer_kernel(rng):
    """Its dual is that of a box without a ceiling and K + penalty N / 2 on the diagonal: two solvers, one w."""
    svm, rows = LinearSVM(3, penalty=0.05), two_classes(60, rng)
    x, y = split_classes(rows, 3, 2)
    s = 2.0 * y - 1
    solution = maximize_dual(x @ x.T + 0.05 * 60 / 2 * np.eye(60), s, np.minimum(1e6 * s, 0), np.maximum(1e6 * s, 0),
                             tolerance=1e-12)
    np.testing.assert_allclose(svm.fit(rows), np.append(solution.beta @ x, solution.bias), rtol=1e-4)


def test_the_bias_is_not_penalized(rng):
    svm, rows = LinearSVM(3, penalty=0.5), two_classes(100, rng)
    shift = np.array([50.0, -30.0, 10.0])
    np.testing.assert_allclose(svm.scores(svm.fit(rows + np.append(shift, 0)), rows[:, :3] + shift),
                               svm.scores(svm.fit(rows), rows[:, :3]), atol=1e-9)


def test_the_training_loop_descends_to_the_same_minimum(rng):
    svm, rows = LinearSVM(3, penalty=0.1), two_classes(300, rng)
    theta = fit(svm, svm.init(rng), rows.astype(np.float32), rng, steps=600)
    assert svm.loss(theta.astype(float), rows)[0] - svm.loss(svm.fit(rows), rows)[0] < 0.01


def test_the_default_penalty_is_c_of_one_at_a_thousand_rows_and_the_default_proof_has_six_digits():
    assert 1 / (LinearSVM(2).penalty * 1000) == 1
    for machine in (KernelSVM, KernelSVR):
        assert inspect.signature(machine.fit).parameters["tolerance"].default == 1e-6


# ---- kernel, hinge ----

def objective(svm, f, s, square):
    return np.mean(np.maximum(0, 1 - s * f)) + svm.penalty / 2 * square


@pytest.mark.parametrize("penalty", [0.1, 1e-2, 1e-3])
def test_primal_is_the_objective_and_the_gap_is_small(penalty, rng):
    svm, rows = KernelSVM(2, penalty=penalty), two_classes(300, rng, dim=2)
    machine = svm.fit(rows)
    x, y = split_classes(rows, 2, 2)
    square = machine.beta @ svm.kernel(machine.x, machine.x) @ machine.beta
    primal = objective(svm, svm.scores(machine, x), 2 * y - 1, square)
    np.testing.assert_allclose(machine.primal, primal, rtol=1e-10)
    assert 0 <= machine.gap < 1e-6 * primal


def test_karush_kuhn_tucker_margins_and_multipliers_fit(rng):
    """alpha = 0 beyond the margin, C within it, in between on it; sum s alpha = 0; f is made of support vectors."""
    svm, rows = KernelSVM(2, penalty=0.01, kernel=RBF(0.7)), two_classes(200, rng, dim=2)
    machine = svm.fit(rows, tolerance=1e-12)
    x, y = split_classes(rows, 2, 2)
    s, C = 2 * y - 1, 1 / (0.01 * 200)
    alpha = np.zeros(200)
    for row, beta in zip(machine.x, machine.beta):
        place = np.flatnonzero((x == row).all(axis=1))[0]
        alpha[place] = s[place] * beta
    margin = s * svm.scores(machine, x)
    assert (0 <= alpha).all() and (alpha <= C * (1 + 1e-12)).all() and abs(s @ alpha) < 1e-12
    assert (alpha[margin > 1 + 1e-5] == 0).all()
    np.testing.assert_allclose(alpha[margin < 1 - 1e-5], C)
    free = (alpha > 0) & (alpha < C * (1 - 1e-9))
    assert free.sum() >= 3
    np.testing.assert_allclose(margin[free], 1, atol=1e-5)


def test_the_linear_kernel_machine_is_the_minimum_over_all_planes(rng):
    """In the plane, with one slack a row, it is a quadratic program: SLSQP does not know of duals or kernels."""
    svm, rows = KernelSVM(2, penalty=0.1, kernel=linear), two_classes(60, rng, dim=2)
    machine = svm.fit(rows, tolerance=1e-10)
    x, y = split_classes(rows, 2, 2)
    margins = np.column_stack([(2 * y - 1)[:, None] * np.column_stack([x, np.ones(60)]), np.eye(60)])   # w, b, slack
    weight = np.append([0, 0, 0], np.full(60, 1 / 60))
    result = minimize(lambda v: 0.05 * v[:2] @ v[:2] + weight @ v, np.append([0, 0, 0], np.ones(60)), method="SLSQP",
                      jac=lambda v: np.append(0.1 * v[:2], np.zeros(61)) + weight, bounds=[(None, None)] * 3 + [(0, None)] * 60,
                      constraints=dict(type="ineq", fun=lambda v: margins @ v - 1, jac=lambda v: margins),
                      options=dict(ftol=1e-14, maxiter=500))
    assert (margins @ result.x > 1 - 1e-8).all() and machine.primal == pytest.approx(result.fun, abs=1e-8)
    w, slack = machine.beta @ machine.x, np.maximum(0, 1 - (2 * y - 1) * svm.scores(machine, x))
    assert w == pytest.approx(result.x[:2], abs=5e-4)       # 0.05 |dw|^2 < 1e-8, by strict convexity
    assert 0.05 * w @ w + slack.mean() == pytest.approx(result.fun, abs=1e-8)      # the best b may be an interval


def test_the_widest_margin_between_two_sets_of_points():
    """Separable, hardly any penalty: the boundary halves the gap between (0, 1) and (0, -1)."""
    x = np.array([[0.0, 1.0], [3.0, 2.0], [-2.0, 4.0], [0.0, -1.0], [1.0, -3.0], [-5.0, -1.5]])
    machine = KernelSVM(2, penalty=1e-4, kernel=linear).fit(join(x, np.array([1, 1, 1, 0, 0, 0])), tolerance=1e-12)
    np.testing.assert_allclose(np.append(machine.beta @ machine.x, machine.bias), [0, 1, 0], atol=1e-9)
    np.testing.assert_array_equal(machine.x, x[[0, 3]])     # two support vectors carry it


# ---- regression ----

def test_the_tube_is_the_objective(rng):
    x = rng.uniform(-3, 3, size=(80, 1))
    y = np.sin(x[:, 0]) + 0.2 * rng.normal(size=80)
    svr = KernelSVR(1, penalty=0.01, epsilon=0.2, kernel=RBF(0.8))
    machine = svr.fit(join(x, y), tolerance=1e-10)
    errors = np.abs(y - svr.predict(machine, x))
    square = machine.beta @ svr.kernel(machine.x, machine.x) @ machine.beta
    np.testing.assert_allclose(machine.primal, np.mean(np.maximum(errors - 0.2, 0)) + 0.005 * square, rtol=1e-9)
    inside = errors < 0.2 - 1e-4
    assert inside.sum() > 20 and not (machine.x[:, None] == x[inside]).any()
    assert np.abs(svr.scores(machine, x) - np.sin(x[:, 0])).mean() < 0.1


def test_the_kernel_is_the_naive_loop(rng):
    x, z = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    naive = [[np.exp(-sum((a - b) ** 2 for a, b in zip(p, q)) / (2 * 0.7 ** 2)) for q in z] for p in x]
    np.testing.assert_allclose(RBF(0.7)(x, z), naive, rtol=1e-12)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda rows: LinearSVM(3, penalty=0.0), ValueError, "penalty must be a positive"),
    (lambda rows: KernelSVM(3, penalty=-1.0), ValueError, "penalty must be a positive"),
    (lambda rows: KernelSVM(0, penalty=1.0), ValueError, "dim must be at least 1"),
    (lambda rows: KernelSVM(3, penalty=1.0, kernel="rbf"), TypeError, "kernel must be a function"),
    (lambda rows: KernelSVR(3, penalty=1.0, epsilon=0.0), ValueError, "epsilon must be a positive"),
    (lambda rows: RBF(0.0), ValueError, "width must be a positive"),
    (lambda rows: LinearSVM(2, penalty=1.0).fit(rows), ValueError, r"rows must have shape \(n, 3\)"),
    (lambda rows: LinearSVM(3, penalty=1.0).loss(np.zeros(3), rows), ValueError, "theta must have shape"),
    (lambda rows: KernelSVM(3, penalty=1.0).fit(rows[rows[:, 3] == 1]), ValueError, "both classes, got only class 1"),
    (lambda rows: KernelSVM(3, penalty=1.0).fit(np.full((3, 4), np.nan)), ValueError, "finite"),
    (lambda rows: KernelSVM(3).scores(KernelSVM(3).fit(rows), rows[:, :2]), ValueError, r"shape \(n, 3\)"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(two_classes(20, rng))


def test_the_rbf_kernel_does_not_see_a_shift(rng):
    x, z = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    np.testing.assert_allclose(RBF(1.0)(x + 1e6, z + 1e6), RBF(1.0)(x, z), atol=1e-8)


# ---- scale and location; types ----

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [0.0, 1e4, 1e6])
def test_neighbors_far_from_the_origin_and_from_other_rows_keep_their_kernel(far, dtype):
    x = np.array([[10_000.0], [10_001.0], [far]], dtype)
    assert RBF(1.0)(x, x)[0, 1] == pytest.approx(np.exp(-0.5), rel=1e-12)         # 0.6065
    assert (np.diagonal(RBF(1.0)(x, x)) == 1).all()


@pytest.mark.parametrize("shift", [1e4, 1.7e9])
@pytest.mark.parametrize("make", [lambda: KernelSVM(2, penalty=0.01, kernel=linear), lambda: KernelSVM(2, penalty=0.01),
                                  lambda: KernelSVR(2, penalty=0.01, kernel=linear), lambda: KernelSVR(2, penalty=0.01)])
def test_a_constant_added_to_a_column_moves_the_bias_alone(make, shift, rng):
    svm, rows = make(), np.round(two_classes(150, rng, dim=2), 3)
    there = rows + [shift, -0.1 * shift, 0]
    here, moved = svm.fit(rows), svm.fit(there)
    assert moved.primal == pytest.approx(here.primal, rel=1e-5)
    np.testing.assert_allclose(svm.scores(moved, there[:, :2]), svm.scores(here, rows[:, :2]), atol=1e-2)


def test_the_bias_of_the_linear_kernel_is_that_of_the_given_columns(rng):
    svm, rows = KernelSVM(2, penalty=0.01, kernel=linear), two_classes(100, rng, dim=2) + [30.0, -20.0, 0]
    machine = svm.fit(rows)
    np.testing.assert_allclose(svm.scores(machine, rows[:, :2]),
                               rows[:, :2] @ (machine.beta @ machine.x) + machine.bias, atol=1e-9)


@pytest.mark.parametrize("shift", [100.0, 1e9])
def test_a_constant_added_to_the_target_moves_the_bias_alone(shift, rng):
    x = rng.uniform(-3, 3, size=(60, 1))
    rows = join(x, np.round(np.sin(x[:, 0]), 3))
    svr = KernelSVR(1, penalty=0.01, kernel=RBF(0.8))
    np.testing.assert_allclose(svr.predict(svr.fit(rows + [0, shift]), x) - shift, svr.predict(svr.fit(rows), x),
                               atol=1e-2)


def test_machines_compare_and_hash_as_objects(rng):
    rows = two_classes(30, rng, dim=2)
    one, two = KernelSVM(2).fit(rows), KernelSVM(2).fit(rows)
    assert one == one and one != two and len({one, two}) == 2
    assert KernelSVM(np.int64(2), penalty=np.float32(0.5), kernel=RBF(np.float64(1))) == KernelSVM(2, penalty=0.5)


def test_a_limit_of_steps_advises_scaling(rng):
    rows = two_classes(200, rng)
    with pytest.raises(RuntimeError, match="after 5 steps: divide each column of x by its standard deviation"):
        KernelSVM(3, kernel=linear).fit(rows * [1e3, 1e-3, 1, 1], most_steps=5)


@pytest.mark.parametrize("call, says", [
    (lambda svm, x: svm.scores(None, x), "machine must be what fit returned"),
    (lambda svm, x: svm.predict(np.ones(3), x), "machine must be what fit returned"),
    (lambda svm, x: KernelSVM(2, kernel=float), "kernel must be a function"),
    (lambda svm, x: RBF("a"), "width must be a positive number, got 'a'"),
    (lambda svm, x: linear(x, np.zeros((3, 5))), r"z must have shape \(n, 2\)"),
    (lambda svm, x: svm.fit(np.column_stack([x, x[:, 0] > 0]), tolerance=0), "tolerance must be a positive"),
    (lambda svm, x: svm.fit(np.column_stack([x, x[:, 0] > 0]), most_steps=0.5), "most_steps must be an integer"),
])
def test_what_is_refused_is_named(call, says, rng):
    with pytest.raises((TypeError, ValueError), match=says):
        call(KernelSVM(2), rng.normal(size=(10, 2)))


@pytest.mark.parametrize("kernel", [linear, RBF(1.0)])
def test_a_tube_that_holds_every_target_needs_no_support(kernel, rng):
    rows = join(rng.normal(size=(9, 2)), np.full(9, 5.0))
    machine = KernelSVR(2, kernel=kernel).fit(rows)
    assert len(machine.x) == 0
    np.testing.assert_allclose(KernelSVR(2, kernel=kernel).predict(machine, rows[:, :2]), 5.0, atol=0.1)
