"""A network whose output is a whole distribution of y: a mixture of Gaussians that depends on x.

A Regressor (neural_network.py) gives one Gaussian.  Where y has several likely values for one x, its mean
can lie between them, where y is unlikely.  A mixture density network (Bishop 1994, "Mixture Density
Networks") gives K Gaussians with weights w:

    p(y|x) = sum_k w_k N(y; m_k, exp(l_k)^2),      w = softmax(a)                            (1)

The network's 3 K outputs are a, m and l; l_k is the log standard deviation of Gaussian k.

Loss        L = -1/N sum_n log p(y_n|x_n)  +  penalty/2 |W|^2      nats per row              (2)
Gradient    da, dm, dl are -1/N times those of log p, from kernels/likelihoods.py           d(1)
            dW gains penalty W                                                              d(2)

By the chain rule p(y_1) p(y_2|y_1) ... it gives a density of whole pictures: y is a pixel, and x holds
the pixels before it.
Checked in tests/discriminative/test_mixture_density.py::test_log_prob_is_the_naive_loop
Checked in tests/test_ladder.py::test_the_gradient_of_the_loss_is_exact_in_every_parameter
Checked in tests/discriminative/test_mixture_density.py::test_two_branches_are_learned_where_one_gaussian_fails
Symbols: N rows, D inputs, K components, P parameters.
"""
from dataclasses import KW_ONLY, dataclass

import numpy as np

from scratch import checks
from scratch.discriminative.labeled import labeled_inputs
from scratch.discriminative.neural_network import Regressor
from scratch.kernels.dense import mlp, mlp_views
from scratch.kernels.likelihoods import mixture_log_density


@dataclass(frozen=True)
class MixtureRegressor(Regressor):
    """p(y|x) as K Gaussians.  Rows carry the number y in the last column."""
    _: KW_ONLY
    components: int = 8                                     # by hand

    outputs = property(lambda self: 3 * self.components)    # a, m and l

    def __post_init__(self):
        super().__post_init__()
        checks.fields(self, components=checks.size)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,).  The means differ at the start: components that are equal have equal gradients."""
        theta = super().init(rng, dtype)
        mlp_views(theta, self.widths)[-1][1][self.components:2 * self.components] = rng.standard_normal(self.components)
        return theta

    def loss(self, theta, rows, noise=None):
        """L (2) in nats, and its gradient (P,)."""
        theta, x, y = labeled_inputs(self, theta, rows)
        out, pull = mlp(theta, x, self.widths)                                    # (N, 3 K)
        log_p, pull_log_p = mixture_log_density(y, *np.split(out, 3, axis=1))     # (N,)  (1)
        decay, ddecay = self._decay(theta)
        loss = -np.sum(log_p) / len(x) + decay                                    # (2)

        _, *dparts = pull_log_p(np.full_like(log_p, -1 / len(x)))                 # (N, K) each  d(1)
        dtheta, _ = pull(np.concatenate(dparts, axis=1))
        return loss, dtheta + ddecay                                              # (P,)  d(2)

    def log_prob(self, theta, rows):
        """log p(y|x) of each row's own y, (N,) nats."""
        theta, x, y = labeled_inputs(self, theta, rows)
        return mixture_log_density(y, *np.split(mlp(theta, x, self.widths)[0], 3, axis=1))[0]     # (1)

    def predict(self, theta, x):
        """The mean and the standard deviation of y given x, (N,) each."""
        w, m, l = self._mixture(theta, x)
        mean = np.sum(w * m, axis=1)
        return mean, np.sqrt(np.sum(w * (np.exp(2 * l) + (m - mean[:, None]) ** 2), axis=1))

    def draw(self, theta, x, rng):
        """One y from p(y|x) for each row of x, (N,)."""
        w, m, l = self._mixture(theta, x)
        u = checks.generator(rng).random((len(w), 1)) * w.sum(axis=1, keepdims=True)
        k = (np.cumsum(w, axis=1) < u).sum(axis=1)
        own = np.arange(len(w)), np.minimum(k, self.components - 1)
        return m[own] + np.exp(l[own]) * rng.standard_normal(len(w), dtype=m.dtype)

    def _mixture(self, theta, x):
        """w, m and l, (N, K) each."""
        theta, x = checks.inputs(self, theta, x)
        a, m, l = np.split(mlp(theta, x, self.widths)[0], 3, axis=1)
        w = np.exp(a - a.max(axis=1, keepdims=True))
        return w / w.sum(axis=1, keepdims=True), m, l
