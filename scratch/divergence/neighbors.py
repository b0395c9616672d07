"""Nearest neighbors by k-d trees, safe for repeated points and for any unit of length.

Each row comes with the number of its place, the same for equal rows (repeats.py).  More than k
copies of a point change no k-th distance, but they form one leaf of the tree, which every search
reads in full.  The copies after the k-th are therefore left out of the tree.
Checked in tests/divergence/test_neighbors.py::test_the_kth_distance_equals_a_sort_of_all.
"""
import numpy as np
from scipy.spatial import cKDTree

CLOSER = 1 - 1e-10                        # excludes points at the radius itself: a margin above rounding
LEAST = np.sqrt(np.finfo(float).tiny)     # the square of a smaller distance underflows


def same_scale(x, y):
    """x and y in the unit of their largest coordinate, so that no squared distance overflows."""
    unit = max(np.abs(x).max(), np.abs(y).max()) or 1.0
    return x / unit, y / unit


def first_copies(place, limit):
    """The rows, in ascending order, that are among the first `limit` of their place."""
    order = np.argsort(place, kind="stable")                                      # equal rows side by side
    copy = np.arange(len(place)) - np.searchsorted(place[order], place[order])    # 0, 1, ... among equal rows
    return np.sort(order[copy < limit])


def nearest(at, data, place, k):
    """For each row of `at`: the distance (n,) of its k-th nearest data, and the places (n, k)."""
    keep = first_copies(place, k)
    distance, index = cKDTree(data[keep]).query(at, np.arange(1, k + 1))
    return distance[:, -1], place[keep][index]


def nearest_others(at, data, place, k):
    """The same for rows that stand in data themselves: they do not count as their own neighbors."""
    distance, near = nearest(at, data, place, k + 1)
    return distance, near[:, 1:]


def count_nearer(at, data, radius):
    """How many rows of data are nearer to each row of `at` than its radius (n,).

    >>> count_nearer(np.zeros((2, 1)), np.array([[0.0], [1.0], [2.0]]), np.array([2.0, 0.0]))
    array([2, 0])
    """
    count, some = np.zeros(len(at), dtype=int), radius > 0
    count[some] = cKDTree(data).query_ball_point(at[some], CLOSER * radius[some], return_length=True)
    return count


def collected(near, count):
    """How often each place is in near (n, k), divided by k and by its number of rows: (places,)."""
    return np.bincount(near.ravel(), minlength=len(count)) / near.shape[1] / np.maximum(count, 1)
