"""The reverse SDE and the probability flow of one process: different paths, the same law at every time."""
import numpy as np

from figures import style
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.processes import VP
from scratch.implicit.diffusion.samplers import euler_maruyama, heun

SECTION = "1.5"
FINDING = "Rough paths and smooth paths, one law at every time"
SETTINGS = ("VP process (Song et al. 2021) run back from t = 1 with the exact denoiser: 20,000 paths of 400 "
            "steps, one run. Black line and gray shade: exact density of x at time t. Of the paths 12 are drawn, "
            "from the same starts. The KLs of the claim are by nearest neighbors, between 20,000 points each.")

LAW = GaussianMixture([[-1.5], [0.2], [1.6]], [[[0.03]], [[0.1]], [[0.02]]], [0.3, 0.5, 0.2])
PROCESS = VP()
TIMES = np.array([0.6, 0.3, 0.15, 0.05, 0.0])               # where the densities are compared
X = np.linspace(-3.2, 3.2, 161)
PATHS = 12                                                  # drawn, from the same starts for both
SDE, ODE = style.SECOND_DIFFUSION, style.COLORS["diffusion"]


def marginal(t):
    """The exact law of x_t = s (x_0 + sigma eps)."""
    s, std = float(PROCESS.scale(t)), float(PROCESS.std(t))
    return GaussianMixture(s * LAW.means, s ** 2 * LAW.covariances + std ** 2, LAW.weights)


def compute(effort, rng):
    """Both samplers from the exact law at t = 1, stopped at every time of a fine grid."""
    steps, rows = (20, 200) if effort == "quick" else (400, 20_000)
    times = np.linspace(1, 0, steps + 1)
    scales, sigmas = PROCESS.scale(times), PROCESS.sigma(times)
    both = [LAW.noised(float(sigmas[0])).sample(rows, rng) for _ in range(2)]     # x_t / s(t): the sigma form
    both[1][:PATHS] = both[0][:PATHS]
    paths, stops = np.empty((2, steps + 1, PATHS)), {}
    for i, t in enumerate(times):
        if i:
            pair = sigmas[i - 1:i + 1]
            both = [euler_maruyama(LAW.denoise, both[0], pair, rng), heun(LAW.denoise, both[1], pair)]
        paths[:, i] = [scales[i] * y[:PATHS, 0] for y in both]
        if np.isclose(t, TIMES).any():
            stops[round(t, 6)] = [scales[i] * y for y in both]
    edges = np.linspace(X[0], X[-1], 65)
    density = [[np.histogram(x[:, 0], edges)[0] / (rows * np.diff(edges)) for x in stops[t]] for t in TIMES]
    kls = []
    for t in TIMES:
        truth, (sde, ode) = marginal(t).sample(rows, rng), stops[t]
        found = kl_adaptive_neighbors(truth, sde), kl_adaptive_neighbors(truth, ode), kl_adaptive_neighbors(sde, ode)
        kls.append([(kl.value, kl.stderr) for kl in found])
    exact, heat = ([np.exp(marginal(t).log_prob(X[:, None])) for t in grid] for grid in (TIMES, np.linspace(0, 1, 101)))
    return dict(seeds=1, times=times, paths=paths.astype(np.float32), edges=edges,
                histograms=np.asarray(density, np.float32), kls=kls,
                exact=exact, heat=np.asarray(heat, np.float32), roughness=roughness(paths))


def roughness(paths):
    """Length of the path over that of the same path at every tenth time, for SDE and ODE: 1 where it is smooth."""
    return [np.abs(np.diff(p, axis=0)).sum() / np.abs(np.diff(p[::10], axis=0)).sum() for p in paths]


def claim(results):
    """How far the largest of the KLs is from 0, and how rough the paths are."""
    value, error = np.moveaxis(results["kls"], 2, 0)
    sde, _ = results["roughness"]
    far = np.abs(value / error).max()
    return (f"Of {value.size} KLs between SDE, ODE and exact law the largest is {far:.1f} standard errors; "
            f"tenfold finer, SDE paths are {sde:.1f} times longer.")


def checks(results):
    """One law at every time; and paths of two kinds."""
    value, error = np.moveaxis(results["kls"], 2, 0)
    sde, ode = results["roughness"]
    return {"every KL within 3.5 standard errors of 0": bool(np.abs(value / error).max() < 3.5),
            "every KL below 0.05 nats": bool(np.abs(value).max() < 0.05),
            "SDE paths grow by 1.5 or more where steps are ten times finer": bool(sde > 1.5),
            "ODE paths do not grow by a tenth": bool(ode < 1.1)}


def draw(results):
    """Densities at five times above; below, paths over the exact density of x_t."""
    fig = style.figure(6.2, FINDING, SETTINGS)
    grid = fig.add_gridspec(2, 10, height_ratios=[1, 1.4])
    edges = results["edges"]
    for i, t in enumerate(TIMES):
        ax, (sde, ode) = fig.add_subplot(grid[0, 2 * i:2 * i + 2]), results["histograms"][i]
        ax.stairs(ode, edges, color=ODE, alpha=0.35, fill=True)
        ax.stairs(sde, edges, color=SDE, lw=1.3)
        ax.plot(X, results["exact"][i], color=style.COLORS["truth"], lw=0.9)
        ax.set(xlabel="$x_t$", yticks=[], xlim=(X[0], X[-1]), ylim=(0, None), title=f"t = {t:g}")
        if i == 0:
            ax.set_ylabel("density")
            for y, name, color in ((0.93, "SDE", SDE), (0.82, "ODE", ODE), (0.71, "exact", style.COLORS["truth"])):
                ax.text(0.03, y, name, color=color, transform=ax.transAxes, fontweight="bold", fontsize=8)
    names = "reverse SDE: rough", "probability-flow ODE: smooth"
    for i, (paths, name, color) in enumerate(zip(results["paths"], names, (SDE, ODE))):
        ax = fig.add_subplot(grid[1, 5 * i:5 * i + 5])
        ax.imshow(np.sqrt(results["heat"]).T, origin="lower", extent=(0, 1, X[0], X[-1]), aspect="auto",
                  cmap=style.DENSITY, vmax=1.6)
        ax.plot(results["times"], paths, color=color, lw=0.8)
        ax.set(xlim=(1, 0), xlabel="t, from noise to data", yticks=[-2, 0, 2])
        ax.set_title(name, color=color)
        for t in TIMES[:-1]:
            ax.axvline(t, color=style.COLORS["baseline"], lw=0.6, ls=":")
        if i == 0:
            ax.set_ylabel("$x_t$")
    return fig
