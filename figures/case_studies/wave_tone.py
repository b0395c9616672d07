"""Does the stride of a transposed convolution sing, and does phase shuffle help?  Power in the stride's lines, and an ablation."""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.vowels import DIM, Wavetables
from scratch.implicit.wave_gan import WaveGAN
from scratch.learning.training import train

SECTION = "case"
FINDING = "Training nearly removes the strides' tone; phase shuffle does not help here"
SETTINGS = ("Wavetables with fixed phase. WaveGAN with two strides of 4 (16 and 32 channels), gamma falls to 0.002 of its start, "
            "2,000 steps of 128, three seeds; dots: seeds, lines and bars: mean and 1 s.e. Power from 4,000 samples; "
            "lines of the strides: multiples of 1/16 of the sampling rate. Good: inside the 99 % level of -log p. "
            "Phase shuffle was made for data of any phase.")

GAMMAS, SHUFFLES, SEEDS, STEPS = (0.3, 1.0, 3.0), (0, 2), 3, 2000
# Harmonics at which a stride leaves copies of a slower signal: of the last layer's, and of both strides together.
LINES = {4: np.array([16, 32]), 16: np.arange(4, 33, 4)}


def parts(effort):
    """One training each: range r of the shuffle, gamma, seed."""
    gammas, seeds = (GAMMAS[:1], 1) if effort == "quick" else (GAMMAS, SEEDS)
    return [f"{r}, {gamma}, {seed}" for seed in range(seeds) for gamma in gammas for r in SHUFFLES]


def compute_part(part, effort, rng):
    """Mean power of each harmonic before and after training, (2, 33), the share of good samples, the vowels' KL."""
    r, gamma, _ = part.split(", ")
    law, quick = Wavetables(nodes=16 if effort == "quick" else 512), effort == "quick"
    model = WaveGAN(DIM, phase_shuffle=int(r), gamma=float(gamma),
                    **(dict(channels=(2, 2), hidden=(4,), prior=2) if quick else {}))
    theta, n = model.init(rng), 50 if quick else 4000
    for state in train(model, theta, law, rng, steps=2 if quick else STEPS):
        pass
    before, x = (model.sample(part, n, rng).astype(float) for part in (theta, state.average))
    level = np.quantile(law.log_prob(law.sample(n, rng)), 0.01)
    histogram = np.bincount(law.posterior(x).argmax(axis=1), minlength=10) / n
    return dict(power=np.stack([power(before), power(x)]), good=np.mean(law.log_prob(x) > level),
                kl=np.sum(histogram * np.log(np.maximum(10 * histogram, 1e-300))))


def power(x):
    """The mean power at harmonics 0 ... 32, (33,), of a mean total of 1."""
    square = np.mean(np.abs(np.fft.rfft(x)) ** 2, axis=0)
    square[1:-1] *= 2                                       # the negative frequencies
    return square / square.sum()


