"""Answers to the exercises of stop 12, measuring."""
import numpy as np

from figures import ledger, runner
from tests.exercises.judge import form, names


def test_12_1(rng):
    """With h_k = (1 + e_k) / K the sum is about 1/K sum e_k^2 / 2, and K E[e_k^2] = K (K - 1) / n: (K - 1) / (2 n)."""
    K, n = 25, 2500
    h = rng.multinomial(n, np.full(K, 1 / K), size=2000) / n
    kl = np.sum(h * np.log(K * h), axis=1)
    assert abs(kl.mean() / ((K - 1) / (2 * n)) - 1) < 0.05


def test_12_2():
    """The test of the instrument itself, which gives it gradients that are wrong."""
    assert names(form("B31", 1).red) == ["test_a_right_gradient_passes_and_the_famous_wrong_ones_do_not"]


def test_12_3():
    """The best and the worst stay.  Mixture by EM, flow matching and diffusion change places: they are close."""
    results, _ = runner.stored("ledger")
    value = ledger.forward(results)[0][:, :len(ledger.MIXTURES)].mean(axis=1)     # (family, seed)
    families = [str(family) for family in results["families"]]
    for left_out in range(value.shape[1]):
        order = [families[i] for i in np.argsort(np.delete(value, left_out, axis=1).mean(axis=1))]
        assert order[0] == "autoregressive" and order[-1] == "GAN"
        assert set(order[1:4]) == {"flow matching", "diffusion", "mixture by EM"}
