"""Clips with pitch: a GAN that is given the source, one that is not, and what symmetry buys where the phase is free."""
from dataclasses import replace

import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.clips import SCALES, Clips
from scratch.data.vowels import DIM, VOWELS, ShiftedWavetables, formants, predictor
from scratch.implicit.objectives import zero_centered
from scratch.implicit.source_filter_gan import SourceFilterGAN
from scratch.implicit.wave_gan import WaveGAN
from scratch.learning.training import train

SECTION = "case"
FINDING = "Given the source, a GAN learns vowels; from noise alone it fails"
SETTINGS = ("Clips of 512 samples, 3 of 4 voiced; source-filter GAN of 192 taps, 4,000 steps of 64, five seeds; WaveGAN on the same "
            "clips, 1,500 steps of 128, two. c) First seed, the best filter of each vowel. Phase free: wavetables with a random shift, "
            "WaveGAN of 1,500 steps of 128, three seeds. Vowels by the exact posterior of 400 samples. Dots: seeds; dashes: their mean.")

STEPS = {"source-filter": 4000, "plain": 1500, "phase": 1500}
SEEDS = {"source-filter": 5, "plain": 2, "phase": 3}
PHASE = {"neither": {}, "pooled critic": dict(pool=True), "shift as noise": dict(shifted=True),
         "both": dict(pool=True, shifted=True)}
PENALTY = replace(zero_centered, last=0.1)   # of the plain WaveGAN; by hand, as its gamma of 10
ROWS, SAMPLES = 20_000, 400                  # training clips; samples that are judged
FREQUENCIES = 128                            # of an envelope, from 0 to 4 kHz


def parts(effort):
    """One training each."""
    seeds = dict.fromkeys(SEEDS, 1) if effort == "quick" else SEEDS
    return ([f"source-filter, {seed}" for seed in range(seeds["source-filter"])]
            + [f"plain, {seed}" for seed in range(seeds["plain"])]
            + [f"phase, {name}, {seed}" for seed in range(seeds["phase"]) for name in PHASE])


def compute_part(part, effort, rng):
    kind, *variant, _ = part.split(", ")
    if kind == "phase":
        return phase_free(PHASE[variant[0]], effort, rng)
    return clips(kind, effort, rng)


def trained(model, data, steps, rng):
    """theta, averaged, at the end of a run."""
    for state in train(model, model.init(rng), data, rng, steps=steps):
        pass
    return state.average


# ---- clips ----

def clips(kind, effort, rng):
    """The shares of the vowels, the number of filters found, periodicity of the clips, whispered ones too, and what is drawn."""
    quick = effort == "quick"
    law = Clips(64, periods=(16, 20)) if quick else Clips()
    sizes = dict(hidden=(4,), channels=(2, 2), prior=2) if quick else {}
    if kind == "plain":
        model = WaveGAN(law.dim, latent=16, circular=False, pool=True, gamma=10.0, penalty=PENALTY, **sizes)
    else:
        model = SourceFilterGAN(law.dim, periods=law.periods, **(sizes | dict(taps=12) if quick else {}))
    rows = law.sample(40 if quick else ROWS, rng).astype(np.float32)
    theta = trained(model, rows, 2 if quick else STEPS[kind], rng)
    x = model.sample(theta, 8 if quick else SAMPLES, rng).astype(float)
    found, shares = law.best(x)[0], law.posterior(x).mean(axis=0)
    results = dict(shares=shares, filters=len(set(found)), examples=x[:4].astype(np.float32),
                   periodicity=np.sort(periodicity(x, law.periods)))
    if kind == "source-filter":
        z = model._parts(theta[model.players[0]])[1].reshape(2, -1, model.latent)[0]        # the means of z
        results |= envelope_distance(model.generate(theta, z).astype(float))
    return results


def periodicity(x, periods):
    """The largest correlation of each clip with itself, one of the periods later, (N,)."""
    return np.max([np.sum(x[:, P:] * x[:, :-P], axis=1) / np.sqrt(np.sum(x[:, P:] ** 2, axis=1) * np.sum(x[:, :-P] ** 2, axis=1))
                   for P in periods], axis=0)


def envelopes():
    """The 60 exact envelopes in dB, (60, FREQUENCIES), of mean power 1."""
    F = formants(np.repeat(np.arange(10), SCALES), np.tile(np.arange(SCALES) / (SCALES - 1), 10))
    return decibel(1 / np.abs(np.fft.rfft(predictor(F), 2 * FREQUENCIES)) ** 2)


