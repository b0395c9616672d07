"""Three ways to the score of one law, and why the score of one law is not enough."""
import numpy as np

from figures import style
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.grid import midpoints
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.implicit.diffusion.score_matching import ScoreNetwork, denoising, explicit, sliced
from scratch.learning.training import fit

SECTION = "1.5"
FINDING = "Langevin dynamics misses the weights of the modes; noise levels find them"
SETTINGS = ("Two modes of weights 0.2 and 0.8. 4,000 walkers from N(0, I): 600 Langevin steps of 0.02 with one "
            "score; or 32 Heun steps through noise levels from 80 to 0.002 with the exact denoiser. Score "
            "networks 64-64, 1,500 steps of 512, 3 seeds: dots. Bar: 1 s.e. Map: the explicit objective, first "
            "seed; lines: log p = -8, -5, -2.")

WEIGHT = 0.2                   # of the left mode
LAW = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], np.stack([np.diag([0.15, 0.3])] * 2), [WEIGHT, 1 - WEIGHT])
SIGMA = 0.1                    # of the denoising objective
OBJECTIVES = {"explicit": explicit, "sliced": sliced, "denoising": denoising(SIGMA)}
WINDOW = ((-4.0, 4.0), (-3.0, 3.0))
PIXELS = (120, 90)
DT = 0.02                      # of Langevin dynamics


def parts(effort):
    return [f"seed {seed}" for seed in range(3 if effort == "full" else 1)]


def compute_part(part, effort, rng):
    """Error of the score by each objective; where it is; the share of walkers at the left mode, by three ways."""
    steps, hidden, n, times = ((10, (8,), 50, 10) if effort == "quick" else (1500, (64, 64), 4000, 600))
    watched = LAW.sample(5000, rng)
    score, missed = LAW.score(watched), []
    for objective in reversed(OBJECTIVES.values()):                               # explicit last: its score is used
        model = ScoreNetwork(2, hidden=hidden, objective=objective)
        theta = fit(model, model.init(rng), LAW, rng, steps=steps)
        missed.insert(0, np.sum((model.score(theta, watched) - score) ** 2) / np.sum(score ** 2))
    nodes = np.stack(np.meshgrid(*grid_axes(), indexing="ij"), axis=-1).reshape(-1, 2)
    misses = np.linalg.norm(model.score(theta, nodes) - LAW.score(nodes), axis=1)
    start, sigmas = rng.standard_normal((n, 2)), karras_sigmas(32)
    ends = [langevin(LAW.score, start, times, rng), langevin(lambda x: model.score(theta, x), start, times, rng),
            heun(LAW.denoise, sigmas[0] * rng.standard_normal((n, 2)), sigmas)]
    shares = [np.mean(x[:, 0] < 0) for x in ends]
    return dict(n=n, missed=missed, shares=shares, misses=misses.reshape(PIXELS).astype(np.float32),
                walkers=np.asarray([x[:500] for x in (watched[:n], ends[0], ends[2])], np.float32),
                log_p=LAW.log_prob(nodes).reshape(PIXELS).astype(np.float32))


def langevin(score, x, times, rng):
    """x after `times` steps of dx = score dt + sqrt(2 dt) z."""
    for _ in range(times):
        x = x + DT * score(x) + np.sqrt(2 * DT) * rng.standard_normal(x.shape)
    return x


def grid_axes():
    """The coordinates of the nodes along both axes of the window."""
    return [midpoints([side], m)[0][:, 0] for side, m in zip(WINDOW, PIXELS)]


def gather(effort, parts):
    """missed (seeds, objectives), shares (seeds, ways); the pictures of the first seed."""
    first, all_parts = parts["seed 0"], parts.values()
    return first | dict(seeds=len(parts), missed=np.stack([part["missed"] for part in all_parts]),
                        shares=np.stack([part["shares"] for part in all_parts]))


