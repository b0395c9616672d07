"""The laws that the models learn: density, samples, entropy."""
import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.grid import midpoints

CLAIM = "Eight laws whose density, score and entropy are known: what a model misses can be counted in nats."

WINDOW = ((-4.0, 4.0), (-4.0, 4.0))      # the same for all, so that scales compare


def compute(effort, rng):
    """Names (8,), shades 0 to 255 (8, n, n) with x2 along the rows, samples (8, 400, 2), entropies (8,)."""
    n = {"quick": 80, "full": 200}[effort]
    nodes, _ = midpoints(WINDOW, n)
    densities = np.stack([np.exp(law.log_prob(nodes)).reshape(n, n).T for law in LAWS.values()])
    return dict(
        names=np.array(list(LAWS)),
        shades=np.uint8(255 * np.sqrt(densities / densities.max(axis=(1, 2), keepdims=True))),
        samples=np.stack([law.sample(400, rng) for law in LAWS.values()]),
        entropies=np.array([law.entropy() for law in LAWS.values()]))


def draw(results):
    """Two rows of four panels; the square root in the shade lets the tails show."""
    fig = style.figure(5.2, "Eight laws, their entropies, 400 samples (shade: square root of the density)")
    axes = fig.subplots(2, 4, sharex=True, sharey=True)
    rows = zip(axes.flat, results["names"], results["shades"], results["samples"], results["entropies"])
    for ax, name, shade, samples, entropy in rows:
        ax.imshow(shade, origin="lower", extent=sum(WINDOW, ()), cmap=style.DENSITY, vmin=0, vmax=450)
        ax.plot(*samples.T, ".", color=style.ACCENT, markersize=3, markeredgewidth=0)
        style.plane(ax, WINDOW)
        ax.label_outer()
        ax.set_title(f"{name}: {entropy:.4f} nats")
    return fig
