"""MADE: an autoregressive distribution of discrete vectors, and the masks that make it one.

Model.   x in {0 ... C-1}^D, its coordinates taken in an order o:

    p_o(x) = prod_i p(x_i | x_j, j before i in o)                                       (1)
    p(x_i = c | ...) = softmax(logits_i)_c                                              (2)

One network gives all logits; its input is one-hot.  Each unit has a degree d and may depend on the
first d coordinates of the order (Germain et al. 2015, "MADE: Masked Autoencoder for Distribution
Estimation", section 3).  Input i has degree i, hidden units have degrees 1 ... D-1 in turn, and

    weight u -> hidden v   stays if degree(u) <= degree(v), else its mask is 0          (3)
    weight u -> output i   stays if degree(u) <  i,         else its mask is 0          (4)

Degrees along a path from x_j to output i are j <= d <= ... < i.  So no x_j at or after i reaches
output i, and (1) sums to 1 whatever theta is.  The same weights under the mask of another order are
another model (section 4.2 there), and the average of O orders is one more:

    p(x) = 1/O sum_o p_o(x),       -log p(x) <= -1/O sum_o log p_o(x)   (Jensen)        (5)

Loss.    Each order is trained to be a good model by itself, so that it can complete rows:

    L = -1/(N O) sum_n sum_o log p_o(x_n)     in nats; for O > 1 a bound, by (5)        (6)

Gradient.  The pullbacks (vector-Jacobian products) in reverse: (6), that of (2)
(kernels/likelihoods.py: onehot - softmax), the network (kernels/dense.py), and the mask:

    dlog p_o(x_i | ...) = -1/(N O)                                                     d(6)
    masked = mask * theta,       dtheta = mask * dmasked, summed over orders       (7), d(7)
Checked in tests/explicit/test_made.py::test_jacobian_is_strictly_triangular_for_every_order,
tests/explicit/test_made.py::test_probabilities_of_all_4096_states_sum_to_one and
tests/explicit/test_made.py::test_gradient_in_every_parameter.
Symbols: N batch, D data, C classes, O orders, P parameters.
"""
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial

import numpy as np

from scratch import checks
from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import categorical_log_density
from scratch.kernels.stable import logsumexp
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


def autoregressive_mask(order, hidden, inputs, outputs):
    """1 for each parameter that stays, 0 for each weight that is cut, (P,).

    Each coordinate has `inputs` units in the first layer and `outputs` units in the last.
    """
    dim, place = len(order), np.argsort(order) + 1                              # (D,) i of each
    mask = np.ones(mlp_size((dim * inputs, *hidden, dim * outputs)), np.float32)
    *layers, (last, _) = mlp_views(mask, (dim * inputs, *hidden, dim * outputs))
    degrees = np.repeat(place, inputs)
    for W, _ in layers:
        above = np.arange(W.shape[1]) % max(dim - 1, 1) + 1                     # 1 ... D-1, in turn
        W[...] = degrees[:, None] <= above                                                  # (3)
        degrees = above
    last[...] = degrees[:, None] < np.repeat(place, outputs)                                # (4)
    return mask


def check_order(order, dim):
    """order as a tuple, if it is a permutation of 0 ... dim-1 (None: the natural one)."""
    order = range(dim) if order is None else order
    if not np.iterable(order):
        raise TypeError(f"an order must be a permutation of 0 ... {dim - 1}, got {checks.brief(order)}")
    order = tuple(checks.size(i, "each of an order", 0) for i in order)
    if sorted(order) != list(range(dim)):
        raise ValueError(f"an order must hold each of 0 ... {dim - 1} once, got {checks.brief(order)}")
    return order


def orders_that_begin_with(known, orders, classes=None):
    """Which of `orders` begin with the coordinates of the dict `known`, of values < classes."""
    dim = len(orders[0])
    if not isinstance(known, dict):
        raise TypeError(f"known must be a dict from coordinate to value, got {checks.brief(known)}")
    named = {checks.size(i, "each known coordinate", 0) for i in known}
    if len(named) >= dim or max(named, default=0) >= dim:
        raise ValueError(f"known must name fewer than {dim} of 0 ... {dim - 1}, got {checks.brief(known)}")
    if classes and any(checks.size(c, "each known class", 0) >= classes for c in known.values()):
        raise ValueError(f"known classes must lie in 0 ... {classes - 1}, got {checks.brief(known)}")
    able = [o for o, order in enumerate(orders) if set(order[:len(known)]) == named]
    if not able:
        raise ValueError(f"known must name the first coordinates of an order of {checks.brief(orders)}, got "
                         f"{sorted(known)}: other conditionals cannot be sampled exactly")
    return able


class Autoregressive:
    """What autoregressive models share: the layers `widths`; an exact likelihood, so no noise."""

    @property
    def size(self):
        return mlp_size(self.widths)

    @property
    def blocks(self):
        """Where each array stands in theta: {name: slice}."""
        return mlp_blocks(self.widths)

    def draw_noise(self, rng, n):
        return None

    def sample(self, theta, n, rng):
        """n rows (n, D), one coordinate after the other: the completion of nothing."""
        return self.complete(theta, {}, n, rng)


