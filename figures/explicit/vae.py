"""A VAE with one Gaussian as its prior and with learned ones: samples, codes, and nats."""
import numpy as np
from matplotlib.colors import hsv_to_rgb

from figures.style import COLORS, figure, plane
from scratch.data.distributions import LAWS
from scratch.explicit.mixture_prior import prior_views
from scratch.explicit.vae import VAE
from scratch.kernels.stable import log_softmax
from scratch.learning.training import Recipe, fit

SECTION = "1.3"
FINDING = "The prior, more than the bound, blurs a VAE's separate modes"
SETTINGS = ("Two latent coordinates, networks 128-128. ELBO: 8,000 steps of 256 fresh samples; importance bound: 8 "
            "draws, 4,000 steps of 128. KL(p_data || p_model) by quadrature over z on 2,000 rows. Dot: one of 3 "
            "seeds. Pictures: the first. Hue: angle of the data point. Circles: one standard deviation of the "
            "Gaussians of weight above 0.005.")

NAMES = ("ring", "grid", "moons", "spirals")
METHODS = {"normal": dict(prior=1), "importance": dict(prior=1, importance=True, samples=8), "mixture": {}}
LABELS = {"normal": "N(0, I), ELBO", "importance": "N(0, I), importance bound", "mixture": "64 learned Gaussians, ELBO"}
SEEDS = 3
GRAY = "#808080"                                            # N(0, I): the baseline, dark enough for dots and text


def parts(effort):
    """A distribution, a method and a seed each; the importance bound where modes are separate."""
    return [f"{name} {method} {seed}" for name in NAMES for method in METHODS for seed in range(SEEDS)
            if method != "importance" or name in NAMES[:2]]


def compute_part(part, effort, rng):
    """KL and its error; of seed 0 also samples, codes, and the prior's Gaussians."""
    name, method, seed = part.split()
    steps, sizes, n, nodes = (3, dict(hidden=(8,)), 40, 30) if effort == "quick" else (8000, {}, 2000, None)
    law, model = LAWS[name], VAE(2, **sizes, **METHODS[method])
    recipe = Recipe(model.recipe.optimizer, batch_size=128) if method == "importance" else None
    theta = fit(model, model.init(rng), law, rng, steps=steps // 2 if method == "importance" else steps, recipe=recipe)
    x = law.sample(n, rng)
    excess = law.log_prob(x) - model.log_prob(theta, x, nodes=nodes)
    results = dict(kl=excess.mean(), error=excess.std(ddof=1) / np.sqrt(n))
    if seed == "0" and method != "importance":
        mean, log_std = model.encode(theta, x[:600])
        codes = mean + np.exp(log_std) * rng.standard_normal(mean.shape)
        results |= dict(data=np.float32(x[:600]), codes=np.float32(codes),
                        samples=np.float32(model.sample(theta, 1000, rng)))
        if method == "mixture":
            means, log_stds, logits = prior_views(model.split(theta)[2], model.latent)
            results["prior"] = np.float32([*means, *np.exp(log_stds), np.exp(log_softmax(logits)[0])])         # (5, K)
    return results


def gather(effort, parts):
    """KLs (laws, methods, seeds), NaN for what was not computed, and the pictures."""
    missing = dict(kl=np.nan, error=np.nan)
    results = {key: [[[parts.get(f"{name} {method} {seed}", missing)[key] for seed in range(SEEDS)]
                      for method in METHODS] for name in NAMES] for key in ("kl", "error")}
    for name in NAMES:
        for method in ("normal", "mixture"):
            results |= {f"{name}_{method}_{key}": value for key, value in parts[f"{name} {method} 0"].items()
                        if key not in ("kl", "error")}
    return results | dict(seeds=SEEDS)


def claim(results):
    """The nats of ring and grid under each method."""
    normal, importance, mixture = results["kl"][:2].mean(axis=2).T
    return (f"On ring and grid a normal prior stays {normal[0]:.2f} and {normal[1]:.2f} nats away, "
            f"{importance[0]:.2f} and {importance[1]:.2f} under a tighter bound; "
            f"learned Gaussians {mixture[0]:.3f} and {mixture[1]:.3f}.")


def checks(results):
    """The default VAE in every seed; on separate modes the prior matters more than the bound."""
    normal, importance, mixture = np.moveaxis(results["kl"], 1, 0)
    most = np.array([0.01, 0.02, 0.01, 0.06])
    return {"learned Gaussians within 0.01 (ring, moons), 0.02 (grid), 0.06 (spirals) in every seed":
                bool((mixture < most[:, None]).all()),
            "on ring and grid they are at least ten times closer than N(0, I), in every seed":
                bool((10 * mixture[:2].max(axis=1) < normal[:2].min(axis=1)).all()),
            "on ring and grid the importance bound leaves more than a third of the nats":
                bool((importance[:2].mean(axis=1) > normal[:2].mean(axis=1) / 3).all())}


def hues(x):
    """A color of middle lightness for the angle of each point."""
    angle = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) % 1
    return hsv_to_rgb(np.stack([angle, np.full(len(x), 0.85), np.full(len(x), 0.8)], axis=1))


