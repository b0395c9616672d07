"""The discriminator against log p / q: trained against a generator that stands still, its optimum is known."""
from dataclasses import replace

import numpy as np

from figures.style import COLORS, figure, plane
from scratch.data.distributions import LAWS
from scratch.grid import midpoints
from scratch.implicit.gan import GAN, non_saturating, relativistic
from scratch.implicit.optimal_discriminator import cell_masses, js_lower_bound, log_ratio
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

SECTION = "1.3"
FINDING = "The discriminator learns log p / q wherever there are samples"
SETTINGS = ("Ring; the generator (with output noise, density by quadrature) stopped after 300 steps; each discriminator, 64-64-64 with sines up to 8, "
            "trained for 4,000 steps of 256, three seeds, one shown. Colors end at +-6 nats (arrows); hatched: fewer than one row in a "
            "thousand falls into a unit square. +- beside JS: 1 s.e. over seeds.")

LAW, WINDOW, PIXELS, MOST, SEEDS = LAWS["ring"], ((-3, 3), (-3, 3)), 80, 6.0, 3
CRITICS = {"no penalty": (non_saturating, 0.0), "R1 and R2": (relativistic, 0.1)}


def parts(effort):
    """One discriminator each."""
    return [f"{critic}, {seed}" for seed in range(1 if effort == "quick" else SEEDS) for critic in CRITICS]


def compute_part(part, effort, rng):
    """A discriminator trained to the end against the same generator, its map, its logits at rows, its bound of the JS."""
    critic, seed = part.split(", ")
    first, steps, hidden, n, pixels, count = ((2, 3, (8,), 10, 8, 20) if effort == "quick" else
                                              (300, 4000, (64, 64, 64), 160, PIXELS, 1000))
    objective, gamma = CRITICS[critic]
    start, same = GAN(2, hidden=hidden), np.random.default_rng(0)
    theta = fit(start, start.init(same), LAW, same, steps=first)
    generator = start.players[0]

    def log_q(x):
        return start.log_prob(theta, x)

    nodes, p, q = cell_masses(LAW.log_prob, log_q, WINDOW, n)
    model = replace(start, objective=objective, gamma=gamma)
    recipe = Recipe(Adam(model.rates(generator=0.0, discriminator=2e-3), beta1=0.0, beta2=0.99), batch_size=256,
                    anneal=model.recipe.anneal)
    learned = model.init(rng)
    learned[generator] = theta[generator]
    learned = fit(model, learned, LAW, rng, steps=steps, recipe=recipe)
    shift = 0.0 if objective is non_saturating else constant_left_open(model.logits(learned, nodes), p, q)
    results = dict(bound=js_lower_bound(model.logits(learned, nodes).astype(float) + shift, p, q),
                   js=js_lower_bound(log_ratio(LAW.log_prob, log_q)(nodes), p, q))
    if seed == "0":
        pixels, _ = midpoints(WINDOW, pixels)
        rows = np.concatenate([LAW.sample(count, same), start.sample(theta, count, same).astype(float)])
        results |= {"map": (model.logits(learned, pixels) + shift).astype(np.float16), "log_p": LAW.log_prob(pixels).astype(np.float32),
                    "log_q": log_q(pixels).astype(np.float32), "learned": (model.logits(learned, rows) + shift).astype(np.float32),
                    "exact": (LAW.log_prob(rows) - log_q(rows)).astype(np.float32)}
    return results


def constant_left_open(logits, p, q):
    """The constant that the relativistic loss leaves open: the one with the best bound."""
    shifts, logits = np.linspace(-8, 8, 161), logits.astype(float)
    return shifts[np.argmax([js_lower_bound(logits + shift, p, q) for shift in shifts])]


