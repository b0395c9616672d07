"""The Dirac-GAN: paths of its two players under each objective, and how fast they should approach."""
import numpy as np

from figures.style import COLORS, figure
from scratch.implicit.dirac_gan import DiracGAN, measured_rate
from scratch.implicit.gan import minimax, non_saturating, relativistic, wasserstein

CLAIM = ("Near equilibrium every objective moves as its game Jacobian predicts, to 1e-9 a step; without penalty "
         "simultaneous steps move away and alternating ones orbit, R1 and R2 make both converge; WGAN-GP has no "
         "Jacobian there and comes to rest elsewhere, where the generator is wrong.")

GAMES = {"minimax": DiracGAN(minimax), "non-saturating": DiracGAN(non_saturating),
         "wasserstein": DiracGAN(wasserstein), "WGAN-GP": DiracGAN(wasserstein, gradient_penalty=1.0),
         "non-saturating + R1": DiracGAN(non_saturating, r1=0.5),
         "relativistic + R1 + R2": DiracGAN(relativistic, r1=0.4, r2=0.4)}
LINES = {"minimax": ("-", "o", 7, "#F2B68C"), "non-saturating": ("--", "x", 4, "#7A3600"),      # the same: both shown
         "wasserstein": ("-", "s", 4, COLORS["truth"]), "non-saturating + R1": ("-.", "^", 4, "#F2B68C"),
         "relativistic + R1 + R2": ("-", "o", 4, COLORS["gan"])}        # line, dot, its size, color
STEP, START, TINY = 0.2, (1.2, 0.0), (1e-5, 0.0)
ORDERS = ("simultaneous", "alternating")
WINDOW = 2.4


def compute(effort, rng):
    """Paths from START with both orders of steps; predicted and measured rates over step lengths."""
    steps, lengths = (40, 3) if effort == "quick" else (250, 12)
    h = np.geomspace(0.02, 1.0, lengths)
    results = dict(steps=steps, h=h)
    for name, game in GAMES.items():
        for order in ORDERS:
            alternating = order == "alternating"
            results[f"{name} {order} path"] = game.simulate(START, STEP, steps, alternating)
            if not game.gradient_penalty:
                results[f"{name} {order} predicted"] = [game.rate(a, getattr(game, order)) for a in h]
                results[f"{name} {order} measured"] = [measured_rate(game.simulate(TINY, a, 20, alternating))
                                                       for a in h]
                results[f"{name} {order} here"] = game.rate(STEP, getattr(game, order))
    return results


def draw(results):
    """The paths in six panels; below, rates per step over the step length: lines predicted, dots measured."""
    fig = figure(8.6, f"Dirac-GAN: {int(results['steps'])} steps of h = {STEP:g} from (theta, psi) = {START}, "
                      "no randomness.\nThe cross is the equilibrium, in the titles the predicted factors per step")
    rows = fig.subfigures(2, 1, height_ratios=[2, 1])
    for ax, name in zip(rows[0].subplots(2, 3).flat, GAMES):
        for order, color in zip(ORDERS, (COLORS["baseline"], COLORS["gan"])):
            path = results[f"{name} {order} path"]
            ax.plot(*path.T, color=color, lw=0.9, label=order)
            ax.plot(*path[-1], "o", ms=5, color=color)
        ax.plot(0, 0, "+", ms=9, color=COLORS["truth"])
        ax.set(xlim=(-WINDOW, WINDOW), ylim=(-WINDOW, WINDOW), aspect="equal", xlabel=r"generator $\theta$",
               ylabel=r"discriminator $\psi$")
        if f"{name} simultaneous here" in results:
            rates = [float(results[f"{name} {order} here"]) for order in ORDERS]
            ax.set_title(f"{name}\n{rates[0]:.4f} simultaneous, {rates[1]:.4f} alternating")
        else:
            ax.set_title(f"{name}, $\\lambda$ = {GAMES[name].gradient_penalty:g}\nno Jacobian at $\\psi = 0$")
    ax.legend(loc="lower right")
    worst = 0.0
    for ax, order in zip(rows[1].subplots(1, 2), ORDERS):
        for name, game in GAMES.items():
            if f"{name} {order} predicted" not in results:
                continue
            predicted, measured = results[f"{name} {order} predicted"], results[f"{name} {order} measured"]
            worst = max(worst, np.abs(predicted - measured).max())
            line, dot, size, color = LINES[name]
            ax.semilogx(results["h"], predicted, line, lw=1, color=color)
            ax.semilogx(results["h"], measured, dot, ms=size, color=color, label=name)
        ax.axhline(1, color=COLORS["baseline"], ls=":")
        ax.set(xlabel="step length h", ylabel="factor per step", title=f"{order}: lines predicted, dots measured")
    ax.legend(fontsize=7)
    rows[1].suptitle(f"largest difference of predicted and measured factor: {worst:.1e}", fontsize=9)
    return fig
