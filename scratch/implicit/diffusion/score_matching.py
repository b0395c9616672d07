"""Score matching: learn the score, grad log p of the data's distribution (the `law`), from samples.

Model.   A network s(x), close to the score in Fisher's sense:
    F(s) = 1/2 E_p |s(x) - grad log p(x)|^2                                                    (1)

Loss.    The score of the data is unknown, but three objectives differ from (1) by a constant only.

Explicit (Hyvarinen 2005, "Estimation of Non-Normalized Statistical Models by Score Matching",
theorem 1).  The cross term of (1) is -int s^T grad p = E_p tr(ds/dx), by parts (p s -> 0 far out):
    F(s) = J(s) + 1/2 E_p |grad log p|^2,      J(s) = E_p [ tr(ds/dx) + 1/2 |s|^2 ]            (2)

Sliced (Song et al. 2019, "Sliced Score Matching", variance-reduced form).  If E v v^T = I, then
E v^T (ds/dx) v is the trace, and one tangent (Jacobian-vector product) replaces D of them:
    J(s) = E_p E_v [ v^T (ds/dx) v + 1/2 |s|^2 ]                                               (3)

Denoising (Vincent 2011, "A Connection Between Score Matching and Denoising Autoencoders").  For
x = x0 + sigma eps of density p_sigma the score is E[grad log q(x | x0) | x] = E[-eps / sigma | x]:
    1/2 E |s(x) + eps / sigma|^2  =  1/2 E |s(x) - grad log p_sigma(x)|^2 + constant           (4)

It has no derivative of s, but its minimizer is the score of p_sigma, not of p.  Taken at all sigma
it trains diffusion models (denoiser.py).

Gradient.  dJ is the weight of a row in the loss.  (2) and (3) have ds = dJ s and, for the tangent
s_dot = (ds/dx) v, ds_dot = dJ v.  The pullback (vector-Jacobian product) of mlp_jvp in
kernels/dense.py takes both to dtheta.  (4) has ds = dJ (s + eps / sigma).

Checked in tests/implicit/diffusion/test_score_matching.py::test_gradient_in_every_parameter
Checked in tests/implicit/diffusion/test_score_matching.py::test_explicit_is_distance_to_the_score
Symbols: N batch, D data, P parameters.  noise is N(0, I), (N, D): v or eps.
"""
from dataclasses import KW_ONLY, dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.diffusion.network import OnNetwork
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

LEVEL = np.float32(-2)         # of network.py: sigma / s = exp(4 LEVEL) = 3e-4, hardly any noise; by hand

# ---- objectives: J row by row, (N,), and pull(dJ) -> dtheta, of rows x and noise (N, D) ----
# They need of a model:   field(theta, x) -> s, pull(ds) -> dtheta
#                         jvp(theta, x, x_dot) -> s, s_dot, pull(ds, ds_dot) -> dtheta

def explicit(model, theta, x, noise=None):
    """tr(ds/dx) + 1/2 |s|^2 by D tangents, exact: no noise is used."""
    axes = np.eye(x.shape[1], dtype=x.dtype)
    return _hyvarinen(model, theta, x, [np.broadcast_to(axis, x.shape) for axis in axes])       # (2)


def sliced(model, theta, x, noise):
    """v^T (ds/dx) v + 1/2 |s|^2 along v = noise: explicit in expectation."""
    return _hyvarinen(model, theta, x, [noise])                                   # (3)


def denoising(sigma):
    """The objective 1/2 |s(x + sigma eps) + eps / sigma|^2, eps = noise, at this level of noise."""
    sigma = checks.positive(sigma, "sigma")

    def denoising_at_sigma(model, theta, x, noise):
        s, pull = model.field(theta, x + sigma * noise)
        error = s + noise / sigma                                                 # (N, D)
        J = 0.5 * np.sum(error * error, axis=1)                                   # (N,)  (4)
        return J, lambda dJ: pull(dJ[:, None] * error)                            # d(4)
    return denoising_at_sigma


