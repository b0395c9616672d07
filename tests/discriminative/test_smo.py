import numpy as np
import pytest
from scipy.optimize import minimize

from scratch.discriminative import smo
from scratch.discriminative.smo import maximize_dual
from scratch.discriminative.svm import RBF


def problem(kind, n, rng):
    """K, target, low, high, epsilon of a noisy classification or regression."""
    x = rng.normal(size=(n, 2))
    K = RBF(0.8)(x, x)
    if kind == "classification":
        s = np.where(x[:, 0] + 0.7 * rng.normal(size=n) > 0, 1.0, -1.0)
        return K, s, np.minimum(2 * s, 0), np.maximum(2 * s, 0), 0.0
    y = np.sin(2 * x[:, 0]) + 0.3 * rng.normal(size=n)
    return K, y, np.full(n, -2.0), np.full(n, 2.0), 0.2


KINDS = ["classification", "regression"]


def naive_primal(K, target, low, high, epsilon, beta, bias):
    """The primal of the docstring, one row at a time."""
    total = 0.5 * beta @ K @ beta
    for n in range(len(target)):
        e = target[n] - sum(K[n, m] * beta[m] for m in range(len(target))) - bias
        total += high[n] * max(e - epsilon, 0) + low[n] * min(e + epsilon, 0)
    return total


def naive_dual(K, target, epsilon, beta):
    return target @ beta - epsilon * np.abs(beta).sum() - 0.5 * beta @ K @ beta


@pytest.mark.parametrize("kind", KINDS)
def test_the_solution_is_feasible(kind, rng):
    K, target, low, high, epsilon = problem(kind, 80, rng)
    beta = maximize_dual(K, target, low, high, epsilon).beta
    assert (low <= beta).all() and (beta <= high).all()
    assert abs(beta.sum()) < 1e-12
    assert (beta == 0).any() and ((beta == low) | (beta == high)).any()          # edges are met exactly


@pytest.mark.parametrize("kind", KINDS)
def test_primal_and_gap_are_the_formulas(kind, rng):
    K, target, low, high, epsilon = problem(kind, 60, rng)
    for tolerance in (0.5, 1e-2, 1e-9):                     # far from the maximum, too
        solution = maximize_dual(K, target, low, high, epsilon, tolerance)
        primal = naive_primal(K, target, low, high, epsilon, solution.beta, solution.bias)
        dual = naive_dual(K, target, epsilon, solution.beta)
        np.testing.assert_allclose(solution.primal, primal, rtol=1e-12)
        np.testing.assert_allclose(solution.gap, primal - dual, atol=1e-11 * primal)
        assert 0 <= solution.gap <= tolerance * primal


@pytest.mark.parametrize("kind", KINDS)
def test_no_feasible_point_is_better_than_the_gap_allows(kind, rng):
    """Weak duality, which makes the gap a proof: any dual value is below any primal value."""
    K, target, low, high, epsilon = problem(kind, 40, rng)
    best = maximize_dual(K, target, low, high, epsilon)
    for _ in range(100):
        beta = rng.uniform(0, 1, 40) ** 3 * np.where(rng.random(40) < 0.5, low, high)
        beta[beta > 0] *= min(1, -beta[beta < 0].sum() / beta[beta > 0].sum())
        beta[beta < 0] *= min(1, -beta[beta > 0].sum() / beta[beta < 0].sum())
        assert naive_dual(K, target, epsilon, beta) <= best.primal
        other = best.beta + 0.1 * rng.normal(size=40)
        assert naive_primal(K, target, low, high, epsilon, other, rng.normal()) >= best.primal - best.gap


@pytest.mark.parametrize("kind", KINDS)
def test_the_karush_kuhn_tucker_conditions_hold(kind, rng):
    """Row by row: inside the tube nothing, outside it the whole box, on its edge what is between."""
    K, target, low, high, epsilon = problem(kind, 80, rng)
    solution = maximize_dual(K, target, low, high, epsilon, tolerance=1e-12)
    beta, e = solution.beta, target - K @ solution.beta - solution.bias
    tiny = 1e-5
    assert (beta[e > epsilon + tiny] == high[e > epsilon + tiny]).all()
    assert (beta[e < -epsilon - tiny] == low[e < -epsilon - tiny]).all()
    if epsilon:
        assert (beta[np.abs(e) < epsilon - tiny] == 0).all()
    between = (low < beta) & (beta < high) & (beta != 0)
    assert between.sum() >= 3
    np.testing.assert_allclose(e[between], epsilon * np.sign(beta[between]), atol=tiny)


@pytest.mark.parametrize("kind", KINDS)
def test_scipy_finds_no_larger_dual(kind, rng):
    """A general solver on the same program, beta = plus - minus to make |beta| smooth."""
    K, target, low, high, epsilon = problem(kind, 30, rng)

    def negative(z):
        beta = z[:30] - z[30:]
        slope = target - K @ beta
        return -(target @ beta - epsilon * z.sum() - 0.5 * beta @ K @ beta), np.append(epsilon - slope, epsilon + slope)
    ones = np.append(np.ones(30), -np.ones(30))
    result = minimize(negative, np.zeros(60), jac=True, method="SLSQP", bounds=[(0, h) for h in np.append(high, -low)],
                      constraints=dict(type="eq", fun=lambda z: ones @ z, jac=lambda z: ones),
                      options=dict(ftol=1e-13, maxiter=1000))
    ours = maximize_dual(K, target, low, high, epsilon, tolerance=1e-10)
    np.testing.assert_allclose(ours.primal - ours.gap, -result.fun, rtol=1e-8)


