"""The denoiser that fits N training rows best hands them back; does the learned one?"""
import numpy as np
from scipy.spatial import cKDTree
from scipy.special import softmax

from figures.style import ACCENT, COLORS, DENSITY, figure, plane
from scratch.data.distributions import LAWS
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.grid import midpoints
from scratch.learning.training import train

CLAIM = ("The denoiser that is best for N rows hands back nothing but those rows; the learned one does so too "
         "for 16 rows (98 % of its samples) and in part for 64 (52 %), no longer for 1,024, and its KL falls "
         "from 9 nats to 0.02; with few rows, stopping early keeps it nearer to the law.")

STUDY = True
LAW = LAWS["moons"]
WINDOW = ((-2.4, 2.4), (-1.8, 1.8))
PIXELS = 120
NEAR = 0.05                    # the share of fresh draws of the law that count as near to a training row


def empirical_denoiser(rows):
    """E[x0 | x0 + sigma eps = x] when x0 is one of the rows, each equally likely: a mean of rows, by nearness."""
    def denoise(x, sigma):
        square = np.sum(x * x, axis=1)[:, None] - 2 * x @ rows.T + np.sum(rows * rows, axis=1)
        return softmax(-square / (2 * sigma ** 2), axis=1) @ rows
    return denoise


def compute(effort, rng):
    """For each number of rows and seed: train, sample, and compare with the law and with the rows."""
    sizes, seeds, checkpoints, hidden, n = (((4,), 1, (2, 4), (8,), 30) if effort == "quick" else
                                            ((16, 64, 256, 1024, 4096), 3, (500, 4000), (128, 128, 128), 3000))
    results = dict(sizes=sizes, seeds=seeds, checkpoints=checkpoints, n=n)
    sigmas = karras_sigmas(32)
    measures = np.full((len(sizes), seeds, 1 + len(checkpoints), 3), np.inf)      # share near, KL by two roads
    for i, size in enumerate(sizes):
        for seed in range(seeds):
            rows, fresh = LAW.sample(size, rng), LAW.sample(n, rng)
            tree = cKDTree(rows)
            radius = np.quantile(tree.query(fresh)[0], NEAR)
            start = sigmas[0] * rng.standard_normal((n, 2))
            samples = [heun(empirical_denoiser(rows), start, sigmas)]
            model = Diffusion(2, hidden=hidden)
            repeated = np.repeat(rows, max(1, 512 // size), axis=0)               # batches of 512 for every N
            for state in train(model, model.init(rng), repeated, rng, steps=checkpoints[-1]):
                if state.step in checkpoints:
                    theta = state.average
                    samples.append(heun(lambda x, sigma: model.denoise(theta, x, sigma), start, sigmas))
                    kl = kl_monte_carlo(LAW.log_prob, lambda x: model.log_prob(theta, x), fresh[:n // 6])
                    measures[i, seed, len(samples) - 1, 2] = kl.value
            for j, x in enumerate(samples):
                near = np.mean(tree.query(x)[0] < radius)
                measures[i, seed, j, :2] = near, kl_adaptive_neighbors(fresh, x.astype(float)).value
            if seed == 0:
                results |= {f"rows_{size}": rows, f"samples_{size}": [x[:400] for x in samples]}
    nodes, _ = midpoints(WINDOW, PIXELS)
    density = np.exp(LAW.log_prob(nodes)).reshape(PIXELS, PIXELS).astype(np.float32)
    return results | dict(measures=measures, density=density)


def draw(results):
    """Rows and samples in the plane above; copies and KL against the number of rows below."""
    sizes, checkpoints = results["sizes"], results["checkpoints"]
    fig = figure(5.4, f"Moons; network 128-128-128, {checkpoints[-1]} steps of 512; {int(results['n'])} "
                      f"samples by 32 Heun steps; mean and range of {int(results['seeds'])} seeds")
    top, bottom = fig.subfigures(2, 1, height_ratios=[0.72, 1])
    shown = [(sizes[0], 0), (sizes[0], 2), (sizes[len(sizes) // 2], 2), (sizes[-1], 2)]
    for ax, (size, which) in zip(top.subplots(1, 4, sharey=True), shown):
        ax.imshow(results["density"].T, origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY)
        if size < 1000:
            ax.plot(*results[f"rows_{size}"].T, "o", ms=7 if size < 100 else 3, mfc="none", mew=0.6, color=ACCENT)
        color = COLORS["diffusion"] if which else COLORS["baseline"]
        ax.plot(*results[f"samples_{size}"][which].T, ".", ms=4, mew=0, color=color)
        plane(ax, WINDOW)
        ax.set_title(f"N = {size}, " + ("network" if which else "empirical"))
    copies, divergences = bottom.subplots(1, 2)
    curves = [("empirical denoiser", COLORS["baseline"], "-")] + [
        (f"network, {steps} steps", COLORS["diffusion"], style) for steps, style in zip(checkpoints, ("--", "-"))]
    for which, (label, color, style) in enumerate(curves):
        near, neighbors, likelihood = np.moveaxis(results["measures"][:, :, which], 2, 0)    # (sizes, seeds) each
        with_range(copies, sizes, 100 * near, fmt="o", ls=style, ms=3, color=color, label=label)
        with_range(divergences, sizes, neighbors, fmt="s", ls=":", ms=4, mfc="none", color=color)
        if which:
            with_range(divergences, sizes, likelihood, fmt="o", ls=style, ms=3, color=color, label=f"{label}, ODE")
    copies.axhline(100 * NEAR, color=COLORS["truth"], ls=":", label="fresh draws of the law")
    copies.set(xscale="log", xticks=sizes, xticklabels=sizes, xlabel="training rows N", ylim=(0, 105),
               ylabel="samples near a training row [%]")
    copies.legend(loc="center right")
    divergences.plot([], [], "s:", ms=4, mfc="none", color=COLORS["truth"], label="by neighbors, samples only")
    divergences.set(xscale="log", xticks=sizes, xticklabels=sizes, xlabel="training rows N", yscale="log",
                    ylim=(5e-3, 20), ylabel="KL(law || model) [nats]")
    for ax in (copies, divergences):
        ax.minorticks_off()
    divergences.legend(loc="lower left")
    return fig


def with_range(ax, x, values, **style):
    """The mean of values (x, seeds) over the seeds, and their range."""
    mean = values.mean(axis=1)
    ax.errorbar(x, mean, [mean - values.min(axis=1), values.max(axis=1) - mean], **style)
