from math import factorial, pi

import numpy as np
import pytest
from scipy import stats

from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.entropy import kl_cross_entropy

VOLUMES = {1: 2, 2: pi, 3: 4 / 3 * pi, 20: pi ** 10 / factorial(10)}              # of the unit balls


def normal(mean, std=1.0):
    """log density of N(mean, std^2 I) in as many dimensions as x has."""
    return lambda x: -0.5 * np.sum(((x - mean) / std) ** 2 + np.log(2 * np.pi * std ** 2), axis=1)


def mean_log_p(x, k=5):
    """The estimate of E[log p], minus the entropy of p: the KL to log q = 0."""
    return kl_cross_entropy(x, lambda x: np.zeros(len(x)), k)


def naive(x, k, log_q):
    """Kozachenko and Leonenko, and the standard error, point by point."""
    n, dim = x.shape
    terms, collected = [], np.zeros(n)
    for i in range(n):
        distances = [np.linalg.norm(x[i] - row) for row in x]
        others = [j for j in np.argsort(distances) if j != i][:k]
        collected[others] += 1 / k
        # psi(k) = -gamma + 1 + 1/2 + ... + 1/(k-1), so that Euler's gamma drops out of psi(n) - psi(k)
        surprise = sum(1 / j for j in range(k, n)) + np.log(VOLUMES[dim]) + dim * np.log(distances[others[-1]])
        terms.append(-surprise - log_q(x[i:i + 1])[0])
    influence = np.add(terms, collected)
    variance = max(np.var(influence, ddof=1) / n - 1 / (n * k), np.var(terms, ddof=1) / n)
    return np.mean(terms), np.sqrt(variance)


# ---- definition ----

@pytest.mark.parametrize("k, dim, n", [(1, 1, 30), (1, 3, 40), (5, 2, 40), (6, 20, 7), (3, 1, 60)])
def test_it_equals_a_loop_over_the_points(k, dim, n):
    x = np.random.default_rng(dim).normal(size=(n, dim))
    kl = kl_cross_entropy(x, normal(0.3, 1.2), k)
    assert (kl.value, kl.stderr) == pytest.approx(naive(x, k, normal(0.3, 1.2)), rel=1e-12)
    assert kl.n == n


# ---- known entropies ----

LAWS = {"normal": (stats.norm(1, 3), 0.5 * np.log(2 * pi * np.e * 9)),
        "Laplace": (stats.laplace(0, 2), 1 + np.log(4)),
        "exponential": (stats.expon(0, 5), 1 + np.log(5)),
        "uniform": (stats.uniform(-4, 8), np.log(8))}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", LAWS)
def test_no_bias_on_a_line(name, k):
    # log k for psi(k) would cost 0.58 nats at k = 1 and 0.18 at k = 3.
    law, truth = LAWS[name]
    values = [mean_log_p(law.rvs((2000, 1), random_state=np.random.default_rng(seed)), k).value for seed in range(20)]
    assert abs(np.mean(values) + truth) < 7 * np.std(values) / np.sqrt(20)       # of 20 values: as rare as five errors


def test_a_full_covariance_in_the_plane(rng):
    covariance = np.array([[2.0, 1.2], [1.2, 1.0]])
    x = rng.multivariate_normal([3, -1], covariance, 20_000)
    estimate = mean_log_p(x)
    assert estimate.agrees_with(-0.5 * np.linalg.slogdet(2 * pi * np.e * covariance)[1]) and estimate.stderr < 0.01


def test_it_is_the_forward_kl_of_p_against_the_density(rng):
    x = rng.normal(size=(20_000, 2))
    kl = kl_cross_entropy(x, normal(1.0, 2.0))
    assert kl.agrees_with(kl_gaussians([0, 0], np.eye(2), [1, 1], 4 * np.eye(2)))
    assert not kl.agrees_with(kl_gaussians([1, 1], 4 * np.eye(2), [0, 0], np.eye(2)))


def test_between_equal_laws_it_scatters_around_zero_and_the_error_is_right():
    runs = [kl_cross_entropy(np.random.default_rng(seed).normal(size=(500, 1)), normal(0.0))
            for seed in range(200)]
    values = np.array([run.value for run in runs])
    assert abs(values.mean()) < 5 * values.std() / np.sqrt(200)
    assert 60 < (values < 0).sum() < 140
    assert 0.8 < np.mean([run.stderr for run in runs]) / values.std() < 1.2       # itself known to 5 %


