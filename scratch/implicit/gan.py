"""Generative adversarial network (Goodfellow et al. 2014, "Generative Adversarial Nets").

Model.   A generator turns noise into samples, a discriminator gives each point a logit:
    fake = G(z) + s eps,   z from a mixture of Gaussians (latent.py),   eps ~ N(0, I)     (1)
    C(x), with the gradient v(x) = dC/dx                                                  (2)
In 2014 z ~ N(0, I) and s = 0.  G(z) alone leaves some places without samples, covers others twice, and
has sharp edges (push_forward.py).  Where only data or only samples lie, C can grow without bound.  With
s > 0 the samples have a density everywhere, the expectation over z of N(x; G(z), s^2 I)
(smoothed_density.py).  For a fixed generator the best C is log p / q, with p the density of data and q
that of samples (optimal_discriminator.py).

Loss.    Each player has its own, in expectation over data x and noise (objectives.py):
    L_G, L_D = objective(C(x), C(fake))                                                   (3)
    L_D += gamma E penalty(v)     without it the parameters may circle (dirac_gan.py)     (4)

Gradient.   theta = [generator, discriminator], and dtheta is the vector field of the game: each
block is the gradient of that player's loss (Mescheder et al. 2017, "The Numerics of GANs").
L_D depends on C and, through (4), on v: its vector-Jacobian product is of second order (mlp_slope
in kernels/dense.py).  L_G depends on the generator through its samples alone:
    dfake = dL_G/dC(fake) v(fake)                                                         (5)
The generator has a network, means and stds for z, and t, with log s = log output_noise + t / 10:
    dG = dfake,   dt = 1/10 sum over rows and coordinates of  dfake s eps                d(1)
Adam moves t by about its rate in each step, and so log s by a tenth of that: G is learned before s.

Both networks read sines f of their input (latent.py), and the chain rule gives
    v = sum over f of  dC/df df/dx,   and dz in the same way                              (6)

Checked in tests/implicit/test_gan.py::test_the_losses_are_those_of_the_papers
Checked in tests/implicit/test_gan.py::test_each_block_is_the_gradient_of_its_players_own_loss
Symbols: N batch, D data, L latent, K components of z, F features, P parameters; M rows, N or 2 N.
"""
from dataclasses import KW_ONLY, dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit import smoothed_density
from scratch.implicit.latent import draw, mixture, sines
from scratch.implicit.objectives import (OWN_PENALTY, Objective, Penalty, lower_gamma, minimax,   # noqa: F401
                                         non_saturating, one_centered, relativistic, wasserstein,
                                         zero_centered)
from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_size, mlp_slope, mlp_views
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe

SLOWER = 10.0                  # of log s against t; by hand, 5 and 10 tried


