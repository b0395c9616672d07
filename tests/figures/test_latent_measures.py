"""The measures of the latent diffusion studies, on codes, models and readings whose answers are known by hand."""
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from figures.case_studies import latent_diffusion, latent_nats, latent_space, latent_uses
from figures.case_studies import latent_parts as latent
from scratch.data.pictures import PROMPTED, WORDS, ranges, sample


def read_as(monkeypatch, module, change):
    """Pictures are rows [asked words, numbers, residual, ...]; change(found) makes what the reader says."""
    def reading(asked, pictures):
        return latent.Reading(asked, *change(np.asarray(pictures)))
    monkeypatch.setattr(module.latent, "reading", reading)


def as_row(words, numbers):
    """A picture that says what it shows: its words, its numbers, and its rank as residual."""
    x = np.zeros((len(words), 256))
    x[:, :4], x[:, 4:8], x[:, 8] = words, numbers, np.arange(len(words))
    return x


def spoken(x):
    return np.rint(x[:, :4]).astype(int), x[:, 4:8], x[:, 8]


# ---- latent_parts and latent_diffusion ----

def test_codes_have_the_std_of_the_encoder_and_seconds_those_of_both_stages(rng):
    theta = latent.AUTOENCODER.init(rng, np.float32)
    model = latent.Trained("latent", dict(autoencoder=theta), None)
    x = rng.random((3, 256))
    mean, log_std = latent.AUTOENCODER.encode(theta, x.astype(np.float32))
    np.testing.assert_array_equal(model.encode(x)[0], mean)
    np.testing.assert_allclose(model.encode(x)[1], np.exp(log_std))


def test_seconds_count_the_autoencoder(monkeypatch):
    monkeypatch.setattr(latent, "linear_map", lambda kind, pictures: dict(mean=0, axes=np.eye(256, dtype=np.float32), coder_seconds=1000.0))
    monkeypatch.setattr(latent, "train", lambda *a, steps: [SimpleNamespace(step=steps, average=np.zeros(1))])
    assert latent.compute("pixels", 0, "quick")["seconds"][0] == pytest.approx(1000, abs=20)


def test_the_limit_is_of_reconstructions_and_true_latents_are_noised(rng, monkeypatch):
    monkeypatch.setattr(latent_diffusion, "render", as_row)
    read_as(monkeypatch, latent_diffusion, spoken)
    model = SimpleNamespace(encode=lambda x: (x, None), decode=lambda z: z + 1000 * (np.arange(256) == 8))
    found = latent_diffusion.ceiling(model, 101, rng)
    assert found["limit"] == pytest.approx(1099) and found["truth"] == 1
    np.testing.assert_allclose(found["ceiling"], [1, 99 / 101, 99 / 101])
    model = SimpleNamespace(encode=lambda x: (np.zeros((len(x), 3)), np.ones((len(x), 3))),
                            paint=lambda tokens, rng, scale: (scale * rng.standard_normal((len(tokens), 3)), None))
    found = latent_diffusion.distances(model, 3000, rng)
    assert 0 < found["floor"] < 0.05
    np.testing.assert_allclose(found["frechet"], 3 * (np.array(latent_diffusion.SCALES) - 1) ** 2, rtol=0.1, atol=0.05)


def test_a_product_is_over_the_words_and_shares_stand_by_column(rng):
    results = {"held each": rng.random((3, 7, 4)), "held shares": rng.random((3, 7, 3))}
    assert latent_diffusion.product(results)[1, 2] == pytest.approx(np.prod(results["held each"][1, 2]))
    assert latent_diffusion.at(results, "held", 2.0, 1)[2] == results["held shares"][2, 3, 1]


# ---- latent_space ----

def test_shares_are_of_all_right_and_of_right_and_clean(rng, monkeypatch):
    """A third is right and clean, a third right, a third wrong and clean."""
    def change(x):
        words, numbers, _ = spoken(x)
        k = np.arange(len(x)) % 3
        words[k == 2, 3] = 1 - words[k == 2, 3]
        return words, numbers, np.where(k == 1, 1.0, 0.0)
    read_as(monkeypatch, latent_space, change)
    model = SimpleNamespace(paint=lambda tokens, rng, *a: (None, as_row(tokens[:, :4] - latent.FIRST, np.zeros((len(tokens), 4)))))
    np.testing.assert_allclose(latent_space.shares(model, None, 300, rng), [2 / 3, 1 / 3])


