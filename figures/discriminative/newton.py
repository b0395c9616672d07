"""One convex loss, three ways down; what a penalty does; and what happens where there is no minimum."""
from dataclasses import dataclass, field

import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.distributions import GaussianMixture
from scratch.discriminative.generative_classifier import GenerativeClassifier
from scratch.discriminative.labeled import join
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.discriminative.newton import Separable, minimum_by_lbfgs, newton
from scratch.learning.optimizers import SGD, constant
from scratch.learning.training import Recipe, train

CLAIM = ("Newton's method squares the error at every step and meets L-BFGS at the same loss; weights shrink as the "
         "penalty grows; on separable data every Newton step moves a logit by at least 1, so that no minimum exists.")

DIM = 5


@dataclass(frozen=True)
class Watched(LogisticRegression):
    """Logistic regression that remembers every loss it was asked for."""
    losses: list = field(default_factory=list)

    def loss(self, theta, rows, noise=None):
        value, dtheta = super().loss(theta, rows)
        self.losses.append(value)
        return value, dtheta


def compute(effort, rng):
    """Losses along three descents; weights and nats along penalties; moves of logits on three sets of rows."""
    n, steps = (100, 50) if effort == "quick" else (1000, 2000)
    mean = np.linspace(0.2, 0.8, DIM)
    covariance = 0.5 * np.eye(DIM) + 0.5
    laws = [GaussianMixture([sign * mean], [covariance], [1.0]) for sign in (-1, 1)]
    law = GenerativeClassifier(laws, [0.5, 0.5])
    rows, held_out = law.sample(n, rng), law.sample(20_000, rng)
    model = LogisticRegression(DIM)
    iterates = list(newton(model, rows))
    x1 = np.hstack([rows[:, :-1], np.ones((n, 1))])
    rate = 4 * n / np.linalg.norm(x1, 2) ** 2               # 1 / the largest eigenvalue that the Hessian can have
    descent = train(model, np.zeros(model.size), rows, rng, steps=steps, recipe=Recipe(SGD(rate), constant, n))
    watched = Watched(DIM)
    by_lbfgs = watched.loss(minimum_by_lbfgs(watched, rows), rows)[0]

    few, penalties, path = rows[:60], np.logspace(-4, 2, 25), []
    for penalty in penalties:
        shrunk = LogisticRegression(DIM, penalty=penalty)
        theta = shrunk.fit(few)
        path.append([np.linalg.norm(theta[:-1]), -shrunk.log_prob(theta, few).mean(),
                     -shrunk.log_prob(theta, held_out).mean()])

    x = rng.normal(size=(60, 2))
    apart = x + 0.1 * np.sign(x)
    tied = np.concatenate([np.sign(x[:, 1:]), np.zeros((10, 1))])
    return dict(newton=[i.loss for i in iterates], descent=[state.loss for state in descent], lbfgs=watched.losses,
                agree=by_lbfgs - iterates[-1].loss, penalties=penalties, path=path, n=n, few=len(few),
                moves=[i.moved for i in iterates],
                moves_apart=moves_until_refused(join(apart, apart[:, 0] > 0)),
                moves_tied=moves_until_refused(join(tied, np.append(x[:, 1] > 0, np.arange(10) % 2))))


def moves_until_refused(rows):
    """The largest move of a logit in each Newton step on separable rows."""
    moves = []
    try:
        for iterate in newton(LogisticRegression(rows.shape[1] - 1), rows):
            moves.append(iterate.moved)
    except Separable:
        pass
    return moves


def draw(results):
    """Convergence, shrinkage, and the certificate."""
    fig = figure(3.6, f"Logistic regression by hand: Newton and L-BFGS agree in the loss within "
                      f"{max(abs(results['agree']), 1e-16):.0e} nats, from the same start")
    descents, shrinkage, certificate = fig.subplots(1, 3)
    best = results["newton"][-1]
    for key, line, name, place in (("descent", ":", "gradient descent", (25, 0.05)),
                                   ("lbfgs", "--", "L-BFGS", (14, 1e-10)), ("newton", "o-", "Newton", (1, 1e-10))):
        excess = np.minimum.accumulate(np.maximum(results[key] - best, 1e-17))
        descents.loglog(1 + np.arange(len(excess)), excess, line, ms=4, color=COLORS["discriminative"])
        descents.text(*place, name, fontsize=8)
    descents.axhline(1e-16, color=COLORS["baseline"], lw=0.8)
    descents.text(1, 2e-16, "rounding", color=COLORS["baseline"])
    descents.set(xlabel="evaluation of the gradient", ylabel="nats above the minimum", ylim=(5e-18, 2),
                 title=f"convergence, {int(results['n'])} rows")
    norm, train_nats, test_nats = results["path"].T
    shrinkage.loglog(results["penalties"], norm, color=COLORS["discriminative"], label="|w|")
    shrinkage.loglog(results["penalties"], train_nats, "--", color=COLORS["baseline"], label="nats, training rows")
    shrinkage.loglog(results["penalties"], test_nats, color=COLORS["baseline"], label="nats, held out")
    shrinkage.set(xlabel="penalty", title=f"shrinkage, {int(results['few'])} rows")
    shrinkage.legend()
    for key, line, color, label in (("moves", "o-", COLORS["discriminative"], "overlapping classes"),
                                    ("moves_apart", "s-", ACCENT, "separable"),
                                    ("moves_tied", "^-", ACCENT, "separable but for ties")):
        certificate.semilogy(1 + np.arange(len(results[key])), results[key], line, ms=3, color=color, label=label)
    certificate.axhline(1, color=COLORS["truth"], lw=0.8)
    certificate.text(30, 0.2, "never below 1: no minimum", ha="right", va="top")
    certificate.set(xlabel="Newton step", title="largest move of a logit in a step", ylim=(1e-16, 1e4))
    certificate.legend(loc="lower right")
    return fig
