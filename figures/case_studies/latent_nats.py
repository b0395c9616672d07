"""The second stage in nats: what the diffusion saves of the bound, what is left, and what words tell of a latent.

With encoder and decoder fixed, E KL(q(z | x) || p(z)) = I(x; z) + KL(q(z) || p(z)), where q(z) = E q(z | x) is the
aggregate posterior: only the last term depends on p.  q(z) is a mixture of Gaussians, one for each picture, so its
density, its denoiser and those under a prompt are exact.
"""
import numpy as np
from scipy.special import logsumexp

from figures.case_studies import latent_parts as latent
from figures.style import COLORS, SECOND_DIFFUSION, figure
from scratch.data.pictures import COUNTS, PROMPTED, ranges, render, sample
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI

SECTION = "case"
FINDING = "Latent diffusion saves most of the nats that a normal prior wastes"
SETTINGS = ("Trainings of latent_diffusion.py, three seeds. a) 300 codes; I(x; z) by importance sampling over "
            "a picture's numbers; b), d) 300 codes of an exact mixture of 30,000 codes, which can tell "
            "log 30,000 = 10.3 nats of a picture at most: so d) is above a); c) 1,000 pictures a stage; "
            "error: not all words right and clean; KL: of the numbers' cells. Bars and bands: 1 s.e. of the seeds.")

SEEDS = 3
ROWS, MANY = 300, 30_000                     # codes whose density is taken, and pictures in the mixture q(z)
LOG_WORDS = float(np.log(len(PROMPTED) * COUNTS[1] * COUNTS[3]))       # entropy of the four words, nats
DRAWS, WIDER, STEP = 500, 1.5, 1e-3          # of the importance sampling: 0.05 in q(z); WIDER 1 to 2.5 give the same
ODE_STEPS = 16
SIGMAS = np.geomspace(0.02, 40, 40)


def parts(effort):
    """One a seed."""
    return [f"seed {seed}" for seed in range(1 if effort == "quick" else SEEDS)]


def codes(trained, n, rng):
    """Of n fresh pictures of prompted pairs: words (n, 4), and mean and std (n, L) of q(z | x)."""
    words, means, stds = [], [], []
    for i in range(0, n, 10_000):
        w, numbers = sample(min(10_000, n - i), rng, PROMPTED)
        mean, std = trained.encode(render(w, numbers))
        words.append(w), means.append(mean), stds.append(std)
    return np.concatenate(words), np.concatenate(means).astype(float), np.concatenate(stds).astype(float)


def log_aggregate(trained, z, words, numbers, others, rng):
    """log q(z), (n,), of codes z drawn from q(z | x) of the pictures x of words and numbers.

    q(z) = E q(z | x') over pictures x'.  Those with the words of x: importance sampling of their numbers, from a Gaussian
    around the best ones, WIDER than p(numbers | z) of a linear encoder.  Other words: the mixture of the codes of `others`.
    """
    mean, std = encoded(trained, words, numbers)
    J = np.stack([encoded(trained, words, numbers + step)[0] - encoded(trained, words, numbers - step)[0]
                  for step in STEP * np.eye(4)], axis=2) / (2 * STEP * std[:, :, None])         # (n, L, 4), in units of std
    low, high = ranges(words)
    covariance = np.linalg.inv(J.swapaxes(1, 2) @ J + 12 / (high - low)[:, :, None] ** 2 * np.eye(4))
    center = numbers + (covariance @ J.swapaxes(1, 2) @ ((z - mean) / std)[:, :, None])[:, :, 0]
    center, root = np.clip(center, low, high), WIDER * np.linalg.cholesky(covariance)
    same = np.empty(len(z))
    for i in range(len(z)):
        e = rng.standard_normal((DRAWS, 4))
        drawn = center[i] + e @ root[i].T
        inside = ((drawn >= low[i]) & (drawn <= high[i])).all(axis=1)
        codes = encoded(trained, np.tile(words[i], (DRAWS, 1)), np.clip(drawn, low[i], high[i]))
        log_p = np.where(inside, -LOG_WORDS - np.log(high[i] - low[i]).sum(), -np.inf)
        same[i] = logsumexp(log_normal(z[i], *codes) + log_p - log_normal(e, 0, 1) + np.log(np.diag(root[i])).sum())
    return np.logaddexp(same - np.log(DRAWS), log_mixture(z, *others, number(words)))


