"""What guidance does to the law: guided samples against the tilted law p(x) p(c|x)^(1+w), in nats."""
import numpy as np

from figures import style
from scratch.data.distributions import moons
from scratch.discriminative.generative_classifier import parts_of_mixture
from scratch.divergence.entropy import kl_cross_entropy
from scratch.grid import midpoints
from scratch.implicit.diffusion.conditioning import ConditionalDiffusion
from scratch.implicit.diffusion.guidance import classifier_free_guidance, tilted
from scratch.implicit.diffusion.samplers import euler_maruyama, heun, karras_sigmas
from scratch.learning.training import fit

SECTION = "1.5"
FINDING = "Guided samples do not follow the tilted law that guidance names"
SETTINGS = ("Two noisy moons; the class is the upper one. Shade: tilted law p(x) p(c|x)^(1+w) / Z. Dots above: "
            "700 samples, exact denoisers. Left: 5,000 samples by 40 Heun steps (ODE) or 200 Euler-Maruyama steps"
            " (SDE); networks 64-64-64, 5,000 steps, 3 seeds; bars of 1 s.e. are smaller than the dots. Right: "
            "closed form for p(x) = N(0, 1), p(x|c) = N(0, 0.3).")

W = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
SHOWN = (("ODE", 0), ("ODE", 2), ("ODE", 8), ("SDE", 8))
LOW, HIGH = 0.005, 40.0                                     # noise levels
WINDOW = ((-2.7, 1.5), (-1.5, 2.7))
BOX, PIXELS = [(-4, 4)] * 2, 120
R = 0.3                                                     # variance of p(x|c), where that of p(x) is 1
WHOLE = moons(std=0.35)
TRUTH = parts_of_mixture(WHOLE, np.arange(len(WHOLE.weights)) * 2 // len(WHOLE.weights))     # each moon a class
PART = TRUTH.laws[0]


def parts(effort):
    return ["exact"] + [f"learned {seed}" for seed in range(3 if effort == "full" else 1)]


def compute_part(part, effort, rng):
    """KL(guided || tilted) by ODE and SDE over w, (2, len(W), 2), with exact or learned denoisers."""
    quick = effort == "quick"
    n, conditional, unconditional, results = 60 if quick else 5000, PART.denoise, WHOLE.denoise, {}
    if part != "exact":
        conditional, unconditional = _learn(quick, rng)
    heun_sigmas, sde_sigmas = (karras_sigmas(4 if quick else steps, LOW, HIGH) for steps in (40, 200))
    kls = np.empty((2, len(W), 2))
    for i, w in enumerate(W):
        target = tilted(WHOLE.log_prob, PART.log_prob, BOX, scale=1 + w, n=60 if quick else 200)
        guided = classifier_free_guidance(conditional, unconditional, w=w)
        for j, way in enumerate(("ODE", "SDE")):
            start = HIGH * rng.standard_normal((n, 2))
            x = heun(guided, start, heun_sigmas) if way == "ODE" else euler_maruyama(guided, start, sde_sigmas, rng)
            kl = kl_cross_entropy(x.astype(float), target)
            kls[j, i] = kl.value, kl.stderr
            if part == "exact" and (way, w) in SHOWN:
                density = np.exp(target(midpoints(WINDOW, PIXELS)[0])).reshape(PIXELS, PIXELS)
                results |= {f"samples {way} {w:g}": x[:700].astype(np.float32),
                            f"shade {w:g}": np.uint8(255 * density / density.max())}
    return results | dict(kls=kls)


def _learn(quick, rng):
    """The conditional and the unconditional denoiser of one network."""
    model = ConditionalDiffusion(dim=2, hidden=(8,) if quick else (64, 64, 64), classes=2)
    theta = fit(model, model.init(rng), TRUTH, rng, steps=4 if quick else 5000)
    return tuple(lambda x, s, label=label: model.denoise(theta, x, s, label) for label in (0, -1))


def gather(effort, parts):
    """exact (2, len(W), 2), learned (seeds, 2, len(W), 2), and the pictures."""
    exact, *learned = parts.values()
    pictures = {key: value for key, value in exact.items() if key != "kls"}
    return pictures | dict(seeds=len(learned), exact=exact["kls"], learned=np.stack([part["kls"] for part in learned]))


def claim(results):
    """How far exact denoisers end from the tilted law."""
    (ode, sde), at = results["exact"], W.index(4.0)
    return (f"With exact denoisers and w = {W[at]:g} the ODE ends {ode[at, 0]:.2f} nats from the tilted law, the SDE "
            f"{sde[at, 0]:.2f}; unguided, both are within {max(abs(ode[0, 0]), abs(sde[0, 0])):.2f}.")


def checks(results):
    """Unguided right; guided wrong, the more the larger w; the SDE less; learned denoisers alike."""
    (ode, ode_error), (sde, sde_error) = results["exact"].transpose(0, 2, 1)
    learned = results["learned"][..., 0]
    return {"unguided within 4 standard errors of 0, both ways": bool(abs(ode[0]) < 4 * ode_error[0]
                                                                      and abs(sde[0]) < 4 * sde_error[0]),
            "from w = 1 on both are off by 5 standard errors": bool((ode[2:] > 5 * ode_error[2:]).all()
                                                                    and (sde[2:] > 5 * sde_error[2:]).all()),
            "from w = 0.5 on the distance rises with w, both ways": bool((np.diff(ode[1:]) > 0).all()
                                                                         and (np.diff(sde[1:]) > 0).all()),
            "from w = 1 on the SDE is nearer, exact and every seed": bool(
                (sde[2:] < ode[2:]).all() and (learned[:, 1, 2:] < learned[:, 0, 2:]).all())}


def draw(results):
    """Samples over the tilted law; KL to it over w; what Gaussians say."""
    fig = style.figure(5.6, FINDING, SETTINGS)
    grid = fig.add_gridspec(2, 4, height_ratios=[1, 1.05])
    for i, (way, w) in enumerate(SHOWN):
        ax = fig.add_subplot(grid[0, i])
        shade = dict(origin="lower", extent=sum(WINDOW, ()), cmap=style.DENSITY, vmin=0, vmax=450)
        ax.imshow(results[f"shade {w:g}"].T, **shade)
        ax.plot(*results[f"samples {way} {w:g}"].T, ".", ms=2.5, mew=0,
                color=style.COLORS["diffusion"] if way == "ODE" else style.SECOND_DIFFUSION)
        style.plane(ax, WINDOW)
        ax.set_title(f"{way}, w = {w}" + (": unguided" if w == 0 else ""))
    left, right = fig.add_subplot(grid[1, :2]), fig.add_subplot(grid[1, 2:])
    for way, color in enumerate((style.COLORS["diffusion"], style.SECOND_DIFFUSION)):
        value, error = results["exact"][way].T
        left.errorbar(W, value, error, fmt="-", color=color)
        for seed, kls in enumerate(results["learned"]):
            left.errorbar(np.array(W) + 0.07 * (seed - 1), kls[way, :, 0], kls[way, :, 1], fmt="o", ms=3.5, mfc="white",
                          color=color)
        name = ("ODE", "SDE")[way]
        left.annotate(name, (W[-2], value[-2]), (-8, 8) if way == 0 else (50, 8), textcoords="offset points",
                      color=color, ha="right", fontweight="bold")
    left.axhline(0, color=style.COLORS["truth"], lw=0.8)
    left.set(xlabel="guidance w", ylabel="KL(guided || tilted) [nats]",
             title="a  Distance; lines: exact denoisers, dots: learned")
    w = np.linspace(0, 8, 200)
    of_sde = R * (1 - R ** (1 + 2 * w)) / ((1 - R) * (1 + 2 * w))
    curves = (("tilted: r / (1 + w (1 - r))", R / (1 + w * (1 - R)), style.COLORS["truth"], 1.6),
              ("SDE: at least half of it", of_sde, style.SECOND_DIFFUSION, 0.35),
              ("ODE: $r^{1 + w}$", R ** (1 + w), style.COLORS["diffusion"], 1.8))
    for name, variance, color, up in curves:
        right.semilogy(w, variance, color=color)
        right.text(w[110], variance[110] * up, name, color=color, va="center")
    right.set(xlabel="guidance w", ylabel="variance at the end", ylim=(1e-5, 1),
              title="b  Why: Gaussians, in closed form")
    return fig
