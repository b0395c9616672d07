"""A transformer learns the language of well-formed brackets, whose entropy rate is a count of words."""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from figures.style import COLORS, figure
from scratch.explicit.made import MADE
from scratch.explicit.transformer import Transformer
from scratch.learning.training import train

CLAIM = ("On brackets of two kinds, which no fixed window of the past can close, the transformer comes within "
         "0.002 nats per token of the language's entropy rate and writes well-formed words; MADE, which shares nothing "
         "between positions, is far behind after as many steps.")
STUDY = True

SYMBOLS = "([)]"                                            # opening kinds 0, 1; their closing ones 2, 3
KINDS, LENGTH = 2, 20


@dataclass(frozen=True)
class Brackets:
    """The uniform law over all well-formed words of `length` with KINDS kinds of brackets (Dyck words).

    ways[r, d] counts how a word can go on for r symbols when d brackets are open:
    opening leads to KINDS ways[r-1, d+1], closing (the kind is forced) to ways[r-1, d-1].
    """
    length: int = LENGTH

    @cached_property
    def ways(self):
        ways = np.zeros((self.length + 1, self.length + 2))
        ways[0, 0] = 1
        for r in range(1, self.length + 1):
            ways[r, :-1] = KINDS * ways[r - 1, 1:]
            ways[r, 1:] += ways[r - 1, :-1]
        return ways

    def entropy(self):
        """log(number of words), in nats per word."""
        return float(np.log(self.ways[self.length, 0]))

    def sample(self, n, rng):
        """n words (n, length): open or close in proportion to the ways that are left."""
        x, stack = np.empty((n, self.length), int), np.zeros((n, self.length), int)
        depth, rows = np.zeros(n, int), np.arange(n)
        for t in range(self.length):
            left = self.length - t
            opens = rng.random(n) < KINDS * self.ways[left - 1, depth + 1] / self.ways[left, depth]
            kind = np.where(opens, rng.integers(KINDS, size=n), stack[rows, depth - 1])
            stack[rows[opens], depth[opens]] = kind[opens]
            x[:, t] = np.where(opens, kind, kind + KINDS)
            depth += np.where(opens, 1, -1)
        return x

    def well_formed(self, x):
        """(n,) booleans: every closing bracket fits the last open one, and none is left open."""
        def fits(word):
            stack = []
            for symbol in word:
                if symbol < KINDS:
                    stack.append(symbol)
                elif not stack or stack.pop() != symbol - KINDS:
                    return False
            return not stack
        return np.array([fits(word) for word in x.tolist()])


def compute(effort, rng):
    """Excess over the entropy rate and share of well-formed words along training, for both models."""
    steps, width, n = (10, 16, 50) if effort == "quick" else (1200, 48, 2000)
    law = Brackets()
    models = dict(transformer=Transformer(LENGTH, 2 * KINDS, width, heads=4, layers=2),
                  made=MADE(LENGTH, (5 * width, 5 * width), classes=2 * KINDS))
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
    """Excess and well-formed share along training; words as written."""
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
