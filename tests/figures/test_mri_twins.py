"""The closed forms beside the augmentation study, and the slices drawn pixel by pixel."""
import numpy as np
import pytest
from scipy.stats import sem

from figures.case_studies import mri_parts as mri
from figures.case_studies import mri_slices as slices
from figures.case_studies import mri_twins as twins
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.real import mri_slice
from scratch.discriminative.generative_classifier import gaussian_discriminant


# ---- the twins ----

def test_the_simulated_variances_are_those_of_the_formulas(rng):
    for g, gain, alone in zip(twins.GAMMAS, *(x.T for x in twins.variances(4000, rng))):
        assert abs(gain[0] - 1 - g / (1 + g) ** 2) < 5 * gain[1]
        assert abs(alone[0] - 1 - 1 / g) < 5 * alone[1]
        assert gain[1] == pytest.approx(gain[0] * np.sqrt(2 / 4000), rel=0.15)      # the square of a Gaussian


def test_efrons_efficiency_is_his_table():
    """The values of Efron 1975 at distances 2 and 3 (his table not at hand), and 1 where nothing can be told apart."""
    assert [round(twins.efficiency(d), 3) for d in (0.001, 2.0, 3.0)] == [1.0, 0.899, 0.641]


def test_two_gaussians_are_as_far_apart_as_asked(rng):
    rows = twins.two_gaussians(2.0, 3, 4000, rng)
    means = [rows[rows[:, -1] == c, :-1].mean(axis=0) for c in (0, 1)]
    assert (np.abs(means - np.array([[-1.0, 0, 0], [1, 0, 0]])) < 5 / np.sqrt(4000)).all()


def test_the_plane_is_the_logit_of_lda(rng):
    lda = gaussian_discriminant(twins.two_gaussians(2.0, 3, 50, rng) @ np.diag([1, 2, 3, 1]), 2, shared=True)
    x, (w, b) = rng.normal(size=(5, 3)), twins.plane(lda)
    log_p = lda.log_posterior(x)
    np.testing.assert_allclose(x @ w + b, log_p[:, 1] - log_p[:, 0], rtol=1e-9)


def test_excess_nats_are_those_of_few_parameters(monkeypatch, rng):
    """P/2 of a chi-square of P = 6 parameters over 2 n rows: 1.5 mnat for n = 1,000, sd 0.9."""
    drawn, draws_of = [], twins.draws_of
    monkeypatch.setattr(twins, "draws_of", lambda laws, n, rng: drawn.append(n) or draws_of(laws, n, rng))
    excess, rms = twins.converge((1000, 4000), rng)
    assert drawn == [1000, 4000]
    assert (excess > 0).all() and (excess < 0.012).all()
    assert rms[0] == 0 and 0 < rms[2] < rms[1] < 0.5


def test_excess_errors_are_small_and_never_negative(rng):
    excess = np.array([twins.errors(d, rng) for d in (1.0, 3.0)])
    assert (excess > 0).all() and (excess < 0.005).all()


def test_one_mean_for_both_is_one_mean_and_keeps_the_spread(monkeypatch, rng):
    laws = [GaussianMixture([np.full(64, c)], [np.eye(64)], [1.0]) for c in (0.0, 3.0)]
    monkeypatch.setattr(mri, "laws", lambda effort: laws)
    used, divergences = [], twins.divergences
    monkeypatch.setattr(twins, "divergences", lambda truth, laws, x: used.append(laws) or divergences(truth, laws, x))
    for apart in (False, True):
        twins.conditional_part(apart, "quick", rng)
    (one, other), (first, second) = used
    np.testing.assert_allclose(one.means, other.means, atol=1e-9)
    assert [law.means.mean() for law in (one, first, second)] == pytest.approx([1.5, 0, 3], abs=0.3)


def test_errors_of_the_twins_are_those_of_sem_and_of_the_jackknife(rng):
    excess = rng.normal(size=(30, 4))
    mean, error = twins.added(dict(excess=excess))
    np.testing.assert_allclose(error, sem(excess[:, 1:] - excess[:, :1]))
    errors = 1 + 0.2 * rng.normal(size=(2, 60, 2))
    ratio, error = twins.measured_efficiency(dict(errors=errors))
    left = np.stack([np.delete(errors, i, axis=1).mean(axis=1) for i in range(60)])         # without one repeat
    left = left[..., 0] / left[..., 1]
    np.testing.assert_allclose(ratio, errors[..., 0].mean(axis=1) / errors[..., 1].mean(axis=1))
    np.testing.assert_allclose(error, np.sqrt(59 / 60 * ((left - left.mean(axis=0)) ** 2).sum(axis=0)), rtol=0.03)


# ---- the slices ----

def test_a_pixels_input_is_24_pixels_before_it(rng):
    """A change of one pixel reaches later pixels in the order of reading only, in 24 inputs."""
    picture = rng.normal(size=(1, 9, 9))
    other = picture.copy()
    other[0, 4, 4] += 1
    changed = (slices.context(picture, False) != slices.context(other, False))[0]
    assert changed.sum() == 24 and len(slices.CAUSAL) == 24
    assert (np.argwhere(changed.any(axis=2)) @ [9, 1] > 4 * 9 + 4).all()


@pytest.mark.parametrize("place", [True, False])
def test_sampling_sees_what_training_sees(place):
    class Recorder:
        seen, values = [], np.random.default_rng(0)

        def draw(self, theta, x, rng):
            self.seen.append(x)
            return self.values.uniform(-1, 1, len(x))
    model = Recorder()
    model.seen = []
    pictures = slices.sample(model, None, 2, 8, place, None)
    x = slices.context(pictures, place).transpose(1, 2, 0, 3).reshape(64, 2, -1)
    np.testing.assert_allclose(np.stack(model.seen), x if place else x[..., :24])


def test_held_out_pixels_are_no_targets_and_tissue_is_scored_apart(monkeypatch, rng):
    fitted = []
    monkeypatch.setattr(slices, "fit", lambda model, theta, rows, *_, **__: fitted.append(rows) or theta)
    results = slices.compute("quick", rng)
    levels = (215 * mri_slice()).reshape(16, 16, 16, 16).mean(axis=(1, 3))
    row, column = np.indices((16, 16)) // 8
    held = (row + 2 * column) % 4 == 0
    assert all(len(rows) == (~held).sum() for rows in fitted)
    assert not set(results["picture"][held]) & set(fitted[0][:, -1])
    share = (levels[held] > 6).mean()
    every, tissue, air, _ = results["curves placed"][0, 0]
    assert abs(share - 0.5) > 0.02 and every == pytest.approx(share * tissue + (1 - share) * air, rel=1e-5)
