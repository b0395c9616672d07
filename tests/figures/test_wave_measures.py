"""The measures of the waveform studies, on laws and models whose answers are known by hand."""
from types import SimpleNamespace

import numpy as np
import pytest

from figures.case_studies import vowel_plane, wave_clips, wave_tone, waveforms
from figures.case_studies import wave_parts as wave
from scratch.data.clips import Clips
from scratch.data.vowels import DIM, VOWELS, formants, periods


class Known:
    """A law with log p(x) = -x[0], the posterior x[1 ... 10], and residuals that are given."""
    noise = 0.1

    def __init__(self, rows=None, residual=None):
        self.rows, self.residual = rows, residual

    def sample(self, n, rng):
        return self.rows[:n]

    def log_prob(self, x):
        return -x[:, 0]

    def posterior(self, x):
        return x[:, 1:11]

    def nearest(self, x):
        return np.zeros(len(x), int), np.full(len(x), 0.5), self.residual


def rows(n, shares):
    """n rows: log p = -0, -1, ...; the posterior is the same in each."""
    x = np.zeros((n, DIM))
    x[:, 0], x[:, 1:11] = np.arange(n), shares
    return x


def test_measures_are_those_of_a_hand_made_posterior_and_residual():
    shares = np.array([0.005, 0.195, *[0.1] * 8])
    x = rows(4, shares)
    found, mean = wave.measures(x, Known(residual=np.array([0.1, 0.1, 0.3, 0.9])), 2.0)
    np.testing.assert_allclose(mean, shares)
    np.testing.assert_allclose(found[:3], [9, 0.005, 0.005 * np.log(0.05) + 0.195 * np.log(1.95)])
    np.testing.assert_allclose(found[[3, 4, 6]], [2, 0.5, 3.5])        # median residual, share below 2, mean residual


def test_the_level_is_a_quantile_of_minus_log_p_of_rows_as_they_are(rng):
    assert wave.level_of(Known(rows(101, 0.1)), 101, rng) == pytest.approx(99)


def test_nats_are_log_p_less_log_q_row_by_row(rng, monkeypatch):
    x, log_p = rows(450, 0.1), np.full(450, 1000.0)
    model = SimpleNamespace(latent=2, log_prob=lambda theta, x: x[:, 0], importance_bound=lambda theta, x, e: x[:, 0])
    monkeypatch.setattr(wave, "ode_log_prob", lambda model, theta, x, rng: x[:, 0])
    monkeypatch.setattr(wave, "importance_log_prob", lambda model, theta, x, rng: SimpleNamespace(log_q=x[:, 0]))
    for name in wave.MODELS:
        np.testing.assert_allclose(wave.nats(name, model, np.zeros(1), x, log_p, rng), 1000 - np.arange(450))


def test_samples_by_an_exact_denoiser_have_the_variance_of_the_law(rng):
    law = SimpleNamespace(denoise=lambda x, sigma: x / (1 + np.reshape(sigma, (-1, 1)) ** 2))       # of N(0, I)
    assert wave.exact_samples(law, 200, rng).std() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_a_morph_goes_from_heed_to_hod(rng, kind):
    seen = []

    def decode(theta, z):
        seen.append(z)
        return periods(np.clip(np.rint(z[:, 0]), 0, 9).astype(int), np.full(len(z), 0.5))
    if kind == "vae":
        model, theta = SimpleNamespace(decode=decode, sample_prior=lambda theta, n, rng: np.arange(n)[:, None] % 10.0), None
    else:
        model = SimpleNamespace(generate=decode, latent=1, blocks={"prior mean": slice(0, 10), "prior log_std": slice(10, 20)})
        theta = np.concatenate([np.arange(10.0), np.full(10, -20.0)])
    x = wave.morph(model, theta, rng)
    assert [wave.LAW.posterior(x[[i]]).argmax() for i in (0, -1)] == [VOWELS.index("heed"), VOWELS.index("hod")]
    np.testing.assert_allclose(seen[0], np.rint(seen[0]), atol=1e-6)
    np.testing.assert_allclose(np.diff(seen[1], axis=0), np.diff(seen[1], axis=0)[0, 0])


def test_the_gap_is_floor_excess_bound_and_its_error_over_all_noise(rng, monkeypatch):
    model = SimpleNamespace(unit=2.0, floor=lambda *a: 1.0, excess=lambda *a: 2.0)

    def score_gap(denoise, exact, x, rng, low, high, levels):
        assert (low, high, levels) == (2 * wave.SIGMA_MIN, 2 * wave.SIGMA_MAX, 7)
        return SimpleNamespace(value=3.0, stderr=4.0)
    monkeypatch.setattr(wave, "score_gap", score_gap)
    law = SimpleNamespace(denoise=None, sample=lambda n, rng: np.zeros((n, 2)))
    np.testing.assert_array_equal(wave.denoiser_gap(model, None, law, 5, rng, 7), [1, 2, 3, 4])


