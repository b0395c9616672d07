"""Logistic regression: the logit of p(y|x) is linear in x.  Two classes, or K of them.

Two classes, a = w^T x + b, s = +1 or -1 for class 1 or 0 (Cox 1958):

    p(y|x)  = sigmoid(s a)
    L       = -1/N sum_n log sigmoid(s_n a_n)  +  penalty/2 |w|^2            nats per row
    da_n    = -s_n sigmoid(-s_n a_n) / N                                     the error, p - y
    dw      = X^T da + penalty w,        db = sum_n da_n
    H       = X~^T diag(p (1 - p)) X~ / N  +  penalty diag(1, ..., 1, 0)     X~ = [X, 1]

K classes, a = x^T W + b, one logit each (Bishop 2006, section 4.3.4):

    p(k|x)  = softmax(a)_k
    L       = -1/N sum_n log p(y_n|x_n)  +  penalty/2 |W|^2
    da      = (p - onehot(y)) / N
    H_(ik)(jl) = 1/N sum_n x~_i x~_j p_k (1[k=l] - p_l)  +  penalty on the weights

The penalty adds to the gradient of a loss that is minimized: plus, and to the
weights only.  The bias goes free, which buys an exact property: at the minimum
db = 0, so the mean of p over the rows is the share of ones among them, whatever
the penalty.  Without one dw = 0 too, and the errors are uncorrelated with every
coordinate of x.  Logistic regression is calibrated by construction.

The Hessian never looks at y and is never negative: the loss is convex, and
Newton's method (newton.py), L-BFGS and plain gradient descent (train) must end
at the same theta.  If the classes can be separated and the penalty is 0, there is
no such theta; newton.py proves it and says so.
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.discriminative.labeled import check_penalty, split_classes
from scratch.discriminative.newton import minimum
from scratch.kernels.stable import log_sigmoid, log_softmax, sigmoid
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class LogisticRegression:
    """p(y|x) for y in {0, 1}; theta = [w_1 ... w_D, b].  Rows carry their class in the last column.

    >>> model = LogisticRegression(dim=1, penalty=0.1)
    >>> theta = model.fit(np.array([[-2.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [2.0, 1.0]]))
    >>> model.predict(theta, np.array([[-0.5], [3.0]]))
    array([0, 1])
    """
    dim: int
    penalty: float = 0.0

    recipe = Recipe(Adam(3e-2), batch_size=512)
    classes = 2

    def __post_init__(self):
        checks.size(self.dim, "dim")
        object.__setattr__(self, "penalty", check_penalty(self.penalty))

    @property
    def size(self):
        """The length P of theta."""
        return self.dim + 1

    def init(self, rng, dtype=np.float32):
        """Small random theta (P,); the loss is convex, so the start decides nothing."""
        return checks.generator(rng).normal(0, 0.1, self.size).astype(dtype)

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, rows, noise=None):
        """-mean log p(y|x) + penalty/2 |w|^2 in nats, and its gradient (P,)."""
        x, y = split_classes(rows, self.dim, 2)
        a, pull = self._forward(theta, x)                                           # (N,)
        s = (2 * y - 1).astype(a.real.dtype)
        log_p, pull_log_p = log_sigmoid(s * a)
        w = theta[:-1]
        loss = -np.sum(log_p) / len(x) + self.penalty / 2 * np.sum(w * w)
        da = s * pull_log_p(np.full_like(log_p, -1 / len(x)))
        dtheta, _ = pull(da)
        dtheta[:-1] += self.penalty * w
        return loss, dtheta

    def hessian(self, theta, rows):
        """The second derivative of the loss, (P, P)."""
        x, _ = split_classes(rows, self.dim, 2)
        a = self.scores(theta, x)
        p, q = sigmoid(a)[0], sigmoid(-a)[0]                # 1 - p would lose the digits of a small q
        x1 = _with_ones(x)
        penalized = np.append(np.ones(self.dim), 0)
        return x1.T @ ((p * q / len(x))[:, None] * x1) + self.penalty * np.diag(penalized)

    def fit(self, rows):
        """theta at the minimum of the loss over these rows, by Newton's method."""
        return minimum(self, rows)

    def scores(self, theta, x):
        """a = w^T x + b, the log odds of class 1, (N,)."""
        return self._forward(theta, x)[0]

    def _forward(self, theta, x):
        """The scores, and pull(da) -> (dtheta, dx)."""
        theta, x = _checked(theta, self.size, x, self.dim)
        w, b = theta[:-1], theta[-1]
        a = x @ w + b

        def pull(da):
            return np.append(da @ x, np.sum(da)), np.outer(da, w)

        return a, pull

    def log_posterior(self, theta, x):
        """log p(y|x) for both classes, (N, 2)."""
        a = self.scores(theta, x)
        return np.stack([log_sigmoid(-a)[0], log_sigmoid(a)[0]], axis=1)

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own class, (N,) nats."""
        x, y = split_classes(rows, self.dim, 2)
        return self.log_posterior(theta, x)[np.arange(len(y)), y]

    def predict(self, theta, x):
        """The more probable class, (N,)."""
        return np.argmax(self.log_posterior(theta, x), axis=1)


@dataclass(frozen=True)
class SoftmaxRegression:
    """p(y|x) for y in 0 ... K-1, K = classes; theta = [W (D, K), b (K,)].  Rows as above.

    A constant added to all logits changes nothing, so the weights of two classes
    say twice what one logit needs: K = 2 with penalty 2c is LogisticRegression
    with penalty c.
    """
    dim: int
    classes: int
    penalty: float = 0.0

    recipe = Recipe(Adam(3e-2), batch_size=512)

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.size(self.classes, "classes", minimum=2)
        object.__setattr__(self, "penalty", check_penalty(self.penalty))

    @property
    def size(self):
        """The length P of theta."""
        return (self.dim + 1) * self.classes

    def init(self, rng, dtype=np.float32):
        """Small random theta (P,); the loss is convex, so the start decides nothing."""
        return checks.generator(rng).normal(0, 0.1, self.size).astype(dtype)

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, rows, noise=None):
        """-mean log p(y|x) + penalty/2 |W|^2 in nats, and its gradient (P,)."""
        x, y = split_classes(rows, self.dim, self.classes)
        a, pull = self._forward(theta, x)                                           # (N, K)
        log_p, pull_log_p = log_softmax(a)
        right = np.arange(len(y)), y
        W = theta[:-self.classes]
        loss = -np.sum(log_p[right]) / len(x) + self.penalty / 2 * np.sum(W * W)
        dlog_p = np.zeros_like(log_p)
        dlog_p[right] = -1 / len(x)
        dtheta, _ = pull(pull_log_p(dlog_p))                                      # (p - onehot) / N
        dtheta[:-self.classes] += self.penalty * W
        return loss, dtheta

    def hessian(self, theta, rows):
        """The second derivative of the loss, (P, P)."""
        x, _ = split_classes(rows, self.dim, self.classes)
        p = np.exp(self.log_posterior(theta, x))                                  # (N, K)
        x1 = _with_ones(x)
        products = (x1[:, :, None] * p[:, None, :]).reshape(len(x), -1)           # x~_i p_k, (N, P)
        H = -products.T @ products / len(x)
        blocks = H.reshape(self.dim + 1, self.classes, self.dim + 1, self.classes)
        for k in range(self.classes):
            blocks[:, k, :, k] += x1.T @ (p[:, k, None] * x1) / len(x)
        penalized = np.append(np.ones(self.dim * self.classes), np.zeros(self.classes))
        return H + self.penalty * np.diag(penalized)

    def fit(self, rows):
        """theta at the minimum of the loss over these rows, by Newton's method."""
        return minimum(self, rows)

    def scores(self, theta, x):
        """a = x^T W + b, the logits of the classes, (N, K)."""
        return self._forward(theta, x)[0]

    def _forward(self, theta, x):
        """The scores, and pull(da) -> (dtheta, dx)."""
        theta, x = _checked(theta, self.size, x, self.dim)
        W, b = theta[:-self.classes].reshape(self.dim, self.classes), theta[-self.classes:]
        a = x @ W + b

        def pull(da):
            return np.append(x.T @ da, np.sum(da, axis=0)), da @ W.T

        return a, pull

    def log_posterior(self, theta, x):
        """log p(y|x) for every class, (N, K)."""
        return log_softmax(self.scores(theta, x))[0]

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own class, (N,) nats."""
        x, y = split_classes(rows, self.dim, self.classes)
        return self.log_posterior(theta, x)[np.arange(len(y)), y]

    def predict(self, theta, x):
        """The most probable class, (N,)."""
        return np.argmax(self.log_posterior(theta, x), axis=1)


def _with_ones(x):
    return np.hstack([x, np.ones((len(x), 1))])


def _checked(theta, size, x, dim):
    """theta (size,), and x (n, dim) in its precision, unless x is complex and probes a gradient."""
    theta, x = checks.flat(theta, size), checks.rows(x, dim)
    return theta, x.astype(theta.dtype, copy=False) if x.dtype.kind == "f" and theta.dtype.kind == "f" else x
