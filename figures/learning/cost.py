"""What a training step costs, as a multiple of its bare matrix products."""
import time

import numpy as np

from figures.style import COLORS, figure
from scratch.kernels.dense import mlp, mlp_init, mlp_views
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, train

CLAIM = ("A whole training step in float32 (batch, network, loss, gradient, Adam, average) costs less than twice its "
         "bare matrix products at batch 512 and width 128; with next to no arithmetic (width 1, batch 32) it takes less "
         "than 150 microseconds.")
TIMING = True

BATCHES = (32, 64, 128, 256, 512, 1024)
WIDTHS = (16, 32, 64, 128, 256)


class Regression:
    """Least squares with a network 18 - H - H - H - 2."""

    def __init__(self, width, batch):
        self.widths = (18, width, width, width, 2)
        self.recipe = Recipe(Adam(1e-4), batch_size=batch)

    def draw_noise(self, rng, n):
        """None needed."""
        return None

    def loss(self, theta, rows, noise):
        """Half the mean squared error of y for rows [x, y]."""
        prediction, pull = mlp(theta, rows[:, :18], self.widths)
        residual = prediction - rows[:, 18:]
        dtheta, _ = pull(residual / len(rows))
        return 0.5 * np.sum(residual * residual) / len(rows), dtheta


def compute(effort, rng):
    """Seconds of a training step and of its matrix products, the least of several runs in turn."""
    repeats = 2 if effort == "quick" else 30
    settings = [(batch, 128) for batch in BATCHES] + [(512, width) for width in WIDTHS] + [(32, 64), (32, 1)]
    if effort == "quick":
        settings = [(32, 16), (32, 1)]
    return dict(settings=settings, seconds=[step_and_products(batch, width, repeats, rng)
                                            for batch, width in settings])


def step_and_products(batch, width, repeats, rng):
    """(seconds of one training step, seconds of its bare matrix products)."""
    model = Regression(width, batch)
    theta = mlp_init(rng, model.widths)
    rows = rng.standard_normal((batch, 20)).astype(np.float32)
    states = train(model, theta, rows, rng, steps=10 ** 9)
    layers = mlp_views(theta, model.widths)
    inputs = [rng.standard_normal((batch, len(W))).astype(np.float32) for W, _ in layers]
    cotangents = [rng.standard_normal((batch, W.shape[1])).astype(np.float32) for W, _ in layers]
    gradients = [np.empty_like(W) for W, _ in layers]

    def products():
        for (W, _), h, da, dW in zip(layers, inputs, cotangents, gradients):
            h @ W
            np.matmul(h.T, da, out=dW)
            da @ W.T

    loops = max(3, 20_000 // (batch * max(width, 16) // 16))
    pairs = [(seconds(lambda: next(states), loops), seconds(products, loops)) for _ in range(repeats)]
    return np.min(pairs, axis=0)


def seconds(call, loops):
    """The mean time of a call."""
    began = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - began) / loops


def draw(results):
    """Time against batch and width, and the two numbers promised."""
    cost = {tuple(setting): pair * 1e6 for setting, pair in zip(results["settings"].tolist(), results["seconds"])}
    overhead = cost[32, 1][0]
    fig = figure(3.8, "A training step of the network 18-H-H-H-2, float32, one thread")
    left, right = fig.subplots(1, 2, sharey=True)
    for ax, axis, others, label in ((left, 0, "H = 128", "batch size"), (right, 1, "batch 512", "width H")):
        fixed = 128 if axis == 0 else 512
        points = sorted(setting for setting in cost if setting[1 - axis] == fixed) or sorted(cost)
        at = [setting[axis] for setting in points]
        for column, (name, color) in enumerate((("whole training step", "truth"),
                                                ("its bare matrix products", "baseline"))):
            ax.loglog(at, [cost[setting][column] for setting in points], "o-", ms=3, color=COLORS[color], label=name)
        ax.axhline(overhead, ls=":", color=COLORS["truth"], lw=1)
        ax.set(xlabel=label, title=others, xticks=at, xticklabels=at)
        ax.minorticks_off()
        for setting, place in zip(points, at):
            step, products = cost[setting]
            ax.annotate(f"{step / products:.1f}x", (place, step), (0, 5), textcoords="offset points", ha="center")
    left.set_ylabel("microseconds per step")
    left.text(1024, overhead * 0.93, f"Python alone (width 1, batch 32): {overhead:.0f} us", va="top", ha="right")
    left.legend()
    return fig
