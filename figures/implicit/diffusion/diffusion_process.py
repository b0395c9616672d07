"""Noise comes in, and the network takes it out again: one law at six noise levels, as a strip and as a GIF."""
import numpy as np
from matplotlib.animation import FuncAnimation

from figures import style
from scratch.data.distributions import LAWS
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.grid import midpoints
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.samplers import euler_maruyama, heun
from scratch.learning.training import fit

SECTION = "1.5"
FINDING = "The learned way back passes through the laws of the noising process"
SETTINGS = ("Two spirals, rescaled: x / sqrt(sigma^2 + 1.5^2). Shade: exact density. Dots: 400 of 10,000 points. "
            "Network 128-128-128, 10,000 steps of 512; the first of 3 seeds is drawn. KL(noised data || way back)"
            " by nearest neighbors, a dot a seed; bar: 1 s.e. Dashed: KL to the next level on the right, which "
            "the estimate would find.")

LAW = LAWS["spirals"]
LEVELS = (0.0, 0.15, 0.4, 1.0, 3.0, 20.0)
REACH = 2.4                               # of the windows, in units in which every level has about the same size
PIXELS = 100
# Frames of the GIF, where the picture changes: between the width of an arm (0.1) and the size of the law (1.5).
FORWARD = np.array([0.0, *np.geomspace(0.06, 4.0, 10), 20.0])
BACKWARD = np.array([20.0, *np.geomspace(4.0, 0.03, 22), 0.0])


def parts(effort):
    return [f"seed {seed}" for seed in range(3 if effort == "full" else 1)]


def compute_part(part, effort, rng):
    """Samples of the law with noise added; pure noise taken back by the learned SDE, and for the GIF by its ODE."""
    steps, hidden, n, between = (10_000, (128, 128, 128), 10_000, 50) if effort == "full" else (20, (16, 16), 60, 2)
    model = Diffusion(dim=2, hidden=hidden)
    theta = fit(model, model.init(rng), LAW, rng, steps=steps)

    def denoise(x, sigma):
        return model.denoise(theta, x, sigma)

    forward, other = brownian(LEVELS, n, rng), brownian(LEVELS, n, rng)
    back = [np.hypot(LEVELS[-1], model.sigma_data) * rng.standard_normal((n, 2))]
    for sigma, lower in zip(LEVELS[:0:-1], LEVELS[-2::-1]):
        way = np.geomspace(sigma, max(lower, 0.002), between)
        back.append(euler_maruyama(denoise, back[-1].astype(np.float32), [*way[:-1], lower], rng).astype(float))
    kls = [kl_nearest_neighbor(noised, found) for noised, found in zip(forward, back[::-1])]
    next_kls = [kl_nearest_neighbor(noised, wrong).value for noised, wrong in zip(forward, other[1:])]
    results = dict(kls=[(kl.value, kl.stderr) for kl in kls], next_kls=next_kls)
    if part == "seed 0":
        shown = [rows[:400] / _scale(sigma) for rows, sigma in zip(forward + back[::-1], LEVELS * 2)]
        path = _path(denoise, 400 if effort == "full" else 20, rng)
        results |= dict(points=np.asarray(shown, np.float16), path=np.asarray(path, np.float16))
    return results


def brownian(levels, n, rng):
    """n points of the law that gather noise, one Brownian motion each: a list of (n, 2), one for each level."""
    x = [LAW.sample(n, rng)]
    for before, sigma in zip(levels, levels[1:]):
        x.append(x[-1] + np.sqrt(sigma ** 2 - before ** 2) * rng.standard_normal((n, 2)))
    return x


def _path(denoise, n, rng):
    """The frames: n points through FORWARD, then by the learned probability flow through BACKWARD, rescaled."""
    path = brownian(FORWARD, n, rng)
    for sigma, lower in zip(BACKWARD, BACKWARD[1:]):
        way = np.geomspace(sigma, lower, 5) if lower else [sigma, lower]
        path.append(heun(denoise, path[-1], way))
    return [x / _scale(sigma) for x, sigma in zip(path, [*FORWARD, *BACKWARD[1:]])]


def gather(effort, parts):
    """KLs (seeds, levels, 2); the pictures of the first seed; the densities as shades."""
    pixels = PIXELS if effort == "full" else 10
    nodes, _ = midpoints([(-REACH, REACH)] * 2, pixels)
    shades = []
    for sigma in LEVELS:
        density = np.exp((LAW.noised(sigma) if sigma else LAW).log_prob(_scale(sigma) * nodes)).reshape(pixels, pixels)
        shades.append(np.uint8(255 * density / density.max()))
    first = parts["seed 0"]
    return dict(seeds=len(parts), kls=np.stack([part["kls"] for part in parts.values()]),
                points=first["points"], next_kls=np.mean([part["next_kls"] for part in parts.values()], axis=0),
                path=first["path"], shades=shades)


