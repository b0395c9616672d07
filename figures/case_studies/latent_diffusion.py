"""Latent diffusion under prompts: pictures against guidance, and what the reader finds in them.

The pictures come from a known distribution (scratch/data/pictures.py), so a prompt's right answer is known.
"""
import numpy as np

from figures.case_studies import latent_parts as latent
from figures.style import ACCENT, COLORS, SECOND_DIFFUSION, figure
from scratch.data.pictures import HELD_OUT, PAIRS, PROMPTED, SIDE, WORDS, draw_parameters, prompt, render, sample

SECTION = "case"
FINDING = "Guidance makes the words right and the pictures less varied"
SETTINGS = ("Known distribution of 16 x 16 pictures. VAE 256-512-256-16, 4,000 steps; diffusion 384 x 3 under a text encoder with "
            "attention, 6,000 steps; 30,000 pictures. Three seeds of both trainings; 600 prompts a scale and seed, 400 "
            "of pairs held out. Red frame: the reader finds another word. Clean: residual below the 99th percentile of "
            "reconstructions. Bars: 1 s.e. of the seeds.")

SEEDS = 3
SCALES = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
DOUBLE = 2.0
SHOWN = (1.0, 2.0, 4.0, 6.0)                 # the scales of the pictures
PROMPTS = ("solid large moon left", "outlined large star right", "hatched large circle left", "soft small square left",
           "outlined small circle right", "hatched large cross right",
           "solid large star left", "hatched large moon right", "soft large circle right")     # the last three held out
TRUTHS = 1000                                # true pictures for the reader, the autoencoder and the floors


def parts(effort):
    """One a seed."""
    return [f"seed {seed}" for seed in range(1 if effort == "quick" else SEEDS)]


def compute_part(part, effort, rng):
    """The ceiling, the floors, and everything against guidance, of one seed."""
    seed, quick = int(part.split()[1]), effort == "quick"
    model = latent.trained("latent", seed, effort)
    results, limit, codes = ceiling(model, 30 if quick else TRUTHS, rng)
    for name, pairs, n in (("seen", PROMPTED, 600), ("held", HELD_OUT, 400)):
        rows = [at_scale(model, pairs, scale, 12 if quick else n, limit, codes, rng) for scale in SCALES]
        results |= {f"{name} {key}": np.array([row[key] for row in rows]) for key in rows[0]}
    if seed == 0:
        results |= pictures(model, np.random.default_rng(4))
    return results


def ceiling(model, n, rng):
    """What the reader finds in true pictures and in reconstructions, the limit of clean ones, and true codes."""
    words, numbers = sample(n, rng, PAIRS)
    x = render(words, numbers)
    mean, _ = model.encode(x)
    truth, copies = latent.reading(words, x), latent.reading(words, model.decode(mean))
    limit = np.quantile(copies.residual, 0.99)
    first, second = (codes_of(model, n, rng) for _ in range(2))
    return dict(truth=truth.right.mean(), ceiling=copies.shares(limit), limit=limit,
                floors=[latent.parameter_kl(truth), latent.parameter_kl(copies), latent.frechet(first, second)]), limit, first


def codes_of(model, n, rng):
    """n codes z ~ q(z | x) of true pictures x of prompted pairs."""
    mean, std = model.encode(render(*sample(n, rng, PROMPTED)))
    return mean + std * rng.standard_normal(mean.shape)


def at_scale(model, pairs, scale, n, limit, codes, rng):
    """Shares of pictures, of single words, KL of the numbers, Frechet distance of the codes, mean ink: of n fresh prompts."""
    words, _ = sample(n, rng, pairs)
    z, x = model.paint(latent.full_prompts(words), rng, scale)
    found = latent.reading(words, x)
    return dict(shares=found.shares(limit), each=found.each.mean(axis=0), kl=latent.parameter_kl(found),
                frechet=latent.frechet(z, codes), ink=found.numbers[:, 3].mean())


def pictures(model, rng):
    """Pictures of PROMPTS as bytes, (1 + scales, prompts, 256), true ones first, and whether the reader agrees.

    All scales start from the same noise.
    """
    words = np.array([[names.index(word) for names, word in zip(WORDS.values(), text.split())] for text in PROMPTS])
    rows, noise = [render(words, draw_parameters(words, rng))], rng.integers(2 ** 32)
    for scale in SHOWN:
        rows.append(model.paint(latent.full_prompts(words), np.random.default_rng(noise), scale)[1])
    right = [latent.reading(words, row).right for row in rows]
    return dict(shown=np.uint8(np.round(255 * np.clip(rows, 0, 1))), right=np.array(right))


def gather(effort, parts):
    """Every measure with the seeds in front, and the pictures of the first seed."""
    first = parts["seed 0"]
    shared = {key: np.float32([part[key] for part in parts.values()]) for key in first if key not in ("shown", "right")}
    return shared | dict(seeds=len(parts), shown=first["shown"], right=first["right"])


# ---- what the results say ----

def at(results, name, scale, column=0):
    """A share at a scale for each seed: all words right (0), clean (1), both (2)."""
    return results[f"{name} shares"][:, SCALES.index(scale), column]


