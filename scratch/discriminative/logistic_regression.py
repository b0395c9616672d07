"""Logistic regression: the logit of p(y|x) is linear in x.  Two classes, or C of them.

Two classes, s = +1 or -1 for 1 or 0 (Cox 1958, "The regression analysis of binary sequences"):

    Model     a       = w^T x + b                                                            (1)
              p(y|x)  = sigmoid(s a)                                                         (2)
    Loss      L       = -1/N sum_n log p(y_n|x_n)  +  penalty/2 |w|^2      nats per row      (3)
    Gradient  da_n    = -s_n sigmoid(-s_n a_n) / N = (p(1|x_n) - y_n) / N                   d(3)
              dw      = X^T da + penalty w,        db = sum_n da_n                          d(1)
    Hessian   H       = X~^T diag(p (1 - p)) X~ / N  +  penalty diag(1, ..., 1, 0)           (4)

C classes, one logit each (Bishop 2006, "Pattern Recognition and Machine Learning", section 4.3.4):

    Model     a       = x^T W + b                                                            (5)
              p(k|x)  = softmax(a)_k                                                         (6)
    Loss      L       = -1/N sum_n log p(y_n|x_n)  +  penalty/2 |W|^2                        (7)
    Gradient  da      = (p - onehot(y)) / N                                                 d(7)
              dW      = X^T da + penalty W,        db = sum_n da_n                          d(5)
    Hessian   H_(ik)(jl) = 1/N sum_n x~_i x~_j p_k (1[k=l] - p_l)  +  penalty as in (4)     (8)

Checked in tests/discriminative/test_logistic_regression.py::test_gradient_in_every_parameter
Checked in tests/discriminative/test_logistic_regression.py::test_hessian_is_the_derivative
Symbols: N rows, D inputs, C classes, X (N, D), X~ = [X, 1], dw the gradient of L in w.

At the minimum db = 0, so the mean of p over the rows is the fraction of ones among them, for any
penalty.  Without a penalty X^T da = 0 too: the errors p - y are uncorrelated with each coordinate.
Checked in tests/discriminative/test_logistic_regression.py::test_mean_p_is_the_class_fraction

The Hessian does not depend on y and is positive semidefinite, so the loss is convex.  Newton's
method (newton.py), L-BFGS and gradient descent therefore end at the same loss.  If the classes
can be separated and the penalty is 0, no minimum exists; newton.py detects this.
"""
from dataclasses import KW_ONLY, dataclass

import numpy as np

from scratch import checks
from scratch.discriminative.labeled import ClassProbabilities, labeled_inputs, split_classes
from scratch.discriminative.newton import Convex
from scratch.kernels.stable import log_sigmoid, log_softmax, sigmoid


@dataclass(frozen=True)
class LogisticRegression(Convex, ClassProbabilities):
    """p(y|x) for y in {0, 1}; theta = [w_1 ... w_D, b].  Rows carry their class in the last column.

    Inherited: size, blocks, init, fit, scores: a (1), the log odds of class 1, (N,)  (newton.py);
    draw_noise, log_prob, predict (labeled.py).

    >>> model, rows = LogisticRegression(1, penalty=0.1), np.array([[-2.0, 0], [-1, 1], [1, 1], [2, 1]])
    >>> p = np.exp(model.log_posterior(model.fit(rows), rows[:, :1]))[:, 1]
    >>> round(float(p.mean()), 12)                          # the fraction of ones
    0.75
    """
    dim: int
    _: KW_ONLY
    penalty: float = 0.0

    def loss(self, theta, rows, noise=None):
        """L (3) in nats, and its gradient (P,)."""
        theta, x, y = labeled_inputs(self, theta, rows, classes=2)
        w, b, s = theta[:-1], theta[-1], (2 * y - 1).astype(x.dtype)
        a = x @ w + b                                                             # (N,)  (1)
        log_p = log_sigmoid(s * a)[0]                                             # (N,)  (2)
        loss = -np.sum(log_p) / len(x) + self.penalty / 2 * np.sum(w * w)         # (3)

        da = -s * sigmoid(-s * a)[0] / len(x)                                     # (N,)  d(3)
        dw = x.T @ da + self.penalty * w                                          # (D,)  d(1)
        db = np.sum(da)                                                           # d(1)
        return loss, np.append(dw, db)

    def hessian(self, theta, rows):
        """The second derivative H of the loss, (P, P)."""
        x, _ = split_classes(rows, self.dim, 2)
        a = self.scores(theta, x)
        p, q = sigmoid(a)[0], sigmoid(-a)[0]                # 1 - p would lose the digits of a small q
        x1 = np.hstack([x, np.ones((len(x), 1))])                                 # X~, (N, D + 1)
        return x1.T @ ((p * q / len(x))[:, None] * x1) + self._penalty_hessian()  # (P, P)  (4)

    def log_posterior(self, theta, x):
        """log p(y|x) for both classes, (N, 2)."""
        a = self.scores(theta, x)
        return np.stack([log_sigmoid(-a)[0], log_sigmoid(a)[0]], axis=1)          # (2)


