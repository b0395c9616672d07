"""Three ways to the score of one law, and why the score of one law is not enough."""
import numpy as np

from figures.style import ACCENT, COLORS, figure, plane
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.implicit.diffusion.score_matching import ScoreNetwork, denoising, explicit, sliced
from scratch.grid import midpoints
from scratch.learning.training import train

CLAIM = ("Explicit, sliced and denoising score matching find one score, to about 1 % of its mean square, but "
         "only where there are data; and Langevin dynamics with the score of one law, exact or learned, leaves "
         "half of the walkers at a mode of weight 0.2, where a path through noise levels puts a fifth.")

LAW = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], np.stack([np.diag([0.15, 0.3])] * 2), [0.2, 0.8])
SIGMA = 0.1                    # of the denoising objective
OBJECTIVES = {"explicit": explicit, "sliced": sliced, f"denoising, $\\sigma$ = {SIGMA}": denoising(SIGMA)}
STYLES = ("-", "--", ":")
WINDOW = ((-4.0, 4.0), (-3.0, 3.0))
PIXELS = (120, 90)
DT = 0.02                      # of Langevin dynamics


def compute(effort, rng):
    """Error of the score along training by each objective; where it is; Langevin dynamics from N(0, I)."""
    steps, hidden, n, times = ((10, (8,), 50, 10) if effort == "quick" else (1500, (64, 64), 2000, 600))
    checkpoints = np.unique(np.logspace(0, np.log10(steps), 25).astype(int))
    watched = LAW.sample(5000, rng)
    score, curves = LAW.score(watched), []
    for objective in OBJECTIVES.values():
        model = ScoreNetwork(2, hidden=hidden, objective=objective)
        for state in train(model, model.init(rng), LAW, rng, steps=steps):
            if state.step in checkpoints:
                error = model.score(state.average, watched) - score
                curves.append(np.sum(error ** 2) / np.sum(score ** 2))
        if objective is explicit:
            theta, fitted = state.average, model
    nodes = np.stack(np.meshgrid(*grid_axes(), indexing="ij"), axis=-1).reshape(-1, 2)
    misses = np.linalg.norm(fitted.score(theta, nodes) - LAW.score(nodes), axis=1)
    start, shares = rng.standard_normal((n, 2)), []
    for field in (LAW.score, lambda x: fitted.score(theta, x)):
        x = start
        for _ in range(times):
            x = x + DT * field(x) + np.sqrt(2 * DT) * rng.standard_normal(x.shape)
            shares.append(np.mean(x[:, 0] < 0))
    sigmas = karras_sigmas(32)
    with_levels = heun(LAW.denoise, sigmas[0] * rng.standard_normal((n, 2)), sigmas)
    return dict(checkpoints=checkpoints, steps=steps, n=n, curves=np.reshape(curves, (len(OBJECTIVES), -1)),
                misses=misses.reshape(PIXELS).astype(np.float32), shares=np.reshape(shares, (2, -1)),
                log_p=LAW.log_prob(nodes).reshape(PIXELS).astype(np.float32),
                with_levels=np.mean(with_levels[:, 0] < 0))


def grid_axes():
    """The coordinates of the nodes along both axes of the window."""
    return [midpoints([side], m)[0][:, 0] for side, m in zip(WINDOW, PIXELS)]


def draw(results):
    """Learning curves; the error in the plane; the weight of the left mode along Langevin dynamics."""
    fig = figure(3.3, f"Score networks 64-64, {int(results['steps'])} steps of 512, one run each; two modes of "
                      f"weights 0.2 and 0.8; {int(results['n'])} Langevin walkers, step {DT}")
    curves, plane_ax, langevin = fig.subplots(1, 3, gridspec_kw=dict(width_ratios=[1, 1.2, 1]))
    for name, curve, style in zip(OBJECTIVES, results["curves"], STYLES):
        curves.loglog(results["checkpoints"], curve, style, color=COLORS["diffusion"], label=name)
    curves.set(xlabel="training step", ylabel="share of $E|\\nabla\\log p|^2$ that is missed")
    curves.legend(loc="lower left")

    image = plane_ax.imshow(np.log10(results["misses"]).T, origin="lower", extent=sum(WINDOW, ()), cmap="Purples",
                            vmin=-1.5, vmax=1.5)
    plane_ax.contour(*grid_axes(), results["log_p"].T, levels=np.array([-8.0, -5.0, -2.0]),
                     colors=COLORS["truth"], linewidths=0.6)
    plane(plane_ax, WINDOW)
    plane_ax.set_title("explicit: $|s - \\nabla\\log p|$;  $\\log p$ = -8, -5, -2")
    fig.colorbar(image, ax=plane_ax, shrink=0.7, ticks=[-1, 0, 1], format=lambda v, _: f"{10.0 ** v:g}")

    time = DT * (1 + np.arange(results["shares"].shape[1]))
    for share, color, label in zip(results["shares"], (COLORS["truth"], COLORS["diffusion"]),
                                   ("Langevin, exact score", "Langevin, learned score")):
        langevin.plot(time, share, color=color, label=label)
    langevin.axhline(0.2, color=COLORS["baseline"], ls=":", label="the law: 0.2")
    langevin.plot(time[-1], results["with_levels"], "*", ms=8, color=ACCENT,
                  label="noise levels, exact: 32 Heun steps")
    langevin.set(xlabel="time", ylabel="share of walkers at $x_1 < 0$", ylim=(0, 0.75))
    langevin.legend(loc="upper right", fontsize=7)
    return fig
