"""One Gaussian for two modes: the optimum of each direction of KL."""
import numpy as np

from figures.style import COLORS, DENSITY, figure, plane
from scratch.data.distributions import GaussianMixture
from scratch.divergence.gaussian_projection import ForwardFit, ReverseFit
from scratch.divergence.quadrature import kl_quadrature
from scratch.grid import midpoints
from scratch.learning.training import fit

SECTION = "key"
FINDING = "Forward KL covers both modes, reverse KL keeps one"
SETTINGS = ("p (gray): two Gaussians with equal weights. q: one Gaussian, fitted by gradient descent. Ellipses: 1 and 2 standard "
            "deviations of q. KL by quadrature; the reverse fit is the better of two starts.")

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
    return dict(seeds=1, distances=distances, fits=np.reshape(fits, (-1, 3, 6)), divergences=np.reshape(divergences, (-1, 3, 2)),
                density=np.exp(two_modes(SHOWN).log_prob(nodes)).reshape(120, 120).astype(np.float32))


def prices(results):
    """KL(p || q) of the forward fit and KL(q || p) of the better reverse fit, at each distance."""
    return results["divergences"][:, 0, 0], results["divergences"][:, 1:, 1].min(axis=1)


def claim(results):
    """What the two fits cost where the modes are farthest apart."""
    forward, reverse = (price[-1] for price in prices(results))
    return (f"With the modes {results['distances'][-1]:.0f} apart covering both costs {forward:.2f} nats; keeping one "
            f"costs {reverse:.3f}, never more than the log of two, {np.log(2):.3f}.")


def checks(results):
    """The forward fit is the wider one; its price grows without a bound, that of the reverse fit up to log 2."""
    forward, reverse = prices(results)
    shown = int(np.argmin(np.abs(results["distances"] - SHOWN)))
    centers, widths = results["fits"][shown, :, 0], results["fits"][shown, :, 2]
    return {"the forward price grows with every step": bool((np.diff(forward) > 0).all()),
            "the forward price passes log 2": bool(forward[-1] > np.log(2)),
            "the reverse price stays below log 2": bool((reverse < np.log(2)).all()),
            "the reverse price comes within 0.01 of log 2": bool(reverse[-1] > np.log(2) - 0.01),
            "the forward fit lies in the middle and is twice as wide": bool(
                abs(centers[0]) < 0.1 and widths[0] > 2 * widths[1:].max()),
            "the reverse fits lie on the modes": bool(np.allclose(np.abs(centers[1:]), SHOWN / 2, atol=0.1))}


def draw(results):
    """The fits in the plane, and what they cost against the distance of the modes."""
    fig = figure(3.7, FINDING, SETTINGS)
    left, middle, right = fig.subplots(1, 3, gridspec_kw=dict(width_ratios=[1, 1, 1.3]))
    shown = int(np.argmin(np.abs(results["distances"] - SHOWN)))
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    forward_color, reverse_color = COLORS["autoregressive"], COLORS["gan"]
    for ax, which, color, title in ((left, [0], forward_color, "least KL(p || q)"),
                                    (middle, [1, 2], reverse_color, "least KL(q || p), from two starts")):
        ax.imshow(results["density"].T, origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY, vmax=0.2)
        for mu, L in ((row[:2], row[2:].reshape(2, 2)) for row in results["fits"][shown, which]):
            for radius in (1, 2):
                ax.plot(*(mu[:, None] + radius * L @ circle), color=color)
        plane(ax, WINDOW)
        ax.set_title(title, color=color)
    distances, (forward, reverse) = results["distances"], prices(results)
    for price, color, text, up in ((forward, forward_color, "KL(p || q)", 0.05), (reverse, reverse_color, "KL(q || p)", -0.12)):
        right.plot(distances, price, "o-", ms=4, color=color)
        right.text(distances[-1], price[-1] + up, text, color=color, ha="right")
    right.axhline(np.log(2), ls=":", lw=1, color="#666666")
    right.text(0, np.log(2) + 0.02, "log 2", color="#666666")
    right.set(xlabel="distance of the two modes", ylabel="price of the best q [nats]", xlim=(-0.2, 6.2), ylim=(0, 1.5))
    return fig
