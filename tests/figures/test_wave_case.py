"""What the figures on tone and clips compute, against naive computations."""
import numpy as np
import pytest

from figures.case_studies import wave_clips, wave_tone
from scratch.data.clips import Clips
from scratch.data.vowels import Wavetables


def test_the_power_of_a_sine_is_at_its_harmonic_and_the_total_is_1(rng):
    t = np.arange(64)
    for k in (4, 16, 32):
        assert wave_tone.power(np.cos(2 * np.pi * k * t / 64)[None])[k] == pytest.approx(1)
    x = rng.normal(size=(3, 64))
    half = np.array([[np.abs(np.sum(row * np.exp(-2j * np.pi * k * t / 64))) ** 2 for k in range(64)] for row in x]).mean(axis=0)
    by_hand = half[:33] + np.array([half[-k] if 0 < k < 32 else 0 for k in range(33)])
    np.testing.assert_allclose(wave_tone.power(x), by_hand / by_hand.sum(), rtol=1e-10)


def test_the_datas_power_is_that_of_its_samples(rng):
    law = Wavetables()
    shape = dict(good=0.5, kl=0.1, power=np.ones((2, 33)))
    results = wave_tone.gather("quick", {f"{r}, 0.3, 0": shape for r in wave_tone.SHUFFLES})
    measured = wave_tone.power(law.sample(20_000, rng))
    np.testing.assert_allclose(results["data"], measured, rtol=0.1)
    assert results["data"].sum() == pytest.approx(1)


def test_the_lines_of_a_stride_and_what_a_constant_becomes():
    np.testing.assert_array_equal(wave_tone.constant(25)[:8], [7, 6, 6, 6] * 2)
    flat = dict(power=np.full((2, 1, 1, 2, 33), 1 / 33), data=np.full(33, 1 / 33), constant=np.stack([wave_tone.constant(25)]))
    flat["power"][0, ..., 1, [16, 32]] *= 10
    before, after = wave_tone.excess(flat, 4)
    assert before == pytest.approx(0) and after == pytest.approx(10)
    assert wave_tone.tone(flat) == pytest.approx(-27.96, abs=0.01)


def test_periodicity_is_1_for_periods_and_small_for_noise(rng):
    periods = (32, 45)
    x = np.stack([np.tile(rng.normal(size=45), 12)[:512], rng.normal(size=512)])
    found = wave_clips.periodicity(x, periods)
    assert found[0] == pytest.approx(1) and abs(found[1]) < 0.25


def test_the_response_of_a_true_filter_lies_on_its_envelope():
    taps = Clips()._filters[2][:, :256]
    found = wave_clips.envelope_distance(taps)
    np.testing.assert_array_equal(found["nearest"], np.arange(60))
    assert found["decibel"].max() < 0.5


def test_a_divergence_is_zero_for_even_posteriors_and_log_n_for_one():
    assert wave_clips.divergence(np.full((3, 8), 1 / 8)) == pytest.approx(0)
    assert wave_clips.divergence(np.eye(8)[:1]) == pytest.approx(np.log(8))
