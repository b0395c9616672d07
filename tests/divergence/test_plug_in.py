import numpy as np
import pytest
from scipy.stats import gaussian_kde

from scratch.divergence import plug_in
from scratch.divergence.closed_form import kl_categoricals, kl_gaussians
from scratch.divergence.plug_in import kl_binned, kl_kernel_density, scott, silverman

BOTH = pytest.mark.parametrize("estimator", [kl_kernel_density, kl_binned])


def two_gaussians(seed, n, m, dim, shift, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) * scale + shift


# ---- kernel densities ----

def naive_kernels(x, y, bandwidth, chosen):
    """The log ratio at the chosen x, one kernel at a time, and the standard error from who rests on whom."""
    (n, dim), m = x.shape, len(y)
    cov_x, cov_y = (bandwidth(len(z), dim) ** 2 * np.atleast_2d(np.cov(z.T)) for z in (x, y))

    def kernel(at, center, cov):
        d = at - center
        return np.exp(-0.5 * d @ np.linalg.inv(cov) @ d) / np.sqrt(np.linalg.det(2 * np.pi * cov))

    terms, on_x, on_y = [], np.zeros((len(chosen), n)), np.zeros((len(chosen), m))
    for row, i in enumerate(chosen):
        for j in range(n):
            on_x[row, j] = kernel(x[i], x[j], cov_x) if j != i else 0.0
        for j in range(m):
            on_y[row, j] = kernel(x[i], y[j], cov_y)
        terms.append(np.log(on_x[row].sum() / (n - 1)) - np.log(on_y[row].sum() / m))
    on_x, on_y = (table / table.sum(axis=1, keepdims=True) for table in (on_x, on_y))
    influence = n / len(chosen) * on_x.sum(axis=0) - 1
    influence[chosen] += n / len(chosen) * (np.array(terms) - np.mean(terms))
    h = m / len(chosen) * on_y.sum(axis=0)
    twice = (np.sum(on_x ** 2) + np.sum(on_y ** 2)) / len(chosen) ** 2
    variance = np.sum(influence ** 2) / n ** 2 + np.sum((h - 1) ** 2) / m ** 2 - twice
    return np.mean(terms), np.sqrt(max(variance, np.var(terms, ddof=1) / len(terms)))


@pytest.mark.parametrize("dim, n, m, bandwidth", [(1, 20, 30, scott), (1, 30, 20, silverman), (3, 25, 15, scott)])
def test_value_and_standard_error_equal_a_loop_over_the_kernels(dim, n, m, bandwidth):
    x, y = two_gaussians(dim, n, m, dim, 0.5, 1.3)
    kl = kl_kernel_density(x, y, bandwidth)
    assert (kl.value, kl.stderr) == pytest.approx(naive_kernels(x, y, bandwidth, np.arange(n)), rel=1e-11)
    assert kl.n == n


def test_beyond_the_limit_evenly_spaced_x_are_looked_at_and_all_kernels_kept(monkeypatch):
    x, y = two_gaussians(0, 20, 12, 2, 0.5)
    monkeypatch.setattr(plug_in, "EVALUATED", 7)
    kl = kl_kernel_density(x, y)
    assert (kl.value, kl.stderr) == pytest.approx(naive_kernels(x, y, scott, np.arange(0, 20, 3)), rel=1e-11)


def test_small_chunks_change_nothing(monkeypatch):
    x, y = two_gaussians(1, 60, 50, 2, 0.5)
    whole = kl_kernel_density(x, y)
    monkeypatch.setattr(plug_in, "CHUNK", 130)
    parts = kl_kernel_density(x, y)
    assert (parts.value, parts.stderr) == pytest.approx((whole.value, whole.stderr), rel=1e-12)


def test_scipy_finds_the_same_densities():
    x, y = two_gaussians(2, 100, 80, 2, 0.5)
    p, q = gaussian_kde(x.T), gaussian_kde(y.T)                                   # Scott's factor
    own = 1 / np.sqrt(np.linalg.det(2 * np.pi * p.covariance))
    without_itself = (100 * p(x.T) - own) / 99
    assert kl_kernel_density(x, y).value == pytest.approx(np.mean(np.log(without_itself / q(x.T))), rel=1e-10)


