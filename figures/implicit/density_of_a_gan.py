"""The density of a GAN's samples on the moons: without noise at the output, on a mesh, and with it, by quadrature."""
import numpy as np

from figures.style import COLORS, DENSITY, figure, plane
from scratch.data.distributions import LAWS
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.grid import midpoints
from scratch.implicit.gan import GAN
from scratch.implicit.push_forward import PushForward
from scratch.learning.training import fit

SECTION = "1.3"
FINDING = "Without output noise a GAN's density is folds, creases and holes"
SETTINGS = ("Moons; relativistic GAN with R1 and R2, 3,000 steps of 1,024. Without noise: z ~ N(0, I) in the plane, x = G(z), density on a "
            "mesh of triangles. With noise: x = G(z) + s eps, s learned, density by quadrature over z. Shade: square root of the density, "
            "one scale. Dots: three seeds each; bar: 1 s.e. over 20,000 rows.")

LAW, WINDOW, PIXELS = LAWS["moons"], ((-1.9, 1.9), (-1.25, 1.25)), 150
WITHOUT, WITH = "without noise", "with noise"
OPTIONS = {WITHOUT: dict(prior=1, output_noise=0.0), WITH: dict(prior=1)}
SEEDS = 3


def parts(effort):
    """One training each."""
    return [f"{kind}, {seed}" for seed in range(1 if effort == "quick" else SEEDS) for kind in OPTIONS]


def compute_part(part, effort, rng):
    """The density on the pixels, and KL(p || q) by neighbors and where q has a density."""
    kind, seed = part.split(", ")
    steps, sizes, n, tolerance, pixels = ((3, dict(hidden=(8,)), 200, 0.1, 12) if effort == "quick" else
                                          (3000, {}, 20_000, 1e-5, PIXELS))
    model = GAN(2, **OPTIONS[kind], **sizes)
    theta = fit(model, model.init(rng), LAW, rng, steps=steps).astype(float)
    x, samples = LAW.sample(n, rng), model.sample(theta, n, rng)
    neighbors = kl_adaptive_neighbors(x, samples)

    def noisy(x):
        return model.log_prob(theta, x)

    log_q = PushForward.of(lambda z: model.generate(theta, z), tolerance).log_prob if kind == WITHOUT else noisy
    log_ratio = LAW.log_prob(x) - log_q(x)
    covered = np.isfinite(log_ratio)
    results = dict(missed=1 - covered.mean(), inside=log_ratio[covered].mean(), neighbors=(neighbors.value, neighbors.stderr),
                   stderr=log_ratio[covered].std() / np.sqrt(covered.sum()))
    if seed == "0":
        nodes, cell = midpoints(WINDOW, pixels)
        density = np.exp(log_q(nodes))
        results |= dict(image=np.sqrt(density).reshape(pixels, pixels).astype(np.float16), mass=cell * density.sum())
    return results


def gather(effort, parts):
    """Numbers (seeds,) of both kinds, and their images at seed 0."""
    results = dict(seeds=len(parts) // 2)
    for kind in OPTIONS:
        runs = [part for name, part in parts.items() if name.startswith(kind)]
        results |= {f"{kind} {key}": np.array([run[key] for run in runs]) for key in ("missed", "inside", "stderr", "neighbors")}
        results |= {f"{kind} {key}": parts[f"{kind}, 0"][key] for key in ("image", "mass")}
    return results


def claim(results):
    """How much of the law is missed, and what noise costs."""
    missed, folded, smooth = (results[key] for key in (f"{WITHOUT} missed", f"{WITHOUT} inside", f"{WITH} inside"))
    return (f"Without noise {100 * missed.min():.3f} % of the data or more have density zero, and log p/q averages "
            f"{folded.min():.1f} nats elsewhere; with noise at most {smooth.max():.2f}.")


def checks(results):
    """Infinite against finite, in every run; the two roads agree where both exist."""
    inside, near = results[f"{WITH} inside"], results[f"{WITH} neighbors"]
    error = np.hypot(results[f"{WITH} stderr"], near[:, 1])
    return {"without noise some data have no preimage in every run": bool((results[f"{WITHOUT} missed"] > 0).all()),
            "where they have one, log p/q is five times the KL with noise": bool(
                results[f"{WITHOUT} inside"].min() > 5 * inside.max()),
            "with noise all data have a density": bool((results[f"{WITH} missed"] == 0).all()),
            "with noise the KL is at most 0.12 nats in every run": bool((inside < 0.12).all()),
            "quadrature and neighbors agree within 5 errors": bool((np.abs(inside - near[:, 0]) < 5 * error).all()),
            "with noise the density has mass 1": bool(abs(results[f"{WITH} mass"] - 1) < 0.01)}


def draw(results):
    """The folded density large; beside it the exact density, the one with noise, and the KLs."""
    fig = figure(5.2, FINDING, SETTINGS)
    grid = fig.add_gridspec(3, 2, width_ratios=[2.05, 1], height_ratios=[1, 1, 0.45])
    pixels = len(results[f"{WITH} image"])
    exact = np.exp(0.5 * LAW.log_prob(midpoints(WINDOW, pixels)[0])).reshape(pixels, pixels)
    images = {"a) without noise": (grid[:2, 0], results[f"{WITHOUT} image"]), "b) exact density": (grid[0, 1], exact),
              "c) with noise: positive everywhere": (grid[1, 1], results[f"{WITH} image"])}
    for title, (place, image) in images.items():
        ax = fig.add_subplot(place)
        ax.imshow(image.T.astype(float), origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY, vmin=0, vmax=1.6 * exact.max())
        plane(ax, WINDOW)
        ax.set_title(title, loc="left")
    below = fig.add_subplot(grid[2, :])
    for row, kind in enumerate(OPTIONS):
        value, error = results[f"{kind} neighbors"].T
        below.errorbar(value, row + np.linspace(-0.15, 0.15, len(value)), xerr=error, fmt="o", ms=4, lw=1, color=COLORS["gan"])
    below.set(yticks=[0, 1], yticklabels=list(OPTIONS), ylim=(1.5, -0.5), xlim=(0, None),
              xlabel="d) KL(p || q) by neighbors, which see no folds [nats]")
    return fig
