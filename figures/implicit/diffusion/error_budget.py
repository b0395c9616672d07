"""Where a diffusion model's KL comes from: each part learned or exact, one at a time; and Girsanov's bound."""
import numpy as np

from figures.style import COLORS, DARK_DIFFUSION, figure
from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.monte_carlo import k3
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.likelihood import mixture_jvp, push_forward, score_gap
from scratch.implicit.diffusion.samplers import euler_maruyama, heun, karras_sigmas
from scratch.learning.training import train

CLAIM = ("The KL of a sampler is the sum of what its learned denoiser, its Gaussian start and its few steps cost alone, "
         "within 7 % or 0.003 nats and 2.4 standard errors; Girsanov's bound holds within the error bars.")
STUDY = True

LOW, HIGH = 0.01, 80.0
STEPS = (8, 12, 18, 27, 40, 60)           # of Heun's method
FINE = 120
CHECKPOINTS = (100, 300, 1000, 3000, 10_000)


def compute(effort, rng):
    """Swap denoiser, start and steps; then the bound and two KLs after ever more training."""
    full = effort == "full"
    hidden, n = ((128, 128, 128), 10_000) if full else ((16, 16), 40)
    counts, fine, checkpoints = (STEPS, FINE, CHECKPOINTS) if full else (STEPS[:2], 20, (5, 20))
    law, model = LAWS["ring"], Diffusion(dim=2, hidden=hidden)
    noised = law.noised(HIGH)
    prior = GaussianMixture([[0.0, 0.0]], [(HIGH ** 2 + model.sigma_data ** 2) * np.eye(2)], [1.0])
    bounds, roads = [], []
    for state in train(model, model.init(rng), law, rng, steps=checkpoints[-1]):
        if state.step in checkpoints:
            bounds.append(_bound(model, state.average, law, n // 10, rng))
            roads.append(_kl_of_the_sde(model, state.average, law, noised, n, rng))
    theta = state.average

    def learned(x, x_dot, sigma):
        return model.denoise_jvp(theta, x, x_dot, sigma)

    def kl(tangent, start, steps):
        """KL(samples || law) with its error: the samples' density is exact, so no term is negative."""
        x = start.sample(n, rng)
        x, log_q = push_forward(heun, tangent, x, start.log_prob(x), karras_sigmas(steps, LOW, HIGH))
        terms = k3(law.log_prob(x) - log_q)
        return terms.mean(), terms.std() / np.sqrt(n)

    exact = mixture_jvp(law)
    return dict(checkpoints=checkpoints, bounds=bounds, sde=roads, counts=counts, fine=fine, n=n,
                nothing=kl(exact, noised, fine), prior=kl(exact, prior, fine), score=kl(learned, noised, fine),
                steps=[kl(exact, noised, count) for count in counts],
                total=[kl(learned, prior, count) for count in counts])


def _bound(model, theta, law, n, rng):
    """Girsanov's bound on the KL of the model's SDE that starts in the exact noised law."""
    gap = score_gap(lambda x, s: model.denoise(theta, x, s), law.denoise, law.sample(n, rng), rng, LOW, HIGH)
    return gap.value, gap.stderr


def _kl_of_the_sde(model, theta, law, noised, n, rng):
    """KL(law || samples of that SDE, 400 steps) by nearest neighbors."""
    start = noised.sample(n, rng).astype(np.float32)
    sigmas = karras_sigmas(400 if n > 1000 else 10, LOW, HIGH)[:-1]
    samples = euler_maruyama(lambda x, s: model.denoise(theta, x, s), start, sigmas, rng)
    estimate = kl_nearest_neighbor(law.noised(LOW).sample(n, rng), samples.astype(float))
    return estimate.value, estimate.stderr


def draw(results):
    """Each part alone, their sum and the whole, over the number of steps; bound and KL over training."""
    fig = figure(3.8, f"Ring, noise from {HIGH:g} down to {LOW:g}; network 128-128-128, one run of "
                      f"{results['checkpoints'][-1]} steps; {results['n']} samples for every KL")
    left, right = fig.subplots(1, 2, width_ratios=[1.4, 1])
    counts, ones = results["counts"], np.ones(len(results["counts"]))
    parts = (("learned denoiser", ones * results["score"][0], COLORS["diffusion"]),
             ("Gaussian start", ones * results["prior"][0], COLORS["baseline"]),
             ("few steps", results["steps"][:, 0], DARK_DIFFUSION))
    for label, part, color in parts:
        left.plot(counts, part, "-o", ms=3, color=color, label=f"{label}, the rest exact")
    added, whole = sum(part for _, part, _ in parts), results["total"][:, 0]
    left.plot(counts, added, "--", color=COLORS["truth"], label="the three added up (upper number)")
    left.errorbar(counts, *results["total"].T, fmt="o", ms=5, mfc="none", color=COLORS["truth"],
                  label="all three at once (lower number)")
    for count, a, b in zip(counts, added, whole):
        left.annotate(f"{a:.4f}\n{b:.4f}", (count, max(a, b)), (0, 7), textcoords="offset points", ha="center",
                      fontsize=7)
    left.set(xscale="log", yscale="log", xticks=counts, xticklabels=counts, ylim=(None, 8 * added.max()),
             xlabel="steps of Heun's method", ylabel="KL(samples || law) [nats]")
    left.minorticks_off()
    left.legend(loc="upper right")
    steps = results["checkpoints"]
    right.errorbar(steps, *results["bounds"].T, fmt="-o", ms=4, color=COLORS["truth"], label="Girsanov's bound")
    right.errorbar(steps, *results["sde"].T, fmt="o", ms=4, color=COLORS["diffusion"],
                   label="the SDE's KL, by nearest neighbors")
    right.set(xscale="log", yscale="log", xlabel="training step", ylabel="KL(law || samples) [nats]")
    right.legend()
    return fig
