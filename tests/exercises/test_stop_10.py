"""Answers to the exercises of stop 10, samplers and the bound of a chain."""
import numpy as np

from scratch.data.distributions import LAWS
from scratch.implicit.diffusion.chain import Chain, cosine, linear
from scratch.implicit.diffusion.ddpm import bound_terms
from tests.exercises.judge import form, names


def test_10_1():
    """Precisions a / beta of x_t's factor and 1 / (1 - abar) of x_0's add; each mean counts by its precision."""
    chain, t = Chain(50), np.arange(2, 51)
    beta, a, before = chain.beta[t], 1 - chain.beta[t], chain.alpha_bar[t - 1]
    variance = 1 / (a / beta + 1 / (1 - before))
    of_x0, of_xt = variance * np.sqrt(before) / (1 - before), variance * np.sqrt(a) / beta
    np.testing.assert_allclose(chain.posterior_weights(t), [of_x0, of_xt], rtol=1e-10)


def test_10_2():
    assert names(form("B22", 2).red) == ["test_each_sampler_is_its_papers_algorithm",
                                         "test_ancestral_sampling_is_gaussian_conditioning"]


def test_10_3(rng):
    """It does: the steps of this schedule are smaller where the ring's detail is decided."""
    law = LAWS["ring"]
    x = law.sample(2000, rng)
    first, second = (bound_terms(Chain(100, curve), law.denoise, x, rng).sum(axis=0) for curve in (linear, cosine))
    assert law.entropy() < second.mean() < first.mean() - 0.05
