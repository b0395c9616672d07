"""The reverse SDE and the probability flow of one process: different paths, the same law at every time."""
import numpy as np

from figures.style import COLORS, DARK_DIFFUSION, DENSITY, figure
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.processes import VP
from scratch.implicit.diffusion.samplers import euler_maruyama, heun

CLAIM = ("Run back from t = 1, the SDE, whose paths are rough, and its probability flow, whose paths are smooth, "
         "have the same law at every t, the exact one: of 15 KLs by neighbors none is 3 standard errors off 0.")

LAW = GaussianMixture([[-1.5], [0.2], [1.6]], [[[0.03]], [[0.1]], [[0.02]]], [0.3, 0.5, 0.2])
PROCESS = VP()
TIMES = np.array([0.6, 0.3, 0.15, 0.05, 0.0])                # where the densities are compared
X = np.linspace(-3.2, 3.2, 161)
PATHS = 12                                                  # drawn, from the same starts for both
SDE, ODE = DARK_DIFFUSION, COLORS["diffusion"]


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
    results = dict(times=times, paths=paths, rows=rows, edges=edges)
    results["histograms"] = [[np.histogram(x[:, 0], edges)[0] / (rows * np.diff(edges)) for x in stops[t]]
                             for t in TIMES]
    results["exact"] = [np.exp(marginal(t).log_prob(X[:, None])) for t in TIMES]
    results["kls"] = []
    for t in TIMES:
        truth, (sde, ode) = marginal(t).sample(rows, rng), stops[t]
        kls = kl_adaptive_neighbors(truth, sde), kl_adaptive_neighbors(truth, ode), kl_adaptive_neighbors(sde, ode)
        results["kls"].append([(kl.value, kl.stderr) for kl in kls])
    grid = np.linspace(0, 1, 101)
    results["heat"] = np.array([np.exp(marginal(t).log_prob(X[:, None])) for t in grid])
    return results


def draw(results):
    """Densities at five times above; below, paths over the exact density of x_t."""
    steps, rows = len(results["times"]) - 1, int(results["rows"])
    fig = figure(6.4, f"VP process (Song et al. 2021), exact denoiser: {rows:,} paths of {steps} steps, one run")
    top, bottom = fig.subfigures(2, 1, height_ratios=[1, 1.15])
    edges = results["edges"]
    for i, (ax, t) in enumerate(zip(top.subplots(1, len(TIMES)), TIMES)):
        sde, ode = results["histograms"][i]
        ax.stairs(ode, edges, color=ODE, alpha=0.5, fill=True, label="ODE")
        ax.stairs(sde, edges, color=SDE, lw=1, label="SDE")
        ax.plot(X, results["exact"][i], color=COLORS["truth"], lw=0.8, label="exact")
        kls = [f"{name} {value:+.3f} $\\pm$ {error:.3f}" for name, (value, error) in
                   zip(("exact || SDE", "exact || ODE", "SDE || ODE"), results["kls"][i])]
        ax.set_title(f"t = {t:g}: KL in nats by neighbors\n" + "\n".join(kls), fontsize=7.5)
        ax.set(xlabel="$x_t$", yticks=[], xlim=(X[0], X[-1]), ylim=(0, None))
        if i == 0:
            ax.set_ylabel("density")
            ax.legend(fontsize=7, loc="upper left", handlelength=1)
    for ax, paths, name, color in zip(bottom.subplots(1, 2, sharey=True), results["paths"],
                                      ("reverse SDE (Euler-Maruyama)", "probability-flow ODE (Heun)"),
                                      (SDE, ODE)):
        ax.imshow(np.sqrt(results["heat"]).T, origin="lower", extent=(0, 1, X[0], X[-1]), aspect="auto",
                  cmap=DENSITY, vmax=1.6)
        ax.plot(results["times"], paths, color=color, lw=0.7)
        ax.set(xlim=(1, 0), xlabel="t, from noise to data", title=f"{name}: {PATHS} paths from the same starts")
        for t in TIMES[:-1]:
            ax.axvline(t, color=COLORS["baseline"], lw=0.5, ls=":")
    bottom.axes[0].set_ylabel("$x_t$, over its exact density")
    return fig
