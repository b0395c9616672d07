"""The mode-collapse table: PacGAN's ring and grid, three objectives, ten seeds, next to the published rows."""
from dataclasses import dataclass
from typing import Callable

import numpy as np

from figures.style import COLORS, figure
from scratch.data.distributions import grid, ring
from scratch.divergence.mode_coverage import mode_coverage
from scratch.implicit.gan import GAN, non_saturating, relativistic, wasserstein
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

CLAIM = ("By PacGAN's protocol the relativistic GAN with R1 and R2 keeps all 8 and all 25 modes in each of ten seeds, "
         "evenly (reverse KL 0.005 and 0.017 nats), with 97 and 94 % of its samples of high quality.  After a third of "
         "its updates WGAN-GP keeps all modes too, but is blurred; the plain GAN holds 2 of 8 and 9 of 25.")
STUDY = True

# PacGAN's distributions (Lin et al. 2018), divided by their standard deviation; no number depends on it.
RING, GRID = ring(8, 2 ** 0.5, 0.01 * 2 ** 0.5), grid(5, 2 / 8 ** 0.5, 0.05 / 8 ** 0.5)
LAWS = {"ring": (RING, 0.01 * 2 ** 0.5), "grid": (GRID, 0.05 / 8 ** 0.5)}
SEEDS, HIDDEN, SAMPLES = 10, (128, 128, 128), 2500


@dataclass(frozen=True)
class Method:
    """An objective, how long it is trained, and how: for the first two the best of a few short trials."""
    objective: Callable
    steps: int
    gamma: float = None
    recipe: Callable = lambda model: model.recipe


METHODS = {
    "plain GAN": Method(non_saturating, 8_000, recipe=lambda model: Recipe(
        Adam(1e-3, beta1=0.5, beta2=0.99), batch_size=256)),
    "WGAN-GP": Method(wasserstein, 8_000, gamma=1.0, recipe=lambda model: Recipe(
        Adam(model.rates(1e-3, 3e-3), beta1=0.0, beta2=0.9), batch_size=256)),
    "relativistic + R1 + R2": Method(relativistic, 25_000),
}

# mean and standard error over 10 trials: modes, high quality [%], reverse KL [nats]; Lin et al. 2018, Table 1
PUBLISHED = {"ring": {"GAN": (6.3, 0.5, 98.2, 0.2, 0.45, 0.09), "ALI": (6.6, 0.3, 97.6, 0.4, 0.36, 0.04),
                      "PacGAN2": (7.9, 0.1, 95.6, 2.0, 0.07, 0.03), "PacGAN4": (7.8, 0.1, 95.9, 1.4, 0.07, 0.02)},
             "grid": {"GAN": (17.3, 0.8, 94.8, 0.7, 0.70, 0.07), "ALI": (24.1, 0.4, 95.7, 0.6, 0.14, 0.03),
                      "PacGAN2": (23.8, 0.7, 91.3, 0.8, 0.13, 0.04), "PacGAN4": (24.8, 0.2, 93.6, 0.6, 0.04, 0.01)}}


def compute(effort, rng):
    """(modes, high quality in %, reverse KL in nats) of every run, (seeds, 3) for each law and method."""
    seeds, steps, hidden = (1, 20, (8,)) if effort == "quick" else (SEEDS, None, HIDDEN)
    return {f"{law}_{column}": [run(law, method, seed, steps, hidden) for seed in range(seeds)]
            for law in LAWS for column, method in enumerate(METHODS)}


def run(law_name, method_name, seed, steps=None, hidden=HIDDEN):
    """One run from a stream of its own, so that it can be repeated alone."""
    rng = np.random.default_rng([seed, list(LAWS).index(law_name), list(METHODS).index(method_name)])
    (law, std), method = LAWS[law_name], METHODS[method_name]
    model = GAN(2, hidden=hidden, objective=method.objective, gamma=method.gamma)
    theta = fit(model, model.init(rng), law, rng, steps=steps or method.steps, recipe=method.recipe(model))
    coverage = mode_coverage(model.sample(theta, SAMPLES, rng).astype(float), law.means, std)
    return coverage.modes, 100 * coverage.high_quality, coverage.reverse_kl


def draw(results):
    """Three numbers in columns, two laws in rows: published means above, our seeds below."""
    seeds = len(results["ring_0"])
    fig = figure(6.2, f"Mode collapse by PacGAN's protocol, 2,500 samples a run: {seeds} seeds, batches of "
                      "256, networks 128-128-128\n(small dots: seeds; large: mean and standard error; gray: "
                      "published, 400,000 updates; line: a perfect sampler)")
    for (law, panels), (means, _) in zip(zip(LAWS, fig.subplots(2, 3, sharey=True)), LAWS.values()):
        published, names = PUBLISHED[law], [f"{name} (2018)" for name in PUBLISHED[law]] + [
            f"{name}\n{method.steps:,} updates" for name, method in METHODS.items()]
        modes = len(means.means)
        perfect = modes, 100 * (1 - np.exp(-4.5)), (modes - 1) / (2 * SAMPLES)
        titles = f"{law}: modes of {modes}", "high quality [%]", "reverse KL of the modes [nats]"
        for column, (ax, title, best) in enumerate(zip(panels, titles, perfect)):
            ax.axvline(best, color=COLORS["truth"], lw=0.8)
            for place, row in enumerate(published.values()):
                ax.errorbar(row[2 * column], place, xerr=row[2 * column + 1], fmt="o", ms=5, color=COLORS["baseline"])
            for place, method in enumerate(METHODS, start=len(published)):
                values = results[f"{law}_{place - len(published)}"][:, column]
                ax.plot(values, place + np.linspace(-0.25, 0.25, seeds), ".", ms=3, color=COLORS["gan"], alpha=0.6)
                if seeds > 1 and np.isfinite(values).all():
                    ax.errorbar(values.mean(), place, xerr=values.std(ddof=1) / np.sqrt(seeds), fmt="o", ms=5,
                                color=COLORS["gan"])
            ax.set(title=title, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
        panels[2].set_xscale("symlog", linthresh=0.01)
        panels[2].set_xlim(0, 4)
    return fig
