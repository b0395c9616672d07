"""The parts of the figures on waveforms that are no models: measures, nats along the ODE, alignment, sound."""
import numpy as np
import pytest
from scipy.io import wavfile

from figures import runner, store
from figures.case_studies import sound
from figures.case_studies import wave_parts as wave
from scratch.data.vowels import DIM, ShiftedWavetables, Wavetables, formants, periods, resonances
from scratch.implicit.diffusion.denoiser import Diffusion


def test_measures_of_the_distribution_itself_and_of_a_lost_vowel(rng):
    law = wave.LAW
    x, vowel, _ = law.draw(1000, rng)
    level = wave.level_of(law, 2000, rng)
    found, shares = wave.measures(x, law, level)
    assert found[0] == 10 and found[2] < 0.03 and abs(found[3] - 0.99) < 0.02 and abs(found[4] - 0.99) < 0.02
    np.testing.assert_allclose(shares, np.bincount(vowel, minlength=10) / 1000, atol=1e-9)
    lost, _ = wave.measures(x[vowel > 0], law, level)
    assert lost[0] == 9 and lost[1] == 0 and lost[2] > np.log(10 / 9) - 0.01
    noisy, _ = wave.measures(x + 0.1 * rng.standard_normal(x.shape), law, level)
    assert noisy[3] == pytest.approx(np.sqrt(2), rel=0.03) and noisy[4] < 0.1 and noisy[5] > found[5]


def test_the_spectral_distance_is_a_loop_over_harmonics(rng):
    x, vowel, u = Wavetables().draw(3, rng)
    vowel, u, _ = wave.LAW.nearest(x)
    found = []
    for row, m in zip(x, periods(vowel, u)):
        square = 0
        for k in range(1, 32):
            wavelet = np.exp(-2j * np.pi * k * np.arange(64) / 64)
            power = [abs(np.sum(part * wavelet)) ** 2 + 64 * 0.01 for part in (row, m)]
            square += (10 * np.log10(power[0] / power[1])) ** 2 / 31
        found.append(np.sqrt(square))
    assert wave.measures(x, wave.LAW, 0.0)[0][5] == pytest.approx(np.median(found), rel=1e-9)


def test_nats_along_the_ode_are_those_with_the_exact_divergence_on_average(rng):
    """Of a small network at random; the directions' mean is exact, and more steps change little."""
    model = Diffusion(4, hidden=(16,), sigma_data=1.0, frequencies=())
    theta = model.init(rng, np.float64) * 3
    x = rng.standard_normal((2, 4))
    exact = model.log_prob(theta, x, steps=48)
    many = wave.ode_log_prob(model, theta, np.repeat(x, 2000, axis=0), rng, steps=48).reshape(2, 2000)
    assert (np.abs(many.mean(axis=1) - exact) < 5 * many.std(axis=1) / np.sqrt(2000) + 1e-6).all()


def test_formants_are_found_in_noise_also_where_no_vowel_has_them(rng):
    vowel, u = rng.integers(10, size=300), rng.random(300)
    F = formants(vowel, u) * np.exp([0.1, -0.06, 0.03, 0.02])
    x = resonances(F) + 0.1 * rng.standard_normal((300, DIM))
    error = np.abs(np.log(wave.estimated_formants(x) / F[:, :2]))
    assert np.median(error, axis=0).max() < 0.02 and (error < 0.2).mean() > 0.85


def test_aligned_rows_are_turned_rows_with_one_phase_for_a_vowel(rng):
    law = ShiftedWavetables()
    data = wave.Aligned(law, rng)
    x, vowel, _, shift = law.draw(400, rng)
    y = data.align(x)
    inner = np.stack([np.roll(x, -j, axis=1) @ data.template for j in range(64)])
    np.testing.assert_allclose(y @ data.template, inner.max(axis=0))
    turns = np.array([next(j for j in range(64) if np.array_equal(np.roll(a, -j), b)) for a, b in zip(x, y)])
    offset = (turns - shift) % 64
    for v in range(10):
        counts = np.bincount(offset[vowel == v], minlength=64)
        assert np.sort(counts)[-4:].sum() > 0.8 * counts.sum()         # of 64 phases at most four are common
    np.testing.assert_allclose(data.align(np.roll(x, 5, axis=1)), y)   # whatever the shift was
    moved = wave.shifted(y, rng)
    assert all(any(np.array_equal(np.roll(a, j), b) for j in range(64)) for a, b in zip(y, moved))


# ---- sound ----

