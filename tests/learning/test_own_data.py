"""Own data: rows in minutes, the same three lines for every model, the truth known (README)."""
from dataclasses import replace

import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.standardized import standardize
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.explicit.mixture_em import MixtureEM
from scratch.explicit.vae import VAE
from scratch.explicit.vae import VAE
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.diffusion.flow_matching import FlowMatching
from scratch.implicit.gan import GAN
from scratch.learning.early_stopping import stop_early
from scratch.learning.training import fit

TRUTH = GaussianMixture([[2.04, 54.5], [4.29, 80.0]], [[[.069, .435], [.435, 33.7]], [[.17, .94], [.94, 36.0]]],
                        [0.36, 0.64])


def gap(Model, seed):
    """Nats per row by which the model is behind the truth on 2,000 fresh rows, 272 rows given."""
    rng = np.random.default_rng(seed)
    rows, fresh = TRUTH.sample(272, rng), TRUTH.sample(2000, np.random.default_rng(1000 + seed))
    if Model is GAN:
        # Two losses, neither of which tells when to stop: wider noise, a stronger penalty that stays, and few steps.
        model = standardize(GAN(2, components=8, output_noise=0.4, gamma=2.0), rows)
        theta = fit(model, model.init(rng), rows, rng, steps=600, recipe=replace(model.recipe, anneal=None))
    else:
        model = standardize(Model(2), rows)
        theta = stop_early(model, model.init(rng), rows[54:], rows[:54], rng, steps=1500,
                           recipe=replace(model.recipe, batch_size=32)).theta
    return float(np.mean(TRUTH.log_prob(fresh) - model.log_prob(theta, fresh)))


@pytest.mark.slow
@pytest.mark.parametrize("Model, most", [(MixtureEM, 0.05), (AutoregressiveMixture, 0.2), (FlowMatching, 0.2),
                                         (Diffusion, 0.2), (VAE, 0.2)])
def test_272_rows_are_learned_by_the_same_three_lines(Model, most):
    """The median of three runs: one in ten of MixtureEM ends in a local maximum, which its loss tells."""
    gaps = [gap(Model, seed) for seed in range(3)]
    assert -0.01 < np.median(gaps) < most, gaps


@pytest.mark.slow
def test_a_gan_learns_272_rows_with_wide_output_noise_and_a_constant_gamma():
    """Two players have no common loss to stop by: the number of steps is given.  0.087 to 0.123 in three runs."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows, fresh = TRUTH.sample(272, rng), TRUTH.sample(2000, np.random.default_rng(1000 + seed))
        model = standardize(GAN(2, output_noise=0.3), rows)
        theta = fit(model, model.init(rng), rows, rng, steps=1500, recipe=replace(model.recipe, anneal=None))
        assert np.mean(TRUTH.log_prob(fresh) - model.log_prob(theta, fresh)) < 0.2
