from dataclasses import replace

import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.family_tree import prompted
from scratch.implicit.diffusion import latent_diffusion
from scratch.implicit.diffusion.latent_diffusion import HIGHEST, WITHHELD, LatentDiffusion, latent_std
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.implicit.diffusion.text import TextEncoder
from scratch.learning.gradient_check import directional_error, gradient_error
from scratch.learning.training import fit

MODEL = LatentDiffusion(3, words=4, length=3, width=4, hidden=(6, 5), sigma_data=0.8)
BAG = LatentDiffusion(2, words=4, length=3, width=4, hidden=(6,), attention=False)
WITHHELD_ROWS = np.array([False, True, False, False, True, False])


def random_theta(model, rng):
    return model.init(rng, np.float64) + 0.3 * rng.standard_normal(model.size)


def batch(model, rng):
    eps, sigma, _, fresh = model.draw_noise(rng, 6)
    return prompted(model, rng, 6), (eps, sigma, WITHHELD_ROWS, fresh)


# ---- 1 definition ----

@pytest.mark.parametrize("model", [MODEL, BAG])
def test_the_loss_is_the_naive_loop(model, rng):
    """Row by row, coordinate by coordinate, with the context of the row's own prompt or of none."""
    theta, L, s, total = random_theta(model, rng), model.dim, model.sigma_data, 0.0
    rows, noise = batch(model, rng)
    text_theta = theta[model.denoiser.size:]
    for row, eps, sigma, withheld, fresh in zip(rows, *noise):
        z0 = np.array([row[i] + row[L + i] * fresh[i] for i in range(L)])
        words = row[2 * L:].astype(int) * (not withheld)
        context, _ = TextEncoder(4, width=4, length=3, attention=model.attention)(text_theta, words[None])
        zhat = model.denoiser.denoise(theta[:model.denoiser.size], (z0 + sigma * eps)[None], sigma, context)[0]
        total += sum((zhat[i] - z0[i]) ** 2 * (sigma ** 2 + s ** 2) / (s * sigma) ** 2 for i in range(L))
    assert model.loss(theta, rows, noise)[0] == pytest.approx(total / (6 * L), rel=1e-12)


def test_a_withheld_prompt_has_no_effect_and_others_have(rng):
    theta, (rows, noise) = random_theta(MODEL, rng), batch(MODEL, rng)
    loss = MODEL.loss(theta, rows, noise)[0]
    for hidden, same in ((WITHHELD_ROWS, True), (~WITHHELD_ROWS, False)):
        other = rows.copy()
        other[hidden, 6:] = [4, 0, 0]
        assert (MODEL.loss(theta, other, noise)[0] == loss) == same


def test_prompts_are_withheld_whole_and_latents_drawn_anew(rng):
    eps, sigma, withheld, fresh = MODEL.draw_noise(rng, 40_000)
    for part in (withheld, withheld[sigma > np.median(sigma)]):
        assert abs(part.mean() - WITHHELD) < 5 * np.sqrt(WITHHELD * (1 - WITHHELD) / len(part))
    assert fresh.shape == (40_000, 3) and abs(fresh.std() - 1) < 5 / np.sqrt(2 * fresh.size)
    assert abs(np.mean(fresh * eps)) < 5 / np.sqrt(fresh.size)                    # and not the noise of the diffusion


def test_the_scale_of_latents_is_that_of_their_draws(rng):
    rows = np.column_stack([rng.normal(size=(5000, 2)) * (3.0, 0.1), rng.uniform(0.1, 1.0, (5000, 2)), np.zeros(5000)])
    z = rows[:, :2] + rows[:, 2:4] * rng.standard_normal((5000, 2))
    assert latent_std(rows, 2) == pytest.approx(np.sqrt(z.var(axis=0).mean()), rel=0.03)
    assert latent_std(np.array([[2.0, 2.0, 0.5, 0.1], [2.0, 2.0, 0.3, 0.1]]), 2) == pytest.approx(np.sqrt(0.09))
    assert latent_std(np.array([[1.0, 5.0, 0.0, 0.0], [3.0, 5.0, 0.0, 0.0]]), 2) == pytest.approx(np.sqrt(0.5))


# ---- 2 gradient ----