def test_a_pool_draws_from_all_its_rows(rng):
    drawn = wave.Pool(np.arange(20.0)[:, None]).sample(1000, rng)[:, 0]
    assert len(drawn) == 1000 and set(drawn) == set(range(20)) and (np.diff(drawn) < 0).any()


# ---- waveforms ----

def test_gathered_nats_are_mean_error_and_median_and_by_vowel():
    def part(k):
        return dict(measures=np.arange(7.0) + k, shares=np.full(10, 0.1), vowel=np.array([0, 0, 3]), gap=np.zeros(4),
                    nats=np.array([1.0, 2.0, 9.0]) + k, samples=np.zeros((2, 64)), formants=np.zeros((2, 2)))
    parts = {f"fixed, {name}, 0": part(10 * k) for k, name in enumerate(wave.MODELS)}
    parts |= {"fixed, exact, 0": part(0) | dict(truth=np.zeros(7), entropy=1.0)}
    results = waveforms.gather("quick", parts)
    for k, name in enumerate(wave.MODELS):
        assert waveforms.kl(results, name) == 4 + 10 * k and waveforms.kl(results, name, median=True) == 2 + 10 * k
        assert results["nats"][0, k, 1] == pytest.approx(np.std([1, 2, 9]) / np.sqrt(3))
        np.testing.assert_allclose(results["by_vowel"][0, k, [0, 3]], [1.5 + 10 * k, 9 + 10 * k])
        for i, which in enumerate(wave.MEASURES):
            assert waveforms.measure(results, name, which) == i + 10 * k


def test_aligned_rows_have_64_times_the_density_and_samples_are_shifted_back(rng, monkeypatch):
    seen = {}
    monkeypatch.setattr(wave, "trained", lambda *a: (None, None))
    monkeypatch.setattr(wave, "level_of", lambda *a: 0.0)
    monkeypatch.setattr(wave, "sampled", lambda name, model, theta, n, rng: np.eye(DIM)[np.zeros(n, int)])
    monkeypatch.setattr(wave, "measures", lambda x, law, level: (seen.update(x=x, law=law), None))
    monkeypatch.setattr(wave, "nats", lambda name, model, theta, x, log_p, rng: seen.update(test=x, log_p=log_p))
    waveforms.free_phase("aligned", "vae", True, rng)
    np.testing.assert_allclose(seen["log_p"], seen["law"].log_prob(seen["test"]) + np.log(64), atol=1e-6)
    assert len(set(seen["x"].argmax(axis=1))) > 1 and (seen["x"].sum(axis=1) == 1).all()
    waveforms.free_phase("free", "vae", True, rng)
    np.testing.assert_allclose(seen["log_p"], seen["law"].log_prob(seen["test"]))


# ---- tone ----

def test_a_train_of_impulses_has_its_power_in_the_lines_of_its_stride():
    for stride, lines in wave_tone.LINES.items():
        train = (np.arange(64) % stride == 0).astype(float)
        np.testing.assert_array_equal(np.flatnonzero(wave_tone.power(train[None]) > 1e-9)[1:], lines)


def test_tone_measures_of_a_known_law(rng, monkeypatch):
    """9 in 10 samples of one vowel: the reverse KL; the level is the 1 % quantile of log p; before stands before after."""
    after = rows(50, np.eye(10)[0])
    after[45:, 1:11] = np.eye(10)[1]
    law = Known(np.concatenate([after[:, :1] * 0.5, after[:, 1:]], axis=1))         # log p of data from 0 to -24.5
    before = np.tile((-1.0) ** np.arange(64), (50, 1))
    model = SimpleNamespace(init=lambda rng: "before", sample=lambda theta, n, rng: before if theta == "before" else after)
    monkeypatch.setattr(wave_tone, "Wavetables", lambda **k: law)
    monkeypatch.setattr(wave_tone, "WaveGAN", lambda *a, **k: model)
    monkeypatch.setattr(wave_tone, "train", lambda *a, **k: [SimpleNamespace(average="after")])
    found = wave_tone.compute_part("0, 0.3, 0", "quick", rng)
    assert found["kl"] == pytest.approx(0.9 * np.log(9) + 0.1 * np.log(1))
    assert found["good"] == np.mean(np.arange(50) < np.quantile(np.arange(50) * 0.5, 0.99))
    assert found["power"][0, 32] == pytest.approx(1) and found["power"][1, 32] < 0.5


