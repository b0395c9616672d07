import numpy as np
import pytest

from scratch.divergence.closed_form import kl_categoricals, kl_gaussians


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
        rate = cov[1, 0] / cov[0, 0]
        return mean[1] - rate * mean[0], rate, cov[1, 1] - rate * cov[0, 1]

    (a_p, b_p, s_p), (a_q, b_q, s_q) = conditional(mean_p, cov_p), conditional(mean_q, cov_q)
    gap_mean, gap_variance = a_p - a_q + (b_p - b_q) * mean_p[0], (b_p - b_q) ** 2 * cov_p[0, 0]
    expected_conditional = 0.5 * (np.log(s_q / s_p) + (s_p + gap_mean ** 2 + gap_variance) / s_q - 1)
    marginal = kl_gaussians(mean_p[:1], cov_p[:1, :1], mean_q[:1], cov_q[:1, :1]).value
    joint = kl_gaussians(mean_p, cov_p, mean_q, cov_q).value
    assert joint == pytest.approx(marginal + expected_conditional, rel=1e-10)


@pytest.mark.parametrize("mean, cov, message", [
    (0.0, [[1]], r"mean_q must have shape \(2,\), got \(\)"),
    ([0, 0], [1, 1], r"cov_q must have shape \(2, 2\), got \(2,\)"),
    ([0, np.nan], np.eye(2), "mean_q must be finite"),
    ([0, 0], [[1, 0.5], [0, 1]], "cov_q must be symmetric"),
    ([0, 0], [[1, 2], [2, 1]], "cov_q must be positive definite"),
    ([0, 0], np.zeros((2, 2)), "cov_q must be positive definite"),
    ([0], [[1]], "mean_q must have shape"),
])
def test_bad_gaussians_are_refused(mean, cov, message):
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


def test_categoricals_equal_a_loop_over_the_outcomes(rng):
    p, q = rng.dirichlet(np.ones(7), size=2)
    expected = 0.0
    for a, b in zip(p, q):
        expected += a * np.log(a / b)
    assert kl_categoricals(p, q).value == pytest.approx(expected, rel=1e-12)
    by_hand = 0.9 * np.log(1.8) + 0.1 * np.log(0.2)
    assert kl_categoricals([0.9, 0.1], [0.5, 0.5]).value == pytest.approx(by_hand, rel=1e-14)


def test_impossible_outcomes_cost_nothing_in_p_and_everything_in_q():
    assert kl_categoricals([0.5, 0.5, 0], [0.25, 0.25, 0.5]).value == pytest.approx(np.log(2), rel=1e-14)
    assert kl_categoricals([0.25, 0.25, 0.5], [0.5, 0.5, 0]).value == np.inf
    assert kl_categoricals([0.5, 0.5, 0], [0.5, 0.5, 0]).value == 0


def test_nearly_equal_tables_have_no_negative_divergence_and_keep_their_digits(rng):
    for size in (1e-10, 1e-12, 1e-15):
        for _ in range(300):
            p = rng.dirichlet(np.ones(5))
            assert kl_categoricals(p, p * (1 + size * rng.standard_normal(5))).value >= 0
    p, e = np.full(4, 0.25), 1e-5 * np.array([1.0, -1.0, 2.0, -2.0])
    assert kl_categoricals(p, p + e).value == pytest.approx(np.sum(e * e / p) / 2, rel=1e-4)      # to second order


@pytest.mark.parametrize("p, q", [([0.5, 0.6], [0.5, 0.5]), ([1.5, -0.5], [0.5, 0.5]), ([1.0], [0.5, 0.5]), ([[1.0]], [1.0])])
def test_tables_that_are_no_distributions_are_refused(p, q):
    with pytest.raises(ValueError, match="must be a list of probabilities|q must have shape"):
        kl_categoricals(p, q)


def test_laws_in_float32_are_taken(rng):
    A = rng.normal(size=(500, 4)).astype(np.float32) * np.float32(3)
    centered = A - A.mean(axis=0)
    S = np.einsum("ni,nj->ij", centered, centered) / np.float32(499)
    S[1, 0] = np.nextafter(S[1, 0], np.float32(np.inf))     # the last bit: 6e-8
    m = A.mean(axis=0)
    assert abs(kl_gaussians(m, S, m, S).value) < 1e-12
    assert abs(kl_gaussians(m, S, m, S.astype(float)).value) < 1e-12
    p, q = (rng.dirichlet(np.ones(1000)).astype(np.float32) for _ in range(2))
    exact = [np.array(a, float) / a.astype(float).sum() for a in (p, q)]
    assert kl_categoricals(p, q).value == pytest.approx(exact[0] @ np.log(exact[0] / exact[1]), rel=1e-12)
