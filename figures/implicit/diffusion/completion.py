"""One coordinate is known, the other is drawn: four ways, each against the exact conditional law."""
import numpy as np

from figures import style
from scratch.data.distributions import moons
from scratch.divergence.entropy import kl_cross_entropy
from scratch.implicit.diffusion.completion import exact_guidance, reconstruction_guidance, repaint, replacement
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.likelihood import mixture_jvp
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.learning.training import fit

SECTION = "1.4"
FINDING = "Replacement stays biased however many steps; RePaint removes most of it"
SETTINGS = ("Two moons; x1 is known, x2 is drawn, 1,500 times for each of five known values (quantiles 0.1 to "
            "0.9). Left: the middle value, exact denoiser, each method's longest run. Right: mean KL(draws || "
            "exact conditional) over the five, bar: 1 s.e. Learned denoisers: 64-64-64, 6,000 steps, 3 seeds. In "
            "parentheses: denoiser evaluations.")

LAW = moons(std=0.15)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)                          # the known values are these quantiles of x_1
LOW, HIGH = 0.005, 40.0                                     # noise levels
HIGH_GUIDANCE, LEAST = 5.0, {"exact": 0.0, "learned": 0.5}  # a network's dD/dx may be negative at high noise
LINE = (-1.7, 1.7)                                          # of x_2
RUNS = {                                                    # row of the plot: method, steps, denoiser evaluations
    "replacement": ("replacement", 80, 80), "replacement, 4 times the steps": ("replacement", 320, 320),
    "RePaint, 4 turns": ("4", 80, 320), "RePaint, 16 turns": ("16", 80, 1280),
    "posterior covariance": ("guidance", 40, 79), "exact conditional": ("exact", 40, 79)}
SHOWN = {"replacement, 4 times the steps": "replacement", "RePaint, 16 turns": "RePaint, 16 turns",
         "posterior covariance": "posterior covariance", "exact conditional": "exact conditional denoiser"}


def parts(effort):
    return ["exact"] + [f"learned {seed}" for seed in range(3 if effort == "full" else 1)]


def complete(method, denoise, tangent, least, y, n, steps, rng):
    """n draws of x_2 given x_1 = y, (n, 1)."""
    high, known = HIGH_GUIDANCE if method == "guidance" else HIGH, {0: y}
    x, sigmas = high * rng.standard_normal((n, 2)), karras_sigmas(steps, LOW, high)
    if method == "exact":
        x = heun(exact_guidance(LAW, known), x, sigmas)
    elif method == "guidance":
        x = heun(reconstruction_guidance(tangent, known, least), x, sigmas)
    elif method == "replacement":
        x = replacement(denoise, x, sigmas, known, rng)
    else:
        x = repaint(denoise, x, sigmas, known, rng, turns=int(method))
    return x[:, 1:].astype(float)


def known_values():
    """The quantiles of x_1, the same for all parts."""
    return np.quantile(LAW.sample(100_000, np.random.default_rng(0))[:, 0], SHARES)


def compute_part(part, effort, rng):
    """The mean KL over five known values of each run (runs, 2); the last known draws of the shown ones."""
    n, training, hidden = (20, 3, (8,)) if effort == "quick" else (1500, 6000, (64, 64, 64))
    kind, known, kls, results = part.split()[0], known_values(), [], {}
    denoise, tangent = LAW.denoise, mixture_jvp(LAW)
    if kind == "learned":
        model = Diffusion(dim=2, hidden=hidden)
        theta = fit(model, model.init(rng), LAW, rng, steps=training)

        def denoise(x, s):
            return model.denoise(theta, x, s)

        def tangent(x, v, s):
            return model.denoise_jvp(theta, x, v, s)
    for name, (method, steps, _) in RUNS.items():
        if (kind, method) == ("learned", "exact"):          # it needs the law
            kls.append((np.nan, np.nan))
            continue
        draws = [complete(method, denoise, tangent, LEAST[kind], y, n, steps if n > 20 else 4, rng) for y in known]
        found = [kl_cross_entropy(x, LAW.conditional([0], [y]).log_prob) for x, y in zip(draws, known)]
        error = np.sqrt(np.sum([kl.stderr ** 2 for kl in found])) / len(found)
        kls.append((np.mean([kl.value for kl in found]), error))
        if kind == "exact" and name in SHOWN:
            results[f"draws {name}"] = draws[2][:, 0].astype(np.float32)
    return results | dict(kls=kls)


