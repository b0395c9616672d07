"""Convolution in one dimension and its transpose, as layers of the networks in convnet.py.

Arrange.   x (T, C) holds C channels at T times.  A kernel has k = m s taps, and s is its stride.  Two
linear maps move numbers and have no parameters.  Each is the transpose of the other:

    (1)  columns(x)[t, j] = x[s (t - l) + j]                 t = 0 ... T/s - 1,   j = 0 ... k - 1
    (2)  overlap(c)[i]    = sum of c[t, j] over all t, j with  s (t - l) + j = i

with l = floor((m - 1) / 2), about half a kernel.  Circular: times count modulo T.  Linear: x is 0
outside.  Channels come last, so that s samples of all channels are one block of memory.

Layers.    h (T, C) is a layer's input, W (in, out) its matrix, b one number a channel:

    (3)  convolution   a = columns(h) W + b                  (T, C) -> (T / s, O)
    (4)  transposed    a = overlap(h W) + b                  (T, C) -> (T s, O)
    (5)  dense         a = (mean of h over time) W + b       (T, C) -> (O);   T = 1: no mean

So each layer is a = after(before(h) W) + b, where before and after are (1), (2), a mean, or nothing.

Gradient.  Write ' for the transpose of a linear map: columns' = overlap, overlap' = columns.

    d(3) d(4) d(5)   de = after'(da),   dW = before(h)^T de,   db = sum of da,   dh = before'(de W^T)

A tone.    If k is no multiple of s, the outputs of (4) sum different numbers of taps.  k = 25 and s = 4
(Donahue et al. 2019, "Adversarial Audio Synthesis") sum 7, 6, 6, 6 taps in turn, so that a constant
becomes a tone at a quarter of the sampling rate, 28.0 dB below it.  Such a kernel is refused here.
Checked in tests/kernels/test_convolution.py::test_each_layer_is_the_naive_loop
Checked in tests/kernels/test_convolution.py::test_columns_and_overlap_are_transposes
Checked in tests/kernels/test_convolution.py::test_25_taps_over_4_make_a_tone_and_multiples_make_none

Symbols: N rows, T times, C channels in, O out, k taps, s stride, m = k / s.
Between layers h is (N T, C): each time of each row is a row of the products.
"""
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache

import numpy as np

from scratch import checks


def columns(x, width, stride, circular):
    """(N, T, C) -> (N, T / s, k C)."""
    n, m = x.shape[1] // stride, width // stride
    places, inside, _, _ = _places(n, m, circular)
    return _taken(x.reshape(len(x), n, -1), places.ravel(), inside.ravel()).reshape(len(x), n, -1)     # (1)


def overlap(c, width, stride, circular):
    """(N, T / s, k C) -> (N, T, C)."""
    n, m = c.shape[1], width // stride
    _, _, places, inside = _places(n, m, circular)
    parts = c.reshape(len(c), n * m, -1)
    x = _taken(parts, places[0], inside[0])
    for j in range(1, m):
        x += _taken(parts, places[j], inside[j])                                                   # (2)
    return x.reshape(len(c), n * stride, -1)


def _taken(blocks, places, inside):
    """The blocks (N, ., .) at these places, those outside as zeros."""
    taken = blocks.take(places, axis=1)
    if not inside.all():
        taken[:, ~inside] = 0
    return taken


@lru_cache(maxsize=None)
def _places(n, m, circular):
    """The block of x that is part j of column t, and whether it is inside: (n, m) each.  Then the part of a column,
    as a place in (n, m), that lands on block i, one for each j, and whether it is inside: (m, n) each."""
    t, j = np.arange(n)[:, None], np.arange(m)
    block, column = t + j - (m - 1) // 2, t - j + (m - 1) // 2
    inside, landing = ((at >= 0) & (at < n) | circular for at in (block, column))
    return block % n, inside, (column % n * m + j).T, landing.T


# ---- layers.  weights: (in, out) of W; sizes: of a row of the input and of the output; terms: in one output ----

@dataclass(frozen=True)
class Dense:
    """(5), for an input of `length` times."""
    inputs: int
    outputs: int
    length: int = 1

    def __post_init__(self):
        checks.fields(self, inputs=checks.size, outputs=checks.size, length=checks.size)

    @property
    def weights(self):
        return self.inputs, self.outputs

    @property
    def sizes(self):
        return self.length * self.inputs, self.outputs

    @property
    def terms(self):
        return self.inputs

    def before(self, h):                                    # the mean over time
        return h.reshape(-1, self.length, self.inputs).mean(axis=1) if self.length > 1 else h.reshape(-1, self.inputs)

    def before_transposed(self, dc):
        return np.repeat(dc / self.length, self.length, axis=0) if self.length > 1 else dc

    def after(self, e):
        return e

    after_transposed = after


@dataclass(frozen=True)
class Convolution:
    """(3).  shift: the input is first rolled by so many samples (phase shuffle, wave_gan.py)."""
    length: int                 # T of the input
    inputs: int                 # C
    outputs: int                # O
    width: int                  # k
    stride: int                 # s
    _: KW_ONLY
    circular: bool = True
    shift: int = 0

    def __post_init__(self):
        checks.fields(self, **dict.fromkeys(("length", "inputs", "outputs", "width", "stride"), checks.size))
        if self.width % self.stride or max(self.lengths) % self.stride:
            raise ValueError("a kernel's width and a convolution's length must be multiples of the stride, "
                             f"got width {self.width}, length {self.length}, stride {self.stride}")

    @property
    def lengths(self):
        return self.length, self.length // self.stride

    @property
    def weights(self):
        return self.width * self.inputs, self.outputs

    @property
    def sizes(self):
        return self.lengths[0] * self.inputs, self.lengths[1] * self.outputs

    @property
    def terms(self):
        return self.inputs * self.width * self.length // max(self.lengths)

    def before(self, h):                                    # (N T, C) -> (N T / s, k C)
        h = h.reshape(-1, self.length, self.inputs)
        h = np.roll(h, self.shift, axis=1) if self.shift else h
        return columns(h, self.width, self.stride, self.circular).reshape(-1, self.weights[0])

    def before_transposed(self, dc):
        dh = overlap(dc.reshape(-1, self.lengths[1], self.weights[0]), self.width, self.stride, self.circular)
        return (np.roll(dh, -self.shift, axis=1) if self.shift else dh).reshape(-1, self.inputs)

    def after(self, e):
        return e

    after_transposed = after


@dataclass(frozen=True)
class Transposed(Convolution):
    """(4)."""

    @property
    def lengths(self):
        return self.length, self.length * self.stride

    @property
    def weights(self):
        return self.inputs, self.width * self.outputs

    def before(self, h):
        return h.reshape(-1, self.inputs)

    def before_transposed(self, dc):
        return dc

    def after(self, e):                                     # (N T, k O) -> (N T s, O)
        e = e.reshape(-1, self.length, self.weights[1])
        return overlap(e, self.width, self.stride, self.circular).reshape(-1, self.outputs)

    def after_transposed(self, da):
        da = da.reshape(-1, self.lengths[1], self.outputs)
        return columns(da, self.width, self.stride, self.circular).reshape(-1, self.weights[1])
