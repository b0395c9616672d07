"""The certificate: every gradient of this project, block by block, against two methods that use only values.

For each model of MODELS and each kernel, and for each block of parameters (a kernel: each input), at
two random points away from the start, with g the gradient and G its largest entry in the block:

    error of a coordinate  =  |g - derivative of the value| / max(|g|, 1e-3 G)                (1)

The derivative is taken by the complex step and by central differences (scratch/learning/gradient_check.py),
these at three steps and extrapolated,

    (64 central(h) - 20 central(2 h) + central(4 h)) / 45  =  derivative + O(h^6),     h = 1e-4        (2)

because a plain central difference of a loss of size 1 is off by 1e-10, too much for a coordinate whose
gradient is 1e-5.  A gradient of 0 agrees with any value that does not depend on the block, also with one
that should.  So each zero needs a stated reason (REASONS, or a mask), and the reason is tested: a large
step in that coordinate leaves the value as it is.

Sensitivity is part of it.  The factor 1 + 1e-6, planted into one block after the other, must be seen in
each by the complex step.
"""
from collections import Counter
from functools import partial
from typing import Callable, NamedTuple

import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.family_tree import MODELS
from scratch.implicit import objectives
from scratch.implicit.diffusion.network import Network
from scratch.implicit.diffusion.text import TextEncoder
from scratch.kernels import attention, convnet, dense, likelihoods, stable
from scratch.kernels.convolution import Convolution, Dense, Transposed
from scratch.kernels.dense import mlp_size
from scratch.learning.gradient_check import central_difference, complex_step, gradient

SECTION = "trust"
FINDING = "Every gradient is exact in every coordinate; planted errors are seen"
SETTINGS = ("one mark: the worst coordinate of a block of parameters, or of a kernel's input, at two random points; "
            "float64, 5 rows; dotted: the limit of the complex step")

MOST_COMPLEX, MOST_CENTRAL = 1e-10, 1e-6    # the largest error (1) that passes
STEP = 1e-4                                 # h of (2): rounding eps / h = 2e-12 of the loss; h^6 = 1e-24
PLANTED = 1e-6                              # the planted factor is 1 + this
ROUNDING = 1e-15                            # of the largest gradient of the model: smaller ones count as zero
ROWS = 5
CLASS = "class absent"          # no row of the batch has the class, or the bit, that this weight belongs to
SHIFT = "invariance"            # a number added to all logits that are compared leaves the loss as it is

# Why a coordinate may be zero, by model and block (without the number of the layer).  The autoregressive
# models' masks say by themselves which weights are cut.
REASONS = {
    ("MADE", "W1"): CLASS, ("Transformer", "token"): CLASS, ("BernoulliVAE", "encoder W1"): CLASS,
    ("ConditionalDiffusion", "W1"): CLASS, ("CorrelatedDiffusion", "W1"): CLASS, ("embedding", "table"): CLASS,
    ("Transformer", "b_qkv"): SHIFT,                # a shift of all keys moves all scores of a query by one number
    ("GAN", "discriminator b3"): SHIFT,             # the relativistic game sees differences of logits alone
    ("WaveGAN", "discriminator b3"): SHIFT,
    ("SourceFilterGAN", "discriminator b3"): SHIFT,
    ("LinearGAN", "discriminator b1"): SHIFT,
}


class Block(NamedTuple):
    """A block of parameters x with its gradient dx, and value(x), a function of this block alone."""
    owner: str
    name: str
    value: Callable
    x: np.ndarray
    dx: np.ndarray
    cut: object = False         # where a mask makes the weight without effect: booleans of the shape of x


# ---- what is certified ----

def model_blocks(name, rng):
    """The blocks of one model at a random point; each player of a game has its own loss."""
    model, rows = MODELS[name](), MODELS[name].rows
    theta = model.init(rng, np.float64)
    theta = theta + 0.2 * rng.standard_normal(theta.shape)          # off the start, where some gradients vanish
    x = rows(model, rng, ROWS)
    noise = model.draw_noise(rng, ROWS)
    dtheta = model.loss(theta, x, noise)[1]
    mask = np.atleast_2d(getattr(model, "masks", getattr(model, "mask", np.ones(model.size)))).max(axis=0)

    def loss(player, place, part):
        moved = theta.astype(part.dtype)
        moved[place] = part
        return np.atleast_1d(model.loss(moved, x, noise)[0])[player]

    for block, place in model.blocks.items():
        player = [place.start < part.stop for part in getattr(model, "players", [slice(0, model.size)])].index(True)
        yield Block(name, block, partial(loss, player, place), theta[place], dtheta[place], mask[place] == 0)


