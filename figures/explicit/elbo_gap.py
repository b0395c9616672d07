"""Where the nats between a VAE's bound and the data's entropy go: an exact ledger."""
import numpy as np

from figures.style import ACCENT, COLORS, figure, plane
from scratch.data.distributions import LAWS
from scratch.explicit import evidence
from scratch.explicit.vae import VAE
from scratch.grid import midpoints
from scratch.learning.training import train

CLAIM = ("Minus the ELBO is the law's entropy, plus the KL to the law, plus what no Gaussian q can say, plus what "
         "the encoder guesses wrong: with one latent all four are computed, and importance weights close the last two.")

DRAWS = (1, 2, 4, 8, 16, 32, 64, 128)
LINE = np.linspace(-4, 4, 600)


def compute(effort, rng):
    """The ledger along training on moons, the importance bounds, and one posterior with its two Gaussians."""
    steps, hidden, n, total = (20, (8,), 20, 256) if effort == "quick" else (3000, (64, 64), 300, 4096)
    law, model = LAWS["moons"], VAE(2, latent=1, hidden=hidden, samples=4)
    checkpoints = np.unique(np.logspace(np.log10(min(steps, 100)), np.log10(steps), 6).astype(int))
    x, ledger = law.sample(n, rng), []
    for state in train(model, model.init(rng), law, rng, steps=steps):
        if state.step in checkpoints:
            theta = state.average.astype(float)
            log_p = model.log_prob(theta, x)
            elbo, _ = evidence.elbo_quadrature(model, theta, x, *model.encode(theta, x))
            best = evidence.best_gaussians(model, theta, x)
            best_elbo, _ = evidence.elbo_quadrature(model, theta, x, *best)
            parts = law.log_prob(x) - log_p, log_p - best_elbo, best_elbo - elbo
            ledger.append([part.mean() for part in parts])
    residual = np.abs(log_p - elbo - evidence.kl_to_posterior(model, theta, x))
    gaps = []
    for k in DRAWS:                                         # the same number of draws in all for every k
        means = [(log_p - model.importance_bound(theta, x, rng.standard_normal((k, n, 1)))).mean()
                 for _ in range(total // k)]
        gaps.append((np.mean(means), np.std(means, ddof=1) / np.sqrt(len(means))))
    shown = np.argsort(log_p - elbo)[int(0.9 * n)]                              # a large gap, not the largest
    decoder = model.split(theta)[1]
    joint = model.log_likelihood_pairs(decoder, x[shown:shown + 1], LINE[:, None])[0] - 0.5 * LINE ** 2
    gaussians = [(mean[shown, 0], log_std[shown, 0]) for mean, log_std in (model.encode(theta, x), best)]
    return dict(checkpoints=checkpoints, steps=steps, ledger=ledger, residual=residual.max(), rows=n,
                gaps=gaps, x=x, shown=x[shown],
                shown_gap=(log_p - elbo)[shown], curve=model.decode(theta, LINE[:, None]), joint=joint,
                gaussians=gaussians, entropy=law.entropy())


def draw(results):
    """Data and decoded curve; one posterior; the ledger along training; bounds against k."""
    fig = figure(5.6, f"VAE with one latent on moons (entropy {results['entropy']:.3f} nats), 64-64, one run of "
                      f"{int(results['steps'])} steps of 512; {int(results['rows'])} held-out points.\n"
                      "log p - ELBO = KL(q || posterior), both by quadrature, to "
                      f"{results['residual']:.0e} nats at every point")
    (data, posterior), (ledger, bounds) = fig.subplots(2, 2)
    data.plot(*results["x"].T, ".", ms=2.5, mew=0, color=COLORS["baseline"])
    inside = np.abs(LINE) < 3
    data.plot(*results["curve"][inside].T, color=COLORS["vae"], lw=1)
    data.plot(*results["shown"], "o", ms=5, color=ACCENT)
    limits = np.stack([results["x"].min(axis=0) - 0.4, results["x"].max(axis=0) + 0.4], axis=1)
    plane(data, limits)
    data.set_title("data, and E[x | z] for |z| < 3")

    density = np.exp(results["joint"] - results["joint"].max())
    density /= density.sum() * (LINE[1] - LINE[0])
    posterior.fill_between(LINE, density, color=COLORS["baseline"], alpha=0.4, lw=0, label="posterior, exact")
    for (mean, log_std), label, style in zip(results["gaussians"], ("q by the encoder", "best Gaussian q*"),
                                             ("-", "--")):
        q = np.exp(-0.5 * ((LINE - mean) / np.exp(log_std)) ** 2 - log_std) / np.sqrt(2 * np.pi)
        posterior.plot(LINE, q, style, color=COLORS["vae"], label=label)
    seen = LINE[density > 1e-4 * density.max()]
    posterior.set(xlim=(seen.min() - 0.3, seen.max() + 0.3), xlabel="z", ylim=(0, None), yticks=[],
                  title=f"q at the red point: gap {results['shown_gap']:.2f} nats")
    posterior.set_ylim(0, 1.5 * posterior.get_ylim()[1])
    posterior.legend(loc="upper left")

    for part, label, color, style in zip(
            results["ledger"].T, ("KL(law || model)", "approximation gap", "amortization gap"),
            (COLORS["truth"], COLORS["vae"], ACCENT), ("-", "-", "--")):
        ledger.loglog(results["checkpoints"], part, style, marker="o", ms=3, color=color,
                      label=f"{label}: {part[-1]:.3f}")
    ledger.set(xlabel="training step", ylabel="nats", title="what -ELBO minus the entropy is made of",
               ylim=(0.5 * results["ledger"].min(), 40))
    ledger.legend(loc="upper right", ncols=2)

    value, error = results["gaps"].T
    bounds.errorbar(DRAWS, value, 2 * error, fmt="o-", ms=3, color=COLORS["vae"])
    bounds.set(xscale="log", yscale="log", xlabel="draws k", ylabel="nats", ylim=(3e-4, 0.1),
               title="log p - importance bound with k draws")
    return fig
