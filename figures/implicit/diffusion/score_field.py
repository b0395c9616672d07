"""The learned score against the exact one, over noise levels."""
import numpy as np
from matplotlib.colors import LogNorm

from figures.style import COLORS, DENSITY, figure, plane
from scratch.data.distributions import LAWS
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.grid import midpoints
from scratch.learning.training import fit

CLAIM = ("Where the data are, the learned score is within 0.04 of the exact one (rms, the noise being 1) at every "
         "level; away from them, where training never looks, it may be wrong by more than the noise itself.")
STUDY = True

SIGMAS = (0.05, 0.2, 0.6, 2.0)
REACH = (3.6, 3.8, 4.8, 8.0)              # half the width of each window
MASS = 0.99                               # the contour holds this share of the noised law
ARROWS = 19
LONGEST = 3.0                             # longer arrows stand where there is no data, and are left out


def compute(effort, rng):
    """Train on the spirals; both scores on a grid per level, times sigma: in units in which noise has size 1."""
    full = effort == "full"
    steps, hidden, pixels, n = (10_000, (128, 128, 128), 120, 10_000) if full else (20, (16, 16), 12, 100)
    law, model = LAWS["spirals"], Diffusion(dim=2, hidden=hidden)
    theta = fit(model, model.init(rng), law, rng, steps=steps)
    results = dict(steps=steps)
    for i, (sigma, reach) in enumerate(zip(SIGMAS, REACH)):
        noised, window = law.noised(sigma), [(-reach, reach)] * 2
        nodes, _ = midpoints(window, pixels)
        coarse, _ = midpoints(window, ARROWS)
        x = noised.sample(n, rng)

        def eps(x):
            """What the exact and the learned denoiser take for the noise in x, and its error."""
            exact, learned = (x - law.denoise(x, sigma)) / sigma, (x - model.denoise(theta, x, sigma)) / sigma
            return exact, learned, np.linalg.norm(learned - exact, axis=1)
        log_p = noised.log_prob(nodes)
        results |= {f"error{i}": eps(nodes)[2].reshape(pixels, pixels).astype(np.float16),
                    f"log_p{i}": log_p.reshape(pixels, pixels).astype(np.float16),
                    f"edge{i}": np.quantile(noised.log_prob(x), 1 - MASS),
                    f"rms{i}": np.sqrt(np.mean(eps(x)[2] ** 2) / 2),
                    f"arrows{i}": np.stack([coarse, -eps(coarse)[0], -eps(coarse)[1]]).astype(np.float16)}
    return results


def draw(results):
    """Arrows of both scores on the noised density above; the size of their difference below."""
    fig = figure(5.0, "$\\sigma$ times the score of the spirals at four noise levels: exact (black) and learned; "
                      f"network 128-128-128, one run of {int(results['steps'])} steps")
    panels = fig.subplots(2, len(SIGMAS))
    for i, (sigma, reach, top, bottom) in enumerate(zip(SIGMAS, REACH, *panels)):
        extent, window = (-reach, reach, -reach, reach), [(-reach, reach)] * 2
        log_p = results[f"log_p{i}"].T
        top.imshow(np.exp(log_p), origin="lower", extent=extent, cmap=DENSITY, alpha=0.6)
        place, exact, learned = results[f"arrows{i}"]
        near = np.linalg.norm(exact, axis=1) < LONGEST
        for arrows, color, width in ((exact, COLORS["truth"], 0.009), (learned, COLORS["diffusion"], 0.005)):
            top.quiver(*place[near].T, *arrows[near].T, color=color, width=width, scale=45)
        top.set_title(f"$\\sigma$ = {sigma}")
        shown = bottom.imshow(results[f"error{i}"].T, origin="lower", extent=extent, cmap="magma",
                              norm=LogNorm(0.003, 3, clip=True))
        bottom.contour(log_p, levels=[results[f"edge{i}"]], extent=extent, colors="white", linewidths=0.8)
        bottom.set_title(f"rms over the law {results[f'rms{i}']:.3f}", fontsize=8)
        plane(top, window), plane(bottom, window)
    fig.colorbar(shown, ax=panels[1], label="length of the difference\n(noise = 1 per coordinate)")
    return fig
