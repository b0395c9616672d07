"""The forward chain and its reverse on an MRI slice: noise is added step by step, and taken out step by step."""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from figures import style
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.real import mri_slice
from scratch.explicit.mixture_em import MixtureEM
from scratch.implicit.diffusion.chain import Chain
from scratch.implicit.diffusion.ddpm import reverse_mean

SECTION = "1.5"
FINDING = "Steps add noise to a slice; small steps back take it out"
SETTINGS = ("One MRI slice, mean 0 and std 1 (cut to the head for the picture); chain of 60 steps, linear "
            "schedule. Denoiser: E[patch | noisy patch] for 8 x 8 patches under a mixture of 12 Gaussians (EM on "
            "3 of 4 blocks of the slice), overlapping patches averaged: exact for a patch of the mixture, not for"
            " the slice. d: on held-out blocks; 3 seeds lie on each other, the first is drawn.")

SIDE, PATCH, BLOCK = 256, 8, 32           # pixels
SHARES = (0.0, 0.2, 0.35, 1.0)            # of the chain, shown; the second way back begins at the last but one
SIGMAS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
CUT = np.s_[:, 24:232, 16:208]            # of the pictures
LOW, HIGH, GRAYS = -1.0, 2.6, 15          # pictures are stored as integers


def compute(effort, rng):
    """Both chains of three seeds, the first one's pictures, and the RMSE of three denoisers on held-out pixels."""
    full = effort == "full"
    components, em_steps, steps, stride = (12, 20, 60, 3) if full else (2, 1, 10, 8)
    levels = mri_slice() * 215
    levels = levels + rng.random(levels.shape)              # no density has a spike at the gray level of air
    slice_ = (levels - levels.mean()) / levels.std()
    held, rows = held_out(), training_patches(slice_, held_out())
    rows = rows[rng.permutation(len(rows))[:8000 if full else 500]]
    em = MixtureEM(components, PATCH ** 2)
    theta = em.start(rows, rng)
    for _ in range(em_steps):
        theta, _ = em.em_step(theta, rows)
    gaussian = GaussianMixture(rows.mean(axis=0)[None], np.cov(rows.T)[None], [1.0])
    denoisers = [patchwise(em.law(theta), stride), patchwise(gaussian, stride), lambda x, sigma: x / (1 + sigma ** 2)]
    chain, x0 = Chain(steps), slice_.reshape(1, -1)
    runs, errors = zip(*(_seed(chain, denoisers, x0, held.ravel(), rng) for _ in range(3 if full else 1)))
    return dict(seeds=len(runs), shown=_shown(chain), sigmas=chain.sigma[list(_shown(chain))], pictures=runs[0][0],
                ends=[run[1] for run in runs], left=[run[2] for run in runs], errors=errors)


