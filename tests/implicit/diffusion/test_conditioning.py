import numpy as np
import pytest

from scratch.data.distributions import GaussianMixture
from scratch.discriminative.generative_classifier import GenerativeClassifier
from scratch.implicit.diffusion.conditioning import WITHHELD, ConditionalDiffusion
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit

MODEL = ConditionalDiffusion(dim=3, hidden=(5, 4), classes=3)
PLAIN = Diffusion(dim=3, hidden=(5, 4), classes=3)
NOBODY, EVERYBODY = np.zeros(6, bool), np.ones(6, bool)


def random_theta(rng):
    return MODEL.init(rng, np.float64) + 0.3 * rng.standard_normal(MODEL.size)


def labeled_rows(rng):
    return np.column_stack([rng.normal(size=(6, 3)), [0, 1, 2, 2, 0, 1]])


def test_the_loss_is_the_mean_over_rows_of_the_denoisers_loss_with_that_rows_label(rng):
    theta, rows = random_theta(rng), labeled_rows(rng)
    eps, sigma, _ = MODEL.draw_noise(rng, 6)
    withheld = np.array([False, True, False, True, False, False])
    one_by_one = [PLAIN.loss(theta, row[None, :3], (eps[[i]], sigma[[i]]), -1 if withheld[i] else int(row[3]))[0]
                  for i, row in enumerate(rows)]
    assert abs(MODEL.loss(theta, rows, (eps, sigma, withheld))[0] - np.mean(one_by_one)) < 1e-12


def test_the_class_matters_where_it_is_told_and_nowhere_else(rng):
    theta, rows = random_theta(rng), labeled_rows(rng)
    other = rows.copy()
    other[:, 3] = (rows[:, 3] + 1) % 3
    eps, sigma, _ = MODEL.draw_noise(rng, 6)
    for withheld, same in ((EVERYBODY, True), (NOBODY, False)):
        losses = [MODEL.loss(theta, r, (eps, sigma, withheld))[0] for r in (rows, other)]
        assert (losses[0] == losses[1]) == same


def test_gradient_in_every_parameter(rng):
    theta, rows, noise = random_theta(rng), labeled_rows(rng), MODEL.draw_noise(rng, 6)
    _, dtheta = MODEL.loss(theta, rows, noise)
    assert gradient_error(lambda theta: MODEL.loss(theta, rows, noise)[0], theta, dtheta) < 1e-10


def test_one_class_in_five_is_withheld_whatever_its_noise_level(rng):
    _, sigma, withheld = MODEL.draw_noise(rng, 40_000)
    for part in (withheld, withheld[sigma > np.median(sigma)]):
        assert abs(part.mean() - WITHHELD) < 4 * np.sqrt(WITHHELD * (1 - WITHHELD) / len(part))


def test_one_network_learns_each_class_and_all_of_them_together(rng):
    """Exact twins: the denoisers of p(x | c) and of p(x).  A wrong label costs ten times the excess loss."""
    shares, laws = [0.25, 0.75], [GaussianMixture([[m]], [[[0.1]]], [1.0]) for m in (-1.0, 0.8)]
    whole = GaussianMixture([[-1.0], [0.8]], [[[0.1]]] * 2, shares)
    model = ConditionalDiffusion(dim=1, hidden=(32, 32), classes=2)
    theta = fit(model, model.init(rng), GenerativeClassifier(laws, shares), rng, steps=500)
    for label, law in ((0, laws[0]), (1, laws[1]), (-1, whole)):
        distances = dict.fromkeys((0, 1, -1), 0.0)
        for sigma in (0.2, 0.5, 1.0, 2.0):
            x = law.noised(sigma).sample(500, rng)
            exact, c_out = law.denoise(x, sigma), sigma / np.sqrt(1 + sigma ** 2)
            for told in distances:
                distances[told] += np.mean((model.denoise(theta, x, sigma, told) - exact) ** 2) / c_out ** 2 / 4
        assert distances[label] < 0.03
        assert all(distance > 10 * distances[label] for told, distance in distances.items() if told != label)
    assert abs(model.sample(theta, 2000, rng, label=0).mean() + 1.0) < 0.1
    assert abs(model.sample(theta, 2000, rng).mean() - whole.mean()[0]) < 0.15


@pytest.mark.parametrize("call, error, says", [
    (lambda t, rows, noise: ConditionalDiffusion(dim=3, hidden=(4,)), ValueError, "classes must be at least 1"),
    (lambda t, rows, noise: MODEL.loss(t, rows[:, :3], noise), ValueError, r"rows must have shape \(n, 4\)"),
    (lambda t, rows, noise: MODEL.loss(t, rows + 0.5, noise), ValueError, "classes 0 ... 2, got 0.5"),
    (lambda t, rows, noise: MODEL.loss(t, rows + 1, noise), ValueError, "classes 0 ... 2, got 3.0"),
    (lambda t, rows, noise: MODEL.loss(t, rows.astype(int), noise), TypeError, "floating point"),
    (lambda t, rows, noise: MODEL.loss(t, rows, (*noise[:2], NOBODY[:2])), ValueError,
     r"withheld of shape \(6,\)"),
    (lambda t, rows, noise: MODEL.loss(t[:-1], rows, noise), ValueError, "theta must have shape"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL.init(rng), labeled_rows(rng), MODEL.draw_noise(rng, 6))