def test_the_rules_of_thumb():
    for n, dim in ((100, 1), (1000, 3)):
        assert scott(n, dim) == pytest.approx(np.exp(-np.log(n) / (dim + 4)), rel=1e-14)
    assert silverman(100, 1) == pytest.approx((4 / 3) ** 0.2 * 100 ** -0.2, rel=1e-14)        # the famous 1.06
    assert silverman(100, 2) == pytest.approx(scott(100, 2), rel=1e-14)           # equal in the plane
    kde = gaussian_kde(np.random.default_rng(0).normal(size=(3, 50)), "silverman")
    assert silverman(50, 3) == pytest.approx(kde.factor, rel=1e-14)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_kernels_are_invariant_under_every_linear_map(dim):
    rng = np.random.default_rng(dim)
    x, y = two_gaussians(dim, 80, 70, dim, 0.5)
    a = rng.normal(size=(dim, dim)) * 10.0 ** np.arange(dim)
    kl, bent = kl_kernel_density(x, y), kl_kernel_density(x @ a + 1, y @ a + 1)
    assert (bent.value, bent.stderr) == pytest.approx((kl.value, kl.stderr), rel=1e-7)


@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e170, 1e300, np.array([1e-200, 1e200])])
@BOTH
def test_extreme_units_neither_overflow_nor_vanish(estimator, factor):
    x, y = two_gaussians(4, 100, 100, 2, 0.5)
    assert estimator(factor * x, factor * y).value == pytest.approx(estimator(x, y).value, rel=1e-9)


def test_x_in_one_point_costs_the_share_of_y_there():
    # -log(share), with the error of a proportion by the delta method: sqrt((1 - s) / (s m)).
    y = np.concatenate([np.zeros((25, 2)), np.ones((75, 2))])
    kl = kl_kernel_density(np.zeros((10, 2)), y)
    assert (kl.value, kl.stderr) == pytest.approx((np.log(4), np.sqrt(0.75 / (0.25 * 100))), rel=1e-12)


def test_a_column_constant_in_x_obeys_the_chain_rule():
    # A third of y shares x's value: KL = log 3 + KL of the rest against that third.
    x, y = two_gaussians(12, 200, 300, 1, 0.5)
    second = np.where(np.arange(300) < 100, 7.0, np.linspace(0, 1, 300))
    kl, rest = kl_kernel_density(np.c_[x, np.full(200, 7.0)], np.c_[y, second]), kl_kernel_density(x, y[:100])
    assert kl.value == pytest.approx(np.log(3) + rest.value, rel=1e-12)
    # Only the share is new, and it is a proportion of 300: variance (1 - s) / (s m) = 2 / 300.
    assert kl.stderr == pytest.approx(np.sqrt(rest.stderr ** 2 + 2 / 300), rel=1e-3)


def test_distant_laws_give_a_large_finite_number():
    kl = kl_kernel_density(*two_gaussians(5, 100, 100, 2, 1e6))
    assert 1e12 < kl.value < 1e14 and np.isfinite(kl.stderr)


# ---- cells ----

