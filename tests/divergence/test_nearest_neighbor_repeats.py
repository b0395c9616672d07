"""Repeated points and constant columns: where the laws have no density."""
import itertools

import numpy as np
import pytest

from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors, kl_nearest_neighbor

BOTH = pytest.mark.parametrize("estimator", [kl_nearest_neighbor, kl_adaptive_neighbors])


def two_gaussians(seed, n, m, dim, shift):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + shift


def harmonic(count):
    return sum(1 / j for j in range(1, count + 1))


# ---- repeated points ----

def test_discrete_data_give_the_kl_of_the_histograms():
    rng = np.random.default_rng(5)
    x, y = rng.binomial(2, 0.3, size=(400, 2)) / 2, rng.binomial(2, 0.5, size=(300, 2)) / 2
    expected = 0.0
    for cell in np.unique(x, axis=0):
        p, q = np.mean((x == cell).all(axis=1)), np.mean((y == cell).all(axis=1))
        expected += p * np.log(p / q)
    assert kl_nearest_neighbor(x, y).value == pytest.approx(expected, rel=1e-12)


def test_the_standard_error_of_discrete_data_is_that_of_two_histograms():
    # Two values, p = (a, 1 - a), q = (b, 1 - b): by the delta method
    # var = a (1 - a) (log ratio of odds)^2 / n + (a - b)^2 / (b (1 - b)) / m.
    x = np.repeat([[0.0], [1.0]], [300, 700], axis=0)
    y = np.repeat([[0.0], [1.0]], [240, 160], axis=0)
    a, b = 0.3, 0.6
    odds = np.log(a / b) - np.log((1 - a) / (1 - b))
    variance = a * (1 - a) * odds ** 2 / 999 + (a - b) ** 2 / (b * (1 - b)) / 400
    assert kl_nearest_neighbor(x, y).stderr == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_an_atom_of_p_that_q_lacks_is_infinite():
    x, y = two_gaussians(6, 100, 100, 2, 0.0)
    x[:6] = x[0]                                                                  # k + 1 copies: an atom
    assert (kl_nearest_neighbor(x, y).value, kl_nearest_neighbor(x, y).stderr) == (np.inf, 0)
    assert np.isfinite(kl_nearest_neighbor(x[1:], y).value)                       # k copies: not yet


def test_an_atom_of_q_that_p_lacks_costs_only_its_mass():
    # q = 1/2 atom + 1/2 p: the KL is log 2.
    x, y = two_gaussians(7, 2000, 1000, 1, 0.0)
    y = np.concatenate([y, np.full((1000, 1), 0.3)])
    assert kl_nearest_neighbor(x, y).value == pytest.approx(np.log(2), abs=0.1)


def test_an_atom_of_both_beside_a_density_of_both():
    # p = 1/2 atom + 1/2 N(0, 1), q = 1/4 atom + 3/4 N(1, 1): KL = 1/2 log 2 + 1/2 (1/2 + log(2/3)).
    x, y = two_gaussians(8, 4000, 4000, 1, 1.0)
    x[:2000], y[:1000] = 5.0, 5.0
    kl = kl_nearest_neighbor(x, y)
    assert kl.value == pytest.approx(0.5 * np.log(2) + 0.5 * (0.5 + np.log(2 / 3)), abs=4 * kl.stderr)


def test_adaptive_counts_at_an_atom_are_the_mean_over_all_orders_of_arrival():
    # 3 x and 2 y at one point: around each x, 2 other x and 2 y at distance 0, in any order; then none.
    orders = ["".join(order) for order in itertools.permutations("xxyy")]
    mean = np.mean([harmonic(order.index("y")) - harmonic(order.index("x")) for order in orders])
    x, y = np.array([[0.0]] * 3), np.array([[0.0], [0.0], [9.0], [8.0]])
    assert kl_adaptive_neighbors(x, y).value == pytest.approx(mean + np.log(4 / 2), rel=1e-12)
    y = y[1:]                                                                     # now 2 x and 1 y
    orders = ["".join(order) for order in itertools.permutations("xxy")]
    mean = np.mean([harmonic((order + "y").index("y")) - harmonic((order + "x").index("x")) for order in orders])
    assert kl_adaptive_neighbors(x, y).value == pytest.approx(mean + np.log(3 / 2), rel=1e-12)


