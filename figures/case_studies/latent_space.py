"""What the latent and the attention buy: the same diffusion of latents, of pixels and of principal components, per second.

All arms have the same network, text encoder, prompts and batch size.  Pixels and principal components are trained,
until their rate has fallen to 0, for about the CPU seconds that autoencoder and latents have taken at the second of five
points; the latents' training goes on from there.
"""
import numpy as np

from figures.case_studies import latent_parts as latent
from figures.style import COLORS, SECOND_DIFFUSION, figure
from scratch.data.pictures import PAIRS, PROMPTED, render, sample
from scratch.divergence.copying import copying_z

SECTION = "case"
FINDING = "Latents give clean pictures in a time in which pixels give none"
SETTINGS = ("Network 384 x 3 in all arms; the autoencoder's seconds count; 64 principal components. Gray line: the seconds compared, of which pixels had 0.9. Guidance 2; 400 fresh prompts a "
            "dot. Not-prompts: 800 of three words, right if style and shape obey. Distances: 400 of each kind (guidance 1) to the "
            "30,000 prompted ones in training. Three seeds; bars: 1 s.e.")

SEEDS, SCALE = 3, 2.0
ARMS = ("latent", "bag", "pixels", "pca")
SPACES = ("latent", "pca", "pixels")
NAMES = {"latent": "latents", "pca": "principal\ncomponents", "pixels": "pixels"}
# A residual: of the autoencoder's copies 1 % are above it (mean of the limits in latent_diffusion).  So 0.96 of these
# copies are right and clean; of those from 64 principal components 0.88 (400 pictures of one seed); pixels lose nothing.
CLEAN = 0.061
POINTS = 200                                 # quantiles of the distances that are stored


def parts(effort):
    """One a seed and arm."""
    return [f"{kind} {seed}" for seed in range(1 if effort == "quick" else SEEDS) for kind in ARMS]


def compute_part(part, effort, rng):
    """Shares along the training of one arm; not-prompts for both text encoders; distances for the latent."""
    kind, seed = part.split()
    model, n = latent.trained(kind, int(seed), effort), 12 if effort == "quick" else 400
    results = dict(seconds=model.arrays["seconds"], coder=model.arrays["coder_seconds"])
    if kind != "bag":
        results["shares"] = np.array([shares(model, theta, n, rng) for theta in model.arrays["averages"]])
    if kind in ("latent", "bag"):
        results["not"] = negations(model, 2 * n, rng)
    if kind == "latent":
        results |= memorization(model, int(seed), effort, n, rng)
    return results


def shares(model, theta, n, rng):
    """The shares of pictures with all words right, and of those that are also clean."""
    words, _ = sample(n, rng, PROMPTED)
    return latent.reading(words, model.paint(latent.full_prompts(words), rng, SCALE, theta)[1]).shares(CLEAN)[[0, 2]]


def negations(model, n, rng):
    """How often "not STYLE shape" and "style not SHAPE" are obeyed."""
    words, _ = sample(n, rng, PROMPTED)
    tokens = latent.negated_prompts(words, rng)
    right = latent.obeys(tokens, latent.reading(words, model.paint(tokens, rng, SCALE)[1]).words)
    first = tokens[:, 0] == 1
    return [right[first].mean(), right[~first].mean()]


def memorization(model, seed, effort, n, rng):
    """Quantiles of the distances to the nearest training picture, generated (at guidance 1) and fresh reconstructions; Z."""
    training = latent.training_pictures(seed, effort)[2]
    words, numbers = sample(n, rng, PROMPTED)
    fresh = latent.nearest(model.decode(model.encode(render(words, numbers))[0]), training)
    generated = latent.nearest(model.paint(latent.full_prompts(words), rng)[1], training)
    points = (np.arange(POINTS) + 0.5) / POINTS
    return dict(fresh=np.quantile(fresh, points), generated=np.quantile(generated, points), z=copying_z(fresh, generated))


