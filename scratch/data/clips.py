"""Clips: 64 ms of a vowel, voiced or whispered.  The LPC vocoder as a distribution, with an exact density.

Filter.  One of 60, all equally likely: the vowels of vowels.py at u = 0, 1/5, ... 1.  Its all-pole A has nine
coefficients a_0 = 1, a_1 ... a_8.

Source.  With probability 3/4 it is voiced: a pulse at t = j + n P for all integers n, and noise with 2 % of the power,

    e_t = g (sqrt(0.98 P) [P divides t - j] + sqrt(0.02) eps_t),    eps_t ~ N(0, 1)                   (1)
    e_t = g eps_t                                                   if whispered                      (2)

The period P is uniform on 32 ... 80 samples (100 to 250 Hz at 8 kHz), and j on 0 ... P - 1.  The filter has run
forever when the clip starts, and g gives it mean power 1:

    x_t = e_t - sum over i = 1 ... 8 of a_i x_(t-i),       mean over t of E x_t^2 = 1                 (3)

(Atal and Hanauer 1971, "Speech Analysis and Synthesis by Linear Prediction of the Speech Wave", has this model of
speech.)  The source is flat, as after pre-emphasis: to hear a clip, play y_t = x_t + 0.95 y_(t-1).

Whitening.  Let b be the standard deviation of the noise in e, and S = L L^T the covariance of eight samples of the
filter's output for white noise of variance 1.  The matrix W of filter f makes that output white:

    (W x)_t = (L^-1 (x_0 ... x_7))_t for t < 8,    (W x)_t = sum of a_i x_(t-i), i = 0 ... 8, for t >= 8  (4)

The response m to the pulses is periodic.  For t < 8, W m is L^-1 (m_0 ... m_7), and for t >= 8 it is the pulses
themselves.  So under a hypothesis h = (filter, P, j), or (filter, whispered) with m = 0,

    log p(x | h) = - D/2 log(2 pi b^2) - log det L - |W x - W m|^2 / (2 b^2)                          (5)
    |W x - W m|^2 = |W x|^2 - 2 <W x, W m> + |W m|^2,     a matched filter: for t >= 8 the inner product
                    is a sum over every P-th sample of W x                                            (6)
    log p(x) = log sum_h p(h) p(x | h),    p(h | x) = p(h) p(x | h) / p(x)                            (7)
    score = sum_h p(h | x) W^T (W m - W x) / b^2                                                      (8)

The sum has 60 x (2,744 + 1) terms: about 10 ms a clip.
Checked in tests/data/test_clips.py::test_log_prob_is_the_naive_sum_of_dense_gaussians
Checked in tests/data/test_clips.py::test_score_is_the_gradient_of_log_prob
Symbols: N rows, D = length, H hypotheses of one filter: (P, j) in order, whispered last.
"""
from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import numpy as np

from scratch import checks
from scratch.data.gaussian_mixture import double_rows
from scratch.data.vowels import formants, predictor

ORDER = 8                      # of the filter
SCALES = 6                     # lengths of the tract
VOICED, BREATH = 0.75, 0.02    # probability of a voiced source, and the noise's share of its power; by hand
LONG = 4096                    # samples after which the narrowest resonance, 60 Hz, has decayed by e^-96
ROWS = 50                      # of entropy()
CHUNK = 2 ** 18                # numbers worked on at once: one clip has 165,000; not swept