def test_adaptive_counts_on_a_lattice_find_the_kl():
    x, y = two_gaussians(17, 4000, 4000, 2, 0.35)
    kl = kl_adaptive_neighbors(np.round(x, 1), np.round(y, 1))
    assert kl.value == pytest.approx(0.35 ** 2, abs=4 * kl.stderr)


def test_adaptive_counts_stay_finite_where_p_has_an_atom_that_q_lacks():
    x, y = two_gaussians(18, 100, 100, 1, 0.0)
    x[:50] = x[0]
    kl = kl_adaptive_neighbors(x, y)
    assert 1 < kl.value < np.log(100 * 100) and np.isfinite(kl.stderr)


def test_all_points_repeated_a_few_times_is_finite():
    x, y = two_gaussians(9, 100, 100, 2, 0.0)
    for copies in (2, 5):
        for estimator in (kl_nearest_neighbor, kl_adaptive_neighbors):
            assert np.isfinite(estimator(np.repeat(x, copies, axis=0), y).value)
            assert np.isfinite(estimator(x, np.repeat(y, copies, axis=0)).value)


def test_a_hundred_thousand_copies_are_no_burden():
    x = np.zeros((100_000, 2))
    x[::2, 0] = np.random.default_rng(10).normal(size=50_000)
    y = np.concatenate([np.zeros((30_000, 2)), x[::2] + [0.3, 0.0]])
    for estimator in (kl_nearest_neighbor, kl_adaptive_neighbors):
        assert 0 < estimator(x, y).value < 1


# ---- constant columns ----

@BOTH
def test_a_constant_column_in_both_changes_nothing(estimator):
    x, y = two_gaussians(11, 200, 150, 2, 0.5)
    wide_x, wide_y = [np.insert(z, 1, 3.0, axis=1) for z in (x, y)]
    assert estimator(wide_x, wide_y) == estimator(x, y)


@BOTH
def test_a_column_constant_in_x_obeys_the_chain_rule(estimator):
    # A third of y shares x's value: KL = log 3 + KL of the rest against that third.
    x, y = two_gaussians(12, 200, 300, 1, 0.5)
    second = np.where(np.arange(300) < 100, 7.0, np.linspace(0, 1, 300))
    kl = estimator(np.c_[x, np.full(200, 7.0)], np.c_[y, second])
    assert kl.value == pytest.approx(np.log(3) + estimator(x, y[:100]).value, rel=1e-12)


@BOTH
def test_degenerate_columns_of_one_law_are_infinite(estimator):
    x, y = two_gaussians(13, 50, 50, 2, 0.0)
    flat_x, flat_y = x * [1, 0], y * [1, 0]
    assert estimator(flat_x, y).value == np.inf                                   # p on a line, q is not
    assert estimator(x, flat_y).value == np.inf                                   # and the reverse
    assert estimator(flat_x, flat_y + [0, 1]).value == np.inf                     # on two parallel lines


@BOTH
def test_constant_samples(estimator):
    ones, twos = np.ones((20, 2)), np.full((30, 2), 2.0)
    assert estimator(ones, ones).value == pytest.approx(0, abs=2e-3)
    assert estimator(ones, np.concatenate([ones, twos])).value == pytest.approx(np.log(2.5), abs=2e-3)
    assert estimator(ones, twos).value == np.inf


@BOTH
def test_disjoint_supports_give_a_large_finite_number(estimator):
    x, y = two_gaussians(14, 500, 500, 2, 100.0)
    kl = estimator(x, y)
    assert 6 < kl.value < 20 and np.isfinite(kl.stderr)


def test_too_few_y_on_the_plane_of_x_is_a_clear_error():
    x, y = two_gaussians(15, 50, 50, 2, 0.0)
    x[:, 1], y[:3, 1] = 0.0, 0.0
    with pytest.raises(ValueError, match="only 3 rows of y share their values"):
        kl_nearest_neighbor(x, y)