def gather(effort, parts):
    """Every measure of every arm, seeds in front."""
    results = dict(seeds=len(parts) // len(ARMS))
    for kind in ARMS:
        found = [part for name, part in parts.items() if name.split()[0] == kind]
        results |= {f"{kind} {key}": np.float32([part[key] for part in found]) for key in found[0]}
    return results


def piece(kind):
    """The place in the curve of an arm at which the arms have had the same seconds."""
    return latent.EQUAL if kind == "latent" else -1


def right(results, kind, clean=0):
    """All words right after the same seconds, for each seed; clean = 1: and clean."""
    return results[f"{kind} shares"][:, piece(kind), clean]


def gain(results):
    """Attention minus bag on not-prompts, for each seed."""
    return results["latent not"].mean(axis=1) - results["bag not"].mean(axis=1)


def claim(results):
    seconds = results["latent seconds"][:, latent.EQUAL].mean()
    return (f"After {seconds:.0f} s of CPU {right(results, 'latent', 1).mean():.0%} of pictures from latents are right and clean, "
            f"{right(results, 'pca', 1).mean():.0%} from components, {right(results, 'pixels', 1).mean():.0%} from pixels; attention "
            f"adds {gain(results).mean():.2f} on not-prompts.")


def checks(results):
    took = {kind: results[f"{kind} seconds"][:, piece(kind)].mean() for kind in SPACES}
    return {
        "latents: at least 2.5 times the pixels' share right, in every seed":
            bool((right(results, "latent") >= 2.5 * right(results, "pixels")).all()),
        "right and clean: at least 0.75 of the latents' pictures, at most 0.05 of the pixels', in every seed":
            bool(right(results, "latent", 1).min() >= 0.75 and right(results, "pixels", 1).max() <= 0.05),
        "latents above principal components": bool(right(results, "latent").min() > right(results, "pca").max()),
        "the other arms had at least 0.9 times the seconds": bool(min(took["pca"], took["pixels"]) > 0.9 * took["latent"]),
        "attention minus bag on not-prompts: at least 0.4, in every seed": bool((gain(results) >= 0.4).all()),
        "generated pictures are no nearer to the training ones than fresh ones: Z above -3": bool((results["latent z"] > -3).all()),
    }


def draw(results):
    """Shares against seconds, not-prompts, and distances to the nearest training picture."""
    fig = figure(3.6, FINDING, SETTINGS)
    a, b, c = fig.subplots(1, 3, width_ratios=[1.6, 1, 1])
    for kind, color in zip(SPACES, (COLORS["diffusion"], SECOND_DIFFUSION, "#888888")):
        x, y = results[f"{kind} seconds"].mean(axis=0), results[f"{kind} shares"]
        for column, style in ((0, "-"), (1, ":")):
            a.errorbar(x, y[..., column].mean(axis=0), error(y[..., column]), color=color, ls=style, marker="o", ms=3)
        a.text(x[-1] + 3, y[:, -1, 0].mean(), NAMES[kind], color=color, va="center")
    coder, seconds = results["latent coder"].mean(), results["latent seconds"].mean(axis=0)
    a.axvspan(0, coder, color=COLORS["vae"], alpha=0.15, lw=0)
    a.text(coder / 2, 0.93, "autoencoder", color=COLORS["vae"], ha="center", fontsize=8)
    a.axvline(seconds[latent.EQUAL], color="#999999", lw=0.8)
    a.set(xlabel="CPU seconds of training", ylabel="share (dotted: right and clean)", ylim=(-0.02, 1.02), xlim=(0, 1.25 * seconds[-1]),
          title="all words right: three spaces, one kind of network")
    for place, kind, color, name in ((0, "latent", COLORS["diffusion"], "attention"), (1, "bag", "#666666", "bag of words")):
        y = results[f"{kind} not"]
        b.errorbar(np.arange(2), y.mean(axis=0), error(y), color=color, fmt="o-", ms=5, lw=0.8)
        b.text(0.5, y.mean() + 0.05, name, color=color, ha="center", va="bottom")
    b.set(xticks=(0, 1), xticklabels=("not soft\nmoon", "soft not\nmoon"), xlim=(-0.4, 1.4), ylim=(0, 1.02),
          title="prompts with a not: obeyed")
    share = (np.arange(POINTS) + 0.5) / POINTS
    for kind, color in (("fresh", COLORS["truth"]), ("generated", COLORS["diffusion"])):
        c.plot(results[f"latent {kind}"].T, share, color=color, lw=1)
    c.text(0.97, 0.10, "fresh pictures,\nreconstructed", transform=c.transAxes, ha="right", fontsize=8)
    c.text(0.97, 0.30, "generated", transform=c.transAxes, ha="right", fontsize=8, color=COLORS["diffusion"])
    c.set(xlabel="distance to a training picture", title="share nearer than that", ylim=(0, 1.02), xlim=(0, None))
    return fig


def error(values):
    """One standard error over the seeds, in front."""
    return values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 * values[0]
