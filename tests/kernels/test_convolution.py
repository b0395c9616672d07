import numpy as np
import pytest

from scratch.kernels.convnet import convnet, convnet_views
from scratch.kernels.convolution import Convolution, Dense, Transposed, columns, overlap

SHAPES = [(length, width, stride, circular) for length, width, stride in
          ((8, 2, 2), (8, 4, 2), (8, 6, 2), (12, 12, 3), (4, 8, 2), (2, 8, 2), (5, 3, 1), (4, 4, 4))
          for circular in (True, False)]


def tap(layer, t, j):
    """The sample that tap j of column t touches, or None outside."""
    i = layer.stride * (t - (layer.width // layer.stride - 1) // 2) + j
    longer = max(layer.lengths)
    return i % longer if layer.circular else i if 0 <= i < longer else None


def naive_convolution(layer, x, W, b):
    """The definition, one number at a time: x (N, T, C) and W (k, C, O)."""
    y = np.tile(b, (len(x), layer.lengths[1], 1))
    for n, t, o, j, c in np.ndindex(*y.shape, *W.shape[:2]):
        if (i := tap(layer, t, j)) is not None:
            y[n, t, o] += x[n, i, c] * W[j, c, o]
    return y


def naive_transposed(layer, x, W, b):
    """The definition, one number at a time: x (N, T, C) and W (C, k, O)."""
    y = np.tile(b, (len(x), layer.lengths[1], 1))
    for n, t, c, j, o in np.ndindex(*x.shape, *W.shape[1:]):
        if (i := tap(layer, t, j)) is not None:
            y[n, i, o] += x[n, t, c] * W[c, j, o]
    return y


@pytest.mark.parametrize("length, width, stride, circular", SHAPES)
@pytest.mark.parametrize("kind, naive", [(Convolution, naive_convolution), (Transposed, naive_transposed)])
def test_each_layer_is_the_naive_loop(kind, naive, length, width, stride, circular, rng):
    layer = kind(length, 2, 3, width, stride, circular=circular)
    theta, x = rng.normal(size=layer.weights[0] * layer.weights[1] + 3), rng.normal(size=(2, length, 2))
    (W, b), = convnet_views(theta, (layer,))
    y = convnet(theta, x.reshape(2, -1), (layer,))[0]
    W = W.reshape((width, 2, 3) if kind is Convolution else (2, width, 3))
    np.testing.assert_allclose(y, naive(layer, x, W, b).reshape(2, -1), rtol=1e-12, atol=1e-13)


def test_a_dense_layer_reads_the_mean_over_time(rng):
    layer, x = Dense(2, 3, 4), rng.normal(size=(5, 4, 2))
    theta = rng.normal(size=9)
    (W, b), = convnet_views(theta, (layer,))
    by_hand = [[sum(x[n, t, c] / 4 * W[c, o] for t in range(4) for c in range(2)) + b[o] for o in range(3)]
               for n in range(5)]
    np.testing.assert_allclose(convnet(theta, x.reshape(5, 8), (layer,))[0], by_hand, rtol=1e-12)


@pytest.mark.parametrize("length, width, stride, circular", SHAPES)
def test_columns_and_overlap_are_transposes(length, width, stride, circular, rng):
    """<c, columns(x)> = <overlap(c), x>, and the same of every layer's maps."""
    x, c = rng.normal(size=(2, length, 3)), rng.normal(size=(2, length // stride, width * 3))
    there, back = columns(x, width, stride, circular), overlap(c, width, stride, circular)
    assert there.shape == c.shape and back.shape == x.shape
    assert abs(np.sum(c * there) - np.sum(back * x)) < 1e-12
    for layer in (Convolution(length, 3, 2, width, stride, circular=circular, shift=1),
                  Transposed(length, 3, 2, width, stride, circular=circular), Dense(3, 2, length)):
        for name in ("before", "after"):
            times = 1 if isinstance(layer, Dense) else layer.lengths[isinstance(layer, Convolution) and
                                                                     not isinstance(layer, Transposed)]
            h = rng.normal(size=(2 * length, 3) if name == "before" else (2 * times, layer.weights[1]))
            there = getattr(layer, name)(h)
            c = rng.normal(size=there.shape)
            back = getattr(layer, f"{name}_transposed")(c)
            assert abs(np.sum(c * there) - np.sum(back.reshape(h.shape) * h)) < 1e-12


@pytest.mark.parametrize("circular", [True, False])
def test_transposed_is_the_adjoint_of_convolution(circular, rng):
    """<y, C x> = <C' y, x> with the same kernel and no bias."""
    down, up = Convolution(12, 2, 3, 6, 3, circular=circular), Transposed(4, 3, 2, 6, 3, circular=circular)
    W, x, y = rng.normal(size=(12, 3)), rng.normal(size=(5, 24)), rng.normal(size=(5, 12))
    there = convnet(np.concatenate([W.ravel(), np.zeros(3)]), x, (down,))[0]
    back = convnet(np.concatenate([W.T.ravel(), np.zeros(2)]), y, (up,))[0]
    assert abs(np.sum(y * there) - np.sum(back * x)) < 1e-12


def test_a_circular_convolution_commutes_with_shifts_by_its_stride_and_a_linear_one_does_not(rng):
    theta, x = rng.normal(size=8 * 2 * 3 + 3), rng.normal(size=(2, 16, 2))
    for circular in (True, False):
        layer = (Convolution(16, 2, 3, 8, 4, circular=circular),)
        y, moved = (convnet(theta, part.reshape(2, -1), layer)[0].reshape(2, 4, 3) for part in (x, np.roll(x, 4, axis=1)))
        assert np.allclose(np.roll(y, 1, axis=1), moved, rtol=1e-12) == circular


def test_a_shift_rolls_the_input(rng):
    theta, x = rng.normal(size=8 * 2 * 3 + 3), rng.normal(size=(2, 16, 2))
    plain, shifted = Convolution(16, 2, 3, 8, 4), Convolution(16, 2, 3, 8, 4, shift=-2)
    np.testing.assert_array_equal(convnet(theta, x.reshape(2, -1), (shifted,))[0],
                                  convnet(theta, np.roll(x, -2, axis=1).reshape(2, -1), (plain,))[0])


# ---- the tone ----

def upsampled(taps, stride, n=40):
    """A constant through a transposed convolution with these taps, its borders left out."""
    y = np.zeros(n * stride + len(taps))
    for t in range(n):
        y[t * stride:t * stride + len(taps)] += taps
    return y[10 * stride:30 * stride]


def line(y, stride):
    """The level of the line at 1 / stride of the sampling rate, in dB of the constant part."""
    spectrum = np.abs(np.fft.fft(y))
    return 20 * np.log10(max(spectrum[len(y) // stride], 1e-15 * spectrum[0]) / spectrum[0])


def test_25_taps_over_4_make_a_tone_and_multiples_make_none():
    """Uneven overlap (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"), in WaveGAN's sizes."""
    wavegans = upsampled(np.ones(25), 4)
    np.testing.assert_array_equal(wavegans[:8], [7, 6, 6, 6] * 2)
    assert abs(line(wavegans, 4) + 20 * np.log10(25)) < 1e-9 and abs(line(wavegans, 4) + 27.96) < 0.01
    assert line(upsampled(np.ones(24), 4), 4) < -250
    layer = Transposed(8, 1, 1, 24, 4)
    y = convnet(np.append(np.ones(24), 0.0), np.ones((1, 8)), (layer,))[0]
    np.testing.assert_array_equal(y, np.full((1, 32), 6.0))


@pytest.mark.parametrize("call, error, says", [
    (lambda: Transposed(8, 1, 1, 25, 4), ValueError, "multiples of the stride, got width 25"),
    (lambda: Convolution(8, 1, 1, 25, 4), ValueError, "multiples of the stride, got width 25"),
    (lambda: Convolution(10, 1, 1, 24, 4), ValueError, "length 10"),
    (lambda: Convolution(8, 1, 0, 24, 4), ValueError, "outputs must be at least 1"),
    (lambda: Transposed(8, 1, 1, 24.0, 4), TypeError, "width must be an integer"),
    (lambda: Dense(3, 2, 0), ValueError, "length must be at least 1"),
])
def test_bad_sizes_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