def test_negations_stand_by_kind(rng, monkeypatch):
    """A painter that obeys "not STYLE shape" and takes the not of "style not SHAPE" for nothing."""
    asked = []

    def change(x):
        tokens = asked[-1]
        words = np.zeros((len(tokens), 4), int)
        first = tokens[:, 0] == 1
        words[:, 2] = tokens[:, 2] - latent.FIRST[2]
        words[:, 0] = np.where(first, (tokens[:, 1] - latent.FIRST[0] + 1) % 4, tokens[:, 0] - latent.FIRST[0])
        return words, np.zeros((len(tokens), 4)), np.zeros(len(tokens))
    read_as(monkeypatch, latent_space, change)
    model = SimpleNamespace(paint=lambda tokens, rng, *a: (asked.append(tokens), tokens))
    np.testing.assert_allclose(latent_space.negations(model, 200, rng), [1, 0])


def test_copies_of_training_pictures_have_a_negative_z_and_the_training_set_is_the_prompted_one(rng, monkeypatch):
    training = rng.random((50, 256))
    monkeypatch.setattr(latent, "training_pictures", lambda seed, effort: (training + 9, None, training))
    monkeypatch.setattr(latent_space, "render", lambda words, numbers: rng.random((len(words), 256)))
    model = SimpleNamespace(encode=lambda x: (x, None), decode=lambda z: z, paint=lambda tokens, rng: (None, training[:len(tokens)]))
    found = latent_space.memorization(model, 0, "full", 30, rng)
    assert found["z"] < -5 and np.abs(found["generated"]).max() < 1e-4 and found["fresh"].min() > 1


# ---- latent_uses ----

def test_another_style_is_another_one_and_its_pair_has_prompts(rng):
    words, _ = sample(500, rng, PROMPTED)
    new = latent_uses.restyled(words, rng)
    assert (new[:, 0] != words[:, 0]).all() and (new[:, 1:] == words[:, 1:]).all()
    assert all((WORDS["style"][row[0]], WORDS["shape"][row[2]]) in PROMPTED for row in new)


def stub_job(n, **more):
    model = SimpleNamespace(encode=lambda x: (x, None), decode=lambda z: z, **more)
    return latent_uses.Job(model, n, 2)


def test_edited_measures_by_hand(rng, monkeypatch):
    """Three quarters keep style and shape and move by (0.3, 0.1); the others get the new style and another shape."""
    def change(x):
        words, numbers, rank = spoken(x)
        odd = np.arange(len(x)) % 4 == 1
        words[odd, 0], words[odd, 2] = restyled[-1][odd, 0], (words[odd, 2] + 1) % 6
        return words, numbers + np.where(odd[:, None], 9, [0.3, 0.1, 0, 0]), rank
    restyled, true = [], latent_uses.restyled
    monkeypatch.setattr(latent_uses, "render", as_row)
    monkeypatch.setattr(latent_uses, "guided", lambda *a: None)
    monkeypatch.setattr(latent_uses, "image_to_image", lambda denoise, mean, sigma, rng, steps: mean)
    monkeypatch.setattr(latent_uses, "restyled", lambda words, rng: restyled.append(true(words, rng)) or restyled[-1])
    read_as(monkeypatch, latent_uses, change)
    found = latent_uses.edited(stub_job(200), 20.0, rng)[0]
    np.testing.assert_allclose(found[:6], [0.25, 0.75, 0.75, 0, 0.1, np.sqrt((0.09 + 0.01) / 2)])


