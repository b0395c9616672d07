"""Functions of logits that neither overflow nor cancel, each with its pullback.

Every function returns (y, pull), where pull(dy) is the vector-Jacobian product: the gradient of
sum(dy * y) in the input.  The derivative stands directly under the value.

A probability near 0 or 1 has lost the digits that its logarithm needs.  So no model in
this project computes log(p).  All of them keep logits a, for which

    value                                              derivative or pullback
    (1)  sigmoid(a)     = 1 / (1 + exp(-a))            d(1)  sigmoid (1 - sigmoid)
    (2)  softplus(a)    = log(1 + exp(a))              d(2)  sigmoid(a)
    (3)  log_sigmoid(a) = -softplus(-a)                d(3)  sigmoid(-a) = 1 - sigmoid(a)
    (4)  logsumexp(a)   = log sum_k exp(a_k)           d(4)  softmax(a)
    (5)  log_softmax(a) = a - logsumexp(a)             d(5)  dy - softmax(a) sum(dy)
    (6)  silu(a)        = a sigmoid(a)                 d(6)  s + h (1 - s),  s = sigmoid, h = silu

Checked in tests/kernels/test_stable.py::test_value_is_the_definition.
Checked in tests/kernels/test_stable.py::test_pullback_is_the_gradient.

All are safe for the complex step: NumPy compares complex numbers by their real parts first, and no
function here takes an absolute value or a conjugate.
"""
import numpy as np


def sigmoid(a):
    """1 / (1 + exp(-a)), to full relative precision in both tails, as is its derivative.

    >>> sigmoid(np.array([-800.0, -100.0, 0.0, 800.0]))[0]
    array([0.00000000e+00, 3.72007598e-44, 5.00000000e-01, 1.00000000e+00])
    """
    e = np.exp(np.minimum(a, -a))                           # exp(-|a|)
    y = np.exp(np.minimum(a, 0)) / (1 + e)                  # (1)

    def pull(dy):
        return dy * e / (1 + e) ** 2                        # d(1), where 1 - y would cancel

    return y, pull


def softplus(a):
    """log(1 + exp(a)) = max(a, 0) + log1p(exp(-|a|)).

    >>> softplus(np.array([-800.0, 800.0]))[0]
    array([  0., 800.])
    """
    y = np.maximum(a, 0) + np.log1p(np.exp(np.minimum(a, -a)))      # (2)

    def pull(dy):
        return dy * sigmoid(a)[0]                           # d(2)

    return y, pull


def log_sigmoid(a):
    """log sigmoid(a) = -softplus(-a).

    >>> log_sigmoid(np.array([-800.0, 800.0]))[0]
    array([-800.,   -0.])
    """
    y = -softplus(-a)[0]                                    # (3)

    def pull(dy):
        return dy * sigmoid(-a)[0]                          # d(3)

    return y, pull


def logsumexp(a):
    """log sum_k exp(a_k) over the last axis, which disappears; -inf stands for a mass of zero."""
    top = np.max(np.real(a), axis=-1, keepdims=True)
    top = np.where(top == -np.inf, 0, top)                  # all masses zero: avoid inf - inf
    mass = np.exp(a - top)
    total = np.sum(mass, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):                      # log 0 = -inf is the answer there
        y = (np.log(total) + top)[..., 0]                   # (4)

    def pull(dy):
        return dy[..., None] * mass / np.where(total == 0, 1, total)        # d(4)

    return y, pull


def log_softmax(a):
    """a - logsumexp(a) over the last axis: logits made into log-probabilities.

    A probability p near 1 keeps the digits of log p and of 1 - p, and large logits keep theirs.

    >>> log_softmax(np.array([1e9, 1e9 - 50]))[0]
    array([-1.92874985e-22, -5.00000000e+01])
    """
    k = np.argmax(np.real(a), axis=-1, keepdims=True)
    y = a - np.take_along_axis(a, k, axis=-1)               # at most 0, exactly 0 at the largest
    mass = np.exp(y)
    np.put_along_axis(mass, k, 0, axis=-1)
    y -= np.log1p(np.sum(mass, axis=-1, keepdims=True))     # (5)

    def pull(dy):
        others = np.sum(dy, axis=-1, keepdims=True) - dy
        return -dy * np.expm1(y) - np.exp(y) * others       # d(5)

    return y, pull


def silu(a):
    """a sigmoid(a): the smooth activation of every network here.

    (Elfwing et al. 2018, "Sigmoid-weighted linear units for neural network function approximation")
    """
    s = sigmoid(a)[0]
    y = a * s                                               # (6)

    def pull(dy):
        return dy * (s + y * (1 - s))                       # d(6)

    return y, pull
