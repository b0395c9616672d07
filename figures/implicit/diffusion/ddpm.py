"""The variational bound of a DDPM, term by term: what the exact denoiser leaves and what the network adds."""
import numpy as np

from figures.style import COLORS, DENSITY, figure, plane
from scratch.data.distributions import LAWS
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.chain import Chain
from scratch.implicit.diffusion.ddpm import DDPM, ancestral, bound_coefficients
from scratch.grid import midpoints
from scratch.learning.training import fit

CLAIM = ("The bound of 1,000 steps is 0.03 nats above the entropy with the exact denoiser (30 steps: 0.5 to 0.7), "
         "the network adds 0.02 nats on the ring and 0.04 on spirals, most below k = 100; the KL of the samples, "
         "0.00 and 0.03 with an error of 0.02, is below the bound's, as it must be.")

STUDY = True
NAMES = ("ring", "spirals")
WINDOW = ((-3.6, 3.6), (-3.6, 3.6))
PIXELS = 120


def compute(effort, rng):
    """One network a law, trained on 1,000 steps; bounds and samples on chains of several lengths."""
    steps, hidden, evaluations, n, lengths = ((10, (8,), 100, 50, (3, 5)) if effort == "quick" else
                                              (10_000, (128, 128, 128), 1_000_000, 10_000, (30, 100, 300, 1000)))
    results = dict(steps=steps, lengths=lengths, n=n)
    for name in NAMES:
        law, model = LAWS[name], DDPM(2, steps=lengths[-1], hidden=hidden)
        theta = fit(model, model.init(rng), law, rng, steps=steps)

        def learned(x, sigma):
            return model.denoise(theta, x, sigma)

        gaps, divergences = [], []
        for length in lengths:
            chain = Chain(length)
            exact, error, excess = expected_terms(chain, law, learned, evaluations // length, rng)
            gaps.append((exact.sum() - law.entropy(), np.sqrt(np.sum(error ** 2)), excess.sum()))
            fresh = law.sample(n, rng)
            for denoise in (law.denoise, learned):
                x = ancestral(chain, denoise, rng.standard_normal((n, 2)), rng)
                kl = kl_adaptive_neighbors(fresh, x)
                divergences.append((kl.value, kl.stderr))
        nodes, _ = midpoints(WINDOW, PIXELS)
        results |= {f"{name}_exact": exact, f"{name}_excess": excess, f"{name}_gaps": gaps,
                    f"{name}_divergences": np.reshape(divergences, (-1, 2, 2)), f"{name}_samples": x[:1500],
                    f"{name}_density": np.exp(law.log_prob(nodes)).reshape(PIXELS, PIXELS).astype(np.float32)}
    return results


def expected_terms(chain, law, learned, n, rng):
    """E L_0 ... E L_T (T + 1,) for the exact denoiser, their errors, and what the network adds to each.

    For the exact one eps - eps_hat and eps_hat are orthogonal in the mean, so that |eps - eps_hat|^2 +
    |eps_hat|^2 - D has mean 0: as a control variate it takes out most of the noise at small sigma.  (Its
    coefficient must not be fitted to the same draws: that biased the sum of 1,000 terms by 0.02 nats.)
    The network adds w_t E |its eps_hat - exact eps_hat|^2, which has little noise: a quarter of the draws.
    """
    c, w = bound_coefficients(chain, 2)
    exact, error, excess = np.zeros((3, chain.steps + 1))
    for t in range(1, chain.steps + 1):
        x0, eps, sigma = law.sample(n, rng), rng.standard_normal((n, 2)), chain.sigma[t]
        x = x0 + sigma * eps
        best = law.denoise(x, sigma)
        square, length = (np.sum(v * v, axis=1) / sigma ** 2 for v in (x0 - best, x - best))
        square = square - (square + length - 2) / (1 + 4 * sigma ** 2)
        exact[t - 1], error[t - 1] = c[t] + w[t] * square.mean(), w[t] * square.std() / np.sqrt(n)
        x, best = x[:n // 4], best[:n // 4]
        excess[t - 1] = w[t] * np.mean(np.sum((learned(x, sigma) - best) ** 2, axis=1)) / sigma ** 2
    left = chain.alpha_bar[-1]
    second_moment = np.trace(law.covariance()) + np.sum(law.mean() ** 2)
    exact[-1] = 0.5 * (left * second_moment - 2 * (left + np.log1p(-left)))
    return exact, error, excess


def draw(results):
    """Terms over t; bound and KL over T; samples."""
    lengths = results["lengths"]
    fig = figure(6.0, f"DDPM: network 128-128-128, {int(results['steps'])} steps of 512 on the linear chain "
                      f"of T = {lengths[-1]},\nused as it is on shorter ones; {int(results['n'])} samples per KL, "
                      "bars of 2 standard errors")
    panels = fig.subplots(len(NAMES), 3, gridspec_kw=dict(width_ratios=[1.15, 1.25, 1]))
    for name, (terms, gaps, samples) in zip(NAMES, panels):
        exact, excess = results[f"{name}_exact"], results[f"{name}_excess"]
        k = np.arange(1, len(exact) - 1)
        terms.loglog(k, exact[k], color=COLORS["truth"], label="$L_k$, exact denoiser")
        terms.loglog(k, excess[k], color=COLORS["diffusion"], lw=1, label="what the network adds")
        terms.set(xlabel="k", ylabel="nats", title=f"{name}: terms of the bound\n$L_0$ = {exact[0]:.2f} + "
                  f"{excess[0]:.3f},  $L_T$ = {exact[-1]:.0e} nats")
        terms.legend(loc="lower left")

        gap, error, added = results[f"{name}_gaps"].T
        kl = results[f"{name}_divergences"]                                       # (T, exact or learned, 2)
        for which, color, label, height in ((0, COLORS["truth"], "exact denoiser", gap),
                                            (1, COLORS["diffusion"], "network", gap + added)):
            gaps.errorbar(lengths, height, 2 * error, fmt="o-", ms=3, color=color,
                          label=f"bound - entropy, {label}")
            gaps.errorbar(lengths * (1 + 0.08 * which), *(kl[:, which] * (1, 2)).T, fmt="s:", ms=4, mfc="none",
                          lw=1, color=color, label=f"KL of its samples, {label}")
        gaps.axhline(0, color=COLORS["baseline"], lw=0.8)
        gaps.set(xscale="log", xlabel="length T of the chain", ylabel="nats", ylim=(-0.06, 9))
        gaps.set_yscale("symlog", linthresh=0.1)
        gaps.set_title(f"T = {lengths[-1]}: bound - entropy = {gap[-1]:.3f} + {added[-1]:.3f},\n"
                       f"KL {kl[-1, 1, 0]:.3f} $\\pm$ {kl[-1, 1, 1]:.3f} (exact {kl[-1, 0, 0]:.3f}) nats")
        gaps.legend(loc="upper right", fontsize=7, borderaxespad=0)

        samples.imshow(results[f"{name}_density"].T, origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY)
        samples.plot(*results[f"{name}_samples"].T, ".", ms=1, color=COLORS["diffusion"])
        plane(samples, WINDOW)
        samples.set_title(f"samples, T = {lengths[-1]}")
    return fig
