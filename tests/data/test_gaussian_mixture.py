import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient_error


def lopsided(dim, components=4, seed=1):
    """A mixture without any symmetry that could hide a transposed factor."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(components, dim, dim)) * 0.5 + 0.4 * np.eye(dim)
    covariances = root @ root.transpose(0, 2, 1) + 0.05 * np.eye(dim)
    weights = rng.dirichlet(np.full(components, 2.0))
    return GaussianMixture(rng.normal(size=(components, dim)) * 1.5 + 0.5, covariances, weights)


def quadrature(law, n=400):
    """Nodes of the law's box and the probability of their cells."""
    nodes, cell = midpoints(law.bounds(), n)
    return nodes, cell * np.exp(law.log_prob(nodes))


# ---- density, score, samples ----

@pytest.mark.parametrize("dim", [1, 2, 3])
def test_log_prob_and_posterior_equal_a_naive_loop(dim, rng):
    law = lopsided(dim)
    x = rng.normal(size=(7, dim)) * 2
    for row, log_p, r in zip(x, law.log_prob(x), law.posterior(x)):
        joint = []
        for m, S, w in zip(law.means, law.covariances, law.weights):
            quadratic = (row - m) @ np.linalg.inv(S) @ (row - m)
            joint.append(w * np.exp(-0.5 * quadratic) / np.sqrt(np.linalg.det(2 * np.pi * S)))
        assert log_p == pytest.approx(np.log(sum(joint)), rel=1e-12, abs=1e-12)
        assert r == pytest.approx(np.array(joint) / sum(joint), rel=1e-11)


def test_one_component_is_scipys_normal(rng):
    law = lopsided(5, components=1)
    x = rng.normal(size=(6, 5))
    expected = multivariate_normal(law.means[0], law.covariances[0]).logpdf(x)
    assert law.log_prob(x) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_score_is_the_gradient_of_log_prob(dim, rng):
    law = lopsided(dim)
    x = law.sample(5, rng) + rng.normal(size=(5, dim))
    assert gradient_error(lambda x: law.log_prob(x).sum(), x, law.score(x)) < 1e-10


@pytest.mark.parametrize("dim, n", [(1, 2000), (2, 400)])
def test_density_integrates_to_one_and_the_box_holds_it(dim, n):
    _, p = quadrature(lopsided(dim), n)
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_mean_and_covariance_are_the_moments_of_the_density():
    law = lopsided(2)
    x, p = quadrature(law)
    assert law.mean() == pytest.approx(p @ x, abs=1e-10)
    assert law.covariance() == pytest.approx((p * x.T) @ x - np.outer(p @ x, p @ x), abs=1e-10)


@pytest.mark.parametrize("dim", [1, 3])
def test_samples_have_the_exact_mean_and_covariance(dim):
    law, n = lopsided(dim), 200_000
    x = law.sample(n, np.random.default_rng(3))
    assert x.shape == (n, dim) and x.dtype == np.float64
    assert (np.abs(x.mean(axis=0) - law.mean()) < 5 * x.std(axis=0) / np.sqrt(n)).all()
    away = x - law.mean()
    products = away[:, :, None] * away[:, None, :]
    error = products.std(axis=0) / np.sqrt(n)
    assert (np.abs(products.mean(axis=0) - law.covariance()) < 5 * error).all()


def test_samples_come_from_each_component_with_its_weight():
    law = GaussianMixture([[0.0], [10.0], [20.0]], np.full((3, 1, 1), 0.01), [0.5, 0.2, 0.3])
    n = 100_000
    shares = np.bincount(np.rint(law.sample(n, np.random.default_rng(4))[:, 0] / 10).astype(int)) / n
    for share, weight in zip(shares, (0.5, 0.2, 0.3)):
        assert abs(share - weight) < 5 * np.sqrt(weight * (1 - weight) / n)


def test_same_seed_same_bits():
    law = lopsided(2)
    first, second = (law.sample(100, np.random.default_rng(9)) for _ in range(2))
    assert (first == second).all()


def test_many_rows_are_worked_off_in_chunks_like_single_rows():
    law = lopsided(2)
    x = law.sample(40_000, np.random.default_rng(5))
    some = [0, 8191, 8192, 39_999]
    for method in (law.log_prob, law.score, law.posterior, lambda x: law.denoise(x, 0.5)):
        assert method(x)[some] == pytest.approx(np.concatenate([method(x[i:i + 1]) for i in some]), rel=1e-12)


def test_a_law_far_from_the_origin_keeps_its_digits(rng):
    law = lopsided(2)
    far = GaussianMixture(law.means + 2.0 ** 20, law.covariances, law.weights)
    x = np.round(rng.normal(size=(50, 2)) * 1024) / 1024       # x + 2^20 is exact
    assert far.log_prob(x + 2.0 ** 20) == pytest.approx(law.log_prob(x), abs=1e-8)


def test_points_of_no_visible_density_have_a_finite_log_density_beside_others():
    law = lopsided(2)
    x = np.array([[0.5, 0.5], [1e8, -1e8]])
    assert np.isfinite(law.log_prob(x)).all() and np.isfinite(law.score(x)).all()


