"""A measured number and its error: what every estimator in this project returns."""
from dataclasses import dataclass, field
from math import floor, log10, sqrt

from scipy.special import ndtri


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, the number n of points that it is computed from, and its unit.

    stderr is one standard deviation of the estimator: 0 for a closed form, and for quadrature the
    estimated error of the rule.

    >>> print(Estimate(0.0123, 0.0045, 10_000))
    0.0123 +- 0.0045 nats (n = 10000)
    """
    value: float
    stderr: float
    n: int
    unit: str = field(default="nats", kw_only=True)

    def __float__(self):
        return float(self.value)

    def __str__(self):
        digits = 4 if not 0 < self.stderr < 1e-3 else 1 - floor(log10(self.stderr))   # two digits of the error
        return f"{self.value:.{digits}f} +- {self.stderr:.{digits}f}{' ' * bool(self.unit)}{self.unit} (n = {self.n})"

    def interval(self, level=0.95):
        """The normal confidence interval (low, high) at this level.

        >>> low, high = Estimate(1.0, 0.1, 100).interval()
        >>> round(low, 3), round(high, 3)
        (0.804, 1.196)
        """
        half = _normal_half_width(level) * self.stderr
        return self.value - half, self.value + half

    def agrees_with(self, other, errors=5):
        """Whether it and other, an independent Estimate or a number, differ by `errors` stderr at most."""
        error = sqrt(self.stderr ** 2 + getattr(other, "stderr", 0.0) ** 2)
        return float(self) == float(other) or abs(float(self) - float(other)) <= errors * error


@dataclass(frozen=True)
class Share(Estimate):
    """A fraction between 0 and 1: an Estimate without a unit, whose error and interval are Wilson's.

    Symbols: v the observed fraction, p the probability that it estimates, n trials.  The plain error
    sqrt(v (1 - v) / n) is 0 at v = 0 and 1, where nothing is certain.  The interval of Wilson (1927,
    "Probable inference") holds every p that lies within z of its own standard deviations from v.
    Its ends are the two solutions of

        (v - p)^2 = z^2 p (1 - p) / n                                                       (1)

    and lie in [0, 1].  Half their distance at z = 1 is the standard error here:

        s = sqrt(v (1 - v) / n + 1 / (4 n^2)) / (1 + 1 / n)                                 (2)

    >>> print(Share.of(0, 20))
    0.0000 +- 0.0238 (n = 20)
    >>> low, high = Share.of(1, 5).interval()
    >>> round(low, 3), round(high, 3)
    (0.036, 0.624)
    """
    unit: str = field(default="", kw_only=True)

    @classmethod
    def of(cls, hits, n):
        """The Share of `hits` in n independent trials."""
        return cls.with_variance(hits / n, hits / n * (1 - hits / n) / n, n)

    @classmethod
    def with_variance(cls, value, variance, n):
        """A fraction whose variance was estimated in another way, such as the area under a ROC curve.

        The n of (2) is the number of independent trials with this variance, v (1 - v) / variance, but at least n.
        """
        trials = max(n, value * (1 - value) / variance) if variance > 0 else n
        return cls(float(value), sqrt(variance + 1 / (4 * trials ** 2)) / (1 + 1 / trials), int(n))   # (2)

    def interval(self, level=0.95):
        """Wilson's interval (low, high) at this level, inside [0, 1], by (1) with the n that (2) gives for s."""
        z, v, s = _normal_half_width(level), self.value, self.stderr
        b = v * (1 - v) - 2 * s * s                         # (2) squared: s^2 n^2 - b n + s^2 - 1/4 = 0
        n = (b + sqrt(b * b - 4 * s * s * (s * s - 0.25))) / (2 * s * s)
        middle, half = (v + z * z / (2 * n)) / (1 + z * z / n), z * sqrt(v * (1 - v) / n + (z / (2 * n)) ** 2)
        return max(0.0, middle - half / (1 + z * z / n)), min(1.0, middle + half / (1 + z * z / n))   # (1)


def _normal_half_width(level):
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    return float(ndtri(0.5 + level / 2))