def _scale(sigma):
    """What x is divided by in the pictures: 1.5 without noise, about sigma with much of it."""
    return np.hypot(sigma, 1.5)


def claim(results):
    """The largest KL, and what the same estimator says of a wrong level."""
    value, error = np.moveaxis(results["kls"], 2, 0)
    return (f"At no level is the KL above {value.max():.3f} nats (standard error {error.max():.3f}); "
            f"the law one level on is at {results['next_kls'].min():.2f} or more.")


def checks(results):
    """Small, and the estimator could have said otherwise."""
    value, error = np.moveaxis(results["kls"], 2, 0)
    return {"no KL above 0.05 nats": bool(value.max() < 0.05),
            "mean over seeds within 4 standard errors of 0 at sigma of 0.4 and more": bool(np.all(
                np.abs(value[:, 2:].mean(axis=0)) < 4 * error[:, 2:].max(axis=0) / np.sqrt(len(value)))),
            "the next level differs by at least 0.1 nats": bool(results["next_kls"].min() > 0.1)}


def draw(results):
    """Forward from left to right above, backward from right to left below it, and the KLs."""
    fig = style.figure(4.9, FINDING, SETTINGS)
    panels = fig.subplots(3, len(LEVELS), height_ratios=[1, 1, 0.66], sharey="row")
    points = results["points"].reshape(2, len(LEVELS), -1, 2)
    for row, color in enumerate((style.COLORS["truth"], style.COLORS["diffusion"])):
        for sigma, ax, shade, dots in zip(LEVELS, panels[row], results["shades"], points[row]):
            _frame(ax, shade)
            ax.plot(*dots.T, ".", ms=3, mew=0, color=color)
    for i, ax in enumerate(panels[2]):
        value, error = results["kls"][:, i].T
        ax.errorbar(np.arange(len(value)), value, error, fmt="o", ms=3.5, color=style.COLORS["diffusion"])
        ax.axhline(0, color=style.COLORS["truth"], lw=0.8)
        if i < len(LEVELS) - 1:
            ax.axhline(results["next_kls"][i], color=style.COLORS["baseline"], ls="--", lw=1)
        ax.set_yscale("symlog", linthresh=0.05, linscale=1)
        ax.set(xlim=(-1, len(value)), xticks=[])
        ax.set_yticks([0, 0.02, 0.1, 1], ["0", "0.02", "0.1", "1"])
        ax.minorticks_off()
        panels[0, i].set_title(f"$\\sigma$ = {LEVELS[i]:g}")
    panels[0, 0].set_ylabel("noise is added $\\rightarrow$")
    panels[1, 0].set_ylabel("$\\leftarrow$ the network\nremoves it (SDE)", color=style.COLORS["diffusion"])
    panels[2, 0].set_ylabel("KL [nats]")
    panels[2, 0].text(0, 1.25 * results["next_kls"][0], "next level", fontsize=8, ha="center")
    return fig


def animate(results):
    """Noise is added to the spirals, then the learned probability flow takes it out; pauses at both turns."""
    fig = style.figure(4.2, "Noise is added", "x is rescaled by 1 / sqrt($\\sigma^2$ + 1.5$^2$)")
    fig.set_size_inches(2.7, 3.1)
    ax = fig.subplots()
    _frame(ax, results["shades"][0])
    dots, = ax.plot([], [], ".", ms=2.5, mew=0)
    sigmas, turn, last = [*FORWARD, *BACKWARD[1:]], len(FORWARD) - 1, len(results["path"]) - 1
    order = [0] * 6 + list(range(turn + 1)) + [turn] * 4 + list(range(turn + 1, last + 1)) + [last] * 10

    def show(i):
        frame, back = order[i], order[i] > turn or i > 6 + turn
        dots.set_data(*results["path"][frame].T)
        dots.set_color(style.COLORS["diffusion" if back else "truth"])
        fig.suptitle("The network removes it" if back else "Noise is added", x=0.01, ha="left", fontweight="bold",
                     fontsize=12, color=style.COLORS["diffusion" if back else "truth"])
        ax.set_title(f"$\\sigma$ = {sigmas[frame]:.2f}", fontsize=10)
    return FuncAnimation(fig, show, frames=len(order), interval=110)


def _frame(ax, shade):
    """The window with its shade, at most a middle gray, so that dots show."""
    ax.imshow(shade.T, origin="lower", extent=(-REACH, REACH, -REACH, REACH), cmap=style.DENSITY, vmin=0, vmax=700)
    style.plane(ax, ((-REACH, REACH), (-REACH, REACH)))