def draw(results):
    """A column a law: data, samples under both priors, codes under both; at the right the nats."""
    fig = figure(7.0, FINDING, SETTINGS)
    panels = fig.subplot_mosaic([[f"{name} {row}" for name in NAMES] + ["nats"] for row in range(5)],
                                width_ratios=[1, 1, 1, 1, 1.7])
    turn = np.linspace(0, 2 * np.pi, 60)
    for name in NAMES:
        axes = [panels[f"{name} {row}"] for row in range(5)]
        data = results[f"{name}_mixture_data"]
        reach = 1.08 * np.abs(data).max()
        axes[0].scatter(*data.T, c=hues(data), s=3, lw=0)
        axes[0].set_title(name, fontweight="bold")
        for ax, method, shade in ((axes[1], "normal", GRAY), (axes[2], "mixture", COLORS["vae"])):
            ax.plot(*results[f"{name}_{method}_samples"].T, ".", ms=2.2, mew=0, color=shade)
        for ax in axes[:3]:
            plane(ax, [(-reach, reach)] * 2)
        for ax, method in ((axes[3], "normal"), (axes[4], "mixture")):
            codes = results[f"{name}_{method}_codes"]
            ax.scatter(*codes.T, c=hues(results[f"{name}_{method}_data"]), s=3, lw=0)
            gaussians = results[f"{name}_mixture_prior"].T if method == "mixture" else [(0, 0, 1, 1, 1)]
            for m1, m2, s1, s2, weight in gaussians:
                if weight > 0.005:
                    ax.plot(m1 + s1 * np.cos(turn), m2 + s2 * np.sin(turn), color="#444444", lw=0.5)
            plane(ax, [(-far, far) for far in [1.1 * np.abs(codes).max()] * 2])
    rows = "data", "samples,\nN(0, I)", "samples,\nlearned", "codes,\nN(0, I)", "codes,\nlearned"
    for row, label in enumerate(rows):
        ax = panels[f"ring {row}"]
        ax.text(-0.06, 0.5, label, ha="right", va="center", transform=ax.transAxes)
    _nats(panels["nats"], results["kl"])
    return fig


def _nats(ax, kl):
    """A dot a seed, a row a method, a band a law."""
    marks = {"normal": dict(color=GRAY, marker="o"), "importance": dict(color=GRAY, marker="^"),
             "mixture": dict(color=COLORS["vae"], marker="o")}
    for row, name in enumerate(NAMES):
        ax.axhline(0.2 - row, color=COLORS["baseline"], lw=0.6)
        ax.text(2.2e-4, 0.15 - row, name, fontweight="bold", va="top")
        for column, method in enumerate(METHODS):
            ax.plot(np.maximum(kl[row, column], 3e-4), np.full(SEEDS, -row - 0.25 * column), ls="", ms=5, mew=0,
                    alpha=0.8, **marks[method])
    for column, method in enumerate(METHODS):
        left = method == "mixture"                          # where its dots leave room
        x = 1.5 * kl[0, column].max() if left else kl[0, column].min() / 1.4
        ax.text(x, -0.25 * column, LABELS[method], fontsize=8, ha="left" if left else "right", va="center",
                color=marks[method]["color"])
    ax.set(xscale="log", xlim=(2e-4, 2), ylim=(-3.8, 0.2), xlabel="KL(p_data || p_model) [nats]", yticks=[])
    ax.spines["left"].set_visible(False)
