"""A neural network learns two spirals: to the Bayes error from fresh rows, past its best from few rows."""
import numpy as np

from figures.discriminative.generative_and_discriminative import log_odds, on_grid, scatter
from figures.style import COLORS, DARK_ORANGE, figure, plane
from scratch.data.distributions import spirals
from scratch.discriminative.generative_classifier import parts_of_mixture
from scratch.discriminative.neural_network import Classifier, stop_early
from scratch.grid import midpoints
from scratch.learning.training import train

SECTION = "1.4"
FINDING = "Training on few rows helps, then harms; early stopping keeps the best"
SETTINGS = ("Two noisy spirals, a class each (filled, open); network 64-64, 2,000 steps of 512. a, b) 8 trainings on fresh rows, the "
            "first one's boundary. c) one training on 300 rows, stopped by 300 others. Black: exact Bayes rule, conditional entropy.")

WINDOW = ((-4.0, 4.0), (-4.0, 4.0))
MODEL = Classifier(dim=2, classes=2, hidden=(64, 64))


def truth():
    """Two spirals, a class each, as a distribution of labeled rows."""
    law = spirals(std=0.4)
    return parts_of_mixture(law, np.arange(len(law.weights)) * 2 // len(law.weights))


def parts(effort):
    """The trainings on fresh rows, and the one on few rows."""
    return [f"fresh {seed}" for seed in range(2 if effort == "quick" else 8)] + ["few"]


def compute_part(part, effort, rng):
    """One training: its excess errors on fresh rows, or its nats on few rows and on others."""
    steps, cells, tests = (20, 40, 500) if effort == "quick" else (2000, 200, 50_000)
    law = truth()
    test, looks = law.sample(tests, rng), np.unique(np.logspace(0, np.log10(steps), 25).astype(int))
    posterior = np.exp(law.log_posterior(test[:, :2]))
    best = posterior.max(axis=1)
    if part == "few":
        return few_rows(law, test, looks, steps, rng) | dict(
            looks=looks, bayes=1 - best.mean(), rows=law.sample(400, rng).astype(np.float32),
            entropy=-np.mean(np.sum(posterior * np.log(np.maximum(posterior, 1e-300)), axis=1)))
    excess = []
    for state in train(MODEL, MODEL.init(rng), law, rng, steps=steps):
        if state.step in looks:
            chosen = posterior[np.arange(tests), MODEL.predict(state.average, test[:, :2])]
            excess.append(np.mean(best - chosen))
    nodes, _ = midpoints(WINDOW, cells)
    grids = dict(learned=on_grid(log_odds(MODEL.scores(state.average, nodes))), exact=on_grid(log_odds(law.log_joint(nodes))))
    return dict(excess=excess) | (grids if part == "fresh 0" else {})


def few_rows(law, test, looks, steps, rng):
    """Nats on 300 rows and on the test rows along a training, and where early stopping ends."""
    few, held_out = law.sample(300, rng), law.sample(300, rng)
    start, seed, curve = MODEL.init(rng), rng.integers(2 ** 32), []
    for state in train(MODEL, start, few, np.random.default_rng(seed), steps=steps):
        if state.step in looks:
            curve.append([-np.mean(MODEL.log_prob(state.average, part)) for part in (few, test)])
    best = stop_early(MODEL, start, few, held_out, np.random.default_rng(seed), steps=steps, every=10)
    return dict(curve=curve, stopped=[best.step, -np.mean(MODEL.log_prob(best.theta, test))])


def gather(effort, parts):
    """The curves of all trainings."""
    fresh = [part for name, part in parts.items() if name != "few"]
    return parts["few"] | dict(seeds=len(fresh), excess=[part["excess"] for part in fresh],
                               learned=fresh[0]["learned"], exact=fresh[0]["exact"])


def claim(results):
    """What stopping saves, and how near fresh rows come to the Bayes error."""
    (step, nats), last = results["stopped"], 100 * results["excess"][:, -1]
    return (f"Stopped at step {step:.0f} it costs {nats:.2f} nats, at the end {results['curve'][-1, 1]:.2f}; on fresh rows {len(last)} "
            f"trainings end {last.mean():.2f} points above the Bayes error.")


def checks(results):
    """Fresh rows: near the Bayes error in every training.  Few rows: the best is left behind, and kept by stopping."""
    (_, nats), test = results["stopped"], results["curve"][:, 1]
    return {"every training on fresh rows ends within 0.1 points": bool((results["excess"][:, -1] < 1e-3).all()),
            "on few rows the nats on new rows end twice as high as at their best": bool(test[-1] > 2 * test.min()),
            "those on the training rows fall to the end": bool(np.argmin(results["curve"][:, 0]) == len(test) - 1),
            "early stopping keeps within 0.05 nats of the best": bool(nats < test.min() + 0.05)}


def draw(results):
    """The boundaries, the excess error along training, and the two nats on few rows."""
    fig = figure(3.7, FINDING, SETTINGS)
    plane_ax, error_ax, stop_ax = fig.subplots(1, 3)
    cells, color = len(results["exact"]), COLORS["discriminative"]
    axes = [low + (np.arange(cells) + 0.5) * (high - low) / cells for low, high in WINDOW]
    scatter(plane_ax, results["rows"], "#777777")
    plane_ax.contour(*axes, results["learned"].T, levels=[0], colors=color, linewidths=2.5)
    plane_ax.contour(*axes, results["exact"].T, levels=[0], colors=COLORS["truth"], linewidths=1)
    plane(plane_ax, WINDOW)
    plane_ax.set_title("a) learned and exact boundary")
    for run in results["excess"]:
        error_ax.loglog(results["looks"], np.maximum(100 * run, 1e-3), color=color, lw=1, alpha=0.7)
    error_ax.set(xlabel="training step", ylabel="points above the Bayes error", title="b) fresh rows at every step")
    (step, nats), (training, test) = results["stopped"], results["curve"].T
    stop_ax.loglog(results["looks"], training, "--", color=color)
    stop_ax.loglog(results["looks"], test, color=color)
    stop_ax.axhline(results["entropy"], ls=":", color=COLORS["truth"], lw=1)
    stop_ax.plot(step, nats, "o", ms=7, color=COLORS["truth"], mfc="white")
    for text, x, y in (("new rows", 20, test[-1] * 0.8), ("training rows", 3, training[-1] * 1.3), ("stopped", step * 0.5, nats * 1.35),
                       ("conditional entropy", 1, results["entropy"] * 0.78)):
        stop_ax.text(x, y, text, fontsize=8, color=COLORS["truth"] if text in ("stopped", "conditional entropy") else DARK_ORANGE)
    stop_ax.set(xlabel="training step", ylabel="nats", title="c) 300 rows")
    return fig
