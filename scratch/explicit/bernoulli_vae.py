"""A variational autoencoder of binary vectors: only p(x | z) differs from vae.py.

Model.  Given z the coordinates of x in {0, 1}^D are independent, each with a logit from the decoder:

    log p(x | z) = sum_d log Bernoulli(x_d; sigmoid(f_d(z)))                                   (1)

Loss and gradient are those of vae.py; bernoulli_log_density gives d log p / d f_d = x_d - sigmoid(f_d).
Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", appendix C.1.
Checked in tests/explicit/test_vae.py::test_bounds_are_the_naive_loop.
Checked in tests/explicit/test_vae.py::test_gradient_in_every_parameter.
Symbols: N batch, D data, L latent, M nodes, k draws, P parameters.
"""
from dataclasses import dataclass, field

import numpy as np

from scratch import checks
from scratch.explicit.vae import VAE
from scratch.kernels.dense import mlp
from scratch.kernels.likelihoods import bernoulli_log_density
from scratch.kernels.stable import sigmoid, softplus


@dataclass(frozen=True)
class BernoulliVAE(VAE):
    """A VAE of binary vectors: the decoder gives one logit for each coordinate."""
    scalars, unit = (), 1
    sigma_data: None = field(default=None, init=False)      # bits have no scale

    def inputs(self, theta, x):
        """theta (P,) and rows x (N, D) of zeros and ones, checked, in one precision."""
        theta = checks.flat(theta, self.size)
        return theta, checks.class_rows(x, self.dim, 2).astype(theta.real.dtype)

    def log_likelihood(self, decoder, x, z):
        """log p(x | z) for x (N, D) and z (k, N, L): (k, N), and pull(dlog_p) -> (ddecoder, dz)."""
        f, pull_mlp = mlp(decoder, z.reshape(-1, self.latent), self.decoder_widths)         # (k N, D)
        log_p, pull_p = bernoulli_log_density(np.tile(x, (len(z), 1)), f)                   # (1)

        def pull(dlog_p):
            ddecoder, dz = pull_mlp(pull_p(np.broadcast_to(dlog_p.reshape(-1, 1), f.shape)))    # d(1)
            return ddecoder, dz.reshape(z.shape)

        return np.sum(log_p, axis=1).reshape(z.shape[:2]), pull

    def log_likelihood_pairs(self, decoder, x, z):
        """log p(x_n | z_m) of all pairs of x (N, D) and z (M, L): (N, M)."""
        f = mlp(decoder, z, self.decoder_widths)[0]
        return x @ f.T - softplus(f)[0].sum(axis=1)                                         # (1)

    def decode(self, theta, z):
        """p(x_d = 1 | z), (N, D)."""
        return sigmoid(super().decode(theta, z))[0]

    def sample(self, theta, n, rng):
        """n rows (n, D) of zeros and ones."""
        p = self.decode(theta, self.sample_prior(theta, n, rng))
        return (rng.random(p.shape) < p).astype(np.int64)         # (1)