def test_a_loop_has_the_spectrum_of_its_period_and_the_loudness_of_all(rng, tmp_path):
    """At a constant pitch of 125 Hz, harmonic k stands at 125 k Hz, below a voice's falling source; nothing else does."""
    m = periods(np.array([3]), np.array([0.4]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sound, "PITCH", (125.0, 125.0))
        y = sound.looped(m)
    assert np.sqrt(np.mean(y ** 2)) == pytest.approx(sound.LOUDNESS)
    path = tmp_path / "a.wav"
    sound.write(path, y)
    rate, stored = wavfile.read(path)
    assert rate == sound.RATE and len(stored) == rate and stored.dtype == np.int16
    spectrum = np.abs(np.fft.rfft(stored[rate // 10:-rate // 10] * np.hanning(8 * rate // 10))) ** 2     # 0.8 s: bins of 1.25 Hz
    lines = np.array([spectrum[100 * k - 3:100 * k + 4].sum() for k in range(1, 32)])
    k = np.arange(1, 32)
    expected = np.abs(np.fft.rfft(m[0])[k] / (1 - 0.95 * np.exp(-2j * np.pi * k / DIM))) ** 2
    strong = expected > 1e-3 * expected.max()
    np.testing.assert_allclose((lines / lines.sum())[strong], (expected / expected.sum())[strong], rtol=0.02)
    assert lines.sum() > 0.999 * spectrum.sum()


def test_a_loop_of_several_periods_plays_each_in_its_turn():
    m = periods(np.array([0, 4]), np.array([0.5, 0.5]))
    y = sound.looped(m)
    half, inside = len(y) // 2, slice(len(y) // 8, -len(y) // 8)
    for part, alone in ((y[:half], sound.looped(m[:1])[:half]), (y[half:], sound.looped(m[1:])[half:])):
        a, b = part[inside], alone[inside]
        assert a @ b / np.sqrt(a @ a * (b @ b)) > 0.999


def test_a_file_that_would_be_clipped_is_refused(tmp_path):
    with pytest.raises(ValueError, match="clipped"):
        sound.write(tmp_path / "a.wav", np.array([0.5, -1.2]))


def heard(path, n):
    """The n periods (n, 64) in a sound file, by least squares on 31 harmonics of its pitch, and the share of power they explain."""
    rate, y = wavfile.read(path)
    y, t = y / 32_767, np.arange(len(y)) / rate
    pitch = sound.PITCH[0] + (sound.PITCH[1] - sound.PITCH[0]) * np.sin(np.pi * t) ** 2
    angle, k = np.outer(2 * np.pi * np.cumsum(pitch) / rate, np.arange(1, 32)), np.arange(1, 32)
    found, rest, total = [], 0, 0
    for part in np.array_split(np.arange(len(y)), n):
        part = part[len(part) // 5:-len(part) // 5]                    # without the fades
        waves = np.hstack([np.cos(angle[part]), -np.sin(angle[part])])
        c = np.linalg.lstsq(waves, y[part], rcond=None)[0]
        rest, total = rest + np.sum((y[part] - waves @ c) ** 2), total + np.sum(y[part] ** 2)
        c = (c[:31] + 1j * c[31:]) * (1 - 0.95 * np.exp(-2j * np.pi * k / DIM))     # without the voice's fall
        found.append(np.fft.irfft(np.concatenate([[0], c, [0]])))
    found = np.array(found)
    return found / found.std(axis=1, keepdims=True), 1 - rest / total


def test_the_stored_sounds_are_the_stored_periods_all_equally_loud():
    results = runner.stored("waveforms")[0]
    for name, x in sound.files(results).items():
        rate, y = wavfile.read(store.HERE / "rendered" / name)
        assert rate == sound.RATE == len(y)
        assert np.sqrt(np.mean((y / 32_767) ** 2)) == pytest.approx(sound.LOUDNESS, rel=1e-3) and np.abs(y).max() < 30_000
        np.testing.assert_allclose(y, np.round(32_767 * sound.looped(x.astype(float))), atol=1)
        if name.startswith("vowels"):
            periods_heard, share = heard(store.HERE / "rendered" / name, len(x))
            x = x - x.mean(axis=1, keepdims=True)
            assert share > 0.99
            assert (np.sum(periods_heard * x, axis=1) > 0.98 * 64 * x.std(axis=1)).all()
            assert (wave.LAW.posterior(periods_heard).argmax(axis=1) == wave.LAW.posterior(x.astype(float)).argmax(axis=1)).all()
