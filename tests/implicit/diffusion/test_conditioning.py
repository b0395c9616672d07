import numpy as np
import pytest

from scratch.data.distributions import GaussianMixture
from scratch.discriminative.generative_classifier import GenerativeClassifier
from scratch.implicit.diffusion.conditioning import WITHHELD, ConditionalDiffusion
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit

MODEL = ConditionalDiffusion(dim=3, hidden=(5, 4), classes=3)
LABEL = np.array([0, 2, -1, 1, 1, 2])
NOBODY, EVERYBODY = np.zeros(6, bool), np.ones(6, bool)


def random_theta(rng):
    return MODEL.init(rng, np.float64) + 0.3 * rng.standard_normal(MODEL.size)


def labeled_rows(rng):
    return np.column_stack([rng.normal(size=(6, 3)), [0, 1, 2, 2, 0, 1]])


def test_the_loss_is_the_mean_over_rows_of_the_denoisers_loss_with_that_rows_label(rng):
    theta, rows = random_theta(rng), labeled_rows(rng)
    eps, sigma, _ = MODEL.draw_noise(rng, 6)
    withheld = np.array([False, True, False, True, False, False])
    one_by_one = [Diffusion(3, hidden=(5, 4)).loss(written_into_theta(theta, -1 if withheld[i] else int(row[3])),
                                                   row[None, :3], (eps[[i]], sigma[[i]]))[0] for i, row in enumerate(rows)]
    assert abs(MODEL.loss(theta, rows, (eps, sigma, withheld))[0] - np.mean(one_by_one)) < 1e-12


def test_the_class_matters_where_it_is_given_and_nowhere_else(rng):
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
        assert abs(part.mean() - 0.2) < 5 * np.sqrt(WITHHELD * (1 - WITHHELD) / len(part))


def test_learns_each_class_and_all_together(rng):
    """Against the exact denoisers of p(x | c) and of p(x).  A wrong label costs 27 times the excess loss or more.

    In eight seeds the distances are at most 0.017, and the means of samples are off by at most 0.03 and 0.11.
    """
    priors, laws = [0.25, 0.75], [GaussianMixture([[m]], [[[0.1]]], [1.0]) for m in (-1.0, 0.8)]
    whole = GaussianMixture([[-1.0], [0.8]], [[[0.1]]] * 2, priors)
    model = ConditionalDiffusion(dim=1, hidden=(32, 32), classes=2)
    theta = fit(model, model.init(rng), GenerativeClassifier(laws, priors), rng, steps=1000)
    for label, law in ((0, laws[0]), (1, laws[1]), (-1, whole)):
        distances = dict.fromkeys((0, 1, -1), 0.0)
        for sigma in (0.2, 0.5, 1.0, 2.0):
            x = law.noised(sigma).sample(500, rng)
            exact, c_out = law.denoise(x, sigma), sigma / np.sqrt(1 + sigma ** 2)
            for other in distances:
                distances[other] += np.mean((model.denoise(theta, x, sigma, other) - exact) ** 2) / c_out ** 2 / 4
        assert distances[label] < 0.05
        assert all(distance > 10 * distances[label] for other, distance in distances.items() if other != label)
    assert abs(model.sample(theta, 2000, rng, label=0).mean() + 1.0) < 0.1
    assert abs(model.sample(theta, 2000, rng).mean() - whole.mean()[0]) < 0.3


def written_into_theta(theta, c):
    """theta of the unconditional network that is the conditional one at class c: b + W_c in its first layer."""
    (W, b), *rest = mlp_views(theta, MODEL.network.widths)
    b = b + W[c - 3] if c >= 0 else b
    return np.concatenate([W[:-3].ravel(), b, *(part.ravel() for layer in rest for part in layer)])


def test_every_method_of_a_class_is_that_of_an_unconditional_model(rng):
    """A class shifts the biases of the first layer: written into them, it gives the same without a label."""
    theta, x = random_theta(rng), rng.normal(size=(6, 3))
    plain, given = Diffusion(3, hidden=(5, 4)), written_into_theta(theta, 1)
    same = dict(rtol=1e-9)
    np.testing.assert_allclose(MODEL.denoise(theta, x, 0.4, 1), plain.denoise(given, x, 0.4), **same)
    np.testing.assert_allclose(MODEL.denoise_jvp(theta, x, x[::-1], 0.4, 1),
                               plain.denoise_jvp(given, x, x[::-1], 0.4), **same)
    np.testing.assert_allclose(MODEL.log_prob(theta, x, label=1, steps=3), plain.log_prob(given, x, steps=3), **same)
    np.testing.assert_allclose(MODEL.sample(theta, 4, np.random.default_rng(1), label=1, steps=3),
                               plain.sample(given, 4, np.random.default_rng(1), steps=3), **same)
    np.testing.assert_allclose(MODEL.complete(theta, {1: 0.5}, 4, np.random.default_rng(1), label=1, steps=3),
                               plain.complete(given, {1: 0.5}, 4, np.random.default_rng(1), steps=3), **same)


def test_a_label_for_each_row(rng):
    """Row by row the same as one label for all, in batches longer than the CHUNK of the likelihood, which cuts both, too."""
    theta, x = random_theta(rng), rng.normal(size=(6, 3))
    denoised, log_p = MODEL.denoise(theta, x, 0.4, LABEL), MODEL.log_prob(theta, x, label=LABEL, steps=2)
    for i, c in enumerate(LABEL):
        np.testing.assert_allclose(denoised[i], MODEL.denoise(theta, x[[i]], 0.4, int(c))[0], rtol=1e-9)
        np.testing.assert_allclose(log_p[i], MODEL.log_prob(theta, x[[i]], label=int(c), steps=2)[0], rtol=1e-9)
    many = MODEL.log_prob(theta, np.tile(x, (101, 1)), label=np.tile(LABEL, 101), steps=2)
    np.testing.assert_allclose(many, np.tile(log_p, 101), rtol=1e-9)


@pytest.mark.parametrize("call, error, says", [
    (lambda t, rows, noise: ConditionalDiffusion(dim=3, classes=0), ValueError, "classes must be at least 1"),
    (lambda t, rows, noise: MODEL.loss(t, rows[:, :3], noise), ValueError, r"rows must have shape \(n, 4\)"),
    (lambda t, rows, noise: MODEL.loss(t, rows + 0.5, noise), ValueError, "integers 0 ... 2, got values from 0.5"),
    (lambda t, rows, noise: MODEL.loss(t, rows + 1, noise), ValueError, "integers 0 ... 2, got values from 1.0 to 3.0"),
    (lambda t, rows, noise: MODEL.loss(t, rows.astype(int), noise), TypeError, "floating point"),
    (lambda t, rows, noise: MODEL.loss(t, rows, (*noise[:2], NOBODY[:2])), ValueError,
     r"withheld \(6,\)\), got shapes"),
    (lambda t, rows, noise: MODEL.denoise(t, rows[:, :3], 1.0, 3), ValueError, "label must hold integers from -1 to 2"),
    (lambda t, rows, noise: MODEL.log_prob(t, rows[:, :3], label=1.0), ValueError, "label must hold integers"),
    (lambda t, rows, noise: MODEL.log_prob(t, rows[:, :3], label=[0, 1]), ValueError, "broadcast"),
    (lambda t, rows, noise: MODEL.loss(t[:-1], rows, noise), ValueError, "theta must have shape"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL.init(rng), labeled_rows(rng), MODEL.draw_noise(rng, 6))
