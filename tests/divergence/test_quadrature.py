import numpy as np
import pytest

from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.quadrature import kl_quadrature


def gaussian(mean, cov):
    mean, precision = np.asarray(mean, float), np.linalg.inv(cov)
    constant = 0.5 * np.linalg.slogdet(2 * np.pi * np.asarray(cov))[1]
    return lambda x: -0.5 * np.einsum("ni,ij,nj->n", x - mean, precision, x - mean) - constant


def uniform(low, high):
    """The uniform law on an interval or a box, -inf outside."""
    low, high = np.atleast_1d(low), np.atleast_1d(high)
    inside = lambda x: ((x > low) & (x < high)).all(axis=1)
    return lambda x: np.where(inside(x), -np.log(np.prod(high - low)), -np.inf)


def test_it_equals_a_loop_over_a_coarse_grid():
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


def test_the_stated_error_covers_kinks_and_jumps():
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