def test_negated_shares_stand_by_style_and_by_way(rng, monkeypatch):
    """No prompt: always style 2.  The negative style k: always k + 1.  "not STYLE": always k, and never clean."""
    monkeypatch.setattr(latent_uses, "guided", lambda trained, tokens, negative=None: negative)
    monkeypatch.setattr(latent_uses, "drawn", lambda job, negative, n, rng: [(2 if negative is None else (
        negative[0, 0] - latent.FIRST[0] + 1) % 4, 0.0)] * n)
    read_as(monkeypatch, latent_uses, lambda x: (np.pad(x[:, :1].astype(int), ((0, 0), (0, 3))), np.zeros((len(x), 4)), x[:, 1]))
    job = stub_job(4, theta=None, model=SimpleNamespace(
        sample=lambda theta, n, rng, tokens, scale, steps: np.column_stack([tokens[:, 1] - latent.FIRST[0], np.ones(n)])))
    found = latent_uses.negated(job, 0.5, rng)
    np.testing.assert_array_equal(found[..., 0], [[0, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(found[..., 1], [[1, 1, 0]] * 4)


def test_the_clean_limit_is_the_99_th_percentile_of_copies(rng, monkeypatch):
    monkeypatch.setattr(latent_uses, "render", as_row)
    read_as(monkeypatch, latent_uses, spoken)
    assert latent_uses.clean_limit(stub_job(100), rng) == pytest.approx(0.99 * 299)


def test_completed_measures_by_hand(rng, monkeypatch):
    """Wrong by 0.5 in the known half and 2 in the hidden one."""
    blank = np.zeros(256)
    blank[20:128], blank[128:] = 0.5, 2.0
    monkeypatch.setattr(latent_uses, "render", as_row)
    monkeypatch.setattr(latent_uses, "inpainted", lambda job, x, tokens, rng: x + blank)
    read_as(monkeypatch, latent_uses, lambda x: (spoken(x)[0], spoken(x)[1] + [0.1, 0.1, 0.1, 7], spoken(x)[2]))
    job = stub_job(50, paint=lambda tokens, rng: (None, as_row(tokens[:, :4] - latent.FIRST, np.zeros((50, 4)))))
    found = latent_uses.completed(job, 25.0, rng)
    np.testing.assert_allclose(found[1], [1, 0.5, np.sqrt(0.25 * 108 / 128), 2, 0.1])
    np.testing.assert_allclose(found[3], [1, 0.5, 0, 0, 0.1])


def test_between_starts_at_the_first_prompt(rng, monkeypatch):
    model = SimpleNamespace(context=lambda theta, tokens, n: tokens.astype(float), guided=lambda theta, context, scale: context)
    monkeypatch.setattr(latent_uses, "drawn", lambda job, denoise, n, rng: denoise)
    job = latent_uses.Job(SimpleNamespace(model=model, theta=None, decode=lambda z: z), 1, 1)
    first, second = np.array([[1, 2]]), np.array([[5, 10]])
    np.testing.assert_allclose([latent_uses.mixed(job, first, second, u, rng)[0] for u in (0, 0.25, 1)], [[1, 2], [2, 4], [5, 10]])


def test_the_decoders_change_is_a_difference(rng):
    theta = latent.AUTOENCODER.init(rng, np.float64)
    model = latent.Trained("latent", dict(autoencoder=theta), None)
    z, d = rng.standard_normal((2, 3, latent.AUTOENCODER.latent))
    f, f_dot = latent_uses.decoder_jvp(model)(z, d)
    np.testing.assert_allclose(f, model.decode(z))
    np.testing.assert_allclose(f_dot, (model.decode(z + 1e-5 * d) - model.decode(z - 1e-5 * d)) / 2e-5, atol=1e-7)


# ---- latent_nats ----

def mixture(rng, n=6, dim=3):
    words, mean, std = sample(n, rng)[0], rng.standard_normal((n, dim)), 0.5 + rng.random((n, dim))
    return words, mean, std


def test_densities_of_components_and_mixtures_are_loops(rng):
    words, mean, std = mixture(rng)
    words[3] = words[1]
    z = rng.standard_normal((4, 3))
    each = np.array([[norm.logpdf(row, m, s).sum() for m, s in zip(mean, std)] for row in z])
    np.testing.assert_allclose(latent_nats.log_components(z, mean, std ** 2), each)
    np.testing.assert_allclose(latent_nats.log_normal(z[0], mean, std), each[0])
    out = latent_nats.number(words[[1, 0, 2, 4]])
    kept = [[np.exp(each[i, k]) for k in range(6) if tuple(words[k]) != tuple(words[j])] for i, j in enumerate((1, 0, 2, 4))]
    np.testing.assert_allclose(latent_nats.log_mixture(z, words, mean, std, out), [np.log(np.sum(row) / 6) for row in kept])


def test_exact_denoisers_are_bayes_rule(rng):
    """E[z0 | z] by a grid, one coordinate."""
    words, mean, std = mixture(rng, 4, 1)
    z, sigma, grid = np.array([[0.3], [-1.0]]), 0.7, np.linspace(-9, 9, 4001)
    same = np.array([[True, False, True, False], [False, True, False, False]])
    for found, masks in zip(latent_nats.denoisers(z, sigma, mean, std ** 2, same), (np.ones((2, 4), bool), same)):
        for row, mask, value in zip(z, masks, found):
            p = sum(norm.pdf(grid, m, s) for m, s in zip(mean[mask, 0], std[mask, 0])) * norm.pdf(row, grid, sigma)
            assert value[0] == pytest.approx(np.sum(grid * p) / np.sum(p), rel=1e-6)


def test_the_aggregate_density_of_a_linear_encoder(rng, monkeypatch):
    """Codes A v with narrow noise: of one's own words q(z) is p(words) p(numbers) / |det A|; the others are added."""
    A, words = np.diag([3.0, 2.0, 5.0, 1.5]), np.repeat([[1, 1, 2, 0]], 5, axis=0)
    low, high = ranges(words)
    numbers = low + (0.3 + 0.4 * rng.random((5, 4))) * (high - low)
    monkeypatch.setattr(latent_nats, "encoded", lambda trained, w, v: (v @ A, np.full(v.shape, 1e-3)))
    z = numbers @ A + 1e-3 * rng.standard_normal((5, 4))
    own = -latent_nats.LOG_WORDS - np.log(high - low).sum(axis=1) - np.log(np.linalg.det(A))
    far = (np.array([[0, 0, 0, 0]]), np.full((1, 4), 50.0), np.ones((1, 4)))
    np.testing.assert_allclose(latent_nats.log_aggregate(None, z, words, numbers, far, rng), own, atol=0.2)
    near = (far[0], z[:1], np.ones((1, 4)) * 0.05)
    expected = np.logaddexp(own[0], norm.logpdf(0, scale=0.05) * 4)
    assert latent_nats.log_aggregate(None, z[:1], words[:1], numbers[:1], near, rng)[0] == pytest.approx(expected, abs=0.2)


def test_rates_stand_by_prior_and_a_prompted_density_is_a_joint_one(rng, monkeypatch):
    def log_prob(theta, z, tokens=None, steps=None):
        return np.full(len(z), -2.0 if tokens is None else -1.0)
    trained = SimpleNamespace(theta=None, model=SimpleNamespace(dim=2, log_prob=log_prob))
    monkeypatch.setattr(latent_nats, "encoded", lambda trained, w, v: (np.zeros((len(w), 2)), np.ones((len(w), 2))))
    monkeypatch.setattr(latent_nats, "codes", lambda *a: None)
    monkeypatch.setattr(latent_nats, "log_aggregate", lambda trained, z, *a: latent_nats.log_normal(z, 0, np.ones(2)) + 3)
    normal, diffusion, prompted, exact = latent_nats.rates(trained, 40, 1, rng)
    assert normal == pytest.approx(0) and exact == pytest.approx(-3) and prompted - diffusion == pytest.approx(latent_nats.LOG_WORDS - 1)
    left = latent_nats.left(dict(rates=np.array([[40.0, 30.0, 20.0, 15.0]])))
    np.testing.assert_allclose(left, [[25, 15, 5]])


def test_information_of_two_words_is_log_2_and_a_model_that_says_0_has_its_own_bound(rng, monkeypatch):
    n = 400
    words = np.zeros((n, 4), int)
    words[1::2, 2] = 1
    mean, std = np.where(words[:, 2:3] == 1, 1.0, -1.0), np.full((n, 1), 0.1)
    monkeypatch.setattr(latent_nats, "codes", lambda *a: (words, mean, std))
    model = SimpleNamespace(dim=1, context=lambda *a: np.ones(1), denoise=lambda theta, z, sigma, c: z * 0,
                            log_prob=lambda theta, z, tokens=None, steps=None: np.full(len(z), -5.0 if tokens is None else -7.0))
    by_level, by_density = latent_nats.information(SimpleNamespace(model=model, theta=None), n, n, rng)
    exact, learned, *_ = latent_nats.integrals(dict(information=by_level[None]))[0]
    assert exact == pytest.approx(np.log(2), abs=0.06) and learned == 0
    entropy = np.log(0.1) + 0.5 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(by_density, [5 - entropy - np.log(2), 7 - entropy], atol=0.15)
    levels = latent_nats.SIGMAS > 20                       # the exact denoiser is near 0 there: D = 0, with a word +-1
    np.testing.assert_allclose(by_level[levels, 3] * latent_nats.SIGMAS[levels] ** 2, 1, atol=0.05)


def test_stages_count_what_is_not_right_and_clean(rng, monkeypatch):
    """Residuals are ranks, so 2 of 101 copies are above their own limit; half of guidance 1 is wrong."""
    monkeypatch.setattr(latent_nats, "render", as_row)
    read_as(monkeypatch, latent_nats, spoken)

    def paint(tokens, rng, scale):
        words = tokens[:, :4] - latent.FIRST
        words[::2, 3] = words[::2, 3] if scale == 2 else 1 - words[::2, 3]
        return None, as_row(words, np.zeros(words.shape))
    model = SimpleNamespace(encode=lambda x: (x, np.zeros(x.shape, np.float32)), decode=lambda z: z, paint=paint)
    found = latent_nats.stages(model, 101, rng)
    np.testing.assert_allclose(found[:, 0], np.array([2, 2, 51 + 1, 2]) / 101, atol=1.1 / 101)
