"""Distributions (laws) over discrete vectors whose entropy is known: a formal language, a spin glass, coded points.

    Brackets       well-formed words, all equally likely: the entropy is the logarithm of a count
    SpinGlass      12 spins with random couplings: all 4,096 probabilities by brute force
    GrayCoded      the bits of points of the plane: the entropy of their distribution, less the log of a cell's area
"""
from dataclasses import dataclass
from functools import cached_property

import numpy as np

KINDS, LENGTH = 2, 20                                       # of brackets; of a word
ROWS, COLUMNS = 3, 4                                        # of the torus of spins
SIDES = ROWS * COLUMNS
BITS, WINDOW = 16, 4.0                                      # bits a coordinate; nearly all mass lies in [-4, 4]^2


@dataclass(frozen=True)
class Brackets:
    """The uniform law over all well-formed words of `length` with KINDS kinds of brackets (Dyck words).

    ways[r, d] counts how a word can go on for r symbols when d brackets are open:
    opening leads to KINDS ways[r-1, d+1], closing (the kind is forced) to ways[r-1, d-1].
    """
    length: int = LENGTH

    @cached_property
    def ways(self):
        ways = np.zeros((self.length + 1, self.length + 2))
        ways[0, 0] = 1
        for r in range(1, self.length + 1):
            ways[r, :-1] = KINDS * ways[r - 1, 1:]
            ways[r, 1:] += ways[r - 1, :-1]
        return ways

    def entropy(self):
        """log(number of words), in nats per word."""
        return float(np.log(self.ways[self.length, 0]))

    def sample(self, n, rng):
        """n words (n, length): open or close in proportion to the ways that are left."""
        x, stack = np.empty((n, self.length), int), np.zeros((n, self.length), int)
        depth, rows = np.zeros(n, int), np.arange(n)
        for t in range(self.length):
            left = self.length - t
            opens = rng.random(n) < KINDS * self.ways[left - 1, depth + 1] / self.ways[left, depth]
            kind = np.where(opens, rng.integers(KINDS, size=n), stack[rows, depth - 1])
            stack[rows[opens], depth[opens]] = kind[opens]
            x[:, t] = np.where(opens, kind, kind + KINDS)
            depth += np.where(opens, 1, -1)
        return x

    def well_formed(self, x):
        """(n,) booleans: every closing bracket fits the last open one, and none is left open."""
        def fits(word):
            stack = []
            for symbol in word:
                if symbol < KINDS:
                    stack.append(symbol)
                elif not stack or stack.pop() != symbol - KINDS:
                    return False
            return not stack
        return np.array([fits(word) for word in x.tolist()])


@dataclass(frozen=True)
class SpinGlass:
    """p(x) ~ exp(sum over neighbors J_ij s_i s_j), s = 2 x - 1, on a 3 x 4 torus; J_ij drawn from N(0, 0.6^2)."""

    @cached_property
    def states(self):
        """All of {0, 1}^12, (4096, 12)."""
        return np.stack(np.unravel_index(np.arange(2 ** SIDES), (2,) * SIDES), axis=1)

    @cached_property
    def log_p(self):
        """Their log-probabilities, (4096,): the sum over states is done by brute force."""
        s = 2.0 * self.states.reshape(-1, ROWS, COLUMNS) - 1
        couplings = np.random.default_rng(12).normal(0, 0.6, (2, ROWS, COLUMNS))     # once and for all
        log_weight = sum((J * s * np.roll(s, 1, axis)).sum(axis=(1, 2)) for axis, J in zip((1, 2), couplings))
        return log_weight - np.log(np.exp(log_weight).sum())

    def sample(self, n, rng):
        return self.states[rng.choice(len(self.states), size=n, p=np.exp(self.log_p))]


@dataclass(frozen=True)
class GrayCoded:
    """The bits of a law's points (n, 32): a sign and 15 magnitude bits in Gray code for each coordinate.

    (The protocol of Dai et al. 2020.)  Neighboring magnitudes differ in one
    bit.  A code is a square cell of the plane, so small that the density is
    constant in it: H(bits) = entropy of the law - log of the cell's area.
    """
    law: object

    log_cell = 2 * np.log(WINDOW / 2 ** (BITS - 1))

    def sample(self, n, rng):
        return encode(self.law.sample(n, rng))

    def entropy(self):
        return self.law.entropy() - self.log_cell


def encode(x):
    """Bits (n, 32) of points (n, 2)."""
    magnitude = np.minimum(np.abs(x) / WINDOW * 2 ** (BITS - 1), 2 ** (BITS - 1) - 1).astype(int)
    gray = magnitude ^ (magnitude >> 1)
    bits = gray[:, :, None] >> np.arange(BITS - 2, -1, -1) & 1                  # (n, 2, 15)
    return np.concatenate([(x < 0)[:, :, None], bits], axis=2).reshape(len(x), -1).astype(int)


def decode(bits):
    """The centers (n, 2) of the cells with these bits (n, 32)."""
    bits = bits.reshape(len(bits), 2, BITS)
    binary = np.bitwise_xor.accumulate(bits[:, :, 1:], axis=2)                  # undoes g = m ^ (m >> 1)
    magnitude = binary @ 2 ** np.arange(BITS - 2, -1, -1)
    return np.where(bits[:, :, 0] == 1, -1, 1) * (magnitude + 0.5) * WINDOW / 2 ** (BITS - 1)
