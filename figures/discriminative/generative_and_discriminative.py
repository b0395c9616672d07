"""The chapter's figure 1.1 as an experiment: one side learns the distribution, the other the boundary."""
import numpy as np

from figures.style import COLORS, DARK_ORANGE, figure, plane
from scratch.data.distributions import moons
from scratch.discriminative.generative_classifier import Learned, learn_classes, parts_of_mixture
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.discriminative.neural_network import Classifier, stop_early
from scratch.discriminative.svm import RBF, KernelSVM
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.grid import midpoints

SECTION = "1.4"
FINDING = "Learning the distribution yields new rows and, by Bayes' rule, the boundary"
SETTINGS = ("Two moons, a class each (filled, open). 3,000 rows; 5 data sets, pictures of the first. Contours: learned p(x | y) at 0.05, "
            "0.15, 0.3. Black boundary: exact Bayes rule. Dots: one data set each, on 30,000 fresh rows. Bar: 1 s.e. of their mean.")

WINDOW = ((-2.4, 2.4), (-2.0, 2.0))
SHOWN = 400                                                 # rows
NAMES = ["logistic regression", "support vector machine", "neural network", "densities + Bayes' rule"]
LINES = (":", "--", "-")                                    # of the three boundaries
SEEDS = 5


def truth(std=0.3):
    """Two moons, a class each, as a distribution of labeled rows."""
    law = moons(std=std)
    return parts_of_mixture(law, np.arange(len(law.weights)) * 2 // len(law.weights))


def parts(effort):
    """A data set each."""
    return [f"data {seed}" for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """What each model makes of the same rows: its excess over the Bayes error, and its scores on a grid."""
    n, steps, cells = (200, 20, 40) if effort == "quick" else (3000, 1500, 240)
    law = truth()
    rows, test = law.sample(n, rng), law.sample(10 * n, rng)[:, :2]

    def early(model, rows):
        """Every gradient-trained model gives up a quarter of its rows to know when to stop."""
        held = len(rows) // 4
        return stop_early(model, model.init(rng), rows[held:], rows[:held], rng, steps=steps).theta
    density = AutoregressiveMixture(dim=2, components=4, hidden=(16,))
    generative = learn_classes(rows, 2, lambda x: Learned(density, early(density, x)))
    logistic, svm = LogisticRegression(2), KernelSVM(2, penalty=1e-3, kernel=RBF(0.7))
    network = Classifier(2, classes=2, hidden=(32, 32), penalty=1e-4)
    weights, machine, theta = logistic.fit(rows), svm.fit(rows), early(network, rows)
    scores = [lambda x: logistic.scores(weights, x), lambda x: svm.scores(machine, x),
              lambda x: log_odds(network.scores(theta, x)), lambda x: log_odds(generative.log_joint(x))]

    posterior = np.exp(law.log_posterior(test))
    excess = [np.mean(posterior.max(axis=1) - posterior[np.arange(len(test)), (score(test) > 0).astype(int)])
              for score in scores]
    results = dict(excess=excess, bayes=1 - posterior.max(axis=1).mean())
    if part == "data 0":
        nodes, _ = midpoints(WINDOW, cells)
        results |= dict(rows=rows[:SHOWN].astype(np.float32), drawn=generative.sample(SHOWN, rng).astype(np.float32),
                        best=on_grid(log_odds(law.log_joint(nodes))),
                        densities=[on_grid(np.exp(part.log_prob(nodes))) for part in generative.laws],
                        scores=[on_grid(score(nodes)) for score in scores])
    return results


def gather(effort, parts):
    """excess (data sets, methods), the Bayes error, and the pictures of the first data set."""
    first = parts["data 0"]
    return {key: first[key] for key in ("rows", "drawn", "best", "densities", "scores")} | dict(
        seeds=len(parts), excess=[part["excess"] for part in parts.values()],
        bayes=np.mean([part["bayes"] for part in parts.values()]))


def log_odds(log_p):
    """Of class 1 against class 0, (n,), from what is log p(k|x) up to a constant, (n, 2)."""
    return log_p[:, 1] - log_p[:, 0]


def on_grid(values):
    """Values at the nodes of a square grid, as a small array for contours."""
    return np.clip(values, -10, 10).reshape(int(np.sqrt(len(values))), -1).astype(np.float16)


def excess(results):
    """Mean excess over the Bayes error and its standard error, in percentage points, (methods,) each."""
    values = 100 * results["excess"]
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def claim(results):
    """The error of Bayes' rule with learned densities, and of the learned boundaries."""
    mean, error = excess(results)
    return (f"Above the Bayes error of {100 * results['bayes']:.1f} %: densities {mean[3]:.2f} +- {error[3]:.2f} points, network "
            f"{mean[2]:.2f} +- {error[2]:.2f}, straight line {mean[0]:.1f} +- {error[0]:.1f}.")


def checks(results):
    """The straight line fails; the densities classify about as well as the best boundary."""
    mean, error = excess(results)
    return {"densities within 0.5 points of the Bayes error": bool(mean[3] < 0.5),
            "network and support vector machine within 0.5 points": bool((mean[1:3] < 0.5).all()),
            "the straight line loses 1 point or more": bool(mean[0] > 1),
            "no rule beats the exact one": bool((results["excess"] >= 0).all())}


def draw(results):
    """The rows; the learned densities and what they draw; the boundaries; the errors."""
    fig = figure(5.0, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1, height_ratios=[1, 0.55])
    panels = dict(zip(("rows", "densities", "boundaries"), top.subplots(1, 3)), errors=bottom.subplots())
    cells = results["best"].shape[0]
    axes = [low + (np.arange(cells) + 0.5) * (high - low) / cells for low, high in WINDOW]

    scatter(panels["rows"], results["rows"], COLORS["truth"])
    panels["rows"].set_title("the input: rows of x and y")
    for density in results["densities"]:
        panels["densities"].contour(*axes, density.T, levels=[0.05, 0.15, 0.3], colors=COLORS["autoregressive"],
                                    linewidths=0.8)
    scatter(panels["densities"], results["drawn"], COLORS["autoregressive"])
    panels["densities"].set_title("generative: p(x | y), and new rows from it", color=COLORS["autoregressive"])
    for score, line in zip(results["scores"][:3], LINES):
        panels["boundaries"].contour(*axes, score.T, levels=[0], colors=COLORS["discriminative"], linewidths=2,
                                     linestyles=line)
    panels["boundaries"].contour(*axes, results["best"].T, levels=[0], colors=COLORS["truth"], linewidths=1)
    panels["boundaries"].set_title("discriminative: the boundary alone", color=DARK_ORANGE)
    for text, place in (("straight line", (-2.35, 0.25)), ("network (solid), SVM (dashed),\nexact (black)", (-0.5, -1.6))):
        panels["boundaries"].text(*place, text, color=DARK_ORANGE, fontsize=8)
    for key in ("rows", "densities", "boundaries"):
        plane(panels[key], WINDOW)

    ax, (mean, error) = panels["errors"], excess(results)
    for place, name in enumerate(NAMES):
        color = COLORS["autoregressive" if place == 3 else "discriminative"]
        ax.plot(100 * results["excess"][:, place], np.full(len(results["excess"]), place), "o", ms=4, color=color, alpha=0.5)
        ax.errorbar(mean[place], place, xerr=error[place], fmt="|", ms=12, color=color, capsize=3)
    ax.axvline(0, color=COLORS["truth"], lw=1.5)
    ax.set(yticks=range(4), yticklabels=NAMES, ylim=(3.6, -0.6), xlim=(-0.05, None),
           xlabel="error above that of the exact Bayes rule, in percentage points")
    ax.tick_params(axis="y", length=0)
    return fig


def scatter(ax, rows, color):
    """Rows: class 0 as filled circles, class 1 as open triangles."""
    for label, (marker, face) in enumerate((("o", color), ("^", "white"))):
        x = rows[rows[:, 2] == label]
        ax.plot(*x[:, :2].T, ls="", ms=3.2, mew=0.6, marker=marker, color=color, mfc=face)