# ---- noise ----

def test_noised_is_the_convolution_with_a_gaussian(rng):
    law, sigma = lopsided(2), 0.6
    x0, p = quadrature(law)
    for x in rng.normal(size=(3, 2)) * 2:
        kernel = multivariate_normal(x, sigma ** 2 * np.eye(2)).pdf(x0)
        assert law.noised(sigma).log_prob(x[None])[0] == pytest.approx(np.log(p @ kernel), abs=1e-10)


def test_noise_adds_in_variance(rng):
    law, x = lopsided(3), rng.normal(size=(5, 3))
    assert law.noised(0.3).noised(0.4).log_prob(x) == pytest.approx(law.noised(0.5).log_prob(x), rel=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("sigma", [0.05, 0.7, 20.0])
def test_denoise_obeys_tweedies_identity(dim, sigma, rng):
    """E[x0 | x] = x + sigma^2 grad log p_sigma(x) (Robbins 1956; Efron 2011)."""
    law = lopsided(dim)
    x = law.sample(6, rng) + sigma * rng.normal(size=(6, dim))
    tweedie = x + sigma ** 2 * law.noised(sigma).score(x)
    assert law.denoise(x, sigma) == pytest.approx(tweedie, abs=1e-10)


def test_denoise_is_the_posterior_mean_by_quadrature(rng):
    law, sigma = lopsided(2), 0.8
    x0, p = quadrature(law)
    for x in rng.normal(size=(3, 2)) * 2:
        posterior = p * np.exp(-0.5 * ((x - x0) ** 2).sum(axis=1) / sigma ** 2)
        assert law.denoise(x[None], sigma)[0] == pytest.approx(posterior @ x0 / posterior.sum(), abs=1e-10)


# ---- marginals and conditionals ----

def test_marginal_integrates_the_other_coordinates_away(rng):
    law = lopsided(3)
    y, cell = midpoints(law.bounds()[1:2], 4000)
    for x in rng.normal(size=(3, 3)):
        line = np.tile(x, (len(y), 1))
        line[:, 1:2] = y
        integral = np.log(cell * np.exp(law.log_prob(line)).sum())
        assert law.marginal([2, 0]).log_prob(x[None, [2, 0]])[0] == pytest.approx(integral, abs=1e-10)


@pytest.mark.parametrize("given, rest", [
    ([0], [1, 2, 3]), ([2], [0, 1, 3]), ([3, 1], [0, 2]), ([2, 0, 1], [3])])
def test_joint_is_marginal_times_conditional(given, rest, rng):
    law = lopsided(4)
    for x in rng.normal(size=(4, 4)) * 1.5:
        split = (law.marginal(given).log_prob(x[None, given])
                 + law.conditional(given, x[given]).log_prob(x[None, rest]))
        assert split == pytest.approx(law.log_prob(x[None]), abs=1e-11)


def test_conditional_is_the_normalized_slice():
    law = lopsided(2)
    y, cell = midpoints(law.bounds()[:1], 4000)
    density = np.exp(law.log_prob(np.column_stack([y, np.full(len(y), 0.7)])))
    expected = density / (cell * density.sum())
    assert np.exp(law.conditional([1], [0.7]).log_prob(y)) == pytest.approx(expected, abs=1e-11)


def test_conditional_drops_components_that_cannot_have_made_the_values():
    law = GaussianMixture([[0.0, 1.0], [100.0, 2.0]], [np.eye(2) * 0.01] * 2, [0.5, 0.5])
    conditional = law.conditional([0], [0.05])
    assert conditional.means.tolist() == [[1.0]] and conditional.weights.tolist() == [1.0]


# ---- entropy ----

def test_entropy_of_one_component_is_the_closed_form():
    law = lopsided(4, components=1)
    expected = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * law.covariances[0]))
    assert law.entropy() == pytest.approx(expected, rel=1e-12)


def test_entropy_of_far_components_is_the_choice_plus_the_average():
    stds, weights = np.array([0.1, 0.3]), np.array([0.25, 0.75])
    law = GaussianMixture([[-5.0], [5.0]], stds[:, None, None] ** 2, weights)
    choice = -weights @ np.log(weights)
    average = weights @ (0.5 * np.log(2 * np.pi * np.e * stds ** 2))
    assert law.entropy() == pytest.approx(choice + average, abs=1e-9)


@pytest.mark.parametrize("dim", [1, 2])
def test_entropy_agrees_with_monte_carlo_and_with_a_finer_grid(dim):
    law = lopsided(dim)
    log_p = law.log_prob(law.sample(100_000, np.random.default_rng(6)))
    assert abs(-log_p.mean() - law.entropy()) < 5 * log_p.std() / np.sqrt(len(log_p))
    x, p = quadrature(law, 500)
    assert law.entropy() == pytest.approx(-p @ law.log_prob(x), abs=1e-10)


def test_entropy_sees_a_needle_in_a_haystack():
    law = GaussianMixture([[0.0], [0.3217]], [[[1.0]], [[0.003 ** 2]]], [0.9, 0.1])
    x, p = quadrature(law, 20_000)
    assert law.entropy() == pytest.approx(-p @ law.log_prob(x), abs=1e-9)


