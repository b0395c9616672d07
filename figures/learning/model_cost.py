"""What a training step of each implicit model costs, as a multiple of its bare matrix products."""
import numpy as np

from figures.learning.cost import seconds
from figures.style import COLORS, figure
from scratch.data.distributions import LAWS
from scratch.implicit.diffusion.ddpm import DDPM
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.flow_matching import FlowMatching
from scratch.implicit.gan import GAN, non_saturating, wasserstein
from scratch.learning.training import train

CLAIM = ("With both penalties a training step of the relativistic GAN costs 1.9 times its bare matrix products, second "
         "order included; a step of diffusion, whose network first computes sines of its input, costs 2.2 to 2.3 times.")
TIMING = True

HIDDEN = (128, 128, 128)
# forward products h W, pullbacks da W^T and gradients h^T da that a step makes per layer and row of the batch
ONE_PASS = (1, 1, 1)
SECOND_ORDER = (2, 2, 2)       # value, pullback of the slope;  slope, pullback of the value;  gradients of both


def models(hidden):
    """Name -> (model, [(widths, rows per row of the batch, products)], color)."""
    gan = GAN(2, hidden=hidden)
    generator, discriminator = (gan.generator_widths, 1, ONE_PASS), gan.discriminator_widths
    return {
        "GAN, no penalty": (GAN(2, hidden=hidden, objective=non_saturating),
                            [generator, (discriminator, 2, (1, 2, 1))], "gan"),
        "WGAN-GP": (GAN(2, hidden=hidden, objective=wasserstein),
                    [generator, (discriminator, 2, (1, 2, 1)), (discriminator, 1, SECOND_ORDER)], "gan"),
        "relativistic + R1 + R2": (gan, [generator, (discriminator, 2, SECOND_ORDER)], "gan"),
        **{name: (model, [(model.network.widths, 1, ONE_PASS)], "diffusion") for name, model in (
            ("Diffusion", Diffusion(2, hidden=hidden)), ("DDPM", DDPM(2, hidden=hidden)),
            ("FlowMatching", FlowMatching(2, hidden=hidden)))},
    }


def compute(effort, rng):
    """Seconds of a training step and of its matrix products, the least of several runs in turn."""
    hidden, repeats, loops = ((8,), 1, 2) if effort == "quick" else (HIDDEN, 30, 20)
    results = {}
    for name, (model, passes, _) in models(hidden).items():
        states = train(model, model.init(rng), LAWS["ring"].sample(4096, rng), rng, steps=10 ** 9)
        products = bare_products(passes, model.recipe.batch_size, rng)
        pairs = [(seconds(lambda: next(states), loops), seconds(products, loops)) for _ in range(repeats)]
        results[name] = np.min(pairs, axis=0)
    return results


def bare_products(passes, batch, rng):
    """A function that makes all matrix products of a step, and nothing else."""
    calls = []
    for widths, rows, (forward, back, gradient) in passes:
        for n_in, n_out in zip(widths[:-1], widths[1:]):
            h, da, W = (rng.standard_normal(shape).astype(np.float32)
                        for shape in ((rows * batch, n_in), (rows * batch, n_out), (n_in, n_out)))
            calls += [(h, W)] * forward + [(da, W.T)] * back + [(h.T, da)] * gradient

    def products():
        for left, right in calls:
            left @ right

    return products


def draw(results):
    """A bar for the whole step, a darker one for its products, and their ratio."""
    fig = figure(3.2, "A training step with networks 128-128-128, float32, one thread "
                      "(batch 256 for GANs, 512 for the others)")
    ax = fig.subplots()
    for place, (name, (_, _, family)) in enumerate(models(HIDDEN).items()):
        step, products = 1e3 * results[name]
        ax.barh(place, step, color=COLORS[family], alpha=0.5)
        ax.barh(place, products, color=COLORS[family])
        ax.text(step, place, f"  {step:.2f} ms = {step / products:.2f} times its products", va="center")
    most = 1e3 * max(step for step, _ in results.values())
    ax.set(yticks=range(len(results)), yticklabels=list(models(HIDDEN)), xlim=(0, 1.7 * most),
           xlabel="milliseconds (dark: the bare matrix products)")
    ax.invert_yaxis()
    return fig
