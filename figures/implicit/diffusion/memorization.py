"""The denoiser that fits N training rows best hands them back; does the learned one?"""
import numpy as np
from scipy.spatial import cKDTree
from scipy.special import softmax

from figures import style
from scratch.data.distributions import LAWS
from scratch.divergence.nearest_neighbor import kl_adaptive_neighbors
from scratch.grid import midpoints
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.samplers import heun, karras_sigmas
from scratch.learning.training import train

SECTION = "1.5"
FINDING = "With few rows a diffusion model copies them; with many it generalizes"
SETTINGS = ("Moons (shade: exact density). Crosses: the N training rows; dots: 300 samples, 32 Heun steps. Best "
            "for the rows: the exact denoiser of the N rows. Network 128-128-128, 4,000 steps of 512. A copy is a"
            " sample nearer to a row than 95 % of fresh draws of the law are. Small dots: 3 seeds; line: their "
            "mean; 3,000 samples each.")

LAW = LAWS["moons"]
WINDOW = ((-2.1, 2.1), (-1.6, 1.6))
PIXELS = 120
NEAR = 0.05                    # the share of fresh draws of the law that count as copies
SIZES = {"quick": (4,), "full": (16, 64, 256, 1024, 4096)}
CHECKPOINTS = {"quick": (2, 4), "full": (500, 4000)}
SHOWN = (16, 64, 1024)


def parts(effort):
    return [f"{size} {seed}" for size in SIZES[effort] for seed in range(3 if effort == "full" else 1)]


def empirical_denoiser(rows):
    """E[x0 | x0 + sigma eps = x] when x0 is one of the rows, each equally likely: a mean of rows, by nearness."""
    def denoise(x, sigma):
        square = np.sum(x * x, axis=1)[:, None] - 2 * x @ rows.T + np.sum(rows * rows, axis=1)
        return softmax(-square / (2 * sigma ** 2), axis=1) @ rows
    return denoise


