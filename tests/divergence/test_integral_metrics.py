from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from scratch.divergence import integral_metrics
from scratch.divergence.integral_metrics import mmd, sliced_wasserstein, wasserstein


def two_gaussians(seed, n, m, dim, shift, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) * scale + shift


def sliced(x, y, projections=50):
    return sliced_wasserstein(x, y, np.random.default_rng(0), projections)


ALL = pytest.mark.parametrize("metric", [mmd, wasserstein, sliced])
LENGTHS = pytest.mark.parametrize("metric", [wasserstein, sliced])


# ---- MMD ----

def naive_mmd(x, y):
    """Gretton et al. (2012), eq. (3), by double loops, with its standard error."""
    n, m = len(x), len(y)
    pool = [*x, *y]
    scale = np.median([np.linalg.norm(a - b) for i, a in enumerate(pool) for b in pool[:i]])

    def kernel(rows, columns):
        return np.array([[np.exp(-np.sum((a - b) ** 2) / (2 * scale ** 2)) for b in columns] for a in rows])
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    own_x = [sum(xx[i, j] for j in range(n) if j != i) / (n - 1) for i in range(n)]
    own_y = [sum(yy[i, j] for j in range(m) if j != i) / (m - 1) for i in range(m)]
    value = np.mean(own_x) + np.mean(own_y) - 2 * xy.mean()
    a, b = own_x - xy.mean(axis=1), own_y - xy.mean(axis=0)

    def centered(k):
        return np.mean((k - k.mean(axis=1, keepdims=True) - k.mean(axis=0, keepdims=True) + k.mean()) ** 2)
    second = 2 * centered(xx) / n ** 2 + 2 * centered(yy) / m ** 2 + 4 * centered(xy) / (n * m)
    first = 4 * np.var(a, ddof=1) / n + 4 * np.var(b, ddof=1) / m
    return value, np.sqrt(max(first - second, second))


@pytest.mark.parametrize("dim, n, m, shift", [(1, 12, 9, 1.0), (3, 15, 20, 0.0), (20, 2, 5, 0.3)])
def test_mmd_and_its_standard_error_equal_a_double_loop(dim, n, m, shift):
    x, y = two_gaussians(dim, n, m, dim, shift)
    distance = mmd(x, y)
    assert (distance.value, distance.stderr) == pytest.approx(naive_mmd(x, y), rel=1e-10, abs=1e-14)
    assert distance.n == n


def test_small_chunks_change_nothing(monkeypatch):
    x, y = two_gaussians(1, 60, 50, 2, 0.5)
    whole = mmd(x, y)
    monkeypatch.setattr(integral_metrics, "CHUNK", 130)
    assert (mmd(x, y).value, mmd(x, y).stderr) == pytest.approx((whole.value, whole.stderr), rel=1e-12)


def test_mmd_is_unbiased_around_zero_for_equal_laws_and_its_error_is_right():
    # With the terms i = j it would be 0.02, 20 errors of the mean.
    runs = [mmd(*two_gaussians(seed, 60, 50, 2, 0.0)) for seed in range(300)]
    values = np.array([run.value for run in runs])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(300)
    assert (values < 0).sum() > 100
    assert 0.9 < np.mean([run.stderr for run in runs]) / values.std() < 1.5


def test_the_error_of_mmd_between_different_laws_is_right():
    runs = [mmd(*two_gaussians(seed, 100, 80, 2, 0.7)) for seed in range(150)]
    ratio = np.mean([run.stderr for run in runs]) / np.std([run.value for run in runs])
    assert abs(ratio - 1) < 4 / np.sqrt(2 * 150)


def test_mmd_between_gaussians_matches_its_closed_form():
    # E k over a difference N(d, v) in 1-D: s / sqrt(s^2 + v) exp(-d^2 / (2 (s^2 + v))), v = 2, 1 + 4, 8.
    x, y = two_gaussians(3, 1000, 1000, 1, 1.0, scale=2.0)
    pool = np.concatenate([x, y])[:, 0]
    s2 = np.median(np.abs(pool[:, None] - pool)[np.triu_indices(2000, 1)]) ** 2
    mean = lambda d, v: np.sqrt(s2 / (s2 + v)) * np.exp(-d ** 2 / (2 * (s2 + v)))
    assert mmd(x, y).agrees_with(mean(0, 2) + mean(0, 8) - 2 * mean(1, 5))


def test_mmd_is_symmetric_and_in_units_of_its_own_scale(rng):
    x, y = two_gaussians(4, 40, 30, 3, 0.5)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert mmd(y, x).value == pytest.approx(mmd(x, y).value, rel=1e-12)
    assert mmd(*[3.7 * z @ rotation + 2 for z in (x, y)]).value == pytest.approx(mmd(x, y).value, rel=1e-9)
    for factor in (1e-300, 1e-170, 1e170, 1e300):
        assert mmd(factor * x, factor * y).value == pytest.approx(mmd(x, y).value, rel=1e-9)


