import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.grid import midpoints
from scratch.implicit import smoothed_density
from scratch.implicit.smoothed_density import cells, log_prob

MU, STD = np.array([[-1.0, 0.5], [1.0, 0.0]]), np.array([[0.4, 0.5], [0.6, 0.3]])


def fold(z):
    """Covers x_1 > 0 twice, with an infinite density along x_1 = 0 if there is no noise."""
    return np.column_stack([z[:, 0] ** 2, z[:, 1]])


def step(z):
    """Steep: 2 units within 0.02."""
    return np.column_stack([np.tanh(100 * z[:, 0]) + 0.1 * z[:, 0], z[:, 1]])


def test_density_of_a_linear_generator(rng):
    A = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 1.0]])        # from two to three dimensions
    law = GaussianMixture(MU @ A, [A.T @ np.diag(v) @ A + 0.09 * np.eye(3) for v in STD ** 2], [0.5, 0.5])
    x = law.sample(300, rng)
    np.testing.assert_allclose(log_prob(lambda z: z @ A, MU, STD, 0.3, x), law.log_prob(x), atol=2e-3)


@pytest.mark.parametrize("generator", [fold, step])
def test_density_of_a_fold_and_of_a_step_is_an_integral_along_one_axis(generator, monkeypatch):
    """The second coordinate is Gaussian, the first an integral that scipy computes piece by piece."""
    mu, std, s = np.zeros((1, 2)), np.ones((1, 2)), 0.1

    def q_1(x):
        def term(z):
            return norm.pdf(z) * norm.pdf(x, generator(np.array([[z, 0.0]]))[0, 0], s)
        return sum(quad(term, a, b, limit=200)[0] for a, b in
                   zip([-8, -2, -0.05, 0.0, 0.05, 2], [-2, -0.05, 0.0, 0.05, 2, 8]))

    x = np.array([[-0.05, 0.3], [0.0, -1.0], [0.9, 0.0], [1.5, 0.5]])
    expected = [np.log(q_1(row[0])) + norm.logpdf(row[1], 0, np.hypot(1, s)) for row in x]
    np.testing.assert_allclose(log_prob(generator, mu, std, s, x), expected, atol=0.05)
    monkeypatch.setattr(smoothed_density, "SMALL", 1e-7)
    monkeypatch.setattr(smoothed_density, "NEAR", 0.2)
    np.testing.assert_allclose(log_prob(generator, mu, std, s, x), expected, atol=0.015)


@pytest.mark.parametrize("generator", [fold, step])
def test_mass_is_1_and_cells_are_small_where_the_generator_is_steep(generator):
    nodes, cell = midpoints([(-3, 25), (-6, 6)], 120)
    mu, std = np.array([[0.0, 0.0], [0.5, 0.5]]), np.full((2, 2), 0.8)
    assert abs(cell * np.exp(log_prob(generator, mu, std, 0.3, nodes)).sum() - 1) < 2e-3
    images, weights = cells(generator, mu, std, 0.3)
    assert abs(weights.sum() - 1) < 1e-12 and (weights > 0).all()
    if generator is step:                                   # 1 % of z fills half of the picture's width
        assert np.mean(np.abs(images[:, 0]) < 0.9) > 0.03


def test_one_latent_coordinate_and_a_point_far_away():
    """q(x) of G(z) = 3 z is N(0, 9 + s^2); far outside the box it is finite."""
    x = np.array([[0.0], [5.0], [-100.0]])
    log_q = log_prob(lambda z: 3 * z, np.zeros((1, 1)), np.ones((1, 1)), 0.5, x)
    np.testing.assert_allclose(log_q[:2], norm.logpdf(x[:2, 0], 0, np.sqrt(9.25)), atol=1e-3)
    assert np.isfinite(log_q[2])


def test_halving_every_distance_changes_little(rng, monkeypatch):
    k = rng.integers(2, size=200)
    x = fold(MU[k] + STD[k] * rng.normal(size=(200, 2))) + 0.1 * rng.normal(size=(200, 2))
    usual = log_prob(fold, MU, STD, 0.1, x)
    monkeypatch.setattr(smoothed_density, "NEAR", 0.5)
    monkeypatch.setattr(smoothed_density, "SMALL", 1e-7)
    finer = log_prob(fold, MU, STD, 0.1, x)
    assert abs(np.mean(finer - usual)) < 4e-3 and np.abs(finer - usual).max() < 0.1


def test_a_component_too_narrow_for_a_grid_is_refused():
    with pytest.raises(ValueError, match="too narrow"):
        log_prob(fold, MU, np.array([[1.0, 1.0], [1.0, 1e-3]]), 0.1, np.zeros((1, 2)))
