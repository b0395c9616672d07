"""What families with a density miss of one mixture as its dimension grows from 2 to 64."""
import numpy as np

from figures import ledger, style
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.flow_matching import FlowMatching
from scratch.learning.training import Recipe, fit

SECTION = "1.3"
FINDING = "Missed nats grow by orders of magnitude from 2 to 64 dimensions"
SETTINGS = ("Mixture of 8 Gaussians: their means are on a circle of radius 2 in each pair of coordinates; std 0.3, "
            "neighboring coordinates correlated by 0.7. 2,000 steps of 256 fresh samples, default widths. KL by Monte "
            "Carlo, 200 to 4,000 rows. A dot for each of 3 seeds, with its standard error; line: their mean.")

DIMENSIONS = (2, 4, 8, 16, 32, 64)
SEEDS = 3
MODES, RADIUS, STD, CORRELATION = 8, 2.0, 0.3, 0.7
FAMILIES = {
    "autoregressive": ("autoregressive", lambda dim, sizes: AutoregressiveMixture(dim, components=8, **sizes)),
    "diffusion": ("diffusion", lambda dim, sizes: Diffusion(dim, **sizes)),
    "flow matching": ("second diffusion", lambda dim, sizes: FlowMatching(dim, **sizes)),
}


def mixture(dim):
    """The mixture in an even dimension.  In pair j mode k has the angle 2 pi k f / 8, f = 1, 3, 5, 7, 1, ..."""
    f = 2 * np.arange(dim // 2) + 1                         # odd: the eight angles differ in every pair
    angle = 2 * np.pi / MODES * np.arange(MODES)[:, None] * f                     # (8, D / 2)
    means = RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(MODES, dim)
    apart = np.abs(np.arange(dim)[:, None] - np.arange(dim))
    return GaussianMixture(means, np.tile(STD ** 2 * CORRELATION ** apart, (MODES, 1, 1)), np.full(MODES, 1 / MODES))


def parts(effort):
    """A name for each family, dimension and seed."""
    dimensions, seeds = (DIMENSIONS, SEEDS) if effort == "full" else (DIMENSIONS[:1], 1)
    return [f"{family}, {dim}, {seed}" for family in FAMILIES for dim in dimensions for seed in range(seeds)]


def compute_part(part, effort, rng):
    """KL(p_data || p_model) of one training, and its error."""
    family, dim, _ = part.split(", ")
    law, model = mixture(int(dim)), FAMILIES[family][1](int(dim), dict(hidden=(4,)) if effort == "quick" else {})
    steps, n = (5, 20) if effort == "quick" else (2000, max(200, 8000 // int(dim)))
    recipe = Recipe(model.recipe.optimizer, batch_size=256)
    theta = fit(model, model.init(rng), law, rng, steps=steps, recipe=recipe)
    kl = kl_monte_carlo(law.log_prob, lambda x: np.asarray(model.log_prob(theta, x), float), law.sample(n, rng))
    return dict(kl=(kl.value, kl.stderr))


def gather(effort, parts):
    """KL and error (family, dimension, seed, 2)."""
    dimensions, seeds = (DIMENSIONS, SEEDS) if effort == "full" else (DIMENSIONS[:1], 1)
    kl = np.reshape([found["kl"] for found in parts.values()], (len(FAMILIES), len(dimensions), seeds, 2))
    return dict(seeds=seeds, dimensions=dimensions, families=list(FAMILIES), kl=kl)


def claim(results):
    """The first and the last dimension."""
    first, last = results["kl"][:, 0, :, 0].mean(axis=1), results["kl"][:, -1, :, 0].mean(axis=1)
    said = ", ".join(f"{family} {a:.3f} to {b:.2f}" for family, a, b in zip(results["families"], first, last))
    return f"From {results['dimensions'][0]} to {results['dimensions'][-1]} dimensions, in nats: {said}."


def checks(results):
    """What the headline says."""
    value = results["kl"][..., 0].mean(axis=2)              # (family, dimension)
    return {"every family misses at least 100 times more in 64 dimensions than in 2":
            bool((value[:, -1] > 100 * value[:, 0]).all())}


def draw(results):
    """Nats against the dimension, a line for each family."""
    fig = style.figure(3.8, FINDING, SETTINGS)
    ax = fig.subplots()
    for family, kl in zip(results["families"], results["kl"]):
        color, mean = ledger.COLORS[FAMILIES[family][0]], kl[..., 0].mean(axis=1)
        ax.plot(results["dimensions"], mean, color=color)
        for seed in np.moveaxis(kl, 1, 0):
            ax.errorbar(results["dimensions"], *seed.T, fmt="o", ms=3, lw=1, color=color)
        place, up = {"autoregressive": (2, -18), "diffusion": (1, 14), "flow matching": (1, -16)}[str(family)]
        place = min(place, len(mean) - 1)
        ax.annotate(family, (results["dimensions"][place], mean[place]), (8, up), textcoords="offset points", color=color)
    ax.set(xscale="log", yscale="log", xlabel="dimension D", ylabel="KL(data || model) [nats]",
           xticks=results["dimensions"], xticklabels=results["dimensions"], xlim=(1.8, 72))
    ax.minorticks_off()
    return fig
