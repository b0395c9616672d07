"""A transformer learns the language of well-formed brackets, whose entropy rate is a count of words."""
import numpy as np

from figures.style import ACCENT, COLORS, figure
from scratch.data.discrete import KINDS, LENGTH, Brackets
from scratch.explicit.made import MADE
from scratch.explicit.transformer import Transformer
from scratch.learning.training import train

SECTION = "1.3"
FINDING = "A transformer learns to close brackets where a larger MADE still fails"
SETTINGS = (f"Words of {LENGTH} brackets of two kinds, all well-formed ones equally likely; 1,000 steps of 128 "
            "words. Lines: means of 3 seeds, dots: each seed. Excess on 2,000 held-out words. Words as written by "
            "seed 0; red: not well-formed.")

SYMBOLS = "([)]"                                            # opening kinds 0, 1; their closing ones 2, 3
NAMES = {"transformer": "transformer", "made": "MADE"}
SEEDS, WRITTEN = 3, 12


def parts(effort):
    """A model and a seed each."""
    return [f"{name} {seed}" for name in NAMES for seed in range(SEEDS)]


def compute_part(part, effort, rng):
    """Excess over the entropy rate and fraction of well-formed words along training; some words."""
    steps, width, n = (3, 8, 20) if effort == "quick" else (1000, 48, 2000)
    law = Brackets()
    model = (Transformer(LENGTH, classes=2 * KINDS, width=width, heads=4, layers=2) if part.startswith("transformer")
             else MADE(LENGTH, hidden=(5 * width, 5 * width), classes=2 * KINDS))
    checkpoints = np.unique(np.geomspace(1, steps, 9).astype(int))
    x, curve, theta = law.sample(n, rng), [], model.init(rng)
    for state in train(model, theta, law, rng, steps=steps, recipe=Transformer.recipe):
        if state.step in checkpoints:
            excess = -(model.log_prob(state.average, x) + law.entropy()) / LENGTH
            valid = law.well_formed(model.sample(state.average, min(n, 500), rng)).mean()
            curve.append((excess.mean(), excess.std(ddof=1) / np.sqrt(n), valid))
    written = model.sample(state.average, WRITTEN, rng)
    return dict(checkpoints=checkpoints, curve=curve, written=np.int8(written), fit=law.well_formed(written),
                size=len(theta))


def gather(effort, parts):
    """Curves (seeds, checkpoints, 3) of both models, and the words of seed 0."""
    results = dict(seeds=SEEDS, checkpoints=parts["made 0"]["checkpoints"], rate=Brackets().entropy() / LENGTH)
    for name in NAMES:
        first = parts[f"{name} 0"]
        results |= {f"{name}_{key}": first[key] for key in ("written", "fit", "size")}
        results[f"{name}_curve"] = [parts[f"{name} {seed}"]["curve"] for seed in range(SEEDS)]
    return results


def claim(results):
    """Excess and well-formed words of both at the end."""
    one, other = (results[f"{name}_curve"][:, -1].mean(axis=0) for name in NAMES)
    return (f"The transformer is {one[0]:.4f} nats per token above the entropy rate, {100 * one[2]:.0f} % of its words "
            f"well-formed; MADE {other[0]:.2f} and {100 * other[2]:.0f} %.")


def checks(results):
    """Both sides of the headline, in every seed."""
    one, other = (results[f"{name}_curve"][:, -1] for name in NAMES)
    return {"the transformer within 0.005 nats per token in every seed": bool((one[:, 0] < 0.005).all()),
            "more than 95 % of its words well-formed in every seed": bool((one[:, 2] > 0.95).all()),
            "MADE at least ten times as far in every seed": bool((other[:, 0].min() > 10 * one[:, 0].max())),
            "fewer than 80 % of MADE's words well-formed in every seed": bool((other[:, 2] < 0.8).all()),
            "MADE has more parameters": bool(results["made_size"] > results["transformer_size"])}


def draw(results):
    """Excess and well-formed fraction along training; words as written."""
    fig = figure(4.2, FINDING, SETTINGS)
    excess, valid, *lists = fig.subplots(1, 4, width_ratios=[1.3, 1.1, 1, 1])
    steps, color = results["checkpoints"], COLORS["autoregressive"]
    for name, style in (("transformer", "-"), ("made", "--")):
        curve, label = results[f"{name}_curve"], f"{NAMES[name]},\n{results[f'{name}_size']:,}\nparameters"
        for ax, column in ((excess, 0), (valid, 2)):
            ax.plot(steps, curve[:, :, column].mean(axis=0), style, color=color)
            ax.plot(steps, curve[:, :, column].T, ".", ms=4, color=color)
        height = curve[0, 0, 0] / 8 if name == "made" else curve[:, -1, 0].mean()
        excess.text(1, height, label, color=color, va="bottom")
        valid.text(0.7 * steps[-1] if name == "made" else 0.35 * steps[-1], curve[:, -1, 2].mean(), NAMES[name],
                   color=color, ha="right", va="center")
    excess.set(xscale="log", yscale="log", xlabel="training step", title="a) held-out words",
               ylabel="excess over the entropy rate [nats per token]")
    valid.set(xscale="log", xlabel="training step", ylim=(-0.02, 1.03), title="b) share of well-formed words")
    for ax, name, letter in zip(lists, NAMES, "cd"):
        ax.set_axis_off()
        ax.set_title(f"{letter}) written by {NAMES[name]}")
        for row, (word, fits) in enumerate(zip(results[f"{name}_written"], results[f"{name}_fit"])):
            ax.text(0.5, 0.97 - row / (WRITTEN + 0.5), "".join(SYMBOLS[symbol] for symbol in word), family="monospace",
                    fontsize=8, ha="center", va="top", color=color if fits else ACCENT)
    return fig
