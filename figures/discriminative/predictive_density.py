"""Regression as a density: a network that learns its own error bars, on a known distribution and an MRI slice."""
import numpy as np

from figures.style import COLORS, DARK_ORANGE, figure
from scratch.data.distributions import WarpedGaussian
from scratch.data.real import MRI_SCALE, mri_patches
from scratch.discriminative.neural_network import Regressor, stop_early
from scratch.discriminative.regression import coverage, nats, transform
from scratch.learning.training import fit

SECTION = "1.4"
FINDING = "A regressor that learns its own spread knows which pixels are hard"
SETTINGS = ("Regression as a density, N(y; mean(x), std(x)^2), network 64-64, one training each. a) known distribution, band: 95 %. "
            "b, c) center pixels of an MRI slice from their 8 neighbors, held out. Black: exact, or true intervals.")

CENTER = 4                                                  # of a 3 x 3 patch: predicted from the 8 others


def compute(effort, rng):
    """Mean and spread on the law, excess nats along training; predictions of held-out center pixels."""
    steps, tests = (30, 2000) if effort == "quick" else (3000, 200_000)
    law, model = WarpedGaussian(std=1.0, curvature=0.5, noise=0.3, slope=1.0), Regressor(dim=1, hidden=(64, 64))
    theta = fit(model, model.init(rng), law, rng, steps=steps)
    test, line = law.sample(tests, rng), np.linspace(-3, 3, 200)[:, None]
    exact = law.log_prob(test) + 0.5 * test[:, 0] ** 2 + 0.5 * np.log(2 * np.pi)              # log p(y|x)
    excess = exact - model.log_prob(theta, test)

    train, held_out = (np.column_stack([np.delete(part, CENTER, axis=1), part[:, CENTER]])
                       for part in mri_patches(3, rng))
    train = rng.permutation(train)
    x1 = np.hstack([train[:, :-1], np.ones((len(train), 1))])
    line_weights = np.linalg.lstsq(x1, train[:, -1])[0]
    line_std = np.std(train[:, -1] - x1 @ line_weights)
    network = Regressor(dim=8, hidden=(64, 64), penalty=1e-4)
    pixels = stop_early(network, network.init(rng), train[2000:], train[:2000], rng, steps=steps).theta
    mean, std = network.predict(pixels, held_out[:, :-1])
    of_line = np.hstack([held_out[:, :-1], np.ones((len(held_out), 1))]) @ line_weights
    return dict(seeds=1, shown=law.sample(400, rng), line=line, learned=model.predict(theta, line),
                excess=[excess.mean(), excess.std() / np.sqrt(tests)], steps=steps,
                entropy=np.log(0.3) + 0.5 * np.log(2 * np.pi * np.e), y=held_out[:, -1],
                network=np.stack([mean, std]), linear=np.stack([of_line, np.full(len(of_line), line_std)]))


def worth(results):
    """nats and root mean square error in gray levels, of the network and of least squares."""
    y = results["y"]
    return [(nats(mean, std, y), MRI_SCALE * np.sqrt(np.mean((y - mean) ** 2)))
            for mean, std in (results["network"], results["linear"])]


def claim(results):
    """What the spread is worth on pixels, and how near the known distribution is learned."""
    (network, root), (line, line_root) = worth(results)
    return (f"On pixels its density is worth {line.value - network.value:.2f} nats more than least squares (error {root:.1f} against "
            f"{line_root:.1f}); it learns the known one within {results['excess'][0]:.4f}.")


def checks(results):
    """The gain is in the spread, not in the mean."""
    (network, root), (line, line_root) = worth(results)
    return {"within 0.005 nats of the conditional entropy": bool(results["excess"][0] < 0.005),
            "not below the entropy": bool(results["excess"][0] > -4 * results["excess"][1]),
            "half a nat better than least squares on pixels": bool(line.value - network.value > 0.5),
            "with an error at most 20 % smaller": bool(root > 0.8 * line_root)}


def draw(results):
    """The distribution with the learned band; pixels with their error bars; whether intervals are true."""
    y, color = results["y"], COLORS["discriminative"]
    fig = figure(3.7, FINDING, SETTINGS)
    law_ax, pixel_ax, true_ax = fig.subplots(1, 3)
    x, (mean, std) = results["line"][:, 0], results["learned"]
    exact_mean, exact_std = 0.5 * (x ** 2 - 1), 0.3 * np.exp(x / 2)
    law_ax.fill_between(x, mean - 1.96 * std, mean + 1.96 * std, color=color, alpha=0.3, lw=0)
    law_ax.plot(x, mean, color=color)
    for edge in (-1.96, 0, 1.96):
        law_ax.plot(x, exact_mean + edge * exact_std, ":", color=COLORS["truth"], lw=1)
    law_ax.plot(*results["shown"].T, ".", ms=2, color="0.5")
    law_ax.set(xlim=(-3, 3), ylim=(-3, 7), xlabel="x", ylabel="y", title="a) learned band, exact band")

    mean, std = results["network"] * MRI_SCALE
    error, least = np.abs(y * MRI_SCALE - mean), 0.1
    shown = error > least                                   # the others lie below the panel
    pixel_ax.loglog(std[shown], error[shown], ".", ms=3, color="0.45", alpha=0.6)
    ends = np.array([std.min(), std.max()])
    pixel_ax.loglog(ends, 1.96 * ends, color=color)
    pixel_ax.axhline(1.96 * results["linear"][1, 0] * MRI_SCALE, color=COLORS["baseline"])
    pixel_ax.text(ends[0], 2.3 * results["linear"][1, 0] * MRI_SCALE, "95 % bound of least squares", color="#777777", fontsize=8)
    pixel_ax.text(ends[1], 0.5 * ends[1], "95 % bound", color=DARK_ORANGE, ha="right", fontsize=8)
    pixel_ax.set(xlabel="predicted standard deviation (gray levels)", ylabel="error (gray levels)", ylim=(least, None),
                 title=f"b) pixels ({100 * np.mean(~shown):.0f} % lie below)")

    levels = np.linspace(0.02, 0.98, 49)
    for name, line_color, (mean, std), place in (("network", color, results["network"], (0.45, 0.3)),
                                                 ("least squares", COLORS["baseline"], results["linear"], (0.05, 0.8))):
        far = np.abs(transform(mean, std, y) - 0.5)
        true_ax.plot(levels, [np.mean(far <= level / 2) for level in levels], color=line_color)
        true_ax.text(*place, f"{name}:\n{100 * coverage(mean, std, y).value:.1f} % in 95 %", fontsize=8,
                     color=DARK_ORANGE if name == "network" else "#777777")
    true_ax.plot([0, 1], [0, 1], ":", color=COLORS["truth"], lw=1)
    true_ax.set(xlabel="nominal probability of an interval", ylabel="share of pixels in it", ylim=(0, 1.02), xlim=(0, 1),
                title="c) its intervals are nearly true")
    return fig
