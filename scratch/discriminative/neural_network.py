"""Neural networks for p(y|x): logistic regression and least squares on learned features.

The multilayer perceptron of kernels/dense.py takes the place of the linear map.  Its outputs are
the parameters of a distribution of y, and the loss is the negative log density, in nats:

    Loss        L = -1/N sum_n log p(y_n | x_n)  +  penalty/2 |W|^2                          (1)

with W the weights of all layers, without the biases.

    Classifier  p(k|x) = softmax(a(x))_k,      C logits a                                    (2)
    Gradient    da = (softmax(a) - onehot(y)) / N                                           d(2)

    Regressor   p(y|x) = N(y; m(x), exp(l(x))^2),      z = (y - m) / exp(l)                  (3)
    Gradient    dm = -z exp(-l) / N,      dl = (1 - z^2) / N                                d(3)

The mean m and the log standard deviation l are outputs of the network (Nix and Weigend 1994,
"Estimating the mean and variance of the target probability distribution").  dl vanishes where the
standard deviation equals the size of the errors.  The vector-Jacobian product (pullback) of the
network maps da, or dm and dl, to dtheta, and the penalty adds dW = penalty W                d(1).
Checked in tests/discriminative/test_neural_network.py::test_gradient_in_every_parameter
Checked in tests/discriminative/test_neural_network.py::test_the_spread_of_the_errors_is_learned

The expectation of -log p(y|x) under the data is the conditional entropy H(y|x) plus the expected
KL(p_data(y|x) || p(y|x)), the excess of a model.  On the training rows the loss may fall below the
entropy, so stop_early uses validation rows.
Symbols: N rows, D inputs, C classes, P parameters.
"""
from dataclasses import KW_ONLY, dataclass

import numpy as np

from scratch import checks
from scratch.discriminative.labeled import ClassProbabilities, LabeledModel, labeled_inputs
from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import gaussian_log_density
from scratch.kernels.stable import log_softmax
from scratch.learning.early_stopping import stop_early    # noqa: F401, for these networks
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


class _Network(LabeledModel):
    """The perceptron of both models: its size, its start, and the penalty on its weights."""

    # Rates swept here, 1,000 steps on two spirals and on a regression: the loss ends above the
    # entropy by 0.01 to 0.06 nats at 1e-3, 0.002 at 5e-3, 0.001 at 2e-2.  beta2 = 0.99 is by hand;
    # 0.999 is as good from a rate of 5e-3 on.
    recipe = Recipe(Adam(5e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        super().__post_init__()
        checks.fields(self, hidden=checks.widths)

    widths = property(lambda self: (self.dim, *self.hidden, self.outputs))        # of all layers
    size = property(lambda self: mlp_size(self.widths))                           # P
    blocks = property(lambda self: mlp_blocks(self.widths))                       # where each W, b stands

    def init(self, rng, dtype=np.float32):
        """Random theta (P,); the last layer is weak, so that p(y|x) starts nearly constant in x."""
        theta = mlp_init(rng, self.widths, dtype)
        mlp_views(theta, self.widths)[-1][0][...] *= 0.1    # its W; by hand, not swept
        return theta

    def _decay(self, theta):
        """penalty/2 |W|^2 over the weights of all layers, and its gradient (P,)."""
        weights = theta.copy()
        for _, b in mlp_views(weights, self.widths):
            b[...] = 0
        return self.penalty / 2 * np.sum(weights * weights), self.penalty * weights             # (1), d(1)


@dataclass(frozen=True)
class Classifier(_Network, ClassProbabilities):
    """p(y|x) for y in 0 ... C-1, C = classes.  Rows carry their class in the last column.

    hidden: the widths of the hidden layers; with none this is SoftmaxRegression.
    Inherited: log_posterior (2), log_prob, predict (labeled.py).

    >>> model = Classifier(dim=2, classes=3)
    >>> theta = model.init(np.random.default_rng(0))
    >>> np.exp(model.log_posterior(theta, np.zeros((1, 2)))).sum().round(6)
    np.float32(1.0)
    """
    dim: int
    _: KW_ONLY
    classes: int = 2
    hidden: tuple = (64, 64)   # enough for two spirals (figures/discriminative); not swept
    penalty: float = 0.0

    outputs = property(lambda self: self.classes)           # one logit for each class

    def loss(self, theta, rows, noise=None):
        """L (1) in nats, and its gradient (P,)."""
        theta, x, y = labeled_inputs(self, theta, rows, self.classes)
        a, pull = mlp(theta, x, self.widths)                                      # (N, C)
        log_p = log_softmax(a)[0]                                                 # (N, C)  (2)
        own = np.arange(len(y)), y                                                # each row's own class
        decay, ddecay = self._decay(theta)
        loss = -np.sum(log_p[own]) / len(x) + decay                               # (1)

        da = np.exp(log_p)
        da[own] -= 1
        da /= len(x)                                                              # (N, C)  d(2)
        dtheta, _ = pull(da)
        return loss, dtheta + ddecay                                              # (P,)  d(1)

    def scores(self, theta, x):
        """a(x), the logits of the classes, (N, C)."""
        theta, x = checks.inputs(self, theta, x)
        return mlp(theta, x, self.widths)[0]


@dataclass(frozen=True)
class Regressor(_Network):
    """p(y|x) = N(y; m(x), exp(l(x))^2) for a number y.  Rows carry y in the last column."""
    dim: int
    _: KW_ONLY
    hidden: tuple = (64, 64)   # as Classifier
    penalty: float = 0.0

    outputs = 2                                             # a mean and a log standard deviation

    def loss(self, theta, rows, noise=None):
        """L (1) in nats, and its gradient (P,)."""
        theta, x, y = labeled_inputs(self, theta, rows)
        out, pull = mlp(theta, x, self.widths)                                    # (N, 2)
        log_p, pull_log_p = gaussian_log_density(y, out[:, 0], out[:, 1])         # (N,)  (3)
        decay, ddecay = self._decay(theta)
        loss = -np.sum(log_p) / len(x) + decay                                    # (1)

        _, dm, dl = pull_log_p(np.full_like(log_p, -1 / len(x)))                  # (N,)  d(3)
        dtheta, _ = pull(np.stack([dm, dl], axis=1))
        return loss, dtheta + ddecay                                              # (P,)  d(1)

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own y (not log p(x, y)), (N,) nats."""
        theta, x, y = labeled_inputs(self, theta, rows)
        m, l = mlp(theta, x, self.widths)[0].T
        return gaussian_log_density(y, m, l)[0]                                   # (3)

    def predict(self, theta, x):
        """The mean and the standard deviation of y given x, (N,) each."""
        theta, x = checks.inputs(self, theta, x)
        m, l = mlp(theta, x, self.widths)[0].T
        return m, np.exp(l)
