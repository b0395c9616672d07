"""Noise comes in, and the network takes it out again: one law at six noise levels, as a strip and as a GIF."""
import numpy as np
from matplotlib.animation import FuncAnimation

from figures.style import ACCENT, COLORS, DENSITY, figure
from scratch.data.distributions import LAWS
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.samplers import euler_maruyama, heun, karras_sigmas
from scratch.grid import midpoints
from scratch.learning.training import fit

CLAIM = ("The learned reverse process passes through the laws of the noising process: at none of six levels do nearest "
         "neighbors see a KL of more than 0.016 nats, with standard errors of 0.008.")
STUDY = True

LEVELS = (0.0, 0.15, 0.4, 1.0, 3.0, 20.0)
REACH = 2.4                               # of the windows, in units in which every level has about the same size
PIXELS = 100
FRAMES = 40


def compute(effort, rng):
    """Samples of the law with noise added; pure noise taken back by the learned SDE, and for the GIF by its ODE."""
    full = effort == "full"
    steps, hidden, n, between = (10_000, (128, 128, 128), 10_000, 60) if full else (20, (16, 16), 50, 2)
    law, model = LAWS["spirals"], Diffusion(dim=2, hidden=hidden)
    theta = fit(model, model.init(rng), law, rng, steps=steps)
    results = dict(steps=steps)

    def denoise(x, sigma):
        return model.denoise(theta, x, sigma)

    x, noise = law.sample(n, rng), np.zeros((n, 2))         # a Brownian motion that starts at the data
    forward, kls, path = [x], [], []
    for before, sigma in zip(LEVELS, LEVELS[1:]):
        noise = noise + np.sqrt(sigma ** 2 - before ** 2) * rng.standard_normal(noise.shape)
        forward.append(x + noise)
    back = [np.hypot(LEVELS[-1], model.sigma_data) * rng.standard_normal((n, 2))]
    for sigma, lower in zip(LEVELS[:0:-1], LEVELS[-2::-1]):
        way = np.geomspace(sigma, max(lower, 0.002), between)
        back.append(euler_maruyama(denoise, back[-1].astype(np.float32), [*way[:-1], lower], rng))
    for sigma, noised, found in zip(LEVELS, forward, back[::-1]):
        nodes, _ = midpoints([(-REACH, REACH)] * 2, PIXELS if full else 10)
        density = (law.noised(sigma) if sigma else law).log_prob(_scale(sigma) * nodes)
        results[f"density{sigma}"] = np.exp(density).reshape(2 * (round(len(nodes) ** 0.5),)).astype(np.float32)
        kl = kl_nearest_neighbor(noised, found.astype(float))
        kls.append((kl.value, kl.stderr))
    sigmas = karras_sigmas(FRAMES if full else 4, 0.01, LEVELS[-1])
    x = forward[-1][:600]
    for sigma, lower in zip(sigmas, sigmas[1:]):
        path.append(x / _scale(sigma))
        x = heun(denoise, x, [sigma, lower])
    shown = [rows[:500] / _scale(sigma) for rows, sigma in zip(forward + back[::-1], LEVELS * 2)]
    return results | dict(points=np.asarray(shown, np.float16), kls=kls, sigmas=sigmas,
                          path=np.asarray([*path, x / _scale(0)], np.float16))


def _scale(sigma):
    """What x is divided by in the pictures: 1 and a half without noise, about sigma with much of it."""
    return np.hypot(sigma, 1.5)


def draw(results):
    """Forward from left to right above, backward from right to left below, on the exact densities."""
    fig = figure(3.6, "The spirals, x / sqrt($\\sigma^2$ + 1.5$^2$), on their exact densities; "
                      f"network 128-128-128, one run of {int(results['steps'])} steps")
    panels = fig.subplots(2, len(LEVELS))
    points = results["points"].reshape(2, len(LEVELS), -1, 2)
    for row, color in enumerate((ACCENT, COLORS["diffusion"])):
        for sigma, ax, dots in zip(LEVELS, panels[row], points[row]):
            _frame(ax, results[f"density{sigma}"])
            ax.plot(*dots[:500].T, ".", ms=1.2, color=color)
    for sigma, ax, (value, error) in zip(LEVELS, panels[1], results["kls"]):
        ax.set_xlabel(f"KL {value:+.3f} $\\pm$ {error:.3f} nats", fontsize=8)
    for sigma, ax in zip(LEVELS, panels[0]):
        ax.set_title(f"$\\sigma$ = {sigma:g}")
    panels[0, 0].set_ylabel("noise is added $\\rightarrow$")
    panels[1, 0].set_ylabel("$\\leftarrow$ the network\ntakes it out (SDE)")
    return fig


def animate(results):
    """The learned probability flow carries pure noise to the spirals; a pause at the end."""
    fig = figure(3.6)
    fig.set_size_inches(3.6, 3.6)
    ax = fig.subplots()
    _frame(ax, results["density0.0"])
    dots, = ax.plot([], [], ".", ms=2.5, color=COLORS["diffusion"])

    def show(frame):
        frame = min(frame, len(results["path"]) - 1)
        dots.set_data(*results["path"][frame].T)
        ax.set_title(f"$\\sigma$ = {results['sigmas'][frame]:.2f}")
    return FuncAnimation(fig, show, frames=len(results["path"]) + 12, interval=100)


def _frame(ax, density):
    ax.imshow(density.T, origin="lower", extent=(-REACH, REACH, -REACH, REACH), cmap=DENSITY)
    ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[], yticks=[])
