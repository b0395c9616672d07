"""The task of regression: not a number but a density of it, and is the density true?

A regressor's answer is a mean and a standard deviation of y for every x, (N,) each.

    nats        -mean log N(y; mean, std^2)          what the answer is worth, spread included
    transform   u = Phi((y - mean) / std)            uniform on [0, 1] if the density is true
    coverage    the share of y in the central interval of a given probability
"""
import numpy as np
from scipy.special import ndtr

from scratch import checks
from scratch.estimate import Estimate, Share
from scratch.kernels.likelihoods import gaussian_log_density


def nats(mean, std, y):
    """-mean log p(y|x): the conditional entropy, plus what the answer misses."""
    mean, std, y = _checked(mean, std, y)
    if len(y) < 2:
        raise ValueError(f"a standard error needs at least 2 rows, got {len(y)}")
    terms = -gaussian_log_density(y, mean, np.log(std))[0]
    return Estimate(float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(y))), len(y))


def transform(mean, std, y):
    """The probability integral transform u (N,): where each y fell in its own predicted law (Dawid 1984).

    >>> transform(np.zeros(2), np.ones(2), np.array([0.0, 1.96])).round(3)
    array([0.5  , 0.975])
    """
    mean, std, y = _checked(mean, std, y)
    return ndtr((y - mean) / std)


def coverage(mean, std, y, level=0.95):
    """The share of y inside the central interval that should hold `level` of them."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    inside = float(np.mean(np.abs(transform(mean, std, y) - 0.5) <= level / 2))
    return Share(inside, float(np.sqrt(inside * (1 - inside) / len(y))), len(y))


def _checked(mean, std, y):
    mean, std, y = (checks.finite(np.asarray(value, float), name) for value, name in
                    ((mean, "mean"), (std, "std"), (y, "y")))
    if y.ndim != 1 or len(y) == 0 or mean.shape != y.shape or std.shape != y.shape:
        raise ValueError(f"mean, std and y must have one shape (n,), got {mean.shape}, {std.shape} and {y.shape}")
    if not (std > 0).all():
        raise ValueError(f"std must be positive, got {std.min()}")
    return mean, std, y
