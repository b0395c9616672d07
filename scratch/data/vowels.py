"""Vowels: one pitch period of a voice from an all-pole vocal tract, with exact density, posterior and denoiser.

Vocal tract.  A vowel v is made by three resonances of the tract, its formants.  A shorter tract has higher ones:

    F_f = T_vf 2^(5 u / 24), f = 1, 2, 3,    F_4 = 3300 2^(5 u / 48) Hz,    u ~ U(0, 1)              (1)

T holds the men's means of Peterson and Barney 1952, "Control Methods Used in a Study of the Vowels", within 3 % (from
the copy of the data in the R package phonTools).  With bandwidths B_f at sampling rate R the tract is the filter 1 / A,

    A(z) = prod over f of (1 - 2 q_f cos(2 pi F_f / R) z^-1 + q_f^2 z^-2),    q_f = exp(-pi B_f / R)  (2)

(Klatt 1980, "Software for a cascade/parallel formant synthesizer", up to the gains.)

Period.  The source has harmonics of equal size, so a clean period of D = 64 samples is

    m_t(v, u) = c sum over k = 1 ... 31 of Re[e^(2 pi i k t / D) / A(e^(2 pi i k / D))]               (3)

with c such that the mean of m_t^2 is 1.  A real voice has less power at high frequencies: to hear one, play
y_t = x_t + 0.95 y_(t-1).  All vowels are equally likely, and white noise of standard deviation s is added:

    p(x) = 1/10 sum_v integral over u of N(x; m(v, u), s^2 I) du                                      (4)
    r(v, u | x) = N(x; m(v, u), s^2 I) / (10 p(x)),   the posterior of vowel and u                    (5)
    score      = (E[m | x] - x) / s^2,   E[m | x] = sum_v integral of r(v, u | x) m(v, u) du          (6)
    E[x0 | x0 + sigma eps = x] = M + s^2 / (s^2 + sigma^2) (x - M),   M = E[m | x] at noise
                                 (s^2 + sigma^2)^(1/2)                                                (7)

The integrals are midpoint sums of 512 nodes.  Given x and v, u has a standard deviation of 0.002 to 0.01, at least
one step; with 128 nodes log p of some rows is off by 0.5 nats.  With a random circular shift,

    p(x) = 1/64 sum over j of p_fixed(x shifted back by j)                                            (8)

Checked in tests/data/test_vowels.py::test_a_period_is_the_filter_run_on_pulses_until_it_repeats
Checked in tests/data/test_vowels.py::test_log_prob_and_posterior_are_the_naive_loop
Checked in tests/data/test_vowels.py::test_the_quadrature_has_converged_at_512_nodes
Checked in tests/data/test_vowels.py::test_denoise_is_tweedies_formula
Symbols: N rows, D = 64 samples, V = 10 vowels, u of the tract, s noise; M = V x nodes clean periods.
"""
from dataclasses import dataclass
from functools import cached_property
from math import hypot, log, pi

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import double_rows

RATE = 8000                    # R, Hz
DIM = 64                       # D: a pitch of 125 Hz
VOWELS = ("heed", "hid", "head", "had", "hod", "hawed", "hood", "who'd", "hud", "heard")
FORMANTS = np.array([          # T, Hz
    [267, 2294, 2937], [392, 1993, 2569], [526, 1854, 2481], [664, 1727, 2420], [718, 1091, 2442],
    [568, 836, 2403], [437, 1023, 2245], [307, 876, 2239], [631, 1192, 2377], [489, 1360, 1709]], dtype=float)
FOURTH = 3300.0                # Hz; by hand, as are the bandwidths, in the range of Klatt's table II
BANDWIDTHS = np.array([60.0, 90.0, 150.0, 200.0])
SCALE = 5 / 24                 # octaves: tracts that differ by 15 %, as those of men and women do; by hand
ROWS = 8000                    # of entropy(), whose standard error is then 0.01 nats
CHUNK = 100                    # rows worked on at once: 100 x 5,120 numbers are 4 MB; not swept


def formants(vowel, u):
    """F_1 ... F_4 in Hz, (N, 4), of vowels (N,) 0 ... 9 and u (N,)."""
    u = np.asarray(u, dtype=float)[:, None]
    return np.concatenate([FORMANTS[vowel] * 2 ** (SCALE * u), FOURTH * 2 ** (SCALE / 2 * u)], axis=1)       # (1)


