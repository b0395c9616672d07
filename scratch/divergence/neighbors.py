"""Nearest neighbors by k-d trees, safe for repeated points and for any unit of length.

Rows carry a group number, the same for equal rows (samples.equal_rows).  More
than k copies of a point change no k-th distance, but in a k-d tree they make
one leaf that every search reads in full: the copies beyond are left out.
"""
import numpy as np
from scipy.spatial import cKDTree

from scratch.divergence.samples import first_copies

CLOSER = 1 - 1e-10                        # a ball of radius CLOSER * r holds the points nearer than r
LEAST = np.sqrt(np.finfo(float).tiny)     # the square of a smaller distance underflows


def same_scale(x, y):
    """x and y in the unit of their largest coordinate, so that no squared distance overflows."""
    unit = max(np.abs(x).max(), np.abs(y).max()) or 1.0
    return x / unit, y / unit


def nearest(at, data, group, k):
    """For each row of `at`: the distance to its k-th nearest row of data (n,), and the groups of all k."""
    keep = first_copies(group, k)
    distance, index = cKDTree(data[keep]).query(at, np.arange(1, k + 1))
    return distance[:, -1], group[keep][index]                                    # (n,), (n, k)


def nearest_others(at, data, group, k):
    """The same for rows that stand in data themselves: they do not count as their own neighbors."""
    distance, near = nearest(at, data, group, k + 1)
    return distance, near[:, 1:]


def count_nearer(at, data, radius):
    """How many rows of data are nearer to each row of `at` than its radius (n,).

    >>> count_nearer(np.zeros((2, 1)), np.array([[0.0], [1.0], [2.0]]), np.array([2.0, 0.0]))
    array([2, 0])
    """
    count = cKDTree(data).query_ball_point(at, CLOSER * radius, return_length=True)
    return np.where(radius > 0, count, 0)


def shares(near, count):
    """How much rests on each row of a group, if every row of near gives 1/k to each of its k neighbors.

    near: groups of the neighbors (n, k); count: rows in each group; copies share evenly.  (groups,)
    """
    return np.bincount(near.ravel(), minlength=len(count)) / near.shape[1] / np.maximum(count, 1)
