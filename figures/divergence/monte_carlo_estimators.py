"""Schulman's three estimators of KL against their closed forms."""
import numpy as np

from figures.style import COLORS, figure
from scratch.divergence.monte_carlo import k1, k2, k3

SECTION = "divergence"
FINDING = "Near the model k3 is the quietest unbiased estimator, far away k1"
SETTINGS = ("p = N(0, 1), q = N(delta, 1), KL(p || q) = delta^2 / 2, log r = log q - log p at samples of p. Dots: 4 million samples "
            "each (bars of 1 s.e. are smaller than the dots). Lines: closed forms.")

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
    results = dict(seeds=BATCHES, deltas=deltas, n=n * BATCHES)
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


def farthest(results):
    """The largest distance of a dot from its line, in standard errors."""
    off = [np.abs(results[name][:, column] - closed_forms(results["deltas"])[name][column // 2]) / results[name][:, column + 1]
           for name in ESTIMATORS for column in (0, 2)]
    return np.max(off)


def claim(results):
    """How much quieter k3 is near the model, and how biased k2 is far away."""
    quieter = results["k1"][0, 2] / results["k3"][0, 2]
    return (f"At KL = {results['deltas'][0] ** 2 / 2:.3f} k3 is {quieter:.0f} times quieter than k1; at "
            f"{results['deltas'][-1] ** 2 / 2:.2f} nats k2 is {100 * (results['k2'][-1, 0] - 1):.0f} % too large.")


def checks(results):
    """Dots lie on lines, and the order of the lines is as said."""
    noise = {name: results[name][:, 2] for name in ESTIMATORS}
    return {"means and deviations within 4.5 standard errors of the closed forms": bool(farthest(results) < 4.5),
            "k3 is the quieter of the unbiased two at the least KL": bool(noise["k3"][0] < noise["k1"][0] / 5),
            "k1 is the quietest at the largest KL": bool(noise["k1"][-1] < min(noise["k2"][-1], noise["k3"][-1])),
            "k2 is biased at the largest KL": bool(results["k2"][-1, 0] > 1.5)}


def draw(results):
    """Mean and standard deviation in units of the KL, theory as lines, Monte Carlo as points."""
    fig = figure(3.8, FINDING, SETTINGS)
    left, right = fig.subplots(1, 2)
    deltas = results["deltas"]
    fine = np.linspace(deltas[0], deltas[-1], 200)
    looks = {"k1": (COLORS["autoregressive"], "o", "k1 = -log r"), "k2": (COLORS["gan"], "s", "k2 = (log r)$^2$ / 2"),
             "k3": (COLORS["vae"], "^", "k3 = (r - 1) - log r")}
    for name, (color, marker, text) in looks.items():
        for ax, column, theory in ((left, 0, closed_forms(fine)[name][0]), (right, 2, closed_forms(fine)[name][1])):
            ax.plot(fine, theory, color=color, lw=1)
            value, error = results[name][:, column], results[name][:, column + 1]
            ax.errorbar(deltas, value, error, fmt=marker, ms=4, color=color)
            ax.annotate(text if ax is left else name, (fine[-1], theory[-1]), xytext=(6, {"k1": -9, "k2": -3, "k3": 5}[name]),
                        textcoords="offset points", color=color)
    left.set(xlabel="delta", ylabel="mean / KL", title="a) bias", xlim=(0, 2.35), ylim=(0.93, 1.7))
    right.set(xlabel="delta", ylabel="standard deviation of one term / KL", title="b) noise", yscale="log", xlim=(0, 1.75),
              ylim=(0.8, 25), yticks=[1, 2, 5, 10, 20], yticklabels=["1", "2", "5", "10", "20"])
    right.minorticks_off()
    return fig
