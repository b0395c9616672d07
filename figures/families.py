"""The families of the ledger, each with one setting for all distributions."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scratch.data.discrete import BITS, WINDOW, decode, encode
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.made import MADE
from scratch.explicit.mixture_em import MixtureEM
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.ddpm import DDPM
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.flow_matching import FlowMatching
from scratch.implicit.gan import GAN
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe


class Codes:
    """MADE on the Gray codes of points (data/discrete.py), as a density of the plane.

    Codes cover [-4, 4]^2.  So beyond EDGE a coordinate a is squeezed into the rest of the window,
        y = sign(a) (EDGE + h (1 - exp(-(|a| - EDGE) / h))),    h = 4 - EDGE,    log |dy/da| = -(|a| - EDGE) / h
    and inside y = a.  The density is that of a uniform point in the code's cell, q(x) = P(code) / area |dy/dx|.
    """
    EDGE = 3.5
    # Both sign bits first, then both leading bits, and so on: from coarse to fine.
    ORDER = tuple(np.arange(2 * BITS).reshape(2, BITS).T.ravel().tolist())

    def __init__(self, hidden):
        self.made = MADE(2 * BITS, hidden=hidden, orders=[self.ORDER])
        self.init, self.draw_noise = self.made.init, self.made.draw_noise

    def loss(self, theta, x, noise):
        """-mean log P(code) in nats, and its gradient."""
        return self.made.loss(theta, encode(self._squeeze(x)[0]), noise)

    def log_prob(self, theta, x):
        """log q(x) in nats, (N,)."""
        y, log_slope = self._squeeze(x)
        return self.made.log_prob(theta, encode(y)) - 2 * np.log(WINDOW / 2 ** (BITS - 1)) + log_slope

    def sample(self, theta, n, rng):
        """n rows: a code each, then a point of its cell."""
        cell, h = WINDOW / 2 ** (BITS - 1), WINDOW - self.EDGE
        y = decode(self.made.sample(theta, n, rng)) + cell * (rng.random((n, 2)) - 0.5)
        left = np.maximum(np.abs(y) - self.EDGE, 0) / h     # < 1: the part of the rest that is used
        return np.where(left > 0, np.sign(y) * (self.EDGE - h * np.log1p(-left)), y)

    def _squeeze(self, x):
        """y (N, 2) inside the window, and log |det dy/dx| (N,)."""
        x, h = x.astype(float), WINDOW - self.EDGE
        away = np.maximum(np.abs(x) - self.EDGE, 0) / h
        return np.where(away > 0, np.sign(x) * (self.EDGE - h * np.expm1(-away)), x), -away.sum(axis=1)


@dataclass(frozen=True)
class Family:
    """A model and its one setting.  nodes: per axis of the quadrature; 0: its density is too rough, or none."""
    color: str
    make: Callable                          # effort -> model
    steps: int                              # of training; EM: at most
    nodes: int = 0
    bound: bool = False                     # a bound takes the place of the density
    recipe: Recipe = None                   # by default the model's own


def _default(model, quick):
    """effort -> the model as it is, or a small one."""
    return lambda effort: model(2) if effort == "full" else model(2, **quick)


SMALL = dict(hidden=(8,))
FAMILIES = {
    "mixture by EM": Family("mixture", lambda effort: MixtureEM(64 if effort == "full" else 4), 100, 192),
    "autoregressive": Family("autoregressive", _default(AutoregressiveMixture, SMALL), 10_000, 288),
    "MADE on bits": Family("autoregressive", lambda effort: Codes((256, 256) if effort == "full" else (32,)), 4000,
                           recipe=Recipe(Adam(5e-3, beta2=0.99), batch_size=512)),
    "VAE": Family("vae", _default(VAE, SMALL), 6000, 64),
    "GAN": Family("gan", _default(GAN, SMALL), 3500, 96),
    "diffusion": Family("diffusion", _default(Diffusion, SMALL), 10_000, 72),
    "DDPM": Family("diffusion", _default(DDPM, dict(SMALL, steps=20)), 10_000, bound=True),
    "flow matching": Family("second diffusion", _default(FlowMatching, SMALL), 10_000, 72),
}
