"""Answers to the exercises of stop 8, generative adversarial networks."""
from dataclasses import replace

import numpy as np

from exercises.stops import stops
from scratch.implicit.gan import GAN
from scratch.implicit.objectives import minimax, non_saturating, relativistic, wasserstein
from scratch.kernels.stable import sigmoid, softplus
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import form


def test_change():
    """It is B1: the generator's block is no longer the gradient of its loss."""
    assert stops()["8"].tests[0] in form("B1", 2).red


def test_8_1(rng):
    """dC = -sigmoid(-C) / N, dG = dC dC/dG = dC 2 v G, and dW = z^T dG: (5) and d(1) of gan.py."""
    z, W, v = rng.standard_normal((6, 2)), rng.standard_normal((2, 3)), rng.standard_normal(3)

    def logits(W):
        return (z @ W) ** 2 @ v
    dC = -sigmoid(-logits(W))[0] / len(z)
    dG = dC[:, None] * 2 * v * (z @ W)
    assert gradient_error(lambda W: np.mean(softplus(-logits(W))[0]), W, z.T @ dG) < 1e-12


def test_8_2(rng):
    """For minimax and wasserstein, where the generator's loss is minus the discriminator's."""
    assert form("B3", 1).red
    games = [play(*rng.standard_normal((2, 5))) for play in (minimax, wasserstein, non_saturating, relativistic)]
    cancels = [bool(np.allclose(game.dfake + game.dgenerator, 0)) for game in games]
    assert cancels == [True, True, False, False]


def test_8_3(rng):
    """In the discriminator's alone: the penalty is a part of its own loss, and of no other."""
    model = GAN(2, hidden=(4,), prior=2)
    theta, x, noise = model.init(rng, np.float64), rng.standard_normal((5, 2)), model.draw_noise(rng, 5)
    with_it, without = (game.loss(theta, x, noise)[1] for game in (model, replace(model, gamma=0.0)))
    generator, discriminator = model.players
    np.testing.assert_array_equal(with_it[generator], without[generator])
    assert np.abs(with_it[discriminator] - without[discriminator]).max() > 1e-6
