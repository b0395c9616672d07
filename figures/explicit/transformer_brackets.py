"""A transformer learns the language of well-formed brackets, whose entropy rate is a count of words."""
import numpy as np

from figures.style import COLORS, figure
from scratch.data.discrete import KINDS, LENGTH, Brackets
from scratch.explicit.made import MADE
from scratch.explicit.transformer import Transformer
from scratch.learning.training import train

CLAIM = ("On brackets of two kinds, which no fixed window of the past can close, the transformer comes within "
         "0.002 nats per token of the language's entropy rate and writes well-formed words; MADE, which shares nothing "
         "between positions, is far behind after as many steps.")
STUDY = True

SYMBOLS = "([)]"                                            # opening kinds 0, 1; their closing ones 2, 3


def compute(effort, rng):
    """Excess over the entropy rate and fraction of well-formed words along training, for both models."""
    steps, width, n = (10, 16, 50) if effort == "quick" else (1200, 48, 2000)
    law = Brackets()
    models = dict(transformer=Transformer(LENGTH, classes=2 * KINDS, width=width, heads=4, layers=2),
                  made=MADE(LENGTH, hidden=(5 * width, 5 * width), classes=2 * KINDS))
    checkpoints = np.unique(np.logspace(0, np.log10(steps), 16).astype(int))
    x, results = law.sample(n, rng), dict(checkpoints=checkpoints, steps=steps, rate=law.entropy() / LENGTH,
                                          words=law.ways[LENGTH, 0])
    for name, model in models.items():
        curve, theta = [], model.init(rng)
        for state in train(model, theta, law, rng, steps=steps, recipe=Transformer.recipe):
            if state.step in checkpoints:
                excess = -(model.log_prob(state.average, x) + law.entropy()) / LENGTH
                valid = law.well_formed(model.sample(state.average, n, rng)).mean()
                curve.append((excess.mean(), excess.std(ddof=1) / np.sqrt(n), valid))
        written = model.sample(state.average, 12, rng)
        results |= {f"{name}_curve": curve, f"{name}_written": written, f"{name}_fit": law.well_formed(written),
                    f"{name}_size": len(theta)}
    return results


def draw(results):
    """Excess and well-formed fraction along training; words as written."""
    fig = figure(4.2, f"{results['words']:,.0f} well-formed words of {LENGTH} brackets of two kinds, all equally "
                      f"likely:\n{results['rate']:.4f} nats per token; one run of {int(results['steps'])} steps of "
                      "128 words for each model")
    excess, valid, *lists = fig.subplots(1, 4, width_ratios=[1.3, 1, 1, 1])
    steps, color = results["checkpoints"], COLORS["autoregressive"]
    for name, label, style in (("transformer", "transformer", "-"), ("made", "MADE", "--")):
        value, error, share = results[f"{name}_curve"].T
        text = f"{label}: {value[-1]:.4f} $\\pm$ {error[-1]:.4f}\n({int(results[f'{name}_size']):,} parameters)"
        excess.loglog(steps, value, style, color=color, label=text)
        excess.fill_between(steps, np.maximum(value - 2 * error, 1e-5), value + 2 * error, alpha=0.3, lw=0,
                            color=color)
        valid.semilogx(steps, share, style, color=color)
        valid.text(1, share[-1], f"{label}\n{100 * share[-1]:.1f} %", va="top", fontsize=8)
    excess.axhline(0.02, color=COLORS["baseline"], ls=":")
    excess.text(1, 0.021, "0.02", color=COLORS["baseline"], va="bottom")
    excess.set(xlabel="training step", ylabel="excess over the entropy rate\n[nats per token]", ylim=(2e-5, 2),
               title="held-out excess")
    excess.legend(loc="lower left", bbox_to_anchor=(-0.03, -0.02))
    valid.set(xlabel="training step", title="well-formed words", ylim=(0, 1.02))
    for ax, name, label in zip(lists, ("transformer", "made"), ("transformer", "MADE")):
        ax.set_axis_off()
        ax.set_title(f"written by {label}\n(grey: not well formed)")
        for row, (word, fits) in enumerate(zip(results[f"{name}_written"], results[f"{name}_fit"])):
            ax.text(0.5, 0.96 - row / 12.5, "".join(SYMBOLS[symbol] for symbol in word), family="monospace",
                    fontsize=8, ha="center", va="top", color=color if fits else COLORS["baseline"])
    return fig
