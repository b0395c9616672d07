"""One Gaussian for two modes: the optimum of each direction of KL."""
import numpy as np

from figures.style import ACCENT, COLORS, DENSITY, figure, plane
from scratch.data.distributions import GaussianMixture
from scratch.divergence.gaussian_projection import ForwardFit, ReverseFit
from scratch.divergence.quadrature import kl_quadrature
from scratch.grid import midpoints
from scratch.learning.training import fit

CLAIM = ("Forward KL covers both modes and its price grows with their distance; reverse KL seeks one mode and never "
         "pays more than log 2 nats for the one that it drops.")

WINDOW = ((-4.5, 4.5), (-4.5, 4.5))
SHAPES = [[[0.5, 0.25], [0.25, 0.5]], [[0.5, -0.25], [-0.25, 0.5]]]
SHOWN = 4.0                                                 # the distance drawn in the plane


def two_modes(distance):
    """Two equally weighted Gaussians of different orientation, `distance` apart."""
    return GaussianMixture([[-distance / 2, 0.0], [distance / 2, 0.0]], SHAPES, [0.5, 0.5])


def compute(effort, rng):
    """Both fits at several distances of the modes, the reverse one from either side, and their KLs."""
    distances, steps, n = ((SHOWN,), 20, 60) if effort == "quick" else (np.arange(0.0, 7.0), 800, 300)
    fits, divergences = [], []
    for distance in distances:
        law = two_modes(distance)
        forward, reverse = ForwardFit(2), ReverseFit(2, law=law)
        for model, start in ((forward, 0.3), (reverse, 1.0), (reverse, -1.0)):
            mu, L = model.unpack(fit(model, model.start([start, 0.3], 1.0), law, rng, steps=steps))
            q = GaussianMixture(mu[None], (L @ L.T)[None], [1.0])
            bounds = np.array([[-14, 14], [-8, 8]])
            fits.append(np.concatenate([mu, L.ravel()]))
            divergences.append([kl_quadrature(law.log_prob, q.log_prob, bounds, n).value,
                                kl_quadrature(q.log_prob, law.log_prob, bounds, n).value])
    nodes, _ = midpoints(WINDOW, 120)
    return dict(distances=distances, fits=np.reshape(fits, (-1, 3, 6)), divergences=np.reshape(divergences, (-1, 3, 2)),
                density=np.exp(two_modes(SHOWN).log_prob(nodes)).reshape(120, 120).astype(np.float32))


def draw(results):
    """The fits in the plane, and what they cost against the distance of the modes."""
    fig = figure(3.4, "The Gaussian nearest to two modes, in either direction of KL")
    left, middle, right = fig.subplots(1, 3, gridspec_kw=dict(width_ratios=[1, 1, 1.3]))
    shown = int(np.argmin(np.abs(results["distances"] - SHOWN)))
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    for ax, which, color, title in ((left, [0], COLORS["truth"], "forward, KL(p || q): covers"),
                                    (middle, [1, 2], ACCENT, "reverse, KL(q || p): seeks\n(from the right and the left)")):
        ax.imshow(results["density"].T, origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY, vmax=0.4)
        for mu, L in ((row[:2], row[2:].reshape(2, 2)) for row in results["fits"][shown, which]):
            for radius in (1, 2):
                ax.plot(*(mu[:, None] + radius * L @ circle), color=color)
        plane(ax, WINDOW)
        ax.set_title(title, color=color)
    distances = results["distances"]
    reverse_best = results["divergences"][:, 1:].min(axis=1)                      # the better of the two starts
    right.plot(distances, results["divergences"][:, 0, 0], "o-", ms=3, color=COLORS["truth"],
               label="KL(p || q) of the forward fit")
    right.plot(distances, reverse_best[:, 1], "o-", ms=3, color=ACCENT, label="KL(q || p) of the reverse fit")
    right.axhline(np.log(2), ls=":", color=COLORS["baseline"])
    right.text(0, np.log(2) + 0.02, "log 2", color=COLORS["baseline"])
    right.set(xlabel="distance of the modes", ylabel="nats", xlim=(-0.2, 6.2), ylim=(0, None))
    right.legend(loc="lower right")
    return fig
