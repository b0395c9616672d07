"""Log-densities in nats, with their gradients in the point and in every parameter.

Each function returns (log_p, pull), where pull(dlog_p) is the vector-Jacobian product: the
gradients of sum(dlog_p * log_p) in the arguments, in their order.

Symbols: x the point, K mixture components, C classes; any shape (...) of points at once.
"""
import numpy as np

from scratch.kernels.stable import log_softmax, logsumexp, sigmoid

HALF_LOG_TWO_PI = 0.5 * float(np.log(2 * np.pi))


def gaussian_log_density(x, mean, log_std):
    """log N(x; mean, exp(log_std)^2), entry by entry; pull(dlog_p) -> (dx, dmean, dlog_std).

    With z = (x - mean) / std,

        (1)   log p = -1/2 z^2 - log_std - 1/2 log 2 pi
        d(1)  d log p / d mean = z / std = - d log p / d x,      d log p / d log_std = z^2 - 1
    Checked in tests/kernels/test_likelihoods.py::test_gaussian_pullback_in_every_argument.

    >>> log_p, pull = gaussian_log_density(np.array([3.0]), np.array([1.0]), np.log([2.0]))     # z = 1
    >>> [float(gradient[0]) for gradient in pull(np.ones(1))]
    [-0.5, 0.5, 0.0]
    """
    inverse_std = np.exp(-log_std)
    z = (x - mean) * inverse_std
    log_p = -0.5 * z * z - log_std - HALF_LOG_TWO_PI                        # (1)

    def pull(dlog_p):
        dlog_std = dlog_p * (z * z - 1)                                     # d(1)
        dmean = dlog_p * z * inverse_std                                    # d(1)
        return -dmean, dmean, dlog_std

    return log_p, pull


def mixture_log_density(x, logits, means, log_stds):
    """The log-density of a mixture of K Gaussians at one scalar x for each mixture.

    x (...,); logits, means, log_stds (..., K).  Returns log_p (...,) and
    pull(dlog_p) -> (dx, dlogits, dmeans, dlog_stds).  With weights pi = softmax(logits),
    s = exp(log_std), z = (x - mu) / s, and N_k for the density of component k at x,

        (2)   log p = log sum exp(logit_k - z_k^2/2 - log s_k) - log sum exp(logit_k) - 1/2 log 2 pi

    and with the responsibility r_k = pi_k N_k / p, the posterior probability of component k
    (Bishop 2006, "Pattern recognition and machine learning", section 5.6),

        d(2)  d log p / d logit_k   = r_k - pi_k
              d log p / d mu_k      = r_k z_k / s_k
              d log p / d log_std_k = r_k (z_k^2 - 1)
              d log p / d x         = - sum_k r_k z_k / s_k
    Checked in tests/kernels/test_likelihoods.py::test_pullback_in_the_point_and_every_parameter.
    """
    inverse_std = np.exp(-log_stds)                                         # (..., K)
    z = (x[..., None] - means) * inverse_std
    logits = logits - np.max(np.real(logits), axis=-1, keepdims=True)       # keeps the digits of large ones
    joint = logits - 0.5 * z * z - log_stds
    log_sum, pull_sum = logsumexp(joint)                                    # (...,)
    log_norm, pull_norm = logsumexp(logits)                                 # the normalizer of pi
    log_p = log_sum - log_norm - HALF_LOG_TWO_PI                            # (2)

    def pull(dlog_p):
        djoint = pull_sum(dlog_p)                                           # dlog_p r_k
        dlogits = djoint - pull_norm(dlog_p)                                # d(2)
        dlog_stds = djoint * (z * z - 1)                                    # d(2)
        dmeans = djoint * z * inverse_std                                   # d(2)
        dx = -np.sum(dmeans, axis=-1)                                       # d(2)
        return dx, dlogits, dmeans, dlog_stds

    return log_p, pull


def bernoulli_log_density(x, logits):
    """log p(x) for x in {0, 1} with p(1) = sigmoid(a), entry by entry; pull(dlog_p) -> dlogits.

        (3)   log p = x a - softplus(a) = (x a - max(a, 0)) - log(1 + e),      e = exp(-|a|)
        d(3)  d log p / d a = x - sigmoid(a) = x sigmoid(-a) - (1 - x) sigmoid(a)

    The second forms keep their digits where x is nearly certain.  An x between 0 and 1 is accepted;
    the value is then minus a cross-entropy, not a log-density.
    Checked in tests/kernels/test_likelihoods.py::test_bernoulli_is_scipys_with_its_gradient.
    """
    e = np.exp(np.minimum(logits, -logits))
    log_p = (x * logits - np.maximum(logits, 0)) - np.log1p(e)              # (3)

    def pull(dlog_p):
        return dlog_p * (x * sigmoid(-logits)[0] - (1 - x) * sigmoid(logits)[0])            # d(3)

    return log_p, pull


def categorical_log_density(x, logits):
    """log p(x) of integers x (...,) in 0 ... C-1 for logits (..., C); pull(dlog_p) -> dlogits.

        (4)   log p = log softmax(logits)_x
        d(4)  d log p / d logit_c = 1[c = x] - softmax(logits)_c
    Checked in tests/kernels/test_likelihoods.py::test_categorical_is_the_definition_with_gradient.
    """
    log_pi, pull_pi = log_softmax(logits)                                   # (..., C)
    log_p = np.take_along_axis(log_pi, x[..., None], axis=-1)[..., 0]       # (4)

    def pull(dlog_p):
        dlog_pi = np.zeros(log_pi.shape, np.result_type(log_pi, dlog_p))
        np.put_along_axis(dlog_pi, x[..., None], dlog_p[..., None], axis=-1)
        return pull_pi(dlog_pi)                                             # d(4)

    return log_p, pull
