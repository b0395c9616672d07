"""The parts of the MRI study that are no models: generators in closed form, distances, corrections."""
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from figures.case_studies import mri_augmentation as study
from figures.case_studies import mri_parts as mri
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


def test_pca_has_20_axes_or_half_as_many_as_rows(rng):
    for n, axes in ((12, 6), (100, 20)):
        values = np.linalg.eigvalsh(mri.pca(rng.normal(size=(n, 64))).covariances[0])
        assert (values > values[0] + 1e-9).sum() == axes


def test_the_diffusion_without_a_network_is_pca_of_the_pair(classes, rng):
    for law, twin in zip(mri.diffusion(classes, rng, 1), mri.pca_pair(classes)):
        law, x = replace(law, theta=np.zeros_like(law.theta)), twin.sample(5, rng)
        np.testing.assert_allclose(law.log_prob(x), twin.log_prob(x), atol=0.5)     # 12 steps, in 64 dimensions
        x = law.sample(1000, rng)
        spread = np.diagonal(twin.covariances[0])
        assert (np.abs(x.mean(axis=0) - twin.means[0]) < 5 * np.sqrt(spread / 1000)).all()
        assert (np.abs(x.var(axis=0) / spread - 1) < 5 * np.sqrt(2 / 1000) + 0.05).all()    # 0.05: 18 steps


def test_a_shifted_law_has_its_mean(rng):
    law = GaussianMixture([[1.0, 2.0]], [np.eye(2)], [1.0])
    shifted = mri.Shifted(law, np.array([10.0, 20.0])).sample(3, np.random.default_rng(0))
    np.testing.assert_array_equal(shifted, law.sample(3, np.random.default_rng(0)) + [10, 20])


def test_smote_draws_on_segments_between_neighbors(rng):
    x = rng.normal(size=(30, 2))
    order = np.argsort(np.linalg.norm(x[:, None] - x, axis=2), axis=1)
    segments = [(x[i], x[j]) for i in range(30) for j in order[i, 1:6]]
    rows = mri.smote(x, 50, rng)
    for row in rows:
        assert min(np.linalg.norm(a - row) + np.linalg.norm(row - b) - np.linalg.norm(a - b) for a, b in segments) < 1e-9
    assert np.linalg.norm(rows[:, None] - x, axis=2).min() > 0                      # between them, not on a row


def test_labeled_rows_carry_their_class(classes):
    rows = mri.labeled(*classes)
    np.testing.assert_array_equal(rows[rows[:, -1] == 1, :-1], classes[1])
    assert len(rows) == 80 and (rows[:40, -1] == 0).all()


def test_batches_draw_every_row_and_every_turn():
    x = np.arange(3 * 64.0).reshape(3, 64)
    real = np.column_stack([x, [0, 1, 1]])
    rows = mri.Batches(real, turned=True).sample(1000, np.random.default_rng(0))
    counts = {tuple(copy): 0 for copy in mri.all_turns(x)}
    for row in rows:
        counts[tuple(row[:64])] += 1
    assert all(abs(count - 1000 / 24) < 5 * np.sqrt(1000 / 24) for count in counts.values())
    rows = mri.Batches(real, real + 1000, 1.0).sample(900, np.random.default_rng(0))
    assert all(abs((rows[:, 0] == 1000 + 64 * i).sum() - 300) < 5 * np.sqrt(200) for i in range(3))


def test_jitter_is_one_brightness_for_all_pixels_and_noise_for_each():
    """Covariance 0.7^2 + 0.15^2 I; the rows of `real` themselves stay as they are."""
    real = np.zeros((2, 65))
    x = mri.Batches(real, jittered=True).sample(4000, np.random.default_rng(0))[:, :-1]
    level, rest = x.mean(axis=1), x - x.mean(axis=1, keepdims=True)
    assert abs(level.var() / (0.7 ** 2 + 0.15 ** 2 / 64) - 1) < 5 * np.sqrt(2 / 4000)
    assert abs(rest.var() / (0.15 ** 2 * 63 / 64) - 1) < 5 * np.sqrt(2 / (4000 * 63))
    assert (real == 0).all()


def test_batches_hold_the_share_and_only_turns_of_real_rows(classes, rng):
    real, synthetic = mri.labeled(*classes), mri.labeled(*(x + 100 for x in classes))
    rows = mri.Batches(real, synthetic, 0.25, turned=True).sample(80, rng)
    assert (rows[:, :64].mean(axis=1) > 50).sum() == 20
    copies = {tuple(row.round(9)) for x in classes for row in mri.all_turns(x)}
    assert all(tuple(row[:64].round(9)) in copies for row in rows[:60])


def test_score_is_nats_and_the_area_of_pairs(rng):
    logits, y = rng.normal(size=50), np.repeat([0, 1], [30, 20])
    log_p = -np.logaddexp(0, np.stack([logits, -logits], axis=1))
    nats, area = mri.score(log_p, y)
    assert nats == pytest.approx(-np.mean(log_p[np.arange(50), y]))
    assert area == pytest.approx(np.mean(logits[y == 1][:, None] > logits[y == 0]))


# ---- divergences, membership ----

@pytest.fixture
def pairs(rng):
    """Two true laws and two of a model, in the plane."""
    return [[GaussianMixture([rng.normal(size=2)], [np.eye(2) * s], [1.0]) for s in (1.0, 1.5)] for _ in range(2)]


