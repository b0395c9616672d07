"""The key formula drawn: the training loss falls on the line of the entropy, and what lies between is the KL."""
import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.divergence.quadrature import kl_quadrature
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.learning.training import train

SECTION = "key"
FINDING = "Training loss falls to the entropy; what lies between is the KL"
SETTINGS = ("The autoregressive model with its default settings, one run of 10,000 steps of 512 fresh samples a "
            "distribution. Loss: mean of -log p on 20,000 held-out rows, which the entropy line shares. "
            "Bar: 1 s.e.; 20,000 rows for neighbors, 200,000 for Monte Carlo.")

NAMES = ("ring", "grid", "moons", "spirals")
ROADS = {"quadrature": "o", "Monte Carlo": "s", "neighbors": "^"}


def parts(effort):
    """One training for each distribution."""
    return list(NAMES)


def compute_part(part, effort, rng):
    """Loss on held-out rows along training, and KL at the end by three roads."""
    steps, sizes, n = (30, dict(components=4, hidden=(8,)), 300) if effort == "quick" else (10_000, {}, 20_000)
    at = np.unique(np.logspace(0, np.log10(steps), 40).astype(int))
    law, model = LAWS[part], AutoregressiveMixture(2, **sizes)
    x, excess = law.sample(n, rng), []
    entropy, sampled = law.entropy(), -law.log_prob(x).mean()
    for state in train(model, model.init(rng), law, rng, steps=steps):
        if state.step in at:
            # the same rows in both means: their error, that of the entropy of n rows, cancels
            excess.append(-model.log_prob(state.average, x).mean() - sampled)

    def log_q(x):
        return model.log_prob(state.average, x)

    roads = (kl_quadrature(law.log_prob, log_q, law.bounds(), 300 if effort == "full" else 30),
             kl_monte_carlo(law.log_prob, log_q, law.sample(10 * n, rng)),
             kl_nearest_neighbor(law.sample(n, rng), model.sample(state.average, n, rng).astype(float)))
    return dict(steps=at, loss=entropy + np.array(excess), entropy=entropy, n=n,
                roads=[(road.value, road.stderr) for road in roads])


def gather(effort, parts):
    """The parts side by side: loss (distribution, step), roads (distribution, road, value and error)."""
    kept = {key: [parts[name][key] for name in NAMES] for key in ("loss", "entropy", "roads")}
    return dict(kept, seeds=1, names=NAMES, steps=parts[NAMES[0]]["steps"])


def apart(results):
    """The largest distance of two of the three roads of a distribution, in joint errors."""
    value, error = np.moveaxis(results["roads"], -1, 0)
    return max(float((np.abs(value[:, i] - value[:, j]) / np.hypot(error[:, i], error[:, j])).max())
               for i in range(3) for j in range(i))


def claim(results):
    """Gap at the start and at the end, and the agreement of the roads."""
    gap = results["loss"] - results["entropy"][:, None]
    return (f"The gap falls from at least {gap[:, 0].min():.1f} nats to at most {results['roads'][:, 0, 0].max():.4f}; "
            f"three estimators agree within {apart(results):.1f} joint standard errors.")


def checks(results):
    """What the picture says."""
    gap, exact = results["loss"] - results["entropy"][:, None], results["roads"][:, 0, 0]
    return {"the gap falls to a hundredth or less": bool((exact < gap[:, 0] / 100).all()),
            "no gap is below 0 by more than 0.001 nats": bool(gap.min() > -0.001),
            "three roads agree within 4 joint errors": apart(results) < 4}


def draw(results):
    """Loss above, the roads below on one axis of nats."""
    fig = style.figure(4.4, FINDING, SETTINGS)
    axes = fig.subplots(2, len(NAMES), height_ratios=[3, 1], sharex="row", sharey="row")
    color, steps = style.COLORS["autoregressive"], results["steps"]
    curves = results["loss"], results["entropy"], results["roads"]
    for name, loss, entropy, roads, top, low in zip(NAMES, *curves, *axes):
        top.fill_between(steps, entropy, loss, color=color, alpha=0.25, lw=0)
        top.plot(steps, loss, color=color)
        top.axhline(entropy, color=style.COLORS["truth"], lw=1)
        top.set(xlabel="training step", xscale="log", title=name, xlim=(steps[0], steps[-1]), ylim=(0, None))
        top.text(steps[-1], entropy - 0.08, f"entropy {entropy:.3f}", ha="right", va="top", fontsize=8)
        for height, (value, error) in enumerate(roads):
            low.errorbar(1000 * value, -height, xerr=1000 * error, fmt="o", ms=4, color=color)
        low.axvline(0, color=style.COLORS["truth"], lw=1)
        low.set(ylim=(-2.6, 0.6), xlabel="KL at the end [$10^{-3}$ nats]")
    axes[0, 0].set_ylabel("nats per point")
    axes[0, 0].text(30, 0.7 * results["loss"][0, 0], r"loss: mean of $-\log p_\theta$", color=color)
    axes[0, 0].text(1.3, results["entropy"][0] + 0.4, r"KL$(p_{data} \| p_\theta)$", color=color)
    axes[1, 0].set(yticks=[0, -1, -2], yticklabels=["quadrature", "Monte Carlo", "neighbors"])
    return fig
