"""Mode coverage: does a sampler find all modes of a mixture of equal, well separated Gaussians?

The protocol of the mode collapse tables (Srivastava et al. 2017, VEEGAN; Lin et
al. 2018, PacGAN, Table 1), on 2,500 samples as a rule:

    high quality   a sample within 3 std of the nearest mean
    modes          how many means have at least one such sample as their own
    reverse KL     KL(histogram || uniform) = log(number of means) - entropy of the histogram
                   of the high-quality samples over the means, in nats

A perfect sampler in the plane scores 1 - exp(-9/2) = 98.9 % high quality: more
means that its modes are too sharp.  Its reverse KL is not 0 but about
(modes - 1) / (2 samples).  Report the reverse KL: one stray sample counts as a mode.
"""
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import rel_entr

from scratch import checks
from scratch.divergence.samples import one_sample


class ModeCoverage(NamedTuple):
    """The three numbers of the tables."""
    modes: int              # captured
    high_quality: float     # share of the samples
    reverse_kl: float       # nats; inf if no sample is of high quality


def mode_coverage(samples, means, std):
    """Modes, high-quality share and reverse KL of samples (n, D) for modes at means (K, D).

    >>> mode_coverage(np.array([[0.0], [5.2], [7.0], [8.0]]), [[0], [5]], std=0.2)
    ModeCoverage(modes=2, high_quality=0.5, reverse_kl=0.0)
    """
    samples = one_sample(samples, "samples")
    means = checks.rows(checks.constant(means, "means"), samples.shape[1], "means")
    std = checks.positive(std, "std")
    if len(np.unique(means, axis=0)) < len(means):
        raise ValueError("means must differ, got some mean twice (a circle closed by linspace's end point?)")
    distance, nearest = cKDTree(means).query(samples)                             # (n,)
    good = distance <= 3 * std
    if not good.any():
        return ModeCoverage(0, 0.0, np.inf)
    histogram = np.bincount(nearest[good], minlength=len(means))                  # (K,)
    reverse_kl = rel_entr(histogram / good.sum(), 1 / len(means)).sum()
    return ModeCoverage(int((histogram > 0).sum()), float(good.mean()), float(reverse_kl))
