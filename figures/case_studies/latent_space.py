"""What the latent and the attention buy: the same diffusion of codes, of pixels and of principal components, per second.

All arms have the same network, text encoder, prompts and batch size, and take the same CPU time in all.
"""
import numpy as np

from figures.case_studies import latent_parts as latent
from figures.style import COLORS, SECOND_DIFFUSION, figure
from scratch.data.pictures import PAIRS, PROMPTED, render, sample
from scratch.divergence.copying import copying_z

SECTION = "case"
FINDING = "Per second of training, diffusion of codes beats diffusion of pixels"
SETTINGS = ("Network 384 x 3 in all arms; the autoencoder's seconds count; 64 principal components. Guidance 2; 500 fresh prompts a "
            "dot. Not-prompts: 1,000 of three words, right if style and shape obey. Distances: 500 pictures of each kind to the "
            "30,000 prompted ones in training. Three seeds; bars: 1 s.e.")

SEEDS, SCALE = 3, 2.0
SPACES = ("latent", "pca", "pixels")
NAMES = {"latent": "codes of the\nautoencoder", "pca": "principal\ncomponents", "pixels": "pixels"}
POINTS = 200                                 # quantiles of the distances that are stored


def parts(effort):
    """One a seed and arm."""
    return [f"{kind} {seed}" for seed in range(1 if effort == "quick" else SEEDS) for kind in ("latent", "bag", "pca", "pixels")]


def compute_part(part, effort, rng):
    """Shares along the training of one arm; not-prompts for both text encoders; distances for the latent."""
    kind, seed = part.split()
    model, n = latent.trained(kind, int(seed), effort), 12 if effort == "quick" else 400
    results = dict(seconds=model.arrays["seconds"], coder=model.arrays["coder_seconds"])
    if kind != "bag":
        results["right"] = np.array([share(model, theta, n, rng) for theta in model.arrays["averages"]])
    if kind in ("latent", "bag"):
        results["not"] = negations(model, 2 * n, rng)
    if kind == "latent":
        results |= memorization(model, int(seed), effort, n, rng)
    return results


def share(model, theta, n, rng):
    """The share of pictures with all words right."""
    words, _ = sample(n, rng, PROMPTED)
    return latent.reading(words, model.paint(latent.full_prompts(words), rng, SCALE, theta)[1]).right.mean()


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
    results = dict(seeds=len(parts) // 4)
    for kind in ("latent", "bag", "pca", "pixels"):
        found = [part for name, part in parts.items() if name.split()[0] == kind]
        results |= {f"{kind} {key}": np.float32([part[key] for part in found]) for key in found[0]}
    return results


def last(results, kind):
    """All words right at the end, for each seed."""
    return results[f"{kind} right"][:, -1]


def gain(results):
    """Attention minus bag on not-prompts, for each seed."""
    return results["latent not"].mean(axis=1) - results["bag not"].mean(axis=1)


def claim(results):
    seconds = results["latent seconds"][:, -1].mean()
    return (f"After {seconds:.0f} s of CPU {last(results, 'latent').mean():.0%} of pictures are right from codes, "
            f"{last(results, 'pca').mean():.0%} from principal components, {last(results, 'pixels').mean():.0%} from pixels; "
            f"attention adds {gain(results).mean():.2f} on prompts with a not.")


def checks(results):
    end = {kind: results[f"{kind} seconds"][:, -1] for kind in SPACES}
    return {
        "codes: at least 4 times the pixels' share, in every seed": bool((last(results, "latent") >= 4 * last(results, "pixels")).all()),
        "codes above principal components, in every seed": bool((last(results, "latent") > last(results, "pca")).all()),
        "the other arms had at least 0.9 times the seconds": bool(min(end["pca"].mean(), end["pixels"].mean()) > 0.9 * end["latent"].mean()),
        "attention minus bag on not-prompts: at least 0.4, in every seed": bool((gain(results) >= 0.4).all()),
        "generated pictures are no nearer to the training ones than fresh ones: Z above -3": bool((results["latent z"] > -3).all()),
    }


def draw(results):
    """Shares against seconds, not-prompts, and distances to the nearest training picture."""
    fig = figure(3.4, FINDING, SETTINGS)
    a, b, c = fig.subplots(1, 3, width_ratios=[1.5, 1, 1.2])
    for kind, color in zip(SPACES, (COLORS["diffusion"], SECOND_DIFFUSION, COLORS["baseline"])):
        x, y = results[f"{kind} seconds"].mean(axis=0), results[f"{kind} right"]
        a.errorbar(x, y.mean(axis=0), error(y), color=color, marker="o", ms=3)
        a.text(x[-1] * 1.03, y[:, -1].mean(), NAMES[kind], color=color if kind != "pixels" else "#666666", va="center", fontsize=8)
    a.axvspan(0, results["latent coder"].mean(), color=COLORS["vae"], alpha=0.15, lw=0)
    a.text(results["latent coder"].mean() / 2, 0.5, "autoencoder", rotation=90, color=COLORS["vae"], va="center", ha="center")
    a.set(xlabel="CPU seconds of training", ylabel="all words right", ylim=(0, 1), xlim=(0, 1.35 * x[-1]), title="three spaces, one network")
    for place, kind, color in ((0, "latent", COLORS["diffusion"]), (1, "bag", "#666666")):
        y = results[f"{kind} not"]
        b.errorbar(np.arange(2) + 0.12 * place, y.mean(axis=0), error(y), color=color, fmt="o", ms=5)
        b.text(0.5, y.mean(), "with attention" if place == 0 else "bag of words", color=color, ha="center", va="center")
    b.set(xticks=(0.06, 1.06), xticklabels=("not soft moon", "soft not moon"), xlim=(-0.5, 1.6), ylim=(0, 1), title="prompts with a not: obeyed")
    share = (np.arange(POINTS) + 0.5) / POINTS
    for kind, color in (("generated", COLORS["diffusion"]), ("fresh", COLORS["truth"])):
        c.plot(results[f"latent {kind}"].T, share, color=color, lw=1)
    c.text(0.97, 0.12, "black: fresh pictures,\nreconstructed", transform=c.transAxes, ha="right", fontsize=8)
    c.text(0.97, 0.32, "generated", transform=c.transAxes, ha="right", fontsize=8, color=COLORS["diffusion"])
    c.set(xlabel="distance to the nearest training picture", title="share of pictures nearer than that", ylim=(0, 1), xlim=(0, None))
    return fig


def error(values):
    """One standard error over the seeds, in front."""
    return values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 * values[0]