def kernels(rng):
    """Name -> (kernel, {name of an input: its value}): kernel(*inputs) -> (*outputs, pull)."""
    def normal(*shape):
        return rng.standard_normal(shape)
    widths = (3, 5, 4, 1)
    theta, network = normal(mlp_size(widths)), Network(2, (5, 4), context_dim=3)
    text, prompts = TextEncoder(3, width=4, length=3), np.array([[3, 1, 2], [2, 3, 0], [1, 0, 0]])
    places, bits = rng.integers(4, size=5), rng.integers(2, size=(4, 3))
    four = dict(logits=normal(5, 4))
    layers = (Dense(3, 4), Transposed(2, 2, 3, 4, 2), Convolution(4, 3, 2, 4, 2, circular=False), Dense(2, 1, 2))
    weights = dict(theta=normal(convnet.convnet_size(layers)))
    found = {name: (getattr(stable, name), dict(a=normal(4, 3)))
             for name in ("sigmoid", "softplus", "log_sigmoid", "logsumexp", "log_softmax", "silu")}
    return found | {
        "mlp": (partial(dense.mlp, widths=widths), dict(theta=theta, x=normal(4, 3))),
        "mlp_jvp": (partial(dense.mlp_jvp, widths=widths), dict(theta=theta, x=normal(4, 3), x_dot=normal(4, 3))),
        "mlp_slope": (partial(dense.mlp_slope, widths=widths), dict(theta=theta, x=normal(4, 3))),
        "convnet": (partial(convnet.convnet, layers=layers), weights | dict(x=normal(4, 3))),
        "convnet_jvp": (partial(convnet.convnet_jvp, layers=layers), weights | dict(x=normal(4, 3), x_dot=normal(4, 3))),
        "convnet_slope": (partial(convnet.convnet_slope, layers=layers), weights | dict(x=normal(4, 3))),
        "embedding": (lambda table: attention.embedding(table, np.array([0, 2, 2])), dict(table=normal(4, 3))),
        "affine": (attention.affine, dict(x=normal(2, 4, 3), W=normal(3, 5), b=normal(5))),
        "layer_norm": (attention.layer_norm, dict(x=normal(4, 5), gain=normal(5), bias=normal(5))),
        "causal_attention": (attention.causal_attention, dict(q=normal(3, 2), k=normal(4, 2), v=normal(4, 2))),
        "gaussian_log_density": (likelihoods.gaussian_log_density,
                                 dict(x=normal(4, 3), mean=normal(4, 3), log_std=normal(4, 3))),
        "mixture_log_density": (likelihoods.mixture_log_density, dict(x=normal(5), **four, means=0.5 * normal(5, 4),
                                                                      log_stds=0.3 * normal(5, 4))),
        "bernoulli_log_density": (partial(likelihoods.bernoulli_log_density, bits), dict(logits=normal(4, 3))),
        "categorical_log_density": (partial(likelihoods.categorical_log_density, places), four),
        "Network": (lambda theta, x, context: network(theta, x, -0.3, context),
                    dict(theta=normal(network.size), x=normal(4, 2), context=normal(4, 3))),
        "TextEncoder": (lambda theta: text(theta, prompts), dict(theta=normal(text.size))),
    } | {penalty: (partial(_penalty, getattr(objectives, penalty)), dict(v=normal(4, 3)))
         for penalty in ("zero_centered", "one_centered")}


def _penalty(penalty, v):
    values, dv = penalty.function(v)
    return values, lambda dvalues: dvalues[:, None] * dv


