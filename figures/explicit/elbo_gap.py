"""Where the nats between a VAE's bound and the data's entropy go: an exact account."""
import numpy as np

from figures.style import COLORS, figure, plane
from scratch.data.distributions import LAWS
from scratch.explicit import evidence
from scratch.explicit.vae import VAE
from scratch.learning.training import train

SECTION = "key"
FINDING = "What a VAE lacks is in its model; the bound costs little"
SETTINGS = ("Moons, one latent coordinate, prior N(0, I), networks 64-64, 2,000 steps of 256 with 4 draws; held-out "
            "rows: 300. Means of 3 seeds, dots: each seed, pictures: the first. All by quadrature, but for d): "
            "Monte Carlo, bar: 1 s.e.")

DRAWS = (1, 2, 4, 8, 16, 32, 64)
LINE = np.linspace(-4, 4, 600)
SEEDS = 3


def parts(effort):
    """A seed each."""
    return [f"seed {seed}" for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """The account along training, the importance bounds, and one posterior with its two Gaussians."""
    steps, hidden, n, total = (10, (8,), 6, 128) if effort == "quick" else (2000, (64, 64), 300, 2048)
    law, model = LAWS["moons"], VAE(2, latent=1, hidden=hidden, samples=4, prior=1)
    checkpoints = np.unique(np.geomspace(steps / 10, steps, 5).astype(int))
    x, account = law.sample(n, rng), []
    for state in train(model, model.init(rng), law, rng, steps=steps):
        if state.step in checkpoints:
            theta = state.average.astype(float)
            log_p = model.log_prob(theta, x)
            elbo, _ = evidence.elbo_quadrature(model, theta, x, *model.encode(theta, x))
            best = evidence.best_gaussians(model, theta, x)
            best_elbo, _ = evidence.elbo_quadrature(model, theta, x, *best)
            rows = law.log_prob(x) - log_p, log_p - best_elbo, best_elbo - elbo
            account.append([row.mean() for row in rows])
    residual = np.abs(log_p - elbo - evidence.kl_to_posterior(model, theta, x)).max()
    gaps = []
    for k in DRAWS:                                         # the same number of draws in all for every k
        means = [(log_p - model.importance_bound(theta, x, rng.standard_normal((k, n, 1)))).mean()
                 for _ in range(total // k)]
        gaps.append((np.mean(means), np.std(means, ddof=1) / np.sqrt(len(means))))
    shown = np.argsort(log_p - elbo)[int(0.9 * n)]                              # a large gap, not the largest
    decoder = model.split(theta)[1]
    joint = model.log_likelihood_pairs(decoder, x[shown:shown + 1], LINE[:, None])[0] - 0.5 * LINE ** 2
    gaussians = [(mean[shown, 0], log_std[shown, 0]) for mean, log_std in (model.encode(theta, x), best)]
    return dict(checkpoints=checkpoints, account=account, residual=residual, gaps=gaps, x=np.float32(x), shown=x[shown],
                curve=np.float32(model.decode(theta, LINE[:, None])), joint=np.float32(joint), gaussians=gaussians)


def gather(effort, parts):
    """Numbers of all seeds, pictures of the first."""
    results = {key: [part[key] for part in parts.values()] for key in ("account", "residual", "gaps")}
    return parts["seed 0"] | results | dict(seeds=SEEDS)


def claim(results):
    """The three parts at the end."""
    kl, approximation, amortization = results["account"][:, -1].mean(axis=0)
    return (f"Beyond the entropy the loss holds {kl:.2f} nats of KL to the data, {approximation:.3f} that no Gaussian "
            f"q can avoid and {amortization:.3f} of the encoder's.")


def checks(results):
    """Signs and sizes of the parts, the identity of gap and KL, and the effect of more draws."""
    kl, approximation, amortization = results["account"][:, -1].T
    first, last = results["gaps"][:, 0], results["gaps"][:, -1]
    return {"the bound's gap is less than a fourth of the KL in every seed":
                bool((approximation + amortization < kl / 4).all()),
            "both gaps are positive in every seed": bool((approximation > 0).all() and (amortization > 0).all()),
            "log p - ELBO = KL(q || posterior) within 1e-4 nats in every row": bool((results["residual"] < 1e-4).all()),
            "the draws of d) leave less than a third of the gap in every seed":
                bool((last[:, 0] + 3 * last[:, 1] < first[:, 0] / 3).all())}


def draw(results):
    """Data and decoded curve; one posterior; the account along training; bounds against k."""
    fig = figure(5.8, FINDING, SETTINGS)
    (data, posterior), (account, bounds) = fig.subplots(2, 2)
    data.plot(*results["x"].T, ".", ms=4, mew=0, color=COLORS["baseline"])
    inside = np.abs(LINE) < 3
    data.plot(*results["curve"][inside].T, color=COLORS["vae"])
    data.plot(*results["shown"], "o", ms=8, mfc="none", mec="black", mew=1.5)
    data.text(*(results["shown"] - (0.12, 0)), "x of b)", ha="right", va="center")
    plane(data, np.stack([results["x"].min(axis=0) - 0.3, results["x"].max(axis=0) + 0.3], axis=1))
    data.set_title("a) data (gray) and the decoded line E[x | z], |z| < 3")

    density = np.exp(results["joint"] - results["joint"].max())
    density /= density.sum() * (LINE[1] - LINE[0])
    posterior.fill_between(LINE, density, color=COLORS["baseline"], lw=0)
    seen = LINE[density > 1e-3 * density.max()]
    for (mean, log_std), label, style, side in zip(results["gaussians"], ("encoder's q", "best Gaussian q*"),
                                                   ("-", "--"), (-1, 1)):
        q = np.exp(-0.5 * ((LINE - mean) / np.exp(log_std)) ** 2 - log_std) / np.sqrt(2 * np.pi)
        posterior.plot(LINE, q, style, color=COLORS["vae"])
        at = mean + side * 1.2 * np.exp(log_std)
        posterior.text(at, np.interp(at, LINE, q), f" {label} ", color=COLORS["vae"],
                       ha="left" if side > 0 else "right", va="bottom")
    posterior.text(LINE[density.argmax()], 0.3 * density.max(), "exact\np(z | x)", ha="center", va="center")
    posterior.set(xlim=(seen.min() - 0.4, seen.max() + 0.4), xlabel="z", ylim=(0, None), yticks=[])
    posterior.set_title("b) one posterior and two Gaussians for it")

    steps, parts = results["checkpoints"], results["account"].mean(axis=0).T
    account.stackplot(steps, parts, colors=["#7FCEB9", COLORS["vae"], "#00503A"], lw=0)
    totals = np.cumsum(results["account"], axis=2)
    for seed in totals:
        account.plot(steps, seed[:, 0], ".", ms=4, color="white")
        account.plot(steps, seed[:, 2], ".", ms=4, color="black")
    account.set(xscale="log", xlim=(steps[0], steps[-1]), ylim=(0, 1.05 * totals.max()), xlabel="training step",
                ylabel="nats above the entropy")
    account.set_xticks(steps, steps)
    account.minorticks_off()
    account.text(np.sqrt(steps[0] * steps[-1]), 0.4 * parts[0].min(), "KL(p_data || p_model)", ha="center", va="center")
    middle = np.sqrt(steps[1] * steps[2])
    for height, label, color in ((0.95, "amortization gap (the encoder's)", "#00503A"),
                                 (0.86, "approximation gap (of any Gaussian q)", COLORS["vae"])):
        account.text(middle, height * totals.max(), label, color=color)
    account.set_title("c) -ELBO minus the entropy, split")

    value, error = results["gaps"].transpose(2, 0, 1)
    for seed, bar in zip(value, error):
        bounds.errorbar(DRAWS, seed, bar, fmt=".", ms=5, color=COLORS["vae"], lw=1)
    bounds.plot(DRAWS, value.mean(axis=0), color=COLORS["vae"])
    bounds.text(1.1, value[:, 0].mean(), "  k = 1: the ELBO", va="center", color=COLORS["vae"])
    bounds.axhline(0, color="black", lw=0.8)
    bounds.set(xscale="log", xlabel="draws k", ylabel="log p - importance bound [nats]")
    bounds.set_xticks(DRAWS, DRAWS)
    bounds.minorticks_off()
    bounds.set_title("d) more draws close the gap")
    return fig
