"""The autoregressive model on real input: 3 x 3 patches of an MRI slice."""
import numpy as np

from figures.style import COLORS, figure
from scratch.data.distributions import GaussianMixture
from scratch.data.real import mri_patches, mri_slice
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.learning.training import train

CLAIM = ("On patches of a real MRI slice the autoregressive model beats the best Gaussian with full covariance by "
         "many standard errors (over groups of neighboring patches) on held-out nats per pixel.")

SIDE = 3
SHOWN = 12                                                  # patches along the side of a mosaic


def compute(effort, rng):
    """Held-out nats per pixel along training, of the Gaussian, and some patches of each kind."""
    steps, hidden = (40, (16, 16)) if effort == "quick" else (1500, (128, 128))
    rows, held_out = mri_patches(SIDE, rng)
    pixels = SIDE ** 2
    gaussian = GaussianMixture(rows.mean(axis=0)[None], np.cov(rows.T)[None], [1.0])
    model = AutoregressiveMixture(dim=pixels, components=8, hidden=hidden)
    checkpoints, curve = np.unique(np.logspace(0, np.log10(steps), 30).astype(int)), []
    for state in train(model, model.init(rng), rows, rng, steps=steps):
        if state.step in checkpoints:
            curve.append([-model.log_prob(state.average, part).mean() / pixels for part in (rows, held_out)])
    gain = (model.log_prob(state.average, held_out) - gaussian.log_prob(held_out)) / pixels    # paired: (n,)
    # Neighbors are alike, so the error is that of means over some 25 patches of one block, which follow each other.
    groups = [group.mean() for group in np.array_split(gain, max(2, len(gain) // 25))]
    return dict(slice=mri_slice(), checkpoints=checkpoints, curve=curve, steps=steps, held_out_rows=len(held_out),
                gaussian=[-gaussian.log_prob(part).mean() / pixels for part in (rows, held_out)],
                gain=[gain.mean(), np.std(groups, ddof=1) / np.sqrt(len(groups))],
                real=held_out[rng.permutation(len(held_out))[:SHOWN ** 2]],
                generated=model.sample(state.average, SHOWN ** 2, rng),
                gaussian_generated=gaussian.sample(SHOWN ** 2, rng))


def draw(results):
    """The slice, three mosaics of patches, and the learning curve."""
    gain, error = results["gain"]
    fig = figure(5.6, f"3 x 3 patches of an MRI slice: the autoregressive model's log-likelihood is {gain:.3f} $\\pm$ "
                      f"{error:.3f} nats\nper pixel above the full-covariance Gaussian's "
                      f"({int(results['held_out_rows'])} held-out patches)")
    panels = fig.subplot_mosaic([["slice", "real", "generated", "gaussian"], ["curve"] * 4],
                                gridspec_kw=dict(height_ratios=[1.1, 1]))
    panels["slice"].imshow(results["slice"], cmap="gray")
    panels["slice"].set(title="the slice", xticks=[], yticks=[])
    for key, title, name, color in (("real", "real, held out", "real", "truth"),
                                    ("generated", "autoregressive model", "generated", "autoregressive"),
                                    ("gaussian", "Gaussian", "gaussian_generated", "baseline")):
        panels[key].imshow(mosaic(results[name]), cmap="gray", vmin=-2, vmax=2.5)
        panels[key].set(xticks=[], yticks=[])
        panels[key].set_title(title, color=COLORS[color])
    ax, steps = panels["curve"], results["checkpoints"]
    for column, (part, style) in enumerate((("training", ":"), ("held out", "-"))):
        ax.semilogx(steps, results["curve"][:, column], style, color=COLORS["autoregressive"],
                    label=f"autoregressive model, {part}")
        ax.axhline(results["gaussian"][column], ls=style, color=COLORS["baseline"], label=f"Gaussian, {part}")
    best = min(results["curve"].min(), results["gaussian"].min())
    ax.set(xlabel="training step", ylabel="nats per pixel\n(pixels in units of 50 gray levels)",
           ylim=(best - 0.1, best + 1.3))
    ax.legend(ncols=2)
    return fig


def mosaic(patches):
    """Patches (n^2, side^2) as one picture with gaps between them."""
    n = int(np.sqrt(len(patches)))
    tiles = np.full((n, SIDE + 1, n, SIDE + 1), np.nan)
    tiles[:, :SIDE, :, :SIDE] = patches.reshape(n, n, SIDE, SIDE).swapaxes(1, 2)
    return tiles.reshape(n * (SIDE + 1), n * (SIDE + 1))[:-1, :-1]
