"""Flow matching with random and with transported pairs: how straight the paths are, and what few steps cost."""
from itertools import pairwise

import numpy as np

from figures import style
from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.implicit.diffusion import samplers
from scratch.implicit.diffusion.denoiser import SIGMA_MAX, SIGMA_MIN, Diffusion
from scratch.implicit.diffusion.flow_matching import FlowMatching, euler, independent, minibatch_optimal_transport
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

SECTION = "1.5"
FINDING = "Transported pairs straighten paths: few Euler steps err less, many more"
SETTINGS = ("Above: three modes on a line (shade: exact density of x at time t), network 64-64-64, 2,000 steps of"
            " 256. Below: ring, network 128-128-128, 4,000 steps of 256; 8,000 samples; KL(law || samples) by "
            "nearest neighbors. Pairs are transported within each batch. 3 seeds: dots, bar 1 s.e.; line: their "
            "mean; above, the first one.")

LINE = GaussianMixture([[-2.0], [0.2], [2.0]], [[[0.03]], [[0.1]], [[0.02]]], [0.3, 0.4, 0.3])
COUPLINGS = {"random": independent, "transported": minibatch_optimal_transport}
COUNTS = {"quick": (1, 2), "full": (1, 2, 4, 8, 16, 32, 64)}
X = np.linspace(-3.6, 3.6, 141)
BATCH, FINE, PATHS = 256, 64, 24
RECIPE = Recipe(Adam(3e-3, beta2=0.99), batch_size=BATCH)
COLORS = {"random": style.COLORS["diffusion"], "transported": style.SECOND_DIFFUSION,
          "diffusion": style.COLORS["diffusion"]}


def parts(effort):
    seeds = range(3 if effort == "full" else 1)
    return ([f"line {name} {seed}" for seed in seeds for name in COUPLINGS]
            + [f"ring {name} {seed}" for seed in seeds for name in (*COUPLINGS, "diffusion")])


def compute_part(part, effort, rng):
    """Line: pairs and paths of a batch, and their bend.  Ring: KL against the number of Euler steps."""
    where, name, _ = part.split()
    if where == "line":
        return _line(COUPLINGS[name], effort, rng)
    steps, hidden, n = (10, (8,), 200) if effort == "quick" else (4000, (128, 128, 128), 8000)
    law = LAWS["ring"]
    x, noise = law.sample(n, rng), rng.standard_normal((n, 2)).astype(np.float32)
    if name == "diffusion":
        model = Diffusion(2, hidden=hidden)
        theta = fit(model, model.init(rng), law, rng, steps=steps, recipe=RECIPE)
        start = np.hypot(SIGMA_MAX, model.sigma_data).astype(np.float32) * noise
        made = [samplers.euler(lambda x, sigma: model.denoise(theta, x, sigma), start,
                               samplers.karras_sigmas(max(count, 2), SIGMA_MIN, SIGMA_MAX))
                for count in COUNTS[effort]]                # its schedule has two levels: 1 is a placeholder
    else:
        model = FlowMatching(2, hidden=hidden, coupling=COUPLINGS[name])
        theta = fit(model, model.init(rng), law, rng, steps=steps, recipe=RECIPE)
        made = [euler(lambda x, t: model.velocity(theta, x, t), noise, np.linspace(1, 0, count + 1).tolist())
                for count in COUNTS[effort]]
    kls = [kl_nearest_neighbor(x, y.astype(float)) for y in made]
    return dict(kls=[(kl.value, kl.stderr) for kl in kls])


def _line(coupling, effort, rng):
    """Ends (2, PATHS) of paired lines, paths (FINE + 1, PATHS) of the trained flow, and its bend."""
    steps, hidden = (10, (8,)) if effort == "quick" else (2000, (64, 64, 64))
    model = FlowMatching(1, hidden=hidden, coupling=coupling)
    theta = fit(model, model.init(rng), LINE, rng, steps=steps, recipe=RECIPE)
    x0, eps = LINE.sample(BATCH, rng), rng.standard_normal((BATCH, 1))

    def velocity(x, t):
        return model.velocity(theta, x, t)

    path, bend = follow(velocity, np.linspace(-2.2, 2.2, PATHS)[:, None])[0], follow(velocity, eps)[1]
    pairs = np.stack([x0[:, 0], coupling(x0, eps)[:, 0]])[:, rng.permutation(BATCH)[:PATHS]]
    return dict(pairs=pairs.astype(np.float32), paths=path[..., 0].astype(np.float32), bend=bend)


def follow(velocity, noise):
    """The path (FINE + 1, n, D) from noise, and its bend: E|v - chord|^2 over E|chord|^2."""
    x, path, v = noise, [noise], []
    times = np.linspace(1, 0, FINE + 1).tolist()
    for t, later in pairwise(times):
        v.append(velocity(x, t))
        x = x + (later - t) * v[-1]
        path.append(x)
    chord = noise - x
    return np.array(path), np.mean((np.array(v) - chord) ** 2) / np.mean(chord ** 2)


