"""Functions of logits that neither overflow nor cancel, each with its pullback.

Every function here returns (y, pull), where pull(dy) is the gradient of
sum(dy * y) in its input; the derivative stands directly under the value.

A probability near 0 or 1 has lost the digits that its logarithm needs, so no
model in this project computes log(p): all of them stay with logits a, for which

    sigmoid(a)      = 1 / (1 + exp(-a))          sigmoid'     = sigmoid (1 - sigmoid)
    softplus(a)     = log(1 + exp(a))            softplus'    = sigmoid(a)
    log_sigmoid(a)  = -softplus(-a)              log_sigmoid' = sigmoid(-a) = 1 - sigmoid(a)
    logsumexp(a)    = log sum_k exp(a_k)         gradient     = softmax(a)
    log_softmax(a)  = a - logsumexp(a)           pullback     = dy - softmax(a) sum(dy)
    silu(a)         = a sigmoid(a)               silu'        = s + h (1 - s)   (s = sigmoid, h = silu)

All are complex-safe for the complex step: comparisons look at the real part,
and there is no abs and no conj.
"""
import numpy as np

from scratch import checks


def sigmoid(a):
    """1 / (1 + exp(-a)), through tanh, which cannot overflow (and is fast in float32).

    >>> sigmoid(np.array([-800.0, 0.0, 800.0]))[0]
    array([0. , 0.5, 1. ])
    """
    y = np.tanh(0.5 * checks.array(a, "a"))
    y *= 0.5
    y += 0.5

    def pull(dy):
        return dy * y * (1 - y)

    return y, pull


def softplus(a):
    """log(1 + exp(a)) = max(a, 0) + log1p(exp(-|a|)).

    >>> softplus(np.array([-800.0, 800.0]))[0]
    array([  0., 800.])
    """
    a = checks.array(a, "a")
    positive = np.real(a) > 0
    y = np.where(positive, a, 0) + np.log1p(np.exp(np.where(positive, -a, a)))

    def pull(dy):
        return dy * sigmoid(a)[0]

    return y, pull


def log_sigmoid(a):
    """log sigmoid(a) = -softplus(-a).

    >>> log_sigmoid(np.array([-800.0, 800.0]))[0]
    array([-800.,   -0.])
    """
    a = checks.array(a, "a")
    y = -softplus(-a)[0]

    def pull(dy):
        return dy * sigmoid(-a)[0]

    return y, pull


def logsumexp(a):
    """log sum_k exp(a_k) over the last axis, which disappears; -inf entries count as zero mass."""
    a = checks.array(a, "a", dimensions=1)
    top = np.max(np.real(a), axis=-1, keepdims=True)
    top = np.where(top == -np.inf, 0, top)                  # all masses zero: avoid inf - inf
    mass = np.exp(a - top)
    total = np.sum(mass, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):                      # log 0 = -inf is the answer there
        y = (np.log(total) + top)[..., 0]

    def pull(dy):
        return dy[..., None] * mass / np.where(total == 0, 1, total)

    return y, pull


def log_softmax(a):
    """a - logsumexp(a) over the last axis: logits made into log-probabilities."""
    a = checks.array(a, "a", dimensions=1)
    y = a - logsumexp(a)[0][..., None]

    def pull(dy):
        return dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True)

    return y, pull


def silu(a):
    """a sigmoid(a): the smooth activation of every network here (Elfwing et al. 2018)."""
    a = checks.array(a, "a")
    s = sigmoid(a)[0]
    y = a * s

    def pull(dy):
        return dy * (s + y * (1 - s))

    return y, pull
