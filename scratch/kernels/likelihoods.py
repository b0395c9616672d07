"""Log-densities in nats, with their gradients in the point and in every parameter.

Each returns (log_p, pull), where pull(dlog_p) gives the gradients of
sum(dlog_p * log_p) in the arguments, in their order.
"""
import numpy as np

from scratch import checks
from scratch.kernels.stable import log_softmax, logsumexp, softplus

HALF_LOG_TWO_PI = 0.5 * float(np.log(2 * np.pi))


def mixture_log_density(x, logits, means, log_stds):
    """log sum_k pi_k N(x; mu_k, s_k^2), pi = softmax(logits), s = exp(log_std): one scalar x per mixture.

    x (...,); logits, means, log_stds (..., K).  Returns log_p (...,) and
    pull(dlog_p) -> (dx, dlogits, dmeans, dlog_stds).  With z = (x - mu) / s and
    the responsibility r_k = pi_k N_k / p, the posterior of the component
    (Bishop 2006, section 5.6, for parameters that a network makes),

        d log p / d logit_k   = r_k - pi_k          log p is a difference of two log-sum-exps
        d log p / d mu_k      = r_k z_k / s_k
        d log p / d log_std_k = r_k (z_k^2 - 1)
        d log p / d x         = - sum_k r_k z_k / s_k
    """
    x, logits = checks.array(x, "x"), checks.array(logits, "logits", dimensions=1)
    _same_shape(logits.shape, logits=logits, means=means, log_stds=log_stds)
    _same_shape(logits.shape[:-1], x=x)
    inverse_std = np.exp(-log_stds)                                         # (..., K)
    z = (x[..., None] - means) * inverse_std
    joint = logits - 0.5 * z * z - log_stds
    log_sum, pull_sum = logsumexp(joint)                                    # (...,)
    log_norm, pull_norm = logsumexp(logits)                                 # pi_k = exp(logit_k - log_norm)
    log_p = log_sum - log_norm - HALF_LOG_TWO_PI

    def pull(dlog_p):
        djoint = pull_sum(dlog_p)                                           # dlog_p r_k
        dlogits = djoint - pull_norm(dlog_p)                                # dlog_p (r_k - pi_k)
        dlog_stds = djoint * (z * z - 1)
        dmeans = djoint * z * inverse_std
        dx = -np.sum(dmeans, axis=-1)
        return dx, dlogits, dmeans, dlog_stds

    return log_p, pull


def gaussian_log_density(x, mean, log_std):
    """log N(x; mean, exp(log_std)^2), entry by entry; the three share one shape.

    pull(dlog_p) -> (dx, dmean, dlog_std).  With z = (x - mean) / std,

        d log p / d mean = z / std,      d log p / d log_std = z^2 - 1
    """
    _same_shape(np.shape(x), x=x, mean=mean, log_std=log_std)
    inverse_std = np.exp(-log_std)
    z = (x - mean) * inverse_std
    log_p = -0.5 * z * z - log_std - HALF_LOG_TWO_PI

    def pull(dlog_p):
        dlog_std = dlog_p * (z * z - 1)
        dmean = dlog_p * z * inverse_std
        return -dmean, dmean, dlog_std

    return log_p, pull


def bernoulli_log_density(x, logits):
    """log p(x) for x in {0, 1} with p(1) = sigmoid(logit), entry by entry: x a - softplus(a).

    x is data, so pull(dlog_p) -> dlogits alone: dlog_p (x - sigmoid(a)).
    """
    _same_shape(np.shape(logits), x=x, logits=logits)
    if not ((np.real(x) >= 0) & (np.real(x) <= 1)).all():
        raise ValueError(f"x must lie in [0, 1], got values from {np.min(x)} to {np.max(x)}")
    log_norm, pull_norm = softplus(logits)
    log_p = x * logits - log_norm

    def pull(dlog_p):
        return dlog_p * x - pull_norm(dlog_p)

    return log_p, pull


def categorical_log_density(x, logits):
    """log softmax(logits)_x for integers x (...,) in 0 ... C-1 and logits (..., C).

    x is data, so pull(dlog_p) -> dlogits alone: dlog_p (1[c = x] - softmax(logits)_c).
    """
    logits = checks.array(logits, "logits", dimensions=1)
    if getattr(x, "dtype", np.dtype(object)).kind not in "iu" or x.shape != logits.shape[:-1]:
        raise ValueError(f"x must be an array of integers of shape {logits.shape[:-1]}, one per row of logits")
    if x.min() < 0 or x.max() >= logits.shape[-1]:
        raise ValueError(f"x must lie in 0 ... {logits.shape[-1] - 1}, got values from {x.min()} to {x.max()}")
    log_pi, pull_pi = log_softmax(logits)                                   # (..., C)
    log_p = np.take_along_axis(log_pi, x[..., None], axis=-1)[..., 0]

    def pull(dlog_p):
        dlog_pi = np.zeros(log_pi.shape, np.result_type(log_pi, dlog_p))
        np.put_along_axis(dlog_pi, x[..., None], dlog_p[..., None], axis=-1)
        return pull_pi(dlog_pi)

    return log_p, pull


def _same_shape(shape, **arrays):
    for name, a in arrays.items():
        if np.shape(a) != shape:
            raise ValueError(f"{name} must have shape {shape} to fit the others, got {np.shape(a)}")
