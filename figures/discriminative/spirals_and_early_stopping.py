"""A neural network learns two spirals: to the Bayes error from the law, to its best and past it from few rows."""
import numpy as np

from figures.discriminative.generative_and_discriminative import log_odds, on_grid, scatter
from figures.style import ACCENT, COLORS, figure, plane
from scratch.data.distributions import spirals
from scratch.discriminative.generative_classifier import parts_of_mixture
from scratch.discriminative.neural_network import Classifier, stop_early
from scratch.grid import midpoints
from scratch.learning.training import train

CLAIM = ("From the law a network reaches the Bayes error of two noisy spirals within a few hundredths of a point; from "
         "300 rows its nats on new rows turn up again while those in training fall on, and early stopping keeps the best.")
STUDY = True

WINDOW = ((-4.0, 4.0), (-4.0, 4.0))
MODEL = Classifier(dim=2, classes=2, hidden=(64, 64))


def truth():
    """Two spirals, a class each, as a distribution of labeled rows."""
    law = spirals(std=0.4)
    return parts_of_mixture(law, np.arange(len(law.weights)) * 2 // len(law.weights))


def compute(effort, rng):
    """Excess errors of several runs on the distribution; the boundary of the first; one run on few rows."""
    steps, runs, cells, tests = (20, 2, 40, 500) if effort == "quick" else (2000, 8, 200, 50_000)
    law = truth()
    test, (nodes, _) = law.sample(tests, rng), midpoints(WINDOW, cells)
    posterior = np.exp(law.log_posterior(test[:, :2]))
    looks = np.unique(np.logspace(0, np.log10(steps), 25).astype(int))

    excess, nats, boundary = [], [], None
    for _ in range(runs):
        excess.append([])
        for state in train(MODEL, MODEL.init(rng), law, rng, steps=steps):
            if state.step in looks:
                chosen = posterior[np.arange(tests), MODEL.predict(state.average, test[:, :2])]
                excess[-1].append(np.mean(posterior.max(axis=1) - chosen))
        nats.append(-np.mean(MODEL.log_prob(state.average, test)))
        boundary = state.average if boundary is None else boundary

    few, held_out = law.sample(300, rng), law.sample(300, rng)
    start, seed, curve = MODEL.init(rng), rng.integers(2 ** 32), []
    for state in train(MODEL, start, few, np.random.default_rng(seed), steps=steps):
        if state.step in looks:
            curve.append([-np.mean(MODEL.log_prob(state.average, part)) for part in (few, test)])
    best = stop_early(MODEL, start, few, held_out, np.random.default_rng(seed), steps=steps, every=10)
    return dict(rows=law.sample(400, rng), looks=looks, excess=excess, nats=nats, curve=curve,
                bayes=1 - posterior.max(axis=1).mean(),
                entropy=-np.mean(np.sum(posterior * np.log(np.maximum(posterior, 1e-300)), axis=1)),
                stopped=[best.step, -np.mean(MODEL.log_prob(best.theta, test))],
                learned=on_grid(log_odds(MODEL.scores(boundary, nodes))), exact=on_grid(log_odds(law.log_joint(nodes))))


def draw(results):
    """The boundaries, the excess error along training, and the two nats on few rows."""
    last = 100 * results["excess"][:, -1]
    fig = figure(3.8, f"Two spirals, Bayes error {100 * results['bayes']:.2f} %: {len(last)} networks trained on the law "
                      f"end {last.mean():.3f} points above it (the worst {last.max():.3f})")
    plane_ax, error_ax, stop_ax = fig.subplots(1, 3)
    cells = len(results["exact"])
    axes = [low + (np.arange(cells) + 0.5) * (high - low) / cells for low, high in WINDOW]
    scatter(plane_ax, results["rows"], alpha=0.5)
    plane_ax.contour(*axes, results["learned"].T, levels=[0], colors=COLORS["discriminative"], linewidths=2.5)
    plane_ax.contour(*axes, results["exact"].T, levels=[0], colors=COLORS["truth"], linewidths=1)
    plane(plane_ax, WINDOW)
    plane_ax.set_title("learned and exact boundary")

    for run in results["excess"]:
        error_ax.loglog(results["looks"], np.maximum(100 * run, 1e-4), color=COLORS["discriminative"], lw=1, alpha=0.7)
    error_ax.axhline(0.5, ls=":", color=COLORS["truth"], lw=1)
    error_ax.text(results["looks"][0], 0.55, "half a point")
    error_ax.set(xlabel="training step, 512 new rows each", ylabel="percentage points above the Bayes error",
                 title="trained on the law")

    (step, nats), (training, test) = results["stopped"], results["curve"].T
    stop_ax.loglog(results["looks"], training, "--", color=COLORS["discriminative"], label="the 300 training rows")
    stop_ax.loglog(results["looks"], test, color=COLORS["discriminative"], label="new rows")
    stop_ax.axhline(results["entropy"], ls=":", color=COLORS["truth"], lw=1, label="conditional entropy")
    stop_ax.plot(step, nats, "o", color=ACCENT, label="kept by early stopping")
    stop_ax.set(xlabel="training step", ylabel="nats", title="trained on 300 rows")
    stop_ax.legend(loc="lower left")
    return fig