def gather(effort, parts):
    """Pairs and paths of the first seed, bends (seeds,), KLs (seeds, counts, 2), and the exact density over t."""
    results = dict(counts=COUNTS[effort], shade=[np.exp(_at(t).log_prob(X[:, None])) for t in np.linspace(0, 1, 81)])
    for name in COUPLINGS:
        first, seeds = parts[f"line {name} 0"], [part for key, part in parts.items() if key.startswith(f"line {name}")]
        results |= {f"{name} pairs": first["pairs"], f"{name} paths": first["paths"],
                    f"{name} bend": [part["bend"] for part in seeds]}
    for name in (*COUPLINGS, "diffusion"):
        results[f"{name} kl"] = np.stack([part["kls"] for key, part in parts.items() if key.startswith(f"ring {name}")])
    return results | dict(seeds=len(results["random kl"]), shade=np.asarray(results["shade"], np.float32))


def _at(t):
    """The exact law of x_t = (1 - t) x0 + t eps with random pairs."""
    return GaussianMixture((1 - t) * LINE.means, (1 - t) ** 2 * LINE.covariances + t ** 2, LINE.weights)


def claim(results):
    """Bends, and the KL of few and of many steps."""
    bend, other = (100 * np.mean(results[f"{name} bend"]) for name in COUPLINGS)
    random, transported = (results[f"{name} kl"][..., 0].mean(axis=0) for name in COUPLINGS)
    return (f"Bend {other:.1f} % against {bend:.0f} %; KL with {results['counts'][1]} Euler steps {transported[1]:.2f} "
            f"against {random[1]:.2f} nats, with {results['counts'][-1]} steps {transported[-1]:.3f} "
            f"against {random[-1]:.3f}.")


def checks(results):
    """For every seed."""
    random, transported = (results[f"{name} kl"][..., 0] for name in COUPLINGS)
    bend, other = (np.asarray(results[f"{name} bend"]) for name in COUPLINGS)
    return {"transported paths bend less than a fifth as much": bool(other.max() < 0.2 * bend.min()),
            "with 1, 2 and 4 steps transported pairs have the smaller KL": bool(
                (transported[:, :3].max(axis=0) < random[:, :3].min(axis=0)).all()),
            "with the most steps they have the larger KL": bool(transported[:, -1].min() > random[:, -1].max()),
            "more steps help random pairs: tenfold from 1 to the most": bool(
                (random[:, -1] < 0.1 * random[:, 0]).all())}


def draw(results):
    """On a line: lines between pairs, and learned paths; on the ring: KL against the number of Euler steps."""
    fig = style.figure(6.2, FINDING, SETTINGS)
    grid = fig.add_gridspec(2, 4, height_ratios=[1, 1.1])
    names = ("random pairs:\nlines cross", "the learned paths\ncurve", "transported pairs:\nfew lines cross",
             "the learned paths\nare straight")
    for i, (title, letter) in enumerate(zip(names, "abcd")):
        ax, name = fig.add_subplot(grid[0, i]), list(COUPLINGS)[i // 2]
        if name == "random":
            ax.imshow(np.sqrt(results["shade"]).T, origin="lower", extent=(0, 1, X[0], X[-1]), aspect="auto",
                      cmap=style.DENSITY, vmax=1.8)
        if i % 2 == 0:
            ax.plot([0, 1], results[f"{name} pairs"], color=COLORS[name], lw=0.8)
        else:
            paths = results[f"{name} paths"]
            ax.plot(np.linspace(1, 0, len(paths)), paths, color=COLORS[name], lw=0.8)
        ax.set(xlim=(1, 0), ylim=(X[0], X[-1]), xlabel="t", yticks=[-2, 0, 2] if i == 0 else [], xticks=[1, 0.5, 0])
        ax.set_xticklabels(["noise", "0.5", "data"])
        ax.set_title(f"{letter}  {title}", color=COLORS[name], loc="left")
        if i == 0:
            ax.set_ylabel("$x_t$")
    _curves(fig.add_subplot(grid[1, :]), results)
    return fig


def _curves(ax, results):
    """KL against Euler steps, a dot a seed."""
    labels = {"random": ("random pairs", "-"), "transported": ("transported pairs", "-"),
              "diffusion": ("diffusion", "--")}
    for i, (name, (label, line)) in enumerate(labels.items()):
        counts, kls = results["counts"], results[f"{name} kl"]
        if name == "diffusion":                             # its schedule needs two steps at least
            counts, kls = counts[1:], kls[:, 1:]
        ax.plot(counts, kls[..., 0].mean(axis=0), line, color=COLORS[name])
        for seed, kl in enumerate(kls):
            ax.errorbar(counts * 1.03 ** (seed - 1), *kl.T, fmt="o", ms=3.5, color=COLORS[name],
                        mfc="white" if name == "diffusion" else COLORS[name])
        at = {"random": 0, "transported": 2, "diffusion": 2}[name]
        at = min(at, len(counts) - 1)
        ax.annotate(label, (counts[at], kls[:, at, 0].mean()), (12, 6) if name != "transported" else (-8, -12),
                    textcoords="offset points", color=COLORS[name], fontweight="bold",
                    ha="left" if name != "transported" else "right")
    ax.axhline(0, color=style.COLORS["truth"], lw=0.8)
    ax.set_yscale("symlog", linthresh=0.05, linscale=0.5)
    ax.set(xscale="log", xlabel="Euler steps",
           ylabel="KL(law || samples) [nats],\nlinear below 0.05", title="e  Ring", ylim=(-0.02, 15))
    ax.set_yticks([0, 0.05, 0.1, 1, 10], ["0", "0.05", "0.1", "1", "10"])
    ax.set_xticks(results["counts"], results["counts"])
    ax.minorticks_off()
