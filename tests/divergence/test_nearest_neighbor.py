import numpy as np
import pytest

from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors, kl_nearest_neighbor

BOTH = pytest.mark.parametrize("estimator", [kl_nearest_neighbor, kl_adaptive_neighbors])


def two_gaussians(seed, n, m, dim, shift, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) * scale + shift


def naive(x, y, k):
    """Wang, Kulkarni, Verdu (2009), eq. (5), and the standard error, point by point."""
    (n, dim), m = x.shape, len(y)
    terms, on_x, on_y = [], np.zeros((n, n)), np.zeros((n, m))
    for i in range(n):
        to_x = np.array([np.linalg.norm(x[i] - row) for row in x])
        to_y = np.array([np.linalg.norm(x[i] - row) for row in y])
        others = [j for j in np.argsort(to_x) if j != i][:k]
        nearest = np.argsort(to_y)[:k]
        terms.append(dim * np.log(to_y[nearest[-1]] / to_x[others[-1]]) + np.log(m / (n - 1)))
        on_x[i, others] = on_y[i, nearest] = 1 / k
    return np.mean(terms), np.sqrt(variance(terms, on_x, on_y, x, y, k))


def variance(terms, on_x, on_y, x, y, k):
    """(4) from tables: entry i, j is 1/k if j is a neighbor of i; on_x (n, n), on_y (n, m)."""
    n, m = on_y.shape
    g = [on_x[:, (x == row).all(axis=1)].sum() / (x == row).all(axis=1).sum() for row in x]
    e = [m / n * on_y[:, (y == row).all(axis=1)].sum() / (y == row).all(axis=1).sum() for row in y]
    return max(np.var(np.add(terms, g), ddof=1) / n + np.mean(np.subtract(e, 1) ** 2) / m - 2 / (n * k),
               np.var(terms, ddof=1) / n)


def harmonic(count):
    return sum(1 / j for j in range(1, count + 1))


def naive_adaptive(x, y):
    """H(x before the first y) - H(y before the first other x), in order of distance, point by point."""
    n, m = len(x), len(y)
    terms, on_x, on_y = [], np.zeros((n, n)), np.zeros((n, m))
    for i in range(n):
        arrivals = sorted([(np.linalg.norm(x[i] - x[j]), "x", j) for j in range(n) if j != i]
                          + [(np.linalg.norm(x[i] - y[j]), "y", j) for j in range(m)])
        kinds = "".join(kind for _, kind, _ in arrivals)
        terms.append(harmonic(kinds.index("y")) - harmonic(kinds.index("x")) + np.log(m / (n - 1)))
        on_x[i, arrivals[kinds.index("x")][2]] = on_y[i, arrivals[kinds.index("y")][2]] = 1
    return np.mean(terms), np.sqrt(variance(terms, on_x, on_y, x, y, 1))


@pytest.mark.parametrize("k, dim, n, m", [(1, 1, 30, 40), (1, 3, 40, 30), (5, 2, 40, 25), (7, 20, 30, 30)])
def test_fixed_k_equals_a_loop_over_the_points(k, dim, n, m):
    x, y = two_gaussians(k, n, m, dim, 0.3)
    kl = kl_nearest_neighbor(x, y, k)
    assert (kl.value, kl.stderr) == pytest.approx(naive(x, y, k), rel=1e-12)
    assert kl.n == n


@pytest.mark.parametrize("dim, n, m, shift", [(1, 30, 40, 0.3), (2, 40, 25, 1.5), (3, 2, 2, 0), (20, 30, 30, 0.3)])
def test_adaptive_k_equals_a_loop_over_the_points(dim, n, m, shift):
    x, y = two_gaussians(dim, n, m, dim, shift)
    kl = kl_adaptive_neighbors(x, y)
    assert (kl.value, kl.stderr) == pytest.approx(naive_adaptive(x, y), rel=1e-12, abs=1e-12)


def test_repeats_below_k_and_atoms_of_y_elsewhere_equal_the_loop():
    x, y = two_gaussians(16, 40, 40, 2, 0.2)
    x[:3], x[3:5] = x[0], x[3]                            # 3 and 2 copies with k = 4: no atoms of p
    y[:10], y[10:20], y[20:22] = y[0], y[10], y[20]       # two atoms of q that no x hits
    kl = kl_nearest_neighbor(x, y, 4)
    assert (kl.value, kl.stderr) == pytest.approx(naive(x, y, 4), rel=1e-12)


def test_it_finds_the_forward_kl_of_p_against_q():
    x, y = two_gaussians(0, 20_000, 20_000, 2, 0.0, scale=1.4)
    forward = kl_gaussians([0, 0], np.eye(2), [0, 0], 1.96 * np.eye(2)).value        # 0.18
    reverse = kl_gaussians([0, 0], 1.96 * np.eye(2), [0, 0], np.eye(2)).value        # 0.29, and biased
    for pair, truth, bias in (((x, y), forward, 0.01), ((y, x), reverse, 0.04)):
        kl = kl_nearest_neighbor(*pair)
        assert kl.value == pytest.approx(truth, abs=bias + 5 * kl.stderr) and bias + 5 * kl.stderr < 0.11


@pytest.fixture(scope="module")
def shifted_normals():
    """N(0, 1) against N(2, 1), KL = 2, n = m = 1000: 60 estimates each of fixed and of adaptive k."""
    pairs = [two_gaussians(seed, 1000, 1000, 1, 2.0) for seed in range(60)]
    return [np.array([estimator(*pair).value for pair in pairs])
            for estimator in (kl_nearest_neighbor, kl_adaptive_neighbors)]


