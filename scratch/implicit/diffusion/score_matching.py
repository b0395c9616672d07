"""Score matching: learn grad log p without p, its integral, or its score at hand.

The wish is to bring a field s(x) close to the score in Fisher's sense,

    F(s) = 1/2 E_p |s(x) - grad log p(x)|^2,

but the score of the data is unknown.  Three ways around it, with one answer:

Explicit (Hyvarinen 2005, Theorem 1).  In the cross term p grad log p = grad p, and
integration by parts (p s -> 0 far out) moves the derivative to s:

    F(s) = J(s) + 1/2 E_p |grad log p|^2,      J(s) = E_p [ tr(ds/dx) + 1/2 |s|^2 ]

Sliced (Song et al. 2019, in its variance-reduced form).  For random v with E v v^T = I,
E v^T (ds/dx) v is the trace:

    J(s) = E_p E_v [ v^T (ds/dx) v + 1/2 |s|^2 ]                  one tangent instead of D

Denoising (Vincent 2011).  For data under noise, x = x0 + sigma eps, the score of
the pair is known, grad log q(x | x0) = -eps / sigma, and its mean given x is that of x:

    1/2 E |s(x) + eps / sigma|^2  =  1/2 E |s(x) - grad log p_sigma(x)|^2 + const

No derivative of s at all, but the answer is the score of p_sigma and not of p; taken at
all sigma at once it is the training of diffusion models (denoiser.py).

Gradient.  The first two hold v^T s_dot, s_dot = (ds/dx) v: the network's tangent.  Their
gradients are therefore the pullback of the tangent (kernels/dense.py), with
ds = s / N, ds_dot = v / N; the third is a mean square.

Symbols: N batch, D data.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.network import Network
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

LEVEL = np.float32(-2)         # what the network is told of the noise in x: hardly any (network.py)

# ---- objectives: J row by row, (N,), and pull(dJ) -> dtheta, of rows x and noise ~ N(0, I), (N, D) ----
# The model has two methods:   field(theta, x) -> s, pull(ds) -> dtheta
#                              tangent(theta, x, x_dot) -> s, s_dot, pull(ds, ds_dot) -> dtheta

def explicit(model, theta, x, noise=None):
    """tr(ds/dx) + 1/2 |s|^2 by D tangents, exact: no noise is used."""
    axes = np.eye(x.shape[1], dtype=x.dtype)
    return _hyvarinen(model, theta, x, [np.broadcast_to(axis, x.shape) for axis in axes])


def sliced(model, theta, x, noise):
    """v^T (ds/dx) v + 1/2 |s|^2 along v = noise: explicit in the mean."""
    return _hyvarinen(model, theta, x, [noise])


def denoising(sigma):
    """The objective 1/2 |s(x + sigma eps) + eps / sigma|^2, eps = noise, at this level of noise."""
    sigma = checks.positive(sigma, "sigma")

    def denoising_at_sigma(model, theta, x, noise):
        s, pull_field = model.field(theta, x + sigma * noise)
        error = s + noise / sigma                                                 # (N, D)
        return 0.5 * np.sum(error * error, axis=1), lambda dJ: pull_field(dJ[:, None] * error)

    return denoising_at_sigma


def _hyvarinen(model, theta, x, directions):
    """1/2 |s|^2 and the sum over the directions v (N, D) of v^T (ds/dx) v: unit vectors give the trace."""
    tangents = [model.tangent(theta, x, v) for v in directions]
    s = tangents[0][0]                                                            # the same in all of them
    J = 0.5 * np.sum(s * s, axis=1)
    for v, (_, s_dot, _) in zip(directions, tangents):
        J = J + np.sum(v * s_dot, axis=1)

    def pull(dJ):
        ds = dJ[:, None] * s
        dtheta = 0
        for v, (_, _, pull_tangent) in zip(directions, tangents):
            dtheta = dtheta + pull_tangent(ds, dJ[:, None] * v)
            ds = np.zeros_like(s)                                                 # has been given to the first
        return dtheta

    return J, pull


@dataclass(frozen=True)
class ScoreNetwork:
    """A network for the score of one law, fitted by an objective: explicit, sliced or denoising(sigma).

    >>> model = ScoreNetwork(dim=2, hidden=(8,), objective=explicit)
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.score(theta, np.zeros((4, 2))).shape
    (4, 2)
    """
    dim: int
    hidden: tuple
    objective: Callable = sliced

    recipe = Recipe(Adam(2e-3, beta2=0.99), batch_size=512)

    def __post_init__(self):
        object.__setattr__(self, "hidden", self.network.hidden)                   # checked there, as a tuple
        if not callable(self.objective):
            raise TypeError(f"objective must be a function like explicit or sliced, got {self.objective!r}")

    @property
    def network(self):
        """The network, without its parameters."""
        return Network(self.dim, self.hidden)

    @property
    def size(self):
        """The length of theta."""
        return self.network.size

    def init(self, rng, dtype=np.float32):
        """Random theta (P,); s starts near 0."""
        return self.network.init(rng, dtype)

    def draw_noise(self, rng, n):
        """N(0, I), (n, D): a direction or a displacement for each row, as the objective takes it."""
        return checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))

    def loss(self, theta, x, noise):
        """The mean of the objective over the batch, in units of |score|^2 and not nats, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        noise = np.asarray(noise).astype(x.dtype, copy=False)
        if noise.shape != x.shape:
            raise ValueError(f"noise must have the shape of x, {x.shape}, got {noise.shape}")
        J, pull = self.objective(self, theta, x, noise)                           # (N,)
        loss = np.sum(J) / len(x)
        return loss, pull(np.full_like(J, 1 / len(x)))

    def score(self, theta, x):
        """s(x), (N, D)."""
        return self.field(*checks.inputs(self, theta, x))[0]

    def field(self, theta, x):
        """s (N, D), and pull(ds) -> dtheta."""
        s, pull = self.network(theta, x, LEVEL)
        return s, lambda ds: pull(ds)[0]

    def tangent(self, theta, x, x_dot):
        """s and s_dot = ds/dx x_dot, (N, D) each, and pull(ds, ds_dot) -> dtheta."""
        return self.network.jvp(theta, x, x_dot, LEVEL)

    def sample(self, theta, n, rng, steps=1000, dt=0.002):
        """n rows (n, D) by Langevin dynamics from N(0, I): x <- x + dt s(x) + sqrt(2 dt) z, z ~ N(0, I).

        Its resting law is p up to O(dt): a variance V becomes V / (1 - dt / (2 V)).  But it
        forgets its start only as fast as it finds its way between the modes, and s is learned
        only where data are: two reasons to add noise levels (Song and Ermon 2019).
        """
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        steps, dt = checks.size(steps, "steps"), checks.positive(dt, "dt")
        x = rng.standard_normal((n, self.dim), theta.dtype)
        for _ in range(steps):
            x = x + dt * self.score(theta, x) + (2 * dt) ** 0.5 * rng.standard_normal(x.shape, x.dtype)
        return x
