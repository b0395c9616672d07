"""The linear GAN: its optimum is known, so that the whole game, not one player, can be held against it.

    x = z A + b,  z ~ N(0, I)          so q = N(b, A^T A)
    C(x) = 1/2 x^T Q x + r^T x + c

Against Gaussian data N(m, S) the log ratio of two Gaussians is quadratic, so this
critic contains the optimal discriminator (the LQG setting of Feizi et al. 2017):

    Q* = (A^T A)^-1 - S^-1,   r* = S^-1 m - (A^T A)^-1 b,   c* = what is left of log p / q at 0

and the game has its equilibrium where the two laws are the same:

    A^T A = S,   b = m,   Q = 0,   r = 0               (c = 0 for the losses that see it)

Only A^T A is determined: turning z changes nothing.  And only the symmetric
part of Q counts, so that with P = (Q + Q^T) / 2 the gradients are

    v = dC/dx = P x + r       ->   dP = 1/2 sum dC x x^T + sum dv x^T,    dr = sum dC x + sum dv
    P = (Q + Q^T) / 2         ->   dQ = (dP + dP^T) / 2

A wasserstein objective with a zero-centered penalty is then a polynomial of degree
two in x and z.  Rows x and z with the right mean and covariance give the expected game
without noise: that is how the tests follow it down to rounding.
"""
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.gan import GAN, STEEP, zero_centered
from scratch.kernels.dense import mlp_views
from scratch.learning.optimizers import SGD
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class LinearGAN(GAN):
    """A GAN with a linear generator and a quadratic critic: same game, same training, exact density and optimum.

    >>> model = LinearGAN(dim=2, latent=2)
    >>> theta = model.optimum([1.0, 2.0], [[1.0, 0.5], [0.5, 2.0]])
    >>> model.covariance(theta).round(12)
    array([[1. , 0.5],
           [0.5, 2. ]])
    """
    hidden: tuple = field(default=(), init=False)
    penalty: Callable = zero_centered
    gamma: float = 1.0

    frequencies: tuple = field(default=(), init=False)      # both networks see their input as it is
    latent_frequencies = ()
    recipe = Recipe(SGD(0.1), batch_size=512)               # the game's own steps, the penalty as it is

    @property
    def critic_widths(self):
        """As if it were one linear layer on the features (x, x x^T): r, Q and c, in this order."""
        return (self.dim + self.dim ** 2, 1)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): there is no gap between modes here for which the generator must be steep."""
        theta = super().init(rng, dtype)
        self.split(theta)[0][...] /= STEEP
        return theta

    def optimum(self, mean, covariance):
        """Parameters (P,) of an equilibrium for data with this mean (D,) and covariance (D, D)."""
        if self.latent < self.dim:
            raise ValueError(f"A^T A has full rank only with latent >= dim = {self.dim}, got {self.latent}")
        theta = np.zeros(self.size)
        A, b = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        A[:self.dim] = np.linalg.cholesky(checks.constant(covariance, "covariance")).T
        b[...] = checks.constant(mean, "mean")
        return theta

    def with_best_critic(self, theta, mean, covariance):
        """theta, its critic replaced by log p / q of the data's Gaussian and the generator's."""
        theta = np.array(theta, float)
        r, Q, c = self._coefficients(self.split(theta)[1])
        _, b = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        constants = []
        for center, S in ((checks.constant(mean, "mean"), checks.constant(covariance, "covariance")),
                          (b, self.covariance(theta))):
            precision = np.linalg.inv(S)
            constants.append((precision, precision @ center,
                              -0.5 * center @ precision @ center - 0.5 * np.linalg.slogdet(S)[1]))
        (P_p, pull_p, c_p), (P_q, pull_q, c_q) = constants
        Q[...], r[...], c[...] = P_q - P_p, pull_p - pull_q, c_p - c_q
        return theta

    def covariance(self, theta):
        """A^T A, (D, D)."""
        A, _ = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        return A.T @ A

    def log_prob(self, theta, x):
        """log N(x; b, A^T A) in nats, (N,)."""
        x, theta = checks.rows(x, self.dim), np.asarray(theta, float)
        _, b = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        factor = np.linalg.cholesky(self.covariance(theta))
        z = np.linalg.solve(factor, (x - b).T)                                    # (D, N)
        return -0.5 * np.sum(z * z, axis=0) - np.log(np.diagonal(factor)).sum() - self.dim / 2 * np.log(2 * np.pi)

    def logits(self, theta, x):
        """C(x), (N,)."""
        return self._critic(self.split(theta)[1], self._rows(x, theta))[0]

    def _coefficients(self, critic):
        """r (D,), Q (D, D) and c (1,): views."""
        W, c = mlp_views(critic, self.critic_widths)[0]
        return W[:self.dim, 0], W[self.dim:, 0].reshape(self.dim, self.dim), c

    def _critic(self, critic, points):
        """Logits (M,), slopes v (M, D), and pull(dlogits, dv) -> dcritic."""
        r, Q, c = self._coefficients(critic)
        P = (Q + Q.T) / 2
        curve = points @ P                                                        # (M, D)
        logits, v = 0.5 * np.sum(curve * points, axis=1) + points @ r + c, curve + r

        def pull(dlogits, dv):
            dv = np.zeros_like(points) if dv is None else dv
            dP = 0.5 * (dlogits[:, None] * points).T @ points + dv.T @ points
            dr = dlogits @ points + dv.sum(axis=0)
            return np.concatenate([dr, ((dP + dP.T) / 2).ravel(), [dlogits.sum()]])

        return logits, v, pull