@pytest.mark.parametrize("model", [MODEL, BAG])
def test_gradient_through_text_context_and_denoiser(model, rng):
    """The complex step in every parameter: those of the text reach the loss through the denoiser alone."""
    theta, (rows, noise) = random_theta(model, rng), batch(model, rng)
    _, dtheta = model.loss(theta, rows, noise)
    assert gradient_error(lambda theta: model.loss(theta, rows, noise)[0], theta, dtheta) < 1e-10
    assert directional_error(lambda theta: model.loss(theta, rows, noise)[0], theta, dtheta, rng) < 1e-10
    text = dtheta[model.blocks["text table"]].reshape(4, 4)
    shown = {int(word) for row in rows[~WITHHELD_ROWS, 2 * model.dim:] for word in row if word}
    assert {k for k in range(1, 5) if (text[k - 1] != 0).all()} == shown


# ---- 3 two ways to the same number ----

def test_guidance_at_its_neutral_scales_and_at_two(rng):
    theta, z, words = random_theta(MODEL, rng), rng.normal(size=(5, 3)), np.array([1, 3, 0])
    context, negative = MODEL.context(theta, words, 5), MODEL.context(theta, np.array([2, 0, 0]), 5)
    with_words, without = MODEL.denoise(theta, z, 0.4, context), MODEL.denoise(theta, z, 0.4)
    assert np.abs(with_words - without).min() > 1e-6
    for scale, expected in ((0, without), (1, with_words), (2, 2 * with_words - without)):
        np.testing.assert_allclose(MODEL.guided(theta, context, scale=scale)(z, 0.4), expected, rtol=1e-10)
    np.testing.assert_allclose(MODEL.guided(theta, context, scale=3.0, negative=negative)(z, 0.4),
                               3 * with_words - 2 * MODEL.denoise(theta, z, 0.4, negative), rtol=1e-10)


def test_one_prompt_for_all_rows_is_the_same_for_each_and_for_many(rng):
    """log p cuts rows into chunks of 500, and their prompts with them."""
    theta, z = random_theta(MODEL, rng), rng.normal(size=(6, 3))
    prompts = np.array([[1, 3, 0], [2, 0, 0], [0, 0, 0], [1, 1, 4], [4, 0, 0], [3, 2, 1]])
    log_p = MODEL.log_prob(theta, z, tokens=prompts, steps=2)
    for i, words in enumerate(prompts):
        np.testing.assert_allclose(MODEL.log_prob(theta, z[[i]], tokens=words, steps=2)[0], log_p[i], rtol=1e-9)
    many = MODEL.log_prob(theta, np.tile(z, (101, 1)), tokens=np.tile(prompts, (101, 1)), steps=2)
    np.testing.assert_allclose(many, np.tile(log_p, 101), rtol=1e-9)
    none = MODEL.log_prob(theta, z, steps=2)
    np.testing.assert_allclose(log_p[2], none[2], rtol=1e-9)                      # the empty prompt
    assert np.abs(np.delete(log_p - none, 2)).min() > 1e-4


def test_samples_are_heun_on_the_guided_denoiser(rng, monkeypatch):
    """From noise with the variance of noise and data.  At the true HIGHEST the share of the data is 0.1 %."""
    monkeypatch.setattr(latent_diffusion, "HIGHEST", 1.5)
    theta, words = random_theta(MODEL, rng), np.array([1, 3, 0])
    start = 0.8 * np.sqrt(1.5 ** 2 + 1) * np.random.default_rng(1).standard_normal((4, 3))
    for scale in (0.0, 1.0, 2.5):
        expected = heun(MODEL.guided(theta, MODEL.context(theta, words, 4), scale=scale), start,
                        0.8 * karras_sigmas(5, 0.01, 1.5))
        np.testing.assert_allclose(MODEL.sample(theta, 4, np.random.default_rng(1), tokens=words, scale=scale, steps=5),
                                   expected, rtol=1e-12)


@pytest.mark.parametrize("c", [2.0 ** -10, 2.0 ** 20])
def test_latents_in_another_unit_are_the_same_model_bit_for_bit(c, rng):
    here, there = (LatentDiffusion(2, words=3, length=2, width=4, hidden=(6,), sigma_data=s) for s in (0.9, 0.9 * c))
    for dtype in (np.float32, np.float64):
        theta, rows = random_theta(here, rng).astype(dtype), prompted(here, rng, 40).astype(dtype)
        scaled = rows * np.array([c] * 4 + [1] * 2, dtype)
        noise = [model.draw_noise(np.random.default_rng(1), 40) for model in (here, there)]
        for a, b in zip(here.loss(theta, rows, noise[0]), there.loss(theta, scaled, noise[1])):
            np.testing.assert_array_equal(a, b)
        samples = [model.sample(theta, 20, np.random.default_rng(3), tokens=np.array([1, 2]), scale=2.0, steps=8)
                   for model in (here, there)]
        assert samples[0].dtype == dtype
        np.testing.assert_array_equal(c * samples[0], samples[1])


