"""Whole slices of one head, pixel by pixel: the chain rule over 24 causal neighbors and the place.

p(slice) = prod_i p(pixel_i | 24 pixels before it, sines of its row and column), each a mixture of Gaussians
from one network.  It learns to predict the pixels of three quarters of the 8 x 8 blocks of one slice, and is scored on
those of the others, air and tissue apart.  In training, pixels of held-out blocks are neighbors of others, never
what is predicted.  There is one head in the data: the samples are variants of it, not patients.
"""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.real import MRI_CENTER, MRI_SCALE, mri_slice
from scratch.discriminative.labeled import join
from scratch.discriminative.mixture_density import MixtureRegressor
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

SECTION = "case"
FINDING = "24 neighbors and a place draw rough variants of one head"
SETTINGS = ("One MRI slice, means of 4 x 4 pixels (64 x 64); network 64-64, mixtures of 8 Gaussians; steps of 512 pixels; held "
            "out: every fourth 8 x 8 block; lines: 3 seeds, a training for each dot; samples: of the first seed; without the place: 12 sines "
            "fewer. One head: variants of it, no new patients.")

SIDE, BLOCK, REACH = 64, 8, 3                # pixels; 3 rows above and 3 pixels to the left: 3 * 7 + 3 = 24 neighbors
CAUSAL = [(-i, j) for i in range(1, REACH + 1) for j in range(-REACH, REACH + 1)] + [(0, -j) for j in range(1, REACH + 1)]
FREQUENCIES = np.pi * np.array([0.5, 1.0, 2.0])     # of row and column in [-1, 1]; by hand
AIR = -MRI_CENTER / MRI_SCALE
RECIPE = Recipe(Adam(4e-3, beta2=0.99), batch_size=512)
SAMPLES, SEEDS = 4, 3
BUDGETS, SHOWN = (100, 300, 1000, 2000), 1000  # steps of whole trainings, whose rates all fall to 0


