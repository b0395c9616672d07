"""What a training step costs, as a multiple of the matrix products that it cannot do without."""
from itertools import pairwise
from time import perf_counter

import numpy as np

from figures.style import COLORS, figure
from scratch.discriminative.neural_network import Classifier
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.denoiser import Diffusion

SECTION = "loop"
FINDING = "The wider the network, the more of a step is matrix products"
SETTINGS = ("One step: draw the noise, loss and gradient by hand, Adam, in float32 on one thread. Its bare products: those of "
            "all layers forward and backward. Each is the fastest of many interleaved runs.")
TIMING = True

# label -> color, model, batch, and the widths of its networks
STEPS = {f"diffusion, {width} wide, batch {batch}": ("diffusion", Diffusion(2, hidden=(width,) * 3), batch)
         for batch, width in ((128, 64), (512, 128), (1024, 256))}
STEPS |= {"autoregressive mixture, 128 wide, batch 512": ("autoregressive", AutoregressiveMixture(2), 512),
          "VAE, 128 wide, batch 512, prior N(0, I)": ("vae", VAE(2, prior=1), 512),
          "classifier, 128 wide, batch 512": ("discriminative", Classifier(2, classes=4, hidden=(128,) * 3), 512)}


def widths(model):
    """The layers of each network of a model."""
    if isinstance(model, VAE):
        return [model.encoder_widths, model.decoder_widths]
    return [model.network.widths if isinstance(model, Diffusion) else model.widths]


def products(model, n):
    """A function that does the matrix products of a step, and nothing else."""
    layers = [(np.ones((n, a), np.float32), np.ones((a, b), np.float32), np.ones((n, b), np.float32), i > 0)
              for network in widths(model) for i, (a, b) in enumerate(pairwise(network))]

    def run():
        for h, W, da, below in layers:
            h @ W, h.T @ da                                 # forward; dW
            if below:
                da @ W.T                                    # dh
    return run


def step(model, n, rng):
    """A function that does one step of training."""
    x = rng.standard_normal((n, 2)).astype(np.float32)
    if isinstance(model, Classifier):
        x = np.column_stack([x, rng.integers(4, size=n)]).astype(np.float32)
    theta, optimizer = model.init(rng), model.recipe.optimizer
    memory = optimizer.start(theta)
    return lambda: optimizer.step(theta, model.loss(theta, x, model.draw_noise(rng, n))[1], memory)


def compute(effort, rng):
    """The fastest seconds of a step and of its products, (step,) each."""
    repeats, fastest = 5 if effort == "quick" else 600, np.full((len(STEPS), 2), np.inf)
    for row, (_, model, n) in zip(fastest, STEPS.values()):
        runs = step(model, n, rng), products(model, n)
        for _ in range(repeats):
            for i, run in enumerate(runs):
                began = perf_counter()
                run()
                row[i] = min(row[i], perf_counter() - began)
    return dict(seeds=1, seconds=fastest[:, 0], bare=fastest[:, 1])


def claim(results):
    """The multiples of diffusion, from narrow to wide, and the largest of the others."""
    multiple = results["seconds"] / results["bare"]
    narrow, default, wide = multiple[:3]
    return (f"A training step of diffusion takes {narrow:.1f}, {default:.1f} and {wide:.1f} times its bare matrix products as it "
            f"widens; of the other families, at most {multiple[3:].max():.1f}.")


def checks(results):
    """The headline, and that a step contains its products and wastes no more than them twice."""
    multiple = results["seconds"] / results["bare"]
    return {"the multiple of diffusion falls as the network widens": bool((np.diff(multiple[:3]) < 0).all()),
            "every step takes longer than its products": bool((multiple > 1).all()),
            "at the default width no step takes 3 times its products": bool((multiple[1:] < 3).all())}


def draw(results):
    """A bar a step, and the line of the bare products."""
    fig = figure(2.6, FINDING, SETTINGS)
    ax = fig.subplots()
    multiple = results["seconds"] / results["bare"]
    for row, ((color, *_), value) in enumerate(zip(STEPS.values(), multiple)):
        ax.barh(-row, value, color=COLORS[color], height=0.6)
        ax.text(value + 0.03, -row, f"{value:.1f}", va="center", fontsize=8)
    ax.axvline(1, color="black", lw=1)
    ax.text(1.02, 0.75, "the bare products", fontsize=8)
    ax.set(yticks=-np.arange(len(STEPS)), yticklabels=list(STEPS), xlabel="multiple of the bare matrix products",
           ylim=(-5.6, 1.1))
    return fig
