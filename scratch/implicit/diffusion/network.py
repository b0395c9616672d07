"""The network of all diffusion models: a perceptron of noisy x, the noise level and a context.

Model.   x is noisy data, x0 + sigma eps, scaled to variance near 1.  For data of standard deviation
s the level of the noise is 1/4 log(sigma / s) (the 1/4 is that of Karras et al. 2022, "Elucidating
the Design Space of Diffusion-Based Generative Models", table 1).  The context is what else is known
of x0: the class of the row, one-hot (conditioning.py), or the code of a prompt (latent_diffusion.py).
    y = mlp([x, a_f sin(f x), a_f cos(f x), sin(w level), cos(w level), context])              (1)

A perceptron of raw coordinates learns low frequencies first and high ones hardly at all.  Sines of
its input cure that (Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency
Functions in Low Dimensional Domains").  But detail of x finer than its noise tells nothing of x0.
So a_f is the factor by which noise n eps in x, eps ~ N(0, 1), shrinks the expectation of sin(f x):
    a_f = E[exp(i f n eps)] = exp(-1/2 f^2 n^2)              (Barron et al. 2021, "Mip-NeRF")  (2)
    n^2 = sigma^2 / (sigma^2 + s^2) = sigmoid(8 level)

Gradient.  For S = a sin(f x) and C = a cos(f x) the pullback (vector-Jacobian product) and the
tangent (Jacobian-vector product) are
    dx += f (C dS - S dC)                                                                      (3)
    S_dot = f C x_dot,      C_dot = -f S x_dot                                                 (4)

Checked in tests/implicit/diffusion/test_network.py::test_pullback_in_every_parameter_and_input
Checked in tests/implicit/diffusion/test_network.py::test_tangent_is_the_derivative_along_x_dot
Symbols: N batch, D data, F frequencies of x, W frequencies of the level, C context, P parameters.
"""
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from scratch import checks
from scratch.kernels.dense import mlp, mlp_blocks, mlp_init, mlp_jvp, mlp_size, mlp_views
from scratch.kernels.stable import sigmoid
from scratch.learning.training import USUAL_STD

# Octaves of x, by hand.  Without the 8 the KL is 0.02 to 0.09 nats higher on ring, grid and spirals;
# a 16 lowers it on the grid only, by 0.04 (Diffusion, 2,000 steps of 64-64, one seed).
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)
LEVEL_FREQUENCIES = tuple(np.pi / 2 * np.arange(1, 5))  # a Fourier series on -2 ... 2, where most levels are
LAST_LAYER = 0.1               # of its usual size at the start, by hand; 0.01 to 1 give the same KL


class OnNetwork:
    """Base of models with dim and hidden whose theta is that of one Network, self.network."""
    context_dim, frequencies = 0, FREQUENCIES               # what the models without such fields have

    def __post_init__(self):
        checks.fields(self, dim=checks.size, hidden=checks.widths)
        object.__setattr__(self, "network", Network(self.dim, self.hidden, self.context_dim, self.frequencies))

    @cached_property
    def size(self):
        """P, the length of theta."""
        return self.network.size

    unit = property(lambda self: self.sigma_data / USUAL_STD)       # of length: sigma_data is 1.5 of it

    @property
    def blocks(self):
        """Name -> slice of theta, for each weight and bias."""
        return mlp_blocks(self.network.widths)

    def init(self, rng, dtype=np.float32):
        """Random theta (P,); the last layer is small, so that the network starts near 0."""
        theta = mlp_init(rng, self.network.widths, checks.dtype(dtype))
        last, _ = mlp_views(theta, self.network.widths)[-1]
        last *= LAST_LAYER
        return theta


