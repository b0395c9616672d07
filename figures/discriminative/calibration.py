"""Are the predicted probabilities true?  Reliability diagrams on a known distribution and on real MRI windows."""
import numpy as np

from figures.discriminative.detection import flat, halves, picture, ring, symmetric
from figures.discriminative.learning_curves import classes
from figures.style import COLORS, figure
from scratch.discriminative.classification import error_rate, nats, reliability, temperature
from scratch.discriminative.detection import Insertion
from scratch.discriminative.generative_classifier import gaussian_discriminant
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.discriminative.neural_network import Classifier
from scratch.kernels.stable import log_softmax
from scratch.learning.training import fit

CLAIM = ("Naive Bayes and a network trained to the end announce far too much, logistic regression little, and one "
         "temperature fitted on held-out rows brings the network down to it; on the other half of a real slice no "
         "probability stays quite true.")

NAMES = ["naive Bayes", "logistic regression", "network, trained to the end", "the same, with a temperature"]
CORRELATION, BINS = 0.2, 10


def answers(rows, held_out, test, rng, steps):
    """log p(y|x) on the test rows by the four, and the temperature."""
    dim, x = rows.shape[1] - 1, test[:, :-1]
    naive = gaussian_discriminant(rows, 2, shared=True, naive=True)
    logistic = LogisticRegression(dim, penalty=1 / len(rows))
    network = Classifier(dim, classes=2, hidden=(64,))
    theta = fit(network, network.init(rng), rows, rng, steps=steps)
    sure = network.log_posterior(theta, x).astype(float)
    T = temperature(network.log_posterior(theta, held_out[:, :-1]).astype(float), held_out[:, -1].astype(int))
    return [naive.log_posterior(x), logistic.log_posterior(logistic.fit(rows), x), sure, log_softmax(sure / T)[0]], T


def compute(effort, rng):
    """For two problems and four answers: the reliability bins, the errors, the nats and the calibration errors."""
    n, steps, tests, thin = (120, 30, 500, 40) if effort == "quick" else (600, 1500, 20_000, 1)
    _, _, law = classes(CORRELATION)
    slice_ = picture()
    searched, _ = halves(slice_)
    left, right = (Insertion(symmetric(flat(slice_, side)[::thin]), 0.6 * ring()) for side in searched)
    problems = [[law.sample(size, rng) for size in (n, n, tests)],
                [left.sample(5 * n, rng), left.sample(5 * n, rng), right.sample(tests, rng)]]
    bins, numbers, temperatures = [], [], []
    for rows, held_out, test in problems:
        log_p, T = answers(rows, held_out, test, rng, steps)
        y = test[:, -1].astype(int)
        temperatures.append(T)
        bins.append([reliability(np.exp(answer[:, 1]), y, BINS) for answer in log_p])
        numbers.append([[error_rate(answer, y).value, nats(answer, y).value, *found.error()]
                        for answer, found in zip(log_p, bins[-1])])
    return dict(bins=bins, numbers=numbers, temperatures=temperatures, rows=[len(rows) for rows, _, _ in problems],
                tests=tests)


def draw(results):
    """A row of panels per problem, a panel per answer."""
    fig = figure(5.2, f"Frequency against announced probability of class 1, {BINS} bins of equal count of "
                      f"{int(results['tests']):,} test rows, 95 % intervals.\nThe fitted temperatures are "
                      + " and ".join(f"{T:.1f}" for T in results["temperatures"]))
    panels = fig.subplots(2, 4, sharex=True, sharey=True)
    for row, bins, numbers in zip(panels, results["bins"], results["numbers"]):
        for place, (ax, found, (error, worth, off, floor)) in enumerate(zip(row, bins, numbers)):
            announced, frequency, low, high, _ = found
            color = COLORS["baseline" if place == 0 else "discriminative"]
            ax.plot([0, 1], [0, 1], ":", color=COLORS["truth"], lw=1)
            ax.vlines(announced, low, high, color=color)
            ax.plot(announced, frequency, "o-", ms=4, lw=1, color=color)
            ax.text(0.04, 0.97, f"errors {100 * error:.1f} %\n{worth:.3f} nats\noff by {100 * off:.1f} points\n"
                                f"(if true: {100 * floor:.1f})", va="top", fontsize=8, transform=ax.transAxes)
            ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    for ax, name in zip(panels[0], NAMES):
        ax.set_title(name)
    for ax in panels[1]:
        ax.set_xlabel("announced")
    for ax, what, n in zip(panels[:, 0], ("two correlated Gaussians", "MRI, the other half"), results["rows"]):
        ax.set_ylabel(f"{what}\n({n} training rows)\nfound")
    return fig