def compute_part(part, effort, rng):
    """For one number of rows: train, sample at two times, and compare with the rows and with the law."""
    (size, seed), (hidden, n) = map(int, part.split()), ((8,), 30) if effort == "quick" else ((128, 128, 128), 3000)
    rows, fresh, sigmas = LAW.sample(size, rng), LAW.sample(n, rng), karras_sigmas(32)
    start = sigmas[0] * rng.standard_normal((n, 2))
    samples = [heun(empirical_denoiser(rows), start, sigmas)]
    model = Diffusion(2, hidden=hidden)
    repeated = np.repeat(rows, max(1, 512 // size), axis=0)                       # batches of 512 for every N
    for state in train(model, model.init(rng), repeated, rng, steps=CHECKPOINTS[effort][-1]):
        if state.step in CHECKPOINTS[effort]:
            theta = state.average
            samples.append(heun(lambda x, sigma: model.denoise(theta, x, sigma), start, sigmas).astype(float))
    tree = cKDTree(rows)
    radius = np.quantile(tree.query(fresh)[0], NEAR)
    results = dict(copies=[np.mean(tree.query(x)[0] < radius) for x in samples],
                   kl=kl_adaptive_neighbors(fresh, samples[-1]).value)
    if seed == 0 and size in SHOWN:
        results |= {f"rows {size}": rows.astype(np.float32),
                    f"samples {size}": np.asarray([samples[0][:300], samples[-1][:300]], np.float32)}
    return results


def gather(effort, parts):
    """copies (sizes, seeds, [empirical, early, late]), KL of the last (sizes, seeds), and pictures."""
    sizes, nodes = SIZES[effort], midpoints(WINDOW, PIXELS)[0]
    density, results = np.exp(LAW.log_prob(nodes)).reshape(PIXELS, PIXELS), {}
    for part in parts.values():
        results |= {key: value for key, value in part.items() if key not in ("copies", "kl")}
    copies = np.reshape([part["copies"] for part in parts.values()], (len(sizes), -1, 3))
    kls = np.reshape([part["kl"] for part in parts.values()], (len(sizes), -1))
    return results | dict(seeds=copies.shape[1], sizes=sizes, checkpoints=CHECKPOINTS[effort], copies=copies, kls=kls,
                          shade=np.uint8(255 * density / density.max()))


def claim(results):
    """Shares of copies of the trained network, and its KL."""
    share, kls, sizes = 100 * results["copies"][:, :, 2].mean(axis=1), results["kls"].mean(axis=1), results["sizes"]
    middle = len(sizes) - 2
    return (f"Of its samples {share[0]:.0f} % are copies for {sizes[0]} rows and {share[middle]:.0f} % for "
            f"{sizes[middle]:,}; its KL falls from {kls[0]:.1f} to {kls[middle]:.2f} nats.")


def checks(results):
    """Few rows are copied, many are not; stopping early copies less; the best denoiser copies always."""
    best, early, late = np.moveaxis(results["copies"], 2, 0)
    return {"the best denoiser copies 99 % or more, always": bool(best.min() > 0.99),
            "the network copies 90 % or more of the fewest rows, every seed": bool(late[0].min() > 0.9),
            "at most 10 % of the two largest numbers of rows, every seed": bool(late[-2:].max() < 0.1),
            "earlier it copies less, at the two smallest numbers, every seed": bool((early[:2] < late[:2]).all()),
            "the KL falls tenfold, every seed": bool((results["kls"][-2:][0] < 0.1 * results["kls"][0]).all())}


def draw(results):
    """Rows and samples, above of the best denoiser, below of the network; right, copies against N."""
    fig = style.figure(4.4, FINDING, SETTINGS)
    grid = fig.add_gridspec(2, 4, width_ratios=[1, 1, 1, 1.15])
    shown = [size for size in SHOWN if f"rows {size}" in results]
    kinds = ("best for the rows", style.COLORS["mixture"]), ("network", style.COLORS["diffusion"])
    for column, size in enumerate(shown):
        for row, (kind, color) in enumerate(kinds):
            ax = fig.add_subplot(grid[row, column])
            ax.imshow(results["shade"].T, origin="lower", extent=sum(WINDOW, ()), cmap=style.DENSITY, vmin=0, vmax=700)
            few = size < 100
            cross = dict(ms=4, mew=0.8, zorder=3) if few else dict(ms=2.5, mew=0.4, zorder=1)
            ax.plot(*results[f"samples {size}"][row].T, "o", ms=6 if few else 3, mew=0, color=color, alpha=0.55)
            ax.plot(*results[f"rows {size}"].T, "kx", **cross)
            style.plane(ax, WINDOW)
            if row == 0:
                ax.set_title(f"N = {size:,}")
            if column == 0:
                ax.set_ylabel(kind, color=color)
    _copies(fig.add_subplot(grid[:, 3]), results)
    return fig


def _copies(ax, results):
    """The share of copies against N, a dot a seed."""
    sizes, (early, late) = results["sizes"], results["checkpoints"]
    curves = (("best for\nthe rows", style.COLORS["mixture"], "-", (256, 88)),
              (f"{early:,} steps", style.SECOND_DIFFUSION, "--", (15.5, 25)),
              (f"network,\n{late:,} steps", style.COLORS["diffusion"], "-", (120, 52)))
    for which, (label, color, line, (at, height)) in enumerate(curves):
        share = 100 * results["copies"][:, :, which]
        ax.plot(sizes, share, "o", ms=3.5, color=color)
        ax.plot(sizes, share.mean(axis=1), line, color=color)
        ax.text(at, height, label, color=color, va="center")
    ax.axhline(100 * NEAR, color=style.COLORS["truth"], lw=0.8)
    ax.text(sizes[0], 100 * NEAR - 1.5, "fresh draws", va="top", fontsize=8)
    ax.set(xscale="log", xlabel="training rows N", ylim=(-3, 103), ylabel="copies among the samples [%]")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
