"""The optimal discriminator of a fixed generator, and the value of the game against it.

Model.   p is the distribution of the data, q that of the samples, C the logit of a discriminator.

Loss.    The discriminator's loss is a sum over x and can be minimized at each x alone:
    L(C) = int p softplus(-C) + q softplus(C)                                             (1)
    dL/dC(x) = q sigmoid(C) - p sigmoid(-C) = 0   ->   C*(x) = log p(x) / q(x)            (2)
    L(C*) = 2 log 2 - 2 JS(p, q)                                                          (3)

(Goodfellow et al. 2014, "Generative Adversarial Nets", Proposition 1 and Theorem 1; their value is
-L.)  Hence every discriminator gives a lower bound of the Jensen-Shannon divergence,
    log 2 - L(C) / 2 <= JS(p, q)                                                          (4)

too low by half of the excess loss L(C) - L(C*).  A training curve does not show this excess: L is
2 log 2 for perfect samples with the best C, and for any samples with C = 0.

The relativistic loss compares pairs (Huang et al. 2024, "The GAN is dead; long live the GAN!"):
    L(C) = E_{x ~ p, y ~ q} softplus(C(y) - C(x))                                         (5)

By Bayes, the log odds that x and not y is the datum are log p(x) q(y) / (p(y) q(x)) = C*(x) - C*(y).
So (2) is optimal here as well, up to a constant, and L(C*) = log 2 - JS(p x q, q x p).

On a grid all this is exact: p and q are the masses of the cells, C is a table of their logits.
Checked in tests/implicit/test_optimal_discriminator.py::test_gradient_in_every_logit
Checked in tests/implicit/test_optimal_discriminator.py::test_value_of_the_game_is_jensen_shannon
Checked in tests/implicit/test_optimal_discriminator.py::test_relativistic_value_is_that_of_products
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.grid import midpoints
from scratch.kernels.stable import softplus


def log_ratio(log_p, log_q):
    """C* = log p / q, a function (n, D) -> (n,): infinite where one has no mass, 0 where both.

    >>> C = log_ratio(lambda x: -x[:, 0], lambda x: -2 * x[:, 0])
    >>> C(np.array([[3.0]]))
    array([3.])
    """
    def logits(x):
        x = checks.rows(x)
        a, b = evaluate(log_p, x, "log_p"), evaluate(log_q, x, "log_q")
        return np.subtract(a, b, out=np.zeros(len(x)), where=(a > -np.inf) | (b > -np.inf))   # (2)
    return logits


def cell_masses(log_p, log_q, bounds, n=300):
    """The midpoint rule's nodes (n^D, D), and the masses of p and q in its cells, (n^D,) each.

    For the mixtures of the tests, 150 nodes per axis instead of 300 move the JS by 3e-11.
    """
    nodes, cell = midpoints(bounds, n)
    p, q = evaluate(log_p, nodes, "log_p"), evaluate(log_q, nodes, "log_q")
    return nodes, cell * np.exp(p), cell * np.exp(q)


def discriminator_loss(logits, p, q):
    """L = sum p softplus(-C) + q softplus(C) in nats, and its gradient in each of the logits."""
    logits, p, q = _table(logits, p, q)
    at_data, pull_data = softplus(-logits)
    at_samples, pull_samples = softplus(logits)
    value = p @ np.where(p > 0, at_data, 0) + q @ np.where(q > 0, at_samples, 0)  # (1), 0 log 0 = 0
    return value, pull_samples(q) - pull_data(p)                                  # d(1) = (2)


def relativistic_loss(logits, p, q):
    """L = sum_ij p_i q_j softplus(C_j - C_i) in nats, and its gradient in the logits.

    Logits must be finite, and cells no more than a few thousand: all pairs are formed.
    """
    logits, p, q = _table(logits, p, q)
    loss, pull = softplus(logits - logits[:, None])                               # (i datum, j sample)
    d = pull(p[:, None] * q)
    return p @ loss @ q, d.sum(axis=0) - d.sum(axis=1)                            # (5), d(5)


def js_lower_bound(logits, p, q):
    """log 2 - L(C) / 2 <= JS(p, q) in nats, for any logits on cells that hold the whole mass.

    >>> p, q = np.array([0.8, 0.2]), np.array([0.2, 0.8])
    >>> js = np.log(2) + 0.8 * np.log(0.8) + 0.2 * np.log(0.2)                   # by its definition
    >>> round(float(js_lower_bound(np.log(p / q), p, q) - js), 12), js_lower_bound(np.zeros(2), p, q)
    (0.0, 0.0)
    """
    return float(np.log(2) - 0.5 * discriminator_loss(logits, p, q)[0])           # (4)


def _table(logits, p, q):
    logits, p, q = (checks.array(part, name) for part, name in ((logits, "logits"), (p, "p"), (q, "q")))
    if logits.ndim != 1 or not logits.shape == p.shape == q.shape:
        raise ValueError(f"logits, p and q must have one entry a cell, "
                         f"got shapes {logits.shape}, {p.shape}, {q.shape}")
    return logits, p, q
