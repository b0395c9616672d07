"""Neural networks for p(y|x): logistic regression and least squares on features that are learned.

The shared multilayer perceptron (kernels/dense.py) stands in the place of the
linear map.  Its outputs are the parameters of a law of y, and the loss is the
negative log density of that law, in nats, whatever y is:

    L = -1/N sum_n log p(y_n | x_n)  +  penalty/2 |W|^2       W the weights of all layers, not the biases

Classifier.   p(k|x) = softmax(a(x))_k, K logits a:

    da  = (softmax(a) - onehot(y)) / N

Regressor.    p(y|x) = N(y; m(x), exp(l(x))^2), a mean m and a log standard deviation l (Nix and
Weigend 1994).  With z = (y - m) / exp(l):

    dm  = -z exp(-l) / N
    dl  = (1 - z^2) / N          at rest where the spread is as large as the errors: it is learned

The mean of -log p(y|x) under the data is the conditional entropy H(y|x) plus the
mean of KL(p_data(y|x) || p(y|x)): no model can be better than the entropy, and
the excess is what is not yet learned.  On the training rows the loss falls
below it; on rows held out it does not, and stop_early keeps the best there.
"""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scratch import checks
from scratch.discriminative.labeled import check_penalty, split_classes, split_numbers
from scratch.kernels.dense import mlp, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import gaussian_log_density
from scratch.kernels.stable import log_softmax
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, train


@dataclass(frozen=True)
class Classifier:
    """p(y|x) for y in 0 ... K-1, K = classes.  Rows carry their class in the last column.

    hidden: the widths of the hidden layers; with none this is SoftmaxRegression.

    >>> model = Classifier(dim=2, classes=3, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.log_posterior(theta, np.zeros((4, 2))).shape
    (4, 3)
    """
    dim: int
    classes: int
    hidden: tuple
    penalty: float = 0.0

    recipe = Recipe(Adam(5e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        checks.size(self.classes, "classes", minimum=2)
        _check_sizes(self)

    @property
    def widths(self):
        """The network's layers: D inputs to K logits."""
        return (self.dim, *self.hidden, self.classes)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,), with nearly equal probabilities for all classes."""
        return _init(rng, self.widths, dtype)

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, rows, noise=None):
        """-mean log p(y|x) + penalty/2 |W|^2 in nats, and its gradient (P,)."""
        x, y = split_classes(rows, self.dim, self.classes)
        a, pull = mlp(theta, _as(theta, x), self.widths)                          # (N, K)
        log_p, pull_log_p = log_softmax(a)
        right = np.arange(len(y)), y
        decay, ddecay = _decay(theta, self.widths, self.penalty)
        loss = -np.sum(log_p[right]) / len(x) + decay
        dlog_p = np.zeros_like(log_p)
        dlog_p[right] = -1 / len(x)
        dtheta, _ = pull(pull_log_p(dlog_p))                                      # da = (p - onehot) / N
        return loss, dtheta + ddecay

    def scores(self, theta, x):
        """a(x), the logits of the classes, (N, K)."""
        return mlp(theta, _as(theta, checks.rows(x, self.dim)), self.widths)[0]

    def log_posterior(self, theta, x):
        """log p(y|x) for every class, (N, K)."""
        return log_softmax(self.scores(theta, x))[0]

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own class, (N,) nats."""
        x, y = split_classes(rows, self.dim, self.classes)
        return self.log_posterior(theta, x)[np.arange(len(y)), y]

    def predict(self, theta, x):
        """The most probable class, (N,)."""
        return np.argmax(self.scores(theta, x), axis=1)


@dataclass(frozen=True)
class Regressor:
    """p(y|x) = N(y; m(x), exp(l(x))^2) for a number y.  Rows carry y in the last column.

    >>> model = Regressor(dim=2, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.predict(theta, np.zeros((4, 2)))[0].shape
    (4,)
    """
    dim: int
    hidden: tuple
    penalty: float = 0.0

    recipe = Recipe(Adam(5e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        _check_sizes(self)

    @property
    def widths(self):
        """The network's layers: D inputs to a mean and a log standard deviation."""
        return (self.dim, *self.hidden, 2)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,), with a mean near 0 and a standard deviation near 1 everywhere."""
        return _init(rng, self.widths, dtype)

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, rows, noise=None):
        """-mean log p(y|x) + penalty/2 |W|^2 in nats, and its gradient (P,)."""
        x, y = split_numbers(rows, self.dim)
        out, pull = mlp(theta, _as(theta, x), self.widths)                        # (N, 2)
        log_p, pull_log_p = gaussian_log_density(_as(theta, y), out[:, 0], out[:, 1])
        decay, ddecay = _decay(theta, self.widths, self.penalty)
        loss = -np.sum(log_p) / len(x) + decay
        _, dmean, dlog_std = pull_log_p(np.full_like(log_p, -1 / len(x)))
        dtheta, _ = pull(np.stack([dmean, dlog_std], axis=1))
        return loss, dtheta + ddecay

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own y, (N,) nats."""
        x, y = split_numbers(rows, self.dim)
        mean, log_std = mlp(theta, _as(theta, x), self.widths)[0].T
        return gaussian_log_density(_as(theta, y), mean, log_std)[0]

    def predict(self, theta, x):
        """The mean and the standard deviation of y given x, (N,) each."""
        mean, log_std = mlp(theta, _as(theta, checks.rows(x, self.dim)), self.widths)[0].T
        return mean, np.exp(log_std)


class Stopped(NamedTuple):
    """The parameters that did best on the rows held out."""
    theta: np.ndarray       # (P,)
    nats: float             # their -mean log p(y|x) there
    step: int               # when they were found


def stop_early(model, theta, rows, held_out, rng, *, steps, every=50, patience=20):
    """Train on rows, look at held_out after every so many steps, and return the best that was seen.

    Gives up after `patience` looks without a better one.  The nats returned are
    the least of many, hence a little too good: measure the model on a third set.
    """
    every, patience = checks.size(every, "every"), checks.size(patience, "patience")
    best = Stopped(theta, -float(np.mean(model.log_prob(theta, held_out))), 0)
    for state in train(model, theta, rows, rng, steps=steps):
        if state.step % every == 0 or state.step == steps:
            nats = -float(np.mean(model.log_prob(state.average, held_out)))
            if nats < best.nats:
                best = Stopped(state.average, nats, state.step)
            elif state.step >= best.step + patience * every:
                break
    return best


def _check_sizes(model):
    checks.size(model.dim, "dim")
    hidden = checks.widths(model.hidden)
    object.__setattr__(model, "hidden", hidden)
    object.__setattr__(model, "penalty", check_penalty(model.penalty))


def _init(rng, widths, dtype):
    """Random theta (P,), the last layer weak: the network starts by saying little."""
    theta = mlp_init(rng, widths, dtype)
    W, _ = mlp_views(theta, widths)[-1]
    W *= 0.1
    return theta


def _decay(theta, widths, penalty):
    """penalty/2 |W|^2 over the weights of all layers, and its gradient (P,)."""
    weights = np.zeros_like(theta)
    for (W, _), (kept, _) in zip(mlp_views(theta, widths), mlp_views(weights, widths)):
        kept[...] = W
    return penalty / 2 * np.sum(weights * weights), penalty * weights


def _as(theta, x):
    """x in the precision of theta."""
    return x.astype(theta.real.dtype, copy=False)
