"""Generated vowels: waveforms, spectra against the exact envelope, and the plane of their first two formants.

It draws what the study of waveforms.py stored of its first seed.
"""
import numpy as np

from figures import runner
from figures.case_studies.waveforms import COLOR, LABELS
from figures.case_studies.wave_parts import LAW, MODELS
from figures.style import figure
from scratch.data.vowels import DIM, RATE, VOWELS, formants, periods, predictor

SECTION = "case"
FINDING = "The GAN's formants match the true ones; the VAE's stray"
SETTINGS = ("the models of waveforms.py, first seed; formants by fitting a vocal tract with four free formants to each of 300 "
            "samples; gray lines: the ten vowels for all lengths of the tract; spectra: dots, a sample's 31 harmonics; black, "
            "the nearest vowel's filter")
KEYS = ("samples", "formants", "true_formants", "true_samples")
NAMES = ("truth", "wave gan", "vae", "autoregressive", "diffusion")


def compute(effort, rng):
    """A copy of what is drawn."""
    results = runner.stored("waveforms")[0]
    return dict(seeds=1, **{key: results[key] for key in KEYS})


def distance(found):
    """The median, over rows (N, 2), of the distance in % to the nearest vowel's line: the larger of those in F1 and F2."""
    u = np.linspace(0, 1, 201)
    lines = np.concatenate([formants(np.full(201, v), u)[:, :2] for v in range(10)])
    return 100 * float(np.median(np.abs(np.log(found)[:, None] - np.log(lines)).max(axis=2).min(axis=1)))


def distances(results):
    """{name: distance} of the distribution and of every model."""
    found = {"truth": distance(results["true_formants"])}
    return found | {name: distance(part) for name, part in zip(MODELS, results["formants"])}


def claim(results):
    found = distances(results)
    return (f"Median distance of formants from the nearest vowel's line: {found['truth']:.2f} % of true periods, "
            f"{found['wave gan']:.2f} % of the convolutional GAN's, {found['vae']:.2f} % of the VAE's.")


def checks(results):
    found = distances(results)
    others = [found[name] for name in MODELS if name != "vae"]
    return {
        "formants of true periods lie within half a percent of a vowel's line": found["truth"] < 0.5,
        "the convolutional GAN's are at most a quarter farther": found["wave gan"] < 1.25 * found["truth"],
        "the VAE's formants are at least one and a half times as far as each other model's": bool(
            found["vae"] > 1.5 * max(others)),
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
        draw_plane(column[2], results["true_formants"] if j is None else results["formants"][j], color, named=j is None)
    axes[1, 0].set_ylabel("dB")
    axes[2, 0].set(xlabel="F1", ylabel="F2 (Hz)")
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


def draw_plane(ax, found, color, named):
    """F1 and F2 of the samples over the curves of the ten vowels."""
    u = np.linspace(0, 1, 30)
    for v, name in enumerate(VOWELS):
        F = formants(np.full(30, v), u)
        ax.plot(F[:, 0], F[:, 1], color="#BBBBBB", lw=4, zorder=0)
        if named:
            right = name in ("had", "hod", "hud")            # where the left side is full
            ax.annotate(name, F[-right, :2], (4 if right else -4, 0), textcoords="offset points",
                        ha="left" if right else "right", va="center", fontsize=8)
    ax.plot(*found.T, "o", ms=2, mew=0, color=color)
    ax.set(xscale="log", yscale="log", xlim=(160, 1400), ylim=(650, 3000), xticks=[300, 500, 900], xticklabels=["300", "500", "900 Hz"],
           yticks=[1000, 2000], yticklabels=["1000", "2000"])
    ax.minorticks_off()
