"""The linear VAE: its optimum has a closed form, probabilistic PCA, that training must reach.

Model.  p(x | z) = N(x; W^T z + b, s^2 I) and a q(z | x) with a mean linear in x.  Then

    p(x) = N(x; b, W^T W + s^2 I)                                                              (1)

is probabilistic PCA (Tipping and Bishop 1999, "Probabilistic Principal Component Analysis").  With
beta = 1 q is the true posterior at the optimum (Lucas et al. 2019, "Don't Blame the ELBO!").

Loss.  reconstruction + beta KL as in vae.py, in expectation over the noise.  Let l_1 >= ... >= l_D
and u_j be the eigenvalues and eigenvectors of the data's covariance, b the data's mean, and
t = beta s^2.  A latent unit is active if W_j, its row of W, is not 0.  With units 1 ... a active the
loss is smallest at

    t = beta sum_(j > a) l_j / (D - beta a)                                                    (2)
    W_j = sqrt(l_j - t) u_j                                                                    (3)
    m_j(x) = sqrt(l_j - t) / l_j u_j^T (x - b)                                                 (4)
    std_j^2 = t / l_j                                                                          (5)

and W_j = 0, m_j = 0, std_j = 1 for the other units.  For beta = 1, t is the mean of the eigenvalues
left out (Tipping and Bishop, eqs. 7 and 8).  An active unit has l_j > t, and its KL in nats is

    KL_j = 1/2 log(l_j / t)                                                                    (6)

Minimized over all other parameters, the loss is convex in log t.  So there is exactly one a for which
t of (2) obeys l_a > t, and t >= l_(a+1) if a < L.  A unit with l_j <= t has KL 0.  This is posterior
collapse: a property of the optimum, not of the training.  The optimum exists if t > 0, that is, if an
eigenvalue above 0 is left out of 1 ... a.  There may be fewer rows than coordinates: N rows have at most
N - 1 eigenvalues above 0.

Gradient.  That of vae.py.  At the optimum it is 0.
Checked in tests/explicit/test_linear_vae.py::test_gradient_is_zero_at_the_optimum_for_any_beta.
Checked in tests/explicit/test_linear_vae.py::test_optimum_is_probabilistic_pca_and_its_gap_is_zero.
Checked in tests/explicit/test_linear_vae.py::test_fewer_rows_than_coordinates_have_an_optimum_too.
Symbols: N batch, D data, L latent, P parameters.
"""
from dataclasses import dataclass, field

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.explicit.vae import VAE
from scratch.kernels.dense import mlp_views
from scratch.learning.optimizers import Adam
from scratch.learning.training import USUAL_STD, Recipe


@dataclass(frozen=True)
class LinearVAE(VAE):
    """A VAE without hidden layers: same loss, same training, exact log_prob and exact optimum.

    >>> model, x = LinearVAE(2), np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> model.law(model.optimum(x)).covariances.round(6).tolist(), model.unit_kl(x)  # 1/2 log 9 nats
    ([[[4.5, 0.0], [0.0, 0.5]]], array([1.09861229]))
    """
    latent: int = field(default=1, kw_only=True)            # below dim: with latent = dim there is no optimum
    hidden: tuple = field(default=(), init=False)
    prior: int = field(default=1, init=False)
    sigma_data: float = field(default=USUAL_STD, init=False)        # the optimum is in closed form in any unit
    recipe = Recipe(Adam(1e-2, beta2=0.99), batch_size=512)  # by hand, not swept: 5 times the VAE's

    def optimum(self, x):
        """The theta (P,) that minimizes the loss of x (N, D) in expectation over the noise."""
        l, vectors, t = self._spectrum(x)                                           # (L,), (D, L)
        mean, theta = np.mean(x, axis=0), np.zeros(self.size)
        encoder, decoder, _ = self.split(theta)
        (V, c), = mlp_views(encoder, self.encoder_widths)                           # (D, 2 L), (2 L,)
        (W, b), = mlp_views(decoder[:-1], self.decoder_widths)                      # (L, D), (D,)
        W[...], b[...] = np.sqrt(l - t)[:, None] * vectors.T, mean                  # (3)
        V[:, :self.latent] = vectors * (np.sqrt(l - t) / l)                         # (4)
        c[:self.latent] = -mean @ V[:, :self.latent]                                # (4)
        c[self.latent:] = 0.5 * np.log(t / l)                                       # (5)
        decoder[-1] = 0.5 * np.log(t / self.beta)                                   # log s
        return theta

    def unit_kl(self, x):
        """KL_j of every latent unit at the optimum, (L,) nats, the largest first."""
        l, _, t = self._spectrum(x)
        return 0.5 * np.log(l / t)                                                  # (6)

    def _spectrum(self, x):
        """l_j (L,), the largest first, or t if l_j is not larger; their eigenvectors (D, L); t."""
        x = checks.rows(x, self.dim)
        values, vectors = np.linalg.eigh(np.cov(x.T, bias=True).reshape(self.dim, -1))
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]             # rounding can give less than 0
        active, t = 0, self.beta * values.sum() / self.dim                          # (2)
        while active < self.latent < self.dim and values[active] > t:
            active += 1
            t = self.beta * values[active:].sum() / (self.dim - self.beta * active)     # (2), a smaller t
        if self.latent >= self.dim or not t > 1e-12 * values[0]:                    # zero but for rounding
            raise ValueError(f"the loss has no minimum: it needs latent < dim = {self.dim} and rows that spread in "
                             f"more than latent directions, got latent = {self.latent}, {len(x)} rows, "
                             f"eigenvalues {checks.brief(values)}")
        return np.maximum(values, t)[:self.latent], vectors[:, :self.latent], t

    def law(self, theta):
        """The distribution (1): density, score, samples and entropy in closed form."""
        _, decoder, _ = self.split(checks.flat(theta, self.size).astype(float))
        (W, b), = mlp_views(decoder[:-1], self.decoder_widths)
        covariance = W.T @ W + np.exp(2 * decoder[-1]) * np.eye(self.dim)
        return GaussianMixture(means=[b], covariances=[covariance], weights=[1.0])  # (1)

    def log_prob(self, theta, x):
        """log p(x) in nats, (N,), exact for any number of latent units."""
        return self.law(theta).log_prob(checks.rows(x, self.dim))                   # (1)