def gather(effort, parts):
    """Arrays over (shuffle, gamma, seed); the data's power, exactly; and a constant through 25 and 24 taps."""
    keys = sorted({tuple(part.split(", ")[:2]) for part in parts}, key=lambda key: (int(key[0]), float(key[1])))
    rows = {key: [value for part, value in parts.items() if tuple(part.split(", ")[:2]) == key] for key in keys}
    shape = len(SHUFFLES), len(keys) // len(SHUFFLES), -1

    def stacked(name):
        values = np.array([[row[name] for row in rows[key]] for key in keys], np.float32)
        return values.reshape(*shape, *values.shape[2:])
    law = Wavetables()
    data = DIM * law.noise ** 2 * np.where(np.arange(DIM // 2 + 1) % (DIM // 2) == 0, 1, 2)        # of the noise
    clean = np.abs(np.fft.rfft(law.clean)) ** 2
    data = data + np.mean(clean, axis=0) * np.where(np.arange(DIM // 2 + 1) % (DIM // 2) == 0, 1, 2)
    return dict(seeds=stacked("good").shape[2], gammas=np.array([float(key[1]) for key in keys[:shape[1]]]),
                power=stacked("power"), good=stacked("good"), kl=stacked("kl"), data=data / data.sum(),
                constant=np.stack([constant(25), constant(24)]))


def constant(taps, stride=4, n=24):
    """What 1, 1, 1 ... becomes: how many of the taps, all 1, each output sums, away from the ends."""
    y = np.zeros(n * stride + taps)
    for t in range(n):
        y[t * stride:t * stride + taps] += 1
    return y[8 * stride:12 * stride]


# ---- what the results say ----

def excess(results, stride):
    """Power in the lines of a stride, in dB above the data's: before and after training, (gamma, seed) each, no shuffle."""
    found, data = (part[..., LINES[stride]].sum(axis=-1) for part in (results["power"][0], results["data"]))
    return np.moveaxis(10 * np.log10(found / data), 2, 0)


def tone(results):
    """The line at a quarter of the sampling rate below the constant part, in dB, for 25 taps over 4."""
    spectrum = np.abs(np.fft.rfft(results["constant"][0]))
    return float(20 * np.log10(spectrum[len(results["constant"][0]) // 4] / spectrum[0]))


def best(results, shuffle):
    """The place of the gamma with the largest share of good samples, and that share: mean and standard error."""
    good = results["good"][shuffle]
    at = int(good.mean(axis=1).argmax())
    return at, float(good[at].mean()), float(good[at].std(ddof=1) / np.sqrt(good.shape[1])) if good.shape[1] > 1 else 0.0


def claim(results):
    (before, after), (_, alone) = excess(results, 16), excess(results, 4)
    (_, without, error), (_, shuffled, other) = best(results, 0), best(results, 1)
    return (f"The strides' lines: {before.mean():+.1f} dB against the data's, trained {after.mean():+.1f} (the last stride's "
            f"{alone.mean():+.1f}); good samples {without:.2f} +- {error:.2f}, shuffled {shuffled:.2f} +- {other:.2f}.")


def checks(results):
    (_, after), (before, alone) = excess(results, 16), excess(results, 4)
    (_, without, error), (_, shuffled, other) = best(results, 0), best(results, 1)
    return {
        "25 taps over 4: a tone of -28.0 dB": bool(abs(tone(results) + 28.0) < 0.05),
        "24 taps over 4: none": bool(np.ptp(results["constant"][1]) == 0 and results["constant"][1][0] == 6),
        "before training the last stride's lines are at least 3 dB above the data's": bool((before > 3).all()),
        "after training both strides' lines are at most 1 dB above, in every run": bool((after < 1).all()),
        "the last stride's are at most 3 dB above": bool((alone < 3).all()),
        "phase shuffle does not help, within 2 standard errors": bool(shuffled < without + 2 * np.hypot(error, other)),
    }


def draw(results):
    """A constant through two kernels, the power of the harmonics, and good samples and vowels against gamma."""
    fig = figure(5.2, FINDING, SETTINGS)
    (a, b), (c, d) = fig.subplots(2, 2, gridspec_kw=dict(width_ratios=[1, 1.6]))
    for y, color in zip(results["constant"], (ACCENT, COLORS["gan"])):
        a.plot(y, "o-", color=color, ms=3, lw=1)
    a.text(0, 7.12, "25 taps, as in WaveGAN", color=ACCENT)
    a.text(0, 5.75, "24 taps", color=COLORS["gan"])
    a.set(ylim=(5.5, 7.3), yticks=[6, 7], xticks=[0, 4, 8, 12], xlabel="sample", ylabel="output",
          title="a) a constant, upsampled by a stride of 4")
    harmonics(b, results)
    for ax, name, label in ((c, "good", "share of good samples"), (d, "kl", "reverse KL of vowels (nats)")):
        for values, color, text in zip(results[name], (COLORS["gan"], "#666666"), ("no shuffle", "phase shuffle")):
            x = results["gammas"] * (0.97 if text == "no shuffle" else 1.03)
            ax.plot(x[:, None], values, "o", color=color, ms=3, alpha=0.6)
            ax.errorbar(x, values.mean(axis=1), values.std(axis=1) / max(1, values.shape[1] - 1) ** 0.5, color=color,
                        ls="-" if text == "no shuffle" else "--")
            if ax is c:
                ax.text(x[0] * 1.1, values[0].mean() + 0.008, text, color=color)
        ax.set(xscale="log", xlim=(x[0] / 1.2, x[-1] * 1.2), xticks=results["gammas"], xlabel="gamma at the start",
               xticklabels=[f"{gamma:g}" for gamma in results["gammas"]], ylabel=label, ylim=(0, None))
        ax.minorticks_off()
    c.set_title("c) inside the 99 % level")
    d.set_title("d) are the vowels equally frequent?")
    return fig


def harmonics(ax, results):
    """Mean power at each harmonic, in dB: data, and the generator before and after training."""
    k = np.arange(1, DIM // 2 + 1)
    found = results["power"][0].mean(axis=(0, 1))
    for power, color, label, style in ((results["data"], COLORS["truth"], "data", "-"), (found[1], COLORS["gan"], "trained", "-"),
                                       (found[0], ACCENT, "before training", ":")):
        y = 10 * np.log10(power[1:])
        ax.plot(k, y, style, color=color, lw=2 if color == COLORS["truth"] else 1.2, marker="o", ms=2)
        ax.text(32.9, y[-3 if label == "trained" else -1], label, color=color, va="center")
    for line in LINES[16]:
        ax.axvline(line, color="#CCCCCC" if line in LINES[4] else "#EEEEEE", lw=6, zorder=0)
    ax.set(xlabel="harmonic; gray: lines of the strides", ylabel="share of the power (dB)", xlim=(0.5, 42), xticks=LINES[16],
           title="b) power at each harmonic")