def test_two_points_have_their_solution_in_closed_form():
    """x = -1 and 1, linear kernel: f(x) = x touches both margins with beta = 1/2, if the box allows it."""
    K, s = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([-1.0, 1.0])
    wide = maximize_dual(K, s, np.minimum(9 * s, 0), np.maximum(9 * s, 0))
    np.testing.assert_allclose(wide.beta, [-0.5, 0.5])
    np.testing.assert_allclose([wide.bias, wide.primal, wide.gap], [0, 0.5, 0], atol=1e-12)
    tight = maximize_dual(K, s, np.minimum(0.1 * s, 0), np.maximum(0.1 * s, 0))
    np.testing.assert_allclose(tight.beta, [-0.1, 0.1])
    np.testing.assert_allclose(tight.primal, 0.02 + 2 * 0.1 * 0.8)               # 1/2 0.2^2, margins of 0.2


def test_targets_within_the_tube_need_no_rows():
    """All equal: the constant b is the answer, and beta = 0 its proof."""
    solution = maximize_dual(np.eye(4), np.full(4, 3.0), np.full(4, -1.0), np.full(4, 1.0), epsilon=0.5)
    assert (solution.beta == 0).all() and solution.gap == 0 and abs(solution.bias - 3) <= 0.5


def test_a_row_in_both_classes_is_a_tie():
    """The kernel does not tell the rows apart: no curvature, a full box, f = b and margins of +b and -b."""
    s = np.array([1.0, -1.0])
    solution = maximize_dual(np.ones((2, 2)), s, np.minimum(s, 0), np.maximum(s, 0))
    np.testing.assert_array_equal(solution.beta, [1, -1])
    assert solution.bias == 0                               # every b in [-1, 1] is as good: the middle
    np.testing.assert_allclose(solution.primal, 2)


@pytest.mark.parametrize("K, low, high, says", [
    (np.eye(3), np.zeros(4), np.ones(4), r"K must have shape \(n, 4\)"),
    (np.ones((3, 4)), np.zeros(4), np.ones(4), "K must be square"),
    (np.eye(4), np.zeros(3), np.ones(4), "one target, low and high"),
    (np.eye(4), np.full(4, 0.1), np.ones(4), "the box must hold 0"),
    (np.eye(4), np.array([0, 0, 0, 0.1]), np.ones(4), "the box must hold 0"),
    (np.eye(4), np.zeros(4), np.array([1, 1, 1, -0.1]), "the box must hold 0"),
    (np.full((4, 4), np.nan), np.zeros(4), np.ones(4), "K must be finite"),
])
def test_bad_input_is_named(K, low, high, says):
    with pytest.raises(ValueError, match=says):
        maximize_dual(K, np.ones(4), low, high)


# ---- columns in different units ----

def unscaled(n, rng):
    """Twelve correlated columns of scales from 1e-3 to 1e3, and their classes."""
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 12)) + 0.5 * rng.normal(size=(n, 12))
    s = np.where(x @ rng.normal(size=12) + rng.normal(size=n) > 0, 1.0, -1.0)
    return x * np.logspace(-3, 3, 12), s


def test_columns_in_different_units_do_not_take_millions_of_steps(rng):
    x, s = unscaled(300, rng)
    solution = maximize_dual(x @ x.T, s, np.minimum(s, 0), np.maximum(s, 0), most_steps=20_000)
    assert solution.gap <= 1e-6 * solution.primal
    assert abs(solution.beta.sum()) < 1e-10
    pairs_only = smo.MOST_FREE
    try:
        smo.MOST_FREE = 0                                   # no step for all free rows at once
        with pytest.raises(RuntimeError, match="divide each column of x by its standard deviation"):
            maximize_dual(x @ x.T, s, np.minimum(s, 0), np.maximum(s, 0), most_steps=20_000)
    finally:
        smo.MOST_FREE = pairs_only


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_for_all_free_rows_ends_where_their_errors_are_equal(kind, rng):
    """Optimal over the free rows: r - epsilon sign(beta) is one number for all of them; D never falls."""
    K, target, low, high, epsilon = problem(kind, 60, rng)
    beta = 0.1 * np.where(rng.random(60) < 0.5, low, high) * rng.random(60)
    beta[beta > 0] *= -beta[beta < 0].sum() / beta[beta > 0].sum()
    moved = smo._move_all_free(K, beta, target, low, high, epsilon)
    assert abs(moved.sum()) < 1e-12 and (low <= moved).all() and (moved <= high).all()
    assert naive_dual(K, target, epsilon, moved) > naive_dual(K, target, epsilon, beta)
    free = (low < moved) & (moved < high) & (moved != 0)
    assert np.ptp((target - K @ moved - epsilon * np.sign(moved))[free]) < 1e-9


def test_the_users_limit_is_kept_and_the_gap_is_told(rng):
    K, target, low, high, epsilon = problem("regression", 60, rng)
    with pytest.raises(RuntimeError, match="the gap is still .* after 3 steps: .* allow more most_steps"):
        maximize_dual(K, target, low, high, epsilon, most_steps=3)
