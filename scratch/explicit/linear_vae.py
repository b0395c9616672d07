"""The linear VAE: its optimum is known, so everything that a VAE does can be held against it.

Model.   p(x | z) = N(W^T z + b, s^2 I),  q(z | x) with a mean linear in x.  Then

    p(x) = N(b, W^T W + s^2 I)

is probabilistic PCA (Tipping and Bishop 1999), the true posterior is Gaussian,
and a VAE reaches it: at the optimum the gap log p - ELBO is 0 (Lucas et al. 2019).

Optimum.  Let l_1 >= ... >= l_D and u_j be the eigenvalues and eigenvectors of
the data's covariance.  With beta and a learned s, let t = beta s^2.  For a
active latent units the objective (1) + beta (2) is least at

    W_j = sqrt(l_j - t) u_j,                              t = beta sum_(j > a) l_j / (D - beta a)
    m_j(x) = sqrt(l_j - t) / l_j  u_j^T (x - b),          std_j^2 = t / l_j       (0 and 1 if not active)

(for beta = 1 t is the mean of the eigenvalues left out, Tipping and Bishop, eqs. 7
and 8; beta / s^2 and 1 / s^2 weigh (2) and (1), so for W and q only t matters).
A unit says

    KL_j = 1/2 log(l_j / t)  nats,  and nothing at all if l_j <= t

That is posterior collapse, without any network: not a failure of the training
but the optimum, a unit whose direction the noise explains more cheaply.
"""
from dataclasses import dataclass, field

import numpy as np

from scratch import checks
from scratch.explicit.vae import VAE
from scratch.kernels.dense import mlp_views
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class LinearVAE(VAE):
    """A VAE without hidden layers: same loss, same training, exact log_prob and exact optimum.

    >>> model = LinearVAE(dim=3, latent=1)
    >>> x = np.random.default_rng(0).normal(size=(100, 3)) * (3, 1, 1)
    >>> theta = model.optimum(x)
    >>> bool(np.allclose(model.covariance(theta)[0, 0], x[:, 0].var(), rtol=0.01))
    True
    """
    hidden: tuple = field(default=(), init=False)

    recipe = Recipe(Adam(1e-2, beta2=0.99), batch_size=512)

    def optimum(self, x):
        """The theta (P,) that minimizes the loss over the rows x (N, D), averaged over all noise."""
        x = checks.rows(x, self.dim)
        values, vectors, t, active = self._spectrum(x)
        mean, theta = x.mean(axis=0), np.zeros(self.size)
        scale = np.where(np.arange(self.latent) < active, np.sqrt(np.maximum(values[:self.latent] - t, 0)), 0)
        encoder, decoder = self.split(theta)
        (V, c), = mlp_views(encoder, self.encoder_widths)                       # (D, 2 K), (2 K,)
        (W, b), = mlp_views(decoder[:-1], self.decoder_widths)                  # (K, D), (D,)
        W[...], b[...] = scale[:, None] * vectors[:, :self.latent].T, mean
        V[:, :self.latent] = vectors[:, :self.latent] * (scale / values[:self.latent])
        c[:self.latent] = -mean @ V[:, :self.latent]
        c[self.latent:] = np.where(scale > 0, 0.5 * np.log(t / values[:self.latent]), 0)
        decoder[-1] = 0.5 * np.log(t / self.beta)                               # log s
        return theta

    def unit_kl(self, x):
        """KL_j of every latent unit at the optimum, (K,) nats, the most talkative first."""
        values, _, t, active = self._spectrum(x)
        said = 0.5 * np.log(np.maximum(values[:self.latent] / t, 1))
        return np.where(np.arange(self.latent) < active, said, 0)

    def _spectrum(self, x):
        """Eigenvalues (D,) and eigenvectors (D, D) of the covariance, largest first; t; how many are active."""
        x = checks.rows(x, self.dim)
        values, vectors = np.linalg.eigh(np.cov(x.T, bias=True).reshape(self.dim, -1))
        values, vectors = values[::-1], vectors[:, ::-1]
        if self.latent >= self.dim or not values[-1] > 1e-12 * values[0]:
            raise ValueError(f"the likelihood has no maximum: it needs latent < dim = {self.dim} and rows that "
                             f"spread in every direction, got latent = {self.latent}, eigenvalues {values}")
        best = np.inf, None, None
        for a in range(self.latent + 1):
            left = self.dim - self.beta * a
            if left > 0 and (a == 0 or values[a - 1] > self.beta * values[a:].sum() / left):
                t = self.beta * values[a:].sum() / left
                # twice (1) + beta (2) at this point, where the quadratic terms of (1) are t/s^2 and beta times
                # those of (2): together D (and D log 2 pi is left out)
                loss = self.dim * (np.log(t / self.beta) + 1) + self.beta * np.log(values[:a] / t).sum()
                best = min(best, (loss, t, a))
        return values, vectors, best[1], best[2]

    def covariance(self, theta):
        """W^T W + s^2 I, (D, D): that of p(x)."""
        decoder = self.split(np.asarray(theta, float))[1]
        (W, _), = mlp_views(decoder[:-1], self.decoder_widths)
        return W.T @ W + np.exp(2 * decoder[-1]) * np.eye(self.dim)

    def log_prob(self, theta, x):
        """log p(x) = log N(x; b, W^T W + s^2 I) in nats, exact for any number of latent units, (N,)."""
        x, factor = checks.rows(x, self.dim), np.linalg.cholesky(self.covariance(theta))
        (_, b), = mlp_views(self.split(np.asarray(theta, float))[1][:-1], self.decoder_widths)
        z = np.linalg.solve(factor, (x - b).T)                                  # (D, N)
        return -0.5 * np.sum(z * z, axis=0) - np.log(np.diagonal(factor)).sum() - self.dim * HALF_LOG_TWO_PI