@pytest.mark.parametrize("dim, bias, tolerance", [(10, 0.15, 0.05), (20, 1.4, 0.15)])
def test_the_bias_in_high_dimension_is_the_one_stated(dim, bias, tolerance):
    log_q = normal(0.0)
    values = [kl_cross_entropy(np.random.default_rng(seed).normal(size=(1000, dim)), log_q).value
              for seed in range(4)]
    assert np.mean(values) == pytest.approx(-bias, abs=tolerance)


# ---- invariances ----

@pytest.mark.parametrize("dim", [1, 2, 5])
def test_scaling_subtracts_its_logarithm_and_a_rotation_nothing(dim, rng):
    x = rng.normal(size=(200, dim))
    rotation, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    moved = mean_log_p(3.7 * x @ rotation + 2.0).value
    assert moved == pytest.approx(mean_log_p(x).value - dim * np.log(3.7), abs=1e-9)


@pytest.mark.parametrize("factor", [1e-300, 1e-170, 1e170, 1e300])
def test_extreme_units_neither_overflow_nor_vanish(factor, rng):
    x = rng.normal(size=(100, 2))
    expected = mean_log_p(x).value - 2 * np.log(factor)
    assert mean_log_p(factor * x).value == pytest.approx(expected, rel=1e-12)


# ---- edges ----

def test_repeated_points_are_an_atom_from_k_plus_one_rows_on(rng):
    x = rng.normal(size=(100, 2))
    x[:6] = x[0]
    assert (kl_cross_entropy(x, normal(0.0)).value, kl_cross_entropy(x, normal(0.0)).stderr) == (np.inf, 0)
    assert np.isfinite(kl_cross_entropy(x[1:], normal(0.0)).value)                     # five rows: not yet


def test_a_constant_column_has_no_density(rng):
    x = np.insert(rng.normal(size=(50, 2)), 1, 3.0, axis=1)
    assert kl_cross_entropy(x, normal(0.0)).value == np.inf
    assert kl_cross_entropy(np.ones((9, 1)), normal(0.0)).value == np.inf


def test_a_sample_where_q_has_no_mass_makes_it_infinite(rng):
    kl = kl_cross_entropy(rng.normal(size=(50, 1)), lambda x: np.where(x[:, 0] > 0, 0.0, -np.inf))
    assert (kl.value, kl.stderr) == (np.inf, 0)


def test_far_from_q_it_is_large_and_right(rng):
    x = rng.normal(size=(5000, 1))
    kl = kl_cross_entropy(x, normal(1e4))
    assert kl.agrees_with(0.5e8) and kl.value == pytest.approx(0.5e8, rel=1e-4)


@pytest.mark.parametrize("dim", range(1, 21))
def test_dimensions_one_to_twenty_are_finite(dim, rng):
    kl = kl_cross_entropy(rng.normal(size=(60, dim)), normal(0.5))
    assert np.isfinite([kl.value, kl.stderr]).all() and kl.stderr > 0


# ---- bad input ----

def test_bad_samples_are_refused():
    for x, error, says in [(np.zeros((5, 1)), ValueError, "k = 5 needs more than k rows of x, got 5"),
                           (np.zeros((1, 1)), ValueError, "more than k rows of x, got 1"),
                           (np.zeros((9, 1), int), TypeError, "floating point"),
                           (np.zeros(9), ValueError, r"shape \(n, dim\)"),
                           (np.full((9, 1), np.nan), ValueError, "finite")]:
        with pytest.raises(error, match=says):
            kl_cross_entropy(x, normal(0.0))


def test_bad_k_and_bad_densities_are_refused(rng):
    x = rng.normal(size=(9, 1))
    with pytest.raises(ValueError, match="k must be at least 1"):
        kl_cross_entropy(x, normal(0.0), 0)
    with pytest.raises(TypeError, match="k must be an integer"):
        kl_cross_entropy(x, normal(0.0), 2.0)
    with pytest.raises(TypeError, match="log_q must be a function"):
        kl_cross_entropy(x, 3.0)
    with pytest.raises(ValueError, match="log_q must be finite or -inf, got nan"):
        kl_cross_entropy(x, lambda x: np.full(len(x), np.nan))
