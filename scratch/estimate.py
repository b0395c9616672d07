"""A measured number and its error: what every estimator in this project returns."""
from dataclasses import dataclass, field
from math import floor, log10, sqrt

from scipy.special import ndtri


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, how many points it rests on, and its unit.

    stderr is one standard deviation of the estimator.  It is 0 for a closed
    form, and for quadrature it is the estimated error of the rule.

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
        if not 0 < level < 1:
            raise ValueError(f"level must lie in (0, 1), got {level}")
        half = float(ndtri(0.5 + level / 2)) * self.stderr
        return self.value - half, self.value + half

    def agrees_with(self, other, errors=4):
        """Whether two independent roads, or a road and an exact number, meet.

        The difference is compared with `errors` standard errors of itself.
        """
        error = sqrt(self.stderr ** 2 + getattr(other, "stderr", 0.0) ** 2)
        return float(self) == float(other) or abs(float(self) - float(other)) <= errors * error


@dataclass(frozen=True)
class Share(Estimate):
    """A fraction between 0 and 1 with its standard error: an Estimate without a unit.

    >>> print(Share(0.25, 0.01, 400))
    0.2500 +- 0.0100 (n = 400)
    """
    unit: str = field(default="", kw_only=True)
