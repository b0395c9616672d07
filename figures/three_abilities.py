"""The chapter's three abilities (generation, density, latent code) asked of four families on one distribution."""
import numpy as np

from figures.style import COLORS, DENSITY, figure, plane
from scratch.data.distributions import LAWS
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.divergence.quadrature import kl_quadrature
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.vae import VAE
from scratch.grid import midpoints
from scratch.implicit.diffusion.denoiser import SIGMA_MAX, SIGMA_MIN, Diffusion
from scratch.implicit.diffusion.likelihood import runge_kutta
from scratch.implicit.gan import GAN
from scratch.learning.training import fit

SECTION = "1.2"
FINDING = "Every family has a density here; only a GAN has no code"
SETTINGS = ("Moons. Gray: the exact density. Contours: the model's density, at the same levels. Codes: 800 data points, colored by "
            "their angle. Numbers: mean of 3 seeds; KL(p_data || p_model) from samples by neighbors, from densities by quadrature.")

FAMILIES = {"autoregressive": (AutoregressiveMixture, 12_000), "vae": (VAE, 6_000), "gan": (GAN, 3_000),
            "diffusion": (Diffusion, 10_000)}
TITLES = {"autoregressive": "autoregressive", "vae": "VAE", "gan": "GAN", "diffusion": "diffusion"}
WINDOW = ((-2.1, 2.1), (-1.5, 1.5))
LEVELS = (0.02, 0.1, 0.25)
CODE_STEPS = 96                                             # of Runge-Kutta's method, for the code of diffusion
SEEDS = 3


