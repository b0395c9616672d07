"""Uses of latent diffusion: another style by noise, negative prompts, half a picture, between two prompts."""
from functools import partial
from typing import NamedTuple

import numpy as np

from figures.case_studies import latent_parts as latent
from figures.style import COLORS, SECOND_DIFFUSION, figure
from scratch.data.pictures import PROMPTED, SIDE, WORDS, draw_parameters, prompt, render, sample
from scratch.implicit.diffusion.editing import image_to_image, with_known_pixels
from scratch.implicit.diffusion.latent_diffusion import HIGHEST, LOWEST
from scratch.implicit.diffusion.samplers import ddim, heun, karras_sigmas
from scratch.implicit.diffusion.text import tokenize
from scratch.kernels.dense import mlp_jvp

SECTION = "case"
FINDING = "Noise can hide the style of a picture and leave its place"
SETTINGS = ("Trainings of latent_diffusion.py, three seeds; 300 pictures a measure; guidance 2, in e) 1. Noise in units of the latents, "
            "whose standard deviation is 1. b) The prompts name the old size, shape and left or right. e) The decoder's Jacobian and ancestral sampling in 60 steps. Clean: residual below the "
            "99th percentile of reconstructions. Bars: 1 s.e. of the seeds.")

SEEDS, SCALE = 3, 2.0
SIGMAS = (0.1, 0.2, 0.3, 0.45, 0.6, 1.0, 2.5, 20.0)      # of the latents, whose standard deviation is 1
CHOSEN = SIGMAS.index(0.6)
KNOWN = np.arange(SIDE ** 2) < SIDE ** 2 // 2           # the upper half
BETWEEN = np.linspace(0, 1, 9)
STYLES = WORDS["style"]


def parts(effort):
    """One a seed."""
    return [f"seed {seed}" for seed in range(1 if effort == "quick" else SEEDS)]


class Job(NamedTuple):
    """A trained model, how many pictures a measure takes, and the steps of Heun's method."""
    trained: latent.Trained
    n: int
    steps: int


def compute_part(part, effort, rng):
    """All measures of one seed, and of the first seed the pictures."""
    seed, (n, steps) = int(part.split()[1]), (6, 2) if effort == "quick" else (300, 18)
    job = Job(latent.trained("latent", seed, effort), n, steps)
    limit = clean_limit(job, rng)
    results = dict(edited=edited(job, limit, rng), negated=negated(job, limit, rng), completed=completed(job, limit, rng),
                   between=between(job, limit, rng))
    return results | (pictures(job, np.random.default_rng(4)) if seed == 0 else {})


def gather(effort, parts):
    """Every measure with the seeds in front, and the pictures of the first seed."""
    first, several = parts["seed 0"], list(parts.values())
    return dict(seeds=len(parts)) | {key: first[key] if key.startswith("shown") else np.float32([part[key] for part in several])
                                     for key in first}


def guided(trained, tokens, scale=SCALE, negative=None):
    """D(z, sigma) under prompts (n, LENGTH) and negative prompts."""
    model, theta = trained.model, trained.theta
    context, avoided = (None if words is None else model.context(theta, words, len(words)) for words in (tokens, negative))
    return model.guided(theta, context, scale=scale, negative=avoided)


def drawn(job, denoise, n, rng, sampler=heun, steps=None):
    """Codes (n, L), as model.sample makes them, of any denoiser."""
    s, steps = job.trained.model.sigma_data, steps or job.steps
    start = np.hypot(HIGHEST, 1) * s * rng.standard_normal((n, job.trained.model.dim), np.float32)
    return sampler(denoise, start, karras_sigmas(steps, LOWEST, HIGHEST) * s)


# ---- image to image ----

def restyled(words, rng):
    """words (n, 4) with another style, so that the pair of style and shape has prompts."""
    shapes, new = WORDS["shape"], words.copy()
    for row in new:
        row[0] = rng.choice([k for k, style in enumerate(STYLES) if k != row[0] and (style, shapes[row[2]]) in PROMPTED])
    return new