def test_tone_results_stand_by_shuffle_gamma_and_seed():
    values = {(r, g, s): 100 * i + 10 * j + s for i, r in enumerate(wave_tone.SHUFFLES)
              for j, g in enumerate(wave_tone.GAMMAS) for s in range(3)}
    parts = {f"{r}, {g}, {s}": dict(good=v, kl=-v, power=np.full((2, 33), v)) for (r, g, s), v in sorted(values.items(), key=str)}
    results = wave_tone.gather("full", parts)
    expected = np.reshape(list(values.values()), (2, 3, 3))
    np.testing.assert_array_equal(results["good"], expected)
    np.testing.assert_array_equal(results["kl"], -expected)
    np.testing.assert_array_equal(results["power"][..., 1, 5], expected)
    assert wave_tone.best(results, 1) == (2, 121.0, pytest.approx(1 / np.sqrt(3)))


# ---- clips ----

def test_the_distance_of_envelopes_is_a_loop(rng):
    taps = Clips()._filters[2][:3, :256] * np.exp(0.3 * rng.standard_normal((3, 256)))
    found = wave_clips.envelope_distance(taps)
    for row, distance, nearest in zip(taps, found["decibel"], found["nearest"]):
        power = np.abs(np.fft.rfft(row, 256)) ** 2
        made = np.array([10 * np.log10(p / np.mean(power)) for p in power[:128]])
        each = [np.sqrt(np.mean((made - exact) ** 2)) for exact in wave_clips.envelopes()]
        assert distance == pytest.approx(min(each)) and nearest == np.argmin(each)
    F = formants(np.array([0]), np.array([0.0]))
    response = np.abs(np.fft.rfft(wave_clips.predictor(F)[0], 256)) ** -2.0
    np.testing.assert_allclose(wave_clips.envelopes()[0], 10 * np.log10(response / response.mean())[:128])


def test_filters_are_counted_once_and_envelopes_are_made_at_the_means_of_z(rng, monkeypatch):
    law = SimpleNamespace(dim=64, periods=(16,), sample=lambda n, rng: np.zeros((n, 64)),
                          best=lambda x: (np.array([4, 4, 7, 4]), None), posterior=lambda x: np.eye(10)[[0, 0, 1, 0]])
    model = SimpleNamespace(sample=lambda theta, n, rng: rng.standard_normal((4, 64)), players=[slice(None)], latent=2,
                            _parts=lambda theta: (None, np.arange(8.0)), generate=lambda theta, z: seen.append(z) or np.eye(2, 12))
    seen = []
    for name, value in (("Clips", lambda *a, **k: law), ("SourceFilterGAN", lambda *a, **k: model), ("trained", lambda *a: np.zeros(1))):
        monkeypatch.setattr(wave_clips, name, value)
    found = wave_clips.clips("source-filter", "quick", rng)
    assert found["filters"] == 2
    np.testing.assert_allclose(found["shares"], [0.75, 0.25, *[0] * 8])
    np.testing.assert_array_equal(seen[0], [[0, 1], [2, 3]])


def test_phase_free_results_stand_by_variant_and_seed(rng, monkeypatch):
    clip = dict(shares=0, filters=0, periodicity=0, examples=0, envelopes=0, nearest=0, decibel=0)
    parts = {"source-filter, 0": clip, "plain, 0": clip}
    parts |= {f"phase, {name}, {s}": dict.fromkeys(("vowels", "residual", "good", "shifts"), 10 * i + s)
              for s in range(3) for i, name in enumerate(wave_clips.PHASE)}
    results = wave_clips.gather("full", parts)
    np.testing.assert_array_equal(results["phase residual"], 10 * np.arange(4)[:, None] + np.arange(3))
    data, made = rows(400, 0.1), rows(10, 0.1)
    made[:, 0] += 391.5                                                # log p from -391.5 to -400.5; the 1 % quantile is -395.01
    law = Known(data, np.arange(10.0))
    law.posterior_of_shift = lambda x: np.eye(4)[[0] * len(x)]
    monkeypatch.setattr(wave_clips, "ShiftedWavetables", lambda **k: law)
    monkeypatch.setattr(wave_clips, "WaveGAN", lambda *a, **k: SimpleNamespace(sample=lambda theta, n, rng: made))
    monkeypatch.setattr(wave_clips, "trained", lambda *a: None)
    found = wave_clips.phase_free({}, "full", rng)
    assert found["good"] == 0.4 and found["residual"] == pytest.approx(45) and found["shifts"] == pytest.approx(np.log(4))
    assert found["vowels"] == pytest.approx(0)


# ---- formants ----

def test_the_distance_of_formants_is_half_their_disagreement_on_the_length_of_the_tract():
    """The lines have slope 1 in log F: a row that is off by a in log F1 and b in log F2 is |a - b| / 2 from its line."""
    off = np.array([[0, 0], [0.01, 0.03], [0.0, 0.2]])
    F = formants(np.full(3, 0), np.full(3, 0.5))[:, :2] * np.exp(off)
    assert vowel_plane.distance(F) == pytest.approx(1, abs=0.04)
