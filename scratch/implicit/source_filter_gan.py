"""A GAN of clips whose generator makes a filter and is given the source.

Model.   The source of a clip is known (data/clips.py): pulses of a random period and phase with some noise, or
noise alone.  The generator makes T taps of a filter from z, and the clip is the source after the filter:
    h = net(z)                                          h (T,)                            (1)
    x_t = sum over i of h_i u_(t-i) / sqrt(T)           so that h and x have one scale    (2)
    u_t = sqrt((1 - b) P) [P divides t - j] + sqrt(b) eps_t    voiced;      u_t = eps_t   whispered     (3)
with the breath b, a period P and a phase j.  A source before the clip is needed, t < 0: pulses go on there,
and noise is taken from the clip's end.  So the vowel, which is in the filter, is learned, and pitch, phase
and voicing are not.  This is the synthesizer of every vocoder, and of neural ones with a learned filter
(Wang et al. 2019, "Neural source-filter waveform models", whose filter is a network of the source).

Loss.    That of gan.py with the discriminator of wave_gan.py, which reads the mean over time of a clip.

Gradient.   x is linear in h, and (2) is a correlation backwards:
    dh_i = sum over t of dx_t u_(t-i) / sqrt(T)                                          d(2)
Both are products of spectra, of a length at which the wrap-around does not reach the clip.

Checked in tests/implicit/test_source_filter_gan.py::test_a_clip_is_the_filtered_source
Checked in tests/implicit/test_source_filter_gan.py::test_filtering_and_its_pullback_are_transposes
Symbols: N batch, D samples a clip, T taps, L latent; pairs (P, j) are numbered, and 0 is whispered.
"""
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.fft import next_fast_len

from scratch import checks
from scratch.data.clips import BREATH, VOICED
from scratch.implicit.gan import lower_gamma
from scratch.implicit.objectives import zero_centered
from scratch.implicit.wave_gan import WaveGAN
from scratch.kernels.convolution import Dense
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


@dataclass(frozen=True)
class SourceFilterGAN(WaveGAN):
    """Clips of `dim` samples.

    >>> model, rng = SourceFilterGAN(512), np.random.default_rng(0)
    >>> u = model.source(rng.integers(2745, size=1000), rng.normal(size=(1000, 512)))
    >>> round(float(np.mean(u * u)), 2)                     # the mean power of a source
    1.0
    """
    _: KW_ONLY
    latent: int = 8
    taps: int = 192                         # T
    periods: tuple = tuple(range(32, 81))   # P
    output_noise: float = field(default=0.0, init=False)    # noise is in the source
    shifted: bool = field(default=False, init=False)        # and so is the phase
    hidden: tuple = (128, 128)
    circular: bool = False
    pool: bool = True

    recipe = Recipe(Adam(2e-3, beta1=0.0, beta2=0.99), batch_size=64, anneal=lower_gamma)
    own_penalty, own_gamma = replace(zero_centered, last=0.05), 5.0

    def _fake(self, generator, e, k, eps):
        """Clips (N, D), and pull(dfake) -> dgenerator."""
        component, pair = np.divmod(k.astype(int), self._pairs)
        h, pull_filter = super()._fake(generator, e, component, None)             # (N, T)  (1)
        u = self.source(pair, eps) / self.taps ** 0.5
        spectrum = np.fft.rfft(u, self._length)                                   # with zeros behind u

        def pull(dfake):
            return pull_filter(_real_map(lambda dx: _correlate(dx, spectrum, self._length, self.taps), dfake))  # d(2)
        return _real_map(lambda h: _convolve(h, spectrum, self._length, self.taps, self.dim), h), pull          # (2)

    def source(self, pair, eps):
        """u from T - 1 samples before the clip to its end, (N, T - 1 + D), for pairs (N,) and eps (N, D)."""
        period, phase = _pairs(self.periods)[:, pair][:, :, None]                 # (N, 1)
        t = np.arange(1 - self.taps, self.dim)
        voiced = period > 0
        pulses = voiced & ((t - phase) % np.maximum(period, 1) == 0)
        height, noise = np.sqrt((1 - BREATH) * period), np.where(voiced, np.sqrt(BREATH), 1)
        return (height * pulses + noise * eps[:, t % self.dim]).astype(eps.dtype)           # (3)

    def _numbered(self, component, rng):
        """k (n,): the component of z and the pair, voiced with probability VOICED, P and j < P uniform."""
        P, n = np.asarray(self.periods), len(component)
        which = rng.integers(len(P), size=n)
        pair = np.where(rng.random(n) < VOICED, np.cumsum([1, *P])[which] + rng.integers(P[which]), 0)
        return component * self._pairs + pair

    @property
    def _pairs(self):
        """How many."""
        return 1 + sum(self.periods)

    @property
    def _length(self):
        """Of the spectra: that of the source, or a little more."""
        return next_fast_len(self.dim + self.taps - 1, real=True)

    @property
    def generator_layers(self):
        """(1)."""
        widths = (self.latent * (1 + 2 * len(self.latent_frequencies)), *self.hidden, self.taps)
        return tuple(Dense(*pair) for pair in pairwise(widths))

    def __post_init__(self):
        checks.fields(self, taps=checks.size, periods=checks.widths)
        super().__post_init__()


@lru_cache(maxsize=None)
def _pairs(periods):
    """P and j of each pair, (2, 1 + sum of periods); P = 0: whispered."""
    return np.array([(0, 0)] + [(P, j) for P in periods for j in range(P)]).T


def _convolve(h, spectrum, length, taps, dim):
    """(2): the samples of the clip.  Only those before it are wrong by the wrap-around."""
    return np.fft.irfft(np.fft.rfft(h, length) * spectrum, length)[:, taps - 1:taps - 1 + dim]


def _correlate(dx, spectrum, length, taps):
    """d(2): dx stands T - 1 samples late, as the clip does in the source."""
    late = np.concatenate([np.zeros((len(dx), taps - 1), dx.dtype), dx], axis=1)
    return np.fft.irfft(np.fft.rfft(late, length) * spectrum.conj(), length)[:, :taps]


def _real_map(function, a):
    """A real linear map of real or complex a: one complex transform would mix the rounding errors of both parts."""
    return function(a.real) + 1j * function(a.imag) if np.iscomplexobj(a) else function(a)