def decibel(power):
    """Spectra (N, FREQUENCIES + 1) in dB of their mean, without the last."""
    return 10 * np.log10(power / power.mean(axis=1, keepdims=True))[:, :-1]


def envelope_distance(taps):
    """The envelope of each filter, the nearest exact one, and their root mean square distance in dB."""
    made, exact = decibel(np.abs(np.fft.rfft(taps, 2 * FREQUENCIES)) ** 2), envelopes()
    distance = np.sqrt(np.mean((made[:, None] - exact) ** 2, axis=2))             # (n, 60)
    return dict(envelopes=made.astype(np.float32), nearest=distance.argmin(axis=1), decibel=distance.min(axis=1))


# ---- wavetables whose phase is free ----

def phase_free(options, effort, rng):
    """KL of the vowels, residual over noise, share of good samples, and KL of the shifts from uniform."""
    quick = effort == "quick"
    law = ShiftedWavetables(nodes=8 if quick else 128)
    model = WaveGAN(DIM, **options, **(dict(hidden=(4,), channels=(2, 2), prior=2) if quick else {}))
    theta = trained(model, law, 2 if quick else STEPS["phase"], rng)
    n = 10 if quick else SAMPLES
    x = model.sample(theta, n, rng).astype(float)
    level = np.quantile(law.log_prob(law.sample(n, rng)), 0.01)
    return dict(vowels=divergence(law.posterior(x)), residual=law.nearest(x)[2].mean() / law.noise,
                good=np.mean(law.log_prob(x) > level), shifts=divergence(law.posterior_of_shift(x)))


def divergence(posterior):
    """KL(mean of the posterior (N, K) || uniform) in nats."""
    shares = posterior.mean(axis=0)
    return np.sum(shares * np.log(np.maximum(len(shares) * shares, 1e-300)))


def gather(effort, parts):
    """By kind; the phase-free results as (variant, seed)."""
    found = {kind: [value for part, value in parts.items() if part.startswith(f"{kind}, ")] for kind in ("source-filter", "plain")}
    results = dict(seeds=len(found["source-filter"]), exact=envelopes().astype(np.float32))
    for kind, rows in found.items():
        for name in ("shares", "filters", "periodicity", "examples"):
            results[f"{kind} {name}"] = np.array([row[name] for row in rows])
    for name in ("envelopes", "nearest", "decibel"):
        results[name] = np.array([row[name] for row in found["source-filter"]])
    for name in ("vowels", "residual", "good", "shifts"):
        results[f"phase {name}"] = np.array([[value[name] for part, value in parts.items() if part.startswith(f"phase, {variant}, ")]
                                             for variant in PHASE], np.float32)
    law, rng = Clips(), np.random.default_rng(0)
    real = law.sample(SAMPLES, rng)
    return results | dict(real=real[:4].astype(np.float32), real_periodicity=np.sort(periodicity(real, law.periods)))


# ---- what the results say ----

def vowels(results, kind):
    """How many of ten have at least 1 % of the samples, and KL(shares || uniform): (seeds,) each."""
    shares = results[f"{kind} shares"]
    return (shares >= 0.01).sum(axis=1), np.sum(shares * np.log(np.maximum(10 * shares, 1e-300)), axis=1)


def residual(results):
    """Of the phase-free variants: mean and standard error over seeds."""
    value = results["phase residual"]
    return value.mean(axis=1), value.std(axis=1, ddof=1) / np.sqrt(value.shape[1]) if value.shape[1] > 1 else 0 * value[:, 0]


def claim(results):
    (found, kl), (plain, _) = vowels(results, "source-filter"), vowels(results, "plain")
    mean = residual(results)[0]
    return (f"Source given: {found.mean():.1f} of {results['plain shares'].shape[1]} vowels, reverse KL {np.median(kl):.2f} nats; made: "
            f"{plain.mean():.1f}. Phase free, a shift as noise: residual {mean[2:].mean():.1f}, else {mean[:2].mean():.1f} times the noise.")


