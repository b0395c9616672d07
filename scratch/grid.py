"""The midpoint rule on a box: nodes and the volume of their cells.

    integral of f over the box  ~=  cell * sum_i f(nodes_i)

For a smooth density that has died out at the box's walls this plain rule is excellent: its
error falls faster than any power of the step.  Every term of the Euler-Maclaurin series holds
derivatives at the walls, and these vanish (Trefethen and Weideman 2014, "The exponentially
convergent trapezoidal rule").  Where f jumps, as at the edge of a square, its order is 1 only.
Checked in tests/test_grid.py::test_second_order_and_beyond_it_where_the_function_dies_out.
"""
import numpy as np

from scratch import checks


def midpoints(bounds, n):
    """The centers of an even grid of n cells per axis in a box.

    bounds: (D, 2), a row (low, high) per axis.  Returns nodes (n**D, D), the
    last axis running fastest, and the volume of one cell.

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
