"""Six bugs of tests/known_bugs/, trained beside the right code: their losses, their nats to the truth, their gradients.

Adam divides each coordinate of the gradient by its own size.  So a wrong gradient whose signs are mostly
right makes a loss fall as smoothly as the right one, and often as low.  Each bug here is a wrong model: it
has the loss that the wrong code would print, and the gradient that it would follow.  The nats are
KL(p_data || p_model) by the right model's log p at the parameters that the wrong code has learned.
"""
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

from figures.learning.certificate import MOST_COMPLEX, errors
from figures.style import ACCENT, figure
from scratch.data.discrete import Brackets
from scratch.data.distributions import LAWS
from scratch.explicit import autoregressive, transformer
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.transformer import Transformer
from scratch.explicit.vae import VAE
from scratch.family_tree import MODELS
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.gan import GAN
from scratch.kernels.dense import mlp_views
from scratch.learning.gradient_check import gradient
from scratch.learning.training import train

SECTION = "trust"
FINDING = "A falling loss is no evidence of a right gradient"
SETTINGS = ("2,500 to 4,000 steps of Adam (GAN 1,500, transformer 800); 3 seeds, one line or dot each, the same "
            "start and batches; GAN: the discriminator's loss; KL on 2,000 rows; dotted: the limit of the check")
SEEDS = 3
RIGHT = "#777777"
TITLES = {"autoregressive": "autoregressive mixture, spirals", "transformer": "transformer, brackets",
          "vae": "VAE, moons", "gan": "GAN, ring", "diffusion": "diffusion, moons"}


@dataclass(frozen=True)
class Wrong:
    """A model with another loss: wrong(model, theta, x, noise) -> (what is printed, what is followed)."""
    model: object
    wrong: Callable

    def loss(self, theta, x, noise):
        return self.wrong(self.model, theta, x, noise)

    def draw_noise(self, rng, n):
        return self.model.draw_noise(rng, n)

    @property
    def recipe(self):
        recipe = self.model.recipe
        return recipe if recipe.anneal is None else replace(
            recipe, anneal=lambda wrong, done: Wrong(recipe.anneal(wrong.model, done), wrong.wrong))


# ---- the six bugs ----

def kl_twice(model, theta, x, noise):
    """B6: the gradient of the KL is doubled."""
    return model.loss(theta, x, noise)[0], replace(model, beta=2.0).loss(theta, x, noise)[1]


def variance_for_std(model, theta, x, noise):
    """B4: z = m + std^2 eps, with the gradient of z = m + std eps."""
    _, log_std = model.encode(theta, x)
    return model.loss(theta, x, np.exp(log_std) * noise)


def no_penalty(model, theta, x, noise):
    """B18: the penalty is in the loss and not in the gradient."""
    return model.loss(theta, x, noise)[0], replace(model, gamma=0.0).loss(theta, x, noise)[1]


def low_noise_left_out(model, theta, x, noise):
    """B24: no level below 0.2 is trained; the gradient is that of this loss."""
    eps, sigma = noise
    return model.loss(theta, x, (eps, np.maximum(sigma, 0.2)))


def mlp_without_silu_slope(theta, x, widths):
    """B15: the perceptron whose pullback leaves out silu'."""
    W, b = zip(*mlp_views(theta, widths))
    h = [x]
    for l in range(len(W) - 1):
        a = h[l] @ W[l] + b[l]
        h.append(a * (0.5 + 0.5 * np.tanh(0.5 * a)))
    y = h[-1] @ W[-1] + b[-1]

    def pull(dy, need_dx=True):
        dtheta = np.empty(theta.shape, np.result_type(theta, x, dy))
        (dW, db), da = zip(*mlp_views(dtheta, widths)), dy
        for l in reversed(range(len(W))):
            dW[l][...], db[l][...] = h[l].T @ da, da.sum(axis=0)
            da = da @ W[l].T                                # and not times silu'(a)
        return dtheta, da
    return y, pull


def attention_with_diagonal_softmax(q, k, v):
    """B11: the Jacobian of the softmax is taken for diag(a (1 - a))."""
    (T, d), S = q.shape[-2:], k.shape[-2]
    y, pull_right = transformer_attention(q, k, v)
    scores = np.where(np.arange(S) <= np.arange(S - T, S)[:, None], q @ k.swapaxes(-1, -2) / d ** 0.5, -np.inf)
    a = np.exp(scores - np.max(scores.real, axis=-1, keepdims=True))
    a /= np.sum(a, axis=-1, keepdims=True)

    def pull(dy):
        dscores = a * (1 - a) * (dy @ v.swapaxes(-1, -2)) / d ** 0.5
        return dscores @ k, dscores.swapaxes(-1, -2) @ q, pull_right(dy)[2]
    return y, pull


