"""KL in closed form: the roads that all others are measured against.

    KL(p || q) = E_p[log p(x) - log q(x)]      nats, at least 0

Gaussians (D coordinates, d = mean_q - mean_p):

    KL = 1/2 [ tr(S_q^-1 S_p) + d^T S_q^-1 d - D + log det S_q - log det S_p ]

Let l_1 .. l_D be the eigenvalues of S_p v = l S_q v, the squared singular values
of L_q^-1 L_p with Cholesky factors L.  Their sum is the trace and their product
the ratio of the determinants, so that

    KL = 1/2 [ sum_i (l_i - 1 - log l_i) + d^T S_q^-1 d ]

Here no term can be negative, and none cancels another: this is the form that
is computed.  It keeps its digits when the two laws nearly agree.

    categorical   sum_k p_k log(p_k / q_k)
    Bernoulli     the same with (p, 1 - p), summed over independent coordinates
    Laplace       log(b_q / b_p) + [d + b_p exp(-d / b_p)] / b_q - 1,      d = |mean_p - mean_q|, scales b
    gamma         (a_p - a_q) psi(a_p) - log G(a_p) + log G(a_q) + a_q log(b_q / b_p) + a_p (b_p / b_q - 1)
                  shapes a, scales b, G the gamma function; a = 1 is the exponential law

All follow by integrating p log(p / q); psi is the derivative of log G.
"""
import numpy as np
from scipy.linalg import LinAlgError, solve_triangular, svdvals
from scipy.special import digamma, gammaln, rel_entr

from scratch import checks
from scratch.estimate import Estimate


def kl_gaussians(mean_p, cov_p, mean_q, cov_q):
    """KL(N(mean_p, cov_p) || N(mean_q, cov_q)); means (D,), covariances (D, D).

    >>> kl_gaussians([0, 0], np.eye(2), [2, 0], np.eye(2)).value
    2.0
    """
    mean_p, L_p = _gaussian(mean_p, cov_p, "p")
    mean_q, L_q = _gaussian(mean_q, cov_q, "q")
    if mean_p.shape != mean_q.shape:
        raise ValueError(f"mean_p and mean_q must have one shape, got {mean_p.shape} and {mean_q.shape}")
    ratio = svdvals(solve_triangular(L_q, L_p, lower=True)) ** 2                  # (D,)  l_i
    z = solve_triangular(L_q, mean_q - mean_p, lower=True)
    value = 0.5 * (np.sum(ratio - 1 - np.log(ratio)) + z @ z)
    return Estimate(float(value), 0.0, 0)


def kl_categoricals(p, q):
    """KL between two laws on the same K outcomes, given as probabilities (K,); inf where p > 0 = q.

    >>> kl_categoricals([0.5, 0.5, 0], [1, 0, 0]).value
    inf
    """
    p, q = _probabilities(p, "p"), _probabilities(q, "q")
    for name, law in (("p", p), ("q", q)):
        if abs(law.sum() - 1) > 1e-9:
            raise ValueError(f"{name} must sum to 1, got {law.sum()}")
    _same_shape(p, q)
    return Estimate(float(rel_entr(p, q).sum()), 0.0, 0)


def kl_bernoullis(p, q):
    """KL between two products of Bernoulli laws with the probabilities (D,) of a 1."""
    p, q = _probabilities(p, "p"), _probabilities(q, "q")
    _same_shape(p, q)
    return Estimate(float(np.sum(rel_entr(p, q) + rel_entr(1 - p, 1 - q))), 0.0, 0)


def kl_laplaces(mean_p, scale_p, mean_q, scale_q):
    """KL between two Laplace laws on the line, with densities exp(-|x - mean| / scale) / (2 scale)."""
    scale_p, scale_q = checks.positive(scale_p, "scale_p"), checks.positive(scale_q, "scale_q")
    d = abs(_number(mean_p, "mean_p") - _number(mean_q, "mean_q"))
    value = np.log(scale_q / scale_p) + (d + scale_p * np.exp(-d / scale_p)) / scale_q - 1
    return Estimate(float(value), 0.0, 0)


def kl_gammas(shape_p, scale_p, shape_q, scale_q):
    """KL between two gamma laws, with densities proportional to x^(shape - 1) exp(-x / scale) on x > 0."""
    a_p, a_q = checks.positive(shape_p, "shape_p"), checks.positive(shape_q, "shape_q")
    b_p, b_q = checks.positive(scale_p, "scale_p"), checks.positive(scale_q, "scale_q")
    value = ((a_p - a_q) * digamma(a_p) - gammaln(a_p) + gammaln(a_q)
             + a_q * np.log(b_q / b_p) + a_p * (b_p / b_q - 1))
    return Estimate(float(value), 0.0, 0)


def _probabilities(p, name):
    """p as a vector (K,) of numbers in [0, 1]."""
    p = checks.constant(p, name)
    if p.ndim != 1 or p.size == 0:
        raise ValueError(f"{name} must be a vector of probabilities, got shape {p.shape}")
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"{name} must hold probabilities between 0 and 1, got {p.tolist()}")
    return p


def _number(value, name):
    value = checks.constant(value, name)
    if value.ndim != 0:
        raise ValueError(f"{name} must be one number, got shape {value.shape}")
    return float(value)


def _same_shape(p, q):
    if p.shape != q.shape:
        raise ValueError(f"p and q must have one shape, got {p.shape} and {q.shape}")


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
