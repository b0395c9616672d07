"""The Dirac-GAN: the smallest game in which the training of a GAN can be computed by hand.

Model.   All data lie at 0.  The generator is one number theta, the place of all samples.  The
discriminator is one number psi, C(x) = psi x: C(data) = 0, C(fake) = psi theta = u, dC/dx = psi
(Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?").

Loss.    The objectives of objectives.py, for one datum and one sample:

                     discriminator's L_D          generator's L_G       dL_D/du, dL_G/du at u = 0
    minimax          softplus(u) + log 2          -softplus(u)          1/2, -1/2
    non_saturating   softplus(u) + log 2          softplus(-u)          1/2, -1/2
    relativistic     softplus(u)                  softplus(-u)          1/2, -1/2
    wasserstein      u                            -u                    1, -1

R1 and R2 add gamma/2 psi^2 each to L_D, and WGAN-GP adds lambda (|psi| - 1)^2.

Gradient.   Each player descends its own loss.  Let a = dL_D/du at u = 0, c the sum of both gamma
(2 gamma for zero_centered).  The game's vector field, and its Jacobian at theta = psi = 0, are
    v = (dL_G/du psi,   dL_D/du theta + c psi)                                            (1)
    J = [[0, -a], [a, c]]                                                                 (2)

Rates.   A step of length h multiplies the distance to the equilibrium by the spectral radius of
    simultaneous   I - h J                                                                (3)
    alternating    (I - h J, row of psi only) (I - h J, row of theta only)                (4)

In (4) theta moves first, and psi is updated at the new theta.  For complex eigenvalues (c below
about 2 a) the radii are sqrt(1 - h c + h^2 a^2) and sqrt(1 - h c).  With c = 0, (3) spirals outward
and (4) orbits.  For larger c the eigenvalues are real, and one of them is slow.

WGAN-GP.   The penalty has a kink at psi = 0, so J does not exist.  Under wasserstein, for psi > 0,
    v = (-psi,   theta - 2 lambda (1 - psi))                                              (5)

and psi < 0 is the mirror image.  Near (0, 0) psi moves away from 0 at the speed 2 lambda, so the
game cannot rest at its equilibrium (Mescheder et al., section 3).  By (5) theta is at rest only if
psi = 0.  A small psi > 0 is at rest only if theta = 2 lambda, a small psi < 0 only if theta = -2 lambda.
At both places the generator is wrong.  Near the first, J = [[0, -1], [1, 2 lambda]] has the eigenvalues
lambda +- sqrt(lambda^2 - 1).  If they are real, that is, lambda >= 1, the game comes to rest there.  If
they are complex, the path crosses psi = 0 again and again and never rests.

Continuous time.   For h -> 0, minimax and wasserstein conserve theta^2 + psi^2.  non_saturating
and relativistic change it at the rate -2 u tanh(u/2) <= 0.  This term is of fourth order:
convergence is slower than any exponential, and J shows none.

Checked in tests/implicit/test_dirac_gan.py::test_field_is_each_players_gradient_of_its_own_loss
Checked in tests/implicit/test_dirac_gan.py::test_jacobian_is_the_derivative_of_the_field
Checked in tests/implicit/test_dirac_gan.py::test_rates_in_closed_form
Checked in tests/implicit/test_dirac_gan.py::test_wgan_with_a_strong_penalty_rests_elsewhere
Checked in tests/implicit/test_dirac_gan.py::test_non_saturating_loss_converges_at_u_tanh_half_u
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

from scratch import checks
from scratch.implicit.objectives import one_centered


@dataclass(frozen=True)
class DiracGAN:
    """The game of (theta, psi) under an objective, with the weights of the penalties.

    >>> from scratch.implicit.objectives import wasserstein
    >>> game = DiracGAN(wasserstein)
    >>> round(game.rate(0.1, game.simultaneous), 6)                     # sqrt(1 + 0.1^2): outward
    1.004988
    >>> round(DiracGAN(wasserstein, r1=1.0).rate(0.1, game.simultaneous), 6)
    0.953939
    """
    objective: Callable
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 0.0                           # lambda

    def __post_init__(self):
        checks.fields(self, objective=checks.function, r1=checks.nonnegative, r2=checks.nonnegative,
                      gradient_penalty=checks.nonnegative)

    def field(self, state):
        """v = (dL_G/dtheta, dL_D/dpsi) at state = (theta, psi): a training step goes against it."""
        theta, psi = checks.constant(state, "state", (2,))
        game = self.objective(np.zeros(1), np.array([theta * psi]))               # C of data, of samples
        dtheta = game.dgenerator[0] * psi                                         # (1)
        dpsi = game.dfake[0] * theta + (self.r1 + self.r2) * psi
        if self.gradient_penalty:
            _, dv = one_centered.function(np.array([[psi]]))
            dpsi += self.gradient_penalty * dv[0, 0]                              # (5)
        return np.array([dtheta, dpsi])

    def jacobian(self):
        """dv/d(theta, psi) at the equilibrium, (2, 2)."""
        if self.gradient_penalty:
            raise ValueError("the gradient penalty (|psi| - 1)^2 has a kink at psi = 0: there is no Jacobian")
        game = self.objective(np.zeros(1), np.zeros(1))                           # u = 0
        return np.array([[0.0, game.dgenerator[0]], [game.dfake[0], self.r1 + self.r2]])    # (2)

    def simultaneous(self, h, jacobian):
        """The matrix of a step near the equilibrium when both players start from the old state."""
        return np.eye(2) - h * jacobian                                           # (3)

    def alternating(self, h, jacobian):
        """The same when theta moves first, and psi is updated at the new theta."""
        step, first, second = self.simultaneous(h, jacobian), np.eye(2), np.eye(2)
        first[0], second[1] = step[0], step[1]
        return second @ first                                                     # (4)

    def rate(self, h, update):
        """The spectral radius of `update`, one of the two above: below 1 the steps converge."""
        h, update = checks.positive(h, "h"), checks.function(update, "update")
        return float(np.abs(np.linalg.eigvals(update(h, self.jacobian()))).max())

    def simulate(self, start, h, steps, alternating=False):
        """The path (steps + 1, 2) of (theta, psi) from `start`, without linearization."""
        h, path = checks.positive(h, "h"), np.empty((checks.size(steps, "steps") + 1, 2))
        path[0] = checks.constant(start, "state", (2,))
        for t, (theta, psi) in enumerate(path[:-1]):
            dtheta, dpsi = self.field((theta, psi))
            theta -= h * dtheta
            if alternating:
                _, dpsi = self.field((theta, psi))
            path[t + 1] = theta, psi - h * dpsi
        return path


def measured_rate(path):
    """The factor per step of a path near its equilibrium, measured on the path alone.

    It is the spectral radius of the 2 x 2 matrix, by least squares, from each state to the next.
    """
    path = checks.rows(path, 2, "path")
    if len(path) < 3:
        raise ValueError(f"path must have at least 3 states, got {len(path)}")
    move, *_ = np.linalg.lstsq(path[:-1], path[1:], rcond=None)
    return float(np.abs(np.linalg.eigvals(move)).max())
