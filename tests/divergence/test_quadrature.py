import numpy as np
import pytest
from scipy.special import ndtr

from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.quadrature import js_quadrature, kl_quadrature, tv_quadrature


def gaussian(mean, cov):
    mean, precision = np.asarray(mean, float), np.linalg.inv(cov)
    constant = 0.5 * np.linalg.slogdet(2 * np.pi * np.asarray(cov))[1]
    return lambda x: -0.5 * np.einsum("ni,ij,nj->n", x - mean, precision, x - mean) - constant


def uniform(low, high):
    """The uniform law on an interval or a box, -inf outside."""
    low, high = np.atleast_1d(low), np.atleast_1d(high)
    inside = lambda x: ((x > low) & (x < high)).all(axis=1)
    return lambda x: np.where(inside(x), -np.log(np.prod(high - low)), -np.inf)


def test_it_equals_a_loop_over_the_cells_of_a_coarse_grid():
    log_p, log_q = gaussian([0, 0], np.eye(2)), gaussian([1, 0], [[2, 0.5], [0.5, 1]])
    total = coarse = 0.0
    for i in range(6):
        for j in range(6):
            x = np.array([[-3 + (i + 0.5) * 1.0, -2 + (j + 0.5) * 0.5]])
            term = np.exp(log_p(x)[0]) * (log_p(x)[0] - log_q(x)[0])
            total += 0.5 * term
            coarse += 4.5 * term * (i in (1, 4) and j in (1, 4))
    kl = kl_quadrature(log_p, log_q, [(-3, 3), (-2, 1)], n=6)
    assert kl.value == pytest.approx(total, rel=1e-12)
    assert kl.stderr == pytest.approx(abs(total - coarse), rel=1e-12)
    assert kl.n == 36


@pytest.mark.parametrize("mean_q, cov_q", [([0.3, -0.2], [[1.5, 0.4], [0.4, 0.8]]), ([2, 1], [[1, -0.6], [-0.6, 1]])])
def test_gaussians_in_the_plane_match_the_closed_form(mean_q, cov_q):
    mean_p, cov_p = [0, 0], [[1, 0.7], [0.7, 1]]
    kl = kl_quadrature(gaussian(mean_p, cov_p), gaussian(mean_q, cov_q), [(-9, 9)] * 2)
    assert kl.value == pytest.approx(kl_gaussians(mean_p, cov_p, mean_q, cov_q).value, rel=1e-12)
    assert kl.mass_p == pytest.approx(1, abs=1e-12) and kl.mass_q == pytest.approx(1, abs=1e-10)
    assert kl.stderr < 1e-12


def test_forward_and_reverse_on_a_line():
    p, q, box = gaussian([0], [[1]]), gaussian([1], [[4]]), [(-20, 22)]
    assert kl_quadrature(p, q, box).value == pytest.approx(kl_gaussians([0], [[1]], [1], [[4]]).value, rel=1e-12)
    assert kl_quadrature(q, p, box).value == pytest.approx(kl_gaussians([1], [[4]], [0], [[1]]).value, rel=1e-12)


def test_the_stated_error_covers_the_true_error_at_kinks_and_at_jumps():
    # Laplace(0, 1) against Laplace(0, 2): log 2 + 1/2 - 1; the kink stands off the grid's lines.
    laplace = lambda b: lambda x: -np.abs(x[:, 0]) / b - np.log(2 * b)
    for n in (60, 300, 1500):
        kl = kl_quadrature(laplace(1), laplace(2), [(-40.1, 37.3)], n=n)
        error = abs(kl.value - (np.log(2) - 0.5))
        assert 0.02 * kl.stderr < error < kl.stderr
    # a jump: U(0, 1) against a Gaussian, E[x^2] = 1/3
    for n in (100, 1000, 10_000):
        kl = kl_quadrature(uniform(0, 1), gaussian([0], [[1]]), [(-2.03, 2.41)], n=n)
        assert abs(kl.value - (0.5 * np.log(2 * np.pi) + 1 / 6)) < 3 * kl.stderr


