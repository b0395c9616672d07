"""The learned score against the exact one: where the data are, and where they are not."""
import numpy as np
from matplotlib.colors import LogNorm

from figures import style
from scratch.data.distributions import LAWS
from scratch.grid import midpoints
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.learning.training import fit

SECTION = "1.5"
FINDING = "The score is learned where the data are, and only there"
SETTINGS = ("Spirals; sigma times the score, so that the noise is 1. Arrows longer than 3 are left out. White "
            "line: 99 % of the noised data lie inside. Network 128-128-128, 10,000 steps of 512, 3 seeds: dots at"
            " right, the first is drawn. Inside: RMS over the noised data. Outside: RMS over the rest of the "
            "window of the maps.")

LAW = LAWS["spirals"]
SIGMAS = (0.05, 0.1, 0.2, 0.4, 0.8, 2.0)
SHOWN = {0.2: 3.8, 0.8: 5.0}              # level: half the width of its window
MASS = 0.99                               # the contour holds this share of the noised law
ARROWS = 12
LONGEST = 3.0                             # longer arrows stand where there is no data


def reach(sigma):
    """Half the width of the window: the law and three standard deviations of the noise."""
    return SHOWN.get(sigma, 3.3 + 3 * min(sigma, 1.5))


def parts(effort):
    return [f"seed {seed}" for seed in range(3 if effort == "full" else 1)]


def compute_part(part, effort, rng):
    """Train; RMS of the error inside and outside at every level; maps of the first seed."""
    full = effort == "full"
    steps, hidden, pixels, n = (10_000, (128, 128, 128), 110, 10_000) if full else (20, (16, 16), 12, 100)
    model = Diffusion(dim=2, hidden=hidden)
    theta, results = fit(model, model.init(rng), LAW, rng, steps=steps), dict(rms=[])

    def eps(x, sigma):
        """What the exact and the learned denoiser take for the noise in x, and their distance."""
        exact, learned = (x - LAW.denoise(x, sigma)) / sigma, (x - model.denoise(theta, x, sigma)) / sigma
        return exact, learned, np.linalg.norm(learned - exact, axis=1)

    for sigma in SIGMAS:
        noised, window = LAW.noised(sigma), [(-reach(sigma), reach(sigma))] * 2
        x, (nodes, _) = noised.sample(n, rng), midpoints(window, pixels)
        log_p, error = noised.log_prob(nodes), eps(nodes, sigma)[2]
        edge = np.quantile(noised.log_prob(x), 1 - MASS)
        results["rms"].append([np.sqrt(np.mean(part ** 2) / 2) for part in (eps(x, sigma)[2], error[log_p < edge])])
        if part == "seed 0" and sigma in SHOWN:
            coarse, _ = midpoints(window, ARROWS)
            results |= {f"error {sigma}": error.reshape(pixels, pixels).astype(np.float16),
                        f"log_p {sigma}": log_p.reshape(pixels, pixels).astype(np.float16), f"edge {sigma}": edge,
                        f"arrows {sigma}": np.stack([coarse, *(-e for e in eps(coarse, sigma)[:2])]).astype(np.float16)}
    return results


def gather(effort, parts):
    """rms (seeds, levels, inside or outside); the maps of the first seed."""
    return parts["seed 0"] | dict(seeds=len(parts), rms=np.stack([part["rms"] for part in parts.values()]))


def claim(results):
    """The worst level inside, and the level with the largest error outside."""
    inside, outside = results["rms"].mean(axis=0).T
    return (f"Inside, the error is at most {inside.max():.2f} of the noise at every level; "
            f"outside, where no training point lies, it reaches {outside.max():.1f} times the noise.")


def checks(results):
    """For every seed."""
    inside, outside = np.moveaxis(results["rms"], 2, 0)
    return {"inside at most 0.06 of the noise, every seed and level": bool(inside.max() < 0.06),
            "outside at least twice as wrong as inside, every seed and level": bool((outside > 2 * inside).all()),
            "outside wrong by the noise itself at some level, every seed": bool((outside.max(axis=1) > 1).all())}


def draw(results):
    """A row a level: arrows of both scores on the noised density, and the map of the error; right: all levels."""
    fig = style.figure(6.9, FINDING, SETTINGS)
    panels = fig.subplot_mosaic([[f"arrows {s}", f"map {s}", "rms"] for s in SHOWN], width_ratios=[1, 1, 0.62])
    for letter, sigma in zip("ab", SHOWN):
        arrows, ax, half = panels[f"arrows {sigma}"], panels[f"map {sigma}"], reach(sigma)
        extent, window, log_p = (-half, half, -half, half), [(-half, half)] * 2, results[f"log_p {sigma}"].T
        density = np.exp(log_p.astype(float))
        arrows.imshow(density, origin="lower", extent=extent, cmap=style.DENSITY, vmax=2.2 * density.max())
        place, exact, learned = results[f"arrows {sigma}"].astype(float)
        near = np.linalg.norm(exact, axis=1) < LONGEST
        for field, color, width in ((exact, style.COLORS["truth"], 0.012), (learned, style.SECOND_DIFFUSION, 0.005)):
            arrows.quiver(*place[near].T, *field[near].T, color=color, width=width, scale=17, minlength=0.3)
        shown = ax.imshow(results[f"error {sigma}"].T.astype(float), origin="lower", extent=extent, cmap="magma",
                          norm=LogNorm(0.01, 3))
        ax.contour(log_p, levels=[results[f"edge {sigma}"]], extent=extent, colors="white", linewidths=1)
        style.plane(arrows, window), style.plane(ax, window)
        arrows.set_title(f"{letter}  $\\sigma$ = {sigma}: exact (black), learned (pink)", loc="left")
        ax.set_title("their difference", loc="left")
    bar = fig.colorbar(shown, ax=[panels[f"{kind} {sigma}"] for kind in ("arrows", "map") for sigma in SHOWN],
                       orientation="horizontal", extend="both", shrink=0.45, aspect=25, pad=0.02, anchor=(0.93, 0.5))
    bar.set_label("length of the difference; noise = 1 per coordinate")
    _levels(panels["rms"], results["rms"])
    return fig


def _levels(ax, rms):
    """The error against the level, inside and outside, a dot a seed."""
    for which, (name, marker) in enumerate((("inside", "o"), ("outside", "s"))):
        color = style.COLORS["diffusion"]
        ax.loglog(SIGMAS, rms[:, :, which].T, marker, ms=4, color=color, mfc=color if which == 0 else "white")
        ax.loglog(SIGMAS, rms[:, :, which].mean(axis=0), "-" if which == 0 else "--", color=color, lw=1)
        ax.annotate(name, (SIGMAS[2], rms[:, 2, which].mean()), (0, 12), textcoords="offset points", ha="center",
                    color=color)
    ax.axhline(1, color=style.COLORS["truth"], lw=0.8)
    ax.text(SIGMAS[-1], 1.08, "the noise", fontsize=8, ha="right")
    ax.set(xlabel="$\\sigma$", title="c  RMS error, all levels")
    ax.title.set_ha("left"), ax.title.set_x(0)
    ax.set_xticks(SIGMAS[::2], [f"{s:g}" for s in SIGMAS[::2]])
    ax.minorticks_off()
