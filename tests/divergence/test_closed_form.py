import numpy as np
import pytest

from scipy import stats

from scratch.divergence.closed_form import kl_bernoullis, kl_categoricals, kl_gammas, kl_gaussians, kl_laplaces
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.quadrature import kl_quadrature


def gaussian(rng, dim):
    """A random mean and a random full covariance."""
    root = rng.normal(size=(dim, dim))
    return rng.normal(size=dim), root @ root.T + 0.3 * np.eye(dim)


@pytest.mark.parametrize("dim", [1, 2, 5, 20])
def test_gaussians_equal_the_textbook_formula(dim):
    rng = np.random.default_rng(dim)
    (mean_p, cov_p), (mean_q, cov_q) = gaussian(rng, dim), gaussian(rng, dim)
    inverse, shift = np.linalg.inv(cov_q), mean_q - mean_p
    textbook = 0.5 * (np.trace(inverse @ cov_p) + shift @ inverse @ shift - dim
                      + np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1])
    kl = kl_gaussians(mean_p, cov_p, mean_q, cov_q)
    assert kl.value == pytest.approx(textbook, rel=1e-10)
    assert (kl.stderr, kl.n) == (0, 0)


def test_one_dimension_by_hand_and_the_two_directions_differ():
    # log(s_q / s_p) + (s_p^2 + (m_p - m_q)^2) / (2 s_q^2) - 1/2 with s_p = 1, s_q = 3
    assert kl_gaussians([1], [[1]], [3], [[9]]).value == pytest.approx(np.log(3) + 5 / 18 - 0.5, rel=1e-14)
    assert kl_gaussians([3], [[9]], [1], [[1]]).value == pytest.approx(-np.log(3) + 13 / 2 - 0.5, rel=1e-14)


def test_equal_gaussians_have_no_divergence():
    mean, cov = gaussian(np.random.default_rng(0), 4)
    assert abs(kl_gaussians(mean, cov, mean, cov).value) < 1e-25


def test_a_tiny_divergence_keeps_its_digits():
    # For S_q = (1 + e) S_p the KL is D/2 [log(1 + e) - e / (1 + e)] = D/4 e^2 + O(e^3).
    _, cov = gaussian(np.random.default_rng(1), 3)
    kl = kl_gaussians(np.zeros(3), cov, np.zeros(3), (1 + 1e-6) * cov).value
    assert kl == pytest.approx(0.75e-12, rel=1e-5)


def test_affine_maps_of_both_leave_it_unchanged():
    rng = np.random.default_rng(2)
    (mean_p, cov_p), (mean_q, cov_q) = gaussian(rng, 3), gaussian(rng, 3)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=3)
    mapped = kl_gaussians(a @ mean_p + b, a @ cov_p @ a.T, a @ mean_q + b, a @ cov_q @ a.T)
    assert mapped.value == pytest.approx(kl_gaussians(mean_p, cov_p, mean_q, cov_q).value, rel=1e-9)


def test_chain_rule_with_a_joint_and_its_conditional():
    # KL(p(x, y) || q(x, y)) = KL(p(x) || q(x)) + E_p KL(p(y|x) || q(y|x)).  The conditionals are
    # N(a + b x, s), so their KL is a constant plus a quadratic in x, whose mean is known.
    rng = np.random.default_rng(3)
    (mean_p, cov_p), (mean_q, cov_q) = gaussian(rng, 2), gaussian(rng, 2)

    def conditional(mean, cov):
        slope = cov[1, 0] / cov[0, 0]
        return mean[1] - slope * mean[0], slope, cov[1, 1] - slope * cov[0, 1]

    (a_p, b_p, s_p), (a_q, b_q, s_q) = conditional(mean_p, cov_p), conditional(mean_q, cov_q)
    gap_mean, gap_variance = a_p - a_q + (b_p - b_q) * mean_p[0], (b_p - b_q) ** 2 * cov_p[0, 0]
    expected_conditional = 0.5 * (np.log(s_q / s_p) + (s_p + gap_mean ** 2 + gap_variance) / s_q - 1)
    marginal = kl_gaussians(mean_p[:1], cov_p[:1, :1], mean_q[:1], cov_q[:1, :1]).value
    joint = kl_gaussians(mean_p, cov_p, mean_q, cov_q).value
    assert joint == pytest.approx(marginal + expected_conditional, rel=1e-10)


