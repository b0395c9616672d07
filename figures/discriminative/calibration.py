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

SECTION = "1.4"
FINDING = "A network trained to the end is overconfident; one temperature mends it"
SETTINGS = ("Observed frequency of class 1 against its predicted probability, 10 bins of equal count of 20,000 test rows "
            "(95 % intervals are about as large as the dots). Number: calibration error in points. One training each. Dotted: true.")

NAMES = ["naive Bayes", "logistic regression", "network, trained to the end", "the same, one temperature"]
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
    return dict(seeds=1, bins=bins, numbers=numbers, temperatures=temperatures, rows=[len(rows) for rows, _, _ in problems],
                tests=tests)


def claim(results):
    """Calibration errors of the network before and after, on the known distribution."""
    off = 100 * results["numbers"][:, :, 2]
    return (f"On Gaussians its probabilities are off by {off[0, 2]:.1f} points, with a temperature of "
            f"{results['temperatures'][0]:.1f} by {off[0, 3]:.1f}; on an unseen half slice by {off[1, 3]:.1f}.")


def checks(results):
    """The network and naive Bayes are off, a temperature brings the network down."""
    off, floor = results["numbers"][:, :, 2], results["numbers"][:, :, 3]
    return {"the network is off by 10 points or more on the Gaussians": bool(off[0, 2] > 0.10),
            "so is naive Bayes": bool(off[0, 0] > 0.10),
            "a temperature divides its error by three or more": bool(off[0, 3] < off[0, 2] / 3),
            "on the MRI slice nothing reaches the error of true probabilities": bool((off[1] > 2 * floor[1]).all()),
            "each temperature is above 1": bool((results["temperatures"] > 1).all())}


def draw(results):
    """A row of panels per problem, a panel per answer."""
    fig = figure(5.2, FINDING, SETTINGS)
    panels = fig.subplots(2, 4, sharex=True, sharey=True)
    for row, bins, numbers in zip(panels, results["bins"], results["numbers"]):
        for place, (ax, found, (_, _, off, floor)) in enumerate(zip(row, bins, numbers)):
            predicted, frequency = found[:2]
            color = COLORS["vae" if place == 0 else "discriminative"]
            ax.plot([0, 1], [0, 1], ":", color=COLORS["truth"], lw=1)
            ax.plot(predicted, frequency, "o-", ms=4, lw=1, color=color)
            ax.text(0.04, 0.97, f"off by {100 * off:.1f}", va="top", transform=ax.transAxes)
            ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    for ax, name in zip(panels[0], NAMES):
        ax.set_title(name)
    for ax in panels[1]:
        ax.set_xlabel("predicted")
    for ax, what, n in zip(panels[:, 0], ("a) two Gaussians", "b) MRI, the other half"), results["rows"]):
        ax.set_ylabel(f"{what}\n{n} training rows\nobserved")
    return fig
