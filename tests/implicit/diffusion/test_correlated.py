import warnings

import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.implicit.diffusion.conditioning import ConditionalDiffusion
from scratch.implicit.diffusion.correlated import CorrelatedDiffusion
from scratch.learning.training import fit

STDS = (3.0, 0.7, 0.05)
MODEL = CorrelatedDiffusion(3, hidden=(5, 4), stds=STDS)
GAUSSIAN = GaussianMixture([[0.0] * 3], [np.diag(STDS) ** 2], [1.0])


def random_theta(model, rng):
    return model.init(rng, np.float64) + 0.3 * rng.standard_normal(model.size)


# ---- 1 definition ----

def test_the_loss_is_the_square_along_each_axis(rng):
    theta, rows = random_theta(MODEL, rng), np.column_stack([rng.normal(size=(6, 3)) * STDS, [0, 1, 1, 0, 1, 0]])
    eps, sigma, _ = MODEL.draw_noise(rng, 6)
    withheld, total = np.array([False, True, False, False, True, False]), 0.0
    for row, e, level, hidden in zip(rows, eps, sigma, withheld):
        xhat = MODEL.denoise(theta, (row[:3] + level * e)[None], level, label=-1 if hidden else int(row[3]))[0]
        for i, s in enumerate(STDS):
            total += (xhat[i] - row[i]) ** 2 * (s ** 2 + level ** 2) / (s * level) ** 2
    assert MODEL.loss(theta, rows, (eps, sigma, withheld))[0] == pytest.approx(total / 18, rel=1e-12)


def test_the_denoiser_is_the_formula_with_the_network_inside(rng):
    theta, x, sigma = random_theta(MODEL, rng), rng.normal(size=(4, 3)), np.array([0.02, 0.3, 1.0, 9.0])
    for n, level in enumerate(sigma):
        F = MODEL.network(theta, np.array([[x[n, i] / np.hypot(level, s) for i, s in enumerate(STDS)]]),
                          0.25 * np.log(level / np.sqrt(np.mean(np.square(STDS)))))[0][0]
        for i, s in enumerate(STDS):
            expected = s ** 2 / (s ** 2 + level ** 2) * x[n, i] + s * level / np.hypot(s, level) * F[i]
            assert MODEL.denoise(theta, x, sigma)[n, i] == pytest.approx(expected, rel=1e-12)


# ---- 4 exact twin ----

def test_without_a_network_it_is_the_gaussian_of_its_stds(rng):
    theta, x = np.zeros(MODEL.size), GAUSSIAN.sample(40, rng)
    for sigma in (0.01, 0.5, 20.0):
        np.testing.assert_allclose(MODEL.denoise(theta, x, sigma), GAUSSIAN.denoise(x, sigma), rtol=1e-10)
    np.testing.assert_allclose(MODEL.log_prob(theta, x), GAUSSIAN.log_prob(x), atol=0.01)
    ratio = MODEL.sample(theta, 5000, rng).std(axis=0) / STDS
    assert (np.abs(ratio - 1) < 5 / np.sqrt(10_000) + 0.02).all()               # 0.02: Heun's 32 steps
    many = np.column_stack([GAUSSIAN.sample(2000, rng), np.zeros(2000)])
    assert MODEL.loss(theta, many, MODEL.draw_noise(rng, 2000))[0] == pytest.approx(1, abs=0.1)


def test_equal_stds_are_one_scale(rng):
    plain = ConditionalDiffusion(3, hidden=(5, 4), sigma_data=0.8)
    object.__setattr__(plain, "network", MODEL.network)                         # without sines
    model = CorrelatedDiffusion(3, hidden=(5, 4), stds=(0.8,) * 3)
    theta, x = random_theta(model, rng), rng.normal(size=(6, 3))
    for call in (lambda m: m.denoise(theta, x, 0.4, label=1), lambda m: m.log_prob(theta, x, label=0, steps=3),
                 lambda m: m.sample(theta, 4, np.random.default_rng(1), label=1, steps=3)):
        np.testing.assert_allclose(call(model), call(plain), rtol=1e-10)


# ---- 5 learning ----

def test_it_learns_two_classes_whose_axes_differ_by_a_factor_of_10(rng):
    """Each class has two modes on a short axis beside a long one: the Gaussian of the same stds is 0.17 nats off."""
    stds = (2.0, 0.2)
    laws = [GaussianMixture([[0, -m], [0, m]], [np.diag([4.0, 0.04 - m * m])] * 2, [0.5, 0.5]) for m in (0.05, 0.18)]
    rows = np.concatenate([np.column_stack([law.sample(4000, rng), np.full(4000, c)]) for c, law in enumerate(laws)])
    model = CorrelatedDiffusion(2, hidden=(64, 64), stds=stds)
    theta, gaussian = model.init(rng), GaussianMixture([[0.0, 0.0]], [np.diag(np.square(stds))], [1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")                      # the columns have the units that the model is made for
        theta = fit(model, theta, rows, rng, steps=900)
    x = laws[1].sample(800, rng)
    assert kl_monte_carlo(laws[1].log_prob, gaussian.log_prob, x).value > 0.1
    assert kl_monte_carlo(laws[1].log_prob, lambda x: model.log_prob(theta, x, label=1), x).value < 0.12
    assert kl_monte_carlo(laws[1].log_prob, lambda x: model.log_prob(theta, x, label=0), x).value > 0.1


# ---- bad input ----

@pytest.mark.parametrize("stds, error, says", [
    ((1.0, 2.0), ValueError, r"stds must have shape \(3,\)"),
    ((1.0, 2.0, 0.0), ValueError, "stds must be positive"),
    ((1.0, 2.0, np.nan), ValueError, "stds must be finite"),
    ("abc", TypeError, "stds must hold real numbers"),
])
def test_bad_stds_are_named(stds, error, says):
    with pytest.raises(error, match=says):
        CorrelatedDiffusion(3, stds=stds)
