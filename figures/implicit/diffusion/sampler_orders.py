"""Error against the number of network evaluations, with the exact denoiser: what is left is the sampler's own."""
import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.implicit.diffusion.samplers import ddim, dpm_solver_2m, euler, euler_maruyama, heun, karras_sigmas

SECTION = "1.5"
FINDING = "Second order wins with many evaluations, Euler beats Heun with few"
SETTINGS = ("Exact denoisers; noise levels from 80 to 0.002 as in Karras et al. (2022). a: data N(0, 0.5^2); "
            "lines without paths for samplers with noise: the exact recursion of the variance, dots: 40,000 "
            "paths. b: ring of 8, 100 paths. c: ring of 8, KL by nearest neighbors, 10,000 points each. Bar: 1 "
            "s.e. Circles: Euler, ancestral; squares: Heun, Euler-Maruyama.")

STD = 0.5                      # of the Gaussian data
TARGET = 0.03                  # the relative error that the samplers race to
# sampler, evaluations of n steps = a n + b
SAMPLERS = {
    "Euler": (lambda d, x, s, rng: euler(d, x, s), 1, 0),
    "Heun": (lambda d, x, s, rng: heun(d, x, s), 2, -1),
    "DPM-2M": (lambda d, x, s, rng: dpm_solver_2m(d, x, s), 1, 0),
    "ancestral": (lambda d, x, s, rng: ddim(d, x, s, 1.0, rng), 1, 0),
    "Euler-Maruyama": (euler_maruyama, 1, 0),
}
FLOW = ("Euler", "Heun", "DPM-2M")                          # those that follow the probability flow
LOOKS = {"Euler": ("o-", style.COLORS["diffusion"]), "Heun": ("s-", style.COLORS["diffusion"]),
         "DPM-2M": ("^-", style.COLORS["diffusion"]), "ancestral": ("o--", style.SECOND_DIFFUSION),
         "Euler-Maruyama": ("s--", style.SECOND_DIFFUSION)}


