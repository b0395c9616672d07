"""The parts of the MRI study that are no models: generators in closed form, distances, corrections."""
import numpy as np
import pytest

from figures.case_studies import mri_augmentation as study
from figures.case_studies import mri_parts as mri
from figures.case_studies import mri_twins as twins
from scratch.data.gaussian_mixture import GaussianMixture


@pytest.fixture
def classes(rng):
    return [rng.normal(size=(40, 64)) @ np.diag(np.linspace(2, 0.2, 64)) + c for c in (0.0, 1.0)]


def test_the_shrunk_mixture_is_a_gaussian_around_every_shrunk_row(classes, rng):
    law = mri.mixture_pair(classes)[1]
    m, S = law.gaussian.means[0], law.gaussian.covariances[0]
    h = (4 / (40 * 66)) ** (1 / 68)
    naive = GaussianMixture([m + np.sqrt(1 - h * h) * (row - m) for row in classes[1]], [h * h * S] * 40, [1 / 40] * 40)
    np.testing.assert_allclose(law.log_prob(classes[0]), naive.log_prob(classes[0]), rtol=1e-9)
    gap = naive.log_prob(law.sample(2000, rng)).mean() - naive.log_prob(naive.sample(2000, rng)).mean()
    assert abs(gap) < 5 * np.sqrt(2 * 32 / 2000)


def test_pca_of_a_pair_has_their_means_and_one_covariance(classes):
    laws = mri.pca_pair(classes)
    np.testing.assert_allclose([law.means[0] for law in laws], [x.mean(axis=0) for x in classes])
    assert (laws[0].covariances == laws[1].covariances).all()
    away = np.concatenate([x - x.mean(axis=0) for x in classes])
    values = [np.linalg.eigvalsh(S)[::-1] for S in (away.T @ away / 80, laws[0].covariances[0])]
    np.testing.assert_allclose(values[0][:20], values[1][:20], rtol=1e-9)
    np.testing.assert_allclose(values[0][20:].mean(), values[1][20:], rtol=1e-9)


def test_smote_draws_on_segments_between_neighbors(rng):
    x = rng.normal(size=(30, 2))
    order = np.argsort(np.linalg.norm(x[:, None] - x, axis=2), axis=1)
    segments = [(x[i], x[j]) for i in range(30) for j in order[i, 1:6]]
    for row in mri.smote(x, 50, rng):
        assert min(np.linalg.norm(a - row) + np.linalg.norm(b - row) - np.linalg.norm(a - b) for a, b in segments) < 1e-9


def test_batches_hold_the_share_and_only_turns_of_real_rows(classes, rng):
    real, synthetic = mri.labeled(*classes), mri.labeled(*(x + 100 for x in classes))
    rows = mri.Batches(real, synthetic, 0.25, turned=True).sample(80, rng)
    assert (rows[:, :64].mean(axis=1) > 50).sum() == 20
    copies = {tuple(row.round(9)) for x in classes for row in mri.all_turns(x)}
    assert all(tuple(row[:64].round(9)) in copies for row in rows[:60])


def test_score_is_nats_and_the_area_of_pairs(rng):
    logits, y = rng.normal(size=50), np.repeat([0, 1], 25)
    log_p = -np.logaddexp(0, np.stack([logits, -logits], axis=1))
    nats, area = mri.score(log_p, y)
    assert nats == pytest.approx(-np.mean(log_p[np.arange(50), y]))
    assert area == pytest.approx(np.mean(logits[y == 1][:, None] > logits[y == 0]))


def test_holms_correction_is_the_naive_one():
    effect, error = np.array([0.3, 2.5, -2.9, 4.0, 0.1]), np.ones(5)
    raw = [2 * study.student.sf(abs(e), 23) for e in effect]
    ranked, adjusted, worst = np.argsort(raw), np.zeros(5), 0.0
    for rank, i in enumerate(ranked):
        worst = adjusted[i] = max(worst, min(1, raw[i] * (5 - rank)))
    np.testing.assert_allclose(study.holm(effect, error, 24), adjusted)


def test_the_crossing_is_where_the_line_rises_above_0():
    x = np.log([10, 30, 100])
    assert np.exp(study._last_zero(x, np.array([-1.0, -0.5, 0.5]))) == pytest.approx(np.sqrt(30 * 100))
    assert np.exp(study._last_zero(x, np.array([0.1, -0.5, 0.5]))) == pytest.approx(np.sqrt(30 * 100))
    assert study._last_zero(x, np.array([-1.0, -0.5, -0.1])) == x[-1]
    assert study._last_zero(x, np.array([1.0, 2.0, 3.0])) == x[0]


def test_members_are_known_in_any_position(rng):
    members, fresh = rng.normal(size=(20, 64)), rng.normal(size=(20, 64))
    copies = mri.turns(members)[5] + 0.01 * rng.normal(size=(20, 64))
    assert study.membership(members, fresh, copies) == pytest.approx(1, abs=0.03)
    assert 0.2 < study.membership(members, fresh, rng.normal(size=(50, 64))) < 0.8


def test_efrons_efficiency_is_his_table():
    """The values of Efron 1975 at distances 2 and 3 (his table not at hand), and 1 where nothing can be told apart."""
    assert [round(twins.efficiency(d), 3) for d in (0.001, 2.0, 3.0)] == [1.0, 0.899, 0.641]
