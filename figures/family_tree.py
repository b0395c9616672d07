"""The chapter's figure 1.2, drawn from the package itself."""
import numpy as np

from figures.style import COLORS, figure
from scratch.family_tree import BRANCHES, MODELS

EMPTY = "#bbbbbb"
COLUMNS = (0.0, 0.8, 2.15, 3.35, 5.6)                       # inches: four generations of branches, then the models
CLAIM = "Every model class of the package has its place in the chapter's family tree; branches without one are gray."

FAMILIES = {"autoregressive models": "autoregressive", "variational autoencoders": "vae",
            "generative adversarial networks": "gan", "diffusion models": "diffusion",
            "discriminative models": "discriminative", "explicit density": "baseline"}


def compute(effort, rng):
    """The tree as two columns of names: every branch and every model, and what it hangs from."""
    nodes = [(name, parent or "", "") for name, (_, parent) in BRANCHES.items()]
    for name, entry in MODELS.items():
        sizes = ", ".join(f"{key}={value}" for key, value in entry.sizes.items())
        nodes.append((name, entry.branch, f"{len(entry().init(rng))} parameters at {sizes}"))
    return dict(zip(("names", "parents", "notes"), np.array(nodes).T))


def draw(results):
    """Root at the left, model classes at the right, one row a leaf."""
    names, notes = list(results["names"]), dict(zip(results["names"], results["notes"]))
    parent = dict(zip(names, results["parents"]))
    children = {name: [child for child in names if parent[child] == name] for name in names}

    def leaves(name):
        return [leaf for child in children[name] for leaf in leaves(child)] or [name]

    def column(name):
        generation = 0 if not parent[name] else 1 + COLUMNS.index(column(parent[name]))
        return COLUMNS[-1 if notes[name] else generation]

    rows = {leaf: -row for row, leaf in enumerate(leaves("models"))}
    fig = figure(0.8 + 0.42 * len(rows), "The family tree, as it stands in the package")
    ax = fig.subplots()
    for name in names:
        inhabited = any(notes[leaf] for leaf in leaves(name))
        family = next((FAMILIES[place] for place in (name, parent[name]) if place in FAMILIES), "truth")
        color = COLORS[family] if inhabited else EMPTY
        x, y = column(name), np.mean([rows[leaf] for leaf in leaves(name)])
        if parent[name]:
            px, py = column(parent[name]), np.mean([rows[leaf] for leaf in leaves(parent[name])])
            elbow = x - 0.22
            ax.plot([px, elbow, elbow, x], [py, py, y, y], color=EMPTY, lw=1, zorder=0)
        ax.text(x, y, name, va="center", color=color, family="monospace" if notes[name] else None,
                bbox=dict(boxstyle="round", fc="white", ec=color))
        ax.text(x, y - 0.45, notes[name], va="center", fontsize=6, color=color)
    ax.set(xlim=(-0.1, 8.9), ylim=(min(rows.values()) - 0.7, 0.6))
    ax.axis("off")
    return fig