def run(name, law, x, evaluations, rng):
    """The sampler's answer with (nearly) this many evaluations."""
    sampler, a, b = SAMPLERS[name]
    return sampler(law.denoise, x, karras_sigmas((evaluations - b) // a), rng)


def compute(effort, rng):
    """Gaussian: relative error of the standard deviation.  Ring: distance to the flow's end, and KL."""
    most, rows, points, paths = (32, 500, 300, 20) if effort == "quick" else (512, 40_000, 10_000, 100)
    nfe = 2 ** np.arange(3, int(np.log2(most)) + 1)
    ring, nfe_kl = LAWS["ring"], nfe[(nfe >= 8) & (nfe <= 64)]
    results = dict(seeds=1, nfe=nfe, nfe_kl=nfe_kl) | _gaussian(nfe, rows, rng)
    x = ring.noised(80.0).sample(paths, rng)
    fine, finer = (heun(ring.denoise, x, karras_sigmas(n)) for n in (2 * nfe[-1], 4 * nfe[-1]))
    end = finer + (finer - fine) / 3                        # Heun extrapolated to step 0
    for name in FLOW:
        results[f"{name} path"] = [np.sqrt(np.mean((run(name, ring, x, n, rng) - end) ** 2)) for n in nfe]
    truth = ring.sample(points, rng)
    for name in SAMPLERS:
        kls = [kl_adaptive_neighbors(truth, run(name, ring, ring.noised(80.0).sample(points, rng), n, rng))
               for n in nfe_kl]
        results[f"{name} kl"] = [(kl.value, kl.stderr) for kl in kls]
    floor = kl_adaptive_neighbors(truth, ring.sample(points, rng))
    return results | dict(floor=(floor.value, floor.stderr))


def _gaussian(nfe, rows, rng):
    """Relative errors of the standard deviation: one path tells all of the flow, which is linear."""
    law, begin, results = GaussianMixture([[0.0]], [[[STD ** 2]]], [1.0]), float(np.hypot(STD, 80.0)), {}
    for name in SAMPLERS:
        if name in FLOW:
            std = [abs(run(name, law, np.full((1, 1), begin), n, rng)[0, 0]) for n in nfe]
        else:
            std = [np.sqrt(end_variance(name, begin ** 2, karras_sigmas(n))) for n in nfe]
            ran = [np.mean(run(name, law, begin * rng.standard_normal((rows, 1)), n, rng) ** 2) ** 0.5 for n in nfe[:5]]
            results[f"{name} paths"] = np.abs(np.array(ran) / STD - 1)
        results[f"{name} gaussian"] = np.abs(np.array(std) / STD - 1)
    return results | dict(paths_error=np.sqrt(0.5 / rows))


def end_variance(name, variance, sigmas):
    """The variance of x at the end of a sampler with noise, for data N(0, STD^2): table (4) of samplers.py."""
    for sigma, lower in zip(sigmas, sigmas[1:]):
        gain, keep = STD ** 2 / (STD ** 2 + sigma ** 2), (lower / sigma) ** 2
        add = sigma ** 2 - lower ** 2 if name == "Euler-Maruyama" else lower ** 2 * (1 - keep)
        variance = (gain + keep * (1 - gain)) ** 2 * variance + (add if lower > 0 else 0)
    return variance


def evaluations_for(error, nfe, errors):
    """Where the curve first falls below this error, on straight lines in log-log; nan if it does not."""
    below = np.flatnonzero(errors < error)
    if not below.size or not below[0]:
        return np.nan
    i = below[0]
    share = np.log(errors[i - 1] / error) / np.log(errors[i - 1] / errors[i])
    return nfe[i - 1] * (nfe[i] / nfe[i - 1]) ** share


def race(results):
    """Evaluations until the Gaussian's error is TARGET: {sampler: number}."""
    return {name: evaluations_for(TARGET, results["nfe"], results[f"{name} gaussian"]) for name in SAMPLERS}


def orders(results):
    """The orders of the last halving of the step on the ring: {sampler: number}."""
    return {name: float(np.log2(results[f"{name} path"][-2] / results[f"{name} path"][-1])) for name in FLOW}


def claim(results):
    """Who is first, and what noise costs."""
    needed = race(results)
    noisy = [needed[name] / needed["Euler"] for name in SAMPLERS if name not in FLOW]
    return (f"To come within {100 * TARGET:.0f} % Heun needs {needed['Heun']:.0f} evaluations, DPM-2M "
            f"{needed['DPM-2M']:.0f}, Euler {needed['Euler']:.0f}; samplers with noise need {min(noisy):.1f} to "
            f"{max(noisy):.1f} times Euler's.")


def checks(results):
    """The order of the race, the orders of the methods, and paths against the recursion."""
    needed, order = race(results), orders(results)
    off = [np.abs(results[f"{name} paths"] - results[f"{name} gaussian"][:len(results[f"{name} paths"])]).max()
           for name in SAMPLERS if name not in FLOW]
    kl = {name: results[f"{name} kl"] for name in SAMPLERS}
    return {"second order needs fewer evaluations than Euler": bool(
                max(needed["Heun"], needed["DPM-2M"]) < needed["Euler"]),
            "noise needs at least 1.5 times Euler's": bool(
                min(needed[name] for name in SAMPLERS if name not in FLOW) > 1.5 * needed["Euler"]),
            "order of Euler is 1 within 0.15": abs(order["Euler"] - 1) < 0.15,
            "orders of Heun and DPM-2M are 2 within 0.15": max(abs(order["Heun"] - 2), abs(order["DPM-2M"] - 2)) < 0.15,
            "paths agree with the recursion within 4 standard errors": bool(max(off) < 4 * results["paths_error"]),
            "on the ring with 8 and 16 evaluations Euler beats Heun by 5 standard errors": bool(
                (kl["Heun"][:2, 0] - kl["Euler"][:2, 0] > 5 * kl["Heun"][:2, 1]).all()),
            "on the ring with 128 and more the paths of second order are nearer": bool(
                (np.maximum(results["Heun path"], results["DPM-2M path"])[4:] < results["Euler path"][4:]).all())}


def draw(results):
    """Three measures of the same samplers."""
    fig = style.figure(4.3, FINDING, SETTINGS)
    left, middle, right = fig.subplots(1, 3)
    nfe, nfe_kl = results["nfe"], results["nfe_kl"]
    for name, (look, color) in LOOKS.items():
        marker, line = look[0], look[1:]
        how = dict(color=color, ms=4, lw=1.2)
        gaussian = results[f"{name} gaussian"]
        left.loglog(nfe, gaussian, look if name in FLOW else line, **how)
        if name in FLOW:
            middle.loglog(nfe, results[f"{name} path"], look, **how)
        else:
            ran = results[f"{name} paths"]
            left.errorbar(nfe[:len(ran)], ran, results["paths_error"], fmt=marker, **how)
        right.errorbar(nfe_kl, *results[f"{name} kl"].T, fmt=look, **how)
    _labels(left, middle, right, results)
    left.set(ylabel="relative error of the standard deviation", title="a  Gaussian data", ylim=(1e-5, 20))
    left.axhline(TARGET, color=style.COLORS["baseline"], lw=0.8, zorder=0)
    middle.set(ylabel="RMS distance to the flow's end [units of x]", title="b  Ring: error of the paths")
    right.axhline(0, color=style.COLORS["truth"], lw=0.8)
    right.set_yscale("symlog", linthresh=0.1)
    right.set(xscale="log", ylabel="KL(law || samples) [nats], linear below 0.1", title="c  Ring: KL", ylim=(-0.05, 20))
    right.set_yticks([0, 0.05, 0.1, 1, 10], ["0", "0.05", "0.1", "1", "10"])
    for ax, ticks in ((left, nfe[::2]), (middle, nfe[::2]), (right, nfe_kl)):
        ax.set(xlabel="network evaluations (NFE)", xticks=ticks, xticklabels=ticks)
        ax.minorticks_off()
    return fig


def _labels(left, middle, right, results):
    """The samplers' names at their curves, and the slopes of both orders."""
    at = {"Euler": (4, 4, 6, "left"), "Heun": (1, 6, 4, "left"), "DPM-2M": (2, -6, -12, "right")}
    for ax, key, names in ((left, "gaussian", (*FLOW, "ancestral")), (middle, "path", FLOW)):
        for name in names:
            i, right_by, up_by, side = at.get(name, (4, 8, 10, "left"))
            if i < len(results["nfe"]):
                where = results["nfe"][i], results[f"{name} {key}"][i]
                text = name if name in FLOW else "with noise"
                ax.annotate(text, where, (right_by, up_by), textcoords="offset points", color=LOOKS[name][1], ha=side)
    for name, right_by, up_by in (("Euler", -4, -14), ("Heun", 4, 8), ("DPM-2M", -2, -22), ("ancestral", -6, 8)):
        i = 0 if name == "Euler" else 1
        text = name if name in FLOW else "with noise"
        right.annotate(text, (results["nfe_kl"][i], results[f"{name} kl"][i, 0]), (right_by, up_by),
                       color=LOOKS[name][1], textcoords="offset points", ha="right" if name == "DPM-2M" else "left")
    nfe = results["nfe"][-3:]
    for ax, top, bottom in ((left, 3.0, 2e-4), (middle, 1.0, 1.5e-4)):
        for order, height in ((1, top), (2, bottom)):
            slope = height * (nfe[0] / nfe.astype(float)) ** order
            ax.plot(nfe, slope, color=style.COLORS["truth"], lw=0.8)
            text, shift, side = ("1 / NFE", (0, 4), "left") if order == 1 else ("1 / NFE$^2$", (0, 0), "right")
            ax.annotate(text, (nfe[0], slope[0]), shift, ha=side, textcoords="offset points", fontsize=8)
