"""Variational autoencoder: a latent variable, and a bound in place of the likelihood's integral.

Model.  A latent vector z ~ p(z) is decoded by a network f into the distribution of x:

    p(x) = integral of p(z) p(x | z) dz                                                        (1)
    p(x | z) = N(x; u f(z), u^2 s^2 I)                 one learned s for all rows and coordinates
             = prod_d Bernoulli(x_d; sigmoid(f_d(z)))  in bernoulli_vae.py: x in {0, 1}^D      (2)

Networks start well on data of std 1.5, which is about that of LAWS.  So u = sigma_data / 1.5 is the model's
unit of length.  The encoder takes x / u, and log p(x | z) = log N(x / u; f(z), s^2 I) - D log u.

The papers have p(z) = N(0, I), here prior=1.  It has one mode and f is continuous, so some samples lie
between separate modes of x.  The default is therefore a mixture of learned Gaussians (mixture_prior.py),
which can have separate modes of z.
An encoder network gives m and log std of q(z | x) = N(z; m(x), diag std(x)^2).  Draws of q are

    z_i = m(x) + std(x) eps_i,         eps_i ~ N(0, I),         i = 1 ... k                    (3)

Loss.  The evidence lower bound (ELBO) lies KL(q(z | x) || p(z | x)) below log p(x):

    ELBO = - reconstruction - KL                                                               (4)
    reconstruction = - E_q log p(x | z) ~= - 1/k sum_i log p(x | z_i)                          (5)
    KL = KL(q(z | x) || p(z))          in closed form for N(0, I), otherwise from the k draws  (6)
    loss = mean over rows of reconstruction + beta KL                                          (7)

(Kingma and Welling 2014, "Auto-Encoding Variational Bayes", eqs. 3 and 10).  beta = 1 gives minus
the ELBO; other values give the KL another weight (Higgins et al. 2017, "beta-VAE").
importance=True takes a tighter bound, which rises to log p(x) in expectation as k grows
(Burda et al. 2016, "Importance Weighted Autoencoders", eq. 8):

    log w_i = log p(x | z_i) + log p(z_i) - log q(z_i | x)                                     (8)
    loss = - mean over rows of log 1/k sum_i w_i                                               (9)

Gradient.  eps is fixed, and dz comes from the decoder's pullback (vector-Jacobian product):

    dm = sum_i dz_i,                           dlog_std = sum_i dz_i eps_i std                d(3)
    dlog_w_i = - 1/N w_i / sum_j w_j           the softmax of the log weights                 d(9)

Those of (6) and of log p(z) - log q(z | x) in (8) stand in mixture_prior.py.
Checked in tests/explicit/test_vae.py::test_gradient_in_every_parameter.
Checked in tests/explicit/test_vae.py::test_bounds_are_the_naive_loop.
Symbols: N batch, D data, L latent, k draws, P parameters.  The noise eps (k, N, L) is an argument.
"""
from dataclasses import KW_ONLY, dataclass
from math import log

import numpy as np

from scratch import checks
from scratch.explicit import evidence
from scratch.explicit.mixture_prior import (draw_prior, kl_to_prior, log_prior_over_q, prior_blocks, prior_init,
                                            prior_size)
from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI, gaussian_log_density
from scratch.kernels.stable import logsumexp
from scratch.learning.optimizers import Adam
from scratch.learning.training import USUAL_STD, Recipe

PICTURE = 100                           # pixels: from here on a row counts as a picture; by hand, not swept


