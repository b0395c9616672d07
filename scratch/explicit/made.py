"""MADE: an autoregressive probability for discrete vectors, and the masks that make it one.

Model.   x in {0 ... C-1}^D, its coordinates taken in an order o:

    p_o(x) = prod_i p(x_i | x_j, j before i in o),       p(x_i = c | ...) = softmax(logits_i)_c

The logits come from one network whose weights are cut so that no path leads
from x_j to the logits of any i at or before j (Germain et al. 2015, eqs. 8 and
9; why that suffices stands in autoregressive.py).  Its input is one-hot: C units
for each coordinate, of which one is 1.

Several orders (section 4.2 there).  The same weights under the mask of another
order are another model.  Averaging probabilities gives one more,

    p(x) = 1/O sum_o p_o(x),       -log p(x) <= -1/O sum_o log p_o(x)      (Jensen)

Loss.    L = -1/(N O) sum_n sum_o log p_o(x_n) in nats: every order is trained to
be a good model by itself, so that any of them can complete what is missing.
With one order this is -mean log p(x); with more it is an upper bound of it.

Gradient.  softmax - onehot at the logits (kernels/likelihoods.py), then the
network's pullback, then the mask: dtheta = mask * dmasked, summed over orders.

Symbols: N batch, D coordinates, C classes, O orders.
"""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scratch import checks
from scratch.kernels.dense import mlp, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import categorical_log_density
from scratch.kernels.stable import logsumexp
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


def autoregressive_mask(order, hidden, inputs, outputs):
    """1 for each parameter that stays, 0 for each weight that is cut, (P,).

    order: the coordinates in the order of the chain rule.  `inputs` units
    stand for each coordinate in the first layer, `outputs` in the last.
    """
    dim, place = len(order), np.argsort(order) + 1                              # (D,)
    mask = np.ones(mlp_size((dim * inputs, *hidden, dim * outputs)), np.float32)
    *layers, (last, _) = mlp_views(mask, (dim * inputs, *hidden, dim * outputs))
    degrees = np.repeat(place, inputs)
    for W, _ in layers:
        above = np.arange(W.shape[1]) % max(dim - 1, 1) + 1                     # 1 ... D-1, in turn
        W[...] = degrees[:, None] <= above
        degrees = above
    last[...] = degrees[:, None] < np.repeat(place, outputs)
    return mask