@pytest.mark.parametrize("mean, cov, message", [
    (0.0, [[1]], r"mean_q must have shape \(dim,\), got \(\)"),
    ([0, 0], [1, 1], r"cov_q must have shape \(2, 2\), got \(2,\)"),
    ([0, np.nan], np.eye(2), "mean_q must be finite"),
    ([0, 0], [[1, 0.5], [0, 1]], "cov_q must be symmetric"),
    ([0, 0], [[1, 2], [2, 1]], "cov_q must be positive definite"),
    ([0, 0], np.zeros((2, 2)), "cov_q must be positive definite"),
    ([0], [[1]], "mean_p and mean_q must have one shape"),
])
def test_bad_gaussians_are_refused_at_the_door(mean, cov, message):
    with pytest.raises(ValueError, match=message):
        kl_gaussians([0, 0], np.eye(2), mean, cov)


def test_gaussians_of_very_different_widths_keep_their_digits():
    for ratio in (1e-20, 1e-8, 1e8, 1e20):
        value = kl_gaussians([0.0], [[ratio]], [0.0], [[1.0]]).value
        assert abs(value - 0.5 * (ratio - 1 - np.log(ratio))) <= 1e-14 * value


def test_rounding_noise_does_not_make_a_covariance_asymmetric(rng):
    for _ in range(50):
        A = rng.normal(size=(4, 4))
        rotated = np.linalg.qr(A)[0] @ np.eye(4) @ np.linalg.qr(A)[0].T           # the identity, nearly
        assert abs(kl_gaussians(np.zeros(4), rotated, np.zeros(4), np.eye(4)).value) < 1e-14


# ---- categorical and Bernoulli ----

def test_categoricals_equal_a_loop_over_the_outcomes(rng):
    p, q = rng.dirichlet(np.ones(7), size=2)
    expected = 0.0
    for a, b in zip(p, q):
        expected += a * np.log(a / b)
    assert kl_categoricals(p, q).value == pytest.approx(expected, rel=1e-12)
    assert kl_categoricals(p, p).value == 0 and kl_categoricals(p, q).stderr == 0
    by_hand = 0.9 * np.log(1.8) + 0.1 * np.log(0.2)
    assert kl_categoricals([0.9, 0.1], [0.5, 0.5]).value == pytest.approx(by_hand, rel=1e-14)


def test_impossible_outcomes_cost_nothing_in_p_and_everything_in_q():
    assert kl_categoricals([0.5, 0.5, 0], [0.25, 0.25, 0.5]).value == pytest.approx(np.log(2), rel=1e-14)
    assert kl_categoricals([0.25, 0.25, 0.5], [0.5, 0.5, 0]).value == np.inf
    assert kl_categoricals([0.5, 0.5, 0], [0.5, 0.5, 0]).value == 0
    assert kl_bernoullis([1, 0.5], [0.5, 0.5]).value == pytest.approx(np.log(2), rel=1e-14)
    assert kl_bernoullis([0.5], [1]).value == kl_bernoullis([0.5], [0]).value == np.inf
    assert kl_bernoullis([0, 1], [0, 1]).value == 0


def test_bernoullis_are_the_categorical_of_all_their_states(rng):
    p, q = rng.uniform(0.05, 0.95, size=(2, 3))
    joint = lambda p: np.array([np.prod(np.where(bits, p, 1 - p)) for bits in np.ndindex(2, 2, 2)])
    assert kl_bernoullis(p, q).value == pytest.approx(kl_categoricals(joint(p), joint(q)).value, rel=1e-12)


def test_merging_outcomes_loses_divergence_by_the_chain_rule(rng):
    p, q = rng.dirichlet(np.ones(5), size=2)
    merged = kl_categoricals([p[:2].sum(), *p[2:]], [q[:2].sum(), *q[2:]]).value
    inside = kl_categoricals(p[:2] / p[:2].sum(), q[:2] / q[:2].sum()).value
    assert kl_categoricals(p, q).value == pytest.approx(merged + p[:2].sum() * inside, rel=1e-12)


# ---- Laplace and gamma ----

LAPLACES = [(0.0, 1.0, 0.0, 2.0), (1.0, 2.0, -1.5, 0.7), (3.0, 0.5, 2.9, 0.5)]
GAMMAS = [(1.0, 2.0, 1.0, 0.5), (2.5, 1.0, 4.0, 1.5), (6.0, 0.5, 2.0, 2.0)]


@pytest.mark.parametrize("parameters", LAPLACES)
def test_laplaces_equal_quadrature_and_monte_carlo(parameters, rng):
    p, q = stats.laplace(*parameters[:2]), stats.laplace(*parameters[2:])
    log_p, log_q = lambda x: p.logpdf(x[:, 0]), lambda x: q.logpdf(x[:, 0])
    kl = kl_laplaces(*parameters)
    assert kl.agrees_with(kl_quadrature(log_p, log_q, [(-80.1, 77.3)], n=60_000), errors=1)
    assert kl.agrees_with(kl_monte_carlo(log_p, log_q, p.rvs((20_000, 1), random_state=rng)))
    assert not kl.agrees_with(kl_laplaces(*parameters[2:], *parameters[:2])) or parameters[1] == parameters[3]