@dataclass(frozen=True)
class VAE:
    """A Gaussian decoder with one learned s.  At theta = 0 x does not depend on z, and the ELBO is log p(x):

    >>> theta, x, noise = np.zeros(VAE(2).size), np.array([[0.3, -1.0]]), np.ones((1, 1, 2))
    >>> VAE(2).elbo(theta, x, noise).round(6), VAE(2).log_prob(theta, x, nodes=60).round(6)
    (array([-2.382877]), array([-2.382877]))
    """
    dim: int
    _: KW_ONLY
    latent: int = 2
    hidden: tuple = (128, 128)                              # the encoder's widths; the decoder has them in reverse
    beta: float = 1.0
    samples: int = 1                                        # k in training
    importance: bool = False
    prior: int = 64                                         # learned Gaussians, by hand, not swept; 1: N(0, I)
    sigma_data: float = USUAL_STD                           # of each coordinate, about
    recipe = Recipe(Adam(6e-3, beta2=0.99), batch_size=256)  # by hand on the grid: 2e-3 to 2e-2; 256 and 512
    scalars = ("log_s",)                                    # parameters behind the decoder's network
    in_nats = True                                          # the loss, for data/standardized.py
    unit = property(lambda self: self.sigma_data / USUAL_STD)       # u in (2)

    def __post_init__(self):
        checks.fields(self, dim=checks.size, latent=checks.size, hidden=checks.widths, samples=checks.size,
                      prior=checks.size, beta=checks.positive)
        if self.scalars:                                    # bits have no scale
            checks.fields(self, sigma_data=checks.positive)
        object.__setattr__(self, "encoder_widths", (self.dim, *self.hidden, 2 * self.latent))
        object.__setattr__(self, "decoder_widths", (self.latent, *self.hidden[::-1], self.dim))
        if not isinstance(self.importance, (bool, np.bool_)):
            raise TypeError(f"importance must be True or False, got {checks.brief(self.importance)}")
        if self.importance and self.beta != 1:
            raise ValueError(f"the importance bound has no KL term to weigh: beta must be 1, got {self.beta}")

    def loss(self, theta, x, noise):
        """(7), or (9) if importance, in nats, and its gradient (P,)."""
        loss, _, gradient = (self.importance_loss if self.importance else self.elbo_loss)(theta, x, noise)
        return loss, gradient()

    def elbo_loss(self, theta, x, noise):                                           # first reading 1
        """(7), its terms (5) and (6) of each row, (N,) each, and gradient() -> (P,)."""
        encoder, decoder, prior, x, noise = self._loss_inputs(theta, x, noise)
        y, pull_encoder = mlp(encoder, x / self.unit, self.encoder_widths)          # (N, 2 L)
        mean, log_std = np.split(y, 2, axis=1)                                      # (N, L)
        std = np.exp(log_std)
        z = mean + std * noise                                                      # (k, N, L)  (3)
        log_p, pull_likelihood = self.log_likelihood(decoder, x, z)                 # (k, N)  (2)
        reconstruction = -np.mean(log_p, axis=0)                                    # (N,)  (5)
        kl, pull_kl = kl_to_prior(prior, mean, log_std, z, noise)                   # (N,)  (6)
        loss = (np.sum(reconstruction) + self.beta * np.sum(kl)) / len(x)           # (7)

        def gradient():
            dreconstruction, dkl = 1 / len(x), np.full_like(kl, self.beta / len(x))             # d(7)
            dprior, dmean, dlog_std = pull_kl(dkl)                                  # (N, L)  d(6)
            dlog_p = np.full_like(log_p, -dreconstruction / len(noise))             # (k, N)  d(5)
            ddecoder, dz = pull_likelihood(dlog_p)                                  # (k, N, L)  d(2)
            dmean += np.sum(dz, axis=0)                                             # d(3)
            dlog_std += np.sum(dz * noise, axis=0) * std                            # d(3)
            dencoder, _ = pull_encoder(np.concatenate([dmean, dlog_std], axis=1), need_dx=False)
            return np.concatenate([dencoder, ddecoder, dprior])

        return loss, (reconstruction, kl), gradient

    def importance_loss(self, theta, x, noise):
        """(9), its log weights (8) (k, N), and gradient() -> (P,)."""
        encoder, decoder, prior, x, noise = self._loss_inputs(theta, x, noise)
        y, pull_encoder = mlp(encoder, x / self.unit, self.encoder_widths)          # (N, 2 L)
        mean, log_std = np.split(y, 2, axis=1)                                      # (N, L)
        std = np.exp(log_std)
        z = mean + std * noise                                                      # (k, N, L)  (3)
        log_p, pull_likelihood = self.log_likelihood(decoder, x, z)                 # (k, N)  (2)
        log_ratio, pull_ratio = log_prior_over_q(prior, z, log_std, noise)
        log_w = log_p + log_ratio                                                   # (k, N)  (8)
        log_sum, pull_sum = logsumexp(log_w.T)                                      # (N,)
        loss = float(np.log(len(noise))) - np.sum(log_sum) / len(x)                 # (9)

        def gradient():
            dlog_w = pull_sum(np.full_like(log_sum, -1 / len(x))).T                 # (k, N)  d(9)
            ddecoder, dz = pull_likelihood(dlog_w)                                  # (k, N, L)  d(2)
            dprior, dz_ratio, dlog_std = pull_ratio(dlog_w)                         # d(8)
            dz += dz_ratio
            dmean, dlog_std = np.sum(dz, axis=0), dlog_std + np.sum(dz * noise, axis=0) * std   # (N, L)  d(3)
            dencoder, _ = pull_encoder(np.concatenate([dmean, dlog_std], axis=1), need_dx=False)
            return np.concatenate([dencoder, ddecoder, dprior])

        return loss, log_w, gradient

    def elbo(self, theta, x, noise):
        """The ELBO of each row, (N,) nats, for any k: in expectation at most log p(x)."""
        _, (reconstruction, kl), _ = self.elbo_loss(theta, x, noise)
        return -reconstruction - kl                                                 # (4)

    def importance_bound(self, theta, x, noise):
        """log 1/k sum_i w_i of each row, (N,) nats, for any k: in expectation at most log p(x)."""
        _, log_w, _ = self.importance_loss(theta, x, noise)
        return logsumexp(log_w.T)[0] - float(np.log(len(log_w)))                    # -(9), row by row

    # ---- p(x | z): what a BernoulliVAE replaces ----

    def inputs(self, theta, x):
        """theta (P,) and rows x (N, D), checked, in one precision."""
        return checks.inputs(self, theta, x)

    def log_likelihood(self, decoder, x, z):                                        # first reading 2
        """log p(x | z) for x (N, D) and z (k, N, L): (k, N), and pull(dlog_p) -> (ddecoder, dz)."""
        f, pull_mlp = mlp(decoder[:-1], z.reshape(-1, self.latent), self.decoder_widths)    # (k N, D)
        x = np.tile(x / self.unit, (len(z), 1))                                             # (k N, D)
        log_p, pull_p = gaussian_log_density(x, f, np.full_like(f, decoder[-1]))            # (2)

        def pull(dlog_p):
            _, df, dlog_s = pull_p(np.broadcast_to(dlog_p.reshape(-1, 1), f.shape))         # d(2)
            dweights, dz = pull_mlp(df)
            return np.append(dweights, np.sum(dlog_s)), dz.reshape(z.shape)

        return np.sum(log_p, axis=1).reshape(z.shape[:2]) - self.dim * log(self.unit), pull

    def log_likelihood_pairs(self, decoder, x, z):
        """log p(x_n | z_m) of all pairs of x (N, D) and z (M, L): (N, M), by one matrix product."""
        f, precision = mlp(decoder[:-1], z, self.decoder_widths)[0], np.exp(-2 * decoder[-1])
        f, x = f - f.mean(axis=0), x / self.unit - f.mean(axis=0)       # smaller squares, more digits
        square = (x * x).sum(axis=1)[:, None] - 2 * x @ f.T + (f * f).sum(axis=1)
        return -0.5 * precision * square - self.dim * (decoder[-1] + (HALF_LOG_TWO_PI + log(self.unit)))    # (2)

    def decode(self, theta, z):
        """E[x | z], (N, D)."""
        theta, z = checks.flat(theta, self.size), checks.rows(z, self.latent, "z")
        weights = self.split(theta)[1][:mlp_size(self.decoder_widths)]
        return mlp(weights, z.astype(theta.dtype, copy=False), self.decoder_widths)[0] * self.unit

    def sample_prior(self, theta, n, rng):
        """n codes z (n, L) from the prior."""
        return draw_prior(self.split(theta)[2], checks.size(n, "n"), self.latent, checks.generator(rng))

    def sample(self, theta, n, rng):                                                # first reading 3
        """n rows (n, D): z from the prior, then x from p(x | z)."""
        f = self.decode(theta, self.sample_prior(theta, n, rng))
        s = np.exp(self.split(theta)[1][-1]) * self.unit
        return f + s * rng.standard_normal(f.shape).astype(f.dtype)                 # (2)

    @property
    def size(self):
        widths = self.encoder_widths, self.decoder_widths
        return sum(map(mlp_size, widths)) + len(self.scalars) + prior_size(self.prior, self.latent)

    @property
    def blocks(self):
        """Where each array stands in theta: {name: slice}."""
        blocks = mlp_blocks(self.encoder_widths, "encoder ")
        blocks |= mlp_blocks(self.decoder_widths, "decoder ", mlp_size(self.encoder_widths))
        place = self.size - prior_size(self.prior, self.latent)
        blocks |= {name: slice(place - 1, place) for name in self.scalars}
        return blocks | prior_blocks(self.prior, self.latent, place)

    def split(self, theta):
        """The parameters of encoder, decoder (its scalars last) and prior: views of theta (P,)."""
        start, stop = mlp_size(self.encoder_widths), self.size - prior_size(self.prior, self.latent)
        return np.split(checks.flat(theta, self.size), [start, stop])

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): q near N(0, I); s = 1, under a mixture e^-1.5, for pictures under N(0, I) e^-1.

        By hand: from s = 1 the ELBO was 0.2 nats lower after 3,000 steps (grid, one seed), and the error of
        pictures (data/pictures.py, beta = 2) 0.071 instead of 0.067 after 800.
        """
        encoder = mlp_init(rng, self.encoder_widths, checks.dtype(dtype))
        decoder = mlp_init(rng, self.decoder_widths, dtype)
        mlp_views(encoder, self.encoder_widths)[-1][0][...] *= 0.5      # by hand, not swept: q near the prior
        log_s = -1.5 if self.prior > 1 else -1.0 if self.dim >= PICTURE else 0.0
        scalars = np.full(len(self.scalars), log_s, dtype)
        return np.concatenate([encoder, decoder, scalars, prior_init(rng, self.prior, self.latent, dtype)])

    def draw_noise(self, rng, n):
        return checks.generator(rng).standard_normal((self.samples, checks.size(n, "n"), self.latent))

    def log_prob(self, theta, x, *, nodes=None):                                    # first reading 4
        """log p(x), (N,) nats, for L <= 2, on grids of `nodes` per axis or as fine as needed."""
        return evidence.log_prob_quadrature(self, theta, x, nodes)                  # (1)

    def encode(self, theta, x):
        """mean and log_std of q(z | x), (N, L) each."""
        theta, x = self.inputs(theta, x)
        return np.split(mlp(self.split(theta)[0], x / self.unit, self.encoder_widths)[0], 2, axis=1)

    def _loss_inputs(self, theta, x, noise):
        theta, x = self.inputs(theta, x)
        noise = checks.array(noise, "noise", dimensions=3)
        (noise,) = checks.noise((noise,), x, eps=(len(noise), len(x), self.latent))
        return *self.split(theta), x, noise
