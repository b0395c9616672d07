"""A GAN of waveforms (Donahue et al. 2019, "Adversarial Audio Synthesis", WaveGAN) in miniature.

Model.   That of gan.py, with other networks.  A generator turns z into a waveform by transposed
convolutions, and a discriminator reads it by strided ones.  By default both are circular in time, for periods:
    G:  z -> sines -> dense -> (T / s^n, C_n) -> ... -> (T / s, C_1) -> (T, 1)                (1)
    C:  (T, 1) -> (T / s, C_1) -> ... -> (T / s^n, C_n) -> dense -> 1                         (2)
where each -> is a layer of convnet.py.  With `pool`, the dense layers of C read the mean over time: C is
then the same for a waveform and for its shifts by s^n samples.

Loss, gradient.   Those of gan.py: its loss() calls _fake and _discriminator, which are here.  s is not learned.
A game that may choose s makes it smaller than the data's noise, because the errors of G add to it: the samples
look better, and the data are less likely (for periods with noise of 0.1, one seed: s fell to 0.073, and the
KL was 20 nats in place of 9).

Shift.   With `shifted`, each waveform is rolled by a number of samples, uniform on 0 ... T - 1, after G and the
noise.  G then learns waveforms of any one phase, and all phases are equally likely by construction:
    fake_t = y_((t - shift) mod T),   y = G(z) + s eps                                    (3)
    dy_t = dfake_((t + shift) mod T)                                                     d(3)

Phase shuffle.   To hide from C where in a period something stands, the input of each of its convolutions but
the first is rolled by a number of samples, uniform on -r ... r, drawn anew in each step (section 3.3
there; r = 2).  Here the roll is circular and one number serves a layer for the whole batch, data and samples alike.

Checked in tests/implicit/test_wave_gan.py::test_both_networks_are_naive_loops
Checked in tests/implicit/test_wave_gan.py::test_each_block_is_the_gradient_of_its_players_own_loss
Symbols: N batch, T = D samples, L latent, F features of z, C_i channels, s strides, in (3) a std, P parameters.
"""
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import pairwise
from math import prod

import numpy as np

from scratch import checks
from scratch.implicit.gan import GAN, lower_gamma
from scratch.implicit.latent import mixture, sines
from scratch.implicit.objectives import relativistic, zero_centered
from scratch.kernels.convnet import (convnet, convnet_blocks, convnet_init, convnet_size, convnet_slope,
                                     convnet_views)
