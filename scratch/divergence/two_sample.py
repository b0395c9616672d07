"""The classifier two-sample test: can a network tell x from y?

A classifier is trained on one half of both samples.  On the other half it says
"x" where its log ratio f > 0.  Its accuracy, with both samples weighing the same,

    accuracy = 1/2 [share of the x called x + share of the y called y]

is 1/2 on average if the laws are equal, whatever it has learned, and at best
1/2 + TV(p, q) / 2 (the Bayes rule), so that 2 accuracy - 1 is a lower bound of the total
variation.  The p-value is the chance that equal laws would show this excess of
"x" among the x or a larger one: Fisher's exact test on the table of the four
counts.  A large p-value is no proof of equality, only of this network's failure.

Source: Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests".
"""
from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact

from scratch import checks
from scratch.divergence.samples import two_samples
from scratch.divergence.variational import train_log_ratio
from scratch.estimate import Estimate


@dataclass(frozen=True)
class TwoSampleResult(Estimate):
    """The balanced accuracy (no nats here), with the p-value of equal laws."""
    p_value: float


def classifier_two_sample(x, y, rng, hidden=(64, 64), steps=500):
    """The accuracy on held-out halves of x (n, D) and y (m, D), and the p-value."""
    x, y = two_samples(x, y)
    checks.generator(rng)
    if min(len(x), len(y)) < 8:
        raise ValueError(f"halves to train and to test on need at least 8 rows of x and of y, "
                         f"got {len(x)} and {len(y)}")
    x, y = rng.permutation(x), rng.permutation(y)
    train_x, test_x = np.array_split(x, 2)
    train_y, test_y = np.array_split(y, 2)
    f = train_log_ratio(train_x, train_y, rng, hidden=hidden, steps=steps)
    hits_x, hits_y = int(np.sum(f(test_x) > 0)), int(np.sum(f(test_y) > 0))       # called x
    a, b = hits_x / len(test_x), 1 - hits_y / len(test_y)                         # right about x, about y
    table = [[hits_x, len(test_x) - hits_x], [hits_y, len(test_y) - hits_y]]
    stderr = 0.5 * np.sqrt(a * (1 - a) / len(test_x) + b * (1 - b) / len(test_y))
    p_value = float(fisher_exact(table, alternative="greater").pvalue)
    return TwoSampleResult(0.5 * (a + b), float(stderr), len(test_x) + len(test_y), p_value)
