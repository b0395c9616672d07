"""Generated vowels: waveforms, spectra against the exact envelope, and the plane of their first two formants.

It draws what the study of waveforms.py stored of its first seed.
"""
import numpy as np

from figures import runner
from figures.case_studies.waveforms import COLOR, LABELS
from figures.case_studies.wave_parts import LAW, MODELS
from figures.style import ACCENT, figure
from scratch.data.vowels import BANDWIDTHS, DIM, RATE, VOWELS, formants, periods, predictor

SECTION = "case"
FINDING = "The convolutional GAN's vowels are clean; the VAE's formants are off"
SETTINGS = ("the models of waveforms.py, first seed; formants by fitting a vocal tract with four free formants to each of 300 "
            "samples; gray lines: the ten vowels for all lengths of the tract; spectra: dots, a sample's 31 harmonics; black, "
            "the nearest vowel's filter")
KEYS = ("samples", "formants", "true_formants", "true_samples", "shares", "seeds")
NAMES = ("truth", "wave gan", "vae", "autoregressive", "diffusion")
NEAR = 0.05                                  # of log F1 or log F2: outside the formants of a vowel; by hand


def compute(effort, rng):
    """A copy of what is drawn."""
    results = runner.stored("waveforms")[0]
    return {key: results[key] for key in KEYS}


def off(formants_found):
    """The share of rows (N, 2) whose log formants lie farther than NEAR from those of every vowel."""
    u = np.linspace(0, 1, 101)
    curves = np.concatenate([formants(np.full(101, v), u)[:, :2] for v in range(10)])
    apart = np.abs(np.log(formants_found)[:, None] - np.log(curves)).max(axis=2).min(axis=1)
    return float(np.mean(apart > NEAR))


def shares_off(results):
    """{name: off} of the distribution and of every model."""
    found = {"truth": off(results["true_formants"])}
    return found | {name: off(part) for name, part in zip(MODELS, results["formants"])}


def claim(results):
    found = shares_off(results)
    return (f"Formants more than 5 % from any vowel: {found['truth']:.0%} of true periods, {found['wave gan']:.0%} of the "
            f"convolutional GAN's, {found['vae']:.0%} of the VAE's.")


def checks(results):
    found = shares_off(results)
    return {
        "at most 1 % of true periods are off": found["truth"] < 0.01,
        "the convolutional GAN is at most half as often off as the VAE": bool(found["wave gan"] < found["vae"] / 2),
    }


def draw(results):
    """A row of waveforms, a row of spectra, a row of planes."""
    fig = figure(6.4, FINDING, SETTINGS)
    axes = fig.subplots(3, len(NAMES), height_ratios=[0.7, 1, 1.5])
    for column, name in zip(axes.T, NAMES):
        j = None if name == "truth" else list(MODELS).index(name)
        x = results["true_samples"] if j is None else results["samples"][j]
        color = "#555555" if j is None else COLOR[name]
        draw_waves(column[0], x[:3], color)
        column[0].set_title("the distribution" if j is None else LABELS[name])
        draw_spectrum(column[1], x[0], color)
        draw_plane(column[2], results["true_formants"] if j is None else results["formants"][j], color)
    axes[1, 0].set_ylabel("dB")
    axes[2, 0].set_ylabel("F2 (Hz)")
    for ax in axes[1:, 1:].flat:
        ax.set_yticklabels([])
    return fig


def draw_waves(ax, x, color):
    """Three samples, each over the nearest clean period."""
    vowel, u, _ = LAW.nearest(x.astype(float))
    for i, (row, m) in enumerate(zip(x, periods(vowel, u))):
        ax.plot(m - 6 * i, color="black", lw=0.7)
        ax.plot(row - 6 * i, color=color, lw=1)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_spectrum(ax, x, color):
    """The harmonics of one sample and the exact envelope of the nearest vowel."""
    vowel, u, _ = LAW.nearest(x[None].astype(float))
    k, hertz = np.arange(1, DIM // 2), np.linspace(50, 3950, 300)
    A = predictor(formants(vowel, u))[0]
    envelope = 1 / np.abs(np.exp(-2j * np.pi * np.outer(hertz, np.arange(9)) / RATE) @ A)
    at_k = 1 / np.abs(np.exp(-2j * np.pi * np.outer(k, np.arange(9)) / DIM) @ A)
    size = np.abs(np.fft.rfft(periods(vowel, u))[0, k[0]]) / at_k[0]
    ax.plot(hertz, 20 * np.log10(size * envelope), color="black", lw=1)
    ax.plot(k * RATE / DIM, 20 * np.log10(np.abs(np.fft.rfft(x)[k])), "o", ms=2.5, color=color)
    ax.set(xlim=(0, 4000), ylim=(-25, 40), xticks=[0, 2000, 4000], xticklabels=["0", "2", "4 kHz"])


def draw_plane(ax, found, color):
    """F1 and F2 of the samples over the curves of the ten vowels."""
    u = np.linspace(0, 1, 30)
    for v, name in enumerate(VOWELS):
        F = formants(np.full(30, v), u)
        ax.plot(F[:, 0], F[:, 1], color="#BBBBBB", lw=4, zorder=0)
    ax.plot(*found.T, "o", ms=2, mew=0, color=color)
    ax.set(xscale="log", yscale="log", xlim=(220, 1000), ylim=(650, 3000), xticks=[300, 500, 900], xticklabels=["300", "500", "900 Hz"],
           yticks=[1000, 2000], yticklabels=["1000", "2000"])
    ax.minorticks_off()