from scratch.kernels.convolution import Convolution, Dense, Transposed
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class WaveGAN(GAN):
    """Waveforms of `dim` samples, a multiple of the product of the strides.

    >>> model, rng = WaveGAN(64), np.random.default_rng(0)          # theta = 0, so C = 0: log 2 each
    >>> model.loss(np.zeros(model.size), rng.normal(size=(4, 64)), model.draw_noise(rng, 4))[0]
    array([0.69314718, 0.69314718])
    """
    _: KW_ONLY
    latent: int = 4
    output_noise: float = 0.1               # s, which stays as it is
    hidden: tuple = (128,)                  # dense layers of both networks, beside z and beside the logit
    frequencies: tuple = field(default=(), init=False)      # the discriminator reads the waveform itself
    latent_frequencies: tuple = (1.0, 2.0)
    # Of the convolutions, from the waveform inwards; three empty tuples make both networks dense.
    channels: tuple = (16, 32)
    kernels: tuple = (32, 16)
    strides: tuple = (4, 4)
    circular: bool = True
    pool: bool = False
    shifted: bool = False
    phase_shuffle: int = 0                  # r
    shifts: tuple = ()                      # of this step, set by the loss; otherwise 0

    recipe = Recipe(Adam(2e-3, beta1=0.0, beta2=0.99), batch_size=128, anneal=lower_gamma)
    # Of the relativistic game, for periods of variance 1 with noise of 0.1; gamma 0.3, 1 and 3 tried.  It does not
    # transfer: clips of 512 samples need 5, falling to a twentieth (source_filter_gan.py).
    own_penalty, own_gamma = replace(zero_centered, last=2e-3), 1.0

    def loss(self, theta, x, noise):
        """(L_G, L_D), and dtheta (P,): each player's block is the gradient of its own loss."""
        if not self.phase_shuffle:
            return super().loss(theta, x, noise)
        if not isinstance(noise, tuple) or len(noise) != 5:
            raise TypeError("noise must be that of draw_noise, with the shifts in a fifth part, "
                            f"got {checks.brief(noise)}")
        shifts = tuple(checks.size(shift, "each shift of the noise", minimum=-self.dim) for shift in noise[4].tolist())
        return replace(self, phase_shuffle=0, shifts=shifts).loss(theta, x, noise[:4])

    def draw_noise(self, rng, n):
        """That of gan.py, and with phase shuffle one roll for each convolution but the first."""
        (e, component, *others), r = super().draw_noise(rng, n), self.phase_shuffle
        rolls = [rng.integers(-r, r + 1, size=len(self.channels) - 1)] if r else []
        return (e, self._numbered(component, rng), *others, *rolls)

    def sample(self, theta, n, rng):
        """n independent rows, (n, D)."""
        theta, n = checks.flat(theta, self.size), checks.size(n, "n")
        e, eps = (checks.generator(rng).standard_normal((n, d)).astype(theta.dtype) for d in (self.latent, self.dim))
        return self._fake(theta[self.players[0]], e, self._numbered(rng.integers(self.prior, size=n), rng), eps)[0]

    def _numbered(self, component, rng):
        """k (n,) of the noise: the component of z and, with `shifted`, a random shift."""
        return component * self.dim + rng.integers(self.dim, size=len(component)) if self.shifted else component

    def _fake(self, generator, e, k, eps):
        """Samples (N, D), and pull(dfake) -> dgenerator."""
        weights, of_z, _ = self._parts(generator)
        k, shift = np.divmod(k.astype(int), self.dim) if self.shifted else (k, np.zeros(len(k), int))
        z, pull_z = mixture(of_z, e, k) if len(of_z) else (e, None)               # (N, L)
        f, df_dz = sines(z, self.latent_frequencies)                              # (N, F), (N, F / L, L)
        y, pull_net = convnet(weights, f, self.generator_layers)                  # (N, D)  (1)
        noise = self.output_noise * eps if self.output_noise else 0               # (N, D)

        def pull(dfake):
            dfake = _rolled(dfake, -shift)                                        # d(3)
            dweights, df = pull_net(dfake, need_dx=len(of_z) > 0)
            dof_z = pull_z(np.sum(df_dz * df.reshape(df_dz.shape), axis=1)) if len(of_z) else of_z
            return np.concatenate([dweights, dof_z])
        return _rolled(y + noise, shift), pull                                    # (3)

    def _discriminator(self, discriminator, points):
        """C (M,), v (M, D), pull(dlogits, dv) -> ddiscriminator; dv is None if v is not used."""
        y, v, pull_net = convnet_slope(discriminator, points, self.discriminator_layers)        # (2)
        return y[:, 0], v, lambda dlogits, dv: pull_net(dlogits[:, None], dv)[0]

    def generate(self, theta, z):
        """G(z) (N, D) for z (N, L), without noise."""
        weights = self._parts(self.split(theta)[0])[0]
        z = checks.rows(z, self.latent, "z").astype(weights.dtype, copy=False)
        return convnet(weights, sines(z, self.latent_frequencies)[0], self.generator_layers)[0]

    def log_prob(self, theta, x):
        """log q(x) in nats, (N,), as in gan.py.  With `shifted` it is a mean over shifts, and is not computed."""
        if self.shifted:
            raise ValueError("shifted waveforms have no log_prob: align the rows, and use a model without shifts")
        return super().log_prob(theta, x)

    @property
    def generator_layers(self):
        """(1)."""
        lengths, channels = self._lengths, (1, *self.channels)
        widths = (self.latent * (1 + 2 * len(self.latent_frequencies)), *self.hidden, lengths[-1] * channels[-1])
        up = [Transposed(lengths[i + 1], channels[i + 1], channels[i], self.kernels[i], self.strides[i],
                         circular=self.circular) for i in reversed(range(len(self.strides)))]
        return (*(Dense(*pair) for pair in pairwise(widths)), *up)

    @property
    def discriminator_layers(self):
        """(2)."""
        lengths, channels = self._lengths, (1, *self.channels)
        shifts = (0, *(self.shifts or (0,) * len(self.strides)))
        down = [Convolution(lengths[i], channels[i], channels[i + 1], self.kernels[i], self.strides[i],
                            circular=self.circular, shift=shifts[i]) for i in range(len(self.strides))]
        first, times = (channels[-1], lengths[-1]) if self.pool else (channels[-1] * lengths[-1], 1)
        widths = (first, *self.hidden, 1)
        dense = [Dense(*pair, 1 if i else times) for i, pair in enumerate(pairwise(widths))]
        return (*down, *dense)

    @property
    def _lengths(self):
        """T, T / s, ..., from the waveform inwards."""
        return [self.dim // prod(self.strides[:i]) for i in range(len(self.strides) + 1)]

    def init(self, rng, dtype=np.float32):
        """Random theta (P,)."""
        generator = convnet_init(rng, self.generator_layers, dtype)
        for part in convnet_views(generator, self.generator_layers)[0]:
            part *= self.first_layer_scale
        of_z = np.zeros((2, self._of_z // 2), dtype)
        of_z[0], of_z[1] = rng.standard_normal(of_z[0].shape), np.log(0.5)        # as in gan.py
        return np.concatenate([generator, of_z.ravel(), convnet_init(rng, self.discriminator_layers, dtype)])

    @property
    def players(self):
        """The slices of theta that hold the generator and the discriminator."""
        middle = convnet_size(self.generator_layers) + self._of_z
        return slice(0, middle), slice(middle, middle + convnet_size(self.discriminator_layers))

    def _parts(self, generator):
        """The network's weights, mu and log_std of z in one vector, and no t: views."""
        n = convnet_size(self.generator_layers)
        return np.split(generator, [n, n + self._of_z])

    @property
    def blocks(self):
        """The slice of theta of every W and b, by name."""
        start = convnet_size(self.generator_layers)
        middle, last = start + self._of_z // 2, self.players[0].stop
        added = {"prior mean": slice(start, middle), "prior log_std": slice(middle, last)}
        return (convnet_blocks(self.generator_layers, "generator ")
                | {name: place for name, place in added.items() if place.start < place.stop}
                | convnet_blocks(self.discriminator_layers, "discriminator ", last))

    def __post_init__(self):
        if self.objective is relativistic:
            for name, own in (("penalty", self.own_penalty), ("gamma", self.own_gamma)):
                object.__setattr__(self, name, own if getattr(self, name) is None else getattr(self, name))
        super().__post_init__()
        checks.fields(self, channels=checks.widths, kernels=checks.widths, strides=checks.widths,
                      phase_shuffle=lambda value, name: checks.size(value, name, minimum=0))
        for name in ("circular", "pool", "shifted"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {checks.brief(getattr(self, name))}")
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError("channels, kernels and strides must have an entry for each convolution, "
                             f"got {len(self.channels)}, {len(self.kernels)} and {len(self.strides)}")
        if self.dim % prod(self.strides):
            raise ValueError(f"dim must be a multiple of the strides' product {prod(self.strides)}, got {self.dim}")
        self.generator_layers, self.discriminator_layers        # each checks its sizes


def _rolled(x, shift):
    """Each row of x (N, T) rolled by its shift (N,)."""
    if not shift.any():
        return x
    return np.take_along_axis(x, (np.arange(x.shape[1]) - shift[:, None]) % x.shape[1], axis=1)