def edited(job, limit, rng):
    """Against the noise: shares of the new and the old style, the shape, all words, clean; rms of the shift; correlation of y."""
    trained, (words, numbers) = job.trained, sample(job.n, rng, PROMPTED)
    new, (mean, _) = restyled(words, rng), trained.encode(render(words, numbers))
    rows = []
    for sigma in SIGMAS:
        z = image_to_image(guided(trained, latent.full_prompts(new)), mean, sigma, rng, steps=job.steps)
        found = latent.reading(new, trained.decode(z))
        shift, kept = (found.numbers - numbers)[:, :2], found.each[:, 2]
        rows.append([found.each[:, 0].mean(), (found.words[:, 0] == words[:, 0]).mean(), kept.mean(), found.right.mean(),
                     (found.residual < limit).mean(), np.sqrt((kept @ shift ** 2).sum() / max(2 * kept.sum(), 1)),
                     np.corrcoef(found.numbers[:, 1], numbers[:, 1])[0, 1]])
    return np.array(rows)


def clean_limit(job, rng):
    """The 99th percentile of the residuals of reconstructions."""
    words, numbers = sample(3 * job.n, rng, PROMPTED)
    mean, _ = job.trained.encode(render(words, numbers))
    return np.quantile(latent.reading(words, job.trained.decode(mean)).residual, 0.99)


# ---- negative prompts ----

def negated(job, limit, rng):
    """For each style (4, 3, 2) its share and clean pictures: no prompt; the style as negative prompt; prompts "not STYLE SHAPE"."""
    trained, n, rows = job.trained, job.n, []
    nothing = drawn(job, guided(trained, None), n, rng)
    for k, style in enumerate(STYLES):
        negative = drawn(job, guided(trained, None, negative=tokenize([style] * n, latent.VOCABULARY)), n, rng)
        shapes = [shape for other, shape in PROMPTED if other == style]
        prompts = tokenize([f"not {style} {rng.choice(shapes)}" for _ in range(n)], latent.VOCABULARY)
        found = [latent.reading(np.zeros((n, 4), int), trained.decode(z)) for z in (
            nothing, negative, trained.model.sample(trained.theta, n, rng, tokens=prompts, scale=SCALE, steps=job.steps))]
        rows.append([[(one.words[:, 0] == k).mean(), (one.residual < limit).mean()] for one in found])
    return np.array(rows)


# ---- half a picture ----

def decoder_jvp(trained):
    """The decoder's (z, z_dot) -> pictures, and their change."""
    vae = latent.AUTOENCODER
    weights = vae.split(trained.arrays["autoencoder"])[1][:-1]

    def decode_jvp(z, z_dot):
        f, f_dot, _ = mlp_jvp(weights, z, z_dot, vae.decoder_widths)
        return vae.unit * f, vae.unit * f_dot
    return decode_jvp


def inpainted(job, x, tokens, rng, scale=1.0):
    """Pictures (n, 256) whose upper half is that of x, under prompts (n, LENGTH) or without.

    By ancestral sampling: its fresh noise repairs what the Gaussian around D gets wrong.  With Heun's 18 steps 0.85 of
    the pictures had all words right, with 60 of these 0.95 (150 pictures of one seed).
    """
    trained, vae = job.trained, latent.AUTOENCODER
    std = float(np.exp(vae.split(trained.arrays["autoencoder"])[1][-1]) * vae.unit)
    denoise = with_known_pixels(guided(trained, tokens, scale=scale), decoder_jvp(trained), x[:, KNOWN].astype(np.float32),
                                KNOWN, std=std, scale=trained.model.sigma_data)
    sampler, steps = partial(ddim, eta=1.0, rng=rng), 10 * job.steps // 3
    return trained.decode(drawn(job, denoise, len(x), rng, sampler, steps))


def completed(job, limit, rng):
    """For prompt alone, half alone, both: words right, clean, rmse of the known and the hidden half, rms of x, y and radius."""
    trained, (words, numbers) = job.trained, sample(job.n, rng, PROMPTED)
    x, tokens = render(words, numbers), latent.full_prompts(words)
    copies = trained.decode(trained.encode(x)[0])
    rows = []
    for made in (trained.paint(tokens, rng)[1], inpainted(job, x, None, rng), inpainted(job, x, tokens, rng), copies):
        found, error = latent.reading(words, made), (made - x) ** 2
        rows.append([found.right.mean(), (found.residual < limit).mean(), np.sqrt(error[:, KNOWN].mean()),
                     np.sqrt(error[:, ~KNOWN].mean()), np.sqrt(np.mean((found.numbers - numbers)[:, :3] ** 2))])
    return np.array(rows)


# ---- between two prompts ----

