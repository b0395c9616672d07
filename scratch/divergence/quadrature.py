"""KL by quadrature: the sum over a fine grid, in one or two dimensions.

Needs the log-densities of the distributions p and q.  Estimates KL(p || q) in nats by the midpoint
rule of scratch/grid.py, with 0 log 0 = 0, on nodes u_j of cells of volume v (D = 1 or 2):

    KL(p || q) = int p log(p / q)  ~=  v sum_j p(u_j) [log p(u_j) - log q(u_j)]           (1)
    mass of p ~= v sum_j p(u_j),    likewise of q                                         (2)

p > 0 at a node where q = 0 makes the KL infinite.  Nothing is normalized: the masses show a density
that the box cuts, that the nodes miss, or that does not integrate to 1.

The error is estimated from the same nodes.  Every third of them (per axis) is the midpoint of a
cell three times as wide, so they hold a second, coarser rule:

    stderr = |(1) - coarse (1)| + rounding of the sum                                     (3)

(3) is about the error of the coarse rule.  That is larger than the error of (1): 9 times for a
density with kinks, far more for a smooth one, but no more than about 3 times at jumps.
Checked in tests/divergence/test_quadrature.py::test_it_equals_a_loop_over_a_coarse_grid
and tests/divergence/test_quadrature.py::test_the_stated_error_covers_kinks_and_jumps.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.estimate import Estimate
from scratch.grid import midpoints

NODES = 600 ** 2                          # by default, in all; chosen by hand


@dataclass(frozen=True)
class MassEstimate(Estimate):
    """An Estimate with the masses of p and q by (2), 1 if all is well."""
    mass_p: float
    mass_q: float


def kl_quadrature(log_p, log_q, bounds, n=None):
    """KL(p || q) in nats by the midpoint rule in the box `bounds` (D, 2), D = 1 or 2.

    n cells per axis, rounded up to a multiple of 3.

    >>> normal = lambda x: -0.5 * x[:, 0] ** 2 - 0.5 * np.log(2 * np.pi)
    >>> round(kl_quadrature(normal, lambda x: normal(x - 2), [(-9, 9)]).value, 12)
    2.0
    """
    bounds = checks.constant(bounds, "bounds")
    D = len(bounds) if bounds.ndim == 2 else 0
    if D not in (1, 2):
        raise ValueError(f"quadrature is for 1 or 2 dimensions: bounds must have shape (1, 2) or (2, 2), "
                         f"got {bounds.shape}")
    n = round(NODES ** (1 / D)) if n is None else checks.size(n, "n", minimum=3)
    n += -n % 3
    nodes, cell = midpoints(bounds, n)                                            # (n**D, D)
    log_p, log_q = evaluate(log_p, nodes, "log_p"), evaluate(log_q, nodes, "log_q")
    inside, terms = log_p > -np.inf, np.zeros((n,) * D)                           # 0 log 0 = 0
    terms.flat[inside] = np.exp(log_p[inside]) * (log_p[inside] - log_q[inside])
    value, error = cell * terms.sum(), 0.0                                        # (1)
    if np.isfinite(value):                                                        # else inf is certain
        coarse = cell * 3 ** D * terms[(slice(1, None, 3),) * D].sum()
        error = abs(value - coarse) + np.finfo(float).eps * cell * np.abs(terms).sum()    # (3)
    masses = [float(cell * np.exp(log_density).sum()) for log_density in (log_p, log_q)]  # (2)
    return MassEstimate(float(value), float(error), terms.size, *masses)
