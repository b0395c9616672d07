"""The autoregressive model on real input: 8 x 8 patches of an MRI slice."""
import numpy as np

from figures.style import COLORS, figure
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.real import mri_patches
from scratch.data.standardized import standardize
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.learning.training import fit

SECTION = "1.3"
FINDING = "On real image patches the autoregressive model beats the best Gaussian"
SETTINGS = ("8 x 8 patches of one MRI slice without air, whitened; 4 Gaussians in each conditional, network "
            "192-192, 200 steps of 512. Pixels in units of 50 gray levels. Dots: 3 seeds. Held-out patches come "
            "from other blocks of the slice than training patches.")

SIDE, SHOWN, SEEDS = 8, 4, 3                                # pixels, and patches along the side of a mosaic


def compute(effort, rng):
    """Nats per pixel of both models on both parts, the gain, and some patches of each kind."""
    steps, hidden = (5, (64,)) if effort == "quick" else (200, (192, 192))
    rows, held_out = mri_patches(SIDE, rng)
    if effort == "quick":
        rows, held_out = rows[:300], held_out[:20]
    pixels = SIDE ** 2
    gaussian = GaussianMixture(rows.mean(axis=0)[None], np.cov(rows.T)[None], [1.0])
    exact = gaussian.log_prob(held_out) / pixels
    model = standardize(AutoregressiveMixture(pixels, components=4, hidden=hidden), rows, whiten=True)
    nats, gains = [], []
    for _ in range(SEEDS):
        theta = fit(model, model.init(rng), rows, rng, steps=steps)
        log_p = [model.log_prob(theta, part) / pixels for part in (rows, held_out)]
        nats.append([-part.mean() for part in log_p])
        gains.append(log_p[1] - exact)
    # Neighbors are alike, so the error is that of means over four patches that follow each other, about a block.
    groups = [group.mean() for group in np.array_split(np.mean(gains, axis=0), len(held_out) // 4)]
    return dict(seeds=SEEDS, held_out=len(held_out), nats=nats,
                gaussian=[-gaussian.log_prob(part).mean() / pixels for part in (rows, held_out)],
                gains=np.mean(gains, axis=1), error=np.std(groups, ddof=1) / np.sqrt(len(groups)),
                real=np.float32(held_out[rng.permutation(len(held_out))[:SHOWN ** 2]]),
                model=np.float32(model.sample(theta, SHOWN ** 2, rng)),
                normal=np.float32(gaussian.sample(SHOWN ** 2, rng)))


def claim(results):
    """The paired gain on held-out patches."""
    return (f"On {results['held_out']} held-out patches of an MRI slice its log-likelihood is "
            f"{results['gains'].mean():.2f} ± {results['error']:.2f} nats per pixel "
            "above that of the full-covariance Gaussian.")


def checks(results):
    """The gain in every seed, and above its error."""
    return {"better than the Gaussian on held-out patches in every seed": bool((results["gains"] > 0).all()),
            "by more than 5 standard errors": bool(results["gains"].mean() > 5 * results["error"])}


def draw(results):
    """Three mosaics of patches, and nats per pixel."""
    fig = figure(3.3, FINDING, SETTINGS)
    fig.get_layout_engine().set(w_pad=0.12)                 # between the mosaics more than between their patches
    *mosaics, nats = fig.subplots(1, 4, width_ratios=[1, 1, 1, 1.15])
    for ax, key, title, color in zip(mosaics, ("real", "model", "normal"),
                                     ("real, held out", "autoregressive model", "Gaussian"),
                                     ("black", COLORS["autoregressive"], "#777777")):
        ax.imshow(mosaic(results[key]), cmap="gray", vmin=-2, vmax=2.5)
        ax.set_axis_off()
        ax.set_title(title, color=color, fontweight="bold")
    for place, part in enumerate(("training", "held out")):
        nats.plot(results["nats"][:, place], np.full(SEEDS, -place) + (-0.06, 0, 0.06), "o", ms=6, mew=0, alpha=0.7,
                  color=COLORS["autoregressive"])
        nats.plot(results["gaussian"][place], -place, "o", ms=6, color="#999999")
    nats.text(results["nats"][:, 0].mean(), 0.2, "autoregressive", color=COLORS["autoregressive"], ha="center")
    nats.text(results["gaussian"][0], 0.2, "Gaussian", color="#777777", ha="center")
    nats.set(ylim=(-1.4, 0.5), xlabel="-log p per pixel [nats], less is better", yticks=[0, -1])
    nats.margins(x=0.25)
    nats.set_yticklabels(["training", "held out"])
    return fig


def mosaic(patches):
    """Patches (n^2, side^2) as one picture with gaps between them."""
    n = int(np.sqrt(len(patches)))
    tiles = np.full((n, SIDE + 1, n, SIDE + 1), np.nan)
    tiles[:, :SIDE, :, :SIDE] = patches.reshape(n, n, SIDE, SIDE).swapaxes(1, 2)
    return tiles.reshape(n * (SIDE + 1), n * (SIDE + 1))[:-1, :-1]
