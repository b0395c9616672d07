"""Variational autoencoder: a latent variable, and a bound on the likelihood instead of its integral.

Model.   z ~ N(0, I) is decoded into the parameters of x:

    p(x) = integral of N(z; 0, I) p(x | z) dz

    VAE            p(x | z) = N(x; f(z), s^2 I)             one learned s for all x and all coordinates
    BernoulliVAE   p(x_i = 1 | z) = sigmoid(f_i(z))         x in {0, 1}^D

Bound.   For any q(z | x), here N(z; m(x), diag std(x)^2) from an encoder network,

    log p(x) = ELBO + KL(q(z | x) || p(z | x)),
    ELBO     = E_q log p(x | z)  -  KL(q(z | x) || N(0, I))
                  -(1) reconstruction     (2) KL = 1/2 sum (m^2 + std^2 - log std^2 - 1)

(Kingma and Welling 2014, eqs. 3 and 10.)

Loss.    L = mean of (1) + beta (2), in nats; beta = 1 is the bound, other values
weigh the code against the fit (Higgins et al. 2017).  (1) is an average over
`samples` draws z = m + std eps, where the noise eps is an argument.  With
importance=True the loss is minus the tighter bound of Burda et al. 2016, eq. 8,

    log 1/k sum_i w_i <= log p(x) in the mean,    w_i = p(x | z_i) p(z_i) / q(z_i | x)

with k = samples: k = 1 is the ELBO (its KL sampled), k -> infinity is log p(x).

Gradient.  z is a function of m and std, so dm = dz and dlog_std = dz std eps
(the reparameterization), plus (2) differentiated directly: m and std^2 - 1.
Under the importance bound every draw weighs w_i / sum w, a softmax, and with
log p(z)/q(z | x) = sum (1/2 eps^2 + log std - 1/2 z^2), dz takes -z and dlog_std +1.

Symbols: N batch, D data, K latent, k draws.  noise is (k, N, K).
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.explicit import evidence
from scratch.kernels.dense import mlp, mlp_init, mlp_size, mlp_views
from scratch.kernels.likelihoods import HALF_LOG_TWO_PI, bernoulli_log_density, gaussian_log_density
from scratch.kernels.stable import logsumexp, sigmoid, softplus
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

ACTIVE = 0.01                  # variance of the mean above which a latent unit counts as active (Burda et al. 2016)


@dataclass(frozen=True)
class VAE:
    """A Gaussian decoder with one learned standard deviation.  hidden: the encoder's widths, mirrored to decode.

    >>> model = VAE(dim=2, latent=1, hidden=(8,))
    >>> theta = model.init(np.random.default_rng(0))
    >>> model.log_prob(theta, np.zeros((4, 2))).shape
    (4,)
    """
    dim: int
    latent: int
    hidden: tuple
    beta: float = 1.0
    samples: int = 1
    importance: bool = False

    recipe = Recipe(Adam(2e-3, beta2=0.99), batch_size=512)
    own_parameters = 1                                      # log s, behind the decoder's weights

    def __post_init__(self):
        for name in ("dim", "latent", "samples"):
            checks.size(getattr(self, name), name)
        object.__setattr__(self, "hidden", checks.widths(self.hidden))
        checks.positive(self.beta, "beta")
        if self.importance and self.beta != 1:
            raise ValueError(f"the importance bound has no KL term to weigh: beta must be 1, got {self.beta}")

    @property
    def encoder_widths(self):
        return (self.dim, *self.hidden, 2 * self.latent)

    @property
    def decoder_widths(self):
        return (self.latent, *self.hidden[::-1], self.dim)

    @property
    def size(self):
        return mlp_size(self.encoder_widths) + mlp_size(self.decoder_widths) + self.own_parameters

    def split(self, theta):
        """The encoder's parameters and the decoder's (log s last): views of theta (P,)."""
        theta = checks.flat(theta, self.size)
        return np.split(theta, [mlp_size(self.encoder_widths)])

    def init(self, rng, dtype=np.float32):
        """Random theta (P,): codes near the prior, s = 1."""
        encoder = mlp_init(rng, self.encoder_widths, dtype)
        decoder = mlp_init(rng, self.decoder_widths, dtype)
        mlp_views(encoder, self.encoder_widths)[-1][0][...] *= 0.5
        return np.concatenate([encoder, decoder, np.zeros(self.own_parameters, dtype)])

    def draw_noise(self, rng, n):
        """eps (k, n, K): the draws of z given x, before they are scaled and moved."""
        return checks.generator(rng).standard_normal((self.samples, n, self.latent))

    # ---- the loss and its parts ----

    def loss(self, theta, x, noise):
        """mean of (1) + beta (2), or minus the importance bound, in nats per row, and its gradient (P,)."""
        if self.importance:
            bound, pull = self._importance_bound(theta, x, noise)
            return -np.sum(bound) / len(x), pull(np.full_like(bound, -1 / len(x)))
        reconstruction, kl, pull = self._terms(theta, x, noise)
        loss = (np.sum(reconstruction) + self.beta * np.sum(kl)) / len(x)
        return loss, pull(np.full_like(reconstruction, 1 / len(x)), np.full_like(kl, self.beta / len(x)))

    def terms(self, theta, x, noise):
        """(1) reconstruction (N,) and (2) KL to the prior (N,), in nats; noise (k, N, K) for any k."""
        return self._terms(theta, x, noise)[:2]

    def elbo(self, theta, x, noise):
        """log p(x | z) averaged over the draws, minus KL: (N,) nats, at most log p(x) in the mean."""
        reconstruction, kl, _ = self._terms(theta, x, noise)
        return -reconstruction - kl

    def importance_bound(self, theta, x, noise):
        """log 1/k sum_i w_i with k = len(noise): (N,) nats, at most log p(x) in the mean, tighter as k grows."""
        return self._importance_bound(theta, x, noise)[0]

    def _terms(self, theta, x, noise):
        """(1), (2), and pull(dreconstruction, dkl) -> dtheta."""
        (mean, log_std, z, noise), log_p, pull_draw = self._draw(theta, x, noise)
        reconstruction = -np.mean(log_p, axis=0)                                # (N,)
        variance = np.exp(2 * log_std)
        kl = 0.5 * np.sum(mean * mean + variance - 2 * log_std - 1, axis=1)

        def pull(dreconstruction, dkl):
            dlog_p = np.broadcast_to(-dreconstruction / len(noise), log_p.shape)
            return pull_draw(dlog_p, dz=0, dmean=dkl[:, None] * mean, dlog_std=dkl[:, None] * (variance - 1))

        return reconstruction, kl, pull

    def _importance_bound(self, theta, x, noise):
        """log 1/k sum_i w_i (N,), and pull(dbound) -> dtheta."""
        (mean, log_std, z, noise), log_p, pull_draw = self._draw(theta, x, noise)
        log_w = log_p + np.sum(0.5 * noise * noise + log_std - 0.5 * z * z, axis=2)       # (k, N)
        log_sum, pull_sum = logsumexp(log_w.T)

        def pull(dbound):
            dlog_w = pull_sum(dbound).T                                         # w_i / sum w, times dbound
            dz, dlog_std = -dlog_w[:, :, None] * z, np.sum(dlog_w, axis=0)[:, None]
            return pull_draw(dlog_w, dz, dmean=0, dlog_std=dlog_std)

        return log_sum - float(np.log(len(noise))), pull

    def _draw(self, theta, x, noise):
        """z = mean + std eps and log p(x | z) (k, N); pull_draw adds what the caller has found directly.

        pull_draw(dlog_p, dz, dmean, dlog_std) -> dtheta.
        """
        x, noise = self._rows(x, theta), np.asarray(noise)
        if noise.ndim != 3 or noise.shape[1:] != (len(x), self.latent) or len(noise) == 0:
            raise ValueError(f"noise must have shape (k, {len(x)}, {self.latent}), got {noise.shape}")
        (encoder, decoder), noise = self.split(theta), noise.astype(theta.dtype, copy=False)
        y, pull_encoder = mlp(encoder, x, self.encoder_widths)
        mean, log_std = y[:, :self.latent], y[:, self.latent:]                  # (N, K)
        std = np.exp(log_std)
        z = mean + std * noise                                                  # (k, N, K)
        repeated = np.broadcast_to(x, (len(noise), *x.shape)).reshape(-1, self.dim)
        log_p, pull_decoder = self._log_likelihood(decoder, repeated, z.reshape(-1, self.latent))

        def pull_draw(dlog_p, dz, dmean, dlog_std):
            ddecoder, dz_seen = pull_decoder(dlog_p.ravel())
            dz = dz_seen.reshape(z.shape) + dz
            dmean = dmean + np.sum(dz, axis=0)
            dlog_std = dlog_std + np.sum(dz * noise, axis=0) * std
            dencoder, _ = pull_encoder(np.concatenate([dmean, dlog_std], axis=1))
            return np.concatenate([dencoder, ddecoder])

        return (mean, log_std, z, noise), log_p.reshape(z.shape[:2]), pull_draw

    # ---- p(x | z): what a BernoulliVAE replaces ----

    def _log_likelihood(self, decoder, x, z):
        """log p(x | z) (n,) row by row, and pull(dlog_p) -> (ddecoder, dz)."""
        f, pull_mlp = mlp(decoder[:-1], z, self.decoder_widths)                 # (n, D)
        log_p, pull_gauss = gaussian_log_density(x, f, np.broadcast_to(decoder[-1], f.shape))

        def pull(dlog_p):
            _, df, dlog_s = pull_gauss(np.broadcast_to(dlog_p[:, None], f.shape))
            dweights, dz = pull_mlp(df)
            return np.append(dweights, np.sum(dlog_s)), dz

        return np.sum(log_p, axis=1), pull

    def _log_likelihood_pairs(self, decoder, x, z):
        """log p(x_n | z_m) for every pair, (N, M): squares expanded, so that it is one matrix product."""
        f, precision = mlp(decoder[:-1], z, self.decoder_widths)[0], np.exp(-2 * decoder[-1])
        center = f.mean(axis=0)
        f, x = f - center, x - center                                           # smaller squares, more digits
        square = (x * x).sum(axis=1)[:, None] - 2 * x @ f.T + (f * f).sum(axis=1)
        return -0.5 * precision * square - self.dim * (decoder[-1] + HALF_LOG_TWO_PI)

    def _emit(self, decoder, z, rng):
        f = mlp(decoder[:-1], z, self.decoder_widths)[0]
        return f + np.exp(decoder[-1]) * rng.standard_normal(f.shape).astype(f.dtype)

    def _rows(self, x, theta):
        x = checks.rows(x, self.dim)
        return x.astype(np.asarray(theta).dtype, copy=False) if x.dtype.kind == "f" else x

    # ---- use ----

    def encode(self, theta, x):
        """mean and log_std of q(z | x), (N, K) each."""
        y, _ = mlp(self.split(theta)[0], self._rows(x, theta), self.encoder_widths)
        return y[:, :self.latent], y[:, self.latent:]

    def decode(self, theta, z):
        """E[x | z], (N, D)."""
        decoder = self.split(theta)[1]
        return mlp(decoder[:-1], checks.rows(z, self.latent, "z").astype(theta.dtype), self.decoder_widths)[0]

    def sample(self, theta, n, rng):
        """n rows (n, D): z from the prior, then x from the decoder."""
        n, rng, decoder = checks.size(n, "n"), checks.generator(rng), self.split(theta)[1]
        return self._emit(decoder, rng.standard_normal((n, self.latent)).astype(decoder.dtype), rng)

    def interpolate(self, theta, x, y, steps):
        """E[x | z] along the straight line between the codes of two rows x, y (D,): (steps, D)."""
        ends, _ = self.encode(theta, np.stack([x, y]))
        way = np.linspace(0, 1, checks.size(steps, "steps"))[:, None]
        return self.decode(theta, (1 - way) * ends[0] + way * ends[1])

    def active_units(self, theta, x):
        """Which latent units say anything about the rows of x, (K,) booleans: Var of the mean > 0.01."""
        return self.encode(theta, x)[0].var(axis=0) > ACTIVE

    def log_prob(self, theta, x, nodes=None):
        """log p(x) in nats, (N,), by quadrature over one or two latent coordinates, `nodes` on each axis.

        With more of them use evidence.log_prob_importance, which has an error bar.
        """
        return evidence.log_prob_quadrature(self, theta, x, nodes)


@dataclass(frozen=True)
class BernoulliVAE(VAE):
    """A VAE of binary vectors: the decoder gives one logit for each coordinate."""

    own_parameters = 0

    def _log_likelihood(self, decoder, x, z):
        logits, pull_mlp = mlp(decoder, z, self.decoder_widths)
        log_p, pull_bernoulli = bernoulli_log_density(x, logits)
        return np.sum(log_p, axis=1), lambda dlog_p: pull_mlp(
            pull_bernoulli(np.broadcast_to(dlog_p[:, None], logits.shape)))

    def _log_likelihood_pairs(self, decoder, x, z):
        logits, _ = mlp(decoder, z, self.decoder_widths)
        return x @ logits.T - softplus(logits)[0].sum(axis=1)

    def _emit(self, decoder, z, rng):
        p = sigmoid(mlp(decoder, z, self.decoder_widths)[0])[0]
        return (rng.random(p.shape) < p).astype(np.int64)

    def _rows(self, x, theta):
        return checks.class_rows(x, self.dim, 2).astype(np.asarray(theta).dtype)

    def decode(self, theta, z):
        """p(x_i = 1 | z), (N, D)."""
        decoder = self.split(theta)[1]
        z = checks.rows(z, self.latent, "z").astype(decoder.dtype)
        return sigmoid(mlp(decoder, z, self.decoder_widths)[0])[0]


def __getattr__(name):
    """LinearVAE is a VAE in a file of its own: fetched from there when this one is asked for it."""
    if name == "LinearVAE":
        from scratch.explicit.linear_vae import LinearVAE
        return LinearVAE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