@dataclass(frozen=True)
class Clips:
    """Clips of `length` samples.

    >>> law, rng = Clips(length=256, periods=(40, 50, 60)), np.random.default_rng(0)
    >>> x, filters, period, phase = law.draw(4, rng)
    >>> bool((law.posterior(x).argmax(axis=1) == filters // 6).all())
    True
    """
    length: int = 512
    periods: tuple = tuple(range(32, 81))                   # P

    def __post_init__(self):
        checks.fields(self, length=checks.size, periods=lambda value, name: checks.widths(value, name))
        if self.length <= ORDER or min(self.periods, default=0) <= ORDER:
            raise ValueError(f"length and periods must be above {ORDER}, got {self.length} and {self.periods}")

    dim = property(lambda self: self.length)

    @cached_property
    def _filters(self):
        """A (60, 9), L (60, 8, 8), and the response of 1 / A to one pulse (60, LONG)."""
        A = predictor(formants(np.repeat(np.arange(10), SCALES), np.tile(np.arange(SCALES) / (SCALES - 1), 10)))
        H = 1 / np.fft.rfft(A, LONG)
        lag = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))
        return A, np.linalg.cholesky(np.fft.irfft(np.abs(H) ** 2)[:, lag]), np.fft.irfft(H)

    @cached_property
    def _hypotheses(self):
        """P and j (H,), log p(h) (H,), b and the pulses' height (60, H), and W m for pulses of height 1:
        its part t < 8, (60, H, 8), and |W m|^2, (60, H)."""
        A, L, response = self._filters
        noise = np.sum(response ** 2, axis=1)                                     # power for e = eps
        P = np.repeat(self.periods, self.periods)
        j = np.concatenate([np.arange(P) for P in self.periods])
        power, early = [], []
        for period in self.periods:
            m = _sums(response, period)                                           # (60, period), for j = 0
            power.append(np.repeat(np.sum(m * m, axis=1)[:, None], period, axis=1))          # of pulses sqrt(P)
            early.append(m[:, (np.arange(ORDER) - np.arange(period)[:, None]) % period] @ np.linalg.inv(L).mT)
        g = ((1 - BREATH) * np.concatenate(power, axis=1) + BREATH * noise[:, None]) ** -0.5       # (3)
        later = (self.length - 1 - j) // P - (ORDER - 1 - j) // P                 # pulses at t >= 8
        early = np.concatenate([*early, np.zeros((60, 1, ORDER))], axis=1)
        return (np.append(P, 0), np.append(j, 0),
                np.append(np.log(VOICED / (60 * len(self.periods) * P)), log((1 - VOICED) / 60)),
                np.column_stack([BREATH ** 0.5 * g, noise ** -0.5]),              # (1), (2)
                np.column_stack([((1 - BREATH) * P) ** 0.5 * g, np.zeros(60)]),
                early, np.sum(early ** 2, axis=2) + np.append(later, 0))

    @cached_property
    def _weights(self):
        """Of 1, <W x, W m for height 1> and |W x|^2 in log p(h) p(x | h), (60, H) each."""
        _, _, log_p, b, height, _, norm = self._hypotheses
        of_1 = log_p - self.length / 2 * np.log(2 * pi * b ** 2) - _log_det(self._filters[1])[:, None]
        return of_1 - height ** 2 * norm / (2 * b ** 2), height / b ** 2, -0.5 / b ** 2             # (5), (6)

    def draw(self, n, rng):
        """n clips (n, D), with their filters 6 v + 5 u, periods P (0: whispered) and phases j, (n,) each."""
        n, rng = checks.size(n, "n"), checks.generator(rng)
        P, j, _, b, height, early, _ = self._hypotheses
        f, k = rng.integers(60, size=n), rng.integers(len(self.periods), size=n)
        phase = rng.integers(np.asarray(self.periods)[k])
        h = np.where(rng.random(n) < VOICED, np.cumsum((0, *self.periods))[k] + phase, len(P) - 1)
        pulses = (np.arange(self.length) - j[h, None]) % np.maximum(P[h, None], 1) == 0
        pulses = np.concatenate([early[f, h], pulses[:, ORDER:]], axis=1)         # W m for height 1
        w = height[f, h, None] * pulses + b[f, h, None] * rng.standard_normal((n, self.length))     # (1), (2)
        A, L, _ = self._filters
        x = np.empty_like(w)
        x[:, :ORDER] = np.einsum("nij,nj->ni", L[f], w[:, :ORDER])                # W^-1
        for t in range(ORDER, self.length):
            x[:, t] = w[:, t] - np.sum(A[f, 1:] * x[:, t - 1::-1][:, :ORDER], axis=1)         # (3)
        return x, f, P[h], j[h]

    def sample(self, n, rng):
        """n independent draws, (n, D)."""
        return self.draw(n, rng)[0]

    def log_prob(self, x):
        """log p(x) in nats, (N,)."""
        return self._by_chunks(lambda x: self._posterior(x)[0], x)

    def posterior(self, x):
        """The probabilities of the ten vowels, (N, 10)."""
        return self._by_chunks(lambda x: self._posterior(x)[1].reshape(len(x), 10, -1).sum(axis=2), x)

    def best(self, x):
        """The most probable filter 6 v + 5 u, period P (0: whispered) and phase j of each row, (N,) each."""
        P, j, *_ = self._hypotheses
        best = self._by_chunks(lambda x: self._posterior(x)[1].reshape(len(x), -1).argmax(axis=1), x)
        return best // len(P), P[best % len(P)], j[best % len(P)]

    def score(self, x):
        """grad log p(x), (N, D)."""
        return self._by_chunks(self._score, x)

    def entropy(self):
        """-E log p in nats: -E log p(x, h) in closed form, less the entropy of p(h | x) on ROWS fixed draws."""
        L, (_, _, log_p, b, *_) = self._filters[1], self._hypotheses
        gaussian = self.length / 2 * np.log(2 * pi * np.e * b ** 2) + _log_det(L)[:, None]
        joint = np.sum(np.exp(log_p) * (gaussian - log_p))
        r = self._by_chunks(lambda x: self._posterior(x)[1], self.sample(ROWS, np.random.default_rng(0)))
        return float(joint + np.sum(r * np.log(np.maximum(r, 1e-300))) / ROWS)

    def _whitened(self, x):
        """W x for the 60 filters, (N, 60, D)."""
        A, L, _ = self._filters
        early = np.einsum("fij,nj->nfi", np.linalg.inv(L), x[:, :ORDER])          # (4)
        late = sum(A[:, i, None] * x[:, None, ORDER - i:self.length - i] for i in range(ORDER + 1))     # (4)
        return np.concatenate([early, late], axis=2)

    def _posterior(self, x):
        """log p(x) (N,), p(h | x) (N, 60, H) and W x, of a few rows."""
        w, early = self._whitened(x), self._hypotheses[5]
        late = np.concatenate([np.zeros_like(w[..., :ORDER]), w[..., ORDER:]], axis=2)
        inner = np.concatenate([_sums(late, P) for P in self.periods] + [np.zeros_like(w[..., :1])], axis=2)
        inner += (w[..., :ORDER].swapaxes(0, 1) @ early.mT).swapaxes(0, 1)        # (N, 60, H)  (6)
        of_1, of_inner, of_square = self._weights
        joint = of_1 + of_inner * inner + of_square * np.sum(w * w, axis=2, keepdims=True)                 # (5)
        peak = joint.real.max(axis=(1, 2), keepdims=True)
        r = np.exp(joint - peak)
        total = r.sum(axis=(1, 2), keepdims=True)
        return (peak + np.log(total))[:, 0, 0], r / total, w                      # (7)

    def _score(self, x):
        P, _, _, b, _, early, _ = self._hypotheses
        A, L, _ = self._filters
        _, r, w = self._posterior(x)
        pulses = r * self._weights[1]                                             # (N, 60, H)
        v = np.zeros_like(w)
        for period in self.periods:
            tiles = -(-self.length // period)
            v += np.tile(pulses[..., P == period], tiles)[..., :self.length]      # j = 0 ... P - 1 in order
        v[..., :ORDER] = (pulses.swapaxes(0, 1) @ early).swapaxes(0, 1)
        v -= w * np.sum(r / b ** 2, axis=2, keepdims=True)                        # sum_h p(h | x) (W m - W x) / b^2
        score = np.zeros_like(x)
        score[:, :ORDER] = np.einsum("fij,nfi->nj", np.linalg.inv(L), v[..., :ORDER])              # (8)
        for i in range(ORDER + 1):
            score[:, ORDER - i:self.length - i] += np.einsum("f,nft->nt", A[:, i], v[..., ORDER:])     # (8)
        return score

    def _by_chunks(self, function, x):
        x, n = double_rows(x, self.length), max(1, CHUNK // self._weights[0].size)
        return np.concatenate([function(x[i:i + n]) for i in range(0, len(x), n)])


def _sums(w, period):
    """The sums of w (..., T) over t = j, j + P, j + 2 P ... for j = 0 ... P - 1: (..., P)."""
    padded = np.zeros((*w.shape[:-1], -(-w.shape[-1] // period) * period), w.dtype)
    padded[..., :w.shape[-1]] = w
    return padded.reshape(*w.shape[:-1], -1, period).sum(axis=-2)


def _log_det(L):
    """log det of triangular matrices (60, 8, 8): (60,)."""
    return np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)
