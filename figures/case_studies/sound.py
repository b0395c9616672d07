"""Sound files of one second: pitch periods looped at a gliding pitch, all equally loud.

    python -m figures.case_studies.sound             writes rendered/*.wav from the stored results of waveforms

A period is a sum of harmonics, so it can be played at any pitch without aliasing.  The distribution is that of a flat
source; a voice falls with frequency, so harmonic k of a period is divided by |1 - 0.95 e^(-2 pi i k / 64)| first.
"""
import numpy as np
from scipy.io import wavfile

from figures import runner
from figures.case_studies.waveforms import sounds
from figures.store import HERE
from scratch.data.vowels import DIM

RATE = 16_000                                # samples a second: harmonic 31 of 200 Hz is 6,200 Hz
LOUDNESS = 0.12                              # root mean square, where 1 is full scale
PITCH = (110.0, 140.0)                       # Hz: up and down again within the second
FADE = 0.01                                  # seconds, at both ends and from one period to the next


def looped(periods, seconds=1.0):
    """Sound (RATE seconds,) of periods (n, 64) in equal shares of the time, one fading into the next."""
    t = np.arange(int(RATE * seconds)) / RATE
    pitch = PITCH[0] + (PITCH[1] - PITCH[0]) * np.sin(np.pi * t / seconds) ** 2
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    harmonics = np.arange(1, DIM // 2)
    c = np.fft.rfft(periods)[:, harmonics] / (1 - 0.95 * np.exp(-2j * np.pi * harmonics / DIM))
    c /= np.sqrt(np.sum(np.abs(c) ** 2, axis=1, keepdims=True))                   # equal loudness before any fade
    place = t / seconds * len(c)                                                  # which period
    fade = max(FADE / seconds * len(c), 1e-9)
    weights = np.clip((0.5 + fade / 2 - np.abs(place[:, None] - np.arange(len(c)) - 0.5)) / fade, 0, 1)
    y = np.zeros(len(t))
    for k, of_k in zip(harmonics, c.T):
        y += np.real(np.exp(1j * k * phase) * (weights @ of_k))
    ends = np.minimum(1, np.minimum(t, t[-1] - t) / FADE)
    return _level(y * ends)


def _level(y):
    """y at LOUDNESS."""
    return y * LOUDNESS / np.sqrt(np.mean(y ** 2))


def write(path, y):
    """y as a sound file of 16 bits."""
    if np.abs(y).max() >= 1:
        raise ValueError(f"{path} would be clipped: its peak is {np.abs(y).max():.2f} of full scale")
    wavfile.write(path, RATE, np.round(32_767 * y).astype(np.int16))


def files(results):
    """{name: periods} of all sound files: the distribution, each model's samples, and three morphs."""
    return dict(zip(sounds(), (results["true_samples"], *results["samples"], *results["morph"])))


def main():
    """Write all files and say how loud they are."""
    for name, x in files(runner.stored("waveforms")[0]).items():
        y = looped(x.astype(float))
        write(HERE / "rendered" / name, y)
        print(f"{name:28} root mean square {np.sqrt(np.mean(y ** 2)):.3f}, peak {np.abs(y).max():.2f}")


if __name__ == "__main__":
    main()