def checks(results):
    (found, kl), (plain, plain_kl) = vowels(results, "source-filter"), vowels(results, "plain")
    (mean, error), shifts = residual(results), results["phase shifts"].mean(axis=1)
    return {
        "the source-filter GAN finds nine vowels in every run, and ten in most": bool((found >= 9).all() and np.median(found) == 10),
        "its median reverse KL is below 0.15": bool(np.median(kl) < 0.15),
        "at least 40 of 60 filters in every run": bool((results["source-filter filters"] >= 40).all()),
        "the plain WaveGAN is more uneven in every run": bool(plain_kl.min() > kl.max()),
        "the plain WaveGAN's clips are less periodic": bool(
            np.median(results["plain periodicity"]) < np.median(results["real_periodicity"]) - 0.1),
        "phase free: no variant below twice the noise": bool((results["phase residual"] > 2).all()),
        "a shift as noise brings the residual down, by 2 standard errors": bool(
            (mean + 2 * error)[2:].max() < (mean - 2 * error)[:2].min()),
        "and makes shifts more even": bool((shifts[2:] < shifts[:2].min()).all()),
    }


def draw(results):
    """Shares of vowels and periodicity for both models; envelopes of made filters on exact ones; the phase-free variants."""
    fig = figure(5.6, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1)
    shares_of_vowels(*top.subplots(1, 2, gridspec_kw=dict(width_ratios=[1.7, 1])), results)
    *small, a, b = bottom.subplots(1, 5, gridspec_kw=dict(width_ratios=[0.9, 0.9, 0.9, 1, 1]))
    made_filters(small, results)
    without_phase(a, b, results)
    return fig


def shares_of_vowels(ax, periodic, results):
    for kind, color, place in (("source-filter", COLORS["gan"], -0.15), ("plain", ACCENT, 0.15)):
        shares = 100 * results[f"{kind} shares"]
        ax.plot(np.arange(10) + place, shares.T, "o", color=color, ms=3.5, alpha=0.7)
        ax.plot(np.arange(10) + place, shares.mean(axis=0), "_", color=color, ms=11, mew=2)
    ax.axhline(10, color=COLORS["truth"], lw=1)
    ax.text(9.45, 10.4, "due")
    ax.set(xticks=range(10), xticklabels=VOWELS, xlim=(-0.5, 9.9), ylim=(0, None), ylabel="share of samples (%)", title="a) vowels of the clips")
    for name, color, label, place in (("real_periodicity", COLORS["truth"], "real", (0.5, 12)),
                                      ("source-filter periodicity", COLORS["gan"], "source given", (0.5, 36)),
                                      ("plain periodicity", ACCENT, "source made", (0.45, 78))):
        for row in np.atleast_2d(results[name]):
            periodic.plot(row, np.linspace(0, 100, row.size), color=color, lw=2 if name.startswith("real") else 1)
        periodic.text(*place, label, color=color)
    periodic.set(xlabel="largest correlation one period later", ylabel="clips below (%)", title="b) are the clips periodic?")


def made_filters(axes, results):
    """For three vowels, of the first run: the made envelope that is nearest to an exact one, on that one."""
    hz = np.arange(FREQUENCIES) * 4 / FREQUENCIES
    for ax, vowel in zip(axes, (0, 4, 7)):
        near = np.where(results["nearest"][0] // 6 == vowel, results["decibel"][0], np.inf)
        best = int(np.argmin(near))
        ax.plot(hz, results["exact"][results["nearest"][0][best]], color=COLORS["truth"], lw=2)
        ax.plot(hz, results["envelopes"][0][best], color=COLORS["gan"], lw=1)
        ax.set(title=VOWELS[vowel], xlabel="kHz", ylim=(-45, 25), xticks=[0, 2, 4])
    axes[0].set(ylabel="dB", title=f"c) filters: {VOWELS[0]}")
    for ax in axes[1:]:
        ax.set(yticklabels=[])


def without_phase(a, b, results):
    """Residual, and KL of the shifts from uniform: a row a variant, a dot a seed."""
    rows = np.arange(len(PHASE))[::-1]
    for ax, name in ((a, "residual"), (b, "shifts")):
        values = results[f"phase {name}"]
        ax.plot(values, rows[:, None], "o", color=COLORS["gan"], ms=3.5, alpha=0.7)
        ax.plot(values.mean(axis=1), rows, "|", color=COLORS["gan"], ms=11, mew=2)
        ax.set(yticks=rows, ylim=(-0.6, len(PHASE) - 0.4), yticklabels=list(PHASE) if ax is a else [])
    a.axvline(1, color=COLORS["truth"], lw=1)
    a.set(xlim=(0, None), xlabel="residual / noise", title="d) phase free")
    b.set(xlim=(0, None), xlabel="KL of shifts (nats)", title="e) shifts even?")
