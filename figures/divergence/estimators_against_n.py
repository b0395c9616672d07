"""Estimators of KL against the truth as the samples grow."""
import numpy as np
from scipy.special import gammaln

from figures.divergence.shelf import SHELF
from figures.style import COLORS, figure
from scratch.data.distributions import GaussianMixture, ring
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.quadrature import kl_quadrature

CLAIM = ("With samples alone the error falls slowly and each estimator has a law that it dislikes; knowing the "
         "density of q helps, and knowing both makes the KL a plain mean.")
STUDY = True


class Student:
    """Student's t with 3 degrees of freedom, shifted: heavy tails, without a third moment."""

    def __init__(self, shift):
        self.shift = shift

    def sample(self, n, rng):
        """(n, 1) draws."""
        return rng.standard_t(3, (n, 1)) + self.shift

    def log_prob(self, x):
        """log density, (n,)."""
        constant = gammaln(2) - gammaln(1.5) - 0.5 * np.log(3 * np.pi)
        return constant - 2 * np.log1p((x[:, 0] - self.shift) ** 2 / 3)


def cases():
    """Title -> (p, q, the true KL)."""
    p = GaussianMixture([[0.0, 0.0]], [[[1.0, 0.6], [0.6, 1.0]]], [1.0])
    q = GaussianMixture([[0.8, -0.4]], [[[1.5, 0.0], [0.0, 0.7]]], [1.0])
    gaussian = kl_gaussians(p.means[0], p.covariances[0], q.means[0], q.covariances[0]).value
    eight, blurred = ring(), ring().noised(0.25)
    modes = kl_quadrature(eight.log_prob, blurred.log_prob, blurred.bounds(), 900).value
    heavy, shifted = Student(0.0), Student(1.5)
    tails = kl_quadrature(heavy.log_prob, shifted.log_prob, [(-2000.0, 2000.0)], 400_000).value
    return {"two Gaussians, D = 2": (p, q, gaussian), "ring against blurred ring": (eight, blurred, modes),
            "heavy tails (Student t, 3 degrees)": (heavy, shifted, tails)}


def compute(effort, rng):
    """Mean and sd of each estimator at each n, in each case."""
    sizes, runs, slow_runs = ((60, 120), 2, 0) if effort == "quick" else ((100, 300, 1000, 3000, 10_000), 16, 4)
    results = dict(sizes=sizes, runs=[runs, slow_runs], titles=list(cases()), names=list(SHELF), truths=[], table=[])
    for p, q, truth in cases().values():
        results["truths"].append(truth)
        table = np.full((len(SHELF), len(sizes), 2), np.nan)
        for column, n in enumerate(sizes):
            for row, entry in enumerate(SHELF.values()):
                values = [entry.estimate(p.sample(n, rng), q.sample(n, rng), p.log_prob, q.log_prob, rng).value
                          for _ in range(slow_runs if entry.slow else runs)]
                if values:
                    table[row, column] = np.mean(values), np.std(values)
        results["table"].append(table)
    return results


def draw(results):
    """A panel a case: mean and sd over runs against n."""
    fig = figure(4.2, "Estimates of KL(p || q) from n samples of each: mean and standard deviation over "
                      f"{results['runs'][0]} runs ({results['runs'][1]} where a network is trained)")
    panels = fig.subplots(1, len(results["titles"]))
    sizes = results["sizes"]
    for ax, title, truth, table in zip(panels, results["titles"], results["truths"], results["table"]):
        ax.axhline(truth, color=COLORS["truth"], ls="--", lw=1)
        for place, (name, (mean, sd)) in enumerate(zip(results["names"], np.moveaxis(table, 2, 1))):
            entry = SHELF[str(name)]
            at = sizes * 1.07 ** (place - len(SHELF) / 2)                         # side by side, not on top
            ax.errorbar(at, mean, sd, color=entry.color, marker=entry.marker, ms=4, lw=1, elinewidth=0.8, label=name)
        ax.set(xscale="log", xlabel="n = m", title=f"{title}\ntruth {truth:.3f} nats",
               ylim=(-0.3 * truth, 2.1 * truth))
    panels[0].set_ylabel("estimate [nats]")
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return fig
