"""Log-densities in nats, with their gradients in the point and in every parameter.

Each returns (log_p, pull), where pull(dlog_p) gives the gradients of
sum(dlog_p * log_p) in the arguments, in their order.
"""
import numpy as np

from scratch.kernels.stable import logsumexp

HALF_LOG_TWO_PI = 0.5 * float(np.log(2 * np.pi))


def mixture_log_density(x, logits, means, log_stds):
    """log sum_k pi_k N(x; mu_k, s_k^2), pi = softmax(logits), s = exp(log_std): one scalar x per mixture.

    x (...,); logits, means, log_stds (..., K).  Returns log_p (...,) and
    pull(dlog_p) -> (dx, dlogits, dmeans, dlog_stds).  With z = (x - mu) / s and
    the responsibility r_k = pi_k N_k / p, the posterior of the component
    (Bishop 2006, section 9.2; Bishop 1994 eq. 35 for the network that makes them),

        d log p / d logit_k   = r_k - pi_k          log p is a difference of two log-sum-exps
        d log p / d mu_k      = r_k z_k / s_k
        d log p / d log_std_k = r_k (z_k^2 - 1)
        d log p / d x         = - sum_k r_k z_k / s_k
    """
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
