"""Latent diffusion under prompts: pictures against guidance, and what the reader finds in them.

The pictures come from a known distribution (scratch/data/pictures.py), so a prompt's right answer is known.
For pairs of words that no training prompt names, the rate of right pictures is set against the product of the
single words' rates, to which it is near in Okawa et al. 2023, "Compositional Abilities Emerge Multiplicatively".
Three of the four rates are near 1 here, so the product is little else than the rate of the style: a weak test.
"""
import numpy as np

from figures.case_studies import latent_parts as latent
from figures.style import ACCENT, COLORS, SECOND_DIFFUSION, figure
from scratch.data.pictures import HELD_OUT, INK, PAIRS, PROMPTED, SIDE, WORDS, draw_parameters, prompt, render, sample

SECTION = "case"
FINDING = "Guidance makes the words right and the ink too dark"
SETTINGS = ("Known distribution of 16 x 16 pictures. VAE 256-512-256-16, 4,000 steps; diffusion 384 x 3 under a text encoder with "
            "attention, 8,000 steps; 30,000 pictures. Bold: pairs of style and shape that no training prompt names. Red frame: "
            "the reader finds another word. Clean: residual below the 99th percentile of reconstructions. Three seeds of all "
            "trainings; for each and each scale 600 prompts of known pairs, 400 of pairs held out. Bars: 1 s.e.; Frechet: a line a seed.")

SEEDS = 3
SCALES = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0)
DOUBLE = 2.0
SHOWN = (1.0, 2.0, 4.0, 6.0)                 # the scales of the pictures
PROMPTS = ("solid large moon left", "outlined large star right", "hatched large circle left", "soft small square left",
           "outlined small circle right", "hatched large cross right",
           "solid large star left", "hatched large moon right", "soft large circle right")     # the last three held out
TRUTHS = 1000                                # true pictures for the reader and the autoencoder
LATENTS = 2000                               # for a Frechet distance: with 600 two true sets are 0.24 apart


def parts(effort):
    """One a seed."""
    return [f"seed {seed}" for seed in range(1 if effort == "quick" else SEEDS)]


def compute_part(part, effort, rng):
    """The ceiling, the floors, and everything against guidance, of one seed."""
    seed, quick = int(part.split()[1]), effort == "quick"
    model = latent.trained("latent", seed, effort)
    results = ceiling(model, 30 if quick else TRUTHS, rng)
    for name, pairs, n in (("seen", PROMPTED, 600), ("held", HELD_OUT, 400)):
        rows = [at_scale(model, pairs, scale, 12 if quick else n, results["limit"], rng) for scale in SCALES]
        results |= {f"{name} {key}": np.array([row[key] for row in rows]) for key in rows[0]}
    results |= distances(model, 30 if quick else LATENTS, rng)
    if seed == 0:
        results |= pictures(model, np.random.default_rng(4))
    return results


def ceiling(model, n, rng):
    """What the reader finds in true pictures and in reconstructions, the limit of clean ones."""
    words, numbers = sample(n, rng, PAIRS)
    x = render(words, numbers)
    mean, _ = model.encode(x)
    truth, copies = latent.reading(words, x), latent.reading(words, model.decode(mean))
    limit = np.quantile(copies.residual, 0.99)
    return dict(truth=truth.right.mean(), ceiling=copies.shares(limit), limit=limit,
                kl=[latent.parameter_kl(truth), latent.parameter_kl(copies)])


def at_scale(model, pairs, scale, n, limit, rng):
    """Shares of pictures, of single words, KL of the numbers, mean ink: of n fresh prompts."""
    words, _ = sample(n, rng, pairs)
    found = latent.reading(words, model.paint(latent.full_prompts(words), rng, scale)[1])
    return dict(shares=found.shares(limit), each=found.each.mean(axis=0), kl=latent.parameter_kl(found),
                ink=found.numbers[:, 3].mean())


def distances(model, n, rng):
    """Frechet distances between n true latents z ~ q(z | x) and as many other true ones, or generated ones of each scale."""
    true = []
    for _ in range(2):
        mean, std = model.encode(render(*sample(n, rng, PROMPTED)))
        true.append(mean + std * rng.standard_normal(mean.shape))
    generated = [model.paint(latent.full_prompts(sample(n, rng, PROMPTED)[0]), rng, scale)[0] for scale in SCALES]
    return dict(floor=latent.frechet(*true), frechet=np.array([latent.frechet(z, true[0]) for z in generated]))


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
    kl, ink = (results[key][:, -1].mean() for key in ("seen kl", "seen ink"))
    return (f"At guidance {DOUBLE:g} all words are right in {at(results, 'seen', DOUBLE).mean():.1%}, held-out pairs "
            f"{at(results, 'held', DOUBLE).mean():.0%}; at {SCALES[-1]:g} the mean ink is {ink:.2f}, due {np.mean(INK):.2f}, "
            f"and KL {kl:.2f} nats.")


