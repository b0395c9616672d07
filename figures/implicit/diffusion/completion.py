"""One coordinate is known, the other is drawn: four ways, each against the exact conditional law."""
import numpy as np

from figures.style import ACCENT, COLORS, DENSITY, figure, plane
from scratch.data.distributions import moons
from scratch.divergence.closed_form import kl_gaussians
from scratch.divergence.entropy import kl_cross_entropy
from scratch.implicit.diffusion.completion import exact_guidance, reconstruction_guidance, repaint, replacement
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.likelihood import mixture_jvp
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.grid import midpoints
from scratch.learning.training import fit

CLAIM = ("With the exact denoiser replacement stays biased for any number of steps: 0.07 nats on two moons, 0.31 "
         "on a Gaussian pair.  Guidance by the posterior's covariance keeps 0.05 on the moons; RePaint with 16 "
         "turns of 80 steps and the exact conditional denoiser keep nothing measurable (0.005 +- 0.005).")
STUDY = True

LAW = moons(std=0.15)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)                          # the known values are these quantiles of x_1
LOW, HIGH = 0.005, 40.0                                     # noise levels
HIGH_GUIDANCE, LEAST = 5.0, {"exact": 0.0, "learned": 0.5}  # a network's dD/dx may be negative at high noise
WINDOW = ((-2.2, 2.2), (-1.7, 1.7))
RHO, KNOWN = 0.8, 1.5                                       # of the Gaussian pair
GAUSSIAN_STEPS, GAUSSIAN_TURNS = (10, 20, 40, 80, 160, 320, 640, 1280), (1, 4, 16, 64)
RUNS = {                                                    # method: numbers of steps
    "replacement": (5, 10, 20, 40, 80, 160, 320), "repaint, 4 turns": (5, 10, 20, 40, 80),
    "repaint, 16 turns": (5, 10, 20, 40, 80), "guidance": (3, 5, 10, 20, 40), "exact": (3, 5, 10, 20, 40)}
SHOWN = {"replacement": 320, "repaint, 16 turns": 80, "guidance": 40, "exact": 40}
STYLES = {"replacement": "o-", "repaint, 4 turns": "v--", "repaint, 16 turns": "^-", "guidance": "s-",
          "exact": "D-"}
PALETTE = {"replacement": COLORS["baseline"], "repaint, 4 turns": COLORS["diffusion"],
           "repaint, 16 turns": COLORS["diffusion"], "guidance": ACCENT, "exact": COLORS["truth"]}


def evaluations(method, steps):
    """How often the denoiser is asked."""
    if method.startswith("repaint"):
        return steps * int(method.split()[1])
    return steps if method == "replacement" else 2 * steps - 1                    # Heun asks twice, at 0 once


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
        x = repaint(denoise, x, sigmas, known, rng, turns=int(method.split()[1]))
    return x[:, 1:].astype(float)


def compute(effort, rng):
    """The mean KL over five known values, against steps, with exact and learned denoisers."""
    quick = effort == "quick"
    n, training = (20, 3) if quick else (2500, 6000)
    model = Diffusion(dim=2, hidden=(8,) if quick else (64, 64, 64))
    theta = fit(model, model.init(rng), LAW, rng, steps=training)
    parts = {"exact": (LAW.denoise, mixture_jvp(LAW)),
             "learned": (lambda x, s: model.denoise(theta, x, s),
                         lambda x, v, s: model.denoise_jvp(theta, x, v, s))}
    known = np.quantile(LAW.sample(100_000, rng)[:, 0], SHARES)
    results = dict(n=n, training=training, known=known)
    for name, (denoise, tangent) in parts.items():
        for method, all_steps in RUNS.items():
            if (name, method) == ("learned", "exact"):
                continue
            for steps in all_steps[:1] if quick else all_steps:
                draws = [complete(method, denoise, tangent, LEAST[name], y, n, steps, rng) for y in known]
                kls = [kl_cross_entropy(x, LAW.conditional([0], [y]).log_prob) for x, y in zip(draws, known)]
                results.setdefault(f"{name} {method}", []).append(
                    (evaluations(method, steps), np.mean([kl.value for kl in kls]),
                     np.sqrt(np.sum([kl.stderr ** 2 for kl in kls])) / len(kls)))
            if method in SHOWN and name == "exact":
                results[f"draws {method}"] = draws[2][:, 0].astype(np.float32)    # the last and longest run
                results[f"shown {method}"] = kls[2].value
    nodes, _ = midpoints(WINDOW, 120)
    results["density"] = np.exp(LAW.log_prob(nodes)).reshape(120, 120).astype(np.float32)
    for turns in GAUSSIAN_TURNS:
        results[f"gaussian {turns}"] = [gaussian_bias(n, turns) for n in GAUSSIAN_STEPS[:2 if quick else None]]
    return results


