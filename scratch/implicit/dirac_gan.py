"""The Dirac-GAN: the smallest game in which a GAN's training can be computed with a pencil.

(Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually
Converge?")  All data lie at 0.  The generator is one number theta, the place
where it puts all its samples; the discriminator is one number psi, the slope of
D(x) = psi x.  So D(data) = 0, D(fake) = psi theta =: u, and D' = psi everywhere.
The objectives are those of gan.py, for one datum and one sample:

                     discriminator's loss        generator's loss      dL_D/du, dL_G/du at u = 0
    minimax          softplus(u) + log 2         -softplus(u)           1/2, -1/2
    non_saturating   softplus(u) + log 2         softplus(-u)           1/2, -1/2
    relativistic     softplus(u)                 softplus(-u)           1/2, -1/2
    wasserstein      u                           -u                     1, -1

    R1 and R2: gamma / 2 psi^2 each, on real and on fake samples, added to the discriminator's
    gradient penalty of WGAN-GP: lambda (|psi| - 1)^2

The equilibrium is theta = psi = 0.  There the game's vector field v, each
player's gradient of its own loss, has with a = dL_D/du the Jacobian

    J = [[0, -a], [a, c]],     c = gamma for each of R1, R2       (rows: theta, psi)

Without c the players turn around each other for ever: J is a rotation.  A step
of length h multiplies the distance to equilibrium by the spectral radius of

    simultaneous   I - h J                                      sqrt(1 + h^2 a^2) > 1 without c: they spiral out
    alternating    (I - h J, psi's row) (I - h J, theta's row)  det = 1 - h c:     exactly 1 without c

(theta moves first, and psi then sees the new theta).  With c both come down
by about 1 - h c / 2 a step; beyond c = 2 a the two roots are real and one is slow.
gan.py's zero-centered gamma is R1 and R2 at once: c = 2 gamma.

WGAN-GP has no J: |psi| has a kink at psi = 0, where the penalty pushes psi away at
the speed 2 lambda.  It cannot arrive, whatever h (Mescheder et al., section 3).  For
lambda < 1 the players go around for ever.  For lambda >= 1 they come to rest, but at
theta = +-2 lambda, psi -> 0, where this push and that of the fake samples cancel:
J there is [[0, -1], [1, 2 lambda]], whose eigenvalues lambda +- sqrt(lambda^2 - 1) are real.

In continuous time minimax and wasserstein conserve theta^2 + psi^2 exactly, but under
non_saturating and relativistic it changes at the rate -2 u tanh(u / 2) <= 0.  They converge,
slower than any exponential, and the Jacobian, which sees no third order, says 0.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.gan import one_centered


@dataclass(frozen=True)
class DiracGAN:
    """The game of (theta, psi) under an objective of gan.py, with weights of the penalties.

    >>> from scratch.implicit.gan import wasserstein
    >>> game = DiracGAN(wasserstein)
    >>> round(game.rate(0.1, game.simultaneous), 6)                     # sqrt(1 + 0.1^2): outward
    1.004988
    >>> round(DiracGAN(wasserstein, r1=1.0).rate(0.1, game.simultaneous), 6)
    0.953939
    """
    objective: Callable
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 0.0

    def __post_init__(self):
        if not callable(self.objective):
            raise TypeError(f"objective must be a function such as gan.relativistic, got {self.objective!r}")
        for name in ("r1", "r2", "gradient_penalty"):
            if not checks.constant(getattr(self, name), name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def field(self, state):
        """v = (dL_G/dtheta, dL_D/dpsi) at state = (theta, psi): a training step goes against it."""
        theta, psi = state
        dfake, dfooled = self._slopes(theta * psi)
        dpsi = dfake * theta + (self.r1 + self.r2) * psi
        if self.gradient_penalty:
            _, dslope = one_centered(np.array([[psi]]))
            dpsi += self.gradient_penalty * dslope[0, 0]
        return np.array([dfooled * psi, dpsi])

    def jacobian(self):
        """dv/d(theta, psi) at the equilibrium, (2, 2)."""
        if self.gradient_penalty:
            raise ValueError("the gradient penalty (|psi| - 1)^2 has a kink at psi = 0: there is no Jacobian")
        dfake, dfooled = self._slopes(0.0)
        return np.array([[0.0, dfooled], [dfake, self.r1 + self.r2]])

    def _slopes(self, u):
        """dL_D/du and dL_G/du: the objective for one datum, whose logit is 0, and one sample, whose logit is u."""
        _, (_, dfake, dfooled) = self.objective(np.zeros(1), np.array([u]))
        return dfake[0], dfooled[0]

    def simultaneous(self, h, jacobian):
        """The matrix by which one step moves (theta, psi) near equilibrium: both players see the old state."""
        return np.eye(2) - h * jacobian

    def alternating(self, h, jacobian):
        """The same when theta moves first, and psi answers the new theta."""
        first, second = np.eye(2), np.eye(2)
        first[0] -= h * jacobian[0]
        second[1] -= h * jacobian[1]
        return second @ first

    def rate(self, h, update):
        """The predicted factor per step of length h: the spectral radius of `update`, one of the two above.

        Above 1 the game expands, below it converges.
        """
        return float(np.abs(np.linalg.eigvals(update(checks.positive(h, "h"), self.jacobian()))).max())

    def simulate(self, start, h, steps, alternating=False):
        """The path (steps + 1, 2) of (theta, psi) from `start` under the game itself, nothing linearized."""
        start, h = checks.constant(start, "start"), checks.positive(h, "h")
        if start.shape != (2,):
            raise ValueError(f"start must be (theta, psi), got shape {start.shape}")
        path = np.empty((checks.size(steps, "steps") + 1, 2))
        path[0] = start
        for t in range(steps):
            if alternating:
                theta = path[t, 0] - h * self.field(path[t])[0]
                path[t + 1] = theta, path[t, 1] - h * self.field([theta, path[t, 1]])[1]
            else:
                path[t + 1] = path[t] - h * self.field(path[t])
        return path


def measured_rate(path):
    """The factor per step of a path near its equilibrium, from the path alone.

    The 2 x 2 matrix that takes each state to the next is fitted by least
    squares; its spectral radius does not depend on where the path was cut off,
    as a ratio of two distances would.
    """
    path = checks.rows(path, 2, "path")
    if len(path) < 3:
        raise ValueError(f"path must have at least 3 states, got {len(path)}")
    move, *_ = np.linalg.lstsq(path[:-1], path[1:], rcond=None)
    return float(np.abs(np.linalg.eigvals(move)).max())