def gather(effort, parts):
    """exact (runs, 2) and learned (seeds, runs, 2): KL and its error; draws of the middle known value."""
    exact, *learned = parts.values()
    draws = {key: value for key, value in exact.items() if key != "kls"}
    return draws | dict(seeds=len(learned), exact=exact["kls"], learned=np.stack([part["kls"] for part in learned]),
                        known=known_values())


def claim(results):
    """What stays and what vanishes, with the exact denoiser."""
    (few, _), (many, error), _, (repainted, other), (covariance, _), _ = results["exact"]
    return (f"Replacement keeps {few:.3f} nats, with more steps {many:.3f} ± {error:.3f}; RePaint with many turns "
            f"{repainted:.3f} ± {other:.3f}, guidance by the posterior covariance {covariance:.3f}.")


def checks(results):
    """What is biased and what is not, with the exact denoiser and, for RePaint, with learned ones."""
    value, error = results["exact"].T
    return {"replacement is biased by 5 standard errors, with many steps too": bool((value[:2] > 5 * error[:2]).all()),
            "four times the steps do not halve it": bool(value[1] > 0.5 * value[0]),
            "RePaint with 16 turns is below half of replacement": bool(value[3] < 0.5 * value[1]),
            "RePaint with 16 turns is within 4 standard errors of 0": bool(abs(value[3]) < 4 * error[3]),
            "with learned denoisers RePaint is below two thirds of replacement, every seed": bool(
                (results["learned"][:, 3, 0] < results["learned"][:, 1, 0] * 2 / 3).all()),
            "posterior covariance is biased by 5 standard errors": bool(value[4] > 5 * error[4]),
            "exact conditional is within 4 standard errors of 0": bool(abs(value[5]) < 4 * error[5])}


def draw(results):
    """Left, what four methods draw on one line through the law; right, the bias of all."""
    fig = style.figure(5.0, FINDING, SETTINGS)
    grid = fig.add_gridspec(2, 3, width_ratios=[1, 1, 1.5])
    line = np.linspace(*LINE, 400)[:, None]
    exact = np.exp(LAW.conditional([0], [results["known"][2]]).log_prob(line))
    for i, (name, title) in enumerate(SHOWN.items()):
        ax = fig.add_subplot(grid[i // 2, i % 2])
        ax.hist(results[f"draws {name}"], bins=60, range=LINE, density=True, color=_color(name), alpha=0.6)
        ax.plot(line[:, 0], exact, color=style.COLORS["truth"], lw=1.2)
        ax.set(yticks=[], xlim=LINE, ylim=(0, 1.5 * exact.max()))
        ax.set_title(title, loc="left")
        if i == 0:
            peak = line[exact.argmax(), 0], exact.max()
            ax.annotate("exact", peak, (0, 6), textcoords="offset points", ha="center")
        if i > 1:
            ax.set_xlabel(f"$x_2$, given $x_1$ = {results['known'][2]:.2f}")
    ax = fig.add_subplot(grid[:, 2])
    for i, name in enumerate(RUNS):
        value, error = results["exact"][i]
        ax.errorbar(value, -i, xerr=error, fmt="D", ms=5, color=style.COLORS["truth"])
        for value, error in results["learned"][:, i]:
            ax.errorbar(value, -i - 0.28, xerr=error, fmt="o", ms=4, color=style.COLORS["diffusion"])
    ax.axvline(0, color=style.COLORS["truth"], lw=0.8)
    ax.annotate("exact denoiser", (results["exact"][0, 0], 0), (0, 9), textcoords="offset points", ha="center")
    ax.annotate("learned, 3 seeds", (results["learned"][:, 0, 0].mean(), -0.28), (0, -13), textcoords="offset points",
                ha="center", color=style.COLORS["diffusion"])
    names = [f"{name.replace(', 4 times', ',{}4 times'.format(chr(10)))}\n({RUNS[name][2]:,})" for name in RUNS]
    ax.set_yticks(-np.arange(len(RUNS)), names)
    ax.set(xlabel="KL(draws || exact) [nats]", ylim=(-len(RUNS) + 0.4, 0.6))
    return fig


def _color(name):
    """Methods with the law's own conditional are no model of ours."""
    return style.COLORS["diffusion"] if name != "exact conditional" else style.COLORS["baseline"]
