"""Distributions over discrete vectors whose entropy is known.

Brackets.  All well-formed words of T brackets are equally likely.  Any bracket may open, and the
last open one may close.  ways[r, d] counts the endings with r symbols left and d brackets open:

    ways[r, d] = kinds ways[r-1, d+1] + ways[r-1, d-1],   ways[0, 0] = 1                     (1)
    log p      = -log ways[T, 0] if x is well formed, else -inf                              (2)

SpinGlass.  Spins s = 2 x - 1 on a torus, with couplings J_ij between neighbors:

    p(s) = exp(sum over neighbors J_ij s_i s_j) / Z                                          (3)

GrayCoded.  Points of the plane as bits: for each coordinate a sign and 15 magnitude bits in Gray
code, in which neighboring magnitudes differ in one bit (Dai et al. 2020, "Learning Discrete
Energy-based Models via Auxiliary-variable Local Exploration").  In a code's cell p is constant:

    log P(bits) = log p(center) + log(area)                                                  (4)
Checked in tests/data/test_discrete.py::test_brackets_by_enumeration_of_all_words
Checked in tests/data/test_discrete.py::test_spin_glass_is_a_naive_sum_over_neighbors
Checked in tests/data/test_discrete.py::test_probability_of_a_code_is_the_mass_of_its_cell
"""
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from scratch import checks

# BITS as Dai et al. 2020; the other sizes chosen by hand, not swept.
KINDS, LENGTH = 2, 20                                       # of brackets; of a word
ROWS, COLUMNS = 3, 4                                        # of the torus
SIDES = ROWS * COLUMNS                                      # the number of spins
BITS, WINDOW = 16, 4.0                                      # bits a coordinate; codes cover [-4, 4]^2


@dataclass(frozen=True)
class Brackets:
    """Uniform over Dyck words: symbol k < kinds opens bracket k, and k + kinds closes it.

    >>> law = Brackets(length=4, kinds=1)
    >>> law.log_prob([[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]]).round(3).tolist()
    [-0.693, -0.693, -inf]
    """
    length: int = LENGTH
    kinds: int = KINDS

    def __post_init__(self):
        checks.fields(self, length=checks.size, kinds=checks.size)
        most = int(700 / log(4 * self.kinds)) * 2           # ways < (4 kinds)^(T/2) must not overflow
        if self.length % 2 or self.length > most:
            raise ValueError(f"length must be even and at most {most} (kinds: {self.kinds}), "
                             f"got {self.length}")

    @cached_property
    def ways(self):
        """The table (T + 1, T + 2); exact while its numbers are below 2^53."""
        ways = np.zeros((self.length + 1, self.length + 2))
        ways[0, 0] = 1
        for r in range(1, self.length + 1):
            ways[r, :-1] = self.kinds * ways[r - 1, 1:]                           # (1), open
            ways[r, 1:] += ways[r - 1, :-1]                                       # (1), close
        return ways

    def entropy(self):
        """log(number of words), in nats per word."""
        return float(np.log(self.ways[self.length, 0]))

    def log_prob(self, x):
        """log p(x) in nats, (N,), of words (N, T)."""
        return np.where(self.well_formed(x), -self.entropy(), -np.inf)            # (2)

    def sample(self, n, rng):
        """n words (n, T): each symbol opens or closes in proportion to the endings that remain."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        x, stack = np.empty((n, self.length), int), np.zeros((n, self.length), int)
        depth, rows = np.zeros(n, int), np.arange(n)
        for t in range(self.length):
            left = self.length - t
            opens = rng.random(n) < self.kinds * self.ways[left - 1, depth + 1] / self.ways[left, depth]
            kind = np.where(opens, rng.integers(self.kinds, size=n), stack[rows, depth - 1])
            stack[rows[opens], depth[opens]] = kind[opens]
            x[:, t] = np.where(opens, kind, kind + self.kinds)
            depth += np.where(opens, 1, -1)
        return x

    def well_formed(self, x):
        """(N,) booleans: every closing bracket fits the last open one, and none is left open."""
        def fits(word):
            stack = []
            for symbol in word:
                if symbol < self.kinds:
                    stack.append(symbol)
                elif not stack or stack.pop() != symbol - self.kinds:
                    return False
            return not stack
        return np.array([fits(word) for word in checks.class_rows(x, self.length, 2 * self.kinds).tolist()])


@dataclass(frozen=True)
class SpinGlass:
    """(3) by a sum over all 4,096 states; J_ij drawn once from N(0, 0.6^2), by hand, not swept."""

    @cached_property
    def states(self):
        """All of {0, 1}^12, (4096, 12)."""
        return np.stack(np.unravel_index(np.arange(2 ** SIDES), (2,) * SIDES), axis=1)

    @cached_property
    def log_p(self):
        """The log-probabilities of all states, (4096,)."""
        s = 2.0 * self.states.reshape(-1, ROWS, COLUMNS) - 1
        couplings = np.random.default_rng(12).normal(0, 0.6, (2, ROWS, COLUMNS))
        # couplings to the spin above and to the one on the left, across the border of the torus
        log_weight = sum((J * s * np.roll(s, 1, axis)).sum(axis=(1, 2)) for axis, J in zip((1, 2), couplings))
        return log_weight - np.log(np.exp(log_weight).sum())                      # (3)

    def entropy(self):
        """-E log p in nats."""
        return float(-np.exp(self.log_p) @ self.log_p)

    def log_prob(self, x):
        """log p(x) in nats, (N,), looked up for x (N, 12) in {0, 1}."""
        return self.log_p[checks.class_rows(x, SIDES, 2) @ 2 ** np.arange(SIDES)[::-1]]

    def sample(self, n, rng):
        """n independent states, (n, 12)."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        return self.states[rng.choice(len(self.states), size=n, p=np.exp(self.log_p))]


