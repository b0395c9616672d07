"""Autoregressive density: one-dimensional mixtures, conditioned by one masked network.

Model.   The chain rule of probability, the coordinates taken in a fixed order:

    p(x) = prod_i p(x_i | x_<i)                                                         (1)
    p(x_i | x_<i) = sum_k pi_ik N(x_i; mu_ik, s_ik^2)                                   (2)
    log s_ik = 8 tanh(raw_ik / 8)                                                       (3)

One network gives pi_i, mu_i and raw_i of all i at once (Uria et al. 2013, "RNADE: The Real-valued
Neural Autoregressive Density-Estimator").  Its weights are masked: the outputs for i depend on x_<i
only (made.py).  So p integrates to 1 whatever theta is.
Checked in tests/explicit/test_autoregressive.py::test_density_integrates_to_one.

Loss.    L = -1/N sum_n log p(x_n)     in nats                                          (4)

Its expectation is H(p_data) + KL(p_data || p): nothing is dropped, nothing is a bound.

Gradient.  The pullbacks (vector-Jacobian products) in reverse: (4), (2) (kernels/likelihoods.py),
(3), the network (kernels/dense.py) and the mask, dtheta = mask * dmasked (made.py).

    dlog p(x_i | x_<i) = -1/N                                                      d(1), d(4)
    draw_ik = dlog s_ik (1 - tanh(raw_ik / 8)^2)                                         d(3)
Checked in tests/explicit/test_autoregressive.py::test_gradient_in_every_parameter.

Flow.    Let F_i be the distribution function of (2), and Phi that of N(0, 1).  For x of p, F_i(x_i) is
uniform given x_<i, so z is N(0, I) (Rosenblatt 1952, "Remarks on a Multivariate Transformation"):

    F_i(x_i | x_<i) = sum_k pi_ik Phi((x_i - mu_ik) / s_ik)                             (5)
    z_i = Phi^-1(F_i(x_i | x_<i))                                                       (6)
    dz_i / dx_i = p(x_i | x_<i) / N(z_i; 0, 1)                                          (7)

The Jacobian of z is triangular with diagonal (7), so log p(x) = log N(z; 0, I) + log |det dz/dx|.
This is the family tree's normalizing flow: an invertible map to N(0, I) with a tractable determinant
(Papamakarios et al. 2021, "Normalizing Flows for Probabilistic Modeling and Inference").
Checked in tests/explicit/test_autoregressive.py::test_log_det_is_that_of_the_jacobian and
tests/explicit/test_autoregressive.py::test_data_to_noise_and_back_is_the_identity.
Symbols: N batch, D data, K mixture components, P parameters; x_<i stand before x_i in the order.
"""
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from scratch import checks
from scratch.explicit.made import Autoregressive, autoregressive_mask, check_order, orders_that_begin_with
from scratch.kernels.dense import mlp, mlp_init, mlp_views
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI, mixture_log_density
from scratch.kernels.stable import log_softmax, logsumexp
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

MOST_LOG_STD = 8.0             # by hand: s within exp(+-8), so that no x makes (2) overflow
HALVINGS = 64                  # derived: a bracket over 2^64 is below the rounding of float64