transformer_attention = transformer.causal_attention


@contextmanager
def exchanged(module, name, function):
    """module.name is `function` inside."""
    kept = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, kept)


def with_mlp(model, theta, x, noise):
    with exchanged(autoregressive, "mlp", mlp_without_silu_slope):
        return model.loss(theta, x, noise)


def with_attention(model, theta, x, noise):
    with exchanged(transformer, "causal_attention", attention_with_diagonal_softmax):
        return model.loss(theta, x, noise)


def right(model, theta, x, noise):
    return model.loss(theta, x, noise)


BUGS = {
    "B15": ("autoregressive", with_mlp, "silu' left out"),
    "B11": ("transformer", with_attention, "softmax's Jacobian diagonal"),
    "B4": ("vae", variance_for_std, "variance for std"),
    "B6": ("vae", kl_twice, "KL's gradient doubled"),
    "B18": ("gan", no_penalty, "penalty not in the gradient"),
    "B24": ("diffusion", low_noise_left_out, "low noise never trained"),
}


def settings(effort):
    """Name -> (model, law, steps)."""
    quick = effort == "quick"
    hidden, width, length = ((8,), 8, 4) if quick else ((64, 64), 32, 12)
    chosen = {
        "autoregressive": (AutoregressiveMixture(2, hidden=hidden), LAWS["spirals"], 2500),
        "transformer": (Transformer(length, classes=4, width=width, heads=4, layers=2), Brackets(length), 800),
        "vae": (VAE(2, hidden=hidden, prior=1), LAWS["moons"], 3000),
        "gan": (GAN(2, hidden=hidden), LAWS["ring"], 1500),
        "diffusion": (Diffusion(2, hidden=hidden), LAWS["moons"], 4000),
    }
    return {name: (model, law, 10 if quick else steps) for name, (model, law, steps) in chosen.items()}


# Where the gradients are checked: a model of MODELS, with some sizes changed.
SMALL = {"autoregressive": ("AutoregressiveMixture", {}), "transformer": ("Transformer", dict(width=4, layers=1)),
         "vae": ("VAE", dict(prior=1)), "gan": ("GAN", {}), "diffusion": ("Diffusion", {})}


# ---- computing ----

def parts(effort):
    """Each code at each seed, and the gradient check of each bug."""
    codes = [(name, "right") for name in SMALL] + [(name, bug) for bug, (name, _, _) in BUGS.items()]
    seeds = 1 if effort == "quick" else SEEDS
    return [f"{name} {code} {seed}" for name, code in codes for seed in range(seeds)] + [f"check {bug}" for bug in BUGS]


def compute_part(part, effort, rng):
    """A training: the printed loss in 100 stretches, and the nats to the truth.  Or a check: the gradient's error."""
    if part.startswith("check"):
        return _check(part.split()[1])
    name, code, seed = part.split()
    model, law, steps = settings(effort)[name]
    rng = np.random.default_rng(int(seed))                  # the same start and batches for right and wrong code
    wrong = Wrong(model, right if code == "right" else BUGS[code][1])
    states = train(wrong, model.init(rng), law, rng, steps=steps)
    losses, average = zip(*((np.atleast_1d(state.loss)[-1], state.average) for state in states))
    x = law.sample(20 if effort == "quick" else 2000, np.random.default_rng(1))
    return dict(curve=np.array([np.mean(part) for part in np.array_split(losses, min(steps, 100))]),
                nats=np.mean(law.log_prob(x) - model.log_prob(average[-1], x)))


def _check(bug):
    """The largest error of the followed gradient against the printed loss, without and with the bug."""
    name, wrong, _ = BUGS[bug]
    (small, sizes), rng = SMALL[name], np.random.default_rng(0)
    model = replace(MODELS[small](), **sizes)
    theta = model.init(rng, np.float64)
    theta = theta + 0.2 * rng.standard_normal(theta.shape)
    x, noise = MODELS[small].rows(model, rng, 5), model.draw_noise(rng, 5)
    place = model.players[1] if name == "gan" else slice(None)

    def worst(code):
        def printed(part):
            moved = theta.astype(part.dtype)
            moved[place] = part
            return np.atleast_1d(code(model, moved, x, noise)[0])[-1]
        return np.max(errors(code(model, theta, x, noise)[1][place], gradient(printed, theta[place])))

    return dict(right=worst(right), wrong=worst(wrong))