@dataclass(frozen=True)
class MADE(Autoregressive):
    """p(x) over {0 ... classes-1}^dim, exact, from one masked network.

    hidden: the widths of the hidden layers; by default, for 12 bits and more, by hand.
    orders: those that are averaged in (5), by default only the natural one.

    >>> model = MADE(3, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0), np.float64)
    >>> states = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1)
    >>> round(float(np.exp(model.log_prob(theta, states)).sum()), 12)
    1.0
    """
    dim: int
    _: KW_ONLY
    hidden: tuple = (128, 128)
    classes: int = 2
    orders: tuple = None
    recipe = Recipe(Adam(3e-3, beta2=0.99), batch_size=512)  # by hand, 1e-3 to 1e-2; beta2: see Adam

    def __post_init__(self):
        checks.fields(self, dim=checks.size, hidden=checks.widths, classes=partial(checks.size, minimum=2))
        orders = (None,) if self.orders is None else tuple(self.orders) if np.iterable(self.orders) else ()
        if not orders:
            raise TypeError(f"orders must be a tuple of permutations, got {checks.brief(self.orders)}")
        object.__setattr__(self, "orders", tuple(check_order(order, self.dim) for order in orders))

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
        """Random theta (P,), nearly uniform p: variance 2 / (inputs that the masks keep), not 2 / in."""
        theta = mlp_init(rng, self.widths, checks.dtype(dtype))
        layers = mlp_views(theta, self.widths)
        for (W, _), (kept, _) in zip(layers, mlp_views(self.masks.mean(axis=0), self.widths)):
            W *= np.sqrt(len(W) / np.maximum(kept.sum(axis=0), 1))
        layers[-1][0][...] *= 0.1                           # small logits; by hand, not swept
        return theta

    def loss(self, theta, x, noise=None):
        """-mean log p_o(x) over rows and orders, in nats per row, and its gradient (P,)."""
        theta, x = checks.flat(theta, self.size), checks.class_rows(x, self.dim, self.classes)
        loss, dtheta, scale = 0.0, np.zeros_like(theta), -1 / (len(x) * len(self.orders))
        for mask in self.masks:
            log_p, pull = self._log_conditionals(theta, x, mask)                # (N, D)
            loss += scale * np.sum(log_p)                                                   # (6)
            dtheta += pull(np.full_like(log_p, scale))                                      # d(6)
        return loss, dtheta

    def log_prob(self, theta, x):
        """log p(x) in nats, exact, (N,)."""
        theta, x = checks.flat(theta, self.size), checks.class_rows(x, self.dim, self.classes)
        by_order = np.stack([self._log_conditionals(theta, x, mask)[0].sum(axis=1)          # (1)
                             for mask in self.masks], axis=1)                   # (N, O)
        return logsumexp(by_order)[0] - float(np.log(len(self.orders)))                     # (5)

    def complete(self, theta, known, n, rng):
        """n rows (n, D) that agree with the dict `known` from coordinate to class; the rest given these.

        In an order o that begins with `known`, (1) continues there.  Each row takes one of these
        orders, with a probability in proportion to p_o(known).
        """
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        able = orders_that_begin_with(known, self.orders, self.classes)
        x = np.zeros((n, self.dim), np.int64)               # the mask hides what is not drawn yet
        x[:, list(known)] = list(known.values())
        log_known = np.array([self._log_conditionals(theta, x[:1], self.masks[o])[0][0, list(known)].sum()
                              for o in able], float)        # log p_o(known)
        which = rng.choice(able, size=n, p=np.exp(log_known - logsumexp(log_known)[0]))
        for o in able:
            rows = np.flatnonzero(which == o)
            for i in self.orders[o][len(known):] if len(rows) else ():
                logits, _ = self._logits(theta, self._one_hot(x[rows], theta.dtype), self.masks[o])
                noise = rng.gumbel(size=(len(rows), self.classes))
                x[rows, i] = np.argmax(logits[:, i] + noise, axis=1)            # ~ softmax  (2)
        return x

    def _one_hot(self, x, dtype):
        """x (N, D) as (N, D C): the network's input."""
        return (x[:, :, None] == np.arange(self.classes)).reshape(len(x), -1).astype(dtype)

    def _logits(self, theta, onehot, mask):
        """logits (N, D, C) of onehot (N, D C), and pull(dlogits) -> dtheta."""
        y, pull_network = mlp(mask * theta, onehot, self.widths)                            # (7)
        logits = np.moveaxis(y.reshape(len(y), self.dim, self.classes), 2, 0)
        logits = np.moveaxis(np.ascontiguousarray(logits), 0, 2)        # speed: short rows sum slowly
        return logits, lambda dlogits: mask * pull_network(dlogits.reshape(y.shape), need_dx=False)[0]  # d(7)

    def _log_conditionals(self, theta, x, mask):
        """log p(x_i | the x before it), (N, D), and pull(dlog_p) -> dtheta."""
        logits, pull_network = self._logits(theta, self._one_hot(x, theta.dtype), mask)
        log_p, pull_classes = categorical_log_density(x, logits)                            # (2)
        return log_p, lambda dlog_p: pull_network(pull_classes(dlog_p))                     # d(2)
