"""How often the 95 % interval of each estimator of KL holds the true KL, over dimension and KL."""
import numpy as np
from matplotlib.patches import Rectangle

from figures.divergence.shelf import SHELF
from figures.style import COLORS, DARK_ORANGE, figure
from scratch.data.distributions import GaussianMixture
from scratch.estimate import Share

SECTION = "divergence"
FINDING = "Between Gaussians kernels keep honest intervals from samples, neighbors do not"
SETTINGS = ("Share of 95 % intervals that hold the true KL(p || q). p = N(0, I), q = N(mu, I), 1,000 samples of each. 60 runs "
            "a cell, 10 where a network is trained. Blue: consistent with 90 to 99 % (within 2 s.e.). Orange: not.")

DIMENSIONS, KLS = (1, 2, 5, 10), (0.0, 0.1, 0.5, 2.0)
RUNS, SLOW_RUNS, SAMPLES = 60, 10, 1000
LOW, HIGH = 0.90, 0.99                                      # what is honest enough


def pair(dim, kl):
    """p = N(0, I) and q = N(mu, I), mu along the diagonal: KL = |mu|^2 / 2."""
    p = GaussianMixture(np.zeros((1, dim)), np.eye(dim)[None], [1.0])
    shift = np.full(dim, np.sqrt(2 * kl / dim))
    return p, GaussianMixture(shift[None], np.eye(dim)[None], [1.0])


def parts(effort):
    """An estimator in one dimension each."""
    return [f"{name}, D = {dim}" for name in SHELF for dim in DIMENSIONS]


def compute_part(part, effort, rng):
    """Hits of the interval at each KL, and the number of runs."""
    name, dim = part.split(", D = ")
    entry, quick = SHELF[name], effort == "quick"
    runs, n = (1, 60) if quick else (SLOW_RUNS if entry.slow else RUNS, SAMPLES)
    hits = np.zeros(len(KLS))
    for column, kl in enumerate(KLS[:1] if quick else KLS):
        p, q = pair(int(dim), kl)
        for _ in range(0 if quick and entry.slow else runs):
            low, high = entry.estimate(p.sample(n, rng), q.sample(n, rng), p.log_prob, q.log_prob, rng).interval()
            hits[column] += low - 1e-12 <= kl <= high + 1e-12
    return dict(hits=hits, runs=runs)


def gather(effort, parts):
    """hits (estimators, D, KL) and runs (estimators,)."""
    hits = np.reshape([part["hits"] for part in parts.values()], (len(SHELF), len(DIMENSIONS), len(KLS)))
    runs = [int(part["runs"]) for part in parts.values()][::len(DIMENSIONS)]
    return dict(seeds=max(runs), names=list(SHELF), needs=[entry.needs for entry in SHELF.values()], hits=hits, runs=runs)


def honest(results):
    """Whether each cell's share is consistent with LOW to HIGH, (estimators, D, KL)."""
    share = results["hits"] / results["runs"][:, None, None]
    error = np.array([[[Share.of(hit, run).stderr for hit in row] for row in cells]
                      for cells, run in zip(results["hits"], results["runs"])])
    return (share > LOW - 2 * error) & (share < HIGH + 2 * error)


def from_samples(results):
    """Which estimators see samples alone, (estimators,)."""
    return np.array([str(need) == "samples alone" for need in results["needs"]])


def claim(results):
    """How many cells are honest, with both densities and from samples alone."""
    good, alone = honest(results), from_samples(results)
    best = int(np.argmax(np.where(alone, good.sum(axis=(1, 2)), -1)))
    return (f"With both densities Monte Carlo is honest in {good[0].sum()} of {good[0].size} cells; from samples alone the "
            f"best, {results['names'][best]}, in {good[best].sum()}.")


def checks(results):
    """What the text and the color of the cells say."""
    good, names = honest(results), [str(name) for name in results["names"]]
    row = {name: good[names.index(name)] for name in names}
    return {"Monte Carlo k1 is honest in every cell": bool(row["Monte Carlo k1"].all()),
            "kernels are honest in every cell": bool(row["kernels"].all()),
            "adaptive neighbors are honest to 0.5 nats in 1 and 2 dimensions": bool(row["adaptive k"][:2, :3].all()),
            "adaptive neighbors are honest to 0.1 nats in 5 dimensions": bool(row["adaptive k"][2, :2].all()),
            "neither neighbors nor cells are honest at 2 nats in 5 dimensions or more": not any(
                row[name][2:, 3].any() for name in ("neighbors k=5", "adaptive k", "cells")),
            "five neighbors are honest at 2 nats in no dimension": not row["neighbors k=5"][:, 3].any()}


def draw(results):
    """A row an estimator, a block of columns a dimension; the share stands in the cell."""
    fig = figure(4.6, FINDING, SETTINGS)
    ax = fig.subplots()
    good, shares = honest(results), results["hits"] / results["runs"][:, None, None]
    groups = [str(need) for need in results["needs"]]
    rows = -np.arange(len(groups)) - 0.6 * np.array([list(dict.fromkeys(groups)).index(need) for need in groups])
    for row, name, cells, honest_cells in zip(rows, results["names"], shares, good):
        ax.text(-0.2, row, name, ha="right", va="center")
        for dim, kl in np.ndindex(cells.shape):
            x, is_good = dim * (len(KLS) + 0.4) + kl, honest_cells[dim, kl]
            ax.add_patch(Rectangle((x, row - 0.46), 0.94, 0.92, color=COLORS["autoregressive" if is_good else "discriminative"],
                                   alpha=0.25, lw=0))
            ax.text(x + 0.47, row, f"{100 * cells[dim, kl]:.0f}", ha="center", va="center", fontsize=8,
                    color=COLORS["autoregressive"] if is_good else DARK_ORANGE)
    for dim, D in enumerate(DIMENSIONS):
        left = dim * (len(KLS) + 0.4)
        ax.text(left + len(KLS) / 2, 1.5, f"D = {D}", ha="center", fontweight="bold")
        for kl, value in enumerate(KLS):
            ax.text(left + kl + 0.47, 0.75, f"{value:g}", ha="center", fontsize=8)
    ax.text(-0.2, 0.75, "KL in nats", ha="right")
    for need in dict.fromkeys(groups):
        ax.text(-5.0, rows[groups.index(need)], f"{need}:", va="center", fontsize=8, color="#666666")
    ax.set(xlim=(-5.1, len(DIMENSIONS) * (len(KLS) + 0.4)), ylim=(rows[-1] - 0.7, 2.0))
    ax.axis("off")
    return fig