@dataclass(frozen=True)
class Network:
    """(x (N, D), level: one or (N,), context (N, C)) -> y (N, D), with its pullback and its tangent.

    context None: nothing is known of x0, zeros in (1).
    """
    dim: int
    hidden: tuple
    context_dim: int = 0                                    # C
    frequencies: tuple = FREQUENCIES                        # of x; () leaves the sines out

    def __post_init__(self):
        checks.size(self.dim, "dim"), checks.size(self.context_dim, "context_dim", minimum=0)
        if not isinstance(self.frequencies, tuple):
            raise TypeError(f"frequencies must be a tuple of positive numbers, got {checks.brief(self.frequencies)}")
        object.__setattr__(self, "frequencies", tuple(checks.positive(f, "each of frequencies")
                                                      for f in self.frequencies))

    @cached_property
    def widths(self):
        """The sizes of the perceptron's layers, features first."""
        features = self.dim * (1 + 2 * len(self.frequencies)) + 2 * len(LEVEL_FREQUENCIES) + self.context_dim
        return (features, *self.hidden, self.dim)

    size = cached_property(lambda self: mlp_size(self.widths))                    # P

    def __call__(self, theta, x, level, context=None):
        """y (N, D), and pull(dy, need_dx=True) -> (dtheta, dx, dcontext); the last two None if not needed."""
        features, (f, S, C) = self._features(x, level, context)
        y, pull_mlp = mlp(theta, features, self.widths)                           # (N, D)  (1)

        def pull(dy, need_dx=True):
            dtheta, dfeatures = pull_mlp(dy, need_dx)                             # d(1)
            if not need_dx:
                return dtheta, None, None
            dS, dC = self._waves(dfeatures.T)
            dx = dfeatures[:, :self.dim] + (f * (C * dS - S * dC)).sum(axis=0).T  # (3)
            return dtheta, dx, dfeatures[:, self.widths[0] - self.context_dim:]   # d(1)

        return y, pull

    def jvp(self, theta, x, x_dot, level, context=None):
        """y, y_dot = dy/dx x_dot (N, D), and pull(dy, dy_dot) -> dtheta."""
        features, (f, S, C) = self._features(x, level, context)
        features_dot = np.zeros(features.T.shape, np.result_type(features, x_dot))
        features_dot[:self.dim] = x_dot.T
        self._waves(features_dot)[:] = f * C * x_dot.T, -f * S * x_dot.T          # (4)
        y, y_dot, pull_mlp = mlp_jvp(theta, features, features_dot.T, self.widths)
        return y, y_dot, lambda dy, dy_dot: pull_mlp(dy, dy_dot)[0]

    def _features(self, x, level, context=None):
        """The input of mlp (N, widths[0]), and f (F, 1, 1), S and C (F, D, N) for (3) and (4).

        Rows of x are the last axis until the end, because NumPy is fast along a long last axis.
        """
        f, w = _frequencies(self.frequencies, x.real.dtype)
        context = self._context(context, x)
        level = np.broadcast_to(level, (len(x),)).astype(w.dtype)
        features = np.empty((self.widths[0], len(x)), np.result_type(x, context))
        features[:self.dim] = x.T
        S, C = waves = self._waves(features)
        np.multiply(f, x.T, out=C)
        np.sin(C, out=S), np.cos(C, out=C)
        waves *= np.exp(-0.5 * f * f * sigmoid(8 * level)[0])                     # (F, 1, N)  (2)
        rest = features[self.dim + waves[..., 0].size:]                           # (2 W + C, N)
        np.sin(w * level, out=rest[:len(w)]), np.cos(w * level, out=rest[len(w):2 * len(w)])
        rest[2 * len(w):] = context.T
        return features.T, (f, S, C)

    def _context(self, context, x):
        """context (N, C), zeros for None; if it is real, in the precision of x, which it must not widen."""
        if context is None:
            return np.zeros((len(x), self.context_dim), x.dtype)
        context = checks.array(context, "context")
        if context.shape != (len(x), self.context_dim):
            raise ValueError(f"context must have shape {(len(x), self.context_dim)}, got {context.shape}")
        return context.astype(x.real.dtype, copy=False) if context.dtype.kind == "f" else context

    def _waves(self, features):
        """The rows of features (..., N) that hold S and C, as (2, F, D, N)."""
        F = len(self.frequencies)
        return features[self.dim:self.dim * (1 + 2 * F)].reshape(2, F, self.dim, features.shape[1])


@lru_cache
def _frequencies(frequencies, dtype):
    """f (F, 1, 1) and w (W, 1) in this precision."""
    return np.array(frequencies, dtype)[:, None, None], np.array(LEVEL_FREQUENCIES, dtype)[:, None]
