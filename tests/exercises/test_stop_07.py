"""Answers to the exercises of stop 7, games by hand."""
import numpy as np

from scratch.implicit.dirac_gan import DiracGAN
from scratch.implicit.objectives import relativistic
from scratch.kernels.stable import sigmoid, softplus
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import form, names


def test_7_1(rng):
    """q sigmoid(C) - p sigmoid(-C), which is 0 at C = log p / q."""
    p, q, C = 0.3, 0.1, rng.standard_normal(1)

    def slope(C):
        return q * sigmoid(C)[0] - p * sigmoid(-C)[0]
    assert gradient_error(lambda C: np.sum(p * softplus(-C)[0] + q * softplus(C)[0]), C, slope(C)) < 1e-12
    assert abs(slope(np.log(p / q))) < 1e-15


def test_7_2():
    """Value and gradient have the same wrong sign.  The definition of the losses sees it."""
    bug = form("B19", 2)
    assert names(bug.red) == ["test_the_losses_are_those_of_the_papers"]
    assert "test_each_block_is_the_gradient_of_its_players_own_loss" in names(bug.blind)


def test_change_and_7_3():
    """The eigenvalues of J are 2 +- sqrt(4 - 1/4), real: the small one, 0.064, is slow.  R1 = 1 arrives sooner."""
    weak, strong = (DiracGAN(relativistic, r1=r1) for r1 in (1.0, 4.0))
    rate = strong.rate(0.1, strong.simultaneous)
    assert abs(rate - (1 - 0.1 * (2 - np.sqrt(4 - 0.25)))) < 1e-12
    assert rate > weak.rate(0.1, weak.simultaneous)