def gaussian_bias(steps, turns):
    """KL of what repaint ends in, for two Gaussian coordinates of correlation RHO: a linear recursion, exact."""
    mean, variance = 0.0, 80.0 ** 2
    sigmas = karras_sigmas(steps)
    for sigma, lower in zip(sigmas[:-1], sigmas[1:]):
        G_10, G_11 = np.linalg.solve([[1 + sigma ** 2, RHO], [RHO, 1 + sigma ** 2]], [RHO, 1])
        a = (lower / sigma) ** 2
        for turn in range(turns):
            variance += (sigma ** 2 - lower ** 2) * (turn > 0)
            mean = a * mean + (1 - a) * (G_10 * KNOWN + G_11 * mean)
            variance = (a + (1 - a) * G_11) ** 2 * variance + ((1 - a) * G_10 * sigma) ** 2 + lower ** 2 * (1 - a)
    return kl_gaussians([mean], [[variance]], [RHO * KNOWN], [[1 - RHO ** 2]]).value


def draw(results):
    """The law and what each method draws on one line through it; the bias against the work, three times."""
    fig = figure(6.0, "x$_1$ is known, x$_2$ is drawn: two moons, exact denoiser, each method at its longest run "
                      "(bars below: 2 errors)")
    above, below = fig.subfigures(2, 1, height_ratios=[1, 1.5])
    ax, *panels = above.subplots(1, 5)
    y = results["known"][2]
    ax.imshow(results["density"].T, origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY)
    ax.axvline(y, color=COLORS["baseline"], ls="--")
    plane(ax, WINDOW)
    ax.set_title(f"known: x$_1$ = {y:.2f}")
    line = np.linspace(*WINDOW[1], 400)[:, None]
    exact = np.exp(LAW.conditional([0], [y]).log_prob(line))
    for ax, method in zip(panels, SHOWN):
        ax.hist(results[f"draws {method}"], bins=60, range=WINDOW[1], density=True, color=PALETTE[method],
                alpha=0.45)
        ax.plot(line[:, 0], exact, color=COLORS["truth"], lw=1)
        ax.set(xlabel="$x_2$", yticks=[], title=f"{method}\n{results[f'shown {method}']:.3f} nats")
    left, middle, right = below.subplots(1, 3)
    steps = GAUSSIAN_STEPS[:len(results["gaussian 1"])]
    for turns, style in zip(GAUSSIAN_TURNS, ("o-", "v--", "^-", "d:")):
        method = "replacement" if turns == 1 else "repaint, 4 turns"
        left.loglog(steps, results[f"gaussian {turns}"], style, ms=3, color=PALETTE[method],
                    label=method.replace("4", str(turns)))
    left.set(xlabel="steps", ylabel="KL(method || exact) [nats]",
             title=f"Gaussian pair, correlation {RHO},\nclosed form (guidance: exact)")
    left.legend()
    for ax, name, title in ((middle, "exact", "two moons, exact denoiser"),
                            (right, "learned", f"learned denoiser, {int(results['training'])} steps, one run")):
        for method in RUNS:
            if f"{name} {method}" in results:
                evaluation, value, error = np.asarray(results[f"{name} {method}"]).T
                ax.errorbar(evaluation, value, 2 * error, fmt=STYLES[method], ms=3, color=PALETTE[method],
                            label=method)
        ax.set(xscale="log", xlabel="denoiser evaluations", ylim=(-0.02, 0.4),
               title=f"{title}\n{len(SHARES)} known values, {int(results['n'])} draws each")
        ax.axhline(0, ls=":", color=COLORS["baseline"])
    middle.legend()
    return fig
