"""Mode collapse by PacGAN's protocol at equal CPU time: three GANs, diffusion, an autoregressive model, a VAE."""
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

from figures.style import COLORS, figure
from scratch.data.distributions import grid
from scratch.divergence.mode_coverage import mode_coverage
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.gan import GAN, non_saturating, wasserstein
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, train

SECTION = "1.5"
FINDING = "At equal cost diffusion keeps every mode; all three GANs lose some"
SETTINGS = ("PacGAN's grid of 25 modes (std 0.05, scaled to unit variance), 2,500 samples a run, ten seeds a method. "
            "Updates are what one core did in 12 s: plain GAN (2014, no sines) 4,000 of 256, WGAN-GP 2,400 and relativistic + R1 + R2 "
            "2,800 of 256 (both with sines up to 32, z ~ N(0, I), no output noise), diffusion 7,600, autoregressive 5,000, "
            "VAE 10,000 with their own recipes. "
            "High quality: within 3 std of a mode. Small dots: seeds; bar: 1 s.e. Gray: Lin et al. 2018, Table 1, 400,000 updates.")

# PacGAN's grid (Lin et al. 2018), divided by its standard deviation; no number depends on it.
LAWS = {"grid": (grid(5, 2 / 8 ** 0.5, 0.05 / 8 ** 0.5), 0.05 / 8 ** 0.5)}
SEEDS, SAMPLES, CHECKPOINTS = 10, 2500, 12
SECONDS = 12                                                # of processor time a run
TEXTBOOK = dict(prior=1, output_noise=0.0)                  # z ~ N(0, I), x = G(z)
SINES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)                    # the modes are narrower than those of LAWS


@dataclass(frozen=True)
class Method:
    """A model, its updates in 12 s of one core, measured on the ring, its color, and how it is trained."""
    model: Callable
    steps: int
    color: str
    recipe: Callable = lambda model: model.recipe


def lower_gamma_far(model, done):
    """gamma falls to a thousandth: these modes are narrow."""
    return replace(model, gamma=model.gamma * 1e-3 ** done)


# For the first two the best of a few short trials.
METHODS = {
    "plain GAN (2014)": Method(lambda **sizes: GAN(2, objective=non_saturating, frequencies=(), latent_frequencies=(),
                                                   **TEXTBOOK, **sizes), 4000, COLORS["gan"],
                               lambda model: Recipe(Adam(1e-3, beta1=0.5, beta2=0.99), batch_size=256)),
    "WGAN-GP": Method(lambda **sizes: GAN(2, objective=wasserstein, gamma=1.0, frequencies=SINES, **TEXTBOOK, **sizes),
                      2400, COLORS["gan"],
                      lambda model: Recipe(Adam(model.rates(1e-3, 3e-3), beta1=0.0, beta2=0.9), batch_size=256)),
    "relativistic + R1 + R2": Method(lambda **sizes: GAN(2, frequencies=SINES, **TEXTBOOK, **sizes), 2800, COLORS["gan"],
                                     lambda model: replace(model.recipe, batch_size=256, anneal=lower_gamma_far)),
    "diffusion": Method(lambda **sizes: Diffusion(2, **sizes), 7600, COLORS["diffusion"]),
    "autoregressive": Method(lambda **sizes: AutoregressiveMixture(2, **sizes), 5000, COLORS["autoregressive"]),
    "VAE": Method(lambda **sizes: VAE(2, **sizes), 10_000, COLORS["vae"]),
}

LINES = {"plain GAN (2014)": ":", "WGAN-GP": "--", "relativistic + R1 + R2": "-"}

# mean and standard error over 10 trials: modes, high quality [%], reverse KL [nats]; Lin et al. 2018, Table 1
PUBLISHED = {"grid": {"GAN": (17.3, 0.8, 94.8, 0.7, 0.70, 0.07), "PacGAN4": (24.8, 0.2, 93.6, 0.6, 0.04, 0.01)}}


def parts(effort):
    """One run each: law, method, seed."""
    seeds = 1 if effort == "quick" else SEEDS
    return [f"{law}, {method}, {seed}" for seed in range(seeds) for law in LAWS for method in METHODS]


def compute_part(part, effort, rng):
    """(modes, high quality in %, reverse KL in nats) of the averaged parameters along one run."""
    law_name, method_name, _ = part.split(", ")
    (law, std), method = LAWS[law_name], METHODS[method_name]
    model = method.model(**(dict(hidden=(8,)) if effort == "quick" else {}))
    steps, samples = (4, 50) if effort == "quick" else (method.steps, SAMPLES)
    marks = np.unique(np.ceil(steps * np.geomspace(0.03, 1, CHECKPOINTS)).astype(int))
    curve = []
    for state in train(model, model.init(rng), law, rng, steps=steps, recipe=method.recipe(model)):
        if state.step in marks:
            coverage = mode_coverage(model.sample(state.average, samples, rng).astype(float), law.means, std)
            curve.append((state.step / steps, coverage.modes, 100 * coverage.high_quality, coverage.reverse_kl))
    return dict(curve=np.array(curve))


def gather(effort, parts):
    """Curves (seeds, checkpoints, 4) for each law and method: fraction of the run, modes, quality, reverse KL."""
    results = dict(seeds=len({part.split(", ")[2] for part in parts}))
    for law in LAWS:
        for method in METHODS:
            curves = [part["curve"] for name, part in parts.items() if name.startswith(f"{law}, {method}, ")]
            results[f"{law} {method}"] = np.array(curves, np.float32)
    return results