@dataclass(frozen=True)
class GAN:
    """Generator L - hidden - D and discriminator D - hidden - 1 in one theta, for data of scale 1.

    The default is the relativistic game with R1 and R2 (objectives.py).  The game of 2014, on the bare inputs, is
    GAN(2, objective=non_saturating, frequencies=(), latent_frequencies=(), prior=1, output_noise=0).
    >>> model, rng = GAN(2), np.random.default_rng(0)               # theta = 0, so C = 0: log 2 each
    >>> model.loss(np.zeros(model.size), rng.normal(size=(4, 2)), model.draw_noise(rng, 4))[0]
    array([0.69314718, 0.69314718])
    """
    dim: int
    _: KW_ONLY
    latent: int = 2                         # up to 2 the density of samples can be computed
    prior: int = 64                         # K Gaussians of z; 1 is N(0, I).  By hand, not swept
    # s at the start of a run; 0: no noise.  By hand: half the size of the smallest detail of the data.  With
    # few rows it must be as large as the gaps between them: 0.3 for 272 rows in the plane, with gamma constant.
    output_noise: float = 0.1
    hidden: tuple = (128, 128, 128)         # by hand; those of figures/implicit/mode_collapse.py
    objective: Callable = relativistic
    penalty: Penalty = None                 # by default that of the objective, and its gamma
    gamma: float = None                     # 0: no penalty
    # Of the sines of x and of z, by hand.  16 and 32 would resolve details narrower than s, and C would fit
    # chance gaps between the data: with 16 the KL on a grid was 0.36 in place of 0.13 nats.
    frequencies: tuple = (1.0, 2.0, 4.0, 8.0)
    latent_frequencies: tuple = (1.0, 2.0, 4.0)

    # No momentum, which feeds the rotation of a game (Gidel et al. 2019, "Negative Momentum for
    # Improved Game Dynamics"); beta2 forgets a bad start ten times faster than the usual 0.999.
    # By hand on other mixtures than LAWS: at half the rate the KL was at least three times larger, with half
    # the batch and twice the steps twice.  figures/ledger.py measures 3,500 steps.
    recipe = Recipe(Adam(3e-3, beta1=0.0, beta2=0.99), batch_size=1024, anneal=lower_gamma)
    first_layer_scale = 3.0                 # a generator that is steep between modes; by hand, not swept

    def loss(self, theta, x, noise):                                              # first reading 1
        """(L_G, L_D), and dtheta (P,): each player's block is the gradient of its own loss."""
        theta, x = checks.inputs(self, theta, x)
        n = len(x)
        e, k, eps, mix = checks.noise(noise, x, e=(n, self.latent), k=(n,), eps=(n, self.dim), mix=(n, 1))
        generator, discriminator = (theta[player] for player in self.players)
        fake, pull_generator = self._fake(generator, e, k, eps)                   # (N, D)  (1)
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
        return losses, np.concatenate([pull_generator(dfake), ddiscriminator])    # d(1)

    def _fake(self, generator, e, k, eps):                                        # first reading 3
        """Samples (N, D), and pull(dfake) -> dgenerator."""
        weights, of_z, t = self._parts(generator)
        z, pull_z = mixture(of_z, e, k) if len(of_z) else (e, None)               # (N, L)
        f, df_dz = sines(z, self.latent_frequencies)                              # (N, F), (N, F / L, L)
        y, pull_mlp = mlp(weights, f, self.generator_widths)
        noise = self.output_noise * np.exp(t / SLOWER) * eps if len(t) else 0     # (N, D)  s eps

        def pull(dfake):
            dweights, df = pull_mlp(dfake, need_dx=len(of_z) > 0)
            dof_z = pull_z(np.sum(df_dz * df.reshape(df_dz.shape), axis=1)) if len(of_z) else of_z      # d(6)
            return np.concatenate([dweights, dof_z, np.full_like(t, np.sum(dfake * noise) / SLOWER)])   # d(1)
        return y + noise, pull                                                    # (1)

    def _discriminator(self, discriminator, points):                              # first reading 4
        """C (M,), v (M, D), pull(dlogits, dv) -> ddiscriminator; dv is None if v is not used."""
        f, df_dx = sines(points, self.frequencies)                                # (M, F), (M, F / D, D)
        y, dC_df, pull_mlp = mlp_slope(discriminator, f, self.discriminator_widths)
        v = np.sum(df_dx * dC_df.reshape(df_dx.shape), axis=1)                    # (M, D)  (6)

        def pull(dlogits, dv):
            along = None if dv is None else (df_dx * dv[:, None, :]).reshape(f.shape)       # d(6)
            return pull_mlp(dlogits[:, None], along)[0]
        return y[:, 0], v, pull

    def draw_noise(self, rng, n):
        """e (N, L) and k (N,) of z, eps (N, D), and mix ~ U(0, 1) (N, 1), the share of the datum in a mixture."""
        e, k = draw(checks.generator(rng), checks.size(n, "n"), self.latent, self.prior)
        return e, k, rng.standard_normal((n, self.dim)), rng.random((n, 1))

    def sample(self, theta, n, rng):                                              # first reading 5
        """n independent rows, (n, D)."""
        theta, n = checks.flat(theta, self.size), checks.size(n, "n")
        e, eps = (checks.generator(rng).standard_normal((n, d)).astype(theta.dtype) for d in (self.latent, self.dim))
        return self._fake(theta[self.players[0]], e, rng.integers(self.prior, size=n), eps)[0]

    def generate(self, theta, z):
        """G(z) (N, D) for z (N, L), without noise."""
        weights = self._parts(self.split(theta)[0])[0]
        z = checks.rows(z, self.latent, "z").astype(weights.dtype, copy=False)
        return mlp(weights, sines(z, self.latent_frequencies)[0], self.generator_widths)[0]

    def output_std(self, theta):
        """s, a number."""
        t = self._parts(self.split(theta)[0])[2]
        return self.output_noise * float(np.exp(t.sum() / SLOWER))

    def log_prob(self, theta, x):
        """log q(x) in nats, (N,), for L <= 2 and an output with noise, by quadrature."""
        theta, x = checks.inputs(self, checks.flat(theta, self.size).astype(float), x)
        if self.latent > 2 or not self.output_noise:
            raise ValueError("a density needs latent <= 2 and output_noise > 0, "
                             f"got {self.latent} and {self.output_noise:g}")
        of_z = self._parts(self.split(theta)[0])[1]
        mu, log_std = of_z.reshape(2, -1, self.latent) if len(of_z) else np.zeros((2, 1, self.latent))
        return smoothed_density.log_prob(lambda z: self.generate(theta, z), mu, np.exp(log_std),
                                         self.output_std(theta), x)

    def logits(self, theta, x):
        """C(x), (N,): log p / q as estimated; relativistic adds a constant, wasserstein estimates none."""
        theta, x = checks.inputs(self, theta, x)
        return self._discriminator(self.split(theta)[1], x)[0]

    def init(self, rng, dtype=np.float32):
        """Random theta (P,)."""
        generator = mlp_init(rng, self.generator_widths, dtype)
        for part in mlp_views(generator, self.generator_widths)[0]:
            part *= self.first_layer_scale
        of_z = np.zeros((2, self._of_z // 2), dtype)
        of_z[0], of_z[1] = rng.standard_normal(of_z[0].shape), np.log(0.5)        # by hand, not swept
        t = np.zeros(int(self.output_noise > 0), dtype)
        return np.concatenate([generator, of_z.ravel(), t, mlp_init(rng, self.discriminator_widths, dtype)])

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
        middle = mlp_size(self.generator_widths) + self._of_z + (self.output_noise > 0)
        return slice(0, middle), slice(middle, middle + mlp_size(self.discriminator_widths))

    @property
    def _of_z(self):
        """How many numbers describe the mixture."""
        return 2 * self.prior * self.latent if self.prior > 1 else 0

    def _parts(self, generator):
        """The network's weights, mu and log_std of z in one vector, and t: views."""
        n = mlp_size(self.generator_widths)
        return np.split(generator, [n, n + self._of_z])

    @property
    def size(self):
        """P, the length of theta."""
        return self.players[1].stop

    @property
    def blocks(self):
        """The slice of theta of every W and b, by name."""
        start = mlp_size(self.generator_widths)
        middle, end, last = start + self._of_z // 2, start + self._of_z, self.players[0].stop
        added = {"prior mean": slice(start, middle), "prior log_std": slice(middle, end), "t": slice(end, last)}
        return (mlp_blocks(self.generator_widths, "generator ")
                | {name: place for name, place in added.items() if place.start < place.stop}
                | mlp_blocks(self.discriminator_widths, "discriminator ", last))

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
        checks.fields(self, dim=checks.size, latent=checks.size, prior=checks.size, hidden=checks.widths,
                      output_noise=checks.nonnegative,
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