def kernel_blocks(name, rng):
    """The inputs of one kernel; the value is <dy, outputs> with random dy, since a uniform one hides errors."""
    kernel, inputs = kernels(rng)[name]
    *outputs, pull = kernel(*inputs.values())
    dy = [rng.standard_normal(y.shape) for y in outputs]
    gradients = pull(*dy)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)

    def contracted(block, part):
        *moved, _ = kernel(*(inputs | {block: part}).values())
        return sum(np.sum(weight * y) for weight, y in zip(dy, moved))

    for (block, x), dx in zip(inputs.items(), gradients, strict=True):
        yield Block(name, block, partial(contracted, block), x, dx)


# ---- one block, one row of the table ----

def extrapolated(f, x, v):
    """The derivative of f at x along v by (2)."""
    once, twice, four_times = (central_difference(f, x, v, step * STEP) for step in (1, 2, 4))
    return (64 * once - 20 * twice + four_times) / 45                                          # (2)


def errors(dx, exact):
    """The error (1) in every coordinate; infinite where it is not finite."""
    scale = np.maximum(np.abs(exact), 1e-3 * np.max(np.abs(exact)))
    found = np.abs(dx - exact) / np.where(scale == 0, 1, scale)                                # (1)
    return np.where(np.isfinite(found), found, np.inf)


def certify(block, top):
    """The row of one block: errors, and zeros by reason.  top: the largest gradient of its model."""
    exact, central = (gradient(block.value, block.x, method) for method in (complex_step, extrapolated))
    zero = (np.maximum(np.abs(block.dx), np.abs(exact)) <= ROUNDING * top) & ~_same(block.dx, exact)
    cut, stated = zero & block.cut, REASONS.get((block.owner, block.name.split(".")[-1]))
    reasons = {"mask": cut, stated: zero & ~cut}
    explained = not reasons.pop(None, cut[:0]).any() and all(_without_effect(block, at) for at in np.argwhere(zero))
    row = dict(owner=block.owner, block=block.name, size=block.x.size, largest=np.max(np.abs(block.dx)),
               zeros=np.sum(zero), explained=explained,
               why=", ".join(f"{np.sum(where)} {why}" for why, where in reasons.items() if where.any()))
    if zero.all():                                          # nothing that an error could be relative to
        return row | dict(complex=np.nan, central=np.nan, planted=np.nan)
    return row | {name: np.max(errors(dx, derivative)[~zero]) for name, dx, derivative in (
        ("complex", block.dx, exact), ("central", block.dx, central), ("planted", block.dx * (1 + PLANTED), exact))}


def _same(dx, exact):
    """Whether both have a number that is no rounding of 0: a tiny gradient, with its digits."""
    return (exact != 0) & (np.abs(dx - exact) < 1e-3 * np.abs(exact))


def _without_effect(block, place):
    """Whether a step of 1/2 in this coordinate leaves the value as it is, to rounding."""
    moved = block.x.copy()
    moved[tuple(place)] += 0.5
    before, after = block.value(block.x), block.value(moved)
    return abs(after - before) <= 1e-13 * (1 + abs(before))


def certificate(blocks):
    """The rows of one model or one kernel at one point: a dict for each block."""
    blocks = list(blocks)
    top = max(np.max(np.abs(block.dx)) for block in blocks)
    return [certify(block, top) for block in blocks]


def worst(rows):
    """One row of several points: the largest errors, and the zeros of the point that has most."""
    most = max(rows, key=lambda row: row["zeros"])
    return most | {name: max(row[name] for row in rows) for name in ("largest", "complex", "central")} | dict(
        planted=min(row["planted"] for row in rows), explained=all(row["explained"] for row in rows))


# ---- the figure and the table ----

def compute(effort, rng):
    """The columns of the table, one entry for each block; quick: small models at one point."""
    points, rows = 2 if effort == "full" else 1, []
    for owner in [*MODELS, *kernels(rng)]:
        if effort == "quick" and owner in MODELS and MODELS[owner]().size > 150:
            continue
        blocks = model_blocks if owner in MODELS else kernel_blocks
        rows += map(worst, zip(*(certificate(blocks(owner, rng)) for _ in range(points)), strict=True))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} | dict(seeds=points)


