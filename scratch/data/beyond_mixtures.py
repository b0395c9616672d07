"""Laws that no Gaussian mixture gives: bent by an exact change of variables, or cut off by walls.

Warped Gaussian.  Two standard normals u pass through a triangular map,

    x1 = std u1,    x2 = m(x1) + s(x1) u2,    m = curvature (x1^2 - std^2),  s = noise exp(slope x1 / 2)

whose Jacobian has the determinant std s(x1).  The change of variables gives

    log p(x) = -1/2 (u1^2 + u2^2) - log(2 pi) - log(std s(x1))

(one layer of an autoregressive flow, Papamakarios, Pavlakou and Murray 2017,
section 3.1).  slope = 0 is the banana (Haario, Saksman and Tamminen 1999),
curvature = 0 is the funnel (Neal 2003, section 8).

Checkerboard.  Uniform on the dark squares: the density is a constant inside
and zero outside, the case for which log p = -inf is the honest answer.
"""
from dataclasses import dataclass
from math import ceil, log, pi, sqrt

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import double_rows

OUTSIDE = 1e-6                 # the mass that WarpedGaussian.bounds() leaves out


@dataclass(frozen=True)
class WarpedGaussian:
    """x1 ~ N(0, std^2),  x2 | x1 ~ N(curvature (x1^2 - std^2), noise^2 exp(slope x1))."""
    std: float
    curvature: float
    noise: float
    slope: float
    dim = 2

    def __post_init__(self):
        checks.positive(self.std, "std")
        checks.positive(self.noise, "noise")
        checks.finite(float(self.curvature), "curvature")
        checks.finite(float(self.slope), "slope")

    def _push(self, u):
        """The map u -> x, row by row."""
        x1 = self.std * u[:, 0]
        x2 = self.curvature * (x1 ** 2 - self.std ** 2) + self.noise * np.exp(self.slope * x1 / 2) * u[:, 1]
        return np.stack([x1, x2], axis=1)

    def _pull(self, x):
        """The inverse map x -> u1, u2, with log s(x1) and 1/s(x1)."""
        x1, x2 = double_rows(x, self.dim).T
        log_s = log(self.noise) + self.slope * x1 / 2
        inverse_s = np.exp(-np.where(log_s.real > -700, log_s, -700))             # never inf: 0 inf is NaN
        return x1 / self.std, (x2 - self.curvature * (x1 ** 2 - self.std ** 2)) * inverse_s, log_s, inverse_s

    def sample(self, n, rng):
        """n independent draws."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        return self._push(rng.standard_normal((n, 2)))

    def log_prob(self, x):
        """log p(x) in nats, (n,); -inf so far out that the exponent overflows."""
        with np.errstate(over="ignore"):
            u1, u2, log_s, _ = self._pull(x)
            return -0.5 * (u1 ** 2 + u2 ** 2) - log(2 * pi * self.std) - log_s

    def score(self, x):
        """grad log p(x), (n, 2): the chain rule through u1, u2 and log s."""
        with np.errstate(over="ignore", invalid="ignore"):
            u1, u2, _, inverse_s = self._pull(x)
            dx2 = -u2 * inverse_s
            dm, dlog_s = 2 * self.curvature * self.std * u1, self.slope / 2       # in x1
            dx1 = -u1 / self.std - dx2 * dm + (u2 ** 2 - 1) * dlog_s
        return checks.finite(np.stack([dx1, dx2], axis=1), "the score (too far out)")

    def entropy(self):
        """H(x1) + H(x2 | x1) = log(2 pi e) + log std + E log s(x1), and E x1 = 0: exact, in nats."""
        return 1 + log(2 * pi * self.std * self.noise)

    def bounds(self):
        """A box (2, 2) that holds all but 1e-6 of the mass.

        The disk |u| <= r misses exp(-r^2/2) of it, and x2 is linear in u2, so
        the box around the image of the circle holds the image of the disk.
        """
        angle = np.linspace(0, 2 * pi, 2000)
        circle = self._push(sqrt(-2 * log(OUTSIDE)) * np.stack([np.cos(angle), np.sin(angle)], axis=1))
        return np.stack([circle.min(axis=0), circle.max(axis=0)], axis=1)


@dataclass(frozen=True)
class Checkerboard:
    """Uniform on the dark squares of a board of side x side squares around the origin.

    Row i and column j, counted from the lower left, make a dark square if
    i + j is even.  A square owns its left and lower edge.
    """
    side: int
    width: float
    dim = 2

    def __post_init__(self):
        checks.size(self.side, "side")
        checks.positive(self.width, "width")

    @property
    def _dark(self):
        """The lower left corners of the dark squares, in squares: (ceil(side^2 / 2), 2)."""
        return np.argwhere(np.indices((self.side, self.side)).sum(axis=0) % 2 == 0)

    def sample(self, n, rng):
        """n independent draws: a dark square, then a point of it."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        corners = self._dark[rng.integers(ceil(self.side ** 2 / 2), size=n)]
        return (corners + rng.random((n, 2)) - self.side / 2) * self.width

    def _inside(self, x):
        square = np.floor(double_rows(x, self.dim).real / self.width + self.side / 2)
        return ((square >= 0) & (square < self.side)).all(axis=1) & (square.sum(axis=1) % 2 == 0)

    def log_prob(self, x):
        """-log(dark area) in nats on the dark squares and -inf elsewhere, (n,)."""
        return np.where(self._inside(x), -self.entropy(), -np.inf)

    def score(self, x):
        """0 on the dark squares, (n, 2).  Elsewhere log p has no gradient: a ValueError.

        This score does not know the law: it is silent about the walls, which is
        why whatever learns from scores alone must add noise first.
        """
        inside = self._inside(x)
        if not inside.all():
            raise ValueError(f"x must lie on the dark squares, where the density is not 0; "
                             f"{(~inside).sum()} of {len(inside)} rows do not")
        return np.zeros((len(inside), 2))

    def entropy(self):
        """log(dark area): exact, in nats."""
        return log(ceil(self.side ** 2 / 2) * self.width ** 2)

    def bounds(self):
        """The board, (2, 2).  A grid whose n is a multiple of side has no cell across a wall."""
        half = self.side * self.width / 2
        return np.array([[-half, half], [-half, half]])
