"""The chapter's figure 1.1 as an experiment: one side learns the distribution, the other the boundary."""
import numpy as np

from figures.style import COLORS, figure, plane
from scratch.data.distributions import moons
from scratch.discriminative.generative_classifier import Learned, learn_classes, parts_of_mixture
from scratch.discriminative.logistic_regression import LogisticRegression
from scratch.discriminative.neural_network import Classifier, stop_early
from scratch.discriminative.svm import RBF, KernelSVM
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.grid import midpoints

CLAIM = ("From the same rows a generative model learns p(x|y), from which new rows can be drawn and, by Bayes' rule, "
         "classes told; discriminative models learn the boundary alone. All but the straight line come near the best.")

WINDOW = ((-2.4, 2.4), (-2.0, 2.0))
SHOWN = 400                                                 # rows
NAMES = ["logistic regression", "support vector machine", "neural network", "densities + Bayes' rule"]
STYLES = [("discriminative", ":"), ("discriminative", "--"), ("discriminative", "-"), ("autoregressive", "-")]
CLASSES = [dict(color="0.25", marker="o", mfc="0.25"), dict(color="0.25", marker="^", mfc="white")]


def truth(std=0.3):
    """Two moons, a class each, as a distribution of labeled rows."""
    law = moons(std=std)
    return parts_of_mixture(law, np.arange(len(law.weights)) * 2 // len(law.weights))


def compute(effort, rng):
    """What each model makes of the same rows: its scores on a grid, and its excess over the Bayes error."""
    n, steps, cells = (200, 20, 40) if effort == "quick" else (3000, 1500, 240)
    law = truth()
    rows, test = law.sample(n, rng), law.sample(10 * n, rng)[:, :2]
    nodes, _ = midpoints(WINDOW, cells)

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
    excess = []
    for score in scores:
        lost = posterior.max(axis=1) - posterior[np.arange(len(test)), (score(test) > 0).astype(int)]
        excess.append([lost.mean(), lost.std() / np.sqrt(len(test))])
    return dict(n=n, steps=steps, rows=rows[:SHOWN], drawn=generative.sample(SHOWN, rng), excess=excess,
                bayes=1 - posterior.max(axis=1).mean(), best=on_grid(log_odds(law.log_joint(nodes))),
                densities=[on_grid(np.exp(part.log_prob(nodes))) for part in generative.laws],
                scores=[on_grid(score(nodes)) for score in scores])


def log_odds(log_p):
    """Of class 1 against class 0, (n,), from what is log p(k|x) up to a constant, (n, 2)."""
    return log_p[:, 1] - log_p[:, 0]


def on_grid(values):
    """Values at the nodes of a square grid, as a small array for contours."""
    return np.clip(values, -10, 10).reshape(int(np.sqrt(len(values))), -1).astype(np.float16)


def draw(results):
    """The rows; the learned densities and what they draw; the boundaries; the errors."""
    fig = figure(4.7, f"The chapter's figure 1.1 as an experiment: two moons, {int(results['n'])} rows, "
                      f"Bayes error {100 * results['bayes']:.1f} %")
    top, bottom = fig.subfigures(2, 1, height_ratios=[1, 0.55])
    panels = dict(zip(("rows", "densities", "boundaries"), top.subplots(1, 3)), errors=bottom.subplots())
    cells = results["best"].shape[0]
    axes = [low + (np.arange(cells) + 0.5) * (high - low) / cells for low, high in WINDOW]

    scatter(panels["rows"], results["rows"])
    panels["rows"].set_title("the input: rows of x and y")
    for density, line in zip(results["densities"], ("-", "--")):
        panels["densities"].contour(*axes, density.T, levels=[0.05, 0.15, 0.3], colors=COLORS["autoregressive"],
                                    linewidths=1, linestyles=line)
    scatter(panels["densities"], results["drawn"])
    panels["densities"].set_title("generative: learns p(x|y), draws new rows", color=COLORS["autoregressive"])
    scatter(panels["boundaries"], results["rows"], alpha=0.25)
    for score, (family, line) in zip(results["scores"][:3], STYLES):
        panels["boundaries"].contour(*axes, score.T, levels=[0], colors=COLORS[family], linewidths=2,
                                     linestyles=line)
    panels["boundaries"].contour(*axes, results["best"].T, levels=[0], colors=COLORS["truth"], linewidths=1)
    panels["boundaries"].set_title("discriminative: learns the boundary", color="#B87A00")
    for key in ("rows", "densities", "boundaries"):
        plane(panels[key], WINDOW)

    ax = panels["errors"]
    for place, (name, (family, line), (value, error)) in enumerate(zip(NAMES, STYLES, results["excess"])):
        ax.plot([0, 100 * value], [place, place], line, color=COLORS[family], lw=3)
        ax.text(100 * value + 0.1, place, f"{100 * value:.2f} $\\pm$ {100 * error:.2f}", va="center")
    ax.axvline(0, color=COLORS["truth"], lw=1.5)
    ax.set(yticks=range(4), yticklabels=NAMES, ylim=(3.6, -0.6), xlim=(0, None),
           xlabel="error above that of the exact Bayes rule (black boundary), in percentage points")
    ax.set_xlim(0, 1.12 * ax.get_xlim()[1])
    ax.tick_params(axis="y", length=0)
    return fig


def scatter(ax, rows, alpha=0.7):
    """Rows: class 0 as filled circles, class 1 as open triangles."""
    for label, mark in enumerate(CLASSES):
        x = rows[rows[:, 2] == label]
        ax.plot(x[:, 0], x[:, 1], ls="", ms=3.2, mew=0.6, alpha=alpha, **mark)
