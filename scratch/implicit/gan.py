"""Generative adversarial network (Goodfellow et al. 2014, "Generative Adversarial Nets").

Model.   A generator turns noise into samples, a discriminator gives each point a logit:
    fake = G(z),   z ~ N(0, I)                                                            (1)
    C(x), with the gradient v(x) = dC/dx                                                  (2)

For a fixed generator the best C is log p / q, with the densities p of data and q of samples
(optimal_discriminator.py).  q has no formula, and push_forward.py measures it for L = D = 2.

Loss.    Each player has its own, in expectation over data x and noise z (objectives.py):
    L_G, L_D = objective(C(x), C(fake))                                                   (3)
    L_D += gamma E penalty(v)              without it the game may circle (dirac_gan.py)  (4)

Gradient.   theta = [generator, discriminator], and dtheta is the vector field of the game: each
block is the gradient of that player's loss (Mescheder et al. 2017, "The Numerics of GANs").
L_D depends on C and, through (4), on v: its vector-Jacobian product is of second order (mlp_slope
in kernels/dense.py).  L_G depends on the generator through its samples alone:
    dfake = dL_G/dC(fake) v(fake)                                                         (5)

Both networks read fixed features f of their input, with frequencies k:
    f = [x, sin(k x), cos(k x)],   so that v = sum over f of  dC/df df/dx                 (6)

Checked in tests/implicit/test_gan.py::test_the_losses_are_those_of_the_papers
Checked in tests/implicit/test_gan.py::test_each_block_is_the_gradient_of_its_players_own_loss
Symbols: N batch, D data, L latent, F features, P parameters; M rows, N or 2 N.
"""
from dataclasses import KW_ONLY, dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.objectives import (OWN_PENALTY, Objective, Penalty, lower_gamma, minimax,   # noqa: F401
                                         non_saturating, one_centered, relativistic, wasserstein,
                                         zero_centered)
