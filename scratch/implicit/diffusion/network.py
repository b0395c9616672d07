"""The network of all diffusion models: a perceptron that sees x, the noise level and perhaps a class.

    F(x, level, label) = mlp([x, a_k sin(k x), a_k cos(k x), sin(w level), cos(w level), onehot(label)])

The input x is noisy data scaled to unit size, x = c (x0 + sigma eps), and

    level = 1/4 log(sigma / s)                    s: the standard deviation of the data; |level| is at most about 2

A perceptron fed with raw coordinates learns slow functions first and fine ones
hardly at all; a few sines of its input cure that (Tancik et al. 2020).  But noise
blurs: what varies faster than the noise of x is not there to be seen, and the
network would only learn to wiggle.  So each sine has the size that it keeps in the
mean when noise of standard deviation n is added to its argument,

    a_k = E[exp(i k n eps)] = exp(-1/2 k^2 n^2),       n^2 = sigma^2 / (sigma^2 + s^2) = sigmoid(8 level)

n being the noise in x (as Barron et al. 2021, Mip-NeRF, blur the features of
a cone).  Frequencies are fixed, so features have no parameters, and one rule serves
the pullback and the tangent:

    f = a sin(k x)   ->   f_dot = a k cos(k x) x_dot,      dx += a k cos(k x) df

Symbols: N rows, D data, K frequencies of x, C classes (0 = none).
"""
from dataclasses import dataclass

import numpy as np

from scratch import checks
from scratch.kernels.dense import mlp, mlp_init, mlp_jvp, mlp_size, mlp_views
from scratch.kernels.stable import sigmoid

FREQUENCIES = (1.0, 2.0, 4.0, 8.0)                          # of x
LEVEL_FREQUENCIES = tuple(np.pi / 2 * np.arange(1, 5))


@dataclass(frozen=True)
class Network:
    """(x (N, D), level (N,), label (N,)) -> y (N, D), with its pullback and its tangent.

    classes: labels 0 ... classes - 1, and -1 for "no class given" (all zeros in
    the one-hot code); classes = 0 is the unconditional network.
    """
    dim: int
    hidden: tuple
    classes: int = 0

    def __post_init__(self):
        checks.size(self.dim, "dim")
        checks.size(self.classes, "classes", minimum=0)
        object.__setattr__(self, "hidden", checks.widths(self.hidden))

    @property
    def widths(self):
        """The perceptron's layers, features first."""
        features = self.dim * (1 + 2 * len(FREQUENCIES)) + 2 * len(LEVEL_FREQUENCIES) + self.classes
        return (features, *self.hidden, self.dim)

    @property
    def size(self):
        """The length of theta."""
        return mlp_size(self.widths)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,); the last layer is small, so that F starts near 0."""
        theta = mlp_init(rng, self.widths, dtype)
        W_last, _ = mlp_views(theta, self.widths)[-1]
        W_last *= 0.1
        return theta

    def __call__(self, theta, x, level, label=None):
        """y (N, D), and pull(dy) -> (dtheta, dx)."""
        features, slope = self._features(x, level, label)
        y, pull_mlp = mlp(theta, features, self.widths)

        def pull(dy):
            dtheta, dfeatures = pull_mlp(dy)
            return dtheta, self._pull_features(dfeatures, slope)

        return y, pull

    def jvp(self, theta, x, x_dot, level, label=None):
        """y, y_dot = dy/dx x_dot (N, D), and pull(dy, dy_dot) -> dtheta."""
        features, slope = self._features(x, level, label)
        features_dot = np.zeros_like(features, np.result_type(features, x_dot))
        features_dot[:, :len(slope) * self.dim] = (slope * x_dot.T).reshape(-1, len(x)).T
        y, y_dot, pull_mlp = mlp_jvp(theta, features, features_dot, self.widths)
        return y, y_dot, lambda dy, dy_dot: pull_mlp(dy, dy_dot)[0]

    def _features(self, x, level, label):
        """features (N, F), and d(feature)/dx (1 + 2 K, D, N): each feature of x looks at one coordinate.

        Rows come last on the way: NumPy is fast along a long last axis.
        """
        k = np.asarray(FREQUENCIES, x.real.dtype)[:, None, None]                  # (K, 1, 1)
        w = np.asarray(LEVEL_FREQUENCIES, x.real.dtype)[:, None]                  # (W, 1)
        level = np.broadcast_to(level, (len(x),)).astype(w.dtype)
        variance = sigmoid(8 * level)[0]                                          # n^2, of the noise in x (N,)
        size, turn = np.exp(-0.5 * k * k * variance), k * x.T                     # (K, 1, N), (K, D, N)
        sine, cosine = size * np.sin(turn), size * np.cos(turn)
        slope = np.concatenate([np.ones_like(x.T)[None], k * cosine, -k * sine])
        parts = [x.T, sine.reshape(-1, len(x)), cosine.reshape(-1, len(x)), np.sin(w * level), np.cos(w * level)]
        label = np.asarray(-1 if label is None else label)
        if label.dtype.kind not in "iu" or label.min() < -1 or label.max() >= self.classes:
            raise ValueError(f"label must hold integers from -1 to {self.classes - 1}, got {label}")
        if self.classes:
            label = np.broadcast_to(label, (len(x),))
            parts.append((label == np.arange(self.classes)[:, None]).astype(w.dtype))
        return np.concatenate(parts).T, slope

    def _pull_features(self, dfeatures, slope):
        of_x = dfeatures.T[:len(slope) * self.dim].reshape(slope.shape)
        return (of_x * slope).sum(axis=0).T                                       # (N, D)
