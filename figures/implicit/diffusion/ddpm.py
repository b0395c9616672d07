"""The variational bound of a DDPM, step by step: what small steps leave and what the network adds."""
import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.divergence.monte_carlo import k3
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.chain import Chain
from scratch.implicit.diffusion.ddpm import DDPM, ancestral, bound_coefficients, reverse_mean
from scratch.learning.training import fit

SECTION = "1.5"
FINDING = "A thousand small steps make a DDPM's variational bound nearly tight"
SETTINGS = ("Ring of 8; linear schedule; exact denoiser (black) and networks 128-128-128 (color: 3 seeds), "
            "trained for 10,000 steps of 512 on the chain of T = 1,000 and used as they are on shorter ones. "
            "10,000 samples per KL, by nearest neighbors; bar: 1 s.e. Left: mean of the seeds.")

LAW = LAWS["ring"]
LENGTHS = {"quick": (3, 5), "full": (30, 100, 300, 1000)}
EXCESS_DRAWS = 100_000


def parts(effort):
    return ["exact"] + [f"network {seed}" for seed in range(3 if effort == "full" else 1)]


def compute_part(part, effort, rng):
    """Of one denoiser on chains of several lengths: the steps' shares of the bound, and the KL of samples."""
    steps, hidden, draws, n = (10, (8,), 200, 50) if effort == "quick" else (10_000, (128, 128, 128), 600_000, 10_000)
    lengths, results = LENGTHS[effort], dict(divergences=[], sums=[], errors=[], excess=[])
    denoise = LAW.denoise
    if part != "exact":
        model = DDPM(2, steps=lengths[-1], hidden=hidden)
        theta = fit(model, model.init(rng), LAW, rng, steps=steps)

        def denoise(x, sigma):
            return model.denoise(theta, x, sigma)
    for length in lengths:
        chain = Chain(length)
        if part == "exact":
            total, error = expected_bound(chain, draws // length, rng)
            results["sums"].append(total), results["errors"].append(error)
        else:
            added = expected_excess(chain, denoise, EXCESS_DRAWS // length if draws > 200 else 20, rng)
            results["excess"].append(added.sum())
        x = ancestral(chain, denoise, rng.standard_normal((n, 2)), rng)
        kl = kl_adaptive_neighbors(LAW.sample(n, rng), x.astype(float))
        results["divergences"].append((kl.value, kl.stderr))
    if part == "exact":
        second = step_divergences(Chain(lengths[1]), draws // lengths[1], rng).sum()
        return results | dict(terms=step_divergences(chain, draws // length, rng), second=second)
    return results | dict(terms=added)


def expected_bound(chain, n, rng):
    """The bound (4) of ddpm.py with the exact denoiser, in nats, and its standard error.

    eps - eps_hat and eps_hat are orthogonal in the mean, so |eps - eps_hat|^2 + |eps_hat|^2 - D has
    mean 0: as a control variate it takes out most of the noise at small sigma.  (Its coefficient
    must not be fitted to the same draws: that biased the sum of 1,000 terms by 0.02 nats.)
    """
    c, w = bound_coefficients(chain, 2)
    left, variance = chain.alpha_bar[-1], 0.0
    total = 0.5 * (left * (np.trace(LAW.covariance()) + np.sum(LAW.mean() ** 2)) - 2 * (left + np.log1p(-left)))
    for t in range(1, chain.steps + 1):
        x0, eps, sigma = LAW.sample(n, rng), rng.standard_normal((n, 2)), chain.sigma[t]
        x = x0 + sigma * eps
        best = LAW.denoise(x, sigma)
        square, length = (np.sum(v * v, axis=1) / sigma ** 2 for v in (x0 - best, x - best))
        square = square - (square + length - 2) / (1 + 4 * sigma ** 2)
        total, variance = total + c[t] + w[t] * square.mean(), variance + w[t] ** 2 * square.var() / n
    return total, np.sqrt(variance)


def step_divergences(chain, n, rng):
    """E KL(q(x_(t-1) | x_t) || p(x_(t-1) | x_t)) in nats for t = 1 ... T, and KL(q(x_T) || N(0, I)), (T + 1,).

    p has the exact denoiser.  By the chain rule the sum is the bound minus the entropy.  log q of the
    step back is log q(x_(t-1)) + log q(x_t | x_(t-1)) - log q(x_t), each known.
    """
    terms = np.empty(chain.steps + 1)
    for t in range(1, chain.steps + 1):
        x0 = LAW.sample(n, rng)
        before = chain.noised(x0, t - 1, rng.standard_normal((n, 2)))
        after = chain.step(before, t, rng.standard_normal((n, 2)))
        log_q = (_log_q(chain, t - 1, before) - _log_q(chain, t, after)
                 + _log_normal(after - np.sqrt(1 - chain.beta[t]) * before, chain.beta[t]))
        log_p = _log_normal(before - reverse_mean(chain, LAW.denoise, after, t), chain.beta[t])
        terms[t - 1] = k3(log_p - log_q).mean()
    last = chain.noised(LAW.sample(n, rng), chain.steps, rng.standard_normal((n, 2)))
    terms[-1] = k3(_log_normal(last, 1.0) - _log_q(chain, chain.steps, last)).mean()
    return terms


def _log_q(chain, t, x):
    """The log density (n,) of x_t, by that of x_t / sqrt(abar_t) = x_0 + sigma_t eps."""
    law = LAW.noised(chain.sigma[t]) if t else LAW
    return law.log_prob(x / np.sqrt(chain.alpha_bar[t])) - np.log(chain.alpha_bar[t])


def _log_normal(x, variance):
    """log N(x; 0, variance I) of rows in the plane, (n,)."""
    return -0.5 * np.sum(x * x, axis=1) / variance - np.log(2 * np.pi * variance)


def expected_excess(chain, denoise, n, rng):
    """What a denoiser adds to L_(t-1) in nats, t = 1 ... T, (T,): w_t E |its eps_hat - the exact one|^2."""
    w, added = bound_coefficients(chain, 2)[1], np.empty(chain.steps)
    for t in range(1, chain.steps + 1):
        sigma = float(chain.sigma[t])
        x = LAW.sample(n, rng) + sigma * rng.standard_normal((n, 2))
        added[t - 1] = w[t] * np.mean(np.sum((denoise(x, sigma) - LAW.denoise(x, sigma)) ** 2, axis=1)) / sigma ** 2
    return added


def gather(effort, parts):
    """By length: gap of the exact denoiser and its error; excess (seeds,); KLs with errors; by step: shares."""
    exact, *networks = parts.values()
    return dict(seeds=len(networks), lengths=LENGTHS[effort],
                gaps=exact["sums"] - LAW.entropy(), errors=exact["errors"],
                excess=np.stack([part["excess"] for part in networks]),
                terms=exact["terms"].astype(np.float32), second=exact["second"],
                added=np.mean([part["terms"] for part in networks], axis=0).astype(np.float32),
                divergences=np.stack([part["divergences"] for part in parts.values()]))


def claim(results):
    """The longest chain's bound, the network's part, and the shortest chain's."""
    return (f"The bound of {results['lengths'][-1]:,} steps is {results['terms'].sum():.3f} nats above the entropy, "
            f"that of {results['lengths'][0]} steps {results['gaps'][0]:.2f}; the network adds "
            f"{results['excess'][:, -1].mean():.3f}.")


def checks(results):
    """Tight, by two roads; and a bound."""
    total, value, error = results["terms"].sum(), *np.moveaxis(results["divergences"], 2, 0)
    bounds = results["gaps"] + np.vstack([np.zeros(len(results["gaps"])), results["excess"]])
    margin = 3 * np.hypot(error, results["errors"])
    return {"the longest chain's gap is below 0.05 nats": bool(total < 0.05),
            "at most a tenth of the shortest chain's": bool(total < 0.1 * results["gaps"][0]),
            "two roads to the gap agree within 4 standard errors":
                bool(abs(results["gaps"][-1] - total) < 4 * results["errors"][-1]),
            "and for the second shortest chain, within 0.05 nats": bool(
                abs(results["gaps"][1] - results["second"]) < 0.05),
            "each longer chain has a smaller gap": bool((np.diff(results["gaps"]) < 0).all()),
            "every network adds less than 0.05 nats": bool(results["excess"].max() < 0.05),
            "no KL of samples above its bound by 3 standard errors": bool((value - bounds < margin).all())}


def draw(results):
    """Left: the shares of the steps, summed up from k = 1.  Right: bound and KL of the samples against T."""
    fig = style.figure(3.9, FINDING, SETTINGS)
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    exact, added, color = np.cumsum(results["terms"]), np.cumsum(results["added"]), style.COLORS["diffusion"]
    k = np.arange(1, len(exact) + 1)
    added = np.append(added, added[-1])
    left.fill_between(k, 0, exact, color="0.75", lw=0)
    left.fill_between(k, exact, exact + added, color=color, alpha=0.35, lw=0)
    left.plot(k, exact, color=style.COLORS["truth"])
    left.plot(k, exact + added, color=color)
    at = len(k) // 2
    left.text(at, exact[at] / 2, "Gaussian steps back,\nexact denoiser", ha="center", va="center")
    left.text(at, exact[at] + 0.62 * added[at], "what the network adds", ha="center", va="center", color=color)
    left.set(xlim=(0, len(k)), ylim=(0, None), xlabel=f"step k of the chain of {len(k) - 1:,}, from data to noise",
             ylabel="bound minus entropy,\nsummed over steps 1 to k [nats]", title="a  Where the gap comes from")
    lengths, n = results["lengths"], len(results["divergences"])
    shift = np.linspace(0.97, 1.09, n)
    right.plot(lengths, results["gaps"], "-o", ms=4, color=style.COLORS["truth"])
    right.plot(lengths, (results["gaps"] + results["excess"]).T, "o", ms=3.5, color=color)
    for i, kl in enumerate(results["divergences"]):
        right.errorbar(lengths * shift[i], *kl.T, fmt="s", ms=4, mfc="white", lw=1,
                       color=color if i else style.COLORS["truth"])
    right.axhline(0, color=style.COLORS["baseline"], lw=0.8, zorder=0)
    right.annotate("bound minus entropy", (lengths[0], results["gaps"][0]), (8, 2), textcoords="offset points")
    right.annotate("KL(law || samples):\nsquares", (lengths[0], results["divergences"][0][0, 0]), (-4, -34),
                   textcoords="offset points")
    right.set(xscale="log", xticks=lengths, xticklabels=lengths, xlabel="length T of the chain", ylabel="nats",
              title="b  Longer chains")
    right.minorticks_off()
    return fig