def claim(results):
    """Shares at the left mode, and the objectives' errors."""
    exact, learned, levels = results["shares"].mean(axis=0)
    return (f"A mode of weight {WEIGHT} gets {exact:.2f} of the walkers by the exact score, {learned:.2f} by a learned "
            f"one, {levels:.2f} through noise levels.")


def checks(results):
    """Langevin is wrong for every seed; the levels are right; and the score was learned."""
    exact, learned, levels = results["shares"].T
    error = np.sqrt(WEIGHT * (1 - WEIGHT) / results["n"])
    return {"Langevin is off by 0.1 or more with both scores, every seed": bool(
                min(exact.min(), learned.min()) > WEIGHT + 0.1),
            "levels within 0.03 of the weight": bool(np.abs(levels - WEIGHT).max() < 0.03 + 3 * error),
            "each objective misses at most 5 % of the score's mean square, every seed": bool(
                results["missed"].max() < 0.05)}


def draw(results):
    """The law, Langevin's ends and those of the levels; the error in the plane; shares and errors as dots."""
    fig = style.figure(5.3, FINDING, SETTINGS)
    top, bottom = fig.subplots(2, 3)
    colors = style.COLORS["truth"], style.ACCENT, style.COLORS["diffusion"]
    shares = [WEIGHT, results["shares"][0, 0], results["shares"][0, 2]]
    names = "a  The law", "b  Langevin dynamics, exact score", "c  Through noise levels"
    for ax, x, color, share, name in zip(top, results["walkers"], colors, shares, names):
        ax.plot(*x.T, ".", ms=3, mew=0, color=color)
        style.plane(ax, WINDOW)
        ax.set_title(name, loc="left")
        ax.text(-2, -2.7, f"{100 * share:.0f} %", ha="center", fontsize=12, color=color)
        ax.text(2, -2.7, f"{100 - 100 * share:.0f} %", ha="center", fontsize=12, color=color)
    plane, dots, errors = bottom
    image = plane.imshow(np.log10(results["misses"]).T, origin="lower", extent=sum(WINDOW, ()), cmap="Purples",
                         vmin=-1.5, vmax=1.5)
    plane.contour(*grid_axes(), results["log_p"].T, levels=[-8.0, -5.0, -2.0], colors=style.COLORS["truth"],
                  linewidths=0.7, linestyles="solid")
    style.plane(plane, WINDOW)
    plane.set_title("d  Error of the learned score", loc="left")
    fig.colorbar(image, ax=plane, shrink=0.8, ticks=[-1, 0, 1], format=lambda v, _: f"{10.0 ** v:g}", extend="both",
                 label="length of the difference")
    _dots(dots, results["shares"], ("Langevin,\nexact", "Langevin,\nlearned", "noise\nlevels"),
          (style.ACCENT, style.ACCENT, style.COLORS["diffusion"]), np.sqrt(0.25 / results["n"]))
    dots.axhline(WEIGHT, color=style.COLORS["truth"], lw=0.8)
    dots.text(-0.4, WEIGHT + 0.015, f"weight {WEIGHT}", fontsize=8)
    dots.set(ylim=(0, 0.8), ylabel="share at the left mode", title="e  Weights")
    _dots(errors, 100 * results["missed"], [*OBJECTIVES], [style.COLORS["diffusion"]] * 3, 0)
    errors.set(ylim=(0, None), ylabel="missed of E|score|$^2$ [%]", title="f  Three objectives, one score")
    for ax in (dots, errors):
        ax.title.set_ha("left"), ax.title.set_x(0)
    return fig


def _dots(ax, values, names, colors, error):
    """A column a name, a dot a seed."""
    for i, color in enumerate(colors):
        ax.errorbar(i + 0.12 * np.arange(-1, len(values) - 1), values[:, i], error, fmt="o", ms=4, color=color)
    ax.set(xlim=(-0.5, len(names) - 0.5), xticks=range(len(names)), xticklabels=names)
