"""Regression as a density: a network that learns its own error bars, on a known distribution and an MRI slice."""
import numpy as np

from figures.style import COLORS, figure
from scratch.data.distributions import WarpedGaussian
from scratch.data.real import MRI_SCALE, mri_patches
from scratch.discriminative.neural_network import Regressor, stop_early
from scratch.discriminative.regression import coverage, nats, transform
from scratch.learning.training import fit

CLAIM = ("A regressor that learns its own spread comes within 0.02 nats of the conditional entropy of a "
         "heteroscedastic law; on real pixels its mean is hardly better than least squares, its density by nearly a nat.")

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
    return dict(shown=law.sample(400, rng), line=line, learned=model.predict(theta, line),
                excess=[excess.mean(), excess.std() / np.sqrt(tests)], steps=steps,
                entropy=np.log(0.3) + 0.5 * np.log(2 * np.pi * np.e), y=held_out[:, -1],
                network=np.stack([mean, std]), linear=np.stack([of_line, np.full(len(of_line), line_std)]))


def draw(results):
    """The distribution with the learned band; pixels with their error bars; what the two densities are worth."""
    y, (excess, error) = results["y"], results["excess"]
    predictions = {"network": results["network"], "least squares": results["linear"]}
    told = []
    for name, (mean, std) in predictions.items():
        worth, root = nats(mean, std, y), MRI_SCALE * np.sqrt(np.mean((y - mean) ** 2))
        told.append(f"{name} {worth.value:.2f} $\\pm$ {worth.stderr:.2f} nats, root mean square error {root:.2f}")
    fig = figure(4.0, f"A known law: {excess:.4f} $\\pm$ {error:.4f} nats above its conditional entropy, "
                      f"{results['entropy']:.4f}\n{len(y)} held-out pixels of an MRI slice from their 8 neighbors: "
                      + ";\n".join(told))
    law_ax, pixel_ax, worth_ax = fig.subplots(1, 3, gridspec_kw=dict(width_ratios=[1, 1, 0.95]))
    x, (mean, std) = results["line"][:, 0], results["learned"]
    exact_mean, exact_std = 0.5 * (x ** 2 - 1), 0.3 * np.exp(x / 2)
    law_ax.fill_between(x, mean - 1.96 * std, mean + 1.96 * std, color=COLORS["discriminative"], alpha=0.3, lw=0,
                        label="learned, 95 %")
    law_ax.plot(x, mean, color=COLORS["discriminative"])
    for edge in (-1.96, 0, 1.96):
        law_ax.plot(x, exact_mean + edge * exact_std, ":", color=COLORS["truth"], lw=1,
                    label="exact" if edge == 0 else None)
    law_ax.plot(*results["shown"].T, ".", ms=2, color="0.5")
    law_ax.set(xlim=(-3, 3), ylim=(-3, 7), xlabel="x", ylabel="y", title="the law, and what was learned of it")
    law_ax.legend(loc="upper left")

    mean, std = results["network"] * MRI_SCALE
    error = np.abs(y * MRI_SCALE - mean)
    pixel_ax.loglog(std, np.maximum(error, 0.05), ".", ms=3, color="0.25", alpha=0.6)
    ends = np.array([std.min(), std.max()])
    pixel_ax.loglog(ends, 1.96 * ends, color=COLORS["discriminative"], label="95 % lie below")
    pixel_ax.axhline(1.96 * results["linear"][1, 0] * MRI_SCALE, color=COLORS["baseline"], label="95 %, least squares")
    pixel_ax.set(xlabel="predicted standard deviation (gray levels)", ylabel="error of the mean (gray levels)",
                 title="the network knows which pixels are hard")
    pixel_ax.legend(loc="lower right")

    levels = np.linspace(0.02, 0.98, 49)
    for (name, (mean, std)), color in zip(predictions.items(), (COLORS["discriminative"], COLORS["baseline"])):
        far, covered = np.abs(transform(mean, std, y) - 0.5), coverage(mean, std, y)
        worth_ax.plot(levels, [np.mean(far <= level / 2) for level in levels], color=color,
                      label=f"{name}, {100 * covered.value:.1f} %\nin its 95 % interval")
    worth_ax.plot([0, 1], [0, 1], ":", color=COLORS["truth"], lw=1)
    worth_ax.set(xlabel="nominal probability of an interval", ylabel="share of pixels in it", ylim=(0, 1.02), xlim=(0, 1),
                 title="are its intervals true?")
    worth_ax.legend(loc="lower right")
    return fig
