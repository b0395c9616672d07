"""The distributions that the models learn: density, samples, entropy."""
import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.grid import midpoints

SECTION = "1.1"
FINDING = "Eight distributions known exactly: what a model misses can be counted"
SETTINGS = ("Shade: square root of the density, so that the tails show. Dots: 400 samples. "
            "Number: the entropy, a lower bound of every model's mean -log p(x).")

WINDOW = ((-4.0, 4.0), (-4.0, 4.0))      # the same for all, so that scales compare


def compute(effort, rng):
    """Names (8,), shades 0 to 255 (8, n, n) with x2 along the rows, samples (8, 400, 2), entropies (8,) by two roads."""
    n, draws = {"quick": (80, 200), "full": (200, 100_000)}[effort]
    nodes, _ = midpoints(WINDOW, n)
    densities = np.stack([np.exp(law.log_prob(nodes)).reshape(n, n).T for law in LAWS.values()])
    surprise = np.stack([-law.log_prob(law.sample(draws, rng)) for law in LAWS.values()])
    return dict(
        seeds=0,
        names=np.array(list(LAWS)),
        shades=np.uint8(255 * np.sqrt(densities / densities.max(axis=(1, 2), keepdims=True))),
        samples=np.stack([law.sample(400, rng) for law in LAWS.values()]).astype(np.float32),
        entropies=np.array([law.entropy() for law in LAWS.values()]),
        means=surprise.mean(axis=1), errors=surprise.std(axis=1) / np.sqrt(draws))


def off(results):
    """Exact entropy against the mean of -log p over samples, in standard errors; 0 where -log p is constant."""
    difference = np.abs(results["means"] - results["entropies"])
    return np.where(difference < 1e-12, 0, difference / np.maximum(results["errors"], 1e-300))


def claim(results):
    """The range of the entropies, and their agreement with samples."""
    low, high = results["entropies"].min(), results["entropies"].max()
    return (f"Their entropies run from {low:.2f} to {high:.2f} nats; samples confirm each of them "
            f"within {off(results).max():.1f} standard errors.")


def checks(results):
    """Both roads to the entropy agree."""
    return {"every entropy within 4 standard errors of the mean of -log p": bool(off(results).max() < 4)}


def draw(results):
    """Two rows of four panels; the square root in the shade lets the tails show."""
    fig = style.figure(5.2, FINDING, SETTINGS)
    axes = fig.subplots(2, 4, sharex=True, sharey=True)
    rows = zip(axes.flat, results["names"], results["shades"], results["samples"], results["entropies"])
    for ax, name, shade, samples, entropy in rows:
        ax.imshow(shade, origin="lower", extent=sum(WINDOW, ()), cmap=style.DENSITY, vmin=0, vmax=450)
        ax.plot(*samples.T, ".", color=style.COLORS["truth"], markersize=2.5, markeredgewidth=0)
        style.plane(ax, WINDOW)
        ax.set_title(f"{name}: {entropy:.3f} nats")
    return fig
