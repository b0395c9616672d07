"""The plain GAN as a film strip: modes come and go, the losses say nothing, the divergence does."""
import numpy as np

from figures.style import COLORS, figure, plane
from scratch.data.distributions import ring
from scratch.divergence.mode_coverage import mode_coverage
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.implicit.gan import GAN, non_saturating
from scratch.implicit.push_forward import PushForward
from scratch.learning.optimizers import Adam, constant
from scratch.learning.training import Recipe, train

CLAIM = ("The plain GAN holds 2 to 4 of the 8 modes of PacGAN's ring, loses and regains them, and stays 0.44 nats and "
         "more from the law, of at most 0.69.  Its losses jump when a mode is lost, but no level of theirs tells the "
         "distance.")
STUDY = True

STD = 0.01 * 2 ** 0.5
LAW = ring(8, 2 ** 0.5, STD)                                # PacGAN's ring, as in mode_collapse
WINDOW, FRAMES, POINTS = ((-2.2, 2.2), (-2.2, 2.2)), 8, 24


def compute(effort, rng):
    """Samples, modes, both losses, and the Jensen-Shannon divergence over the push-forward density."""
    steps, points, hidden, n, tolerance = ((16, 2, (8,), 40, 1e-2) if effort == "quick" else
                                           (8000, POINTS, (64, 64, 64), 4000, 1e-4))
    model = GAN(2, hidden=hidden, objective=non_saturating)
    recipe = Recipe(Adam(1e-3, beta1=0.5), constant, batch_size=256)
    checkpoints = np.linspace(steps / points, steps, points).astype(int)
    losses, frames, coverage, js = [], [], [], []
    for state in train(model, model.init(rng), LAW, rng, steps=steps, recipe=recipe):
        losses.append(state.loss)
        if state.step in checkpoints:
            density = push_forward(model, state.theta, tolerance)
            samples = density.generate(rng.standard_normal((n, 2)))
            coverage.append(mode_coverage(samples, LAW.means, STD)[:2])
            js.append(js_divergence(density.log_prob, LAW.sample(n, rng), samples))
            frames.append(samples[:400].astype(np.float32))
    window = max(1, steps // 200)
    return dict(checkpoints=checkpoints, steps=steps, frames=frames, coverage=coverage, js=js,
                losses=np.reshape(losses, (-1, window, 2)).mean(axis=1))


def push_forward(model, theta, tolerance):
    """The generator's density, and its samples."""
    theta = theta.astype(float)
    return PushForward.of(lambda z: model.generate(theta, z), tolerance)


def js_divergence(log_q, x, samples):
    """1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, at data x and at samples: (value, stderr) in nats."""
    def log_m(x):
        return np.logaddexp(LAW.log_prob(x), log_q(x)) - np.log(2)

    halves = kl_monte_carlo(LAW.log_prob, log_m, x), kl_monte_carlo(log_q, log_m, samples)
    return 0.5 * sum(half.value for half in halves), 0.5 * np.hypot(*(half.stderr for half in halves))


def draw(results):
    """Frames of the film above; below, the losses, the divergence and the modes."""
    fig = figure(5.2, f"Plain GAN (non-saturating, no penalty) on PacGAN's ring: one run of "
                      f"{int(results['steps'])} steps of 256, networks 64-64-64")
    strip, curves = fig.subfigures(2, 1, height_ratios=[1, 2.2])
    shown = np.linspace(0, len(results["frames"]) - 1, min(FRAMES, len(results["frames"]))).astype(int)
    for ax, i in zip(strip.subplots(1, len(shown), squeeze=False)[0], shown):
        ax.plot(*LAW.means.T, "o", ms=8, mfc="none", mec=COLORS["baseline"], mew=0.7)
        ax.plot(*results["frames"][i].T, ".", ms=1, color=COLORS["gan"])
        plane(ax, WINDOW)
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
        ax.set_title(f"step {results['checkpoints'][i]}\n{int(results['coverage'][i][0])} of 8 modes", fontsize=8)
    left, middle, right = curves.subplots(1, 3)
    at = (np.arange(len(results["losses"])) + 0.5) * results["steps"] / len(results["losses"])
    for player, (name, line) in enumerate((("generator", "-"), ("discriminator", "--"))):
        left.plot(at, results["losses"][:, player], line, lw=1, color=COLORS["gan"], label=name)
    left.set(title="the losses: jumps, but no level to trust", xlabel="training step", ylabel="loss [nats]",
             ylim=(0, None))
    left.legend(loc="upper left")
    value, error = results["js"].T
    middle.errorbar(results["checkpoints"], value, 2 * error, fmt="o-", ms=3, lw=1, color=COLORS["gan"])
    middle.axhline(np.log(2), ls=":", color=COLORS["baseline"])
    middle.text(0, np.log(2) + 0.01, "log 2: nothing in common", va="bottom", fontsize=8, color=COLORS["baseline"])
    middle.set(title="the truth: divergence from the law", xlabel="training step", ylim=(0, 0.8),
               ylabel="Jensen-Shannon divergence [nats]")
    modes, quality = results["coverage"].T
    right.plot(results["checkpoints"], modes, "o-", ms=3, lw=1, color=COLORS["gan"])
    right.set(title="the truth: modes captured", xlabel="training step", ylabel="modes of 8 with a sample within 3 std",
              ylim=(0, 8.4))
    return fig