def held_out():
    """The pixels (SIDE, SIDE) of every fourth block, where the mixture saw nothing."""
    row, column = np.indices((SIDE // BLOCK, SIDE // BLOCK))
    return np.kron((row + 2 * column) % 4 == 0, np.ones((BLOCK, BLOCK))) > 0


def training_patches(slice_, held):
    """All patches (n, PATCH^2) that lie inside one training block."""
    blocks, keep = (sliding_window_view(image.reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).swapaxes(1, 2),
                                        (PATCH, PATCH), axis=(2, 3)) for image in (slice_, ~held))
    return blocks[keep.all(axis=(2, 3, 4, 5))].reshape(-1, PATCH ** 2)


def patchwise(law, stride):
    """A denoiser of whole slices (1, SIDE^2): the posterior mean of every patch under `law`, then their mean."""
    corner = np.unique([*range(0, SIDE - PATCH, stride), SIDE - PATCH])
    inside = np.add.outer(SIDE * np.arange(PATCH), np.arange(PATCH)).ravel()
    at = np.add.outer(SIDE * corner, corner).ravel()[:, None] + inside            # (patches, PATCH^2)
    times = np.bincount(at.ravel())

    def denoise(x, sigma):
        return (np.bincount(at.ravel(), law.denoise(x[0, at], sigma).ravel()) / times)[None]
    return denoise


def _shown(chain):
    return tuple(round(share * chain.steps) for share in SHARES)


def _seed(chain, denoisers, x0, held, rng):
    """Pictures of the chain and of two ways back, RMSE at both ends, correlation at T; RMSE of denoisers."""
    forward, x = [x0], x0
    for t in range(1, chain.steps + 1):
        x = chain.step(x, t, rng.standard_normal(x.shape))
        forward.append(x)
    middle = _shown(chain)[-2]
    back, again = (reverse(chain, denoisers[0], forward[t], t, rng) for t in (chain.steps, middle))
    *early, last = _shown(chain)
    pictures = [x[t] for x, times in ((forward, (*early, last)), (back, early), (again, early[:-1])) for t in times]
    ends = [np.sqrt(np.mean((x[0] - x0) ** 2)) for x in (back, again)]
    errors = []
    for sigma in SIGMAS:
        noisy = x0 + sigma * rng.standard_normal(x0.shape)
        errors.append([np.sqrt(np.mean((denoise(noisy, sigma) - x0)[:, held] ** 2)) for denoise in denoisers])
    left = np.corrcoef(forward[-1], x0)[0, 1]
    shades = GRAYS * np.clip((np.reshape(pictures, (-1, SIDE, SIDE))[CUT] - LOW) / (HIGH - LOW), 0, 1)
    return (np.uint8(np.round(shades)), ends, left), errors


def reverse(chain, denoise, x, t, rng):
    """[x_0, ..., x_t = x]: each from the next by the Gaussian q(x_(t-1) | x_t, x_0), with E[x_0 | x_t] for x_0."""
    path = [x]
    for k in range(t, 0, -1):
        noise = np.sqrt(chain.posterior_variance[k]) * rng.standard_normal(x.shape)
        path.append(reverse_mean(chain, denoise, path[-1], k) + noise)
    return path[::-1]


def claim(results):
    """How far both ways back end from the slice."""
    start, middle = np.mean(results["ends"], axis=0)
    return (f"From noise of {results['sigmas'][-2]:.1f} times the slice's spread the way back ends {middle:.2f} from "
            f"it (RMS), from pure noise {start:.2f}: texture without anatomy.")


def checks(results):
    """The chain forgets; the way back from part of it finds the slice, that from noise another picture."""
    (start, middle), error = np.transpose(results["ends"]), np.asarray(results["errors"])
    mixture, gaussian, pixel = np.moveaxis(error, 2, 0)
    return {"the last step keeps no correlation of 4 / sqrt(pixels)": bool(np.abs(results["left"]).max() < 4 / SIDE),
            "from part of the way within 0.5 of the slice, every seed": bool(middle.max() < 0.5),
            "from pure noise beyond 0.9, every seed": bool(start.min() > 0.9),
            "the mixture beats one Gaussian at every level, every seed": bool((mixture < gaussian).all()),
            "patches leave less than half the error of single pixels from 0.5 to 2": bool(
                (mixture[:, 2:5] < 0.5 * pixel[:, 2:5]).all())}


def draw(results):
    """Three rows of slices, and the error of three denoisers."""
    fig = style.figure(7.9, FINDING, SETTINGS)
    grid, pictures = fig.add_gridspec(3, len(SHARES)), list(results["pictures"])
    forward, back, again = pictures[:4], pictures[4:7] + pictures[3:4], pictures[7:] + pictures[2:3]
    names = ("a  noise is added $\\rightarrow$", "b  $\\leftarrow$ back from pure noise",
             f"c  $\\leftarrow$ back from step {results['shown'][-2]}")
    for row, (name, shown) in enumerate(zip(names, (forward, back, again))):
        for column, picture in enumerate(shown):
            ax = fig.add_subplot(grid[row, column])
            ax.imshow(picture, cmap="gray", vmin=0, vmax=GRAYS)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if row == 0:
                sigma = results["sigmas"][column]
                ax.set_title(f"step {results['shown'][column]}, $\\sigma$ = {sigma:.{0 if sigma > 10 else 1}f}")
            if column == 0:
                ax.set_ylabel(name, color=style.COLORS["diffusion"] if row else style.COLORS["truth"])
    ax = fig.add_subplot(grid[2, len(SHARES) - 1])
    curves = (("patches,\nmixture", style.COLORS["diffusion"], (1.2, 0.045)),
              ("patches,\nGaussian", style.SECOND_DIFFUSION, (0.1, 0.45)),
              ("single pixels", style.COLORS["truth"], (0.1, 1.05)))
    for which, (name, color, place) in enumerate(curves):
        value = np.asarray(results["errors"])[:, :, which]
        ax.loglog(SIGMAS, value.T, "o-", ms=2.5, lw=1, color=color if which < 2 else style.COLORS["baseline"])
        ax.text(*place, name, color=color, fontsize=8, va="center")
    ax.set(title="d  RMSE of denoisers", xlabel="noise $\\sigma$", box_aspect=0.9, ylim=(0.02, 1.6))
    ax.set_xticks([0.1, 1, 4], ["0.1", "1", "4"])
    ax.set_yticks([0.05, 0.2, 1], ["0.05", "0.2", "1"])
    ax.minorticks_off()
    return fig
