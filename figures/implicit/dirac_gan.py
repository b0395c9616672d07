"""The Dirac-GAN: paths of its two players under each objective, with both orders of steps."""
import numpy as np

from figures.style import COLORS, figure
from scratch.implicit.dirac_gan import DiracGAN
from scratch.implicit.gan import minimax, non_saturating, relativistic, wasserstein

SECTION = "1.5"
FINDING = "Without a penalty the game circles or drifts; R1, R2 end it"
SETTINGS = ("Data at 0, generator a point at theta, discriminator psi x; no randomness, so one run each. 250 steps of h = 0.2 from the "
            "hollow dot to the full dot; arrows: direction. Orange: alternating steps; gray: simultaneous. Cross: the equilibrium. "
            "WGAN-GP: lambda = 1; R1 of 0.5, R1 and R2 of 0.4.")

GAMES = {"minimax": DiracGAN(minimax), "non-saturating": DiracGAN(non_saturating), "wasserstein": DiracGAN(wasserstein),
         "WGAN-GP": DiracGAN(wasserstein, gradient_penalty=1.0), "non-saturating + R1": DiracGAN(non_saturating, r1=0.5),
         "relativistic + R1 + R2": DiracGAN(relativistic, r1=0.4, r2=0.4)}
FREE, DAMPED = ("minimax", "non-saturating", "wasserstein"), ("non-saturating + R1", "relativistic + R1 + R2")
STEP, START = 0.2, (0.1, 0.0)                               # near: farther out the sigmoids are flat
ORDERS = {"simultaneous": "#999999", "alternating": COLORS["gan"]}


def compute(effort, rng):
    """Paths (steps + 1, 2) from START with both orders of steps."""
    steps = 40 if effort == "quick" else 250
    paths = {f"{name}, {order}": game.simulate(START, STEP, steps, order == "alternating").astype(np.float32)
             for name, game in GAMES.items() for order in ORDERS}
    return dict(paths, seeds=1)


def radius(results, name, order):
    """Distance from the equilibrium along the path, in units of the first one."""
    return np.linalg.norm(results[f"{name}, {order}"], axis=1) / START[0]


def claim(results):
    """How far the players end from the equilibrium."""
    grown = min(radius(results, name, "simultaneous")[-1] for name in FREE)
    left = max(radius(results, name, order)[-1] for name in DAMPED for order in ORDERS)
    return (f"Without penalty simultaneous steps end at least {grown:.1f} times farther than they began; "
            f"with R1 or R1 and R2 within {left:.0e} of that.")


def checks(results):
    """Away, around, or in; and WGAN-GP comes to rest with a wrong generator."""
    ends = {(name, order): radius(results, name, order) for name in GAMES for order in ORDERS}
    rest = results["WGAN-GP, alternating"]
    return {"simultaneous steps without penalty end twice as far or farther": all(
                ends[name, "simultaneous"][-1] > 2 for name in FREE),
            "alternating steps without penalty stay between 0.8 and 1.25": all(
                0.8 < ends[name, "alternating"].min() and ends[name, "alternating"].max() < 1.25 for name in FREE),
            "R1 and R2 bring both orders to a hundredth": all(
                ends[name, order][-1] < 0.01 for name in DAMPED for order in ORDERS),
            "WGAN-GP does not bring the generator to the data": bool(np.abs(rest[-50:, 0]).max() > 0.01)}


def draw(results):
    """The paths in six panels."""
    fig = figure(5.9, FINDING, SETTINGS)
    for letter, ax, name in zip("abcdef", fig.subplots(2, 3).flat, GAMES):
        for order, color in ORDERS.items():
            path = results[f"{name}, {order}"]
            ax.plot(*path.T, color=color, lw=1)
            for i in (8, 24, 45):
                if i + 1 < len(path):
                    ax.annotate("", path[i + 1], path[i], arrowprops=dict(arrowstyle="-|>", color=color, lw=1))
            ax.plot(*path[-1], "o", ms=6, color=color)
        ax.plot(*START, "o", ms=6, mfc="white", mec="#555555")
        ax.plot(0, 0, "+", ms=11, mew=1.5, color=COLORS["truth"])
        farthest = 1.15 * max(np.abs(results[f"{name}, {order}"]).max() for order in ORDERS)
        reach = min(farthest, 25 * START[0])
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal",
               title=f"{letter}) {name}" + ": leaves the panel" * bool(reach < farthest))
        ax.locator_params(nbins=4)
        if letter in "def":
            ax.set_xlabel(r"generator $\theta$")
        if letter in "ad":
            ax.set_ylabel(r"discriminator $\psi$")
        if letter == "a":
            ax.text(0.0, 0.16 * reach / 0.39, "alternating", color=COLORS["gan"], ha="center")
            ax.text(0.0, 0.88 * reach, "simultaneous", color="#777777", ha="center")
    return fig