def product(results, name="held"):
    """The product of the single words' rates, (seeds, scales)."""
    return results[f"{name} each"].prod(axis=2)


def claim(results):
    kl, low, high = results["seen kl"].mean(axis=0), SCALES[1], SCALES[-1]
    return (f"At guidance {DOUBLE:g} all four words are right in {at(results, 'seen', DOUBLE).mean():.1%}, for pairs held out "
            f"{at(results, 'held', DOUBLE).mean():.0%}; from {low} to {high:g} the KL rises from {kl[1]:.2f} to {kl[-1]:.2f} nats.")


def checks(results):
    shares, kl, frechet = (results[f"seen {key}"].mean(axis=0) for key in ("shares", "kl", "frechet"))
    two = SCALES.index(DOUBLE)
    return {
        "the reader is right on true pictures: at least 0.999": bool(results["truth"].mean() >= 0.999),
        "reconstructions: all words right in at least 0.97": bool(results["ceiling"][:, 0].mean() >= 0.97),
        "all words right: at least 0.90 at scale 1, 0.95 at 2": bool(shares[0, 0] >= 0.90 and shares[two, 0] >= 0.95),
        "right and clean: at least 0.88 at the best scale": bool(shares[:, 2].max() >= 0.88),
        "more words right at 2 than at 1, in every seed": bool((at(results, "seen", DOUBLE) > at(results, "seen", 1.0)).all()),
        "fewer clean at 6 than at 2, in every seed": bool((at(results, "seen", 6.0, 1) < at(results, "seen", DOUBLE, 1)).all()),
        "KL and Frechet distance are least between 1 and 3, and at 6 more than twice that":
            bool(0 < kl.argmin() < 4 and 0 < frechet.argmin() < 4 and kl[-1] > 2 * kl.min() and frechet[-1] > 2 * frechet.min()),
        "held-out pairs: at least 0.70 at scale 2": bool(at(results, "held", DOUBLE).mean() >= 0.70),
        "held-out pairs within 0.05 of the product of the single words' rates, at every scale":
            bool((np.abs(at_all(results, "held") - product(results)).mean(axis=0) < 0.05).all()),
    }


def at_all(results, name):
    """All words right, (seeds, scales)."""
    return results[f"{name} shares"][..., 0]


# ---- the picture ----

def draw(results):
    """Pictures under their prompts above, the measures against guidance below."""
    fig = figure(8.6, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1, height_ratios=[2.3, 1])
    show(top, results)
    a, b, c, d = bottom.subplots(1, 4)
    shares = results["seen shares"]
    for column, name, color, style in ((0, "words right", COLORS["diffusion"], "-"), (1, "clean", SECOND_DIFFUSION, "-"),
                                       (2, "both", COLORS["truth"], ":")):
        curve(a, shares[..., column], color, style)
    a.axhline(results["ceiling"][:, 0].mean(), color=COLORS["vae"], lw=1)
    a.set(title="share of pictures", ylim=(0.4, 1.01))
    curve(b, results["seen kl"], COLORS["diffusion"])
    b.axhline(results["floors"][:, 1].mean(), color=COLORS["vae"], lw=1)
    b.set(title="KL of the numbers (nats)", ylim=(0, None))
    curve(c, results["seen frechet"], COLORS["diffusion"])
    c.axhline(results["floors"][:, 2].mean(), color=COLORS["truth"], lw=1)
    c.set(title="Frechet distance of the codes", yscale="log")
    curve(d, at_all(results, "held"), COLORS["diffusion"])
    curve(d, product(results), COLORS["truth"], ":")
    curve(d, results["held shares"][..., 2], SECOND_DIFFUSION)
    d.set(title="pairs held out", ylim=(0, 1.01))
    return fig


def curve(ax, values, color, style="-"):
    """Mean and standard error of values (seeds, scales) against the scale."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    ax.errorbar(SCALES, values.mean(axis=0), error, color=color, ls=style, marker="o", ms=3)
    ax.set(xscale="log", xlabel="guidance scale", xticks=(1, 2, 4, 6), xticklabels=("1", "2", "4", "6"))
    ax.minorticks_off()


def show(fig, results):
    """A column for each prompt, a row for the truth and each scale."""
    shown, right = results["shown"], results["right"]
    axes = fig.subplots(len(shown), len(PROMPTS))
    for i, row in enumerate(axes):
        for j, ax in enumerate(row):
            ax.imshow(shown[i, j].reshape(SIDE, SIDE), cmap="Greys", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
            wrong = not right[i, j]
            ax.spines[:].set(visible=True, color=ACCENT if wrong else "#CCCCCC", linewidth=2 if wrong else 0.5)
        row[0].set_ylabel("truth" if i == 0 else f"scale {SHOWN[i - 1]:g}", fontsize=9)
    for j, text in enumerate(PROMPTS):
        style, size, shape, place = text.split()
        held = (style, shape) in HELD_OUT
        axes[0, j].set_title(f"{style} {size}\n{shape} {place}", fontsize=8, color=COLORS["diffusion"] if held else "black")
