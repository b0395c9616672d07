"""KL in closed form, of two Gaussians and of two tables: what estimators are tested against.

Needs the parameters of two Gaussian distributions p and q in D dimensions.  With covariances S_p
and S_q, and d = mean_q - mean_p,

    KL(p || q) = 1/2 [tr(S_q^-1 S_p) + d^T S_q^-1 d - D + log det S_q - log det S_p]      (1)

Let l_1 .. l_D be the eigenvalues of S_p v = l S_q v.  They are the squared singular values of
L_q^-1 L_p, with Cholesky factors S = L L^T.  Their sum is the trace in (1), and their product is
det S_p / det S_q, so that

    KL(p || q) = 1/2 [sum_i (l_i - 1 - log l_i) + |L_q^-1 d|^2]                           (2)

No term of (2) is negative, so none cancels another: the sum keeps its digits when p is close to q.

For two tables of probabilities p_k, q_k of the same C outcomes, with u_k = q_k / p_k - 1,

    KL(p || q) = sum_k p_k log(p_k / q_k) = sum_k p_k [u_k - log(1 + u_k)]                (3)

because sum_k p_k u_k = 0.  No term of the second form is negative, so neither is the sum.

Source: Bishop 2006, "Pattern Recognition and Machine Learning", exercise 2.13.
Checked in tests/divergence/test_closed_form.py::test_gaussians_equal_the_textbook_formula
and tests/divergence/test_closed_form.py::test_a_tiny_divergence_keeps_its_digits
and tests/divergence/test_closed_form.py::test_categoricals_equal_a_loop_over_the_outcomes.
"""
import numpy as np
from scipy.linalg import solve_triangular, svdvals

from scratch import checks
from scratch.estimate import Estimate


def kl_gaussians(mean_p, cov_p, mean_q, cov_q):
    """KL(N(mean_p, cov_p) || N(mean_q, cov_q)) in nats; means (D,), covariances (D, D).

    >>> kl_gaussians([0, 0], np.eye(2), [2, 0], np.eye(2)).value
    2.0
    """
    mean_p, L_p = _gaussian(mean_p, cov_p, "p")
    mean_q, L_q = _gaussian(mean_q, cov_q, "q", mean_p.shape)
    ratio = svdvals(solve_triangular(L_q, L_p, lower=True)) ** 2                  # (D,)  l_i
    z = solve_triangular(L_q, mean_q - mean_p, lower=True)                        # (D,)  L_q^-1 d
    value = 0.5 * (np.sum(ratio - 1 - np.log(ratio)) + z @ z)                     # (2)
    return Estimate(float(value), 0.0, 0)


def kl_categoricals(p, q):
    """KL(p || q) in nats of probabilities (C,) of the same outcomes, at least 0; inf where p > 0 = q.

    >>> kl_categoricals([0.5, 0.5, 0], [1, 0, 0]).value
    inf
    """
    p = checks.constant(p, "p")
    q = checks.constant(q, "q", p.shape)
    for name, table in (("p", p), ("q", q)):
        if table.ndim != 1 or (table < 0).any() or abs(table.sum() - 1) > 1e-6:    # rounding of float32
            raise ValueError(f"{name} must be a list of probabilities that sum to 1, "
                             f"got {checks.brief(table)} with sum {table.sum()}")
    p, q = p / p.sum(), q / q.sum()                                               # exactly, for (3)
    inside = p > 0
    u = q[inside] / p[inside] - 1
    with np.errstate(divide="ignore"):                                            # log 0 = -inf is the answer
        terms = p[inside] * np.maximum(u - np.log1p(u), 0)                        # >= 0 but for rounding  (3)
    return Estimate(float(q[~inside].sum() + terms.sum()), 0.0, 0)


def _gaussian(mean, cov, which, shape=None):
    """A mean (D,), and the Cholesky factor (D, D) of a symmetric positive definite covariance."""
    mean = checks.constant(mean, f"mean_{which}", shape)
    if mean.ndim != 1 or mean.size == 0:
        raise ValueError(f"mean_{which} must have shape (dim,), got {mean.shape}")
    return mean, checks.covariances(cov, f"cov_{which}", (mean.size, mean.size))[1]
