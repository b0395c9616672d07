"""Answers to the exercises of stop 4, a mixture by EM."""
import numpy as np

from exercises.stops import stops
from scratch.data.distributions import LAWS
from scratch.explicit.mixture_em import MixtureEM
from scratch.kernels.stable import logsumexp
from scratch.learning.gradient_check import gradient_error
from tests.exercises.judge import judged


def test_4_1(rng):
    """r_k (x - m_k)."""
    log_w, means, x = np.log([0.2, 0.5, 0.3]), rng.standard_normal(3), 0.7

    def joint(means):
        return log_w - 0.5 * (x - means) ** 2 - 0.5 * np.log(2 * np.pi)
    r = np.exp(joint(means) - logsumexp(joint(means))[0])
    assert gradient_error(lambda means: logsumexp(joint(means))[0], means, r * (x - means)) < 1e-12


def test_change_and_4_2():
    """The gradient is that of the loss, and the M step is no part of the loss."""
    assert judged("scratch/explicit/mixture_em.py", ("(r.T @ x) / counts[:, None]", "(r.T @ x) / len(x)"),
                  tests=stops()["4"].tests) == [False, True]


def test_4_3(rng):
    """About 4: (P - 1) / (2 N) nats, where P - 1 = 47."""
    law, model, kl = LAWS["ring"], MixtureEM(8), []
    fresh = law.sample(5000, rng)
    for n in 4 * [1000] + 4 * [4000]:
        rows, theta = law.sample(n, rng), model.theta_of(law)         # EM from the truth: no local maximum
        for _ in range(10):
            theta, _ = model.em_step(theta, rows)
        kl.append(np.mean(law.log_prob(fresh) - model.log_prob(theta, fresh)))
    few, many = np.mean(kl[:4]), np.mean(kl[4:])
    assert 2.5 < few / many < 6 and abs(few - 47 / 2000) < 0.01
