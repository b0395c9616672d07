"""Repeated rows and constant columns, where there is no density.  (Skip at first reading.)

Repeated rows.  Equal rows mean that the distribution has an atom there, a point of positive
probability.  If n_i of the n x and m_i of the m y equal x_i, the log-ratio of the atoms is

    t_i = log(n_i / n) - log(m_i / m)                                                     (1)

In kl_nearest_neighbor x_i is an atom if k or more of the other x, or of the y, equal it.  For
discrete data this gives the KL of two histograms, and inf if a repeated x never occurs in y.  For
rounded data against a continuous model inf is the truth: uniform noise of the width of the rounding
step gives both samples densities.  kl_adaptive_neighbors needs no such rule.  Among a other x and
b y at distance 0 every order is equally likely, and the mean of its terms over all orders is again
H(a) - H(b).  For an atom that q lacks its terms are about log m, not inf.

Constant columns.  If x has constant columns, p has all its mass on a plane.  Let s be the fraction of
the y there.  The chain rule of the KL, and the variance of the logarithm of a fraction, give

    KL(p || q) = -log s + KL(p || q given the plane)                                      (2)
    stderr^2   = (1 - s) / (s m) + stderr^2 of the second KL                              (3)

The KL is inf if no y is on the plane, or if a column that varies in x is constant in those y.

Copies.  Let C be the number of equal pairs (x_i, y_j), W_x of pairs within x, W_y within y.  For
independent samples with atoms u of probabilities p_u and q_u, 2 p q <= p^2 + q^2 gives

    E C = n m sum_u p_u q_u <= n m / 2 sum_u (p_u^2 + q_u^2) ~= n m (W_x / n^2 + W_y / m^2)         (4)

A model that copies its training set has far more.  Every estimator would then return a negative
number with a small error, so such a y is refused.
Checked in tests/divergence/test_repeats.py::test_copies_are_refused_and_ties_are_not,
tests/divergence/test_repeats.py::test_discrete_data_give_the_kl_of_the_histograms
and tests/divergence/test_repeats.py::test_a_column_constant_in_x_obeys_the_chain_rule.
"""
from typing import NamedTuple

import numpy as np

from scratch.estimate import Estimate


class Places(NamedTuple):
    """The different rows of x and y together, numbered from 0."""
    of_x: np.ndarray        # (n,) the place of each row of x
    of_y: np.ndarray        # (m,)
    count_x: np.ndarray     # (places,) how many rows of x each place has
    count_y: np.ndarray     # (places,)
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__      # arrays have no single ==

    def atoms(self, k):
        """Mask (n,) of the x that k or more other x, or k or more y, equal."""
        return ((self.count_x > k) | (self.count_y >= k))[self.of_x]

    def log_ratio(self):
        """The log-ratio of the two histograms at each x (n,); inf where no y is."""
        with np.errstate(divide="ignore"):
            return (np.log(self.count_x[self.of_x] / len(self.of_x))
                    - np.log(self.count_y[self.of_x] / len(self.of_y)))                   # (1)


def places(x, y):
    """The Places of the rows of x (n, D) and y (m, D); m may be 0.

    >>> places(np.array([[1.0, 2], [3, 4]]), np.array([[3.0, 4], [3, 4], [3, 5]]))[:2]
    (array([0, 1]), array([1, 1, 2]))
    """
    rows = np.concatenate([x, y])
    order = np.lexsort(rows.T[::-1])                                              # equal rows side by side
    ordered = rows[order]
    starts = np.concatenate([[False], (ordered[1:] != ordered[:-1]).any(axis=1)])
    place = np.empty(len(rows), dtype=int)
    place[order] = np.cumsum(starts)
    of_x, of_y = place[:len(x)], place[len(x):]
    return Places(of_x, of_y, *(np.bincount(of, minlength=place.max() + 1) for of in (of_x, of_y)))


def refuse_copies(x, y):
    """Raise a ValueError if y (m, D) repeats rows of x (n, D) more often than independent samples do."""
    at, n, m = places(x, y), len(x), len(y)
    pairs = int(at.count_x @ at.count_y)                                          # C
    within = [float(count @ (count - 1)) / (2 * count.sum() ** 2) for count in (at.count_x, at.count_y)]
    bound = n * m * sum(within)                                                   # (4)
    if pairs > bound + 5 * np.sqrt(bound) + min(5, n / 2, m / 2):       # 5 deviations, and 5 for small counts
        raise ValueError(f"y is not independent of x: {int((at.count_x[at.of_y] > 0).sum())} of its {m} rows "
                         f"are rows of x, so no KL between densities can be estimated; does the model copy its data?")


def constant_columns(*samples):
    """Mask (D,) of the columns that hold one value in one of the samples; a single row has none."""
    return np.any([(x == x[0]).all(axis=0) & (len(x) > 1) for x in samples], axis=0)


def on_plane(estimator, x, y, *settings):
    """estimator(x, y, *settings) -> Estimate, extended to constant columns by (2) and (3)."""
    varying = ~constant_columns(x)
    inside = (y[:, ~varying] == x[0, ~varying]).all(axis=1)
    n, m, s = len(x), len(y), inside.mean()
    x, y = x[:, varying], y[inside][:, varying]
    if s == 0 or constant_columns(y).any():
        return Estimate(np.inf, 0.0, n)
    try:
        rest = estimator(x, y, *settings) if varying.any() else Estimate(0.0, 0.0, n)
    except ValueError as error:
        raise ValueError(f"x has constant columns, {len(y)} rows of y share them: {error}") from None
    value = float(rest.value - np.log(s))                                                 # (2)
    return Estimate(value, float(np.sqrt((1 - s) / (s * m) + rest.stderr ** 2)), n)       # (3)