def mixed(job, first, second, u, rng):
    """Pictures (n, 256) of the context (1 - u) first + u second, of prompts (n, LENGTH)."""
    model, theta = job.trained.model, job.trained.theta
    a, b = (model.context(theta, tokens, len(tokens)) for tokens in (first, second))
    context = ((1 - u) * a + u * b).astype(np.float32)
    return job.trained.decode(drawn(job, model.guided(theta, context, scale=SCALE), len(first), rng))


def between(job, limit, rng):
    """Against u: shares of the first style, the second, the shape, and clean ones."""
    words, _ = sample(job.n, rng, PROMPTED)
    new, noise, rows = restyled(words, rng), rng.integers(2 ** 32), []
    for u in BETWEEN:
        found = latent.reading(new, mixed(job, latent.full_prompts(words), latent.full_prompts(new), u,
                                      np.random.default_rng(noise)))
        rows.append([(found.words[:, 0] == words[:, 0]).mean(), *found.each[:, [0, 2]].mean(axis=0),
                     (found.residual < limit).mean()])
    return np.array(rows)


# ---- the pictures ----

SOURCES = (("solid large moon left", "hatched large moon left"), ("outlined large star right", "solid large star right"),
           ("hatched large circle left", "outlined large circle left"))
HALVES = (("soft large triangle right",), ("hatched large star left",))
ENDS = (("solid large cross left", "hatched large cross left"), ("outlined small square left", "outlined large circle right"))


def as_words(text):
    """The row of words of a prompt with all four."""
    return [names.index(word) for names, word in zip(WORDS.values(), text.split())]


def pictures(job, rng):
    """Bytes of pictures (rows, columns, 256): image to image, half pictures, and between two prompts."""
    trained = job.trained
    first, second = (np.array([as_words(pair[i]) for pair in SOURCES]) for i in (0, 1))
    x = render(first, draw_parameters(first, rng))
    mean, _ = trained.encode(x)
    guide, noise = guided(trained, latent.full_prompts(second)), rng.integers(2 ** 32)
    edited = [x] + [trained.decode(image_to_image(guide, mean, sigma, np.random.default_rng(noise), steps=job.steps))
                    for sigma in SIGMAS]
    words = np.array([as_words(*row) for row in HALVES])
    whole = render(words, draw_parameters(words, rng))
    tokens = latent.full_prompts(words)
    half = [whole, np.where(KNOWN, whole, 0), *(inpainted(job, whole, None, rng) for _ in range(3)),
            *(inpainted(job, whole, tokens, rng) for _ in range(3))]
    a, b = (latent.full_prompts(np.array([as_words(pair[i]) for pair in ENDS])) for i in (0, 1))
    noise = rng.integers(2 ** 32)
    mixed_ones = [mixed(job, a, b, u, np.random.default_rng(noise)) for u in BETWEEN]
    return {f"shown {name}": np.uint8(np.round(255 * np.clip(np.stack(columns, axis=1), 0, 1)))
            for name, columns in (("edited", edited), ("half", half), ("between", mixed_ones))}


# ---- what the results say ----

