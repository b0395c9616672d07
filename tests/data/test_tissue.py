import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scratch.data import tissue
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.tissue import add_lesion, blobs, tissue_laws, turns
from scratch.discriminative.generative_classifier import GenerativeClassifier


@pytest.fixture(scope="module")
def mixture():
    """Two Gaussians of 64 correlated pixels, without any symmetry."""
    rng = np.random.default_rng(5)
    spread = rng.normal(size=(2, 64, 64)) / 8
    return GaussianMixture(rng.normal(size=(2, 64)), spread @ spread.mT + 0.1 * np.eye(64), [0.3, 0.7])


def squares(rng, n=3):
    return rng.normal(size=(n, 64))


# ---- turns and blobs ----

def test_turns_are_the_eight_symmetries_of_the_square(rng):
    x = squares(rng)
    turned = turns(x).reshape(8, 3, 8, 8)
    square = x.reshape(3, 8, 8)
    expected = [square, square[:, ::-1], square[:, :, ::-1], square[:, ::-1, ::-1]]
    expected += [part.transpose(0, 2, 1) for part in expected]
    for part in expected:
        assert sum((part == other).all() for other in turned) == 1
    np.testing.assert_array_equal(turned[0], square)


def test_blobs_are_bells_around_the_middle_and_the_turns_exchange_them():
    for b, (row, column) in zip(blobs(), ((3, 3), (3, 4), (4, 3), (4, 4))):
        for i in range(8):
            for j in range(8):
                assert b[8 * i + j] == pytest.approx(np.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * 1.2 ** 2)))
    for turned in turns(blobs()):
        assert {tuple(b.round(12)) for b in turned} == {tuple(b.round(12)) for b in blobs()}


# ---- the densities ----

def test_densities_are_the_naive_loop(mixture, rng):
    x = squares(rng)
    p = np.zeros((2, 3))
    for turn in turns(np.arange(64.0)[None])[:, 0].astype(int):
        T = np.eye(64)[turn]                                                    # T x = x[turn]
        for w, m, S in zip(mixture.weights, mixture.means, mixture.covariances):
            covariance = T @ S @ T.T + 0.15 ** 2 * np.eye(64)
            p[0] += w / 8 * multivariate_normal(T @ m, covariance).pdf(x)
            for b in blobs():
                p[1] += w / 32 * multivariate_normal(T @ m + 1.2 * b, covariance + 0.4 ** 2 * np.outer(b, b)).pdf(x)
    for law, density in zip(tissue_laws(mixture), p):
        np.testing.assert_allclose(law.log_prob(x), np.log(density), rtol=1e-9)


def test_both_classes_have_the_symmetry_of_the_square(mixture, rng):
    x = squares(rng)
    for law in tissue_laws(mixture):
        for turned in turns(x):
            np.testing.assert_allclose(law.log_prob(turned), law.log_prob(x), rtol=1e-10)


def test_a_lesion_is_one_blob_with_a_gaussian_contrast(rng):
    """Of 4,000 lesions in an empty patch each is a multiple of one blob; places are uniform, multiples N(1.2, 0.4^2)."""
    added, b = add_lesion(np.zeros((4000, 64)), rng), blobs()
    contrast = added @ b.T / np.sum(b * b, axis=1)                              # (N, 4), were c the place
    misfit = np.sum((added[:, None] - contrast[..., None] * b) ** 2, axis=2)
    place = misfit.argmin(axis=1)
    assert misfit.min(axis=1).max() < 1e-20
    assert (np.abs(np.bincount(place, minlength=4) - 1000) < 5 * np.sqrt(750)).all()
    a = contrast[np.arange(4000), place]
    assert abs(a.mean() - 1.2) < 5 * 0.4 / np.sqrt(4000) and abs(a.std() - 0.4) < 5 * 0.4 / np.sqrt(8000)


def test_a_lesion_added_to_healthy_rows_has_the_density_of_class_1(mixture):
    """The moments of (2), and so of (4): cov x = cov x_0 + E[a^2 b b^T] - E[a b] E[a b]^T."""
    healthy, lesion = tissue_laws(mixture)
    mean = blobs().mean(axis=0)
    expected = (1.2 ** 2 + 0.4 ** 2) * blobs().T @ blobs() / 4 - 1.2 ** 2 * np.outer(mean, mean)
    np.testing.assert_allclose(lesion.covariance() - healthy.covariance(), expected, atol=1e-12)
    np.testing.assert_allclose(lesion.mean() - healthy.mean(), 1.2 * mean, atol=1e-12)


def test_bayes_rule_beats_any_other_posterior_of_its_own_rows(mixture, rng):
    """E log p(y | x) of the exact rule is above that of a rule that knows the contrast wrongly or no noise."""
    laws = tissue_laws(mixture)
    rows = GenerativeClassifier(laws, [0.5, 0.5]).sample(2000, rng)
    right = _log_loss(laws, rows)
    assert right.mean() < np.log(2)
    for constant, value in (("CONTRAST", 1.8), ("SPREAD", 1.0), ("WIDTH", 2.0)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tissue, constant, value)
            gap = _log_loss(tissue_laws(mixture), rows) - right
        assert gap.mean() > 3 * gap.std() / np.sqrt(len(gap)), constant


def _log_loss(laws, rows):
    log_p = GenerativeClassifier(laws, [0.5, 0.5]).log_posterior(rows[:, :-1])
    return -log_p[np.arange(len(rows)), rows[:, -1].astype(int)]


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda rng: turns(np.ones((2, 63))), ValueError, r"shape \(n, 64\)"),
    (lambda rng: add_lesion(np.ones((2, 64)), 0), TypeError, "rng must be"),
    (lambda rng: add_lesion(np.ones((2, 9)), rng), ValueError, r"shape \(n, 64\)"),
    (lambda rng: tissue_laws(GaussianMixture([[0.0]], [[[1.0]]], [1.0])), TypeError, "64 pixels"),
    (lambda rng: tissue_laws(None), TypeError, "64 pixels"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)
