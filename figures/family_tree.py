"""The chapter's figure 1.2, drawn from the package: its branches, its classes, what each family makes of the moons."""
import textwrap

import numpy as np

from figures import runner
from figures.style import COLORS, DARK_ORANGE, figure, plane
from scratch.family_tree import BRANCHES, MODELS

SECTION = "1.3"
FINDING = "Explicit or implicit names the training, not whether a density exists"
SETTINGS = ("Dots: samples of the family's default model, trained on the moons (black: the data). Number: KL(p_data || p_model), mean "
            "of 3 seeds, from the figure three_abilities. Names: the classes of the package on this branch.")

FAMILIES = {"autoregressive models": ("autoregressive", "log p: exact, one pass"),
            "variational autoencoders": ("vae", "log p: a bound; exact for 2 latents"),
            "generative adversarial networks": ("gan", "log p: by averaging over z"),
            "diffusion models": ("diffusion", "log p: exact, along its ODE")}
ORDER = ("autoregressive", "vae", "gan", "diffusion")       # of the rows in three_abilities
WINDOW = ((-2.1, 2.1), (-1.5, 1.5))
PLACES = {"models": (0.0, 1.75), "generative models": (1.0, 2.5), "discriminative models": (1.0, 0.0),
          "explicit density": (2.75, 3.5), "implicit density": (2.75, 1.5), "autoregressive models": (4.35, 4.0),
          "variational autoencoders": (4.35, 3.0), "generative adversarial networks": (4.35, 2.0),
          "diffusion models": (4.35, 1.0)}                  # in inches, left middle of each box


def compute(effort, rng):
    """Every class and its branch; samples and KL of each family from the stored results of three_abilities."""
    stored, _ = runner.stored("three_abilities")
    results = dict(seeds=int(stored["seeds"]), names=list(MODELS), branches=[entry.branch for entry in MODELS.values()],
                   kl=stored["kl"][..., 1], truth=stored["truth"][:400].astype(np.float32))
    return results | {family: stored[f"{family}_samples"][:400] for family in ORDER}


def claim(results):
    """Both sides of the tree have finite densities."""
    kl = dict(zip(ORDER, results["kl"].mean(axis=1)))
    return (f"The implicit side has densities too: diffusion misses {kl['diffusion']:.4f} nats and the GAN {kl['gan']:.3f}, the "
            f"explicit VAE {kl['vae']:.4f}, the autoregressive model {kl['autoregressive']:.4f}.")


def checks(results):
    """Every branch is inhabited, and every KL is finite; an implicit model is not always the worse one."""
    kl = dict(zip(ORDER, results["kl"].mean(axis=1)))
    leaves = set(BRANCHES) - {parent for _, parent in BRANCHES.values()}
    return {"every leaf of the tree has a class": leaves <= {str(branch) for branch in results["branches"]},
            "every family has a finite KL": bool(np.isfinite(results["kl"]).all()),
            "diffusion, called implicit, is nearer than the VAE, called explicit": bool(kl["diffusion"] < kl["vae"])}


def draw(results):
    """Root at the left, families at the right, each with its samples, its KL and its classes."""
    fig = figure(4.8, FINDING, SETTINGS)
    ax = fig.subplots()
    classes = {branch: [str(name) for name, place in zip(results["names"], results["branches"]) if place == branch]
               for branch in BRANCHES}
    kl = dict(zip(ORDER, results["kl"].mean(axis=1)))
    for branch, (_, parent) in BRANCHES.items():
        x, y = PLACES[branch]
        family, density = FAMILIES.get(branch, (None, ""))
        color = COLORS[family] if family else DARK_ORANGE if branch == "discriminative models" else "#444444"
        if parent:
            px, py = PLACES[parent]
            ax.plot([x - 0.15, x - 0.15, x], [py, y, y], color="#999999", lw=1, zorder=0)
            ax.plot([px, x - 0.15], [py, py], color="#999999", lw=1, zorder=0)
        ax.text(x, y, branch.replace("generative adversarial networks", "GANs")
                .replace("variational ", "variational\n").replace("autoregressive ", "autoregressive\n"),
                va="center", color=color, bbox=dict(boxstyle="round", fc="white", ec=color))
        if family:
            panel = ax.inset_axes((5.75, y - 0.43, 1.2, 0.86), transform=ax.transData)
            panel.plot(*results["truth"].T, ".", ms=1, color=COLORS["truth"])
            panel.plot(*results[family].T, ".", ms=1.5, color=color)
            plane(panel, WINDOW)
            ax.text(7.1, y + 0.22, f"{kl[family]:.4f} nats", va="center", color=color, fontweight="bold")
            ax.text(7.1, y, density, va="center", fontsize=8)
            ax.text(7.1, y - 0.1, textwrap.fill(", ".join(classes[branch]), 36), va="top", fontsize=8, color="#666666")
        elif classes[branch]:
            ax.text(x, y - 0.32, textwrap.fill(", ".join(classes[branch]), 70 if branch == "discriminative models" else 30),
                    va="top", fontsize=8, color="#666666")
    ax.set(xlim=(-0.1, 9.0), ylim=(-0.75, 4.5))
    ax.axis("off")
    return fig