def test_an_unnormalized_density_shows_in_the_mass():
    p, q = gaussian([0], [[1]]), gaussian([1], [[1]])
    kl = kl_quadrature(p, lambda x: q(x) + np.log(1.25), [(-10, 10)])
    assert kl.mass_p == pytest.approx(1, abs=1e-12) and kl.mass_q == pytest.approx(1.25, abs=1e-12)
    assert kl.value == pytest.approx(0.5 - np.log(1.25), rel=1e-12)


def test_a_box_that_cuts_the_law_shows_in_the_mass():
    kl = kl_quadrature(gaussian([0], [[1]]), gaussian([0], [[1]]), [(0, 10)])
    assert kl.mass_p == pytest.approx(0.5, abs=1e-6)


def test_zero_times_log_zero_is_zero_also_where_both_vanish():
    kl = kl_quadrature(uniform([0, 0], [1, 1]), uniform([0, 0], [2, 2]), [(-1, 3)] * 2, n=120)
    assert kl.value == pytest.approx(np.log(4), rel=1e-12)


def test_mass_of_p_where_q_has_none_makes_it_infinite():
    kl = kl_quadrature(uniform(0, 2), uniform(0, 1), [(-1, 3)], n=120)
    assert (kl.value, kl.stderr) == (np.inf, 0)
    assert (kl.mass_p, kl.mass_q) == (pytest.approx(1), pytest.approx(1))


def test_cells_are_rounded_up_to_a_multiple_of_three():
    assert kl_quadrature(gaussian([0], [[1]]), gaussian([0], [[1]]), [(-9, 9)], n=100).n == 102


def test_three_dimensions_and_bad_boxes_are_refused():
    p = gaussian([0], [[1]])
    with pytest.raises(ValueError, match=r"for 1 or 2 dimensions: .* got \(3, 2\)"):
        kl_quadrature(p, p, [(-1, 1)] * 3)
    with pytest.raises(ValueError, match=r"bounds must have shape \(1, 2\) or \(2, 2\), got \(2,\)"):
        kl_quadrature(p, p, (-1, 1))
    with pytest.raises(ValueError, match="low < high"):
        kl_quadrature(p, p, [(1, -1)])
    with pytest.raises(ValueError, match="n must be at least 3"):
        kl_quadrature(p, p, [(-1, 1)], n=2)
    with pytest.raises(ValueError, match="log_q must be finite or -inf, got nan"):
        kl_quadrature(p, lambda x: np.full(len(x), np.nan), [(-1, 1)])


# ---- Jensen-Shannon and total variation ----

RELATIVES = pytest.mark.parametrize("relative, far", [(js_quadrature, np.log(2)), (tv_quadrature, 1.0)])


def test_both_equal_a_loop_over_the_cells_of_a_coarse_grid():
    log_p, log_q = gaussian([0, 0], np.eye(2)), gaussian([1, 0], [[2, 0.5], [0.5, 1]])
    js, tv = np.zeros((6, 6)), np.zeros((6, 6))
    for i in range(6):
        for j in range(6):
            x = np.array([[-3 + (i + 0.5) * 1.0, -2 + (j + 0.5) * 0.5]])
            p, q = np.exp(log_p(x)[0]), np.exp(log_q(x)[0])
            middle = (p + q) / 2
            js[i, j] = 0.5 * (0.5 * p * np.log(p / middle) + 0.5 * q * np.log(q / middle))
            tv[i, j] = 0.5 * 0.5 * abs(p - q)
    for relative, terms in ((js_quadrature, js), (tv_quadrature, tv)):
        result = relative(log_p, log_q, [(-3, 3), (-2, 1)], n=6)
        assert result.value == pytest.approx(terms.sum(), rel=1e-12)
        assert result.stderr == pytest.approx(abs(terms.sum() - 9 * terms[1::3, 1::3].sum()), rel=1e-9)
        assert result.n == 36 and 0.8 < result.mass_p < 1