def compute(effort, rng):
    """Held-out nats per pixel after trainings of BUDGETS steps, of tissue and of air, and samples of those of SHOWN."""
    quick = effort == "quick"
    budgets, seeds, side = ((2, 4), 1, 16) if quick else (BUDGETS, SEEDS, SIDE)
    levels = np.rint(215 * mri_slice()).reshape(side, 256 // side, side, 256 // side).mean(axis=(1, 3))
    picture = (levels + rng.random((side, side)) - MRI_CENTER) / MRI_SCALE
    tissue, (row, column) = levels.ravel() > 6, np.indices((side, side)).reshape(2, -1) // BLOCK
    held = (row + 2 * column) % 4 == 0
    results = dict(seeds=seeds, budgets=budgets, picture=picture)
    for name, place in (("placed", True), ("placeless", False)):
        rows = join(context(picture[None], place)[0].reshape(side * side, -1), picture.ravel())
        model = MixtureRegressor(rows.shape[1] - 1, hidden=(64, 64))
        curves = np.zeros((seeds, len(budgets), 4), np.float32)
        for seed, i in np.ndindex(curves.shape[:2]):
            theta = fit(model, model.init(rng), rows[~held], rng, steps=budgets[i], recipe=RECIPE)
            nats = -model.log_prob(theta, rows)
            curves[seed, i] = [nats[part].mean() for part in (held, held & tissue, held & ~tissue, ~held)]
            if seed == 0 and budgets[i] == (budgets[-1] if quick else SHOWN):
                results[f"samples {name}"] = sample(model, theta, SAMPLES, side, place, rng).astype(np.float32)
        results[f"curves {name}"] = curves
    return results


def context(pictures, place):
    """The network's input at every pixel of pictures (n, side, side): (n, side, side, F); outside there is air."""
    n, side, _ = pictures.shape
    padded = np.full((n, side + REACH, side + 2 * REACH), AIR)
    padded[:, REACH:, REACH:-REACH] = pictures
    near = [padded[:, REACH + i:REACH + i + side, REACH + j:REACH + j + side] for i, j in CAUSAL]
    return np.stack(near + sines(side, n) * place, axis=-1)


def sines(side, n):
    """Sines and cosines of row and column, 12 arrays (n, side, side)."""
    at = np.indices((side, side)) * 2 / side - 1
    return [np.broadcast_to(wave(f * axis), (n, side, side)) for axis in at for f in FREQUENCIES for wave in (np.sin, np.cos)]


def sample(model, theta, n, side, place, rng):
    """n pictures (n, side, side), row by row and pixel by pixel."""
    padded = np.full((n, side + REACH, side + 2 * REACH), AIR)
    places = np.stack(sines(side, n), axis=-1)                                    # (n, side, side, 12)
    for i in range(side):
        for j in range(side):
            near = np.stack([padded[:, REACH + i + di, REACH + j + dj] for di, dj in CAUSAL], axis=1)
            x = np.concatenate([near, places[:, i, j]], axis=1) if place else near
            padded[:, REACH + i, REACH + j] = np.clip(model.draw(theta, x, rng), AIR, -AIR + 1)   # a stray pixel spreads
    return padded[:, REACH:, REACH:-REACH]


def nearest(results):
    """Correlation of each sample with the slice: (4,) with the place, (4,) without."""
    return [np.array([np.corrcoef(s.ravel(), results["picture"].ravel())[0, 1] for s in results[f"samples {name}"]])
            for name in ("placed", "placeless")]


def tissue_nats(results, name):
    """Held-out nats per tissue pixel after the best of BUDGETS, chosen by the same nats, (seed,)."""
    return results[f"curves {name}"][..., 1].min(axis=1)


def claim(results):
    placed, placeless = (tissue_nats(results, name).mean() for name in ("placed", "placeless"))
    with_place, without = (r.mean() for r in nearest(results))
    return (f"With the place, samples correlate with the slice by {with_place:.2f}, without by {without:.2f}; held-out "
            f"tissue costs at best {placed:.2f} and {placeless:.2f} nats per pixel.")


def checks(results):
    tissue = results["curves placed"][..., 1]
    with_place, without = nearest(results)
    difference = tissue_nats(results, "placed") - tissue_nats(results, "placeless")
    return {
        "samples with the place resemble the head: correlation at least 0.6": bool(with_place.min() > 0.6),
        "without it none does: at most 0.4": bool(without.max() < 0.4),
        "the place changes the nats of tissue by less than 0.15": bool((np.abs(difference) < 0.15).all()),
        "tissue is learned by heart: over 0.3 nats worse at the end, in every run":
            bool((tissue[:, -1] > tissue.min(axis=1) + 0.3).all()),
        "all held-out pixels: at most -1.4 nats after 1,000 steps, the best budget":
            bool((budget := results["curves placed"][..., 0].mean(axis=0)).min() < -1.4
                 and results["budgets"][budget.argmin()] == SHOWN),
        "air costs at least a nat less than tissue": bool((results["curves placed"][..., 2].min(axis=1) <
                                                           tissue.min(axis=1) - 1).all()),
    }


def draw(results):
    """The slice, four samples with the place, two without; held-out nats of tissue and of all pixels."""
    fig = figure(4.9, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1, height_ratios=[1, 1.05])
    for k, (ax, picture) in enumerate(zip(top.subplots(1, 5), [results["picture"], *results["samples placed"]])):
        show(ax, picture, {0: "the slice", 1: f"samples, {SHOWN:,} steps"}.get(k), "black")
    *pictures, left, right = bottom.subplots(1, 4, width_ratios=[1, 1, 1.35, 1.35])
    for k, ax in enumerate(pictures):
        show(ax, results["samples placeless"][k], "samples without the place" if k == 0 else None, ACCENT)
    x = results["budgets"]
    for name, color in (("placed", COLORS["autoregressive"]), ("placeless", ACCENT)):
        curves = results[f"curves {name}"]
        for ax, column in ((left, 1), (right, 0)):
            ax.semilogx(x, curves[..., column].T, "o-", ms=3, color=color, lw=1)
    left.text(x[0], left.get_ylim()[1], "with the place", va="top", color=COLORS["autoregressive"])
    left.text(x[0], np.mean(left.get_ylim()) + 0.3 * np.ptp(left.get_ylim()), "without", va="top", color=ACCENT)
    left.set(xlabel="training steps", ylabel="nats per pixel", title="held-out tissue")
    right.set(xlabel="training steps", title="all held-out pixels")
    for ax in (left, right):
        ax.set_xticks(x, [f"{steps:,}" for steps in x])
        ax.minorticks_off()
    return fig


def show(ax, picture, title, color):
    """A picture without ticks."""
    ax.imshow(picture, cmap="gray", vmin=AIR, vmax=2.4)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, loc="left", color=color)