def test_the_known_bias_for_shifted_normals(shifted_normals):
    fixed, adaptive = shifted_normals
    for values, mean in ((fixed, 1.785), (adaptive, 1.94)):
        assert abs(np.mean(values) - mean) < 5 * np.std(values) / np.sqrt(60)


def test_adaptive_counts_beat_the_fixed_k_there(shifted_normals):
    # Their mean squared error is about 0.033, that of fixed k = 5 is 0.056.
    fixed, adaptive = [np.mean((values - 2) ** 2) for values in shifted_normals]
    assert adaptive < 0.045 < fixed


@pytest.mark.parametrize("w", [0.1, 0.5, 0.8])
def test_the_expectation_of_harmonic_counts(w):
    # a points arrive before the first y with probability w^a (1 - w), b before the first x with (1 - w)^b w.
    counts = np.arange(300)
    h = np.cumsum(np.concatenate([[0.0], 1 / counts[1:]]))
    assert np.sum(w ** counts * (1 - w) * h) == pytest.approx(-np.log(1 - w), rel=1e-12)
    assert np.sum((1 - w) ** counts * w * h) == pytest.approx(-np.log(w), rel=1e-11)


def test_adaptive_counts_are_unbiased_where_the_densities_are_flat():
    # p uniform on [0, 1], q on [-4.5, 5.5], so that only the edges of p can bias it: log 10.
    rng = np.random.default_rng(0)
    values = [kl_adaptive_neighbors(rng.uniform(0, 1, (300, 1)), rng.uniform(-4.5, 5.5, (3000, 1))).value
              for _ in range(60)]
    assert abs(np.mean(values) - np.log(10)) < 5 * np.std(values) / np.sqrt(60)


@BOTH
def test_between_equal_laws_it_scatters_around_zero_and_the_error_is_right(estimator):
    runs = [estimator(*two_gaussians(seed, 250, 200, 2, 0.0)) for seed in range(150)]
    values = np.array([run.value for run in runs])
    assert abs(values.mean()) < 5 * values.std() / np.sqrt(150)
    assert 40 < (values < 0).sum() < 110
    assert 0.85 < np.mean([run.stderr for run in runs]) / values.std() < 1.25     # itself known to 6 %


@BOTH
def test_the_error_sees_the_few_y_in_the_tail(estimator):
    # Here the y cause the larger part of the variance: the spread of the terms alone gives 0.5.
    runs = [estimator(*two_gaussians(seed, 400, 400, 1, 2.0)) for seed in range(150)]
    ratio = np.mean([run.stderr for run in runs]) / np.std([run.value for run in runs])
    assert 0.9 < ratio < 1.6


def test_intervals_of_the_adaptive_counts_cover():
    # 2-D, KL = 0.5, n = m = 500: the interval at 95 % holds the truth in 93 to 97 of 100 cases, up to five errors.
    covered = 0
    for seed in range(150):
        low, high = kl_adaptive_neighbors(*two_gaussians(seed, 500, 500, 2, np.sqrt(0.5))).interval()
        covered += low <= 0.5 <= high
    assert covered / 150 > 0.93 - 5 * np.sqrt(0.95 * 0.05 / 150)


@BOTH
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_rotating_shifting_and_scaling_both_samples_changes_nothing(dim, estimator):
    rng = np.random.default_rng(dim)
    x, y = two_gaussians(dim, 300, 200, dim, 0.5)
    rotation, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    moved = [3.7 * z @ rotation + 2.0 for z in (x, y)]
    assert estimator(*moved).value == pytest.approx(estimator(x, y).value, abs=1e-9)


def test_adaptive_counts_do_not_depend_on_the_dimension():
    # The same plane in six dimensions: D = 6 would triple a distance-based estimate.
    x, y = two_gaussians(3, 200, 200, 2, 0.5)
    assert kl_adaptive_neighbors(np.tile(x, 3), np.tile(y, 3)).value == kl_adaptive_neighbors(x, y).value
    assert kl_nearest_neighbor(np.tile(x, 3), np.tile(y, 3)).value == pytest.approx(
        3 * kl_nearest_neighbor(x, y).value - 2 * np.log(200 / 199), rel=1e-9)


@BOTH
@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e170, 1e300])
def test_extreme_units_neither_overflow_nor_vanish(factor, estimator):
    x, y = two_gaussians(4, 100, 100, 2, 0.5)
    assert estimator(factor * x, factor * y).value == pytest.approx(estimator(x, y).value, rel=1e-9)


# ---- bad input ----

@pytest.mark.parametrize("n, m, k, message", [
    (5, 9, 5, "k = 5 needs more than k rows of x .* got 5 and 9"), (9, 4, 5, "got 9 and 4"),
    (1, 9, 1, "got 1 and 9"), (9, 1, 1, r"at least max\(k, 2\) of y, got 9 and 1"),
    (9, 9, 0, "k must be at least 1")])
def test_too_few_points_are_a_clear_error(n, m, k, message):
    with pytest.raises(ValueError, match=message):
        kl_nearest_neighbor(*two_gaussians(0, n, m, 1, 0.0), k)


@BOTH
def test_samples_of_different_dimension_are_refused(estimator):
    with pytest.raises(ValueError, match="same number of columns"):
        estimator(np.zeros((9, 2)), np.zeros((9, 3)))


def test_adaptive_counts_need_two_points_of_each():
    for n, m in ((1, 5), (5, 1)):
        with pytest.raises(ValueError, match=f"at least 2 rows of x and of y are needed, got {n} and {m}"):
            kl_adaptive_neighbors(np.zeros((n, 1)), np.zeros((m, 1)))
