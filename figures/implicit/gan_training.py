"""The plain GAN as a film strip: modes come and go, and what the losses and the divergence say meanwhile."""
import numpy as np

from figures.style import ACCENT, COLORS, figure, plane
from scratch.data.distributions import ring
from scratch.divergence.mode_coverage import mode_coverage
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.implicit.gan import GAN, non_saturating
from scratch.implicit.push_forward import PushForward
from scratch.learning.optimizers import Adam, constant
from scratch.learning.training import Recipe, train

SECTION = "1.5"
FINDING = "The plain GAN gains and loses modes as long as it trains"
SETTINGS = ("GAN of 2014 (non-saturating, no penalty, no sines, z ~ N(0, I)) on PacGAN's ring, networks 64-64-64, 8,000 steps of 256, three "
            "seeds: one in color, the others thin. Divergence by Monte Carlo over the exact density of G(z), 4,000 rows, whose s.e. is "
            "below 0.01 nats. Red: a mode of the colored run is lost.")

STD = 0.01 * 2 ** 0.5
LAW = ring(8, 2 ** 0.5, STD)                                # PacGAN's ring, as in mode_collapse
WINDOW, FRAMES, POINTS, SEEDS = ((-2.2, 2.2), (-2.2, 2.2)), 8, 24, 3


def parts(effort):
    """One run each."""
    return [str(seed) for seed in range(1 if effort == "quick" else SEEDS)]


def compute_part(part, effort, rng):
    """Samples, modes, both losses, and the Jensen-Shannon divergence over the push-forward density."""
    steps, points, hidden, n, tolerance = ((8, 2, (8,), 40, 1e-1) if effort == "quick" else
                                           (8000, POINTS, (64, 64, 64), 4000, 1e-4))
    model = GAN(2, hidden=hidden, objective=non_saturating, frequencies=(), latent_frequencies=(), prior=1, output_noise=0.0)
    recipe = Recipe(Adam(1e-3, beta1=0.5), constant, batch_size=256)
    checkpoints = np.linspace(steps / points, steps, points).astype(int)
    losses, frames, modes, js = [], [], [], []
    for state in train(model, model.init(rng), LAW, rng, steps=steps, recipe=recipe):
        losses.append(state.loss)
        if state.step in checkpoints:
            theta = state.theta.astype(float)
            density = PushForward.of(lambda z: model.generate(theta, z), tolerance)
            samples = density.generate(rng.standard_normal((n, 2)))
            modes.append(mode_coverage(samples, LAW.means, STD).modes)
            js.append(js_divergence(density.log_prob, LAW.sample(n, rng), samples))
            frames.append(samples[:300].astype(np.float16))
    window = max(1, steps // 200)
    results = dict(checkpoints=checkpoints, modes=modes, js=js,
                   losses=np.reshape(losses, (-1, window, 2)).mean(axis=1).astype(np.float32))
    return results | (dict(frames=frames) if part == "0" else {})


def js_divergence(log_q, x, samples):
    """1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, at data x and at samples, and its standard error, in nats."""
    def log_m(x):
        return np.logaddexp(LAW.log_prob(x), log_q(x)) - np.log(2)

    halves = kl_monte_carlo(LAW.log_prob, log_m, x), kl_monte_carlo(log_q, log_m, samples)
    return 0.5 * sum(half.value for half in halves), 0.5 * np.hypot(*(half.stderr for half in halves))


def gather(effort, parts):
    """Everything (seeds, ...), and the frames of seed 0."""
    results = {key: np.array([part[key] for part in parts.values()]) for key in ("modes", "js", "losses")}
    return results | dict(seeds=len(parts), checkpoints=parts["0"]["checkpoints"], frames=parts["0"]["frames"])


def claim(results):
    """Modes and divergence over all seeds and the second half of training."""
    modes, js = (results[key][:, len(results["checkpoints"]) // 2:] for key in ("modes", "js"))
    return (f"Late in {len(modes)} runs it holds {modes.min()} to {modes.max()} of {len(LAW.means)} modes and stays "
            f"{js[..., 0].min():.2f} nats or more away, of at most {np.log(2):.2f}.")


def checks(results):
    """Modes are lost and regained in every run, never all held, and the divergence stays large."""
    steps = np.diff(results["modes"], axis=1)
    late = results["js"][:, len(results["checkpoints"]) // 2:, 0]
    return {"every run loses a mode at least twice": bool(((steps < 0).sum(axis=1) >= 2).all()),
            "every run gains a mode at least twice": bool(((steps > 0).sum(axis=1) >= 2).all()),
            "no run ends with all 8 modes": bool((results["modes"][:, -1] < 8).all()),
            "the divergence stays above 0.2 nats in the second half": bool(late.min() > 0.2),
            "its standard error is below 0.01 nats": bool(results["js"][..., 1].max() < 0.01)}


def draw(results):
    """Frames of the film above; below, on one axis of steps, the losses, the divergence and the modes."""
    fig = figure(6.6, FINDING, SETTINGS)
    at, steps = results["checkpoints"], results["checkpoints"][-1]
    strip, curves = fig.subfigures(2, 1, height_ratios=[1, 3.4])
    shown = np.linspace(0, len(at) - 1, min(FRAMES, len(at))).astype(int)
    for ax, i in zip(strip.subplots(1, len(shown), squeeze=False)[0], shown):
        ax.plot(*LAW.means.T, "o", ms=8, mfc="none", mec="#888888", mew=0.7)
        ax.plot(*results["frames"][i].T, ".", ms=1.5, color=COLORS["gan"])
        plane(ax, WINDOW)
        ax.set_title(f"step {at[i]:,}\n{results['modes'][0, i]} of 8", fontsize=8)
    panels = curves.subplots(3, 1, sharex=True)
    for seed in reversed(range(int(results["seeds"]))):
        style = dict(color=COLORS["gan"], lw=1.3) if seed == 0 else dict(color="#F0B48A", lw=0.8)
        where = (np.arange(results["losses"].shape[1]) + 0.5) * steps / results["losses"].shape[1]
        panels[0].plot(where, results["losses"][seed, :, 0], **style)
        panels[1].plot(at, results["js"][seed, :, 0], **style)
        panels[2].plot(at, results["modes"][seed], "o-", ms=3 if seed == 0 else 2, **style)
    for lost in np.flatnonzero(np.diff(results["modes"][0]) < 0):
        for ax in panels:
            ax.axvline(at[lost:lost + 2].mean(), color=ACCENT, lw=0.8, alpha=0.7)
    panels[1].axhline(np.log(2), color=COLORS["truth"], lw=0.8)
    panels[1].text(steps, np.log(2) - 0.02, "log 2: nothing in common", va="top", ha="right", fontsize=8)
    for letter, ax, label, top in zip("abc", panels, ("generator's loss\n[nats]", "Jensen-Shannon\ndivergence [nats]", "modes of 8"),
                                      (None, 0.75, 8.4)):
        ax.set(ylabel=f"{letter}) {label}", ylim=(0, top))
    panels[2].set(xlabel="training step", xlim=(0, steps))
    return fig
