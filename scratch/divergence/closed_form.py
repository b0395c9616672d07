"""KL between two Gaussians in closed form: the number that the estimators are measured against.

Needs the parameters of two Gaussian distributions p and q in D dimensions, d = mean_q - mean_p:

    KL(p || q) = 1/2 [tr(S_q^-1 S_p) + d^T S_q^-1 d - D + log det S_q - log det S_p]      (1)

Let l_1 .. l_D be the eigenvalues of S_p v = l S_q v.  They are the squared singular values of
L_q^-1 L_p, with L the Cholesky factors.  Their sum is the trace, and their product the ratio of the
determinants, so that

    KL(p || q) = 1/2 [sum_i (l_i - 1 - log l_i) + |L_q^-1 d|^2]                           (2)

No term of (2) is negative and none cancels another: it keeps its digits when p and q nearly agree.

Source: Bishop 2006, "Pattern Recognition and Machine Learning", exercise 2.13.
Checked in tests/divergence/test_closed_form.py::test_gaussians_equal_the_textbook_formula
and tests/divergence/test_closed_form.py::test_a_tiny_divergence_keeps_its_digits.
"""
import numpy as np
from scipy.linalg import LinAlgError, solve_triangular, svdvals

from scratch import checks
from scratch.estimate import Estimate


def kl_gaussians(mean_p, cov_p, mean_q, cov_q):
    """KL(N(mean_p, cov_p) || N(mean_q, cov_q)) in nats; means (D,), covariances (D, D).

    >>> kl_gaussians([0, 0], np.eye(2), [2, 0], np.eye(2)).value
    2.0
    """
    mean_p, L_p = _gaussian(mean_p, cov_p, "p")
    mean_q, L_q = _gaussian(mean_q, cov_q, "q")
    if mean_p.shape != mean_q.shape:
        raise ValueError(f"mean_p and mean_q must have one shape, got {mean_p.shape} and {mean_q.shape}")
    ratio = svdvals(solve_triangular(L_q, L_p, lower=True)) ** 2                  # (D,)  l_i
    z = solve_triangular(L_q, mean_q - mean_p, lower=True)                        # (D,)  L_q^-1 d
    value = 0.5 * (np.sum(ratio - 1 - np.log(ratio)) + z @ z)                     # (2)
    return Estimate(float(value), 0.0, 0)


def _gaussian(mean, cov, which):
    """A mean (D,), and the Cholesky factor (D, D) of a symmetric positive definite covariance."""
    mean, cov = checks.constant(mean, f"mean_{which}"), checks.constant(cov, f"cov_{which}")
    if mean.ndim != 1 or mean.size == 0:
        raise ValueError(f"mean_{which} must have shape (dim,), got {mean.shape}")
    if cov.shape != (mean.size, mean.size):
        raise ValueError(f"cov_{which} must have shape {(mean.size, mean.size)}, got {cov.shape}")
    if np.abs(cov - cov.T).max() > 1e-9 * np.abs(cov).max():                      # rounding is forgiven
        raise ValueError(f"cov_{which} must be symmetric, got {cov.tolist()}")
    try:
        return mean, np.linalg.cholesky((cov + cov.T) / 2)
    except LinAlgError:
        raise ValueError(f"cov_{which} must be positive definite, got {cov.tolist()}") from None
