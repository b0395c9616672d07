"""Autoregressive density: one-dimensional mixtures, conditioned by one masked network.

Model.   The chain rule of probability, the coordinates taken in a fixed order:

    p(x) = prod_i p(x_i | x_<i),      p(x_i | x_<i) = sum_k pi_ik N(x_i; mu_ik, s_ik^2)

where pi_i, mu_i and s_i are outputs of a network that may look at x_<i only
(RNADE, Uria et al. 2013); log s_i = 8 tanh(output / 8) is kept from running
away.  One network serves all i at once: every unit has a degree d, "I may
depend on the first d coordinates", and each weight that would break a promise
is cut (MADE, Germain et al. 2015, sections 3 and 4.1):

    input i                has degree i                    (i = 1 ... D in the model's order)
    hidden units           have degrees 1 ... D-1
    weight u -> hidden v   stays if degree(u) <= degree(v)
    weight u -> output i   stays if degree(u) <  i

A path from x_j to output i climbs j <= d <= ... < i.  So the outputs' Jacobian
is strictly triangular, and the product is a density that integrates to 1
whatever theta is.

Loss.    L = -1/N sum_n log p(x_n), in nats.  Its mean under the data is
H(p_data) + KL(p_data || p): nothing is dropped, nothing is a bound.

Gradient.  d log p(x_n) = -1/N; from there the pullback of the mixtures
(kernels/likelihoods.py: responsibilities), then that of the network
(kernels/dense.py).  Masking is a product, masked = mask * theta, so the
gradient is masked in turn: dtheta = mask * dmasked.

Symbols: N batch, D data, K components.
"""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scratch import checks
from scratch.explicit.made import MADE, autoregressive_mask
from scratch.kernels.dense import mlp, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import mixture_log_density
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

MOST_LOG_STD = 8.0             # standard deviations stay within exp(+-8): no overflow however far out x is
__all__ = ["AutoregressiveMixture", "MADE"]                 # MADE, for discrete x, shares the masks


@dataclass(frozen=True)
class AutoregressiveMixture:
    """prod_i p(x_i | x_<i) with K = components Gaussians in each conditional.

    hidden: the widths of the hidden layers, at least D - 1 units each (fewer
    leave some x_j without a path).  order: the coordinates in the order of the
    chain rule, by default 0 ... D-1.

    >>> model = AutoregressiveMixture(dim=2, components=3, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.log_prob(theta, np.zeros((4, 2))).shape
    (4,)
    """
    dim: int
    components: int
    hidden: tuple
    order: tuple = None

    recipe = Recipe(Adam(4e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.size(self.components, "components")
        hidden = checks.widths(self.hidden)
        order = range(self.dim) if self.order is None else self.order
        if not np.iterable(order):
            raise TypeError(f"order must be a permutation of 0 ... {self.dim - 1}, got {order!r}")
        order = tuple(checks.size(i, "each of order", minimum=0) for i in order)
        if sorted(order) != list(range(self.dim)):
            raise ValueError(f"order must hold each of 0 ... {self.dim - 1} once, got {order}")
        object.__setattr__(self, "hidden", hidden)
        object.__setattr__(self, "order", order)

    @property
    def widths(self):
        """The network's layers: D inputs, then logit, mean and log std of K components for D outputs."""
        return (self.dim, *self.hidden, self.dim * 3 * self.components)

    @cached_property
    def mask(self):
        """1 for each parameter that stays, 0 for each weight that is cut, (P,)."""
        return autoregressive_mask(self.order, self.hidden, inputs=1, outputs=3 * self.components)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): broad components, scattered means, weak dependence on x_<i."""
        theta = mlp_init(rng, self.widths, dtype)
        layers = mlp_views(theta, self.widths)
        for part in layers[0]:
            part *= 2.0                                     # units that bend within half a unit of x
        W_last, b_last = layers[-1]
        W_last *= 0.1
        _, means, log_stds = np.moveaxis(b_last.reshape(self.dim, 3, self.components), 1, 0)
        means += rng.normal(0, 1.5, means.shape)
        log_stds += np.log(0.5)
        return theta

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, x, noise=None):
        """-mean log p(x) in nats per row, and its gradient (P,)."""
        log_p, pull = self._log_conditionals(theta, x)                          # (N, D)
        loss = -np.sum(log_p) / len(x)
        dlog_p = np.full_like(log_p, -1 / len(x))
        dtheta, _ = pull(dlog_p)
        return loss, dtheta

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return np.sum(self._log_conditionals(theta, x)[0], axis=1)

    def sample(self, theta, n, rng):
        """n rows by ancestral sampling: D passes, each draws one more coordinate."""
        return self.complete(theta, np.empty(0), n, rng)

    def complete(self, theta, known, n, rng):
        """n rows (n, D) whose first coordinates, in the model's order, are `known` (k,), k < D.

        The others are drawn from p(x_rest | known), exactly: the chain rule
        continues where `known` stops.
        """
        n, rng = checks.size(n, "n"), checks.generator(rng)
        theta = checks.flat(theta, mlp_size(self.widths))
        known = checks.constant(known, "known")
        if known.ndim != 1 or len(known) >= self.dim:
            raise ValueError(f"known must hold the first k < {self.dim} coordinates, got shape {known.shape}")
        x = np.zeros((n, self.dim), theta.dtype)            # what is not drawn yet is never looked at
        x[:, self.order[:len(known)]] = known
        for i in self.order[len(known):]:
            logits, means, log_stds = (part[:, i] for part in self.conditionals(theta, x)[0])   # (n, K)
            k = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)[:, None]              # ~ softmax
            mean, log_std = np.take_along_axis(means, k, 1), np.take_along_axis(log_stds, k, 1)
            x[:, i] = (mean + np.exp(log_std) * rng.standard_normal((n, 1)))[:, 0]
        return x

    def conditionals(self, theta, x):
        """(logits, means, log_stds), each (N, D, K), and pull(three like them) -> (dtheta, dx).

        Entry [:, i] is the law of x_i given the coordinates before it.
        """
        x = checks.rows(x, self.dim)
        theta = checks.flat(theta, mlp_size(self.widths))
        if x.dtype.kind == "f":                             # complex x stays: it probes the gradient in x
            x = x.astype(theta.dtype, copy=False)
        y, pull_network = mlp(self.mask * theta, x, self.widths)
        logits, means, raw = np.moveaxis(y.reshape(len(x), self.dim, 3, self.components), 2, 0)
        bend = np.tanh(raw / MOST_LOG_STD)
        log_stds = MOST_LOG_STD * bend                                          # (N, D, K)

        def pull(dlogits, dmeans, dlog_stds):
            draw = dlog_stds * (1 - bend * bend)
            dy = np.stack([dlogits, dmeans, draw], axis=2).reshape(len(x), -1)
            dmasked, dx = pull_network(dy)
            return self.mask * dmasked, dx

        return (logits, means, log_stds), pull

    def _log_conditionals(self, theta, x):
        """log p(x_i | x_<i), (N, D), and pull(dlog_p) -> (dtheta, dx)."""
        parameters, pull_network = self.conditionals(theta, x)
        log_p, pull_mixtures = mixture_log_density(x, *parameters)

        def pull(dlog_p):
            dx, *dparameters = pull_mixtures(dlog_p)        # x is what is explained ...
            dtheta, dx_seen = pull_network(*dparameters)    # ... and what explains the x after it
            return dtheta, dx + dx_seen

        return log_p, pull