def mean_and_error(values):
    """Mean and one standard error over seeds, the first axis."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 * values[0]


def claim(results):
    edited = results["edited"].mean(axis=0)
    without, negative, _ = results["negated"].mean(axis=(0, 1))[:, 0]
    return (f"At noise {SIGMAS[CHOSEN]:g} {edited[CHOSEN, 0]:.0%} show the new style, shifted by {edited[CHOSEN, 5]:.2f} (at "
            f"{SIGMAS[-1]:g}: {edited[-1, 5]:.2f}); a negative prompt lowers a style from {without:.0%} to {negative:.0%}.")


def checks(results):
    edited = results["edited"].mean(axis=0)
    without, negative, word = np.moveaxis(results["negated"], 2, 0)             # (seeds, styles, 2) each
    prompt_alone, half_alone, both = results["completed"].mean(axis=0)[:3]
    return {
        "new style at 0.6: at least 0.88": bool(edited[CHOSEN, 0] >= 0.88),
        "shape, which the prompt names too, kept at 0.6: at least 0.98": bool(edited[CHOSEN, 2] >= 0.98),
        "place kept at 0.6: rms at most 0.06": bool(edited[CHOSEN, 5] <= 0.06),
        "at 20 the shift is more than 3 times that at 0.6, in every seed":
            bool((results["edited"][:, -1, 5] > 3 * results["edited"][:, CHOSEN, 5]).all()),
        "at 0.1 the new style is in less than 0.1, at 20 y is forgotten": bool(edited[0, 0] < 0.1 and abs(edited[-1, 6]) < 0.2),
        "a negative style is rarer: the mean of all four, and each but solid, in every seed":
            bool((negative[..., 0].mean(axis=1) < without[..., 0].mean(axis=1)).all()
                 and (negative[:, 1:, 0] < without[:, 1:, 0]).all()),
        "each style is rarer after the word not, in every seed, and pictures are cleaner than under negative prompts":
            bool((word[..., 0] < without[..., 0]).all() and word[..., 1].mean() > negative[..., 1].mean() + 0.1),
        "half a picture and its prompt: numbers nearer than by the prompt alone": bool(both[4] < 0.5 * prompt_alone[4]),
    }


# ---- the figure ----

def strip(fig, shown, labels, title):
    """Rows of pictures with a label above each column."""
    fig.suptitle(title, x=0.01, ha="left", fontsize=9)
    axes = fig.subplots(*shown.shape[:2], squeeze=False)
    for row, pictures in zip(axes, shown):
        for ax, picture in zip(row, pictures):
            ax.imshow(picture.reshape(SIDE, SIDE), cmap="Greys", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(visible=True, color="#CCCCCC", linewidth=0.5)
    for ax, label in zip(axes[0], labels):
        ax.set_title(label, fontsize=8, pad=3)
    return axes


def draw(results):
    """Three strips of pictures, and the measures under each idea."""
    fig = figure(10.2, FINDING, SETTINGS)
    a, b, c, d = fig.subfigures(4, 1, height_ratios=[3.3, 2.6, 2.3, 2.3])
    strip(a, results["shown edited"], ["picture", *(f"noise {sigma:g}" for sigma in SIGMAS)],
          "a) a picture, with more and more noise removed under a prompt with another style word")
    measures(b, results)
    strip(c, results["shown half"], ["truth", "upper half", *["half alone"] * 3, *["half, prompt"] * 3],
          "e) the lower half is drawn anew: " + "; ".join(*zip(*HALVES)))
    strip(d, results["shown between"], [f"{u:.2f}".rstrip("0").rstrip(".") for u in BETWEEN],
          "f) between two prompts: " + "; ".join(" to ".join(pair) for pair in ENDS))
    return fig


def measures(fig, results):
    """Curves against the noise, bars of negative prompts, curves between two prompts."""
    left, middle, right = fig.subplots(1, 3)
    value, error = mean_and_error(results["edited"])
    for column, color, label, where in ((0, COLORS["diffusion"], "new style", (0.3, 0.6)), (2, COLORS["truth"], "shape (prompted)", (0.13, 1.05)),
                                        (6, SECOND_DIFFUSION, "correlation of y", (2.7, 0.66))):
        left.errorbar(SIGMAS, value[:, column], error[:, column], color=color, marker="o", ms=3)
        left.text(*where, label, color=color, fontsize=8)
    left.set(xscale="log", xlabel="noise", ylim=(-0.1, 1.15), title="b) what stays, what changes")
    value, error = mean_and_error(results["negated"])
    for i, (color, name) in enumerate(((COLORS["baseline"], "no prompt"), (COLORS["diffusion"], "negative prompt"),
                                       (SECOND_DIFFUSION, "prompt with \"not\""))):
        middle.bar(np.arange(4) + 0.27 * (i - 1), value[:, i, 0], 0.25, yerr=error[:, i, 0], color=color,
                   label=f"{name} (clean: {value[:, i, 1].mean():.2f})")
    middle.legend(loc="upper center", fontsize=8)
    middle.set(xticks=range(4), xticklabels=STYLES, title="c) share of an unwanted style", ylim=(0, 0.75))
    value, error = mean_and_error(results["between"])
    for column, color, label in ((0, COLORS["baseline"], "first style"), (1, COLORS["diffusion"], "second style"),
                                    (2, COLORS["truth"], "shape"), (3, SECOND_DIFFUSION, "clean")):
        right.errorbar(BETWEEN, value[:, column], error[:, column], color=color, marker="o", ms=3, label=label)
    right.legend(loc="center left", fontsize=8)
    right.set(xlabel="weight of the second prompt", title="d) between two styles", ylim=(0, 1.05))