def checks(results):
    shares, kl = (results[key].mean(axis=0) for key in ("seen shares", "seen kl"))
    frechet, ink, two = results["frechet"], results["seen ink"], SCALES.index(DOUBLE)
    return {
        "the reader is right on true pictures: at least 0.999": bool(results["truth"].mean() >= 0.999),
        "reconstructions: all words right in at least 0.96": bool(results["ceiling"][:, 0].mean() >= 0.96),
        "all words right: at least 0.85 at scale 1, 0.95 at 2": bool(shares[0, 0] >= 0.85 and shares[two, 0] >= 0.95),
        "right and clean: at least 0.88 at the best scale": bool(shares[:, 2].max() >= 0.88),
        "more words right at 2 than at 1, in every seed": bool((at(results, "seen", DOUBLE) > at(results, "seen", 1.0)).all()),
        "fewer clean at 6 than at 2, in every seed": bool((at(results, "seen", 6.0, 1) < at(results, "seen", DOUBLE, 1)).all()),
        "ink is darker at every scale than at the one before, at 6 darker than any true one, in every seed":
            bool((np.diff(ink) > 0).all() and (ink[:, -1] > INK[1]).all()),
        "KL is least between 1 and 3, and at 6 more than twice that": bool(0 < kl.argmin() < 4 and kl[-1] > 2 * kl.min()),
        "Frechet distance is least below 2, and at 6 more than ten times that, in every seed":
            bool(((frechet.argmin(axis=1) < two) & (frechet[:, -1] > 10 * frechet.min(axis=1))).all()),
        "held-out pairs: at least 0.65 at scale 2, 0.70 at the best one":
            bool(at(results, "held", DOUBLE).mean() >= 0.65 and all_right(results, "held").mean(axis=0).max() >= 0.70),
        "held-out pairs within 0.05 of the product of the single words' rates, at every scale":
            bool((np.abs(all_right(results, "held") - product(results)).mean(axis=0) < 0.05).all()),
    }


def all_right(results, name):
    """All words right, (seeds, scales)."""
    return results[f"{name} shares"][..., 0]


# ---- the picture ----

def draw(results):
    """Pictures under their prompts above, the measures against guidance below."""
    fig = figure(8.6, FINDING, SETTINGS)
    top, bottom = fig.subfigures(2, 1, height_ratios=[2.3, 1])
    show(top, results)
    a, b, c, d = bottom.subplots(1, 4)
    shares, kl = results["seen shares"], results["kl"].mean(axis=0)
    curve(a, shares[..., 0], COLORS["diffusion"])
    curve(a, shares[..., 1], SECOND_DIFFUSION)
    curve(a, shares[..., 2], COLORS["truth"], ":")
    a.axhline(results["ceiling"][:, 0].mean(), color=COLORS["vae"], lw=1)
    a.set(title="share of pictures", ylim=(0, 1.02))
    labels(a, 0.05, (("all words right", COLORS["diffusion"]), ("clean", SECOND_DIFFUSION), ("both (dotted)", COLORS["truth"]),
                     ("words of reconstructions", COLORS["vae"])))
    curve(b, results["seen kl"], COLORS["diffusion"])
    b.axhline(kl[1], color=COLORS["vae"], lw=1)
    b.set(title="KL of the four numbers (nats)", ylim=(0, None))
    b.text(1, kl[1], "reconstructions", color=COLORS["vae"], fontsize=8, va="bottom")
    for row in results["frechet"]:
        c.plot(SCALES, row, "o-", ms=3, lw=1, color=COLORS["diffusion"])
    floor = results["floor"].mean()
    c.axhline(floor, color=COLORS["truth"], lw=1)
    c.set(title="Frechet distance of latents", xscale="log", yscale="log", xlabel="guidance scale", xticks=(1, 2, 4, 6),
          xticklabels=("1", "2", "4", "6"), yticks=(0.1, 1, 10, 100), yticklabels=("0.1", "1", "10", "100"))
    c.text(6, floor, "true latents", fontsize=8, va="bottom", ha="right")
    c.minorticks_off()
    curve(d, all_right(results, "held"), COLORS["diffusion"])
    curve(d, product(results), COLORS["truth"], ":")
    curve(d, results["held shares"][..., 2], SECOND_DIFFUSION)
    d.set(title="pairs held out", ylim=(0, 1.02))
    labels(d, 0.05, (("all words right", COLORS["diffusion"]), ("product of single words", COLORS["truth"]),
                     ("right and clean", SECOND_DIFFUSION)))
    return fig


def labels(ax, bottom, lines):
    """Lines (text, color) above each other in the lower left corner."""
    for k, (text, color) in enumerate(reversed(lines)):
        ax.text(0.04, bottom + 0.09 * k, text, color=color, fontsize=8, transform=ax.transAxes)


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
        axes[0, j].set_title(f"{style} {size}\n{shape} {place}", fontsize=8, fontweight="bold" if held else "normal")
