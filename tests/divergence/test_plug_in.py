import numpy as np
import pytest
from scipy.stats import gaussian_kde

from scratch.divergence import plug_in
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.plug_in import kl_binned, kl_kernel_density

BOTH = pytest.mark.parametrize("estimator", [kl_kernel_density, kl_binned])


def two_gaussians(seed, n, m, dim, shift, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) * scale + shift


# ---- kernel densities ----

def naive_kernels(x, y, chosen):
    """The log-ratio at the chosen x, one kernel at a time, and the standard error from the fractions."""
    (n, dim), m = x.shape, len(y)
    cov_x, cov_y = (len(z) ** (-2 / (dim + 4)) * np.atleast_2d(np.cov(z.T)) for z in (x, y))

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
    on_x, on_y = (np.array([[np.log(row.sum()) - np.log(row.sum() - kernel) for kernel in row] for row in table])
                  for table in (on_x, on_y))                # the log-density without this sample, subtracted
    influence = n / len(chosen) * (on_x.sum(axis=0) - on_x.sum() / n)
    influence[chosen] += n / len(chosen) * (np.array(terms) - np.mean(terms))
    e = m / len(chosen) * on_y.sum(axis=0)
    twice = (np.sum(on_x ** 2) + np.sum(on_y ** 2)) / len(chosen) ** 2
    variance = np.sum(influence ** 2) / n ** 2 + np.sum((e - e.mean()) ** 2) / m ** 2 - twice
    return np.mean(terms), np.sqrt(max(variance, np.var(terms, ddof=1) / len(terms)))


@pytest.mark.parametrize("dim, n, m", [(1, 20, 30), (1, 30, 20), (3, 25, 15)])
def test_kernels_equal_a_loop(dim, n, m):
    x, y = two_gaussians(dim, n, m, dim, 0.5, 1.3)
    kl = kl_kernel_density(x, y)
    assert (kl.value, kl.stderr) == pytest.approx(naive_kernels(x, y, np.arange(n)), rel=1e-11)
    assert kl.n == n


def test_beyond_the_limit_evenly_spaced_x_are_looked_at_and_all_kernels_kept(monkeypatch):
    x, y = two_gaussians(0, 20, 12, 2, 0.5)
    monkeypatch.setattr(plug_in, "EVALUATED", 7)
    kl = kl_kernel_density(x, y)
    assert (kl.value, kl.stderr) == pytest.approx(naive_kernels(x, y, np.arange(0, 20, 3)), rel=1e-11)


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
def test_cells_equal_a_loop(dim, n, m):
    x, y = two_gaussians(dim, n, m, dim, 0.7)
    cells = naive_cells(x.tolist(), y.tolist(), max(2, round(np.sqrt(m))))
    value = bias = squares = through_y = 0.0
    for n_c, m_c in cells:
        p, q = n_c / n, m_c / m
        through_y += q * (p / q - 1) ** 2 / m
        if p > 0:
            value += p * np.log(p / q)
            squares += p * np.log(p / q) ** 2
            bias += 1 / (2 * n) + p * (1 / q - 1) / (2 * m)
    bias -= 1 / (2 * n)
    kl = kl_binned(x, y)
    assert kl.value == pytest.approx(value - bias, rel=1e-12, abs=1e-14)
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
        bias = 1 / 2000 + np.array([0.3, 0.7]) @ (1 / q - 1) / 800
        kl = kl_binned(x, y)
        assert kl.value == pytest.approx(np.sum([0.3, 0.7] * np.log([0.3, 0.7] / q)) - bias, rel=1e-12)
        odds = np.log(0.3 / q[0]) - np.log(0.7 / q[1])
        exact = np.sqrt(0.21 * odds ** 2 / 1000 + (0.3 - q[0]) ** 2 / (q[0] * q[1]) / 400)
        assert kl.stderr == pytest.approx(exact, rel=1e-12)


def test_the_cells_lose_a_little_and_never_gain():
    runs = [kl_binned(*two_gaussians(seed, 2000, 2000, 1, 0.7)).value for seed in range(30)]
    truth = kl_gaussians([0], [[1]], [0.7], [[1]]).value
    assert truth - 0.02 < np.mean(runs) < truth + 4 * np.std(runs) / np.sqrt(30)


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
    assert abs(values.mean()) < 5 * values.std() / np.sqrt(60)
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


# ---- bad input ----

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


@BOTH
def test_bad_samples_are_refused(estimator):
    for x, error, says in [(np.zeros((9, 1), int), TypeError, "x must be floating point"),
                           (np.zeros((9, 2)), ValueError, "same number of columns"),
                           (np.full((9, 1), np.inf), ValueError, "x must be finite"),
                           (np.zeros((0, 1)), ValueError, "at least one row")]:
        with pytest.raises(error, match=says):
            estimator(x, np.zeros((9, 1)))