def parts(effort):
    """A family and a seed each."""
    return [f"{family} {seed}" for family in FAMILIES for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """KL by samples and by densities, the error of decode(encode(x)); pictures of seed 0."""
    family, seed = part.split()
    kind, steps = FAMILIES[family]
    quick, law = effort == "quick", LAWS["moons"]
    model = kind(2, hidden=(8, 8)) if quick else kind(2)
    theta = fit(model, model.init(rng), law, rng, steps=3 if quick else steps)
    n, nodes, side = (50, 12, 8) if quick else (20_000, 200, 80)
    samples = model.sample(theta, n, rng).astype(float)
    by_samples = kl_nearest_neighbor(law.sample(n, rng), samples)
    by_density = kl_quadrature(law.log_prob, lambda x: model.log_prob(theta, x), law.bounds(), n=nodes)
    x = law.sample(min(n, 800), rng)
    codes, again = code(model, theta, x)
    error = np.sqrt(np.mean((again - x) ** 2))
    results = dict(kl=[by_samples.value, by_density.value], errors=[by_samples.stderr, by_density.stderr],
                   mass=by_density.mass_q, reconstruction=error)
    if seed == "0":
        pixels, _ = midpoints(WINDOW, side)
        density = np.exp(model.log_prob(theta, pixels)).reshape(side, side)
        results |= dict(samples=samples[:800].astype(np.float32), density=density.astype(np.float32),
                        codes=codes.astype(np.float32), angle=np.arctan2(x[:, 1], x[:, 0]).astype(np.float32))
    return results


def code(model, theta, x):
    """The code of x and what it decodes to, (N, 2) each; NaN for a GAN, which has none."""
    if isinstance(model, AutoregressiveMixture):
        z, _ = model.to_noise(theta, x)
        return z, model.from_noise(theta, z)
    if isinstance(model, VAE):
        z = model.encode(theta, x)[0]
        return z, model.decode(theta, z)
    if isinstance(model, GAN):
        return np.full_like(x, np.nan), np.full_like(x, np.nan)
    log_sigma = np.linspace(np.log(SIGMA_MIN), np.log(SIGMA_MAX), CODE_STEPS + 1)       # dx / dlog sigma = x - xhat

    def velocity(x, t):
        return x - model.denoise(theta, x, float(np.exp(t)))
    z = runge_kutta(velocity, x, log_sigma)
    return z / SIGMA_MAX, runge_kutta(velocity, z, log_sigma[::-1])


def gather(effort, parts):
    """Numbers (families, seeds, ...), and the pictures of seed 0."""
    rows = [[parts[f"{family} {seed}"] for seed in range(SEEDS)] for family in FAMILIES]
    results = {key: [[part[key] for part in row] for row in rows] for key in ("kl", "errors", "mass", "reconstruction")}
    for family, row in zip(FAMILIES, rows):
        results |= {f"{family}_{key}": row[0][key] for key in ("samples", "density", "codes", "angle")}
    side = row[0]["density"].shape[0]
    exact = np.exp(LAWS["moons"].log_prob(midpoints(WINDOW, side)[0])).reshape(side, side).astype(np.float32)
    return results | dict(seeds=SEEDS, exact=exact, truth=LAWS["moons"].sample(800, np.random.default_rng(0)))


def claim(results):
    """The range of the KLs, and how exactly the codes decode."""
    kl, back = results["kl"][..., 1].mean(axis=1), results["reconstruction"].mean(axis=1)
    return (f"KL from the densities runs from {kl.min():.4f} to {kl.max():.3f} nats; diffusion's code gives a point back "
            f"within {back[3]:.0e}, the VAE's within {back[1]:.2f}.")


def checks(results):
    """Which families have which ability, in every seed."""
    kl, back = results["kl"], results["reconstruction"]
    return {"samples of all families within 0.15 nats": bool((kl[..., 0] < 0.15).all()),
            "densities of all families within 0.15 nats": bool((kl[..., 1] < 0.15).all()),
            "all densities have mass 1 within 0.01": bool((np.abs(results["mass"] - 1) < 0.01).all()),
            "the codes of autoregressive and diffusion models are invertible": bool((back[[0, 3]] < 0.01).all()),
            "the VAE's code loses something": bool((back[1] > 0.01).all()),
            "the GAN has no code": bool(np.isnan(back[2]).all())}


def draw(results):
    """A column a family, a row an ability; the truth at the left."""
    fig = figure(5.0, FINDING, SETTINGS)
    axes = fig.subplots(3, 5)
    pixels = [low + (np.arange(len(results["exact"])) + 0.5) * (high - low) / len(results["exact"]) for low, high in WINDOW]
    axes[0, 0].plot(*results["truth"].T, ".", ms=1.5, color=COLORS["truth"])
    axes[0, 0].set_title("data", fontweight="bold")
    for ax in axes[1]:
        ax.imshow(results["exact"].T, origin="lower", extent=sum(WINDOW, ()), cmap=DENSITY, vmax=0.8)
    angle = np.arctan2(results["truth"][:, 1], results["truth"][:, 0])
    axes[2, 0].scatter(*results["truth"].T, c=angle, s=3, lw=0, cmap="hsv")
    for row, title in enumerate(("a) generation: samples", "b) density", "c) latent code")):
        axes[row, 0].text(-0.08, 0.5, title, rotation=90, ha="right", va="center", transform=axes[row, 0].transAxes)
        plane(axes[row, 0], WINDOW)
    for column, family in enumerate(FAMILIES):
        top, middle, bottom = axes[:, column + 1]
        kl, back = results["kl"][column].mean(axis=0), results["reconstruction"][column].mean()
        top.plot(*results[f"{family}_samples"].T, ".", ms=1.5, color=COLORS[family])
        top.set_title(TITLES[family], color=COLORS[family], fontweight="bold")
        middle.contour(*pixels, results[f"{family}_density"].T, levels=LEVELS, colors=COLORS[family], linewidths=0.9)
        for ax, text in ((top, f"{kl[0]:.3f} nats"), (middle, f"{kl[1]:.4f} nats")):
            plane(ax, WINDOW)
            ax.text(0.5, -0.02, text, ha="center", va="top", transform=ax.transAxes, color=COLORS[family])
        bottom.set(xticks=[], yticks=[])
        bottom.spines[:].set_visible(False)
        if np.isnan(back):
            bottom.text(0.5, 0.5, "none:\nit has no encoder", ha="center", va="center", transform=bottom.transAxes)
            continue
        bottom.scatter(*results[f"{family}_codes"].T, c=results[f"{family}_angle"], s=3, lw=0, cmap="hsv")
        bottom.set_aspect("equal")
        bottom.text(0.5, -0.02, f"decoded within {back:.2g}", ha="center", va="top", transform=bottom.transAxes,
                    color=COLORS[family])
    return fig
