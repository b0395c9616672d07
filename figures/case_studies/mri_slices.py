"""Whole slices of one head, pixel by pixel: the chain rule over 24 causal neighbors and the place.

p(slice) = prod_i p(pixel_i | 24 pixels before it, sines of its row and column), each a mixture of Gaussians
from one network.  Trained on the pixels of three quarters of the 8 x 8 blocks of one slice; scored on the
others, air and tissue apart.  There is one head in the data: the samples are variants of it, not patients.
"""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.real import MRI_CENTER, MRI_SCALE, mri_slice
from scratch.discriminative.labeled import join
from scratch.discriminative.mixture_density import MixtureRegressor
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, train

SECTION = "case"
FINDING = "24 neighbors and a place suffice to draw variants of one head"
SETTINGS = ("One MRI slice, means of 4 x 4 pixels (64 x 64); network 64-64, mixtures of 8 Gaussians; steps of 512 pixels; held "
            "out: every fourth 8 x 8 block; lines: 3 trainings; without the place: 12 sines fewer. One head: variants of it, "
            "no new patients.")

SIDE, BLOCK, REACH = 64, 8, 3                # pixels; 3 rows above and 3 pixels to the left: 3 * 7 + 3 = 24 neighbors
CAUSAL = [(-i, j) for i in range(1, REACH + 1) for j in range(-REACH, REACH + 1)] + [(0, -j) for j in range(1, REACH + 1)]
FREQUENCIES = np.pi * np.array([0.5, 1.0, 2.0])     # of row and column in [-1, 1]; by hand
AIR = -MRI_CENTER / MRI_SCALE
RECIPE = Recipe(Adam(4e-3, beta2=0.99), batch_size=512)
SAMPLES, SEEDS = 4, 3


def compute(effort, rng):
    """Held-out nats per pixel along training, of tissue and of air, and samples with the place and without."""
    quick = effort == "quick"
    steps, seeds, side = (4, 1, 16) if quick else (3000, SEEDS, SIDE)
    levels = np.rint(215 * mri_slice()).reshape(side, 256 // side, side, 256 // side)
    picture = (levels.mean(axis=(1, 3)) + rng.random((side, side)) - MRI_CENTER) / MRI_SCALE
    tissue = levels.mean(axis=(1, 3)).ravel() > 6
    row, column = np.indices((side, side)).reshape(2, -1) // BLOCK
    held = (row + 2 * column) % 4 == 0
    checkpoints = np.unique(np.geomspace(2 if quick else 30, steps, 4 if quick else 14).astype(int))
    best = checkpoints[len(checkpoints) // 2] if quick else 1000
    results = dict(seeds=seeds, checkpoints=checkpoints, picture=picture, best=best)
    for name, place in (("placed", True), ("placeless", False)):
        rows = join(context(picture[None], place)[0].reshape(side * side, -1), picture.ravel())
        curves = [[] for _ in range(seeds)]
        for curve in curves:
            model, samples = MixtureRegressor(rows.shape[1] - 1, hidden=(64, 64)), None
            for state in train(model, model.init(rng), rows[~held], rng, steps=steps, recipe=RECIPE):
                if state.step in checkpoints:
                    nats = -model.log_prob(state.average, rows)
                    curve.append([nats[held].mean(), nats[held & tissue].mean(), nats[held & ~tissue].mean(),
                                  nats[~held].mean()])
                if state.step == best and curve is curves[0]:
                    results[f"samples {name}"] = sample(model, state.average, SAMPLES, side, place, rng)
        results[f"curves {name}"] = np.array(curves, np.float32)                  # (seed, checkpoint, 4)
    return {key: np.asarray(value, np.float32) if np.asarray(value).dtype == float else value
            for key, value in results.items()}


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
    """Held-out nats per tissue pixel at the best step of each run, (seed,)."""
    return results[f"curves {name}"][..., 1].min(axis=1)


def claim(results):
    placed, placeless = (tissue_nats(results, name).mean() for name in ("placed", "placeless"))
    with_place, without = (r.mean() for r in nearest(results))
    return (f"With the place, samples correlate with the slice by {with_place:.2f}, without it by {without:.2f}; held-out "
            f"tissue costs {placed:.2f} and {placeless:.2f} nats per pixel.")


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
        "air costs at least a nat less than tissue": bool((results["curves placed"][..., 2].min(axis=1) <
                                                           tissue.min(axis=1) - 1).all()),
    }


def draw(results):
    """The slice, four samples with the place, two without; held-out nats of tissue and of all pixels."""
    fig = figure(4.9, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1, height_ratios=[1, 1.05])
    for k, (ax, picture) in enumerate(zip(top.subplots(1, 5), [results["picture"], *results["samples placed"]])):
        show(ax, picture, {0: "the slice", 1: f"samples, {results['best']:,} steps"}.get(k), "black")
    *pictures, left, right = bottom.subplots(1, 4, width_ratios=[1, 1, 1.35, 1.35])
    for k, ax in enumerate(pictures):
        show(ax, results["samples placeless"][k], "samples without the place" if k == 0 else None, ACCENT)
    x = results["checkpoints"]
    for name, color in (("placed", COLORS["autoregressive"]), ("placeless", ACCENT)):
        for seed in results[f"curves {name}"]:
            left.semilogx(x, seed[:, 1], color=color, lw=1)
            right.semilogx(x, seed[:, 0], color=color, lw=1)
    tissue = results["curves placed"][:, :, 1].mean(axis=0)
    left.text(x[0], tissue.min() - 0.05, "with the place, and without", va="top")
    left.set(xlabel="training step", ylabel="nats per pixel", title="held-out tissue", ylim=(tissue.min() - 0.4, tissue.min() + 2))
    right.set(xlabel="training step", title="all held-out pixels")
    return fig


def show(ax, picture, title, color):
    """A picture without ticks."""
    ax.imshow(picture, cmap="gray", vmin=AIR, vmax=2.4)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, loc="left", color=color)