def naive_cells(x, y, size, axis=0):
    """[(n_c, m_c)] by splitting continuous y at the lower median of one column after the other."""
    if len(y) < 2 * size:
        return [(len(x), len(y))]
    cut = sorted(row[axis] for row in y)[(len(y) - 1) // 2]
    low = [[row for row in z if row[axis] <= cut] for z in (x, y)]
    high = [[row for row in z if row[axis] > cut] for z in (x, y)]
    following = (axis + 1) % len(y[0])
    return naive_cells(*low, size, following) + naive_cells(*high, size, following)


@pytest.mark.parametrize("dim, n, m", [(1, 50, 40), (2, 40, 101), (3, 30, 64), (20, 20, 4)])
def test_value_and_standard_error_equal_a_loop_over_the_cells(dim, n, m):
    x, y = two_gaussians(dim, n, m, dim, 0.7)
    cells = naive_cells(x.tolist(), y.tolist(), max(2, round(np.sqrt(m))))
    value = scatter = squares = through_y = 0.0
    for n_c, m_c in cells:
        p, q = n_c / n, m_c / m
        through_y += q * (p / q - 1) ** 2 / m
        if p > 0:
            value += p * np.log(p / q)
            squares += p * np.log(p / q) ** 2
            scatter += 1 / (2 * n) + p * (1 / q - 1) / (2 * m)
    scatter -= 1 / (2 * n)
    kl = kl_binned(x, y)
    assert kl.value == pytest.approx(value - scatter, rel=1e-12, abs=1e-14)
    assert kl.stderr == pytest.approx(np.sqrt((squares - value ** 2) / n + through_y), rel=1e-12)
    assert kl.n == n


def test_increasing_maps_of_the_columns_change_nothing():
    # An x between the two middle y must not change its cell: the mean of the two is no place to cut.
    for seed in range(20):
        x, y = two_gaussians(seed, 300, 64, 2, 0.5)
        bent = [np.stack([np.exp(3 * z[:, 0]), z[:, 1] ** 3], axis=1) for z in (x, y)]
        assert kl_binned(*bent) == kl_binned(x, y)


def test_two_values_give_the_kl_of_their_histograms():
    # Also where more than half of the y are equal, so that the median itself does not split.
    for ones in (80, 360):
        x = np.repeat([[0.0], [1.0]], [300, 700], axis=0)
        y = np.repeat([[0.0], [1.0]], [400 - ones, ones], axis=0)
        q = np.array([1 - ones / 400, ones / 400])
        scatter = 1 / 2000 + np.array([0.3, 0.7]) @ (1 / q - 1) / 800
        kl = kl_binned(x, y)
        assert kl.value == pytest.approx(kl_categoricals([0.3, 0.7], q).value - scatter, rel=1e-12)
        odds = np.log(0.3 / q[0]) - np.log(0.7 / q[1])
        exact = np.sqrt(0.21 * odds ** 2 / 1000 + (0.3 - q[0]) ** 2 / (q[0] * q[1]) / 400)
        assert kl.stderr == pytest.approx(exact, rel=1e-12)


def test_the_cells_lose_a_little_and_never_gain():
    runs = [kl_binned(*two_gaussians(seed, 2000, 2000, 1, 0.7)).value for seed in range(30)]
    truth = kl_gaussians([0], [[1]], [0.7], [[1]]).value
    assert truth - 0.02 < np.mean(runs) < truth + 4 * np.std(runs) / np.sqrt(30)


def test_cells_of_a_column_constant_in_x_cost_the_share_of_y():
    x, y = two_gaussians(12, 200, 300, 1, 0.5)
    second = np.where(np.arange(300) < 100, 7.0, np.linspace(0, 1, 300))
    assert kl_binned(np.c_[x, np.full(200, 7.0)], np.c_[y, second]).value > np.log(3)
    ones, twos = np.ones((20, 2)), np.full((30, 2), 2.0)
    kl = kl_binned(ones, np.concatenate([ones, twos]))
    assert kl.value == pytest.approx(np.log(2.5) - (50 / 20 - 1) / 100, rel=1e-12)
    assert kl.stderr == pytest.approx(np.sqrt((30 / 20) / 50), rel=1e-12)


def test_distant_laws_share_no_cell_but_the_last():
    kl = kl_binned(*two_gaussians(5, 1000, 1000, 2, 100.0))
    assert 2 < kl.value < np.log(1000) and np.isfinite(kl.stderr)


# ---- both ----

@BOTH
@pytest.mark.parametrize("dim", [1, 2])
def test_between_equal_laws_they_scatter_around_zero(estimator, dim):
    # With x_i in its own density, or without Miller's correction, the mean is 0.03 to 0.3.
    runs = [estimator(*two_gaussians(seed, 300, 250, dim, 0.0)) for seed in range(60)]
    values = np.array([run.value for run in runs])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(60)
    assert 15 < (values < 0).sum() < 50
    assert 0.75 < np.mean([run.stderr for run in runs]) / values.std() < 1.8      # itself known to 9 %


@BOTH
def test_they_find_the_forward_kl_of_p_against_q_and_its_error(estimator):
    # 0.318; the reverse is 0.807.  What is lost at the edges of cells, or gained in the tails of q, is below 0.05.
    runs = [estimator(*two_gaussians(seed, 400, 400, 1, 0.0, scale=2.0)) for seed in range(60)]
    values = np.array([run.value for run in runs])
    forward = kl_gaussians([0], [[1]], [0], [[4]]).value
    assert values.mean() == pytest.approx(forward, abs=0.05)
    assert 0.7 < np.mean([run.stderr for run in runs]) / values.std() < 1.4


@BOTH
def test_a_constant_column_in_both_changes_nothing(estimator):
    x, y = two_gaussians(11, 200, 150, 2, 0.5)
    wide_x, wide_y = [np.insert(z, 1, 3.0, axis=1) for z in (x, y)]
    assert estimator(wide_x, wide_y) == estimator(x, y)


@BOTH
def test_degenerate_columns_of_one_law_are_infinite(estimator):
    x, y = two_gaussians(13, 50, 50, 2, 0.0)
    flat_x, flat_y = x * [1, 0], y * [1, 0]
    for kl in (estimator(flat_x, y), estimator(x, flat_y), estimator(flat_x, flat_y + [0, 1]),
               estimator(np.ones((20, 2)), np.full((30, 2), 2.0))):
        assert (kl.value, kl.stderr) == (np.inf, 0)


@BOTH
def test_constant_samples_in_one_place_are_equal(estimator):
    kl = estimator(np.ones((20, 2)), np.ones((30, 2)))
    assert (kl.value, kl.stderr) == (0, 0)


@BOTH
def test_repeated_points_give_a_finite_number(estimator):
    x, y = two_gaussians(9, 60, 60, 2, 0.3)
    for pair in ((np.repeat(x, 3, axis=0), y), (x, np.repeat(y, 3, axis=0)), (np.round(x), np.round(y))):
        kl = estimator(*pair)
        assert np.isfinite([kl.value, kl.stderr]).all() and -0.5 < kl.value < 2


@BOTH
@pytest.mark.parametrize("dim", range(1, 21))
def test_dimensions_one_to_twenty_are_finite(estimator, dim):
    kl = estimator(*two_gaussians(dim, 60, 50, dim, 0.2))
    assert np.isfinite([kl.value, kl.stderr]).all() and kl.stderr > 0


# ---- the door ----

@pytest.mark.parametrize("n, m", [(2, 9), (9, 2), (1, 9)])
def test_too_few_points_for_a_covariance_are_a_clear_error(n, m):
    x, y = two_gaussians(0, n, m, 1, 0.0)
    with pytest.raises(ValueError, match="at least 3 rows|of x and"):
        kl_kernel_density(*(x, y) if n > 1 else (y, x))


def test_too_few_points_for_cells_are_a_clear_error():
    for n, m in ((1, 9), (9, 3)):
        with pytest.raises(ValueError, match=f"at least 2 rows of x and 4 of y are needed, got {n} and {m}"):
            kl_binned(*two_gaussians(0, n, m, 1, 0.0))


def test_linearly_dependent_columns_are_a_clear_error():
    x, y = two_gaussians(0, 50, 50, 1, 0.0)
    with pytest.raises(ValueError, match="linearly dependent"):
        kl_kernel_density(np.c_[x, 2 * x], np.c_[y, y ** 2])


@pytest.mark.parametrize("bandwidth, error", [
    (0.3, TypeError), (lambda n, dim: 0.0, ValueError), (lambda n, dim: -0.3, ValueError),
    (lambda n, dim: np.nan, ValueError), (lambda n, dim: "wide", TypeError)])
def test_a_bad_bandwidth_is_refused(bandwidth, error):
    with pytest.raises(error, match="bandwidth"):
        kl_kernel_density(*two_gaussians(0, 20, 20, 1, 0.0), bandwidth)


@BOTH
def test_bad_samples_are_refused(estimator):
    for x, error, says in [(np.zeros((9, 1), int), TypeError, "x must be floating point"),
                           (np.zeros((9, 2)), ValueError, "same number of columns"),
                           (np.full((9, 1), np.inf), ValueError, "x must be finite"),
                           (np.zeros((0, 1)), ValueError, "at least one row")]:
        with pytest.raises(error, match=says):
            estimator(x, np.zeros((9, 1)))
