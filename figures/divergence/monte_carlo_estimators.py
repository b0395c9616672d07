"""Schulman's three estimators of KL against their closed forms."""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.divergence.monte_carlo import k1, k2, k3

CLAIM = ("While the laws are close, k2 and k3 are far quieter than k1, and k3 is unbiased too; far apart k1 is the quietest "
         "and k2 is biased by delta^2/4 of the KL; all means and deviations lie on their closed forms.")

ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}
BATCHES = 100


def closed_forms(delta):
    """(mean, sd) of each estimator in units of the KL, p = N(0, 1), q = N(delta, 1), KL = delta^2 / 2."""
    square = delta ** 2
    return dict(k1=(np.ones_like(delta), 2 / delta),
                k2=(1 + square / 4, np.sqrt(2 + square)),
                k3=(np.ones_like(delta), 2 * np.sqrt(np.exp(square) - 1 - square) / square))


def compute(effort, rng):
    """Mean and sd, each with a standard error over batches, per estimator and delta."""
    deltas, n = np.array([0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.3, 1.6]), 1000 if effort == "quick" else 40_000
    results = dict(deltas=deltas, n=n * BATCHES)
    for name, estimator in ESTIMATORS.items():
        rows = []
        for delta in deltas:
            x = rng.standard_normal((BATCHES, n))                                 # samples of p
            terms = estimator(delta * x - 0.5 * delta ** 2) / (0.5 * delta ** 2)  # log r = log q - log p
            means, spreads = terms.mean(axis=1), terms.var(axis=1, ddof=1)
            sd = np.sqrt(spreads.mean())
            rows.append([means.mean(), means.std(ddof=1) / np.sqrt(BATCHES),
                         sd, spreads.std(ddof=1) / np.sqrt(BATCHES) / (2 * sd)])  # error of a root
        results[name] = rows
    return results


def draw(results):
    """Mean and standard deviation in units of the KL, theory as lines, Monte Carlo as points."""
    fig = figure(3.6, "Estimators of KL(p || q) from samples of p = N(0, 1), with q = N($\\delta$, 1): "
                      f"{int(results['n']):,} samples a point")
    left, right = fig.subplots(1, 2)
    deltas = results["deltas"]
    fine = np.linspace(deltas[0], deltas[-1], 200)
    looks = {"k1": (COLORS["truth"], "o"), "k2": (COLORS["baseline"], "s"), "k3": (ACCENT, "^")}
    for name, (color, marker) in looks.items():
        for ax, column, theory in ((left, 0, closed_forms(fine)[name][0]), (right, 2, closed_forms(fine)[name][1])):
            ax.plot(fine, theory, color=color, lw=1)
            value, error = results[name][:, column], results[name][:, column + 1]
            ax.errorbar(deltas, value, 2 * error, fmt=marker, ms=4, color=color, label=name)
    left.set(xlabel="$\\delta$", ylabel="mean / KL", title="bias: points with 2 standard errors, lines closed forms")
    right.set(xlabel="$\\delta$", ylabel="standard deviation / KL", title="noise of a single term", yscale="log")
    left.legend()
    right.legend()
    return fig