def test_mmd_of_constant_samples_and_of_distant_ones():
    ones, twos = np.ones((20, 2)), np.full((30, 2), 2.0)
    assert (mmd(ones, ones).value, mmd(ones, ones).stderr) == (0, 0)
    assert mmd(ones, twos).value == pytest.approx(2 - 2 * np.exp(-0.5), rel=1e-12)            # scale = distance
    far = mmd(*two_gaussians(5, 50, 50, 2, 1e6))
    assert 0.7 < far.value < 2


# ---- Wasserstein ----

def test_it_equals_the_best_of_all_pairings(rng):
    for dim in (1, 2, 3):
        x, y = rng.normal(size=(6, dim)), rng.normal(size=(6, dim)) + 0.5
        best = min(np.mean(np.sum((x - y[list(order)]) ** 2, axis=1)) for order in permutations(range(6)))
        assert wasserstein(x, y).value == pytest.approx(np.sqrt(best), rel=1e-12)


def test_unequal_numbers_on_a_line_are_split_by_quantiles(rng):
    for n, m in ((6, 4), (5, 7), (1, 9), (12, 3)):
        x, y = rng.normal(size=(n, 1)), rng.normal(size=(m, 1))
        gaps = np.sort(np.repeat(x, m)) - np.sort(np.repeat(y, n))
        assert wasserstein(x, y).value == pytest.approx(np.sqrt(np.mean(gaps ** 2)), rel=1e-12)


def test_the_line_and_the_assignment_agree():
    x, y = two_gaussians(0, 200, 200, 1, 1.0, 2.0)
    on_line, in_plane = wasserstein(x, y), wasserstein(np.c_[x, 0 * x], np.c_[y, 0 * y])
    assert in_plane.value == pytest.approx(on_line.value, rel=1e-12)
    assert in_plane.stderr == pytest.approx(on_line.stderr, rel=0.05)


def test_the_prices_certify_the_assignment(rng):
    # u_i + v_j <= |x_i - y_j|^2 for all pairs, and mean u + mean v = W2^2: no pairing can be cheaper.
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 3)) + 1
    square, u, v = integral_metrics._by_assignment(x, y)
    assert u.mean() + v.mean() == pytest.approx(square, rel=1e-12)
    cost = cdist(x, y, "sqeuclidean")
    pairs = linear_sum_assignment(cost)[1]                # v comes in the order of x's partners
    assert (cost[:, pairs] - u[:, None] - v).min() > -2e-3 * square


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_translation_by_a_vector_is_its_length(dim, rng):
    x, s = rng.normal(size=(60, dim)), rng.normal(size=dim)
    assert wasserstein(x, x + s).value == pytest.approx(np.linalg.norm(s), rel=1e-12)
    assert wasserstein(x + s, x[::-1]).value == pytest.approx(np.linalg.norm(s), rel=1e-12)


def test_gaussians_on_a_line_match_their_closed_form():
    # W2^2 = (difference of the means)^2 + (difference of the std)^2
    for shift, scale in ((1.0, 2.0), (0.0, 3.0), (-2.0, 0.5)):
        distance = wasserstein(*two_gaussians(1, 20_000, 15_000, 1, shift, scale))
        assert distance.agrees_with(np.sqrt(shift ** 2 + (scale - 1) ** 2)) and distance.stderr < 0.03


@pytest.mark.parametrize("n, m, dim", [(200, 150, 1), (60, 60, 2)])
def test_the_error_of_wasserstein_is_right(n, m, dim):
    runs = [wasserstein(*two_gaussians(seed, n, m, dim, 1.5, 1.5)) for seed in range(100)]
    ratio = np.mean([run.stderr for run in runs]) / np.std([run.value for run in runs])
    assert 0.75 < ratio < 1.3                                                     # itself known to 7 %


# ---- sliced Wasserstein ----

def test_it_equals_a_loop_over_the_same_directions(rng):
    x, y = two_gaussians(2, 30, 30, 3, 0.5)
    directions = np.random.default_rng(0).normal(size=(10, 3))
    squares = []
    for direction in directions:
        unit = direction / np.sqrt(sum(direction ** 2))
        squares.append(np.mean((np.sort(x @ unit) - np.sort(y @ unit)) ** 2))
    assert sliced(x, y, 10).value == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-12)


def test_in_one_dimension_it_is_the_wasserstein_distance():
    x, y = two_gaussians(3, 50, 40, 1, 0.5)
    assert sliced(x, y).value == pytest.approx(wasserstein(x, y).value, rel=1e-12)
    assert sliced(x, y).stderr == pytest.approx(wasserstein(x, y).stderr, rel=1e-12)


