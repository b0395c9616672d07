"""Where a diffusion model's KL comes from: each part learned or exact, one at a time; and Girsanov's bound."""
import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.monte_carlo import k3
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.likelihood import mixture_jvp, push_forward, score_gap
from scratch.implicit.diffusion.samplers import euler_maruyama, heun, karras_sigmas
from scratch.learning.training import train

SECTION = "1.5"
FINDING = "A sampler's KL is the sum of its steps' and its denoiser's"
SETTINGS = ("Ring, noise from 80 down to 0.01; network 128-128-128, 10,000 steps of 512, 3 seeds. a: KL(samples "
            "|| law), 5,000 samples; columns: each part alone, the rest exact (the denoiser's is the mean of the "
            "seeds); circles: all at once, one a seed. b: dots by nearest neighbors, 5,000 points. Bar: 1 s.e.")

LAW = LAWS["ring"]
LOW, HIGH = 0.01, 80.0
STEPS = (14, 18, 24, 32, 44, 60)          # of Heun's method
FINE = 120
CHECKPOINTS = {"quick": (5, 20), "full": (100, 500, 2000, 10_000)}


def parts(effort):
    return ["exact"] + [f"learned {seed}" for seed in range(3 if effort == "full" else 1)]


def compute_part(part, effort, rng):
    """Exact: what steps and start cost.  Learned: the denoiser alone, all at once, and Girsanov's bound."""
    hidden, n, counts, fine = (((128, 128, 128), 5000, STEPS, FINE) if effort == "full" else
                               ((16, 16), 40, STEPS[:2], 20))
    model, noised = Diffusion(dim=2, hidden=hidden), LAW.noised(HIGH)
    prior = GaussianMixture([[0.0, 0.0]], [(HIGH ** 2 + model.sigma_data ** 2) * np.eye(2)], [1.0])
    tangent = mixture_jvp(LAW)

    def kl(start, steps):
        """KL(samples || law) with its error: the samples' density is exact, so no term is negative."""
        x = start.sample(n, rng)
        x, log_q = push_forward(heun, tangent, x, start.log_prob(x), karras_sigmas(steps, LOW, HIGH))
        terms = k3(LAW.log_prob(x) - log_q)
        return terms.mean(), terms.std() / np.sqrt(n)

    if part == "exact":
        return dict(nothing=kl(noised, fine), prior=kl(prior, fine), steps=[kl(noised, count) for count in counts])
    bounds, roads, observer = [], [], rng.spawn(1)[0]
    for state in train(model, model.init(rng), LAW, rng, steps=CHECKPOINTS[effort][-1]):
        if state.step in CHECKPOINTS[effort]:
            bounds.append(_bound(model, state.average, n // 5, observer))
            roads.append(_kl_of_the_sde(model, state.average, noised, n, observer))
    theta = state.average

    def tangent(x, x_dot, sigma):
        return model.denoise_jvp(theta, x, x_dot, sigma)

    return dict(score=kl(noised, fine), total=[kl(prior, count) for count in counts], bounds=bounds, sde=roads)


def _bound(model, theta, n, rng):
    """Girsanov's bound on the KL of the model's SDE that starts in the exact noised law."""
    gap = score_gap(lambda x, s: model.denoise(theta, x, s), LAW.denoise, LAW.sample(n, rng), rng, LOW, HIGH)
    return gap.value, gap.stderr


def _kl_of_the_sde(model, theta, noised, n, rng):
    """KL(law || samples of that SDE, 250 steps) by nearest neighbors."""
    start = noised.sample(n, rng).astype(np.float32)
    sigmas = karras_sigmas(250 if n > 1000 else 10, LOW, HIGH)[:-1]
    samples = euler_maruyama(lambda x, s: model.denoise(theta, x, s), start, sigmas, rng)
    estimate = kl_nearest_neighbor(LAW.noised(LOW).sample(n, rng), samples.astype(float))
    return estimate.value, estimate.stderr


def gather(effort, parts):
    """The exact parts as they are; those of the seeds stacked."""
    exact, *learned = parts.values()
    counts = STEPS if effort == "full" else STEPS[:2]
    return exact | dict(seeds=len(learned), counts=counts, checkpoints=CHECKPOINTS[effort]) | {
        key: np.stack([part[key] for part in learned]) for key in ("score", "total", "bounds", "sde")}


def added(results):
    """The sum of the parts (seeds, counts), and its error with that of the whole."""
    value = results["steps"][:, 0] + results["score"][:, :1] + results["prior"][0]
    error = np.sqrt(results["steps"][:, 1] ** 2 + results["score"][:, 1:] ** 2 + results["total"][..., 1] ** 2)
    return value, error


def claim(results):
    """How well the parts add up."""
    value, error = added(results)
    off = value - results["total"][..., 0]
    return (f"Parts and whole differ by at most {np.abs(off.mean(axis=0)).max():.3f} nats in the mean of seeds, "
            f"{np.abs(off / error).max():.1f} standard errors in one; the Gaussian start costs nothing measurable.")


def checks(results):
    """The sum is the whole; steps rule at first, the denoiser at the end; the bound is a bound."""
    value, error = added(results)
    off, whole = value - results["total"][..., 0], results["total"][..., 0].mean(axis=0)
    (bound, bound_error), (sde, sde_error) = (np.moveaxis(results[key], 2, 0) for key in ("bounds", "sde"))
    start = abs(results["prior"][0] - results["nothing"][0]) / np.hypot(results["prior"][1], results["nothing"][1])
    return {"parts and whole within 4 standard errors, every seed": bool((np.abs(off) < 4 * error).all()),
            "their means over seeds within 15 % of the whole or 0.004 nats": bool(
                (np.abs(off.mean(axis=0)) < np.maximum(0.15 * whole, 0.004)).all()),
            "steps are the larger part with the fewest": bool(results["steps"][0, 0] > results["score"][:, 0].max()),
            "the denoiser is the larger part with the most": bool(
                results["steps"][-1, 0] < results["score"][:, 0].min()),
            "the Gaussian start is within 3 standard errors of nothing": bool(start < 3),
            "no SDE's KL is above its bound by 3.5 standard errors": bool(
                (sde - bound < 3.5 * np.hypot(sde_error, bound_error)).all())}


def draw(results):
    """Left: stacked parts and the whole over the number of steps.  Right: bound and KL over training."""
    fig = style.figure(4.0, FINDING, SETTINGS)
    left, right = fig.subplots(1, 2, width_ratios=[1.4, 1])
    counts, at = results["counts"], np.arange(len(results["counts"]))
    steps, score, color = results["steps"][:, 0], results["score"][:, 0].mean(), style.COLORS["diffusion"]
    floor = results["nothing"][0]
    left.bar(at, score, 0.62, color=color, alpha=0.75)
    left.bar(at, steps, 0.62, bottom=score, color=style.SECOND_DIFFUSION, alpha=0.75)
    error = np.hypot(results["steps"][:, 1], np.sqrt(np.sum(results["score"][:, 1] ** 2)) / len(results["score"]))
    left.errorbar(at + 0.26, steps + score, error, fmt="none", color=style.SECOND_DIFFUSION)
    for seed, total in enumerate(results["total"]):
        left.errorbar(at + 0.14 * (seed - 1), *total.T, fmt="ko", ms=4.5, mfc="white", zorder=3)
    left.text(0.42, 0.55 * steps[0] + score, "few steps", color=style.SECOND_DIFFUSION, fontweight="bold")
    left.annotate("learned denoiser", (at[-1], score), (0, 32), textcoords="offset points", color=color, ha="right",
                  fontweight="bold", arrowprops=dict(arrowstyle="-", color=color))
    left.text(0.42, 0.75 * steps[0] + score, "circles: all at once", color=style.COLORS["truth"])
    left.text(0.42, 0.35 * steps[0] + score, f"Gaussian start: not measurable,\nbelow the floor of {floor:.0e} nats")
    left.axhline(floor, color=style.COLORS["truth"], lw=0.8)
    left.set(xticks=at, xticklabels=counts, ylim=(0, None),
             xlabel="steps of Heun's method", ylabel="KL(samples || law) [nats]", title="a  The parts add up")
    train_steps = results["checkpoints"]
    for seed, (bounds, sde) in enumerate(zip(results["bounds"], results["sde"])):
        where = train_steps * 1.06 ** (seed - 1)
        right.plot(train_steps, bounds[:, 0], "-", lw=1, color=style.COLORS["truth"])
        right.errorbar(where, *sde.T, fmt="o", ms=4, color=color)
    for name, where, shift, ink in (
            ("Girsanov's bound", (train_steps[1], results["bounds"][:, 1, 0].max()), (6, 6), style.COLORS["truth"]),
            ("the SDE's KL", (train_steps[0], results["sde"][:, 0, 0].min()), (-2, -16), color)):
        right.annotate(name, where, shift, textcoords="offset points", color=ink)
    right.axhline(0, color=style.COLORS["baseline"], lw=0.8, zorder=0)
    right.set(xscale="log", ylim=(-0.02, None), xlabel="training step", ylabel="KL(law || samples) [nats]",
              title="b  A bound from the score's error")
    right.set_xticks(train_steps, [f"{step:,}" for step in train_steps])
    right.minorticks_off()
    return fig
