"""Every family on seven distributions, each with one setting: what is missed, by several roads, and what it costs."""
import time

import numpy as np

from figures import style
from figures.families import FAMILIES
from scratch.data.distributions import LAWS
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.divergence.quadrature import kl_quadrature
from scratch.estimate import Estimate
from scratch.explicit.mixture_em import MixtureEM
from scratch.implicit.diffusion.ddpm import bound_coefficients, last_term, noise_error
from scratch.learning.training import fit

SECTION = "1.3"
FINDING = "Autoregressive comes nearest, then mixture and diffusion; the GAN stays behind"
SETTINGS = ("Under each cell, in nats, means over 3 seeds: KL(data || model), colored, and KL(model || data), gray. The "
            "latter is infinite on the checkerboard, as each model puts points beside the board. DDPM has a bound only: "
            "open marks. A mark for each seed. Each family has one setting, its defaults, and fresh samples: 10,000 "
            "steps, but VAE 6,000, MADE (256-256) 4,000, GAN 3,500; EM: 64 components, 20,000 rows.")

NAMES = ("ring", "grid", "moons", "spirals", "checkerboard", "banana", "funnel")
JUMPS = "checkerboard"                                      # errors at its edges are finer than cells and balls
TOO_FINE = (JUMPS, "funnel")                                # for quadrature: the funnel is 700 times narrower than its box
SEEDS = 3
SHOWN = 600                                                 # samples of seed 0 in a cell
N = {"full": 10_000, "quick": 60}                           # rows of each sample; also those that are timed


QUICK_NODES, QUICK_STEPS = 12, 10
BOUND_ROWS = {"full": 1_500_000, "quick": 500}              # evaluations for the bound of a DDPM
EM_ROWS = {"full": 20_000, "quick": 500}


# ---- one part: a family, a distribution, a seed ----

