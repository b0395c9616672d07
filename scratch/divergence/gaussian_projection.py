"""The Gaussian nearest to a distribution, in either direction of KL, by hand-derived gradients.

Model.  q = N(mu, L L^T) in D dimensions, L lower triangular with a positive diagonal;
theta = [mu (D), log diagonal of L (D), the rest of L row by row].

Loss.  The forward KL makes q cover p: q must have mass wherever p has.  The reverse KL makes q seek
one mode: q must have no mass where p has none.  H is the entropy.

    forward   KL(p || q) = -H(p) - E_p[log q],  from samples x of p, with z = L^-1 (x - mu):
              -log q(x) = 1/2 |z|^2 + sum_i log L_ii + D/2 log(2 pi)                      (1)

    reverse   KL(q || p) = -H(q) - E_q[log p],  from log p, with x = mu + L eps, eps ~ N(0, I):
              -H(q) - log p(x) = -sum_i log L_ii - D/2 log(2 pi e) - log p(x)             (2)

Gradient.  A small change of mu and L changes z by -L^-1 (delta mu + delta L z), and x by
delta mu + delta L eps.  With score = grad log p, and of dL only the lower triangle,

    dmu = -L^-T z,       dL = -(L^-T z) z^T      + 1 / L_ii on the diagonal              d(1)
    dmu = -score(x),     dL = -score(x) eps^T    - 1 / L_ii on the diagonal              d(2)

The forward KL has one minimum, at the mean and covariance of p.  The reverse KL has a minimum at
each mode, if the modes are far apart.  Its value there is about -log(weight of the mode) nats,
however far away the others are.

Source: Bishop 2006, "Pattern Recognition and Machine Learning", 10.1.2; Murphy 2023,
"Probabilistic Machine Learning: Advanced Topics", section 5.1; Kingma and Welling 2014,
"Auto-Encoding Variational Bayes" (x = mu + L eps).
Checked in tests/divergence/test_gaussian_projection.py::test_gradient_in_every_parameter
and tests/divergence/test_gaussian_projection.py::test_losses_are_the_divergences_in_closed_form.
"""
from dataclasses import KW_ONLY, dataclass

import numpy as np

from scratch import checks
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class _GaussianFit:
    """What both directions have in common: q and its parameters."""
    dim: int

    recipe = Recipe(Adam(2e-2), batch_size=512)             # chosen by hand, not swept

    def __post_init__(self):
        checks.fields(self, dim=checks.size)

    @property
    def size(self):
        """P = D + D (D + 1) / 2."""
        return self.dim * (self.dim + 3) // 2

    def start(self, mean, std):
        """theta of a round Gaussian."""
        mean = checks.constant(mean, "mean", (self.dim,))
        log_std = np.full(self.dim, np.log(checks.positive(std, "std")))
        return np.concatenate([mean, log_std, np.zeros(self.size - 2 * self.dim)])

    def unpack(self, theta):
        """mu (D,) and L (D, D)."""
        theta, D = checks.flat(theta, self.size), self.dim
        L = np.diag(np.exp(theta[D:2 * D]))
        L[np.tril_indices(D, -1)] = theta[2 * D:]
        return theta[:D], L

    def _pack_gradient(self, dmu, dL, L, dlog_det):
        """dtheta from dmu, dL and the gradient in sum_i log L_ii, 1 or -1."""
        dlog_diagonal = np.diag(dL) * np.diag(L) + dlog_det
        dtheta = np.concatenate([dmu, dlog_diagonal, dL[np.tril_indices(self.dim, -1)]])
        return dtheta.astype(L.dtype, copy=False)


@dataclass(frozen=True)
class ForwardFit(_GaussianFit):
    """Minimizes KL(p || q) + H(p) = -E_p[log q] from samples of p."""

    def draw_noise(self, rng, n):
        """None: the randomness is in the data."""

    def loss(self, theta, x, noise=None):
        """-mean log q(x) in nats, and its gradient."""
        theta, x = checks.inputs(self, theta, x)
        mu, L = self.unpack(theta)
        z = np.linalg.solve(L, (x - mu).T).T                                      # (N, D)
        log_det = np.sum(np.log(np.diag(L)))
        loss = 0.5 * np.sum(z * z) / len(x) + log_det + self.dim * HALF_LOG_TWO_PI    # (1)
        g = np.linalg.solve(L.T, z.T).T                                           # L^-T z
        dmu = -np.sum(g, axis=0) / len(x)                                         # d(1)
        dL = -g.T @ z / len(x)                                                    # d(1)
        return loss, self._pack_gradient(dmu, dL, L, 1.0)


@dataclass(frozen=True)
class ReverseFit(_GaussianFit):
    """Minimizes KL(q || p) from log_prob and score of p, the law; the data are not used."""
    _: KW_ONLY
    law: object

    def __post_init__(self):
        super().__post_init__()
        checks.law(self.law, "law", "log_prob", "score")

    def draw_noise(self, rng, n):
        """eps ~ N(0, I), (n, D)."""
        return checks.generator(rng).standard_normal((checks.size(n, "n"), self.dim))

    def loss(self, theta, x, noise):
        """-H(q) - mean log p(mu + L eps) in nats, and its gradient; noise: eps (N, D)."""
        eps, (mu, L) = checks.rows(noise, self.dim, "noise"), self.unpack(theta)
        at = mu + eps @ L.T                                                       # (N, D)
        entropy = np.sum(np.log(np.diag(L))) + self.dim * (HALF_LOG_TWO_PI + 0.5)
        loss = -entropy - np.sum(self.law.log_prob(at)) / len(eps)                # (2)
        score = self.law.score(at)
        dmu = -np.sum(score, axis=0) / len(eps)                                   # d(2)
        dL = -score.T @ eps / len(eps)                                            # d(2)
        return loss, self._pack_gradient(dmu, dL, L, -1.0)
