"""MADE against a distribution (a law) on 4,096 states of which every probability is known."""
import numpy as np

from figures.style import COLORS, figure
from scratch.data.discrete import SIDES, SpinGlass
from scratch.explicit.made import MADE
from scratch.learning.training import train

CLAIM = ("On 12 bits all 4,096 probabilities can be listed: MADE's sum to 1 whatever its parameters are, and after "
         "training they agree with the law's over five orders of magnitude.")
STUDY = True

REVERSED = tuple(range(SIDES))[::-1]


def compute(effort, rng):
    """KL by enumeration and the sum of all probabilities along training, for one order and for two."""
    steps, hidden = (30, (16, 16)) if effort == "quick" else (3000, (128, 128))
    law, orders = SpinGlass(), {"one": None, "two": [REVERSED[::-1], REVERSED]}
    checkpoints = np.unique(np.logspace(0, np.log10(steps), 25).astype(int))
    p, results = np.exp(law.log_p), dict(checkpoints=checkpoints, steps=steps, truth=law.log_p)
    for name in orders:
        model = MADE(SIDES, hidden=hidden, orders=orders[name])
        theta, curve, sums = model.init(rng), [], []
        for state in train(model, theta, law, rng, steps=steps):
            if state.step in checkpoints:
                log_q = model.log_prob(state.average.astype(float), law.states)
                curve.append(p @ (law.log_p - log_q))
                sums.append(np.exp(log_q).sum())
        results |= {f"{name}_curve": curve, f"{name}_sums": sums, f"{name}_log_q": log_q}
    return results


def draw(results):
    """Probability against probability; the error of their sum; KL along training."""
    fig = figure(3.6, f"MADE on all {2 ** SIDES} states of a 3 x 4 spin glass, network 128-128: one run of "
                      f"{int(results['steps'])} steps of 512 samples each")
    scatter, total, kl = fig.subplots(1, 3)
    log_p, steps = results["truth"] / np.log(10), results["checkpoints"]
    ends = [log_p.min() - 0.2, 0]
    scatter.plot(ends, ends, color=COLORS["truth"], lw=0.7)
    scatter.plot(log_p, results["one_log_q"] / np.log(10), ".", ms=2, mew=0, color=COLORS["autoregressive"])
    scatter.set(xlabel="$\\log_{10}$ exact probability", ylabel="$\\log_{10}$ model probability", title="every state",
                xlim=ends, ylim=ends, aspect="equal")
    for name, style, label in (("one", "-", "one order"), ("two", "--", "average of two orders")):
        total.semilogx(steps, (results[f"{name}_sums"] - 1) * 1e15, style, color=COLORS["autoregressive"],
                       label=label)
        kl.loglog(steps, results[f"{name}_curve"], style, color=COLORS["autoregressive"],
                  label=f"{label}: {results[f'{name}_curve'][-1]:.4f}")
    total.set(xlabel="training step", ylabel="sum of all probabilities - 1, times $10^{15}$",
              title="normalized at every step", ylim=(-10, 10))
    total.legend(loc="upper left")
    kl.set(xlabel="training step", ylabel="KL(law || model) [nats]", title="KL by enumeration", ylim=(1e-4, None))
    kl.legend(loc="lower left")
    return fig
