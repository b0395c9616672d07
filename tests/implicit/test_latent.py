import numpy as np
import pytest
from scipy.stats import kstest

from scratch.implicit.latent import draw, mixture, sines
from scratch.learning.gradient_check import gradient_error


def test_z_is_a_naive_loop_and_its_gradient_exact(rng):
    e, k, weight = rng.standard_normal((7, 2)), np.array([0, 2, 2, 0, 1, 2, 0]), rng.standard_normal((7, 2))
    parameters = rng.standard_normal(2 * 3 * 2)
    mu, log_std = parameters[:6].reshape(3, 2), parameters[6:].reshape(3, 2)
    z, pull = mixture(parameters, e, k)
    for i in range(7):
        for l in range(2):
            assert z[i, l] == pytest.approx(mu[k[i], l] + np.exp(log_std[k[i], l]) * e[i, l], rel=1e-14)
    assert gradient_error(lambda p: np.sum(weight * mixture(p, e, k)[0]), parameters, pull(weight)) < 1e-12


def test_even_draws_are_normal_and_balanced(rng):
    """Each row is N(0, I) and each component as likely over many draws; one batch has each 16 times."""
    rows = np.array([draw(rng, 40, 2, 8)[0] for _ in range(2000)])                # (2000, 40, 2)
    for i in (0, 17, 39):
        assert all(kstest(rows[:, i, l], "norm").pvalue > 6e-7 for l in (0, 1))       # as rare as five errors
        assert abs(np.corrcoef(rows[:, i].T)[0, 1]) < 5 / np.sqrt(2000)
    np.testing.assert_array_equal(np.bincount(draw(rng, 1024, 2, 64)[1], minlength=64), 16)
    few = np.concatenate([draw(rng, 3, 2, 8)[1] for _ in range(4000)])
    counts = np.bincount(few, minlength=8)                  # of 12,000, stratified: less scatter than binomial
    assert len(counts) == 8 and np.abs(counts - 1500).max() < 5 * np.sqrt(1500)


def test_even_draws_cover_the_plane_more_evenly_than_independent_ones(rng):
    """The mean over a batch of a smooth function scatters at most a third as much."""
    def scatter(components):
        return np.std([np.mean(np.cos(draw(rng, 1024, 2, components)[0].sum(axis=1))) for _ in range(100)])
    assert scatter(64) < scatter(1) / 3


def test_one_component_stands_for_independent_draws_of_the_normal_distribution():
    e, k = draw(np.random.default_rng(3), 5, 2, 1)
    np.testing.assert_array_equal(e, np.random.default_rng(3).standard_normal((5, 2)))
    np.testing.assert_array_equal(k, 0)


def test_sines_and_their_derivatives(rng):
    x = rng.normal(size=(4, 2))
    features, df_dx = sines(x, (1.0, 3.0))
    parts = [x, np.sin(x), np.sin(3 * x), np.cos(x), np.cos(3 * x)]
    np.testing.assert_allclose(features, np.hstack(parts), rtol=1e-14)
    moved, _ = sines(x + 1e-30j, (1.0, 3.0))                # each feature looks at one coordinate
    np.testing.assert_allclose(df_dx.reshape(features.shape), moved.imag / 1e-30, rtol=1e-14)
