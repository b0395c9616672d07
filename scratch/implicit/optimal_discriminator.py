"""The discriminator that no training can beat, and what the game is worth against it.

For a fixed generator with density q and a law p, the discriminator's loss is a
sum over places x, and at each place it can be minimized on its own:

    L(C) = int p softplus(-C) + q softplus(C),      dL/dC(x) = q sigmoid(C) - p sigmoid(-C) = 0
    C*(x) = log p(x) / q(x),                        L(C*) = 2 log 2 - 2 JS(p, q)

(Goodfellow et al. 2014, Proposition 1 and Theorem 1: the value of their game is
-L.)  So each discriminator gives a lower bound of the Jensen-Shannon divergence,
log 2 - L(C) / 2, and what it misses is its own excess loss.  Between the loss
that a training shows and the JS stands exactly this excess, which nobody sees:
the loss is flat at 2 log 2 if the samples are perfect, or the discriminator asleep.

The relativistic loss compares pairs (Huang et al. 2024),

    L(C) = E_{x ~ p, y ~ q} softplus(C(y) - C(x))

Which of two points is the real one?  By Bayes the log odds for x are
log p(x) q(y) / (p(y) q(x)) = C*(x) - C*(y).  So the same log p / q is optimal here,
up to a constant that no pair can see, and L(C*) = log 2 - JS(p x q, q x p).

On a grid all this is exact: the laws are the masses of its cells, and the
discriminator is a table of logits, one for each cell.
"""
import numpy as np

from scratch import checks
from scratch.divergence.log_density import evaluate
from scratch.grid import midpoints
from scratch.kernels.stable import softplus

NODES = 300


def log_ratio(log_p, log_q):
    """C* = log p / q, a function (n, D) -> (n,) logits; infinite where only one has mass, 0 where none has.

    >>> C = log_ratio(lambda x: -x[:, 0], lambda x: -2 * x[:, 0])
    >>> C(np.array([[3.0]]))
    array([3.])
    """
    def logits(x):
        a, b = evaluate(log_p, x, "log_p"), evaluate(log_q, x, "log_q")
        return np.subtract(a, b, out=np.zeros(len(x)), where=(a > -np.inf) | (b > -np.inf))
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
    value = p @ np.where(p > 0, missed, 0) + q @ np.where(q > 0, caught, 0)       # 0 log 0 = 0
    return value, pull_caught(q) - pull_missed(p)


def relativistic_loss(logits, p, q):
    """L = sum_ij p_i q_j softplus(C_j - C_i) in nats, and its gradient in the logits.

    Logits must be finite, and cells no more than a few thousand: all pairs are formed.
    """
    logits, p, q = _table(logits, p, q)
    confused, pull = softplus(logits - logits[:, None])                           # (m, m): i real, j fake
    d = pull(p[:, None] * q)
    return p @ confused @ q, d.sum(axis=0) - d.sum(axis=1)


def js_lower_bound(logits, p, q):
    """log 2 - L(C) / 2 <= JS(p, q) in nats, for any logits on cells that hold all of both masses."""
    return float(np.log(2) - 0.5 * discriminator_loss(logits, p, q)[0])


def _table(logits, p, q):
    logits, p, q = (checks.array(part, name) for part, name in ((logits, "logits"), (p, "p"), (q, "q")))
    if logits.ndim != 1 or not logits.shape == p.shape == q.shape:
        raise ValueError(f"logits, p and q must have one entry a cell, "
                         f"got shapes {logits.shape}, {p.shape}, {q.shape}")
    return logits, p, q