def number(words):
    """One integer for the four words of each row."""
    return words @ (1000, 100, 10, 1)


def encoded(trained, words, numbers):
    """Mean and std (n, L) of q(z | x) of the pictures of words and numbers."""
    mean, std = trained.encode(render(words, numbers))
    return mean.astype(float), std.astype(float)


def log_normal(z, mean, std):
    """log N(z; mean, std^2), summed over the last axis."""
    return np.sum(-0.5 * ((z - mean) / std) ** 2 - np.log(std) - HALF_LOG_TWO_PI, axis=-1)


def log_components(z, mean, variance):
    """log N(z_n; mean_k, variance_k) of all pairs, (n, M)."""
    precision = 1 / variance
    constant = -0.5 * np.sum(mean * mean * precision + np.log(variance), axis=1) - z.shape[1] * HALF_LOG_TWO_PI
    return -0.5 * (z * z) @ precision.T + z @ (mean * precision).T + constant


def log_mixture(z, words, mean, std, left_out):
    """log of 1/M times the sum over the codes k whose words are not those left out of the row, of N(z; mean_k, std_k^2), (n,)."""
    parts = []
    for i in range(0, len(mean), 20_000):
        part = slice(i, i + 20_000)
        log_p = log_components(z, mean[part], std[part] ** 2)
        parts.append(logsumexp(np.where(number(words[part]) == left_out[:, None], -np.inf, log_p), axis=1))
    return logsumexp(parts, axis=0) - np.log(len(mean))


def rates(trained, n, many, rng):
    """E log q(z | x) - log p(z), in nats: N(0, I); diffusion; diffusion by the prompt; exact q(z), whose rate is I(x; z)."""
    model, theta = trained.model, trained.theta
    words, numbers = sample(n, rng, PROMPTED)
    mean, std = encoded(trained, words, numbers)
    z = mean + std * rng.standard_normal(mean.shape)
    by_prompt = model.log_prob(theta, z, tokens=latent.full_prompts(words), steps=ODE_STEPS) - LOG_WORDS
    log_p = (log_normal(z, 0, np.ones(model.dim)), model.log_prob(theta, z, steps=ODE_STEPS), by_prompt,
             log_aggregate(trained, z, words, numbers, codes(trained, many, rng), rng))
    return np.mean(log_normal(z, mean, std) - log_p, axis=1)


def denoisers(z, sigma, mean, variance, same):
    """E[z0 | z] of the mixture of all codes, and of those with the words of the row (same (n, M)), (n, L) each."""
    log_w = log_components(z, mean, variance + sigma ** 2)
    kept = variance / (variance + sigma ** 2)
    found = []
    for logits in (log_w, np.where(same, log_w, -np.inf)):
        w = np.exp(logits - logits.max(axis=1, keepdims=True))
        w /= w.sum(axis=1, keepdims=True)
        found.append(w @ (mean * (1 - kept)) + (w @ kept) * z)
    return found


def information(trained, n, many, rng):
    """For codes of the mixture q of `many`, whose densities and denoisers are exact: nats per unit of log sigma, (levels, 4).

    |D - D_words|^2 / sigma^2, whose integral is I(words; z): exact, and learned; |learned - exact|^2 / sigma^2, whose integral
    bounds KL(q || diffusion): without a prompt, and with it.  Then these two KLs by the densities, (2,).
    """
    model, theta, rows = trained.model, trained.theta, []
    words, mean, std = codes(trained, many, rng)
    same = number(words) == number(words[:n])[:, None]
    context = model.context(theta, latent.full_prompts(words[:n]), n)
    for sigma in SIGMAS:
        z = mean[:n] + np.sqrt(std[:n] ** 2 + sigma ** 2) * rng.standard_normal((n, model.dim))
        exact = denoisers(z, sigma, mean, std ** 2, same)
        learned = [model.denoise(theta, z, sigma, c).astype(float) for c in (None, context)]
        pairs = exact, learned, (exact[0], learned[0]), (exact[1], learned[1])
        rows.append([np.mean(np.sum((a - b) ** 2, axis=1)) / sigma ** 2 for a, b in pairs])
    z = mean[:n] + std[:n] * rng.standard_normal((n, model.dim))
    log_p = [model.log_prob(theta, z, tokens=tokens, steps=ODE_STEPS) for tokens in (None, latent.full_prompts(words[:n]))]
    log_w = log_components(z, mean, std ** 2)
    log_q = [logsumexp(log_w, axis=1) - np.log(many), logsumexp(np.where(same, log_w, -np.inf), axis=1) - np.log(same.sum(axis=1))]
    return np.array(rows), np.mean(np.subtract(log_q, log_p), axis=1)