@dataclass(frozen=True)
class GrayCoded:
    """The bits (N, 32) of the points of a distribution of the plane."""
    law: object

    log_cell = 2 * np.log(WINDOW / 2 ** (BITS - 1))         # log(area)

    def __post_init__(self):
        if checks.law(self.law, "law", "sample", "log_prob", "entropy").dim != 2:
            raise ValueError(f"law must be a distribution of the plane, got {self.law.dim} dimensions")

    def entropy(self):
        """The entropy of the points less log(area): the mean of (4)."""
        return self.law.entropy() - self.log_cell

    def log_prob(self, bits):
        """log P(bits) in nats, (N,)."""
        return self.law.log_prob(decode(bits)) + self.log_cell                    # (4)

    def sample(self, n, rng):
        """n independent codes, (n, 32)."""
        return encode(self.law.sample(n, rng))


def encode(x):
    """Bits (N, 32) of points (N, 2); points outside [-4, 4]^2 get the code of its border.

    >>> bool((encode(decode(bits := np.arange(64).reshape(2, 32) % 2)) == bits).all())
    True
    """
    x = checks.rows(x, 2)
    magnitude = np.minimum(np.abs(x) / WINDOW * 2 ** (BITS - 1), 2 ** (BITS - 1) - 1).astype(int)
    gray = magnitude ^ (magnitude >> 1)
    bits = gray[:, :, None] >> np.arange(BITS - 2, -1, -1) & 1                    # (N, 2, 15)
    return np.concatenate([(x < 0)[:, :, None], bits], axis=2).reshape(len(x), -1).astype(int)


def decode(bits):
    """The centers (N, 2) of the cells with these bits (N, 32)."""
    bits = checks.class_rows(bits, 2 * BITS, 2).reshape(-1, 2, BITS)
    binary = np.bitwise_xor.accumulate(bits[:, :, 1:], axis=2)                    # undoes m ^ (m >> 1)
    magnitude = binary @ 2 ** np.arange(BITS - 2, -1, -1)
    return np.where(bits[:, :, 0] == 1, -1, 1) * (magnitude + 0.5) * WINDOW / 2 ** (BITS - 1)