@pytest.mark.parametrize("parameters", GAMMAS)
def test_gammas_equal_quadrature_and_monte_carlo(parameters, rng):
    p, q = (stats.gamma(shape, 0, scale) for shape, scale in (parameters[:2], parameters[2:]))
    log_p, log_q = lambda x: p.logpdf(x[:, 0]), lambda x: q.logpdf(x[:, 0])
    kl = kl_gammas(*parameters)
    assert kl.value == pytest.approx(kl_quadrature(log_p, log_q, [(0, 80)], n=60_000).value, rel=1e-5)
    assert kl.agrees_with(kl_monte_carlo(log_p, log_q, p.rvs((20_000, 1), random_state=rng)))
    assert not kl.agrees_with(kl_gammas(*parameters[2:], *parameters[:2]))


def test_two_exponentials_by_hand():
    # log(b_q / b_p) + b_p / b_q - 1
    assert kl_gammas(1, 2, 1, 5).value == pytest.approx(np.log(2.5) + 0.4 - 1, rel=1e-14)


def test_common_shifts_and_units_change_nothing():
    assert kl_laplaces(7, 3, 4, 6).value == pytest.approx(kl_laplaces(1, 1, 0, 2).value, rel=1e-14)
    assert kl_laplaces(0, 1, 3, 2).value == kl_laplaces(0, 1, -3, 2).value
    assert kl_gammas(2, 3e100, 3, 6e100).value == pytest.approx(kl_gammas(2, 1, 3, 2).value, rel=1e-13)


def test_exact_roads_are_zero_for_equal_laws_and_not_negative(rng):
    assert kl_laplaces(2, 3, 2, 3).value == kl_gammas(2, 3, 2, 3).value == kl_bernoullis([0.3], [0.3]).value == 0
    for _ in range(200):
        a, b = rng.uniform(0.1, 5, size=(2, 2))
        p, q = rng.dirichlet(np.ones(4), size=2)
        assert min(kl_laplaces(*a, *b).value, kl_gammas(*a, *b).value, kl_categoricals(p, q).value,
                   kl_bernoullis(p, q).value) > 0


@pytest.mark.parametrize("call, error, says", [
    (lambda: kl_categoricals([0.5, 0.4], [0.5, 0.5]), ValueError, "p must sum to 1, got 0.9"),
    (lambda: kl_categoricals([0.5, 0.5], [0.5, 0.6]), ValueError, "q must sum to 1, got 1.1"),
    (lambda: kl_categoricals([1.5, -0.5], [0.5, 0.5]), ValueError, "p must hold probabilities between 0 and 1"),
    (lambda: kl_categoricals([1], [0.5, 0.5]), ValueError, "one shape"),
    (lambda: kl_categoricals([[1.0]], [1]), ValueError, "p must be a vector of probabilities"),
    (lambda: kl_categoricals([], []), ValueError, "vector of probabilities"),
    (lambda: kl_categoricals("ab", [1]), TypeError, "p must hold real numbers"),
    (lambda: kl_bernoullis([0.5, np.nan], [0.5, 0.5]), ValueError, "p must be finite"),
    (lambda: kl_bernoullis([0.5], [1.01]), ValueError, "q must hold probabilities"),
    (lambda: kl_bernoullis([0.5], [0.5, 0.5]), ValueError, "one shape"),
    (lambda: kl_laplaces(0, 0, 0, 1), ValueError, "scale_p must be a positive"),
    (lambda: kl_laplaces(0, 1, 0, -1), ValueError, "scale_q must be a positive"),
    (lambda: kl_laplaces([0, 1], 1, 0, 1), ValueError, "mean_p must be one number"),
    (lambda: kl_laplaces(0, 1, np.inf, 1), ValueError, "mean_q must be finite"),
    (lambda: kl_laplaces("a", 1, 0, 1), TypeError, "mean_p must hold real numbers"),
    (lambda: kl_gammas(0, 1, 1, 1), ValueError, "shape_p must be a positive"),
    (lambda: kl_gammas(1, np.inf, 1, 1), ValueError, "scale_p must be a positive"),
    (lambda: kl_gammas(1, 1, "a", 1), TypeError, "shape_q must be a positive"),
    (lambda: kl_gammas(1, 1, 1, [1]), TypeError, "scale_q must be a positive")])
def test_bad_parameters_are_refused_at_the_door(call, error, says):
    with pytest.raises(error, match=says):
        call()