def predictor(F):
    """The coefficients of z^0, z^-1 ... z^-8 in A, (N, 9), for formants F (N, 4)."""
    q, A = np.exp(-pi * BANDWIDTHS / RATE), np.eye(1, 9).repeat(len(F), axis=0)
    for f in range(4):
        A = (A - 2 * q[f] * np.cos(2 * pi * F[:, f, None] / RATE) * _later(A, 1) + q[f] ** 2 * _later(A, 2))   # (2)
    return A


def _later(A, n):
    """A z^-n; the coefficients that leave the array are 0."""
    return np.pad(A, [(0, 0), (n, 0)])[:, :A.shape[1]]


def resonances(F):
    """The clean periods m (N, 64) of formants F (N, 4)."""
    A = np.fft.rfft(predictor(F), DIM)                                            # (N, 33)
    A[:, [0, DIM // 2]] = np.inf                                                  # no constant, no harmonic 32
    m = np.fft.irfft(1 / A)
    return m / np.sqrt(np.mean(m * m, axis=1, keepdims=True))                     # (3)


def periods(vowel, u):
    """The clean periods m (N, 64) of vowels (N,) and u (N,)."""
    return resonances(formants(vowel, u))


@dataclass(frozen=True)
class Wavetables:
    """Noisy periods of fixed phase.

    >>> law, rng = Wavetables(), np.random.default_rng(0)
    >>> x, vowel, u = law.draw(5, rng)
    >>> bool((law.posterior(x).argmax(axis=1) == vowel).all())
    True
    """
    noise: float = 0.1                                      # s
    nodes: int = 512
    dim = DIM

    def __post_init__(self):
        checks.fields(self, noise=checks.positive, nodes=checks.size)

    @cached_property
    def clean(self):
        """m at the nodes, (M, 64), vowel by vowel."""
        return periods(np.repeat(np.arange(10), self.nodes), np.tile((np.arange(self.nodes) + 0.5) / self.nodes, 10))

    def draw(self, n, rng):
        """n rows (n, 64), with their vowels (n,) and u (n,)."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        vowel, u = rng.integers(10, size=n), rng.random(n)
        return periods(vowel, u) + self.noise * rng.standard_normal((n, DIM)), vowel, u

    def sample(self, n, rng):
        """n independent draws, (n, 64)."""
        return self.draw(n, rng)[0]

    def log_prob(self, x):
        """log p(x) in nats, (N,)."""
        return self._by_chunks(lambda x: self._posterior(x)[0], x)

    def posterior(self, x):
        """The probabilities of the ten vowels, (N, 10)."""
        return self._by_chunks(lambda x: self._posterior(x)[1].reshape(len(x), 10, -1).sum(axis=2), x)

    def posterior_of_u(self, x):
        """The density of u given x at the nodes, (N, nodes)."""
        return self._by_chunks(lambda x: self._posterior(x)[1].reshape(len(x), 10, -1).sum(axis=1), x) * self.nodes

    def clean_mean(self, x):
        """E[m | x], (N, 64)."""
        return self._by_chunks(lambda x: self._posterior(x)[1] @ self.clean, x)

    def nearest(self, x):
        """The vowel (N,) and u (N,) of the nearest clean period, and the root mean square of x - m (N,)."""
        x = double_rows(x, DIM)
        best = self._by_chunks(lambda x: (x @ self.clean.T).argmax(axis=1), x)    # all |m| are equal
        u = (best % self.nodes + 0.5) / self.nodes
        return best // self.nodes, u, np.sqrt(np.mean((x - self.clean[best]) ** 2, axis=1))

    def score(self, x):
        """grad log p(x), (N, 64)."""
        return (self.clean_mean(x) - double_rows(x, DIM)) / self.noise ** 2       # (6)

    def noised(self, sigma):
        """The distribution of x + sigma eps, eps ~ N(0, I)."""
        return type(self)(hypot(self.noise, checks.positive(sigma, "sigma")), self.nodes)

    def denoise(self, x, sigma):
        """E[x0 | x0 + sigma eps = x], (N, 64): no other denoiser has a smaller mean square error."""
        noised, x = self.noised(sigma), double_rows(x, DIM)
        m = noised.clean_mean(x)
        return m + (self.noise / noised.noise) ** 2 * (x - m)                     # (7)

    def entropy(self):
        """-E log p in nats: that of the noise, and the information of x on v and u, from ROWS fixed draws."""
        x, vowel, u = Wavetables.draw(self, ROWS, np.random.default_rng(0))
        square = np.sum((x - periods(vowel, u)) ** 2, axis=1) / self.noise ** 2
        information = np.mean(-square / 2 - self._log_constant - Wavetables.log_prob(self, x))
        return float(DIM / 2 + self._log_constant + information)

    def bounds(self):
        """A box (64, 2): 8 standard deviations of the noise around the clean periods."""
        return np.stack([self.clean.min(axis=0) - 8 * self.noise, self.clean.max(axis=0) + 8 * self.noise], axis=1)

    @property
    def _log_constant(self):
        """log of (2 pi s^2)^(D/2)."""
        return DIM * (log(self.noise) + log(2 * pi) / 2)

    def _posterior(self, x):
        """log p(x) (N,) and r at the nodes (N, M), for a few rows."""
        joint = (x @ self.clean.T) / self.noise ** 2                              # log N, but for what all m share
        peak = joint.real.max(axis=1, keepdims=True)
        r = np.exp(joint - peak)
        total = r.sum(axis=1, keepdims=True)
        square = (np.sum(x * x, axis=1) + DIM) / self.noise ** 2                  # |m|^2 = D
        log_p = (peak + np.log(total / self.clean.shape[0]))[:, 0] - square / 2 - self._log_constant         # (4)
        return log_p, r / total                                                   # (5)

    def _by_chunks(self, function, x):
        x = double_rows(x, DIM)
        return np.concatenate([function(x[i:i + CHUNK]) for i in range(0, len(x), CHUNK)])


@dataclass(frozen=True)
class ShiftedWavetables(Wavetables):
    """Noisy periods with a uniform circular shift of 0 ... 63 samples; 64 times the cost of the fixed phase."""

    def draw(self, n, rng):
        """n rows (n, 64), with their vowels (n,), u (n,) and shifts (n,)."""
        x, vowel, u = super().draw(n, rng)
        shift = rng.integers(DIM, size=n)
        return np.take_along_axis(x, (np.arange(DIM) - shift[:, None]) % DIM, axis=1), vowel, u, shift

    def log_prob(self, x):
        """log p(x) in nats, (N,)."""
        return self._over_shifts(x)[0]

    def posterior(self, x):
        return self._mean_over_shifts(super().posterior(_shifted_back(x)), x)

    def posterior_of_u(self, x):
        return self._mean_over_shifts(super().posterior_of_u(_shifted_back(x)), x)

    def posterior_of_shift(self, x):
        """The probabilities of the shifts 0 ... 63, (N, 64)."""
        return self._over_shifts(x)[1]

    def clean_mean(self, x):
        """E[m | x], (N, 64), m shifted."""
        m = super().clean_mean(_shifted_back(x)).reshape(-1, DIM, DIM)
        return self._mean_over_shifts(m[:, SHIFTS, (np.arange(DIM) - SHIFTS) % DIM], x)    # forward again

    def nearest(self, x):
        """As with fixed phase, for the best of the 64 shifts."""
        vowel, u, rms = (part.reshape(-1, DIM) for part in super().nearest(_shifted_back(x)))
        best = np.arange(len(x)), rms.argmin(axis=1)
        return vowel[best], u[best], rms[best]

    def entropy(self):
        """log 64 more, less what x leaves unclear of the shift: ROWS / 16 rows, standard error below 0.001."""
        x = Wavetables.draw(self, ROWS // 16, np.random.default_rng(1))[0]
        unclear = self.log_prob(x) - super().log_prob(x) + log(DIM)
        return Wavetables(self.noise, self.nodes).entropy() + log(DIM) - float(unclear.mean())

    def _over_shifts(self, x):
        """log p(x) (N,), and the posterior of the shift (N, 64)."""
        log_p = super().log_prob(_shifted_back(x)).reshape(-1, DIM)
        peak = log_p.real.max(axis=1, keepdims=True)
        p = np.exp(log_p - peak)
        total = p.sum(axis=1, keepdims=True)
        return (peak + np.log(total / DIM))[:, 0], p / total                      # (8)

    def _mean_over_shifts(self, values, x):
        """The mean of values (64 N, K), or (N, 64, K), over the posterior of the shift."""
        return np.einsum("nj,njk->nk", self.posterior_of_shift(x), values.reshape(len(x), DIM, -1))


SHIFTS = np.arange(DIM)[:, None]


def _shifted_back(x):
    """x (N, 64) shifted back by 0 ... 63, (64 N, 64)."""
    return double_rows(x, DIM)[:, (np.arange(DIM) + SHIFTS) % DIM].reshape(-1, DIM)
