"""The linear GAN: its equilibrium has a closed form, against which the whole game is tested.

Model.   For Gaussian data N(m, S) (Feizi et al. 2017, "Understanding GANs: the LQG Setting"):
    G(z) = z A + b,   z ~ N(0, I),   so that q = N(b, A^T A)                              (1)
    C(x) = 1/2 x^T P x + r^T x + c,   P = (Q + Q^T) / 2,   v = dC/dx = P x + r            (2)

Loss.    That of gan.py.  log p(x) / q(x) of two Gaussians is quadratic, so C can equal it, with
    Q* = (A^T A)^-1 - S^-1,   r* = S^-1 m - (A^T A)^-1 b,   c* = log p(0) / q(0)          (3)

At the equilibrium both distributions are the same, which determines A^T A but not A:
    A^T A = S,   b = m,   Q = 0,   r = 0,   c = 0 (if the objective depends on c)         (4)

Gradient.   With sums over rows,
    dP = 1/2 sum dC x x^T + sum dv x^T,   dr = sum dC x + sum dv,   dc = sum dC           d(2)
    dQ = (dP + dP^T) / 2

Checked in tests/implicit/test_linear_gan.py::test_gradient_of_each_player_in_its_own_parameters
Checked in tests/implicit/test_linear_gan.py::test_best_discriminator_is_log_p_over_q
Checked in tests/implicit/test_linear_gan.py::test_field_vanishes_at_the_optimum_and_nowhere_near_it
"""
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.gan import GAN, Penalty, zero_centered
from scratch.kernels.dense import mlp_views
from scratch.learning.optimizers import SGD
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class LinearGAN(GAN):
    """A GAN with a linear generator and a quadratic discriminator, an exact density and optimum.

    >>> model = LinearGAN(2)
    >>> theta = model.optimum([1.0, 2.0], [[1.0, 0.5], [0.5, 2.0]])
    >>> model.covariance(theta).round(12)
    array([[1. , 0.5],
           [0.5, 2. ]])
    """
    _: KW_ONLY
    latent: int = None                      # by default D: with fewer there is no density
    penalty: Penalty = zero_centered
    gamma: float = 1.0                      # by hand, not swept
    prior: int = field(default=1, init=False)
    output_noise: float = field(default=0.0, init=False)
    hidden: tuple = field(default=(), init=False)
    frequencies: tuple = field(default=(), init=False)
    latent_frequencies: tuple = field(default=(), init=False)
    recipe = Recipe(SGD(0.1), batch_size=512)       # plain steps, gamma constant; by hand, not swept
    first_layer_scale = 1.0                 # without gaps between modes the generator need not be steep

    def __post_init__(self):
        object.__setattr__(self, "latent", self.dim if self.latent is None else self.latent)
        super().__post_init__()

    @property
    def discriminator_widths(self):
        """Of a linear layer on the features (x, x x^T): its weights are r and Q, its bias is c."""
        return (self.dim + self.dim ** 2, 1)

    def _discriminator(self, discriminator, points):
        """C (M,), v (M, D), and pull(dlogits, dv) -> ddiscriminator."""
        W, c = mlp_views(discriminator, self.discriminator_widths)[0]
        r, Q = W[:self.dim, 0], W[self.dim:, 0].reshape(self.dim, self.dim)
        P = (Q + Q.T) / 2
        Px = points @ P                                                           # (M, D)
        logits, v = 0.5 * np.sum(Px * points, axis=1) + points @ r + c, Px + r    # (2)

        def pull(dlogits, dv):
            dv = np.zeros_like(points) if dv is None else dv
            dP = 0.5 * (dlogits[:, None] * points).T @ points + dv.T @ points     # d(2)
            dr = dlogits @ points + dv.sum(axis=0)
            return np.concatenate([dr, ((dP + dP.T) / 2).ravel(), [dlogits.sum()]])
        return logits, v, pull

    def covariance(self, theta):
        """A^T A, (D, D)."""
        A, _ = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        return A.T @ A                                                            # (1)

    def log_prob(self, theta, x):
        """log N(x; b, A^T A) in nats, (N,)."""
        theta = checks.flat(theta, self.size).astype(float)
        _, b = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        return GaussianMixture([b], [self.covariance(theta)], [1.0]).log_prob(x)

    def optimum(self, mean, covariance):
        """Parameters (P,) of an equilibrium for data with this mean (D,) and covariance (D, D)."""
        if self.latent < self.dim:
            raise ValueError(f"A^T A has full rank only with latent >= dim = {self.dim}, got {self.latent}")
        theta = np.zeros(self.size)
        A, b = mlp_views(self.split(theta)[0], self.generator_widths)[0]
        A[:self.dim] = checks.covariances(covariance, "covariance", (self.dim, self.dim))[1].T      # (4)
        b[...] = checks.constant(mean, "mean", (self.dim,))
        return theta
