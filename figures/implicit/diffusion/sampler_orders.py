"""Error against the number of network evaluations, with the exact denoiser: what is left is the sampler's own."""
import numpy as np

from figures.style import COLORS, DARK_DIFFUSION, figure
from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.samplers import (ddim, dpm_solver_2m, euler, euler_maruyama, heun, karras_sigmas,
                                                 predictor_corrector)

CLAIM = ("With the exact denoiser the error of Euler (DDIM) falls as 1 / NFE, that of Heun and DPM-Solver++(2M) "
         "as 1 / NFE^2, although at 8 evaluations Euler beats Heun; samplers with noise need about twice as many "
         "evaluations as Euler to come within 3 %.")

STD = 0.5                      # of the Gaussian data
TARGET = 0.03                  # the relative error that the samplers race to
# (sampler, evaluations of n steps = a n + b, color, marker): order 1 without noise, order 2, with noise
SAMPLERS = {
    "Euler = DDIM": (lambda d, x, s, rng: euler(d, x, s), 1, 0, COLORS["diffusion"], "o-"),
    "Heun": (lambda d, x, s, rng: heun(d, x, s), 2, -1, DARK_DIFFUSION, "s-"),
    "DPM-Solver++(2M)": (lambda d, x, s, rng: dpm_solver_2m(d, x, s), 1, 0, DARK_DIFFUSION, "^-"),
    "ancestral": (lambda d, x, s, rng: ddim(d, x, s, 1.0, rng), 1, 0, COLORS["baseline"], "o:"),
    "Euler-Maruyama": (euler_maruyama, 1, 0, COLORS["baseline"], "s:"),
    "predictor-corrector": (predictor_corrector, 2, -1, COLORS["baseline"], "^:"),
}
FLOW = list(SAMPLERS)[:3]      # those that follow the probability flow


def run(name, law, x, evaluations, rng):
    """The sampler's answer with (nearly) this many evaluations."""
    sampler, a, b = SAMPLERS[name][:3]
    return sampler(law.denoise, x, karras_sigmas((evaluations - b) // a), rng)


def compute(effort, rng):
    """Gaussian: relative error of the standard deviation.  Ring: path error of the flow, and KL."""
    most, rows, points = (32, 500, 300) if effort == "quick" else (512, 40_000, 10_000)
    nfe = 2 ** np.arange(3, int(np.log2(most)) + 1)
    gaussian, ring = GaussianMixture([[0.0]], [[[STD ** 2]]], [1.0]), LAWS["ring"]
    begin = float(np.hypot(STD, 80.0))
    results = dict(nfe=nfe, rows=rows, points=points)
    for name in SAMPLERS:
        noisy = name not in FLOW                            # without noise one path tells all: the flow is linear
        x = begin * (rng.standard_normal((rows, 1)) if noisy else np.ones((1, 1)))
        spread = [np.sqrt(np.mean(run(name, gaussian, x, n, rng) ** 2)) for n in nfe[:-1 if noisy else None]]
        results[f"{name}_gaussian"] = np.abs(np.array(spread) / STD - 1)
    x = ring.noised(80.0).sample(100, rng)
    fine, finer = (heun(ring.denoise, x, karras_sigmas(n)) for n in (2 * nfe[-1], 4 * nfe[-1]))
    end = finer + (finer - fine) / 3                        # Heun extrapolated to step 0
    for name in FLOW:
        results[f"{name}_path"] = [np.sqrt(np.mean((run(name, ring, x, n, rng) - end) ** 2)) for n in nfe]
    truth, nfe_kl = ring.sample(points, rng), nfe[nfe <= 128]
    for name in SAMPLERS:
        kls = [kl_adaptive_neighbors(truth, run(name, ring, ring.noised(80.0).sample(points, rng), n, rng))
               for n in nfe_kl]
        results[f"{name}_kl"] = [(kl.value, kl.stderr) for kl in kls]
    return results


def evaluations_for(error, nfe, errors):
    """Where the curve first falls below this error, on straight lines in log-log; nan if it does not."""
    below = np.flatnonzero(errors < error)
    if not below.size or not below[0]:
        return np.nan
    i = below[0]
    share = np.log(errors[i - 1] / error) / np.log(errors[i - 1] / errors[i])
    return nfe[i - 1] * (nfe[i] / nfe[i - 1]) ** share


def draw(results):
    """Three measures of the same samplers."""
    fig = figure(4.2, "Samplers with the exact denoiser; levels from 80 to 0.002 as in Karras et al. (2022)")
    left, middle, right = fig.subplots(1, 3)
    nfe = results["nfe"]
    orders = []
    for name, (_, _, _, color, look) in SAMPLERS.items():
        style = dict(color=color, ms=4, lw=1.2)
        gaussian = results[f"{name}_gaussian"]
        needed = evaluations_for(TARGET, nfe, gaussian)
        left.loglog(nfe[:len(gaussian)], gaussian, look, label=f"{name} ({needed:.0f})", **style)
        if name in FLOW:
            path = results[f"{name}_path"]
            orders.append(np.log2(path[-2] / path[-1]))
            middle.loglog(nfe, path, look, **style)
        value, error = results[f"{name}_kl"].T
        right.errorbar(nfe[:len(value)], value, 2 * error, fmt=look, capsize=2, elinewidth=0.6, **style)
    left.axhline(TARGET, color=COLORS["truth"], lw=0.6)
    left.text(nfe[0], TARGET * 0.85, f"{100 * TARGET:.0f} %", va="top", fontsize=8)
    for ax, corner in ((left, 4.0), (middle, 2.0)):
        for order, says in ((1, "1 / NFE"), (2, "1 / NFE$^2$")):
            ax.plot(nfe[-3:], corner * (nfe[-3] / nfe[-3:]) ** order, color=COLORS["truth"], lw=0.8, ls="--")
            ax.text(nfe[-2], corner * 2.0 ** -order * 1.9 ** (3 - 2 * order), says, fontsize=7,
                    ha="left" if order == 1 else "right", va="center")
    left.set(ylabel="relative error of the standard deviation",
             title=f"Gaussian data N(0, {STD}$^2$)\nwith noise: {int(results['rows']):,} paths")
    middle.set(ylabel="RMS distance to the flow's end [units of x]",
               title="ring of 8, std 0.15: 100 paths\nlast orders {:.2f}, {:.2f}, {:.2f}".format(*orders))
    right.axhline(0, color=COLORS["truth"], lw=0.6)
    right.set_yscale("symlog", linthresh=0.1)
    right.set_xscale("log")
    right.set(xlim=left.get_xlim(), ylabel="KL(law || samples) [nats], linear below 0.1", ylim=(-0.08, 12),
              title=f"ring of 8: KL by neighbors\n2 x {int(results['points']):,} points, 2 standard errors")
    for ax in (left, middle, right):
        ax.set(xlabel="network evaluations (NFE)", xticks=nfe, xticklabels=nfe)
        ax.minorticks_off()
    fig.legend(loc="outside lower center", ncols=6, fontsize=7.5, columnspacing=1.0, title_fontsize=7.5,
               title=f"in parentheses: evaluations until the Gaussian's error is {100 * TARGET:.0f} %")
    return fig
