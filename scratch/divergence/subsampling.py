"""Standard errors where there is no formula: subsampling.

An estimator is applied to many random subsets, drawn without replacement, of b
of the n points of each sample.  If its deviation shrinks like n^-rate,

    stderr_n = (b / n)^rate * deviation over subsets * sqrt(1 / (1 - b / n))

The last factor is the finite population correction: subsets share points, the
more the larger b / n is (for a mean it makes the formula exact in expectation).
rate = 1/2 holds for nearly everything here, around its own mean: KL estimates, MMD
between different laws, Wasserstein distances.  It is 1 for the unbiased MMD
between equal laws, which is degenerate there.

The bootstrap is of no use for neighbors: it draws with replacement, so that a
third of all points come twice, their distances are 0, and a nearest-neighbor
estimate of them is far off or infinite.  Subsets have no repeated points.

Only the spread is estimated here.  The bias of a subset is that of b points.

Source: Politis and Romano 1994, "Large sample confidence regions based on
subsamples under minimal assumptions", Ann. Statist. 22(4).
"""
import numpy as np

from scratch import checks
from scratch.divergence.samples import two_samples
from scratch.estimate import Estimate


def subsample(estimator, x, y, rng, repeats=100, fraction=0.25, rate=0.5):
    """estimator(x, y) with a standard error from `repeats` subsets of this fraction of x and of y.

    estimator returns an Estimate or a float; its value on all points is kept.
    """
    x, y = two_samples(x, y)
    checks.generator(rng)
    if not callable(estimator):
        raise TypeError(f"estimator must be a function (x, y) -> Estimate or float, got {estimator!r}")
    repeats = checks.size(repeats, "repeats", minimum=2)
    rate, fraction = checks.positive(rate, "rate"), checks.positive(fraction, "fraction")
    if fraction >= 1:
        raise ValueError(f"fraction must lie in (0, 1), got {fraction}")
    sizes = [round(fraction * len(z)) for z in (x, y)]
    if min(sizes) < 1:
        raise ValueError(f"a fraction {fraction} of {len(x)} and {len(y)} rows leaves an empty subset")
    value = float(estimator(x, y))
    if np.isnan(value):
        raise ValueError("the estimator is NaN on all points")
    if np.isinf(value):
        return Estimate(value, 0.0, len(x))
    subsets = ([rng.choice(z, size, replace=False) for z, size in zip((x, y), sizes)] for _ in range(repeats))
    values = np.array([float(estimator(*subset)) for subset in subsets])
    if not np.isfinite(values).all():
        raise ValueError(f"the estimator is finite on all points but not on {np.sum(~np.isfinite(values))} "
                         f"of {repeats} subsets: they are too small")
    stderr = fraction ** rate * values.std(ddof=1) / np.sqrt(1 - fraction)
    return Estimate(value, float(stderr), len(x))
