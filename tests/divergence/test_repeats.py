"""Repeated rows and constant columns: where the distributions have no density."""
import itertools

import numpy as np
import pytest

from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors, kl_nearest_neighbor
from scratch.divergence.plug_in import kl_binned, kl_kernel_density
from scratch.divergence.neighbors import first_copies
from scratch.divergence.repeats import constant_columns, places, refuse_copies

BOTH = pytest.mark.parametrize("estimator", [kl_nearest_neighbor, kl_adaptive_neighbors])
ALL = pytest.mark.parametrize("estimator", [kl_nearest_neighbor, kl_adaptive_neighbors, kl_kernel_density, kl_binned])


def two_gaussians(seed, n, m, dim, shift):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + shift


def harmonic(count):
    return sum(1 / j for j in range(1, count + 1))


# ---- places ----

def test_rows_are_at_one_place_exactly_if_they_are_equal():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, size=(40, 3)) / 2, rng.integers(0, 3, size=(30, 3)) / 2
    at = places(x, y)
    place, rows = np.concatenate([at.of_x, at.of_y]), np.concatenate([x, y])
    same = (rows[:, None] == rows[None]).all(axis=2)
    assert np.array_equal(place[:, None] == place[None], same)
    assert set(place) == set(range(place.max() + 1))
    assert at.count_x[at.of_x].tolist() == same[:40, :40].sum(axis=1).tolist()
    assert at.count_y[at.of_x].tolist() == same[:40, 40:].sum(axis=1).tolist()


def test_minus_zero_equals_zero():
    at = places(np.array([[0.0, 1.0]]), np.array([[-0.0, 1.0]]))
    assert at.of_x[0] == at.of_y[0]


def test_first_copies_keeps_the_first_rows_of_each_place():
    place = np.array([2, 0, 2, 2, 1, 0, 2])
    assert first_copies(place, 1).tolist() == [0, 1, 4]
    assert first_copies(place, 3).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_single_row_has_no_constant_column():
    assert constant_columns(np.array([[1.0, 7.0], [2.0, 7.0]])).tolist() == [False, True]
    assert not constant_columns(np.ones((1, 2))).any()


# ---- repeated points ----

def test_discrete_data_give_the_kl_of_the_histograms():
    rng = np.random.default_rng(5)
    x, y = rng.binomial(2, 0.3, size=(400, 2)) / 2, rng.binomial(2, 0.5, size=(300, 2)) / 2
    expected = 0.0
    for cell in np.unique(x, axis=0):
        p, q = np.mean((x == cell).all(axis=1)), np.mean((y == cell).all(axis=1))
        expected += p * np.log(p / q)
    assert kl_nearest_neighbor(x, y).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("estimator, tolerance", [(kl_nearest_neighbor, 1e-12), (kl_adaptive_neighbors, 0.01)])
def test_the_standard_error_of_discrete_data_is_that_of_two_histograms(estimator, tolerance):
    # Two values, p = (a, 1 - a), q = (b, 1 - b): by the delta method
    # var = a (1 - a) (log ratio of odds)^2 / n + (a - b)^2 / (b (1 - b)) / m.
    x = np.repeat([[0.0], [1.0]], [300, 700], axis=0)
    y = np.repeat([[0.0], [1.0]], [240, 160], axis=0)
    a, b = 0.3, 0.6
    odds = np.log(a / b) - np.log((1 - a) / (1 - b))
    variance = a * (1 - a) * odds ** 2 / 999 + (a - b) ** 2 / (b * (1 - b)) / 400
    assert estimator(x, y).stderr == pytest.approx(np.sqrt(variance), rel=tolerance)


def test_an_x_that_k_of_the_y_equal_is_an_atom():
    x, y = two_gaussians(19, 20, 30, 2, 0.0)
    y[:3] = x[0]
    expected = np.log(1 / 20) - np.log(3 / 30)
    for row in x[1:]:
        to_x, to_y = (np.sort([np.linalg.norm(row - other) for other in z]) for z in (x, y))
        expected += 2 * np.log(to_y[2] / to_x[3]) + np.log(30 / 19)               # k = 3; to_x[0] is 0, the row itself
    assert kl_nearest_neighbor(x, y, 3).value == pytest.approx(expected / 20, rel=1e-12)


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
    assert kl.value == pytest.approx(0.5 * np.log(2) + 0.5 * (0.5 + np.log(2 / 3)), abs=5 * kl.stderr)