def test_entropy_that_no_grid_can_resolve_is_refused():
    with pytest.raises(ValueError, match="grid nodes; estimate it by"):
        lopsided(6).entropy()


# ---- immutability and bad input ----

def test_a_mixture_keeps_its_own_copy_and_cannot_be_changed():
    means = np.array([[0.0, 0.0]])
    law = GaussianMixture(means, [np.eye(2)], [1.0])
    means[:] = 7
    assert (law.means == 0).all()
    for array in (law.means, law.covariances, law.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1
    with pytest.raises(AttributeError):
        law.weights = np.array([1.0])


def test_the_rounding_of_the_weights_is_divided_out():
    law = GaussianMixture([[0.0], [9.0]], [[[1.0]]] * 2, [0.6666667, 0.3333334])
    assert abs(law.weights.sum() - 1) < 1e-15


def test_constants_may_be_lists_of_ints():
    law = GaussianMixture([[0, 1]], [[[2, 1], [1, 2]]], [1])
    assert law.means.dtype == law.covariances.dtype == law.weights.dtype == np.float64


EYE = np.eye(2)


@pytest.mark.parametrize("means, covariances, weights, message", [
    ([0.0, 1.0], [EYE], [1.0], r"means must have shape \(K, D\), got \(2,\)"),
    (np.zeros((0, 2)), np.zeros((0, 2, 2)), [], r"means must have shape \(K, D\), got \(0, 2\)"),
    ([[0, 0]], EYE, [1.0], r"covariances must have shape \(1, 2, 2\)"),
    ([[0, 0]], [EYE], [0.5, 0.5], "weights must be 1 positive"),
    ([[0, 0], [1, 1]], [EYE, EYE], [0.5, 0.4], "weights must be 2 positive numbers that sum to 1"),
    ([[0, 0], [1, 1]], [EYE, EYE], [1.0, 0.0], "weights must be 2 positive numbers that sum to 1"),
    ([[0, 0], [1, 1]], [EYE, EYE], [1.5, -0.5], "weights must be 2 positive numbers that sum to 1"),
    ([[0, np.nan]], [EYE], [1.0], "means must be finite"),
    ([[0, 0]], np.full((1, 2, 2), np.inf), [1.0], "covariances must be finite"),
    ([[0, 0]], [[[1, 0.5], [0.1, 1]]], [1.0], "covariances must be symmetric"),
    ([[0, 0]], [[[1, 2], [2, 1]]], [1.0], "covariances must be positive definite"),
])
def test_impossible_constants_are_refused(means, covariances, weights, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(means, covariances, weights)


@pytest.mark.parametrize("call, error, message", [
    (lambda law: law.denoise(np.zeros((3, 2), dtype=int), 1), TypeError, "floating point"),
    (lambda law: law.posterior(np.zeros((3, 3))), ValueError, r"shape \(n, 2\)"),
    (lambda law: law.score(np.zeros(2)), ValueError, r"shape \(n, 2\)"),
    (lambda law: law.posterior(np.zeros((0, 2))), ValueError, "at least one row"),
    (lambda law: law.log_prob(np.full((1, 2), np.nan)), ValueError, "finite"),
    (lambda law: law.score(np.full((1, 2), 1e200)), ValueError, "within 1e\\+100 of the origin"),
    (lambda law: law.sample(0, np.random.default_rng(0)), ValueError, "n must be at least 1"),
    (lambda law: law.sample(5, 0), TypeError, "numpy.random.Generator"),
    (lambda law: law.noised(-1), ValueError, "sigma must be a positive"),
    (lambda law: law.denoise(np.zeros((1, 2)), 0), ValueError, "sigma must be a positive"),
    (lambda law: law.denoise(np.zeros((1, 3)), 1), ValueError, r"shape \(n, 2\)"),
    (lambda law: law.marginal([]), ValueError, "axes must be 1 to 2 different numbers below 2"),
    (lambda law: law.marginal(0), TypeError, "axes must be a list"),
    (lambda law: law.marginal([0, 0]), ValueError, "different numbers"),
    (lambda law: law.marginal([2]), ValueError, "below 2"),
    (lambda law: law.marginal([-1]), ValueError, "at least 0"),
    (lambda law: law.conditional([0, 1], [0.0, 0.0]), ValueError, "axes must be 1 to 1 different"),
    (lambda law: law.conditional([0], [0.0, 1.0]), ValueError, r"values must have shape \(1,\)"),
    (lambda law: law.conditional([0], [np.inf]), ValueError, "values must be finite"),
])
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(lopsided(2))


def test_the_place_of_a_sample_says_nothing_about_its_component(rng):
    x = GaussianMixture([[-5.0], [5.0]], [[[1.0]]] * 2, [0.5, 0.5]).sample(10_000, rng)[:, 0]
    first, second = x[:5000], x[5000:]
    assert abs(first.mean() - second.mean()) < 5 * x.std() * np.sqrt(2 / 5000)
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.05
