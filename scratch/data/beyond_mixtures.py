"""Two distributions that are no Gaussian mixtures: a bent Gaussian, and a uniform checkerboard.

Warped Gaussian.  Two independent standard normals u1, u2 pass through a triangular map,

    x1 = std u1                                                                              (1)
    x2 = m(x1) + s(x1) u2,   m = curvature (x1^2 - std^2),   s = noise exp(slope x1 / 2)     (2)

The Jacobian dx/du has the determinant std s(x1), so by the change of variables

    log p(x) = -1/2 (u1^2 + u2^2) - log(2 pi) - log std - log s(x1)                          (3)
    entropy  = 1 + log(2 pi) + log std + E log s(x1),   E log s(x1) = log noise              (4)

This is one layer of an autoregressive flow (Papamakarios et al. 2017, "Masked Autoregressive Flow",
section 3.1).  slope = 0 is the banana (Haario et al. 1999, "Adaptive proposal distribution"),
curvature = 0 the funnel (Neal 2003, "Slice sampling", section 8).

Checkerboard.  Uniform on the dark squares: log p is a constant there and -inf elsewhere.
Checked in tests/data/test_beyond_mixtures.py::test_log_prob_is_the_two_normals_written_out
Checked in tests/data/test_beyond_mixtures.py::test_score_is_the_gradient_of_log_prob
Checked in tests/data/test_beyond_mixtures.py::test_log_prob_equals_a_loop_over_the_dark_squares
"""
from dataclasses import dataclass
from math import ceil, log, pi, sqrt

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import double_rows

OUTSIDE = 1e-6                 # the mass outside WarpedGaussian.bounds(); chosen by hand, not swept


@dataclass(frozen=True)
class WarpedGaussian:
    """x1 ~ N(0, std^2),  x2 | x1 ~ N(curvature (x1^2 - std^2), noise^2 exp(slope x1))."""
    std: float
    curvature: float
    noise: float
    slope: float
    dim = 2

    def __post_init__(self):
        checks.fields(self, std=checks.positive, noise=checks.positive, curvature=checks.number,
                      slope=checks.number)

    def _from_normal(self, u):
        """x (N, 2) from u (N, 2)."""
        x1 = self.std * u[:, 0]                                                   # (1)
        m, s = self.curvature * (x1 ** 2 - self.std ** 2), self.noise * np.exp(self.slope * x1 / 2)
        return np.stack([x1, m + s * u[:, 1]], axis=1)                            # (2)

    def _to_normal(self, x):
        """The inverse: u1, u2, and log s(x1), 1 / s(x1), (N,) each."""
        x1, x2 = double_rows(x, self.dim).T
        log_s = log(self.noise) + self.slope * x1 / 2
        inverse_s = np.exp(-np.where(log_s.real > -700, log_s, -700))             # finite below exp(709)
        return x1 / self.std, (x2 - self.curvature * (x1 ** 2 - self.std ** 2)) * inverse_s, log_s, inverse_s

    def sample(self, n, rng):
        """n independent draws, (n, 2)."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        return self._from_normal(rng.standard_normal((n, 2)))

    def log_prob(self, x):
        """log p(x) in nats, (N,); -inf so far out that the exponent overflows."""
        with np.errstate(over="ignore"):
            u1, u2, log_s, _ = self._to_normal(x)
            return -0.5 * (u1 ** 2 + u2 ** 2) - log(2 * pi * self.std) - log_s    # (3)

    def score(self, x):
        """grad log p(x), (N, 2): the chain rule through u1, u2 and log s."""
        with np.errstate(over="ignore", invalid="ignore"):
            u1, u2, _, inverse_s = self._to_normal(x)
            dx2 = -u2 * inverse_s                                                 # d(3)
            dm, dlog_s = 2 * self.curvature * self.std * u1, self.slope / 2       # in x1
            dx1 = -u1 / self.std - dx2 * dm + (u2 ** 2 - 1) * dlog_s              # d(3)
        return checks.finite(np.stack([dx1, dx2], axis=1), "the score (too far out)")

    def entropy(self):
        """H(x1) + H(x2 | x1), exact, in nats."""
        return 1 + log(2 * pi) + log(self.std) + log(self.noise)                  # (4)

    def bounds(self):
        """A box (2, 2) that holds all but OUTSIDE of the mass.

        The disk |u| <= r misses exp(-r^2 / 2) of it.  As x2 is linear in u2, a box that holds the
        image of the disk's border holds that of the disk.
        """
        angle = np.linspace(0, 2 * pi, 2000)
        circle = self._from_normal(sqrt(-2 * log(OUTSIDE)) * np.stack([np.cos(angle), np.sin(angle)], axis=1))
        return np.stack([circle.min(axis=0), circle.max(axis=0)], axis=1)


@dataclass(frozen=True)
class Checkerboard:
    """Uniform on the dark squares of a board of side x side squares around the origin.

    Square (i, j) from the lower left is dark if i + j is even.  It contains its left and lower edges.
    """
    side: int
    width: float
    dim = 2

    def __post_init__(self):
        checks.fields(self, side=checks.size, width=checks.positive)

    def sample(self, n, rng):
        """n independent draws (n, 2): a dark square each, then a point of it."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        dark = np.argwhere(np.indices((self.side, self.side)).sum(axis=0) % 2 == 0)
        corners = dark[rng.integers(len(dark), size=n)]                           # the lower left ones
        return (corners + rng.random((n, 2)) - self.side / 2) * self.width

    def _inside(self, x):
        square = np.floor(double_rows(x, self.dim).real / self.width + self.side / 2)
        return ((square >= 0) & (square < self.side)).all(axis=1) & (square.sum(axis=1) % 2 == 0)

    def log_prob(self, x):
        """-log(dark area) in nats on the dark squares and -inf elsewhere, (N,)."""
        return np.where(self._inside(x), -self.entropy(), -np.inf)

    def score(self, x):
        """0 on the dark squares, (N, 2), so to learn from scores, add noise first.

        Elsewhere log p has no gradient, a ValueError.
        """
        inside = self._inside(x)
        if not inside.all():
            raise ValueError(f"x must lie on the dark squares, where the density is not 0; "
                             f"{(~inside).sum()} of {len(inside)} rows do not")
        return np.zeros((len(inside), 2))

    def entropy(self):
        """log(dark area): exact, in nats."""
        return log(ceil(self.side ** 2 / 2)) + 2 * log(self.width)

    def bounds(self):
        """The board, (2, 2).  A grid whose n is a multiple of side has no cell across an edge."""
        half = self.side * self.width / 2
        return np.array([[-half, half], [-half, half]])