def parts(effort):
    """A name for each family, distribution and seed; at effort "quick" one of each family."""
    if effort == "quick":
        return [f"{family}, {name}, 0" for family, name in zip(FAMILIES, NAMES * 2)]
    return [f"{family}, {name}, {seed}" for family in FAMILIES for name in NAMES for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """Train, then measure both directions of KL by each road, and three prices in seconds of processor time."""
    family, name, seed = part.split(", ")
    family, law, n = FAMILIES[family], LAWS[name], N[effort]
    model = family.make(effort)
    theta, train_seconds = _timed(lambda: _trained(family, model, law, effort, rng))
    y, sample_seconds = _timed(lambda: model.sample(theta, n, rng).astype(float))
    x, log_q, made = law.sample(n, rng), _remembered(lambda x: model.log_prob(theta, x)), {}
    if family.bound:
        made["bound"], density_seconds = _timed(lambda: _bound(model, theta, law, BOUND_ROWS[effort], rng))
        density_seconds *= n * model.steps / BOUND_ROWS[effort]
    else:
        _, density_seconds = _timed(lambda: log_q(x))
        made["monte carlo"] = kl_monte_carlo(law.log_prob, log_q, x)
    if family.nodes and name not in TOO_FINE:
        nodes = family.nodes if effort == "full" else QUICK_NODES
        made["quadrature"] = kl_quadrature(law.log_prob, log_q, law.bounds(), nodes)
        made["reverse quadrature"] = kl_quadrature(log_q, law.log_prob, law.bounds(), nodes)
    made["neighbors"] = kl_nearest_neighbor(x, y)
    made["reverse neighbors"] = kl_nearest_neighbor(y, law.sample(n, rng))
    results = {road: (estimate.value, estimate.stderr) for road, estimate in made.items()}
    results["seconds"] = (train_seconds, sample_seconds, density_seconds)
    if "quadrature" in made:
        results["mass"] = made["quadrature"].mass_q
    return results | (dict(samples=y[:SHOWN].astype(np.float16)) if seed == "0" else {})


def _timed(call):
    """What a call returns, and its seconds of processor time."""
    began = time.process_time()
    return call(), time.process_time() - began


def _trained(family, model, law, effort, rng):
    if isinstance(model, MixtureEM):
        return model.fit(law.sample(EM_ROWS[effort], rng), rng, steps=family.steps)
    steps = family.steps if effort == "full" else QUICK_STEPS
    return fit(model, model.init(rng), law, rng, steps=steps, recipe=family.recipe)


def _remembered(log_density):
    """The same function, which keeps what it has computed: both directions of KL need it at the same nodes."""
    known = {}

    def again(x):
        key = x.tobytes()
        if key not in known:
            known[key] = np.asarray(log_density(x), float)
        return known[key]
    return again


def _bound(model, theta, law, evaluations, rng):
    """The bound (4) of ddpm.py less the entropy, which is at least KL(law || model), by draws at every t.

    The numbers of draws are in proportion to the weights w_t, so that no t has more than its share of the error.
    """
    def denoise(x, sigma):
        return model.denoise(theta, x, sigma)

    c, w = bound_coefficients(model.chain, model.dim)
    draws = np.maximum(evaluations * w / w.sum(), 2).astype(int)
    value, variance, x0 = c.sum() - law.entropy(), 0.0, law.sample(evaluations // 10, rng)
    value += last_term(model.chain, x0).mean()
    for t in range(1, model.steps + 1):
        x0, eps = law.sample(draws[t], rng), rng.standard_normal((draws[t], model.dim))
        error = noise_error(model.chain, denoise, x0, t, eps)                     # |eps - eps_hat|^2
        value += w[t] * error.mean()
        variance += w[t] ** 2 * error.var(ddof=1) / draws[t]
    return Estimate(value, float(np.sqrt(variance)), evaluations)


# ---- all parts together ----

ROADS = ("quadrature", "monte carlo", "neighbors", "bound", "reverse quadrature", "reverse neighbors")


def gather(effort, parts):
    """roads (family, distribution, seed, road, value and error), NaN: none; seconds (..., 3); mass; samples."""
    seeds = SEEDS if effort == "full" else 1
    shape = (len(FAMILIES), len(NAMES), seeds)
    roads, seconds = np.full((*shape, len(ROADS), 2), np.nan), np.full((*shape, 3), np.nan)
    mass = np.full(shape, np.nan)
    samples = np.full((len(FAMILIES) + 1, len(NAMES), SHOWN if effort == "full" else N[effort], 2), np.nan, np.float16)
    for column, name in enumerate(NAMES):
        samples[0, column] = LAWS[name].sample(samples.shape[2], np.random.default_rng(column))
    for part, found in parts.items():
        family, name, seed = part.split(", ")
        at = list(FAMILIES).index(family), NAMES.index(name), int(seed)
        for i, road in enumerate(ROADS):
            roads[(*at, i)] = found.get(road, (np.nan, np.nan))
        seconds[at], mass[at] = found["seconds"], found.get("mass", np.nan)
        if seed == "0":
            samples[at[0] + 1, at[1]] = found["samples"]
    return dict(seeds=seeds, families=list(FAMILIES), names=NAMES, roads=roads.astype(np.float32),
                seconds=seconds.astype(np.float32), mass=mass, samples=samples)


# ---- what it shows ----

WINDOW_OF_A_CELL = ((-3.5, 3.5), (-3.5, 3.5))
MARKERS = dict(zip(NAMES, "osv^DPX"))
FINE = ("GAN", "MADE on bits")                              # whose errors are finer than the distance to a neighbor
UNRESOLVED = 5e-4                                           # by hand
LEAST = 2e-5                                                # the left end of the axis of nats
MIXTURES = NAMES[:4]
LABELS = {"mixture by EM": "mixture\nby EM", "autoregressive": "auto-\nregressive", "MADE on bits": "MADE\non bits",
          "flow matching": "flow\nmatching"}
COLORS = style.COLORS | {"second diffusion": style.SECOND_DIFFUSION}


def road(results, name):
    """Value and error (family, distribution, seed) of one road."""
    return np.moveaxis(results["roads"][..., ROADS.index(name), :], -1, 0)


def forward(results):
    """KL(p_data || p_model) and its error (family, distribution, seed): by quadrature, else Monte Carlo, else a bound.

    Quadrature counts where the mass that it finds is 1 within UNRESOLVED: elsewhere the model has details finer
    than the cells.  (The error that it states is that of a coarser rule, far above its own.)
    """
    value, error = road(results, "bound")
    for name in ("monte carlo", "quadrature"):
        better, its_error = road(results, name)
        if name == "quadrature":
            better = np.where(np.abs(results["mass"] - 1) > UNRESOLVED, np.nan, better)
        value, error = np.where(np.isnan(better), (value, error), (better, its_error))
    return value, error


def backward(results):
    """KL(p_model || p_data) (family, distribution, seed): by quadrature, elsewhere by neighbors.

    Every density here is positive beside the board, where p_data is 0: there it is infinite.
    """
    exact, neighbors = road(results, "reverse quadrature")[0], road(results, "reverse neighbors")[0]
    value = np.where(np.isnan(exact), neighbors, exact)
    value[:, NAMES.index(JUMPS)] = np.inf
    return value


def worst(results, family, names):
    """The largest KL of all seeds on these distributions."""
    columns = [list(results["names"]).index(name) for name in names]
    return float(forward(results)[0][list(results["families"]).index(family), columns].max())


def mean(results, family, names=MIXTURES):
    """The mean over seeds and distributions."""
    columns = [list(results["names"]).index(name) for name in names]
    return float(forward(results)[0][list(results["families"]).index(family), columns].mean())


def apart(results, one, other, most=np.inf, but=()):
    """The largest distance of two roads in joint errors, where the first says less than `most` nats.

    Without the checkerboard, at whose edges a model errs on less than the distance to a neighbor, and without
    the families in `but`.
    """
    smooth = [i for i, name in enumerate(NAMES) if name != JUMPS]
    kept = [i for i, family in enumerate(results["families"]) if family not in but]
    (a, da), (b, db) = (road(results, name)[:, kept][:, :, smooth] for name in (one, other))
    off = np.abs(a - b) / np.hypot(da, db)
    return float(np.nan_to_num(np.where(a < most, off, 0)).max())             # NaN: one of them has no such road


def claim(results):
    """The means over four distributions, and how far the roads are apart."""
    means = ", ".join(f"{family} {mean(results, family):.{digits}f}" for family, digits in (
        ("autoregressive", 4), ("diffusion", 3), ("VAE", 3), ("GAN", 2)))
    return (f"On four mixtures, KL in nats: {means}; but for GAN and MADE neighbors agree within "
            f"{apart(results, 'monte carlo', 'neighbors', 0.5, FINE):.1f} errors.")


def checks(results):
    """What the picture says."""
    flow = [mean(results, "flow matching", [name]) / mean(results, "diffusion", [name]) for name in ("ring", "spirals")]
    means = {family: mean(results, family) for family in FAMILIES}
    mass = np.abs(results["mass"] - 1)
    return {
        "autoregressive at most 0.002 nats in every seed on ring, grid, moons, spirals and banana":
            worst(results, "autoregressive", (*MIXTURES, "banana")) <= 0.002,
        "diffusion at most 0.01 nats in every seed on ring, grid and moons":
            worst(results, "diffusion", MIXTURES[:3]) <= 0.01,
        "diffusion at most 0.015 nats in every seed on spirals": worst(results, "diffusion", ["spirals"]) <= 0.015,
        "flow matching within a factor 2 of diffusion on ring and spirals": max(flow) <= 2,
        "VAE at most 0.01 nats on ring and moons": worst(results, "VAE", ("ring", "moons")) <= 0.01,
        "VAE at most 0.06 nats on grid": worst(results, "VAE", ["grid"]) <= 0.06,
        "VAE at most 0.06 nats on spirals": worst(results, "VAE", ["spirals"]) <= 0.06,
        "GAN at most 0.15 nats on the four mixtures": worst(results, "GAN", MIXTURES) <= 0.15,
        "autoregressive the nearest of all on the four mixtures": min(means, key=means.get) == "autoregressive",
        "then mixture by EM, diffusion and flow matching, before VAE and GAN":
            max(means[family] for family in ("mixture by EM", "diffusion", "flow matching")) < min(means["VAE"], means["GAN"]),
        "diffusion, flow matching and VAE nearer than the GAN on the four mixtures":
            max(means[family] for family in ("diffusion", "flow matching", "VAE")) < means["GAN"],
        "quadrature and Monte Carlo agree within 5 joint errors": apart(results, "quadrature", "monte carlo") <= 5,
        "neighbors and Monte Carlo agree within 5 joint errors below 0.5 nats, but for GAN, MADE and the checkerboard":
            apart(results, "monte carlo", "neighbors", 0.5, FINE) <= 5,
        "of GAN and MADE, whose errors are finer than balls of neighbors, they see less":
            apart(results, "monte carlo", "neighbors", 0.5) > 5,
        "the samples of DDPM keep its bound within 5 joint errors": ddpm_over_bound(results) <= 5,
        "densities have mass 1 within 0.005": float(np.nan_to_num(mass).max()) <= 0.005,
    }


def ddpm_over_bound(results):
    """By how many joint errors the samples' KL is above the bound, at most."""
    (bound, error), (neighbors, other) = road(results, "bound"), road(results, "neighbors")
    return float(np.nan_to_num((neighbors - bound) / np.hypot(error, other)).max())


def readme(results):
    """The table of the README: mean over seeds +- its standard error, and the seconds of one training."""
    names = [str(name) for name in results["names"]]
    lines = [f"| | {' | '.join(names)} | seconds to train |", "|---" * (len(names) + 2) + "|"]
    value, _ = forward(results)                             # (family, distribution, seed)
    for label, row, seconds in zip(results["families"], value, results["seconds"][..., 0].mean(axis=(1, 2))):
        error = row.std(axis=1, ddof=1) / np.sqrt(row.shape[1])
        bound = "at most " if FAMILIES[str(label)].bound else ""
        cells = [f"{bound}{mean:.{digits}f} +- {off:.{digits}f}" for mean, off, digits in
                 zip(row.mean(axis=1), error, [5 if mean < 1e-3 else 4 if mean < 0.01 else 3 if mean < 0.1 else 2
                                                      for mean in row.mean(axis=1)])]
        lines.append(f"| {label} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def draw(results):
    """A row of samples for each family, nats in both directions under each cell, and marks on an axis of nats."""
    families, names = list(results["families"]), list(results["names"])
    (value, _), back = forward(results), backward(results)
    fig = style.figure(10.4, FINDING, SETTINGS)
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.01)
    axes = fig.subplots(len(families) + 1, len(names) + 1, width_ratios=[1] * len(names) + [2.4])
    for row, label in enumerate(["the truth", *families]):
        family = FAMILIES.get(label)
        color = COLORS[family.color if family else "truth"]
        for column, ax in enumerate(axes[row, :-1]):
            ax.plot(*results["samples"][row, column].astype(float).T, ".", ms=1.1, mew=0, color=color)
            style.plane(ax, WINDOW_OF_A_CELL)
            if not family:
                ax.set_title(names[column])
                continue
            text = dict(transform=ax.transAxes, va="top", fontsize=8)
            said = ("< " if family.bound else "") + nats(value[row - 1, column].mean())
            ax.text(0.48, 0.0, said, color=color, ha="right", **text)
            ax.text(0.54, 0.0, nats(back[row - 1, column].mean()), color="#888888", ha="left", **text)
        axes[row, 0].set_ylabel(LABELS.get(label, label), color=color, fontsize=9, fontweight="bold")
        if family:
            _seeds(axes[row, -1], value[row - 1], color, family.bound, last=row == len(families))
    _key(axes[0, -1], names)
    return fig


def nats(value):
    """Two digits, five decimals at most."""
    return "inf" if np.isinf(value) else f"{value:.{5 if abs(value) < 1e-4 else 4 if value < 0.01 else 3 if value < 0.1 else 2}f}"


def _seeds(ax, value, color, is_open, last):
    """A marker for each seed (7, seeds), the distributions one below the other, on one axis of nats."""
    for height, (name, seeds) in enumerate(zip(NAMES, value)):
        ax.plot(np.maximum(seeds, LEAST), np.full_like(seeds, -height), MARKERS[name], ms=4, mew=0.8, color=color,
                mfc="none" if is_open else color, alpha=0.75, clip_on=False)
        ax.axhline(-height, color="#EEEEEE", lw=0.8, zorder=0)
    ax.set(xscale="log", xlim=(LEAST, 12), ylim=(0.5 - len(NAMES), 0.5), yticks=[])
    ax.grid(axis="x", color="#EEEEEE")
    ax.minorticks_off()
    ax.spines[["left", "bottom"]].set_visible(last)
    ax.spines["left"].set_visible(False)
    ax.tick_params(labelbottom=last, length=3 if last else 0)
    if last:
        ax.set_xlabel("nats missed")


def _key(ax, names):
    """The marker of each distribution, in two columns."""
    ax.set_axis_off()
    for i, name in enumerate(names):
        at = 0.58 * (i % 2) + 0.03, 0.9 - 0.24 * (i // 2)
        ax.plot(*at, MARKERS[name], ms=5, color=style.COLORS["truth"], transform=ax.transAxes)
        ax.text(at[0] + 0.06, at[1], name, transform=ax.transAxes, va="center", fontsize=8)