def gather(effort, parts):
    """Bounds (seeds,) of both critics; maps and rows of seed 0."""
    results = dict(seeds=len(parts) // 2, js=parts["no penalty, 0"]["js"])
    for critic in CRITICS:
        first = parts[f"{critic}, 0"]
        results |= {f"{critic} bounds": np.array([part["bound"] for name, part in parts.items() if name.startswith(critic)]),
                    f"{critic} map": first["map"], f"{critic} learned": first["learned"], "exact": first["exact"],
                    "log_p": first["log_p"], "log_q": first["log_q"]}
    return results


def claim(results):
    """How much of the divergence each critic sees."""
    plain, penalized = (results[f"{critic} bounds"].mean() for critic in CRITICS)
    return (f"Of {float(results['js']):.3f} nats between data and samples the discriminator sees {plain:.3f}; "
            f"with R1 and R2, which smooth it, {penalized:.3f}.")


def checks(results):
    """Both come near the divergence from below, and the logits follow log p / q at data and samples."""
    js = float(results["js"])
    plain, penalized = (results[f"{critic} bounds"] for critic in CRITICS)
    exact = np.clip(results["exact"], -MOST, MOST)
    correlation = [np.corrcoef(exact, np.clip(results[f"{critic} learned"], -MOST, MOST))[0, 1] for critic in CRITICS]
    return {"no bound is above the divergence": bool(max(plain.max(), penalized.max()) < js),
            "without penalty 95 % of it or more are seen": bool(plain.min() > 0.95 * js),
            "with the penalty 80 % or more are seen": bool(penalized.min() > 0.80 * js),
            "logits and log p / q correlate by 0.9 or more": bool(min(correlation) > 0.9)}


def draw(results):
    """A critic a row: the exact map, the learned one, and learned against exact at rows."""
    fig = figure(6.6, FINDING, SETTINGS)
    panels = fig.subplots(2, 3, gridspec_kw=dict(width_ratios=[1, 1, 1.15]))
    # log density of one row in a thousand in a unit square
    square = 2 * (int(len(results["log_p"]) ** 0.5),)
    seen = np.maximum(results["log_p"], results["log_q"]).reshape(square) > np.log(1e-3)
    exact = (results["log_p"] - results["log_q"]).reshape(square)
    for row, critic, letters in zip(panels, CRITICS, ("abc", "def")):
        bounds = results[f"{critic} bounds"]
        error = bounds.std(ddof=1) / np.sqrt(len(bounds)) if len(bounds) > 1 else 0.0
        titles = (f"{letters[0]}) exact log p / q: JS {float(results['js']):.3f} nats",
                  f"{letters[1]}) {critic}: JS at least {bounds.mean():.3f} $\\pm$ {error:.3f}")
        for ax, image, title in zip(row, (exact, results[f"{critic} map"].reshape(square).astype(float)), titles):
            ax.fill([-3, 3, 3, -3], [-3, -3, 3, 3], facecolor="#E4E4E4", hatch="////", edgecolor="white", lw=0)
            shown = ax.imshow(np.where(seen, image, np.nan).T, origin="lower", extent=sum(WINDOW, ()), cmap="PuOr_r", vmin=-MOST,
                              vmax=MOST, zorder=2)
            plane(ax, WINDOW)
            ax.set_title(title, loc="left")
        scatter(row[2], results, critic, letters[2])
    fig.colorbar(shown, ax=panels[:, :2], orientation="horizontal", extend="both", shrink=0.6, aspect=40,
                 label="logit C(x) and log p / q [nats]")
    return fig


def scatter(ax, results, critic, letter):
    """Learned against exact logits, at samples and at data."""
    exact, learned = results["exact"], results[f"{critic} learned"]
    half = len(exact) // 2
    ax.plot([-12, 6], [-12, 6], lw=0.8, color="#888888")
    for part, color, name, place in ((slice(half, None), COLORS["gan"], "samples", (-11.5, 4.5)),
                                     (slice(half), COLORS["truth"], "data", (-11.5, 3.0))):
        ax.plot(exact[part], learned[part], ".", ms=2, color=color)
        ax.text(*place, name, color=color)
    ax.set(xlabel="exact log p / q [nats]", ylabel="learned C(x) [nats]", xlim=(-12, 6), ylim=(-12, 6))
    ax.set_title(f"{letter}) learned against exact", loc="left")