@pytest.mark.parametrize("y, arrivals", [([0.0, 0.0, 9.0, 8.0], "xxyy"), ([0.0, 9.0, 8.0], "xxy")])
def test_adaptive_counts_at_an_atom_are_the_mean_over_all_orders_of_arrival(y, arrivals):
    # Around each x at 0: 2 other x and 2 (or 1) y at distance 0, in any order, then another y.  The x at 50
    # is nearer to the y at 9 and 8 than to any x: its term is -H(2).
    orders = ["".join(order) + "y" for order in itertools.permutations(arrivals)]
    mean = np.mean([harmonic(order.index("y")) - harmonic(order.index("x")) for order in orders])
    x, y = np.array([[0.0], [0.0], [0.0], [50.0]]), np.array(y)[:, None]
    expected = (3 * mean - harmonic(2)) / 4 + np.log(len(y) / 3)
    assert kl_adaptive_neighbors(x, y).value == pytest.approx(expected, rel=1e-12)


def test_adaptive_counts_on_a_lattice_find_the_kl():
    x, y = two_gaussians(17, 4000, 4000, 2, 0.35)
    kl = kl_adaptive_neighbors(np.round(x, 1), np.round(y, 1))
    assert kl.value == pytest.approx(0.35 ** 2, abs=5 * kl.stderr)


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


@BOTH
def test_fifty_thousand_copies_are_no_burden(estimator):
    x = np.zeros((55_000, 2))
    x[::11] = np.random.default_rng(10).normal(size=(5_000, 2))
    y = np.concatenate([np.zeros((10_000, 2)), x[::11] + [0.3, 0.0]])
    assert 0 < estimator(x, y).value < 1


# ---- constant columns ----

@ALL
def test_a_constant_column_in_both_changes_nothing(estimator):
    x, y = two_gaussians(11, 200, 150, 2, 0.5)
    wide_x, wide_y = [np.insert(z, 1, 3.0, axis=1) for z in (x, y)]
    wide, kl = estimator(wide_x, wide_y), estimator(x, y)
    assert (wide.value, wide.stderr) == pytest.approx((kl.value, kl.stderr), rel=1e-12)


@ALL
def test_a_column_constant_in_x_obeys_the_chain_rule(estimator):
    # A third of the y has x's value: KL = log 3 + KL of the rest against that third.
    x, y = two_gaussians(12, 200, 300, 1, 0.5)
    second = np.where(np.arange(300) < 100, 7.0, np.linspace(0, 1, 300))
    kl, rest = estimator(np.c_[x, np.full(200, 7.0)], np.c_[y, second]), estimator(x, y[:100])
    assert kl.value == pytest.approx(np.log(3) + rest.value, rel=1e-12)
    assert kl.stderr == pytest.approx(np.sqrt(rest.stderr ** 2 + 2 / 300), rel=1e-12)     # (1 - s) / (s m)


@pytest.mark.parametrize("estimator", [kl_nearest_neighbor, kl_adaptive_neighbors, kl_binned])
def test_the_error_of_the_chain_rule_is_right(estimator):
    def run(seed):
        rng = np.random.default_rng(seed)
        y = np.c_[rng.normal(0.5, 1.0, 150), rng.random(150) < 0.4]
        return estimator(np.c_[rng.normal(size=100), np.ones(100)], y)

    runs = [run(seed) for seed in range(200)]
    ratio = np.mean([kl.stderr for kl in runs]) / np.std([kl.value for kl in runs])
    assert 0.75 < ratio < 1.35                                                    # known to 5 %; (4) itself to 20 %


