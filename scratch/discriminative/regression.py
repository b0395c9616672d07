"""The task of regression: log loss and calibration of a predicted density.

Input: a predicted mean and standard deviation of y for every x, (N,) each.

    nats        L = -1/N sum_n log N(y_n; mean_n, std_n^2)       the log loss, in nats       (1)
    transform   u = Phi((y - mean) / std)                        uniform if the density is true  (2)
    coverage    1/N sum_n 1[|u_n - 1/2| <= level/2]              near level if it is true    (3)

The expectation of (1) is the conditional entropy H(y|x) plus KL(p_data(y|x) || N(mean, std^2)).
Phi is the distribution function of N(0, 1), and (2) is the probability integral transform
(Dawid 1984, "Statistical Theory: The Prequential Approach").
Checked in tests/discriminative/test_regression.py::test_of_the_true_density_nats_are_its_entropy
Checked in tests/discriminative/test_regression.py::test_coverage_is_its_level_for_the_true_density
"""
import numpy as np
from scipy.special import ndtr

from scratch import checks
from scratch.discriminative.classification import mean_in_nats
from scratch.estimate import Share
from scratch.kernels.likelihoods import gaussian_log_density


def nats(mean, std, y):
    """The log loss (1) in nats."""
    mean, std, y = _checked(mean, std, y)
    return mean_in_nats(-gaussian_log_density(y, mean, np.log(std))[0])           # (1)


def transform(mean, std, y):
    """The probability integral transform u (2), (N,): the predicted probability of a smaller y.

    >>> transform(np.zeros(2), np.ones(2), np.array([0.0, 1.96])).round(3)
    array([0.5  , 0.975])
    """
    mean, std, y = _checked(mean, std, y)
    return ndtr((y - mean) / std)                                                 # (2)


def coverage(mean, std, y, level=0.95):
    """The fraction (3) of y inside the central interval of predicted probability `level`."""
    if not checks.positive(level, "level") < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    inside = np.abs(transform(mean, std, y) - 0.5) <= level / 2                                  # (3)
    return Share.of(np.sum(inside), len(inside))


def _checked(mean, std, y):
    mean, std, y = checks.constant(mean, "mean"), checks.constant(std, "std"), checks.constant(y, "y")
    if y.ndim != 1 or len(y) == 0 or mean.shape != y.shape or std.shape != y.shape:
        raise ValueError(f"mean, std, y must have one shape (n,), got {mean.shape}, {std.shape}, {y.shape}")
    if not (std > 0).all():
        raise ValueError(f"std must be positive, got {std.min()}")
    return mean, std, y