@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0])
def test_total_variation_of_shifted_normals_is_the_mass_between(shift):
    # 2 Phi(d / 2) - 1, in one dimension and along a diagonal in two
    p, q, box = gaussian([0], [[1]]), gaussian([shift], [[1]]), [(-9.1, 12.3)]
    tv = tv_quadrature(p, q, box, n=30_000)
    assert tv.value == pytest.approx(2 * ndtr(shift / 2) - 1, abs=2e-8)           # the kink costs 5e-9
    p, q = gaussian([0, 0], np.eye(2)), gaussian([0.6 * shift, 0.8 * shift], np.eye(2))
    plane = tv_quadrature(p, q, [(-8, 11)] * 2)
    assert plane.value == pytest.approx(2 * ndtr(shift / 2) - 1, rel=1e-4)


def test_jensen_shannon_is_the_mean_of_two_kl_to_the_middle_and_the_information_about_the_label(rng):
    p, q, box = gaussian([0], [[1]]), gaussian([1.5], [[2]]), [(-15, 17)]
    middle = lambda x: np.logaddexp(p(x), q(x)) - np.log(2)
    js = js_quadrature(p, q, box).value
    to_middle = kl_quadrature(p, middle, box).value + kl_quadrature(q, middle, box).value
    assert js == pytest.approx(0.5 * to_middle, rel=1e-12)
    # H(label) - H(label | x) for a fair coin that chooses the law, by Monte Carlo
    label = rng.random(50_000) < 0.5
    x = np.where(label, rng.normal(size=50_000), 1.5 + np.sqrt(2) * rng.normal(size=50_000))[:, None]
    information = np.log(2) + np.where(label, p(x), q(x)) - np.logaddexp(p(x), q(x))
    assert abs(information.mean() - js) < 4 * information.std() / np.sqrt(50_000)


@RELATIVES
def test_they_are_symmetric_zero_for_equal_laws_and_largest_for_disjoint_ones(relative, far):
    p, q, box = gaussian([0], [[1]]), gaussian([1], [[4]]), [(-20, 21)]
    assert relative(p, q, box).value == pytest.approx(relative(q, p, box).value, rel=1e-14)
    assert abs(relative(p, p, box).value) < 1e-15
    left, right = uniform(0, 1), uniform(2, 3)
    assert relative(left, right, [(-1, 4)], n=300).value == pytest.approx(far, rel=1e-12)
    distant = relative(p, gaussian([60], [[1]]), [(-15, 75)]).value
    assert distant == pytest.approx(far, rel=1e-12)


def test_half_an_overlap():
    # U(0, 2) against U(1, 3): half the mass is shared.
    p, q = uniform(0, 2), uniform(1, 3)
    assert tv_quadrature(p, q, [(-1, 4)], n=300).value == pytest.approx(0.5, rel=1e-12)
    assert js_quadrature(p, q, [(-1, 4)], n=300).value == pytest.approx(0.5 * np.log(2), rel=1e-12)


def test_the_inequalities_between_them(rng):
    # JS <= log(2) TV, TV <= sqrt(KL / 2) (Pinsker), TV^2 / 2 <= JS, KL >= 0
    for _ in range(10):
        mean, variance = rng.normal(), rng.uniform(0.3, 3)
        p, q, box = gaussian([0], [[1]]), gaussian([mean], [[variance]]), [(-20, 20)]
        kl, js, tv = (f(p, q, box, n=3000).value for f in (kl_quadrature, js_quadrature, tv_quadrature))
        assert 0 < js <= np.log(2) * tv and 0.5 * tv ** 2 <= js
        assert 0 < tv <= min(1, np.sqrt(kl / 2))


@RELATIVES
def test_bad_boxes_and_laws_are_refused_by_the_relatives_too(relative, far):
    p = gaussian([0], [[1]])
    with pytest.raises(ValueError, match=r"for 1 or 2 dimensions"):
        relative(p, p, [(-1, 1)] * 3)
    with pytest.raises(ValueError, match="low < high"):
        relative(p, p, [(1, -1)])
    with pytest.raises(ValueError, match="n must be at least 3"):
        relative(p, p, [(-1, 1)], n=2)
    with pytest.raises(TypeError, match="log_q must be a function"):
        relative(p, 0.5, [(-1, 1)])
