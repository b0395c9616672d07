"""The midpoint rule on a box: nodes and the volume of their cells.

    integral of f over the box  ~=  cell * sum_i f(nodes_i)

For a smooth density that is negligible at the walls of the box, its error falls faster than any
power of the step.  Every term of the Euler-Maclaurin series of the error holds derivatives at the
walls, and these vanish (Trefethen and Weideman 2014, "The exponentially convergent trapezoidal
rule").  Where f jumps, as at the edge of a square, the error falls as the first power only.
Checked in tests/test_grid.py::test_second_order_and_beyond_it_where_the_function_dies_out.
"""
import numpy as np

from scratch import checks


def midpoints(bounds, n):
    """Nodes (n**D, D), the centers of n cells per axis, and the volume of one cell.

    bounds: (D, 2), a row (low, high) per axis.  The last axis of the nodes runs fastest.

    >>> nodes, cell = midpoints([(0.0, 1.0)], 4)
    >>> nodes.ravel(), cell
    (array([0.125, 0.375, 0.625, 0.875]), 0.25)
    """
    n = checks.size(n, "n")
    bounds = checks.constant(bounds, "bounds")
    if bounds.ndim != 2 or bounds.shape[0] == 0 or bounds.shape[1] != 2 or (bounds[:, 0] >= bounds[:, 1]).any():
        raise ValueError(f"bounds must have shape (dim, 2), low < high on each axis, got {checks.brief(bounds)}")
    low, high = bounds.T
    step = (high - low) / n
    axes = low[:, None] + (np.arange(n) + 0.5) * step[:, None]                    # (D, n)
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return nodes, float(np.prod(step))
