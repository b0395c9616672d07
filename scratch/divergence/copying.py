"""Data copying: are generated rows nearer to the training rows than fresh data are?

Needs training rows T, n fresh rows P of the same distribution, and m generated rows Q.  Let d(x) be the
distance of x to its nearest training row.  A generator that copies has smaller distances d(q) than fresh
data have.  The statistic of Mann and Whitney counts the pairs in which the generated row is farther:

    U = #{(p, q): d(q) > d(p)} + 1/2 #{(p, q): d(q) = d(p)}                                  (1)

If P and Q have one distribution, U has mean n m / 2 and variance n m (n + m + 1) / 12.  So

    Z = (U - n m / 2) / sqrt(n m (n + m + 1) / 12)                                           (2)

is nearly N(0, 1) (without ties).  Z far below 0: Q copies.  Z far above 0: Q is too far from the training
rows.  Over the whole space, rows of Q that are too far can hide copies elsewhere.  So the space is cut into
cells, and

    C_T = sum over cells of n_cell Z_cell / sum over cells of n_cell                         (3)

with n_cell fresh rows in a cell.  A cell is what lies nearest to one of k centers, which k-means finds in T.
A cell counts if it holds a fresh row and at least FEWEST generated ones.

Source: Meehan, Chaudhuri and Dasgupta 2020, "A Non-Parametric Test to Detect Data-Copying in Generative
Models", section 3.  Their code counts the cells that hold more than a given share of Q, and d(x) is to the
nearest training row of the same cell; here it is to the nearest of all.
Checked in tests/divergence/test_copying.py::test_z_is_the_naive_count and
tests/divergence/test_copying.py::test_without_copies_z_is_standard_normal.
"""
import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from scratch import checks
from scratch.divergence.samples import one_sample

FEWEST = 10                    # generated rows of a cell that counts; by hand, not swept


def copying_z(fresh, generated):
    """Z (2) of two sets of distances (n,) and (m,) to the training rows.

    >>> round(copying_z(np.array([3.0, 4.0]), np.array([1.0, 2.0])), 4)         # U = 0
    -1.5492
    """
    fresh, generated = (checks.constant(d, name, ("n",)) for d, name in ((fresh, "fresh"), (generated, "generated")))
    n, m = len(fresh), len(generated)
    U = rankdata(np.concatenate([generated, fresh]))[:m].sum() - m * (m + 1) / 2  # (1)
    return float((U - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))             # (2)


def copying(train, fresh, generated, rng, *, cells=1):
    """C_T (3) of rows (N, D), (n, D) and (m, D).  Without copies Z is below -3 about once in 740 times."""
    train = one_sample(train, "train")
    fresh, generated = (one_sample(x, name, train.shape[1]) for x, name in ((fresh, "fresh"), (generated, "generated")))
    centers, _ = kmeans2(train, checks.size(cells, "cells"), minit="++", seed=checks.generator(rng))
    tree, places = cKDTree(train), cKDTree(centers)
    (d_p, _), (d_q, _) = tree.query(fresh), tree.query(generated)
    (_, in_p), (_, in_q) = places.query(fresh), places.query(generated)
    count_p, count_q = (np.bincount(cell, minlength=cells) for cell in (in_p, in_q))
    counted = np.flatnonzero((count_p > 0) & (count_q >= FEWEST))
    if len(counted) == 0:
        raise ValueError(f"no cell holds fresh rows and {FEWEST} generated ones: take fewer cells")
    z = [copying_z(d_p[in_p == cell], d_q[in_q == cell]) for cell in counted]
    return float(count_p[counted] @ z / count_p[counted].sum())                   # (3)