def stages(trained, n, rng):
    """What each stage adds: share of pictures not right and clean, and KL of the numbers.

    True pictures, decoded z ~ q(z | x), and pictures of the prompt at guidance 1 and 2.
    """
    words, numbers = sample(n, rng, PROMPTED)
    x = render(words, numbers)
    mean, std = trained.encode(x)
    copies = latent.reading(words, trained.decode(mean))
    limit, tokens = np.quantile(copies.residual, 0.99), latent.full_prompts(words)
    made = [x, trained.decode(mean + std * rng.standard_normal(mean.shape, np.float32)),
            *(trained.paint(tokens, rng, scale)[1] for scale in (1.0, 2.0))]
    found = [latent.reading(words, pictures) for pictures in made]
    return np.array([[1 - one.shares(limit)[2], latent.parameter_kl(one)] for one in found])


def compute_part(part, effort, rng):
    """All measures of one seed."""
    seed, quick = int(part.split()[1]), effort == "quick"
    trained = latent.trained("latent", seed, effort)
    n, many, pictures = (2, 100, 12) if quick else (ROWS, MANY, 1000)
    by_level, by_density = information(trained, n, many, rng)
    return dict(rates=rates(trained, n, many, rng), information=by_level, by_density=by_density,
                stages=stages(trained, pictures, rng))


def gather(effort, parts):
    """Every measure with the seeds in front."""
    return dict(seeds=len(parts), sigmas=SIGMAS) | {key: np.float32([part[key] for part in parts.values()])
                                                    for key in next(iter(parts.values()))}


# ---- what the results say ----

def integrals(results):
    """The integrals over log sigma of the four curves, (seeds, 4) nats."""
    return results["information"].sum(axis=1) * np.log(SIGMAS[1] / SIGMAS[0])


def left(results):
    """KL(q(z) || p) in nats, (seeds, 3): p = N(0, I), diffusion, diffusion by its prompt."""
    return results["rates"][:, :3] - results["rates"][:, 3:]


def claim(results):
    normal, diffusion, _ = left(results).mean(axis=0)
    learned = integrals(results)[:, 1].mean()
    return (f"KL(q(z) || p) is {normal:.1f} nats for a normal prior and {diffusion:.1f} for the diffusion; its denoisers claim "
            f"{learned:.1f} nats for words that have {LOG_WORDS:.2f}.")


def checks(results):
    normal, diffusion, prompted = left(results).T
    exact, learned, *paths = integrals(results).T
    value, error = mean_and_error(exact)
    wrong = results["stages"][:, :, 0]
    return {
        "the diffusion saves more than half of the KL, in every seed": bool((diffusion < 0.5 * normal).all()),
        "its prompts save more, in every seed": bool((prompted < diffusion).all()),
        "no second stage is below I(x; z)": bool((left(results) > 0).all()),
        "exact denoisers: I(words; z) is log 72 within 3 standard errors, below 0.2 each":
            bool(abs(value - LOG_WORDS) < 3 * error < 0.6),
        "learned denoisers: more than 1 nat above it, in every seed": bool((learned > LOG_WORDS + 1).all()),
        "KL by paths and by densities: within 2 nats": bool((np.abs(np.array(paths).T - results["by_density"]) < 2).all()),
        "guidance 2 has fewer errors than 1, in every seed": bool((wrong[:, 3] < wrong[:, 2]).all()),
    }


# ---- the figure ----

