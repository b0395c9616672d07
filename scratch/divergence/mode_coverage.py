"""Mode coverage: does a sampler find all modes of a mixture of equal, well separated Gaussians?

Needs samples (n, D) of a model, and the K means and the std of the data distribution.  Papers on
mode collapse report, as a rule for n = 2,500,

    high quality = fraction of the samples within 3 std of the nearest mean               (1)
    modes        = number of means with at least one such sample nearest to them          (2)
    reverse KL   = KL(h || uniform) = sum_k h_k log(K h_k) nats                           (3)

with h the histogram of the samples of high quality over the K means.  The KL is reverse: the model
comes first.  A perfect sampler in the plane has 1 - exp(-9/2) = 98.9 % of high quality, and a
reverse KL of about (K - 1) / (2 n), not 0.  A larger (1) means that the modes are too sharp.  Report
the reverse KL too, because in (2) a single stray sample counts as a mode.

Source: Srivastava et al. 2017, "VEEGAN: Reducing mode collapse in GANs"; Lin et al. 2018, "PacGAN:
The power of two samples in generative adversarial networks", Table 1.
Checked in tests/divergence/test_mode_coverage.py::test_it_equals_a_loop_over_the_samples
and tests/divergence/test_mode_coverage.py::test_a_perfect_sampler_scores_as_published.
"""
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import rel_entr

from scratch import checks
from scratch.divergence.samples import one_sample


class ModeCoverage(NamedTuple):
    """(2), (1) and (3)."""
    modes: int              # captured
    high_quality: float     # fraction of the samples
    reverse_kl: float       # nats; inf if no sample is of high quality


def mode_coverage(samples, means, std):
    """Modes, fraction of high quality and reverse KL of samples (n, D) for modes at means (K, D).

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
    reverse_kl = rel_entr(histogram / good.sum(), 1 / len(means)).sum()           # (3)
    return ModeCoverage(int((histogram > 0).sum()), float(good.mean()), float(reverse_kl))        # (2), (1)
