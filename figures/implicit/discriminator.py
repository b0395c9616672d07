"""The discriminator against log p / q: trained against a generator that stands still, its optimum is known."""
from dataclasses import replace

import numpy as np

from figures.style import COLORS, figure, plane
from scratch.data.distributions import LAWS
from scratch.implicit.gan import GAN, non_saturating, relativistic
from scratch.implicit.optimal_discriminator import cell_masses, js_lower_bound, log_ratio
from scratch.implicit.push_forward import PushForward
from scratch.grid import midpoints
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

CLAIM = ("Against a generator that stands still the discriminator comes to log p / q wherever samples are: the "
         "divergence that it sees is 0.33 of 0.35 nats.  R1 and R2 make it smoother, and of the divergence it then sees 0.31.")
STUDY = True

LAW, WINDOW, PIXELS, MOST = LAWS["ring"], ((-3, 3), (-3, 3)), 90, 6.0
TRAINED = {"non-saturating, no penalty": (non_saturating, 0.0), "relativistic + R1 + R2": (relativistic, 0.1)}


def compute(effort, rng):
    """A generator trained a little, its density, and discriminators trained against it to the end."""
    first, steps, hidden, n, tolerance = ((5, 10, (8,), 60, 1e-2) if effort == "quick" else
                                          (300, 6000, (64, 64, 64), 300, 1e-5))
    start = GAN(2, hidden=hidden)
    theta = fit(start, start.init(rng), LAW, rng, steps=first)
    generator = start.players[0]
    frozen = theta[generator].astype(float)

    def generate(z):
        return start.generate(np.concatenate([frozen, np.zeros(start.size - len(frozen))]), z)

    density = PushForward.of(generate, tolerance)
    log_q = density.log_prob
    pixels, _ = midpoints(WINDOW, PIXELS)
    x, samples = LAW.sample(4000, rng), density.generate(rng.standard_normal((4000, 2)))
    nodes, p, q = cell_masses(LAW.log_prob, log_q, WINDOW, n)
    exact = [LAW.log_prob(part) - log_q(part) for part in (x, samples)]
    results = dict(steps=steps, first=first, log_p=LAW.log_prob(pixels), log_q=log_q(pixels), samples=samples[:800],
                   exact=np.concatenate(exact), mass=q.sum(),
                   js=js_lower_bound(log_ratio(LAW.log_prob, log_q)(nodes), p, q))
    for name, (objective, gamma) in TRAINED.items():
        model = replace(start, objective=objective, gamma=gamma)
        recipe = Recipe(Adam(model.rates(generator=0.0, discriminator=2e-3), beta1=0.0, beta2=0.99), batch_size=256,
                        anneal=model.recipe.anneal)
        learned = model.init(rng)
        learned[generator] = frozen
        learned = fit(model, learned, LAW, rng, steps=steps, recipe=recipe)
        shift = 0.0 if objective is non_saturating else constant_left_open(model.logits(learned, nodes), p, q)
        results |= {f"{name} map": model.logits(learned, pixels) + shift,
                    f"{name} points": np.concatenate([model.logits(learned, part) + shift for part in (x, samples)]),
                    f"{name} bound": js_lower_bound(model.logits(learned, nodes).astype(float) + shift, p, q)}
    return results


def constant_left_open(logits, p, q):
    """The constant that the relativistic loss leaves open: the one with the best bound."""
    shifts = np.linspace(-8, 8, 161)
    logits = logits.astype(float)
    return shifts[np.argmax([js_lower_bound(logits + shift, p, q) for shift in shifts])]


def draw(results):
    """Three maps of logits on one scale, and learned against exact at data and samples."""
    fig = figure(5.6, f"Generator stopped after {int(results['first'])} steps; each discriminator trained "
                      f"for {int(results['steps'])} more on the ring, one run, networks 64-64-64")
    top, bottom = fig.subfigures(2, 1, height_ratios=[1.25, 1])
    maps = {"exact: log p / q": results["log_p"] - results["log_q"]} | {name: results[f"{name} map"]
                                                                       for name in TRAINED}
    seen = np.maximum(results["log_p"], results["log_q"]).reshape(PIXELS, PIXELS) > -7
    panels = top.subplots(1, 3)
    for ax, (name, values) in zip(panels, maps.items()):
        clipped = np.clip(values, -MOST, MOST).reshape(PIXELS, PIXELS)
        image = ax.imshow(np.where(seen, clipped, np.nan).T, origin="lower", extent=sum(WINDOW, ()), cmap="PuOr_r",
                          vmin=-MOST, vmax=MOST)
        plane(ax, WINDOW)
        bound = results["js"] if name not in TRAINED else results[f"{name} bound"]
        sign = "JS" if name not in TRAINED else "JS at least"
        ax.set_title(f"{name}\n{sign} {float(bound):.3f} nats")
    top.colorbar(image, ax=panels, label="logit C(x) [nats]", shrink=0.8)
    for ax, name in zip(bottom.subplots(1, 2, sharey=True), TRAINED):
        exact, learned = results["exact"], results[f"{name} points"]
        half = len(exact) // 2
        ax.plot(exact[half:], learned[half:], ".", ms=1, color=COLORS["gan"], label="samples")
        ax.plot(exact[:half], learned[:half], ".", ms=1, color=COLORS["truth"], label="data")
        ax.plot([-12, 6], [-12, 6], lw=0.8, color=COLORS["baseline"])
        ax.set(title=name, xlabel="exact log p / q [nats]", ylabel="learned C(x) [nats]", xlim=(-12, 6),
               ylim=(-12, 6))
        ax.legend(loc="upper left", markerscale=8)
    return fig