def _hyvarinen(model, theta, x, directions):
    """1/2 |s|^2 + the sum over directions v (N, D) of v^T (ds/dx) v: for unit v the trace."""
    tangents = [model.jvp(theta, x, v) for v in directions]
    s = tangents[0][0]                                                            # the same in all of them
    J = 0.5 * np.sum(s * s, axis=1)
    for v, (_, s_dot, _) in zip(directions, tangents):
        J = J + np.sum(v * s_dot, axis=1)                                         # (2), (3)

    def pull(dJ):
        ds, dtheta = dJ[:, None] * s, 0
        for v, (_, _, pull_jvp) in zip(directions, tangents):
            dtheta = dtheta + pull_jvp(ds, dJ[:, None] * v)                       # d(2), d(3)
            ds = np.zeros_like(s)                           # 1/2 |s|^2 is in J once: the first pull has it
        return dtheta
    return J, pull


@dataclass(frozen=True)
class ScoreNetwork(OnNetwork):
    """A network for the score of one distribution, fitted by explicit, sliced or denoising(sigma).

    For data of a scale near 1; in other units see data/standardized.py.  s = 0 has J = 0 by (2):
    >>> model = ScoreNetwork(2, objective=explicit)
    >>> float(model.loss(np.zeros(model.size), np.ones((4, 2)), np.ones((4, 2)))[0])
    0.0
    """
    dim: int
    _: KW_ONLY
    hidden: tuple = (128, 128)
    objective: Callable = sliced

    recipe = Recipe(Adam(2e-3, beta2=0.99), batch_size=512)                       # by hand: see denoiser.py

    def __post_init__(self):
        super().__post_init__()
        checks.fields(self, objective=checks.function)

    def draw_noise(self, rng, n):
        """N(0, I), (n, D): the v or the eps of each row, as the objective takes it."""
        return checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))

    def loss(self, theta, x, noise):
        """The objective per coordinate, in units of score^2 and not nats, and its gradient (P,)."""
        theta, x = checks.inputs(self, theta, x)
        noise, = checks.noise([noise], x, noise=x.shape)
        J, pull = self.objective(self, theta, x, noise)                           # (N,)
        return np.sum(J) / x.size, pull(np.full_like(J, 1 / x.size))

    def score(self, theta, x):
        """s(x), (N, D)."""
        return self.field(*checks.inputs(self, theta, x))[0]

    def field(self, theta, x):
        """s (N, D), and pull(ds) -> dtheta."""
        s, pull = self.network(theta, x, LEVEL)
        return s, lambda ds: pull(ds, need_dx=False)[0]

    def jvp(self, theta, x, x_dot):
        """s and s_dot = ds/dx x_dot, (N, D) each, and pull(ds, ds_dot) -> dtheta."""
        return self.network.jvp(theta, x, x_dot, LEVEL)

    def sample(self, theta, n, rng, *, steps=1000, dt=0.002):
        """n rows (n, D) by Langevin dynamics from N(0, I): x <- x + dt s(x) + sqrt(2 dt) N(0, I).

        Its stationary distribution is p up to O(dt): a variance V becomes V / (1 - dt / (2 V)).
        But x moves slowly between modes, and s is learned only near data.  Many noise levels cure
        both (Song and Ermon 2019, "Generative Modeling by Estimating Gradients of the Data
        Distribution").  steps and dt are by hand, not swept.
        """
        n, rng, theta = checks.size(n, "n"), checks.generator(rng), checks.flat(theta, self.size)
        steps, dt = checks.size(steps, "steps"), checks.positive(dt, "dt")
        x = rng.standard_normal((n, self.dim), theta.dtype)
        for _ in range(steps):
            x = x + dt * self.score(theta, x) + (2 * dt) ** 0.5 * rng.standard_normal(x.shape, x.dtype)
        return x
