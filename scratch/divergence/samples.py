"""Two samples at the door: checked together, grouped by equal rows, laid on one plane, whitened."""
import numpy as np
from scipy.linalg import cholesky, solve_triangular

from scratch import checks


def one_sample(x, name="x"):
    """Real data rows (n, D) as float64."""
    x = checks.rows(x, name=name)
    if x.dtype.kind == "c":
        raise TypeError(f"{name} must be real, got dtype {x.dtype}")
    return x.astype(np.float64)


def two_samples(x, y):
    """Samples x (n, D) of p and y (m, D) of q, of one dimension, as float64."""
    x, y = one_sample(x, "x"), one_sample(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have the same number of columns, got shapes {x.shape} and {y.shape}")
    return x, y


def equal_rows(x, y):
    """The group of every row, the same number for equal rows: (n,) and (m,) integers from 0.

    >>> equal_rows(np.array([[1.0, 2], [3, 4]]), np.array([[3.0, 4], [3, 4], [3, 5]]))
    (array([0, 1]), array([1, 1, 2]))
    """
    rows = np.concatenate([x, y])
    order = np.lexsort(rows.T[::-1])                      # equal rows become neighbors
    ordered = rows[order]
    starts = np.concatenate([[False], (ordered[1:] != ordered[:-1]).any(axis=1)])
    group = np.empty(len(rows), dtype=int)
    group[order] = np.cumsum(starts)
    return group[:len(x)], group[len(x):]


def first_copies(group, limit):
    """Mask (n,) of the rows that are among the first `limit` of their group."""
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    first = np.cumsum(sizes) - sizes                      # where each group starts in this order
    mask = np.empty(len(group), dtype=bool)
    mask[order] = np.arange(len(group)) - first[group[order]] < limit
    return mask


def common_plane(x, y):
    """Where columns are constant: the mask (D,) of those that vary in x, and (m,) of the y on its plane.

    If p keeps some columns constant it lives on a plane, and by the chain rule

        KL(p || q) = -log q(plane) + KL(p || q given the plane)

    so that only the y on the plane count.  If there is none, or if those y
    keep a column constant that varies in x, then q has no mass where p has:
    no row of y is returned, and the KL is infinite.
    """
    varying = (x != x[0]).any(axis=0)
    inside = (y[:, ~varying] == x[0, ~varying]).all(axis=1)
    if inside.sum() > 1 and (y[inside][:, varying] == y[inside][0, varying]).all(axis=0).any():
        inside[:] = False
    return varying, inside


def whiten(x, y):
    """x and y under the one linear map that turns the mean of their covariances into the identity.

    A linear map leaves the KL as it is, and whitened samples of any linear
    image differ by a rotation only: kl_nearest_neighbor(*whiten(x, y)) is
    invariant under every linear map, where the plain one only is under rotation
    and scale.  It helps correlated laws and columns in different units, and
    harms laws made of small round pieces far apart, which it flattens.
    """
    x, y = two_samples(x, y)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a covariance needs at least 2 rows of x and of y, got {len(x)} and {len(y)}")
    center = x.mean(axis=0)
    unit = np.maximum(x.std(axis=0), y.std(axis=0))
    unit[unit == 0] = 1.0
    x, y = (x - center) / unit, (y - center) / unit
    covariance = np.atleast_2d(np.cov(x.T) + np.cov(y.T)) / 2
    if np.linalg.eigvalsh(covariance)[0] < 1e-12:
        raise ValueError("the columns of x and y are constant or linearly dependent: nothing to whiten by")
    root = cholesky(covariance, lower=True)
    return solve_triangular(root, x.T, lower=True).T, solve_triangular(root, y.T, lower=True).T