@dataclass(frozen=True)
class AutoregressiveMixture(Autoregressive):
    """prod_i p(x_i | x_<i) with K = components Gaussians in each conditional.

    hidden: widths of the hidden layers, at least D - 1 each (fewer leave some x_j without a path).
    order: the coordinates in the order of the chain rule, by default 0 ... D-1.  The default sizes
    reach 0.002 nats in 10,000 steps on ring, grid, moons, spirals and banana (figure ledger).

    >>> model = AutoregressiveMixture(2, components=3, hidden=(8,))
    >>> theta, x = model.init(np.random.default_rng(0), np.float64), np.array([[0.5, -1.0]])
    >>> bool(np.allclose(model.from_noise(theta, model.to_noise(theta, x)[0]), x))
    True
    """
    dim: int
    _: KW_ONLY
    components: int = 24
    hidden: tuple = (128, 128, 128)
    order: tuple = None
    recipe = Recipe(Adam(4e-3, beta2=0.99), batch_size=512)  # by hand on LAWS, 2e-3 to 1e-2; beta2: see Adam
    in_nats = True

    def __post_init__(self):
        checks.fields(self, dim=checks.size, components=checks.size, hidden=checks.widths)
        checks.fields(self, order=lambda order, name: check_order(order, self.dim))

    @property
    def widths(self):
        """The network's layers: D inputs; D times K logits, means and raw log stds."""
        return (self.dim, *self.hidden, self.dim * 3 * self.components)

    @cached_property
    def mask(self):
        """1 for each parameter that stays, 0 for each weight that is cut, (P,)."""
        return autoregressive_mask(self.order, self.hidden, inputs=1, outputs=3 * self.components)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,).  The constants suit rows of std 1 to 2, as LAWS; by hand.

        With 0.5 in place of 0.25 the KL of p(x1) is 5 to 9 times larger after 1,000 steps (ring, spirals).
        """
        theta = mlp_init(rng, self.widths, checks.dtype(dtype))
        layers = mlp_views(theta, self.widths)
        for part in layers[0]:
            part *= 2.0                                     # steeper units, for details of x
        W_last, b_last = layers[-1]
        W_last *= 0.1                                       # weak dependence on x_<i
        _, means, raw = np.moveaxis(b_last.reshape(self.dim, 3, self.components), 1, 0)
        means += rng.normal(0, 1.5, means.shape)            # the standard deviation of most LAWS
        raw += np.log(0.25)                                 # narrow, for details, yet neighbors overlap
        return theta

    def loss(self, theta, x, noise=None):
        """-mean log p(x) in nats per row, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        log_p, pull = self._log_conditionals(theta, x)                                      # (N, D)
        loss = -np.sum(log_p) / len(x)                                                      # (4)
        dtheta, _ = pull(np.full_like(log_p, -1 / len(x)))                                  # d(1), d(4)
        return loss, dtheta

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return np.sum(self._log_conditionals(*checks.inputs(self, theta, x))[0], axis=1)    # (1)

    def complete(self, theta, known, n, rng):
        """n rows (n, D) that agree with the dict `known`; the rest is drawn given these.

        `known` must name the first coordinates of the model's order: (1) continues where it stops.
        """
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        orders_that_begin_with(known, [self.order])
        x = np.zeros((n, self.dim), theta.dtype)            # the mask hides what is not drawn yet
        x[:, list(known)] = checks.constant(list(known.values()), "known")
        for i in self.order[len(known):]:
            logits, means, log_stds = (part[:, i] for part in self.conditionals(theta, x)[0])
            k = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)[:, None]      # ~ softmax
            mean, log_std = np.take_along_axis(means, k, 1), np.take_along_axis(log_stds, k, 1)
            x[:, i] = (mean + np.exp(log_std) * rng.standard_normal((n, 1)))[:, 0]          # (2)
        return x

    def conditionals(self, theta, x):
        """logits, means, log_stds of (2), (N, D, K) each; pull(three like them) -> (dtheta, dx)."""
        y, pull_network = mlp(self.mask * theta, x, self.widths)
        logits, means, raw = np.moveaxis(y.reshape(len(x), self.dim, 3, self.components), 2, 0)
        tanh = np.tanh(raw / MOST_LOG_STD)
        log_stds = MOST_LOG_STD * tanh                                                      # (3)

        def pull(dlogits, dmeans, dlog_stds):
            draw = dlog_stds * (1 - tanh * tanh)                                            # d(3)
            dmasked, dx = pull_network(np.stack([dlogits, dmeans, draw], axis=2).reshape(len(x), -1))
            return self.mask * dmasked, dx

        return (logits, means, log_stds), pull

    def _log_conditionals(self, theta, x):
        """log p(x_i | x_<i), (N, D), and pull(dlog_p) -> (dtheta, dx)."""
        parameters, pull_network = self.conditionals(theta, x)
        log_p, pull_mixtures = mixture_log_density(x, *parameters)                          # (2)

        def pull(dlog_p):
            dx, *dparameters = pull_mixtures(dlog_p)        # x_i itself ...                # d(2)
            dtheta, dx_before = pull_network(*dparameters)  # ... and the x_<i behind its parameters
            return dtheta, dx + dx_before

        return log_p, pull

    # ---- the same model as a flow ----

    def to_noise(self, theta, x):
        """z (N, D), distributed as N(0, I) if x is distributed as p, and log |det dz/dx| (N,)."""
        theta, x = checks.inputs(self, theta, x)
        parameters = self.conditionals(theta, x)[0]
        log_F, log_rest = (log_tail(side * np.ones_like(x), x, *parameters) for side in (1, -1))
        z = np.where(log_F < log_rest, ndtri_exp(log_F), -ndtri_exp(log_rest))              # (6)
        log_p, _ = mixture_log_density(x, *parameters)
        return z, np.sum(log_p + 0.5 * z * z + HALF_LOG_TWO_PI, axis=1)                     # (7)

    def from_noise(self, theta, z):
        """x (N, D) with to_noise(x) = z, one coordinate after the other; z ~ N(0, I) gives samples.

        At x_i = mu_ik + s_ik z_i the distribution function of component k is Phi(z_i).  So F_i is at
        most Phi(z_i) at the smallest of these K points and at least Phi(z_i) at the largest.  Bisection
        between them solves (6) for x_i.
        """
        theta, z = checks.inputs(self, theta, z)
        x, side = np.zeros_like(z), np.where(z < 0, 1, -1).astype(z.dtype)      # the lighter tail
        for i in self.order:
            logits, means, log_stds = (part[:, i] for part in self.conditionals(theta, x)[0])
            ends = means + np.exp(log_stds) * z[:, i, None]
            low, high = ends.min(axis=1), ends.max(axis=1)
            for _ in range(HALVINGS):
                x[:, i] = low + (high - low) / 2
                tail = log_tail(side[:, i], x[:, i], logits, means, log_stds)
                below = side[:, i] * (tail - log_ndtr(side[:, i] * z[:, i])) < 0    # F(x_i) < Phi(z_i)
                low, high = np.where(below, x[:, i], low), np.where(below, high, x[:, i])
        return x


def log_tail(side, x, logits, means, log_stds):
    """log F(x) where side = 1, log(1 - F(x)) where side = -1, each to full relative precision."""
    away = (x[..., None] - means) * np.exp(-log_stds)                           # (..., K)
    return logsumexp(log_softmax(logits)[0] + log_ndtr(side[..., None] * away))[0]          # (5)