@pytest.mark.parametrize("dim", [2, 5, 20])
def test_translation_counts_by_its_mean_square_shadow(dim, rng):
    # The mean of (s . direction)^2 over all directions is |s|^2 / D.
    x, s = rng.normal(size=(30, dim)), rng.normal(size=dim)
    directions = 2000
    distance = sliced(x, x + s, directions).value
    spread = np.sqrt(2 * (dim - 1) / (dim + 2))                                   # sd of D cos^2
    assert abs(distance ** 2 * dim / (s @ s) - 1) < 4 * spread / np.sqrt(directions)


def test_it_is_at_most_the_wasserstein_distance():
    for seed in range(10):
        x, y = two_gaussians(seed, 40, 40, 3, 0.5)
        assert sliced(x, y).value < wasserstein(x, y).value


def test_the_error_of_the_sliced_distance_is_right():
    runs = [sliced_wasserstein(*two_gaussians(seed, 100, 80, 2, 1.5), np.random.default_rng(seed), 20)
            for seed in range(100)]
    ratio = np.mean([run.stderr for run in runs]) / np.std([run.value for run in runs])
    assert 0.75 < ratio < 1.3                                                     # itself known to 7 %


def test_same_seed_same_bits():
    x, y = two_gaussians(4, 20, 20, 2, 0.5)
    assert sliced(x, y) == sliced(x, y)


# ---- all lengths ----

@LENGTHS
def test_lengths_carry_the_unit_of_the_data(metric):
    x, y = two_gaussians(5, 50, 50, 2, 0.5)
    distance = metric(x, y)
    for factor in (1e-300, 1e-170, 3.7, 1e170, 1e300):
        scaled = metric(factor * x, factor * y)
        assert scaled.value / factor == pytest.approx(distance.value, rel=1e-9)
        assert scaled.stderr / factor == pytest.approx(distance.stderr, rel=1e-6)


@LENGTHS
def test_equal_samples_are_at_distance_zero(metric):
    x, _ = two_gaussians(6, 30, 30, 2, 0.0)
    for other in (x, x[::-1]):
        assert (metric(x, other).value, metric(x, other).stderr) == (0, 0)
    assert metric(x, x[::-1]).value == metric(np.ones((9, 2)), np.ones((9, 2))).value


@LENGTHS
def test_a_single_point_constant_columns_repeats_and_far_laws_are_fine(metric):
    single = metric(np.array([[1.0]]), np.array([[4.0]]))
    assert (single.value, single.stderr) == (pytest.approx(3, rel=1e-12), np.inf)   # one point has no spread
    x, y = two_gaussians(7, 40, 40, 2, 0.5)
    for pair in ((x * [1, 0], y), (np.repeat(x, 3, axis=0), np.repeat(y, 3, axis=0)), (np.round(x), np.round(y)),
                 (x * [1, 0], y * [0, 1])):
        distance = metric(*pair)
        assert 0 < distance.value < 3 and np.isfinite(distance.stderr)
    assert metric(x[:, :1], y[:, :1] + 1e6).value == pytest.approx(1e6, rel=1e-5)


@ALL
@pytest.mark.parametrize("dim", range(1, 21))
def test_dimensions_one_to_twenty_are_finite(metric, dim):
    distance = metric(*two_gaussians(dim, 30, 30, dim, 0.5))
    assert np.isfinite([distance.value, distance.stderr]).all() and distance.stderr > 0


# ---- the door ----

@ALL
def test_bad_samples_are_refused(metric):
    for x, error, says in [(np.zeros((9, 1), int), TypeError, "x must be floating point"),
                           (np.zeros((9, 2)), ValueError, "same number of columns"),
                           (np.full((9, 1), np.nan), ValueError, "x must be finite"),
                           (np.zeros((0, 1)), ValueError, "at least one row"),
                           (np.zeros(9), ValueError, r"shape \(n, dim\)")]:
        with pytest.raises(error, match=says):
            metric(x, np.zeros((9, 1)))


def test_mmd_needs_two_points_of_each():
    for n, m in ((1, 5), (5, 1)):
        with pytest.raises(ValueError, match=f"at least 2 rows of x and of y are needed, got {n} and {m}"):
            mmd(np.zeros((n, 1)), np.zeros((m, 1)))


def test_an_assignment_needs_equal_numbers():
    with pytest.raises(ValueError, match="as many rows of x as of y, got 5 and 4"):
        wasserstein(np.zeros((5, 2)), np.zeros((4, 2)))


def test_bad_directions_are_refused(rng):
    x = np.zeros((5, 2))
    with pytest.raises(TypeError, match="Generator"):
        sliced_wasserstein(x, x, 7)
    with pytest.raises(ValueError, match="projections must be at least 2"):
        sliced_wasserstein(x, x, rng, 1)
    with pytest.raises(TypeError, match="projections must be an integer"):
        sliced_wasserstein(x, x, rng, 10.0)
