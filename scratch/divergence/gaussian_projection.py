"""The Gaussian nearest to a law, in either direction of KL, by hand-derived gradients.

q = N(mu, L L^T), with L lower triangular and a positive diagonal.  The two
directions ask for opposite things:

forward   KL(p || q) = -H(p) - E_p[log q]        q must have mass wherever p has: it covers the modes.
          A Monte Carlo mean over samples x of p.  With z = L^-1 (x - mu),

              -log q(x) = 1/2 |z|^2 + sum_i log L_ii + D/2 log(2 pi)
              d mu = - L^-T z
              d L  = - (L^-T z) z^T   below and on the diagonal, + 1 / L_ii on it       (dz = -L^-1 dL z)

reverse   KL(q || p) = -H(q) - E_q[log p]        q pays for mass where p has none: it seeks a mode.
          A mean over noise, with x = mu + L eps (reparameterization, Kingma and
          Welling 2014), so that log p is asked where q is, and its score answers:

              -H(q) = - sum_i log L_ii - D/2 log(2 pi e)
              d mu = - score(x)
              d L  = - score(x) eps^T below and on the diagonal, - 1 / L_ii on it

The forward optimum is unique: the mean and covariance of p.  The reverse has
as many optima as there are modes far apart, and each costs about
-log(weight of its mode) nats, however far away the others are.
Source: Bishop 2006, section 10.1.2; Murphy 2023, section 5.1.3.

theta = [mu (D), log diagonal of L (D), the rest of L, row by row].
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class _GaussianFit:
    """What both directions share: q and its parameters."""
    dim: int

    recipe = Recipe(Adam(2e-2), batch_size=512)

    def __post_init__(self):
        checks.size(self.dim, "dim")

    @property
    def size(self):
        """The number of parameters, D + D (D + 1) / 2."""
        return self.dim + self.dim * (self.dim + 1) // 2

    def start(self, mean, std):
        """theta of a round Gaussian."""
        mean = checks.finite(np.asarray(mean, dtype=float), "mean")
        if mean.shape != (self.dim,):
            raise ValueError(f"mean must have shape ({self.dim},), got {mean.shape}")
        log_std = np.full(self.dim, np.log(checks.positive(std, "std")))
        return np.concatenate([mean, log_std, np.zeros(self.size - 2 * self.dim)])

    def unpack(self, theta):
        """mu (D,) and L (D, D)."""
        theta = checks.flat(theta, self.size)
        D = self.dim
        L = np.diag(np.exp(theta[D:2 * D]))
        L[np.tril_indices(D, -1)] = theta[2 * D:]
        return theta[:D], L

    def _pack_gradient(self, dmu, dL, L, dlog_det):
        """dtheta from dmu, dL, and the gradient in sum_i log L_ii."""
        dlog_diagonal = np.diag(dL) * np.diag(L) + dlog_det
        return np.concatenate([dmu, dlog_diagonal, dL[np.tril_indices(self.dim, -1)]])


@dataclass(frozen=True)
class ForwardFit(_GaussianFit):
    """Minimizes KL(p || q) + H(p) = -E_p[log q] from samples of p."""

    def draw_noise(self, rng, n):
        """None: the randomness is in the data."""
        return None

    def loss(self, theta, x, noise=None):
        """-mean log q(x) in nats, and its gradient."""
        x = checks.rows(x, self.dim)
        mu, L = self.unpack(theta)
        z = np.linalg.solve(L, (x - mu).T).T                                      # (N, D)
        loss = 0.5 * np.sum(z * z) / len(x) + np.sum(np.log(np.diag(L))) + self.dim * HALF_LOG_TWO_PI
        g = np.linalg.solve(L.T, z.T).T                                           # L^-T z
        dmu = -np.sum(g, axis=0) / len(x)
        dL = -g.T @ z / len(x)
        return loss, self._pack_gradient(dmu, dL, L, 1.0)


@dataclass(frozen=True)
class ReverseFit(_GaussianFit):
    """Minimizes KL(q || p) from the log-density and the score of the law p; the data are not looked at."""
    law: object

    def draw_noise(self, rng, n):
        """eps ~ N(0, I), (n, D)."""
        return rng.standard_normal((n, self.dim))

    def loss(self, theta, x, eps):
        """-H(q) - mean log p(mu + L eps) in nats, and its gradient."""
        mu, L = self.unpack(theta)
        at = mu + eps @ L.T                                                       # (N, D)
        entropy = np.sum(np.log(np.diag(L))) + self.dim * (HALF_LOG_TWO_PI + 0.5)
        loss = -entropy - np.sum(self.law.log_prob(at)) / len(eps)
        score = self.law.score(at)
        dmu = -np.sum(score, axis=0) / len(eps)
        dL = -score.T @ eps / len(eps)
        return loss, self._pack_gradient(dmu, dL, L, -1.0)