@dataclass(frozen=True)
class SoftmaxRegression(Convex, ClassProbabilities):
    """p(y|x) for y in 0 ... C-1, C = classes; theta = [W (D, C), b (C,)].  Rows as above.

    Inherited: as above, and log_posterior (6).  A constant added to all logits changes nothing, so
    two classes have twice the weights that one logit needs: C = 2 with penalty 2c is
    LogisticRegression with penalty c.
    """
    dim: int
    _: KW_ONLY
    classes: int = 2
    penalty: float = 0.0

    outputs = property(lambda self: self.classes)           # one logit for each class

    def loss(self, theta, rows, noise=None):
        """L (7) in nats, and its gradient (P,)."""
        theta, x, y = labeled_inputs(self, theta, rows, self.classes)
        W, b = np.split(theta.reshape(-1, self.classes), [-1])                    # (D, C), (1, C)
        a = x @ W + b                                                             # (N, C)  (5)
        log_p = log_softmax(a)[0]                                                 # (N, C)  (6)
        own = np.arange(len(y)), y                                                # each row's own class
        loss = -np.sum(log_p[own]) / len(x) + self.penalty / 2 * np.sum(W * W)    # (7)

        da = np.exp(log_p)
        da[own] = 0
        da[own] = -np.sum(da, axis=1)                       # p - 1, with the digits of a small 1 - p
        da /= len(x)                                                              # (N, C)  d(7)
        dW = x.T @ da + self.penalty * W                                          # (D, C)  d(5)
        db = np.sum(da, axis=0)                                                   # (C,)  d(5)
        return loss, np.append(dW, db)

    def hessian(self, theta, rows):
        """The second derivative H of the loss, (P, P)."""
        x, _ = split_classes(rows, self.dim, self.classes)
        p = np.exp(self.log_posterior(theta, x))                                  # (N, C)
        x1 = np.hstack([x, np.ones((len(x), 1))])                                 # X~, (N, D + 1)
        products = (x1[:, :, None] * p[:, None, :]).reshape(len(x), -1)           # x~_i p_k, (N, P)
        H = -products.T @ products / len(x)                                       # (8), where k and l differ
        blocks = H.reshape(self.dim + 1, self.classes, self.dim + 1, self.classes)
        for k in range(self.classes):
            blocks[:, k, :, k] = 0
            blocks[:, k, :, k] = -blocks[:, k].sum(axis=2)  # p_k (1 - p_k) = sum of p_k p_l over l != k
        return H + self._penalty_hessian()                                        # (P, P)  (8)

    def scores(self, theta, x):
        """The logits a of the classes, (N, C)."""
        theta, x = checks.inputs(self, theta, x)
        W, b = np.split(theta.reshape(-1, self.classes), [-1])
        return x @ W + b                                                          # (5)