def claim(results):
    """What the whole table says."""
    largest, central = np.nanmax(results["complex"]), np.nanmax(results["central"])
    return (f"{np.sum(results['size'])} gradients in {len(results['size'])} blocks: the largest error is "
            f"{largest:.0e} by the complex step and {central:.0e} by central differences; "
            f"{np.sum(results['zeros'])} zeros are explained.")


def checks(results):
    """What each block must show."""
    alive = results["zeros"] < results["size"]
    return {"complex step": bool((results["complex"][alive] <= MOST_COMPLEX).all()),
            "central differences": bool((results["central"][alive] <= MOST_CENTRAL).all()),
            "every zero is explained": bool(results["explained"].all()),
            "the planted factor is seen in every block": bool((results["planted"][alive] > MOST_COMPLEX).all())}


def table(results):
    """The certificate as a page: one row for each model, then one for each block."""
    head = ("model or kernel", "block", "entries", "largest gradient", "complex step", "central differences", "zeros",
            "planted")
    lines = ["# The gradient certificate", "", "This page is written by `python -m figures certificate`.",
             claim(results), "", by_model(results), "The error of a coordinate is relative to its gradient, or to a thousandth of the block's "
             "largest gradient if that is larger; the table has the largest error of the block.",
             "The last column is the error that the complex step finds when the block is multiplied by 1 + 1e-6.",
             "", f"| {' | '.join(head)} |", "|---|---|--:|--:|--:|--:|---|--:|"]
    for i, owner in enumerate(results["owner"]):
        complex_, central, planted = (f"{results[name][i]:.1e}" if np.isfinite(results[name][i]) else "all zero"
                                      for name in ("complex", "central", "planted"))
        lines.append(f"| {owner} | {results['block'][i]} | {results['size'][i]} | {results['largest'][i]:.1e} | "
                     f"{complex_} | {central} | {results['why'][i]} | {planted} |")
    return "\n".join(lines) + "\n"


def by_model(results):
    """One row for each model: its parameters, its worst errors, its zeros."""
    lines = ["| model | parameters | complex step | central differences | zeros |", "|---|--:|--:|--:|---|"]
    for owner in dict.fromkeys(results["owner"].tolist()):
        at = results["owner"] == owner
        if owner in MODELS:
            why = Counter()
            for count, reason in (part.split(" ", 1) for part in ", ".join(results["why"][at]).split(", ") if part):
                why[reason] += int(count)
            lines.append(f"| `{owner}` | {np.sum(results['size'][at])} | {np.nanmax(results['complex'][at]):.0e} | "
                         f"{np.nanmax(results['central'][at]):.0e} | "
                         + ", ".join(f"{count} {reason}" for reason, count in why.items()) + " |")
    return "\n".join(lines) + "\n"


def draw(results):
    """One mark per block and method: models at the left, kernels at the right."""
    fig = figure(5.4, FINDING, SETTINGS)
    names = list(dict.fromkeys(results["owner"].tolist()))
    sides = [name for name in names if name in MODELS], [name for name in names if name not in MODELS]
    for ax, owners, title in zip(fig.subplots(1, 2, sharex=True), sides, ("models, by block", "kernels, by input")):
        here = np.isin(results["owner"], owners)
        row = [owners.index(owner) for owner in results["owner"][here].tolist()]
        for name, label, color, marker, x in (("complex", "complex step", COLORS["truth"], "o", 1e-14),
                                              ("central", "central\ndifferences", "#777777", "D", 1e-9),
                                              ("planted", "planted:\n1 + $10^{-6}$", ACCENT, "|", PLANTED)):
            ax.scatter(np.maximum(results[name][here], 1e-17), row, s=30 if marker == "|" else 10, color=color,
                       marker=marker, linewidths=1.5 if marker == "|" else 0, alpha=0.8)
            ax.text(x, -0.9, label, color=color, ha="center", va="bottom", fontsize=8)
        ax.plot([MOST_COMPLEX] * 2, [-0.5, len(owners) - 0.5], color="#777777", lw=0.8, ls=":")
        ax.set(xscale="log", xlim=(5e-18, 2e-5), ylim=(len(owners) - 0.5, -2.6), title=title,
               xlabel="relative error of the worst coordinate")
        ax.set_yticks(range(len(owners)), owners)
        ax.tick_params(axis="y", length=0)
    return fig
