"""Divergences by quadrature: the sum over a fine grid, in one or two dimensions.

    KL(p || q)  = int p log(p / q)                        the reverse KL: swap the arguments
    JS(p, q)    = 1/2 KL(p || m) + 1/2 KL(q || m),        m = (p + q) / 2;     0 <= JS <= log 2
    TV(p, q)    = 1/2 int |p - q|                         0 <= TV <= 1, no logarithm: not in nats

with the midpoint rule of scratch/grid.py and 0 log 0 = 0; p > 0 at a node
where q = 0 makes the KL infinite.  The functions are taken as they are: nothing
is normalized.  The mass of p and q that the grid found comes with the result,
so that a density that is cut by the box, missed between the nodes, or does not
integrate to 1 is seen.

The error of the rule is estimated without one more evaluation: every third
node of the grid is the midpoint of a cell three times as wide, so the nodes
hold a second, coarser rule.  stderr is the difference of the two (plus the
rounding of the sum).  This overstates the error, because the fine rule is
better than the coarse one: 9 times for a density with kinks, without limit
for a smooth one, but no more than about 3 times at jumps.
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import MassEstimate, evaluate, relative_terms
from scratch.grid import midpoints

NODES = 600 ** 2                          # by default, in all: 360,000 in 1-D, 600 per axis in 2-D


def kl_quadrature(log_p, log_q, bounds, n=None):
    """KL(p || q) in nats by the midpoint rule in the box `bounds` (D, 2), D = 1 or 2.

    log_p, log_q: (m, D) -> (m,), -inf where the density is zero.  n cells per
    axis, rounded up to a multiple of 3.

    >>> normal = lambda x: -0.5 * x[:, 0] ** 2 - 0.5 * np.log(2 * np.pi)
    >>> round(kl_quadrature(normal, lambda x: normal(x - 2), [(-9, 9)]).value, 12)
    2.0
    """
    log_p, log_q, cell = _on_grid(log_p, log_q, bounds, n)
    return _integrate(relative_terms(log_p, log_q), log_p, log_q, cell)


def js_quadrature(log_p, log_q, bounds, n=None):
    """The Jensen-Shannon divergence in nats, at most log 2; arguments as for kl_quadrature."""
    log_p, log_q, cell = _on_grid(log_p, log_q, bounds, n)
    log_m = np.logaddexp(log_p, log_q) - np.log(2)
    terms = 0.5 * (relative_terms(log_p, log_m) + relative_terms(log_q, log_m))
    return _integrate(terms, log_p, log_q, cell)


def tv_quadrature(log_p, log_q, bounds, n=None):
    """The total variation distance, at most 1; arguments as for kl_quadrature."""
    log_p, log_q, cell = _on_grid(log_p, log_q, bounds, n)
    return _integrate(0.5 * np.abs(np.exp(log_p) - np.exp(log_q)), log_p, log_q, cell)


def _on_grid(log_p, log_q, bounds, n):
    """Both log-densities on the grid, shape (n,) or (n, n), and the volume of a cell."""
    dim = np.shape(bounds)[0] if np.ndim(bounds) == 2 else 0
    if dim not in (1, 2):
        raise ValueError(f"quadrature is for 1 or 2 dimensions: bounds must have shape (1, 2) or (2, 2), "
                         f"got {np.shape(bounds)}")
    n = round(NODES ** (1 / dim)) if n is None else checks.size(n, "n", minimum=3)
    n += -n % 3
    nodes, cell = midpoints(bounds, n)                                            # (n**D, D)
    log_p, log_q = evaluate(log_p, nodes, "log_p"), evaluate(log_q, nodes, "log_q")
    return log_p.reshape((n,) * dim), log_q.reshape((n,) * dim), cell


def _integrate(terms, log_p, log_q, cell):
    """cell * sum(terms), its error by the coarser rule, and the masses."""
    value = cell * terms.sum()
    error = 0.0                                                                   # inf is certain
    if np.isfinite(value):
        coarse = cell * 3 ** terms.ndim * terms[(slice(1, None, 3),) * terms.ndim].sum()
        error = abs(value - coarse) + np.finfo(float).eps * cell * np.abs(terms).sum()
    masses = [float(cell * np.exp(log_density).sum()) for log_density in (log_p, log_q)]
    return MassEstimate(float(value), float(error), terms.size, *masses)