def last(results, law, method):
    """(modes, high quality, reverse KL) at the end of each run, (seeds, 3)."""
    return results[f"{law} {method}"][:, -1, 1:]


def claim(results):
    """Modes and evenness of the plain GAN, and the worst evenness of diffusion."""
    plain, others = (last(results, "grid", method) for method in (next(iter(METHODS)), "diffusion"))
    error = plain[:, 0].std(ddof=1) / np.sqrt(len(plain))
    return (f"The plain GAN holds {plain[:, 0].mean():.1f} +- {error:.1f} of {len(LAWS['grid'][0].means)} modes, with a reverse KL of "
            f"{plain[:, 2].mean():.2f} nats; diffusion's is at most {others[:, 2].max():.3f}.")


def checks(results):
    """Every run of diffusion, the autoregressive model and the VAE holds all modes; each GAN loses one in some run."""
    modes = {method: last(results, "grid", method)[:, 0] for method in METHODS}
    uneven = {method: last(results, "grid", method)[:, 2].mean() for method in METHODS}
    gans, others = list(METHODS)[:3], list(METHODS)[3:]
    all_modes = len(LAWS["grid"][0].means)
    return {f"{method} holds every mode in every run": bool((modes[method] == all_modes).all()) for method in others} | {
        f"{method} loses a mode in some run": bool((modes[method] < all_modes).any()) for method in gans} | {
        "the plain GAN loses more modes than the others, by 2 standard errors": bool(all(
            modes[gans[0]].mean() + 2 * modes[gans[0]].std(ddof=1) / np.sqrt(len(modes[gans[0]])) < modes[gan].mean()
            for gan in gans[1:])),
        "the modes of each GAN are ten times as uneven as those of diffusion": bool(
            min(uneven[gan] for gan in gans) > 10 * uneven["diffusion"])}


def draw(results):
    """A row a law: modes, quality and evenness at the end of the runs, a dot a seed; then modes along the runs."""
    fig = figure(4.0, FINDING, SETTINGS)
    panels = fig.subplots(1, 4, gridspec_kw=dict(width_ratios=[1, 1, 1, 1.3]), squeeze=False)
    for row, letters, (law, (exact, _)) in zip(panels, ("abcd",), LAWS.items()):
        modes = len(exact.means)
        perfect = modes, 100 * (1 - np.exp(-4.5)), (modes - 1) / (2 * SAMPLES)
        titles = f"modes of {modes}", "high quality [%]", "reverse KL [nats]"
        for column, (ax, title, best) in enumerate(zip(row, titles, perfect)):
            at_the_end(ax, results, law, column)
            ax.axvline(best, color=COLORS["truth"], lw=0.8)
            ax.set_title(f"{letters[column]}) {title}", loc="left")
            if column > 0:
                ax.set(yticklabels=[])
        row[0].set(xlim=(0, 1.08 * modes)), row[1].set(xlim=(0, 105))
        row[2].set_xscale("symlog", linthresh=0.01)
        row[2].set(xlim=(0, 4), xticks=[0, 0.01, 0.1, 1], xticklabels=["0", "0.01", "0.1", "1"])
        along(row[3], results, law, modes)
        row[3].set_title(f"{letters[3]}) modes held along the run", loc="left")
    return fig


def along(ax, results, law, modes):
    """Mean number of modes against seconds; the GANs, in one color, are told apart by their lines."""
    for method, how in METHODS.items():
        curve = results[f"{law} {method}"].mean(axis=0)
        ax.plot(SECONDS * curve[:, 0], curve[:, 1], LINES.get(method, "-"), lw=1.3, color=how.color)
    for height, text in ((6.0, "plain GAN"), (3.2, "WGAN-GP: dashed"), (1.0, "relativistic: solid")):
        ax.text(12.5, height, text, ha="right", fontsize=8, color=COLORS["gan"])
    ax.axhline(modes, color=COLORS["truth"], lw=0.8)
    ax.set(xlabel="CPU seconds", xscale="log", xlim=(0.34, 13), ylim=(0, 1.08 * modes), xticks=[1, 3, 10],
           xticklabels=["1", "3", "10"])
    ax.minorticks_off()


def at_the_end(ax, results, law, column):
    """One number of every run, a row a method, the published ones in gray above."""
    published = PUBLISHED[law]
    for place, numbers in enumerate(published.values()):
        ax.errorbar(numbers[2 * column], place, xerr=numbers[2 * column + 1], fmt="D", ms=4, color="#888888")
    for place, (method, how) in enumerate(METHODS.items(), start=len(published)):
        values = last(results, law, method)[:, column]
        n = len(values)
        ax.plot(values, place + np.linspace(-0.25, 0.25, n), ".", ms=3, color=how.color, alpha=0.6)
        if n > 1 and np.isfinite(values).all():
            ax.errorbar(values.mean(), place, xerr=values.std(ddof=1) / np.sqrt(n), fmt="o", ms=4, color=how.color)
    names = [f"{name}, 2018" for name in published] + list(METHODS)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    for label, how in zip(ax.get_yticklabels()[len(published):], METHODS.values()):
        label.set_color(how.color)