@dataclass(frozen=True)
class MADE:
    """p(x) over {0 ... classes-1}^dim, exact, from one masked network.

    hidden: the widths of the hidden layers.  orders: the orders that are
    averaged, each a permutation of 0 ... dim-1; by default the natural one.

    >>> model = MADE(dim=3, hidden=(8,), classes=2)
    >>> theta = model.init(np.random.default_rng(0), np.float64)
    >>> states = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1)
    >>> round(float(np.exp(model.log_prob(theta, states)).sum()), 12)
    1.0
    """
    dim: int
    hidden: tuple
    classes: int = 2
    orders: tuple = None

    recipe = Recipe(Adam(3e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.size(self.classes, "classes", minimum=2)
        hidden = checks.widths(self.hidden)
        orders = (range(self.dim),) if self.orders is None else self.orders
        if not np.iterable(orders) or not all(np.iterable(order) for order in orders) or len(orders) == 0:
            raise TypeError(f"orders must be a tuple of permutations of 0 ... {self.dim - 1}, got {orders!r}")
        orders = tuple(tuple(checks.size(i, "each of an order", minimum=0) for i in order) for order in orders)
        if any(sorted(order) != list(range(self.dim)) for order in orders):
            raise ValueError(f"each of orders must hold each of 0 ... {self.dim - 1} once, got {orders}")
        object.__setattr__(self, "hidden", hidden)
        object.__setattr__(self, "orders", orders)

    @property
    def widths(self):
        """The network's layers: C inputs and C logits for each coordinate."""
        return (self.dim * self.classes, *self.hidden, self.dim * self.classes)

    @cached_property
    def masks(self):
        """One mask per order, (O, P)."""
        return np.stack([autoregressive_mask(order, self.hidden, self.classes, self.classes)
                         for order in self.orders])

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): units of one scale, however many of their weights are cut; nearly uniform p."""
        theta = mlp_init(rng, self.widths, dtype)
        layers = mlp_views(theta, self.widths)
        for (W, _), (kept, _) in zip(layers, mlp_views(self.masks.mean(axis=0), self.widths)):
            W *= np.sqrt(len(W) / np.maximum(kept.sum(axis=0), 1))
        layers[-1][0][...] *= 0.1
        return theta

    def draw_noise(self, rng, n):
        """The likelihood is exact: no noise."""
        return None

    def loss(self, theta, x, noise=None):
        """-mean log p_o(x) over rows and orders, in nats per row, and its gradient (P,)."""
        x = checks.class_rows(x, self.dim, self.classes)
        theta, scale = checks.flat(theta, mlp_size(self.widths)), -1 / (len(x) * len(self.orders))
        loss, dtheta = 0.0, np.zeros_like(theta)
        for mask in self.masks:
            log_p, pull = self._log_conditionals(theta, x, mask)                # (N, D)
            loss += scale * np.sum(log_p)
            dtheta += pull(np.full_like(log_p, scale))
        return loss, dtheta

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        return logsumexp(self.log_prob_by_order(theta, x))[0] - float(np.log(len(self.orders)))

    def log_prob_by_order(self, theta, x):
        """log p_o(x) in nats, (N, O)."""
        x, theta = checks.class_rows(x, self.dim, self.classes), checks.flat(theta, mlp_size(self.widths))
        return np.stack([self._log_conditionals(theta, x, mask)[0].sum(axis=1) for mask in self.masks], axis=1)

    def sample(self, theta, n, rng):
        """n rows (n, D) of integers: an order each, then D passes, each draws one more coordinate."""
        return self.complete(theta, {}, n, rng)

    def complete(self, theta, known, n, rng):
        """n rows (n, D) with x[i] = c for each i: c of the dict `known`, the rest drawn given these.

        The chain rule gives p_o(rest | known) where o has all of `known` before
        all of the rest.  Only such orders are used, each as often as it would
        have made `known`; if there is none, the conditional is a sum over too
        many states, and this says so instead of guessing.
        """
        n, rng = checks.size(n, "n"), checks.generator(rng)
        theta, known = checks.flat(theta, mlp_size(self.widths)), self._check_known(known)
        able = [o for o, order in enumerate(self.orders) if set(order[:len(known)]) == set(known)]
        if not able:
            raise ValueError(f"no order of this model starts with the known coordinates {sorted(known)}: "
                             f"it has {self.orders}; their conditional cannot be sampled exactly")
        x = np.zeros((n, self.dim), np.int64)               # what is not drawn yet is never looked at
        x[:, list(known)] = list(known.values())
        evidence = np.array([self._log_conditionals(theta, x[:1], self.masks[o])[0][0, list(known)].sum()
                             for o in able], float)         # log p_o(known)
        which = rng.choice(able, size=n, p=np.exp(evidence - logsumexp(evidence)[0]))
        for o in able:
            rows = np.flatnonzero(which == o)
            for i in self.orders[o][len(known):] if len(rows) else ():
                logits, _ = self._logits(theta, self._one_hot(x[rows], theta.dtype), self.masks[o])
                x[rows, i] = np.argmax(logits[:, i] + rng.gumbel(size=(len(rows), self.classes)), axis=1)
        return x

    def _check_known(self, known):
        if not isinstance(known, dict):
            raise TypeError(f"known must be a dict from coordinate to class, got {known!r}")
        known = {checks.size(i, "each known coordinate", 0): checks.size(c, "each known class", 0)
                 for i, c in known.items()}
        if len(known) >= self.dim or max(known, default=0) >= self.dim:
            raise ValueError(f"known must name fewer than {self.dim} of 0 ... {self.dim - 1}, got {sorted(known)}")
        if max(known.values(), default=0) >= self.classes:
            raise ValueError(f"known classes must lie in 0 ... {self.classes - 1}, got {known}")
        return known

    def _one_hot(self, x, dtype):
        """x (N, D) as (N, D C): the network's input."""
        return (x[:, :, None] == np.arange(self.classes)).reshape(len(x), -1).astype(dtype)

    def _logits(self, theta, ones, mask):
        """logits (N, D, C) from the one-hot input (N, D C), and pull(dlogits) -> (dtheta, dones)."""
        y, pull_network = mlp(mask * theta, ones, self.widths)

        def pull(dlogits):
            dmasked, dones = pull_network(dlogits.reshape(y.shape))
            return mask * dmasked, dones

        logits = y.reshape(len(ones), self.dim, self.classes)
        planes = np.ascontiguousarray(np.moveaxis(logits, 2, 0))        # a plane a class: short rows sum slowly
        return np.moveaxis(planes, 0, 2), pull

    def _log_conditionals(self, theta, x, mask):
        """log p(x_i | the x before it), (N, D), and pull(dlog_p) -> dtheta."""
        logits, pull_network = self._logits(theta, self._one_hot(x, theta.dtype), mask)
        log_p, pull_classes = categorical_log_density(x, logits)

        def pull(dlog_p):
            return pull_network(pull_classes(dlog_p))[0]

        return log_p, pull
