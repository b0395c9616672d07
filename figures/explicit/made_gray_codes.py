"""Points of the plane as 32 bits each, learned by MADE."""
import numpy as np

from figures.style import COLORS, figure, plane
from scratch.data.discrete import BITS, GrayCoded, decode, encode
from scratch.data.distributions import LAWS
from scratch.explicit.made import MADE
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, train

SECTION = "1.3"
FINDING = "A model of bits alone learns distributions of the plane"
SETTINGS = ("MADE on two 16-bit Gray codes, from coarse to fine bits, network 256-256-256, 2,500 steps of 512 fresh "
            "samples; 10,000 held-out points. Line: mean of 2 seeds, dots: each seed. The entropy is that of the "
            "bits, the floor of every model.")

NAMES = ("checkerboard", "spirals", "ring", "moons")
# Both sign bits first, then both leading bits, and so on: a quadtree, from coarse to fine.
ORDER = tuple(np.arange(2 * BITS).reshape(2, BITS).T.ravel().tolist())
SEEDS = 2


def parts(effort):
    """A distribution and a seed each."""
    return [f"{name} {seed}" for name in NAMES for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """Excess over the entropy along training, paired on one fixed sample; points made at the end, of seed 0."""
    (name, seed), recipe = part.split(), Recipe(Adam(5e-3, beta2=0.99), batch_size=512)
    steps, hidden, n = (3, (32,), 100) if effort == "quick" else (2500, (256, 256, 256), 10_000)
    checkpoints = np.unique(np.geomspace(1 if effort == "quick" else 30, steps, 9).astype(int))
    law, model, curve = GrayCoded(LAWS[name]), MADE(2 * BITS, hidden=hidden, orders=[ORDER]), []
    x = law.law.sample(n, rng)
    bits, exact = encode(x), law.law.log_prob(x) + law.log_cell
    for state in train(model, model.init(rng), law, rng, steps=steps, recipe=recipe):
        if state.step in checkpoints:
            excess = exact - model.log_prob(state.average, bits)
            curve.append((excess.mean(), excess.std(ddof=1) / np.sqrt(n)))
    results = dict(checkpoints=checkpoints, curve=curve)
    if seed == "0":
        results |= dict(points=np.float32(decode(model.sample(state.average, 2000, rng))), data=np.float32(x[:2000]))
    return results


def gather(effort, parts):
    """Curves (laws, seeds, checkpoints, 2) and the points of seed 0."""
    results = dict(seeds=SEEDS, checkpoints=parts[f"{NAMES[0]} 0"]["checkpoints"],
                   curves=[[parts[f"{name} {seed}"]["curve"] for seed in range(SEEDS)] for name in NAMES],
                   floors=[GrayCoded(LAWS[name]).entropy() for name in NAMES])
    for name in NAMES:
        results |= {f"{name}_{key}": parts[f"{name} 0"][key] for key in ("points", "data")}
    return results


def claim(results):
    """The range of the excess."""
    last = results["curves"][:, :, -1, 0].mean(axis=1)
    best, worst = NAMES[last.argmin()], NAMES[last.argmax()]
    return (f"With each coordinate as a Gray code MADE comes within {last.min():.3f} ({best}) to {last.max():.3f} nats "
            f"({worst}) of the entropy.")


def checks(results):
    """The excess in every run, and its sign."""
    last = results["curves"][:, :, -1]
    return {"every run within 0.12 nats of the entropy": bool((last[..., 0] < 0.12).all()),
            "no run below the entropy by more than 3 standard errors": bool((last[..., 0] > -3 * last[..., 1]).all())}


def draw(results):
    """True and generated points, and the excess of all laws against training steps in one panel."""
    fig = figure(4.4, FINDING, SETTINGS)
    panels = fig.subplot_mosaic([[f"{name} {part}" for name in NAMES] + ["curves"] for part in ("data", "points")],
                                width_ratios=[1, 1, 1, 1, 1.6])
    for name, floor in zip(NAMES, results["floors"]):
        for part, color in (("data", COLORS["truth"]), ("points", COLORS["autoregressive"])):
            ax = panels[f"{name} {part}"]
            ax.plot(*results[f"{name}_{part}"].T, ".", ms=2, mew=0, color=color)
            plane(ax, ((-3.7, 3.7), (-3.7, 3.7)))
        panels[f"{name} data"].set_title(f"{name}\n{floor:.2f} nats")
    for part, label in (("data", "data"), ("points", "MADE")):
        ax = panels[f"{NAMES[0]} {part}"]
        ax.text(-0.05, 0.5, label, rotation=90, ha="right", va="center", transform=ax.transAxes)
    ax, steps, last = panels["curves"], results["checkpoints"], results["curves"][:, :, -1, 0].mean(axis=1)
    height = dict(zip(np.argsort(last), _spread(np.log10(np.sort(np.maximum(last, 1e-3))), 0.16)))
    for law, (name, runs) in enumerate(zip(NAMES, results["curves"][..., 0])):
        ax.plot(steps, runs.mean(axis=0), color=COLORS["autoregressive"], lw=1.2)
        ax.plot(steps, runs.T, ".", ms=4, color=COLORS["autoregressive"])
        ax.text(1.15 * steps[-1], 10 ** height[law], f"{name} {last[law]:.3f}", va="center")
    ax.set(xscale="log", yscale="log", xlim=(steps[0], 12 * steps[-1]), xlabel="training step",
           title="excess over the entropy\n[nats per point]")
    ax.spines["bottom"].set_bounds(steps[0], steps[-1])
    ax.set_xticks([steps[0], steps[-1]], [f"{step:,}" for step in (steps[0], steps[-1])])
    ax.minorticks_off()
    return fig


def _spread(heights, gap):
    """Sorted heights, moved up where they are closer than gap."""
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    return heights
