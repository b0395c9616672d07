"""Answers to the exercises of stop 9, diffusion: the denoiser."""
import numpy as np
import pytest

from exercises.stops import stops
from scratch.data.distributions import LAWS
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import form, judged, names


@pytest.mark.slow
def test_change():
    """No test of gradients or of the loss's parts depends on the levels that are trained."""
    assert judged("scratch/implicit/diffusion/denoiser.py", ("LOG_MEAN, LOG_STD = -1.4,", "LOG_MEAN, LOG_STD = 1.0,"),
                  tests=stops()["9"].tests) == [True, True]


def test_9_1(rng):
    """dc = 2 mean(error noisy); in expectation 2 (c (s^2 + sigma^2) - s^2), so c = c_skip of (4)."""
    s, sigma, c = 1.5, 0.8, rng.standard_normal(1)
    x0 = s * rng.standard_normal(20_000)
    noisy = x0 + sigma * rng.standard_normal(20_000)
    assert gradient_error(lambda c: np.mean((c[0] * noisy - x0) ** 2), c,
                          np.array([2 * np.mean((c[0] * noisy - x0) * noisy)])) < 1e-10
    best = s ** 2 / (s ** 2 + sigma ** 2)
    terms = (best * noisy - x0) * noisy
    assert abs(terms.mean()) < 5 * terms.std() / np.sqrt(len(terms))


def test_9_2():
    """A network that sees clean data and the level answers a question that no sampler asks.  The naive loop sees it."""
    assert names(form("B24", 1).red) == ["test_loss_is_the_naive_loop_over_rows"]


def test_9_3(rng):
    """To 1 at both ends: with little noise all of it is unknown inside a mode, with much noise all of the datum is.  It
    is least in between, where the mode is known."""
    law, s, x = LAWS["ring"], 1.5, LAWS["ring"].sample(4000, rng)

    def loss(sigma):
        error = law.denoise(x + sigma * rng.standard_normal(x.shape), sigma) - x
        return np.mean(error ** 2) * (sigma ** 2 + s ** 2) / (s * sigma) ** 2
    little, middle, much = (loss(sigma) for sigma in (0.01, 0.4, 60.0))
    assert abs(little - 1) < 0.1 and abs(much - 1) < 0.15 and middle < 0.5
