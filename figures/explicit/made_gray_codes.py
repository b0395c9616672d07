"""Points of the plane as 32 bits each, learned by MADE."""
import numpy as np

from figures.style import ACCENT, COLORS, figure, plane
from scratch.data.discrete import BITS, GrayCoded, decode, encode
from scratch.data.distributions import LAWS
from scratch.explicit.made import MADE
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, train

CLAIM = ("A model of bits alone learns laws of the plane: with each coordinate as a 16-bit Gray code, MADE comes "
         "within 0.05 nats of the entropy floor on every law shown, in under 3 minutes on one core each.")
STUDY = True

NAMES = ("checkerboard", "spirals", "ring", "moons")
# Both sign bits first, then both leading bits, and so on: a quadtree, from coarse to fine.
ORDER = tuple(np.arange(2 * BITS).reshape(2, BITS).T.ravel().tolist())


def compute(effort, rng):
    """Excess over the entropy floor along training, paired on one fixed sample; points made at the end."""
    steps, hidden, n = (20, (32, 32), 300) if effort == "quick" else (8000, (384, 384, 384), 20_000)
    recipe = Recipe(Adam(5e-3, beta2=0.99), batch_size=512)
    checkpoints = np.unique(np.logspace(1, np.log10(steps), 20).astype(int))
    results = dict(checkpoints=checkpoints, steps=steps, hidden=hidden)
    for name in NAMES:
        law, model = GrayCoded(LAWS[name]), MADE(2 * BITS, hidden=hidden, orders=[ORDER])
        x = law.law.sample(n, rng)
        bits, exact, curve = encode(x), law.law.log_prob(x) + law.log_cell, []
        for state in train(model, model.init(rng), law, rng, steps=steps, recipe=recipe):
            if state.step in checkpoints:
                excess = exact - model.log_prob(state.average, bits)
                curve.append((excess.mean(), excess.std(ddof=1) / np.sqrt(n)))
        results |= {f"{name}_curve": curve, f"{name}_floor": law.entropy(),
                    f"{name}_made": decode(model.sample(state.average, 2500, rng)), f"{name}_true": x[:2500]}
    return results


def draw(results):
    """True and generated points, and the excess against training steps."""
    hidden = "-".join(str(width) for width in results["hidden"])
    fig = figure(6.6, f"MADE on 32-bit Gray codes of points, network {hidden}: one run of "
                      f"{int(results['steps'])} steps of 512 fresh samples a law")
    panels = fig.subplots(3, len(NAMES), gridspec_kw=dict(height_ratios=[1.25, 1.25, 1]))
    for column, name in enumerate(NAMES):
        for ax, part, color in zip(panels[:, column], ("true", "made"), (ACCENT, COLORS["autoregressive"])):
            ax.plot(*results[f"{name}_{part}"].T, ".", ms=1.6, mew=0, color=color)
            plane(ax, ((-3.7, 3.7), (-3.7, 3.7)))
            ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
        value, error = results[f"{name}_curve"].T
        panels[0, column].set_title(f"{name}\nentropy floor {results[f'{name}_floor']:.3f} nats")
        panels[1, column].set_title(f"excess {value[-1]:.4f} $\\pm$ {error[-1]:.4f} nats")
        ax, steps = panels[2, column], results["checkpoints"]
        ax.fill_between(steps, np.maximum(value - 2 * error, 1e-4), value + 2 * error, alpha=0.3, lw=0,
                        color=COLORS["autoregressive"])
        ax.loglog(steps, value, color=COLORS["autoregressive"])
        ax.axhline(0.05, color=COLORS["baseline"], ls=":")
        ax.set(xlabel="training step", ylim=(5e-4, 20))
    panels[0, 0].set_ylabel("the law")
    panels[1, 0].set_ylabel("MADE")
    panels[2, 0].set_ylabel("excess over the floor\n[nats per point]")
    panels[2, 0].text(10, 0.055, "0.05", color=COLORS["baseline"], va="bottom")
    return fig
