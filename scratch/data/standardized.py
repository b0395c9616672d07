"""A change of variables that any model of real vectors can wear: rows in their own units, a model in its own.

The models here are made for distributions of mean about 0 and standard deviation about 1.5, the
scale of LAWS.  Rows in other units (minutes, dollars, seconds since 1970) are mapped there and back:

    x = shift + z A,      z = (x - shift) A^-1                                             (1)

A is diagonal, one scale a column, or a matrix that also removes the correlations (whitening).
The density changes by the volume that the map stretches,

    log p_x(x) = log p_z(z) - log |det A|                                                  (2)

so a loss in nats grows by log |det A|.  All other losses, and every gradient in theta, are those of
the model at z.
Checked in tests/data/test_standardized.py::test_the_density_is_that_of_the_data_in_their_units.

Symbols: N rows, D columns.  x is in the units of the data, z in those of the model.
"""
from dataclasses import dataclass, replace

import numpy as np

from scratch import checks
from scratch.learning.training import USUAL_STD


def standardize(model, rows, whiten=False):
    """model, dressed for rows (n, D) like these: for it their mean is 0 and their standard deviation its own.

    whiten: remove the correlations too, along the eigenvectors of the covariance.
    """
    rows = checks.rows(rows, model.dim, "rows").astype(float)
    std, wanted = rows.std(axis=0), getattr(model, "sigma_data", USUAL_STD)
    if not (std > 0).all():
        raise ValueError(f"each column of rows must vary, but column {int(np.argmin(std))} is constant")
    if not whiten:
        return Standardized(model, rows.mean(axis=0), std / wanted)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
    if values[0] <= 1e-12 * values[-1]:
        raise ValueError("whitening needs a covariance of full rank, but the columns of rows are linearly dependent")
    return Standardized(model, rows.mean(axis=0), (np.sqrt(values) * vectors).T / wanted)


@dataclass(frozen=True)
class Standardized:
    """model after the change of variables (1): rows go in, and come out, in the units of the data.

    shift: D numbers.  scale: D positive numbers, the diagonal of A, or A itself as D rows.  Both are
    kept as tuples, so that the model can be compared and hashed.  Rows come out in float64, because
    float32 cannot hold a large shift and a small scale.
    """
    model: object
    shift: tuple
    scale: tuple

    def __post_init__(self):
        shift, scale = checks.constant(self.shift, "shift"), checks.constant(self.scale, "scale")
        D = self.model.dim
        if shift.shape != (D,) or scale.shape not in ((D,), (D, D)):
            raise ValueError(f"shift must have shape ({D},) and scale ({D},) or ({D}, {D}), "
                             f"got {shift.shape} and {scale.shape}")
        if not ((scale > 0).all() if scale.ndim == 1 else np.linalg.matrix_rank(scale) == D):
            raise ValueError("scale must hold positive numbers, or be a matrix of full rank")
        object.__setattr__(self, "shift", tuple(shift.tolist()))
        object.__setattr__(self, "scale", tuple(scale.tolist() if scale.ndim == 1 else map(tuple, scale.tolist())))

    dim = property(lambda self: self.model.dim)
    size = property(lambda self: self.model.size)
    blocks = property(lambda self: self.model.blocks)
    in_nats = property(lambda self: self.model.in_nats)

    @property
    def recipe(self):
        """The model's recipe; a setting that changes along the run changes inside."""
        recipe = self.model.recipe
        if recipe.anneal is None:
            return recipe
        return replace(recipe, anneal=lambda worn, done: replace(worn, model=recipe.anneal(worn.model, done)))

    @property
    def log_det(self):
        """log |det A| in nats."""
        scale = np.array(self.scale)
        return float(np.log(scale).sum() if scale.ndim == 1 else np.linalg.slogdet(scale)[1])

    def to_model(self, x):
        """z (n, D) for x (n, D), computed in float64, in which a large shift leaves digits to z."""
        z, scale = checks.rows(x, self.dim) - np.array(self.shift), np.array(self.scale)
        return z / scale if scale.ndim == 1 else z @ np.linalg.inv(scale)                   # (1)

    def to_data(self, z):
        """x (n, D) for z (n, D), in float64."""
        scale = np.array(self.scale)
        return np.array(self.shift) + (z * scale if scale.ndim == 1 else z @ scale)         # (1)

    def init(self, rng, dtype=np.float32):
        """The model's random theta (P,)."""
        return self.model.init(rng, dtype)

    def draw_noise(self, rng, n):
        """The model's noise."""
        return self.model.draw_noise(rng, n)

    def loss(self, theta, x, noise):
        """The model's loss at z, plus log |det A| where it is in nats, and its gradient (P,)."""
        value, dtheta = self.model.loss(theta, self.to_model(x), noise)
        return (value + self.log_det if self.model.in_nats else value), dtheta              # (2)

    def sample(self, theta, n, rng, **options):
        """n rows (n, D) in the units of the data."""
        return self.to_data(self.model.sample(theta, n, rng, **options))

    def log_prob(self, theta, x, **options):
        """log p(x) in nats, (N,), of rows in the units of the data."""
        return self.model.log_prob(theta, self.to_model(x), **options) - self.log_det       # (2)

    def elbo(self, theta, x, noise):
        """The model's lower bound of log p(x), (N,) nats."""
        return self.model.elbo(theta, self.to_model(x), noise) - self.log_det               # (2)

    def encode(self, theta, x):
        """The model's code of x."""
        return self.model.encode(theta, self.to_model(x))

    def decode(self, theta, code):
        """E[x | code], (N, D), in the units of the data."""
        return self.to_data(self.model.decode(theta, code))

    def complete(self, theta, known, n, rng, **options):
        """n rows (n, D) with the coordinates of `known`, a dict coordinate -> value in the units of the data."""
        if np.ndim(self.scale) == 2:
            raise ValueError("a whitened model cannot complete: each of its coordinates mixes all columns")
        inner = {i: (value - self.shift[i]) / self.scale[i] for i, value in known.items()}
        x = self.to_data(self.model.complete(theta, inner, n, rng, **options))
        x[:, list(known)] = list(known.values())            # exactly, not up to rounding
        return x
