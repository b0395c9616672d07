"""A change of variables around any model of real vectors: rows have units, the model has none.

The models here are made for mean about 0 and standard deviation about 1.5, as in LAWS.  Rows in
other units (minutes, dollars, seconds since 1970) are mapped there and back:

    x = shift + z A,      z = (x - shift) A^-1                                               (1)

A is diagonal, one scale a column, or a full matrix that also removes the correlations (whitening).
The density is divided by the factor by which (1) stretches volumes,

    log p_x(x) = log p_z(z) - log |det A|                                                    (2)

so a loss in nats grows by log |det A|.  Other losses, and every gradient in theta, are those at z.
Checked in tests/data/test_standardized.py::test_the_density_has_mass_1_in_the_units_of_the_data
Checked in tests/data/test_standardized.py::test_the_loss_and_its_gradient
Symbols: N rows, D data, P parameters.  x is in the units of the data, z in those of the model.
"""
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter

import numpy as np

from scratch import checks
from scratch.learning.training import USUAL_STD


def standardize(model, rows, whiten=False):
    """model for rows (n, D) like these: z has mean 0 and std sigma_data of the model, or 1.5.

    whiten: remove the correlations too, along the eigenvectors of the correlation matrix.

    >>> from scratch.explicit.mixture_em import MixtureEM
    >>> model = standardize(MixtureEM(1, dim=1), np.array([[70.0], [76.0]]))
    >>> model.shift, model.scale, model.to_model(np.array([[79.0]]))
    ((73.0,), (2.0,), array([[3.]]))
    """
    rows = checks.rows(rows, _checked(model).dim, "rows").astype(float)
    if not isinstance(whiten, bool):
        raise TypeError(f"whiten must be True or False, got {checks.brief(whiten)}")
    mean, std, wanted = rows.mean(axis=0), rows.std(axis=0), getattr(model, "sigma_data", USUAL_STD)
    constant = np.flatnonzero(np.ptp(rows, axis=0) == 0)
    if len(constant):
        raise ValueError(f"each column of rows must vary, but column {constant[0]} is constant")
    if not whiten:
        return Standardized(model, mean, std / wanted)
    z = (rows - mean) / std
    variances, axes = np.linalg.eigh(z.T @ z / len(z))      # of the correlation matrix
    if variances[0] < 1e-12:                                # dependent up to rounding; by hand
        raise ValueError(f"to whiten, the columns of the {len(z)} rows must be linearly independent")
    return Standardized(model, mean, np.sqrt(variances[:, None]) * axes.T * std / wanted)


@dataclass(frozen=True)
class Standardized:
    """model after the change of variables (1): rows go in, and come out, in the units of the data.

    shift: D numbers.  scale: D positive numbers, the diagonal of A, or the D rows of A (tuples, so
    that models can be compared and hashed).  Rows come out in float64: float32 holds no large shift
    with a small scale.
    """
    model: object
    shift: tuple
    scale: tuple

    def __post_init__(self):
        D, shift, A = _checked(self.model).dim, checks.constant(self.shift, "shift"), self.A
        if shift.shape != (D,) or A.shape not in ((D,), (D, D)):
            raise ValueError(f"shift must have shape ({D},) and scale ({D},) or ({D}, {D}), "
                             f"got {shift.shape} and {A.shape}")
        most = np.abs(A).max(axis=0)
        if not (A.min() > 0 if A.ndim == 1 else most.min() > 0 and np.linalg.matrix_rank(A / most) == D):
            raise ValueError("scale must hold positive numbers, or be a matrix of full rank")
        object.__setattr__(self, "shift", tuple(shift.tolist()))
        object.__setattr__(self, "scale", tuple(A.tolist() if A.ndim == 1 else map(tuple, A.tolist())))

    dim, size, blocks, players, init, draw_noise = (property(attrgetter(f"model.{name}")) for name in (
        "dim", "size", "blocks", "players", "init", "draw_noise"))      # those of the model
    in_nats = property(lambda self: getattr(self.model, "in_nats", False))      # the loss
    A = cached_property(lambda self: checks.constant(self.scale, "scale"))
    log_det = cached_property(lambda self: float(                               # log |det A|
        np.log(self.A).sum() if self.A.ndim == 1 else np.linalg.slogdet(self.A)[1]))

    @property
    def recipe(self):
        """The model's recipe; its anneal changes the inner model."""
        anneal = self.model.recipe.anneal
        return replace(self.model.recipe, anneal=anneal and (
            lambda outer, done: replace(outer, model=anneal(outer.model, done))))

    def to_model(self, x):
        """z (N, D) for x (N, D), in float64: a large shift would leave few digits in float32."""
        z, A = checks.rows(x, self.dim) - np.array(self.shift), self.A
        return z / A if A.ndim == 1 else z @ np.linalg.inv(A)                               # (1)

    def to_data(self, z):
        """x (N, D) for z (N, D), in float64."""
        return np.array(self.shift) + (z * self.A if self.A.ndim == 1 else z @ self.A)      # (1)

    def loss(self, theta, x, noise):
        """The model's loss at z, plus log |det A| if it is in nats, and its gradient (P,)."""
        value, dtheta = self.model.loss(theta, self.to_model(x), noise)
        return (value + self.log_det if self.in_nats else value), dtheta                    # (2)

    def sample(self, theta, n, rng, **options):
        """n rows (n, D)."""
        return self.to_data(self.model.sample(theta, n, rng, **options))

    def log_prob(self, theta, x, **options):
        """log p(x) in nats, (N,)."""
        return self.model.log_prob(theta, self.to_model(x), **options) - self.log_det       # (2)

    def elbo(self, theta, x, noise):
        """The model's lower bound of log p(x), (N,) nats."""
        return self.model.elbo(theta, self.to_model(x), noise) - self.log_det               # (2)

    def encode(self, theta, x):
        """The model's code of x."""
        return self.model.encode(theta, self.to_model(x))

    def decode(self, theta, code):
        """E[x | code], (N, D)."""
        return self.to_data(self.model.decode(theta, code))

    def complete(self, theta, known, n, rng, **options):
        """n rows (n, D) drawn with the coordinates in the dict `known` at their values."""
        if self.A.ndim == 2:
            raise ValueError("a whitened model cannot complete: each coordinate of z mixes all columns of x")
        known = checks.known(known, self.dim)
        inner = {i: (value - self.shift[i]) / self.scale[i] for i, value in known.items()}      # (1)
        x = self.to_data(self.model.complete(theta, inner, n, rng, **options))
        x[:, list(known)] = list(known.values())            # exactly, not only up to rounding
        return x


def _checked(model):
    """model, if it is a generative model of real vectors."""
    fits = not isinstance(model, type) and hasattr(model, "sample") and hasattr(model, "draw_noise")
    if not fits or hasattr(model, "classes") or getattr(model, "sigma_data", USUAL_STD) is None:
        raise TypeError("model must be a generative model of real vectors, like VAE(2), "
                        f"got {checks.brief(model)}")
    return model