@ALL
def test_degenerate_columns_of_one_law_are_infinite(estimator):
    x, y = two_gaussians(13, 50, 50, 2, 0.0)
    flat_x, flat_y = x * [1, 0], y * [1, 0]
    for kl in (estimator(flat_x, y),                                              # p on a line, q is not
               estimator(x, flat_y),                                              # and the reverse
               estimator(flat_x, flat_y + [0, 1]),                                # on two parallel lines
               estimator(np.ones((20, 2)), np.full((30, 2), 2.0))):               # two points
        assert (kl.value, kl.stderr) == (np.inf, 0)


@ALL
def test_a_column_that_is_constant_in_the_y_on_the_plane_of_x_is_infinite(estimator):
    x, y = two_gaussians(14, 50, 50, 1, 0.0)
    second = np.where(np.arange(50) < 20, 7.0, np.linspace(0, 1, 50))
    y[:20] = 0.3
    assert estimator(np.c_[x, np.full(50, 7.0)], np.c_[y, second]).value == np.inf


@ALL
def test_x_in_one_point_costs_the_fraction_of_y_there(estimator):
    # -log s, with the error of a proportion by the delta method: sqrt((1 - s) / (s m)).
    ones, twos = np.ones((20, 2)), np.full((30, 2), 2.0)
    kl = estimator(ones, np.concatenate([ones, twos]))
    assert (kl.value, kl.stderr) == pytest.approx((np.log(2.5), np.sqrt(0.6 / (0.4 * 50))), rel=1e-12)
    assert (estimator(ones, ones).value, estimator(ones, ones).stderr) == (0, 0)


def test_too_few_y_on_the_plane_of_x_is_a_clear_error():
    x, y = two_gaussians(15, 50, 50, 2, 0.0)
    x[:, 1], y[:3, 1] = 0.0, 0.0
    with pytest.raises(ValueError, match="x has constant columns, 3 rows of y share them: k = 5 needs"):
        kl_nearest_neighbor(x, y)


# ---- no overlap ----

@BOTH
def test_disjoint_supports_give_a_large_finite_number(estimator):
    x, y = two_gaussians(14, 500, 500, 2, 100.0)
    kl = estimator(x, y)
    assert 6 < kl.value < 20 and np.isfinite(kl.stderr)


# ---- copies ----

@ALL
@pytest.mark.parametrize("copied", [1.0, 0.5, 0.05])
def test_a_sample_that_copies_the_other_is_refused(estimator, copied, rng):
    x, y = rng.normal(size=(400, 2)), rng.normal(size=(400, 2))
    rows = int(copied * 400)
    y[:rows] = x[rng.permutation(400)[:rows]]
    with pytest.raises(ValueError, match=f"{rows} of its 400 rows are rows of x"):
        estimator(x, y)


def test_copies_are_refused_and_ties_are_not(rng):
    """Rounded data, few values and other weights share rows without being copies; a bootstrap of x is copies."""
    for digits, n in itertools.product((0, 1, 2, 3), (20, 300, 3000)):
        x, y = (np.round(rng.normal(size=(n, 2)), digits) for _ in range(2))
        refuse_copies(x, y)
    for _ in range(200):
        p, q = rng.dirichlet(np.ones(30), size=2)
        refuse_copies(rng.choice(30, (100, 1), p=p).astype(float), rng.choice(30, (300, 1), p=q).astype(float))
    x = rng.normal(size=(300, 1))
    with pytest.raises(ValueError, match="copy"):
        refuse_copies(x, x[rng.integers(300, size=500)])


@pytest.mark.parametrize("few, many", [(4, 40), (40, 4)])
def test_a_copy_among_many_rows_of_the_other_is_refused(few, many, rng):
    x, y = rng.normal(size=(few, 2)), rng.normal(size=(many, 2))
    y[:4] = x[:4]
    with pytest.raises(ValueError, match="4 of its"):
        refuse_copies(x, y)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 50])
@pytest.mark.parametrize("estimator", [kl_adaptive_neighbors, lambda x, y: kl_nearest_neighbor(x, y, k=1),
                                       kl_kernel_density, kl_binned])
def test_a_copy_of_few_rows_is_refused_too(estimator, n, rng):
    x = rng.normal(size=(n, 1))
    with pytest.raises(ValueError, match=f"{n} of its {n} rows are rows of x"):
        estimator(x, rng.permutation(x))
