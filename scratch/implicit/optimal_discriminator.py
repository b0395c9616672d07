"""The optimal discriminator of a fixed generator, and the value of the game against it.

Model.   Let p be the data's distribution and q the generator's, and C the logit of a discriminator.

Loss.    The discriminator's loss is a sum over places x, and can be minimized at each place alone:

    L(C) = int p softplus(-C) + q softplus(C)                                             (1)
    dL/dC(x) = q sigmoid(C) - p sigmoid(-C) = 0   ->   C*(x) = log p(x) / q(x)            (2)
    L(C*) = 2 log 2 - 2 JS(p, q)                                                          (3)

(Goodfellow et al. 2014, "Generative Adversarial Nets", Proposition 1 and Theorem 1; their value is
-L.)  Hence each discriminator gives a lower bound of the Jensen-Shannon divergence,

    log 2 - L(C) / 2 <= JS(p, q)                                                          (4)

short of it by half the excess loss L(C) - L(C*).  A training curve does not show this excess.  It
is flat at 2 log 2 both for perfect samples and for a discriminator that outputs a constant 0.

The relativistic loss compares pairs (Huang et al. 2024, "The GAN is dead; long live the GAN!"):

    L(C) = E_{x ~ p, y ~ q} softplus(C(y) - C(x))                                         (5)

Which point of a pair is the datum?  By Bayes the log odds for x are log p(x) q(y) / (p(y) q(x)) =
C*(x) - C*(y).  So (2) is optimal here as well, up to a constant that cancels in every pair, and
L(C*) = log 2 - JS(p x q, q x p).

On a grid all this is exact: the distributions are the masses of its cells, and the discriminator is
a table of logits, one for each cell.

Checked in tests/implicit/test_optimal_discriminator.py::test_gradient_in_every_logit
Checked in tests/implicit/test_optimal_discriminator.py::test_value_of_the_game_is_jensen_shannon
Checked in tests/implicit/test_optimal_discriminator.py::test_relativistic_value_is_that_of_products
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.grid import midpoints
from scratch.kernels.stable import softplus

NODES = 300                    # per axis; by hand: halving it moves JS by less than 1e-9 in the tests


def log_ratio(log_p, log_q):
    """C* = log p / q, a function (n, D) -> (n,) logits; infinite where only one has mass, 0 where none has.

    >>> C = log_ratio(lambda x: -x[:, 0], lambda x: -2 * x[:, 0])
    >>> C(np.array([[3.0]]))
    array([3.])
    """
    def logits(x):
        a, b = evaluate(log_p, x, "log_p"), evaluate(log_q, x, "log_q")
        return np.subtract(a, b, out=np.zeros(len(x)), where=(a > -np.inf) | (b > -np.inf))       # (2)
    return logits


def cell_masses(log_p, log_q, bounds, n=NODES):
    """The midpoint rule's nodes (n^D, D), and the masses of p and q in its cells, (n^D,) each."""
    nodes, cell = midpoints(bounds, n)
    return nodes, cell * np.exp(evaluate(log_p, nodes, "log_p")), cell * np.exp(evaluate(log_q, nodes, "log_q"))


def discriminator_loss(logits, p, q):
    """L = sum p softplus(-C) + q softplus(C) in nats, and its gradient in each of the logits."""
    logits, p, q = _table(logits, p, q)
    missed, pull_missed = softplus(-logits)
    caught, pull_caught = softplus(logits)
    value = p @ np.where(p > 0, missed, 0) + q @ np.where(q > 0, caught, 0)       # (1), 0 log 0 = 0
    return value, pull_caught(q) - pull_missed(p)                                 # d(1) = (2)


def relativistic_loss(logits, p, q):
    """L = sum_ij p_i q_j softplus(C_j - C_i) in nats, and its gradient in the logits.

    Logits must be finite, and cells no more than a few thousand: all pairs are formed.
    """
    logits, p, q = _table(logits, p, q)
    confused, pull = softplus(logits - logits[:, None])                           # (m, m): i real, j fake
    d = pull(p[:, None] * q)
    return p @ confused @ q, d.sum(axis=0) - d.sum(axis=1)                        # (5), d(5)


def js_lower_bound(logits, p, q):
    """log 2 - L(C) / 2 <= JS(p, q) in nats, for any logits on cells that hold all of both masses."""
    return float(np.log(2) - 0.5 * discriminator_loss(logits, p, q)[0])           # (4)


def _table(logits, p, q):
    logits, p, q = (checks.array(part, name) for part, name in ((logits, "logits"), (p, "p"), (q, "q")))
    if logits.ndim != 1 or not logits.shape == p.shape == q.shape:
        raise ValueError(f"logits, p and q must have one entry a cell, "
                         f"got shapes {logits.shape}, {p.shape}, {q.shape}")
    return logits, p, q