# ---- 4 exact twin ----

@pytest.mark.parametrize("s", [1e-3, 1.0, 1e3])
def test_without_a_network_it_is_the_normal_distribution_of_sigma_data(s, rng):
    model, n = LatentDiffusion(2, words=3, hidden=(4,), sigma_data=s), 5000
    z = model.sample(np.zeros(model.size), n, rng, tokens=np.array([1, 2, 0, 0, 0, 0]))
    # 18 steps of Heun, and a start with the noise of HIGHEST
    assert abs(z.std() / s - 1) < 5 / np.sqrt(4 * n) + 0.02 and HIGHEST > 10
    x = s * rng.standard_normal((50, 2))
    exact = -0.5 * np.sum((x / s) ** 2, axis=1) - np.log(2 * np.pi) - 2 * np.log(s)
    np.testing.assert_allclose(model.log_prob(np.zeros(model.size), x), exact, atol=1e-4)


# ---- 5 learning ----

class TwoWords:
    """Word 1: m = -1, word 2: m = 0.8; std 0.3 each, so p(z | word) = N(m, 0.09); and prompts of both words twice."""

    def sample(self, n, rng):
        first = rng.random(n) < 0.25
        words = np.where(first, 1, 2)
        return np.column_stack([np.where(first, -1.0, 0.8), np.full(n, 0.3), words, words * (rng.random(n) < 0.5)])


def test_learns_each_word_and_all_together(rng):
    """Against the exact denoisers of p(z | word) and p(z).  A wrong prompt costs more than five times the bound.

    With batches of 512, four seeds and the rng of the tests gave up to 0.013 under a word and 0.055 under none.
    """
    laws = [GaussianMixture([[m]], [[[0.09]]], [1.0]) for m in (-1.0, 0.8)]
    whole = GaussianMixture([[-1.0], [0.8]], [[[0.09]]] * 2, [0.25, 0.75])
    model = LatentDiffusion(1, words=2, length=2, width=4, hidden=(32, 32), sigma_data=0.85)
    theta = fit(model, model.init(rng), TwoWords(), rng, steps=600, recipe=replace(model.recipe, batch_size=256))
    prompts = {1: [1, 0], 2: [2, 2], None: None}
    for word, law in ((1, laws[0]), (2, laws[1]), (None, whole)):
        distances = dict.fromkeys(prompts, 0.0)
        for sigma in (0.2, 0.5, 1.0, 2.0):
            z = law.noised(sigma).sample(500, rng)
            exact, c_out = law.denoise(z, sigma), sigma / np.sqrt(1 + sigma ** 2)
            for other, words in prompts.items():
                found = model.denoise(theta, z, sigma, model.context(theta, words, len(z)))
                distances[other] += np.mean((found - exact) ** 2) / c_out ** 2 / 4
        most = 0.15 if word is None else 0.03               # 15 % of the rows have no prompt
        assert distances[word] < most
        assert all(distance > 5 * most for other, distance in distances.items() if other != word)
    z = model.sample(theta, 2000, rng, tokens=np.array([1, 0]))
    assert abs(z.mean() + 1) < 0.2 and abs(z.std() - 0.3) < 0.2     # p(z) has 0.35 and 0.84; six seeds: 0.08, 0.11


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda t, rows, noise: LatentDiffusion(0), ValueError, "dim must be at least 1"),
    (lambda t, rows, noise: LatentDiffusion(3, sigma_data=0.0), ValueError, "sigma_data must be a positive"),
    (lambda t, rows, noise: LatentDiffusion(3, attention=1), TypeError, "attention must be True or False"),
    (lambda t, rows, noise: MODEL.loss(t, rows[:, :-1], noise), ValueError, r"rows must have shape \(n, 9\)"),
    (lambda t, rows, noise: MODEL.loss(t, rows + 0.5, noise), ValueError, "integers 0 ... 4"),
    (lambda t, rows, noise: MODEL.loss(t, rows, noise[:3]), TypeError, "noise must be"),
    (lambda t, rows, noise: MODEL.sample(t, 2, np.random.default_rng(0), tokens=[5, 0, 0]), ValueError, "integers 0 ... 4"),
    (lambda t, rows, noise: MODEL.loss(t[:-1], rows, noise), ValueError, "theta must have shape"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL.init(rng), *batch(MODEL, rng))