def gather(effort, parts):
    """The arrays of the drawing, one row for each bug; the second axis: right, wrong."""
    seeds = range(1 if effort == "quick" else SEEDS)

    def both(what):
        return np.array([[[parts[f"{name} {code} {seed}"][what] for seed in seeds] for code in ("right", bug)]
                         for bug, (name, _, _) in BUGS.items()])
    return dict(curve=both("curve").astype(np.float32), nats=both("nats"),
                error=np.array([[parts[f"check {bug}"][code] for code in ("right", "wrong")] for bug in BUGS]),
                bug=list(BUGS), seeds=len(seeds))


# ---- what it shows ----

def _ends(results):
    """The mean loss of the last tenth of a run, (bugs, 2, seeds)."""
    last = results["curve"].shape[-1] // 10
    return results["curve"][..., -last:].mean(axis=-1)


def _lower(results):
    """Whether the wrong code ends at a lower loss than the right one, in every seed, (bugs,)."""
    return (_ends(results)[:, 1] < _ends(results)[:, 0]).all(axis=1)


def claim(results):
    """What the loss does not show."""
    with np.errstate(invalid="ignore"):                     # after ten steps both GANs may be infinitely far away
        ratio = results["nats"][:, 1].mean(axis=1) / results["nats"][:, 0].mean(axis=1)
    return (f"All {len(ratio)} wrong codes lower their loss, {np.sum(_lower(results))} of them below the right one's; "
            f"their KL is {ratio.min():.1f} to {ratio.max():.1f} times as large.")


def checks(results):
    """The loss falls, the nats are worse, and the complex step sees all but B24, which is wrong in both."""
    nats, error = results["nats"], results["error"]
    consistent = results["bug"] == "B24"
    return {"every loss falls": bool((_ends(results) < results["curve"][..., 0]).all()),
            "some wrong code ends lower than the right one": bool(_lower(results).any()),
            "the nats are worse in every seed": bool((nats[:, 1].min(axis=1) > nats[:, 0].max(axis=1)).all()),
            "right gradients are exact": bool((error[:, 0] < MOST_COMPLEX).all()),
            "wrong gradients are seen": bool((error[~consistent, 1] > 0.1).all()),
            "value and gradient wrong together are not seen": bool((error[consistent, 1] < MOST_COMPLEX).all())}


def draw(results):
    """The loss of each pair along training; below, their nats and the errors of their gradients."""
    fig = figure(6.4, FINDING, SETTINGS)
    names = list(BUGS)
    axes = fig.subplot_mosaic([[name for name in names[:3] for _ in "12"], [name for name in names[3:] for _ in "12"],
                               ["nats"] * 3 + ["error"] * 3], height_ratios=[1, 1, 1.1])
    for name, curves in zip(names, results["curve"]):
        ax, (setting, _, bug) = axes[name], BUGS[name]
        for curve, color in zip(curves, (RIGHT, ACCENT)):
            ax.plot(np.linspace(0, 1, curve.shape[1]), curve.T, color=color, lw=1.0)
        low, high = curves.min(), np.quantile(curves, 0.97)     # the fall from the start would hide the rest
        ax.set(ylim=(low - 0.05 * (high - low), high), xlim=(0, 1), xticks=[],
               title=f"{name}: {bug}\n({TITLES[setting]})")
    for left in (names[0], names[3]):
        axes[left].set_ylabel("printed loss")
    for label, color, y in (("wrong code", ACCENT, 0.86), ("right code", RIGHT, 0.72)):
        axes[names[0]].text(0.97, y, label, color=color, ha="right", transform=axes[names[0]].transAxes)
    for name in names[3:]:
        axes[name].set_xlabel("training, from start to end")
    row = np.arange(len(names))
    for code, color in enumerate((RIGHT, ACCENT)):
        axes["nats"].scatter(results["nats"][:, code], np.repeat(row[:, None], results["nats"].shape[2], axis=1),
                             s=14, color=color, linewidths=0, alpha=0.8)
        axes["error"].scatter(results["error"][:, code], row, s=22, color=color, linewidths=0)
    axes["error"].axvline(MOST_COMPLEX, color="#777777", lw=0.8, ls=":")
    axes["error"].text(results["error"][-1, 1] * 3, len(names) - 1, "value and gradient wrong together:\n"
                       "other tests see it", fontsize=8, color=ACCENT, va="center")
    for name, label in (("nats", "KL(data || model), nats"), ("error", "largest error of the gradient, complex step")):
        axes[name].set(xscale="log", ylim=(len(names) - 0.5, -0.5), xlabel=label)
        axes[name].set_yticks(row, names)
    return fig