from scratch.implicit.push_forward import PushForward
from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_size, mlp_slope, mlp_views
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class GAN:
    """Generator L - hidden - D and discriminator D - hidden - 1 in one theta, for data of scale 1.

    The default is the relativistic game with R1 and R2.  The game of 2014, on the bare inputs, is
    GAN(2, objective=non_saturating, frequencies=(), latent_frequencies=()).
    >>> model, rng = GAN(2), np.random.default_rng(0)               # theta = 0, so C = 0: log 2 each
    >>> model.loss(np.zeros(model.size), rng.normal(size=(4, 2)), model.draw_noise(rng, 4))[0]
    array([0.69314718, 0.69314718])
    """
    dim: int
    _: KW_ONLY
    latent: int = 2                         # with dim = 2 the density of the samples can be measured
    hidden: tuple = (128, 128, 128)         # holds all 25 modes in figures/implicit/mode_collapse.py
    objective: Callable = relativistic
    penalty: Penalty = None                 # by default that of the objective, and its gamma
    gamma: float = None                     # 0: no penalty
    # Of the sines of x and of z, for details of a width down to 1/32.  With higher ones C fits
    # noise between the data, with lower ones it misses details.  Chosen by hand, not swept.
    frequencies: tuple = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    latent_frequencies: tuple = (1.0, 2.0, 4.0)

    # No momentum, which feeds the rotation of a game (Gidel et al. 2019, "Negative Momentum for
    # Improved Game Dynamics"); beta2 forgets a bad start ten times faster than the usual 0.999.
    # Rate, beta2 and batch size are chosen by hand; no sweep is recorded.
    recipe = Recipe(Adam(3e-3, beta1=0.0, beta2=0.99), batch_size=256, anneal=lower_gamma)
    first_layer_scale = 3.0                 # a generator that is steep between modes; by hand, not swept

    def loss(self, theta, x, noise):
        """(L_G, L_D), and dtheta (P,): each player's block is the gradient of its own loss."""
        theta, x = checks.inputs(self, theta, x)
        n = len(x)
        z, mix = checks.noise(noise, x, z=(n, self.latent), mix=(n, 1))
        generator, discriminator = (theta[player] for player in self.players)
        fake, pull_generator = self._generator(generator, z)                      # (N, D)  (1)
        logits, v, pull = self._discriminator(discriminator, np.concatenate([x, fake]))     # (2 N,)  (2)
        game = self.objective(logits[:n], logits[n:])                             # (3)
        dlogits = np.concatenate([game.dreal, game.dfake])                        # d(3)
        if self.gamma == 0:
            penalty, ddiscriminator = 0.0, pull(dlogits, None)
        elif self.penalty.at == "data and samples":         # v is computed there already
            penalty, dv = self.penalty.function(v)
            ddiscriminator = pull(dlogits, self.gamma / n * dv)                   # d(4)
        else:
            _, v_mixed, pull_mixed = self._discriminator(discriminator, mix * x + (1 - mix) * fake)
            penalty, dv = self.penalty.function(v_mixed)
            dmixed = pull_mixed(np.zeros(n, x.dtype), self.gamma / n * dv)        # d(4)
            ddiscriminator = pull(dlogits, None) + dmixed
        losses = np.array([game.generator_loss, game.discriminator_loss])         # (3)
        losses[1] += self.gamma * np.sum(penalty) / n                             # (4)
        dfake = game.dgenerator[:, None] * v[n:]                                  # (N, D)  (5)
        dgenerator, _ = pull_generator(dfake, need_dx=False)                      # d(1)
        return losses, np.concatenate([dgenerator, ddiscriminator])

    def _generator(self, generator, z):
        """G(z) (N, D), and pull(dG) -> (dgenerator, dfeatures)."""
        return mlp(generator, sines(z, self.latent_frequencies)[0], self.generator_widths)

    def _discriminator(self, discriminator, points):
        """C (M,), v (M, D), pull(dlogits, dv) -> ddiscriminator; dv is None if v is not used."""
        f, df_dx = sines(points, self.frequencies)                                # (M, F), (M, F / D, D)
        y, dC_df, pull_mlp = mlp_slope(discriminator, f, self.discriminator_widths)
        v = np.sum(df_dx * dC_df.reshape(df_dx.shape), axis=1)                    # (M, D)  (6)

        def pull(dlogits, dv):
            along = None if dv is None else (df_dx * dv[:, None, :]).reshape(f.shape)       # d(6)
            return pull_mlp(dlogits[:, None], along)[0]
        return y[:, 0], v, pull

    def draw_noise(self, rng, n):
        """z ~ N(0, I) (N, L), and mix ~ U(0, 1) (N, 1), the weights of the data in the mixtures."""
        z = checks.generator(rng).standard_normal((checks.size(n, "n"), self.latent))
        return z, rng.random((n, 1))

    def sample(self, theta, n, rng):
        """n rows G(z), (n, D)."""
        return self.generate(theta, self.draw_noise(rng, n)[0])

    def generate(self, theta, z):
        """G(z) (N, D) for z (N, L)."""
        generator = self.split(theta)[0]
        z = checks.rows(z, self.latent, "z").astype(generator.dtype, copy=False)
        return self._generator(generator, z)[0]

    def logits(self, theta, x):
        """C(x), (N,): log p / q as estimated; relativistic adds a constant, wasserstein estimates none."""
        theta, x = checks.inputs(self, theta, x)
        return self._discriminator(self.split(theta)[1], x)[0]

    def push_forward_log_prob(self, theta, x):
        """log q(x) in nats, (N,), for latent = dim = 2, measured on a mesh (push_forward.py)."""
        if (self.latent, self.dim) != (2, 2):
            raise ValueError(f"it needs latent = dim = 2, got {self.latent} and {self.dim}")
        theta = checks.flat(theta, self.size).astype(np.float64)
        return PushForward.of(lambda z: self.generate(theta, z)).log_prob(x)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,)."""
        generator = mlp_init(rng, self.generator_widths, dtype)
        for part in mlp_views(generator, self.generator_widths)[0]:
            part *= self.first_layer_scale
        return np.concatenate([generator, mlp_init(rng, self.discriminator_widths, dtype)])

    @property
    def generator_widths(self):
        """The generator's layers, features first."""
        return (self.latent * (1 + 2 * len(self.latent_frequencies)), *self.hidden, self.dim)

    @property
    def discriminator_widths(self):
        """The discriminator's layers, features first."""
        return (self.dim * (1 + 2 * len(self.frequencies)), *self.hidden, 1)

    @property
    def players(self):
        """The slices of theta that hold the generator and the discriminator."""
        middle = mlp_size(self.generator_widths)
        return slice(0, middle), slice(middle, middle + mlp_size(self.discriminator_widths))

    @property
    def size(self):
        """P, the length of theta."""
        return self.players[1].stop

    @property
    def blocks(self):
        """The slice of theta of every W and b, by name."""
        return (mlp_blocks(self.generator_widths, "generator ")
                | mlp_blocks(self.discriminator_widths, "discriminator ", self.players[1].start))

    def split(self, theta):
        """The parameters of the generator and of the discriminator: views of theta (P,)."""
        theta = checks.flat(theta, self.size)
        return tuple(theta[player] for player in self.players)

    def rates(self, generator, discriminator):
        """Both learning rates as an optimizer takes them, one number per parameter (P,)."""
        rates = [checks.nonnegative(rate, "each of the rates") for rate in (generator, discriminator)]
        return np.repeat(rates, [player.stop - player.start for player in self.players])

    def __post_init__(self):
        checks.fields(self, objective=checks.function)
        own_penalty, own_gamma = OWN_PENALTY.get(self.objective, (zero_centered, 0.0))
        checks.fields(self, dim=checks.size, latent=checks.size, hidden=checks.widths,
                      penalty=lambda penalty, name: own_penalty if penalty is None else penalty,
                      gamma=lambda gamma, name: own_gamma if gamma is None else checks.nonnegative(gamma, name),
                      frequencies=_frequencies, latent_frequencies=_frequencies)
        if not isinstance(self.penalty, Penalty):
            raise TypeError(f"penalty must be a Penalty such as zero_centered, got {checks.brief(self.penalty)}")


def _frequencies(values, name):
    k = checks.constant(values, name)
    if k.ndim != 1 or not (k > 0).all():
        raise ValueError(f"{name} must be a tuple of positive numbers, got {checks.brief(values)}")
    return tuple(k.tolist())


def sines(x, frequencies):
    """f (M, F) for x (M, D), and df/dx (M, F / D, D): each feature depends on one coordinate of x.

    A perceptron of x learns smooth functions first, of sines finer ones too (Tancik et al. 2020,
    "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains").
    """
    k = np.asarray(frequencies, x.real.dtype)[:, None]                            # (k, 1)
    turn = k * x[:, None, :]                                                      # (M, k, D)
    sine, cosine = np.sin(turn), np.cos(turn)
    f = np.concatenate([x[:, None, :], sine, cosine], axis=1)                     # (6)
    df_dx = np.concatenate([np.ones_like(x)[:, None, :], k * cosine, -k * sine], axis=1)
    return f.reshape(len(x), -1), df_dx