def test_divergences_are_the_naive_sums(pairs, rng):
    true, model = pairs
    x = np.column_stack([rng.normal(size=(7, 2)), [0, 0, 0, 1, 1, 1, 1]])
    joint, healthy, given = [], [], []
    for row in x:
        p, q = ([0.5 * np.exp(law.log_prob(row[None, :2])[0]) for law in laws] for laws in (true, model))
        y = int(row[2])
        joint.append(np.log(p[y] / q[y]))
        healthy += [np.log(p[0] / q[0])] * (y == 0)
        given.append(sum(p[k] / sum(p) * np.log(p[k] / sum(p) * sum(q) / q[k]) for k in (0, 1)))
    measured = study.divergences(study.GenerativeClassifier(tuple(true), [0.5, 0.5]), model, x)
    np.testing.assert_allclose(measured, [np.mean(joint), np.mean(healthy), np.mean(given)], rtol=1e-10)


def test_the_rule_of_laws_knows_its_classes(pairs, rng):
    laws = pairs[0]
    test = study.draws_of(laws, 50, rng)
    nats = []
    for row in test:
        own, other = (laws[k].log_prob(row[None, :2])[0] for k in (int(row[2]), 1 - int(row[2])))
        nats.append(np.log(1 + np.exp(other - own)))
    assert study.rule_of(laws, test)[0] == pytest.approx(np.mean(nats), rel=1e-10)


def test_membership_is_the_area_of_the_nearest_distances(rng):
    """Rows of unequal lengths, so that |row|^2 counts."""
    members, fresh, rows = (rng.normal(size=(n, 64)) * rng.uniform(0.2, 2, size=(n, 1)) for n in (9, 11, 8))

    def distance(x):
        return min(np.linalg.norm(turned - row) for turned in mri.turns(x[None])[:, 0] for row in rows)
    near, far = [distance(x) for x in members], [distance(x) for x in fresh]
    assert study.membership(members, fresh, rows) == pytest.approx(np.mean([[a < b for b in far] for a in near]))


def test_members_are_known_in_any_position(rng):
    members, fresh = rng.normal(size=(20, 64)), rng.normal(size=(20, 64))
    copies = mri.turns(members)[5] + 0.01 * rng.normal(size=(20, 64))
    assert study.membership(members, fresh, copies) == pytest.approx(1, abs=0.03)
    assert 0.2 < study.membership(members, fresh, rng.normal(size=(50, 64))) < 0.8


# ---- paired differences ----

def test_paired_differences_have_students_interval(rng):
    first, second = rng.normal(size=(9, 3)), rng.normal(size=(12, 3))               # three draws lack the first arm
    mean, error, (low, high) = study.paired(first, second)
    for k in range(3):
        test = ttest_1samp(first[:, k] - second[:9, k], 0)
        interval = test.confidence_interval(0.95)
        assert (mean[k], mean[k] / error[k]) == pytest.approx((np.mean(first[:, k] - second[:9, k]), test.statistic))
        assert (low[k], high[k]) == pytest.approx((interval.low, interval.high))


def test_holms_correction_is_the_naive_one():
    effect, error = np.array([0.3, 2.5, -2.9, 0.1, 4.0, -2.6]), np.ones(6)
    raw = [2 * study.student.sf(abs(e), 23) for e in effect]
    ranked, adjusted, worst = np.argsort(raw), np.zeros(6), 0.0
    for rank, i in enumerate(ranked):
        worst = adjusted[i] = max(worst, min(1, raw[i] * (6 - rank)))
    np.testing.assert_allclose(study.holm(effect, error, 24), adjusted)


def test_the_crossing_is_where_the_line_rises_above_0():
    x = np.log([10, 30, 100])
    assert np.exp(study._last_zero(x, np.array([-1.0, -0.5, 0.5]))) == pytest.approx(np.sqrt(30 * 100))
    assert np.exp(study._last_zero(x, np.array([0.1, -0.5, 0.5]))) == pytest.approx(np.sqrt(30 * 100))
    assert study._last_zero(x, np.array([-1.0, -0.5, -0.1])) == x[-1]
    assert study._last_zero(x, np.array([1.0, 2.0, 3.0])) == x[0]


def test_the_crossings_interval_is_that_of_the_delta_method(rng):
    """Means -1 at N = 10 and 1 at N = 30, both off by the draw's own s / sqrt(24): the crossing moves by half of it."""
    off = rng.normal(size=(24, 1))
    off = 0.3 * (off - off.mean()) / off.std()
    results = dict(sizes=np.array([10, 30]), results=np.zeros((24, 2, len(study.ARMS) + len(study.DEEP) + 1, 2)))
    for k, n in enumerate(study.CHOSEN["share"][:2]):
        results["results"][:, k, study.ARMS.index(f"pca {n:g}".replace("0.", ".")), 0] = (-1, 1)[k] + off[:, 0]
    where, (low, high) = study.crossing(results)
    assert where == pytest.approx(np.sqrt(300))
    half = 1.96 * 0.3 / np.sqrt(24) / 2 * np.log(3)
    np.testing.assert_allclose(np.log([where / low, high / where]), half, rtol=0.15)


def test_kl_is_that_of_healthy_rows():
    measures = np.random.default_rng(0).random((3, 2, len(study.GENERATORS), len(study.MEASURES)))
    healthy = measures[..., study.MEASURES.index("KL of healthy rows")]
    np.testing.assert_allclose(study.kl_of(dict(measures=measures)), healthy.mean(axis=0))