def mean_and_error(values):
    """Mean and one standard error over seeds, the first axis."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 * values[0]


def draw(results):
    """Bars of nats, two curves of nats by noise level, bars of errors."""
    fig = figure(6.4, FINDING, SETTINGS)
    axes = fig.subplots(2, 2, width_ratios=[1, 1.15])
    bars(axes[0, 0], results)
    told(axes[0, 1], results)
    errors(axes[1, 0], results)
    lost(axes[1, 1], results)
    return fig


def bars(ax, results):
    """E KL(q(z | x) || p(z)) = I(x; z) + KL(q(z) || p(z)), for each p."""
    (value, error), floor = mean_and_error(left(results)), results["rates"][:, 3].mean()
    colors = COLORS["vae"], COLORS["diffusion"], SECOND_DIFFUSION, COLORS["truth"]
    ax.bar(range(4), floor, color="#DDDDDD")
    ax.bar(range(3), value, bottom=floor, yerr=error, color=colors[:3])
    for i, text in enumerate((*(f"{kl:.1f}" for kl in value), "0")):
        ax.text(i, floor + ([*value, 0][i]) + 1.2, text, ha="center", fontsize=9, color=colors[i])
    ax.text(1.5, floor / 2, f"I(x; z) = {floor:.1f}: no p(z) saves these", ha="center", va="center", fontsize=8)
    ax.set(xticks=range(4), xticklabels=("N(0, I)", "diffusion,\nno prompt", "diffusion,\nby prompts", "exact q(z)"),
           ylabel="nats a picture", title="a) cost of a latent: I(x; z) + KL(q(z) || p)", ylim=(0, 1.1 * (floor + value[0])))


def told(ax, results):
    """What words tell of the latent, by level."""
    totals = integrals(results).mean(axis=0)
    for column, color, text, x, y in ((0, COLORS["truth"], f"exact: {totals[0]:.1f} nats in all\n(log 72 = {LOG_WORDS:.2f})", 2.3, 1.9),
                                      (1, COLORS["diffusion"], f"learned: {totals[1]:.1f} nats\n(too many: its errors)", 0.021, 2.3)):
        value, error = mean_and_error(results["information"][..., column])
        ax.fill_between(SIGMAS, value - error, value + error, color=color, alpha=0.2, lw=0)
        ax.plot(SIGMAS, value, color=color)
        ax.text(x, y, text, color=color, fontsize=8)
    ax.set(xscale="log", ylabel="nats per unit of log noise", ylim=(0, None), title="b) what words tell of a latent, by noise level")


def lost(ax, results):
    """Where the diffusion loses, by level."""
    totals, densities = integrals(results).mean(axis=0), results["by_density"].mean(axis=0)
    for k, (color, text, y) in enumerate(((COLORS["diffusion"], "no prompt", 0.86), (SECOND_DIFFUSION, "by prompts", 0.68))):
        value, error = mean_and_error(results["information"][..., 2 + k])
        ax.fill_between(SIGMAS, value - error, value + error, color=color, alpha=0.2, lw=0)
        ax.plot(SIGMAS, value, color=color)
        ax.text(0.97, y, f"{text}: {totals[2 + k]:.1f} nats by this curve,\n{densities[k]:.1f} by the densities", color=color,
                fontsize=8, transform=ax.transAxes, ha="right")
    ax.set(xscale="log", xlabel="noise of the latent", ylabel="nats per unit of log noise", ylim=(0, None),
           title="d) where the diffusion loses against the mixture")


def errors(ax, results):
    """The two measures after each stage."""
    value, error = mean_and_error(results["stages"])
    for k, (name, color) in enumerate((("share with an error", COLORS["diffusion"]), ("KL of the numbers, nats", SECOND_DIFFUSION))):
        ax.bar(np.arange(4) + 0.38 * (k - 0.5), value[:, k], 0.36, yerr=error[:, k], color=color)
        ax.text(0.02, 0.9 - 0.1 * k, name, color=color, fontsize=8, transform=ax.transAxes)
    ax.set(xticks=range(4), xticklabels=("truth", "autoencoder", "+ diffusion", "+ guidance 2"), title="c) the error of a picture, stage by stage")
