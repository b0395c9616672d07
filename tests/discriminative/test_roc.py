import numpy as np
import pytest
from scipy.special import ndtr

from scratch.estimate import Share
from scratch.discriminative import roc
from scratch.discriminative.roc import area_difference, area_under_roc, roc_curve


def with_ties(n, shift, rng):
    """Scores on a coarse scale: many are equal."""
    return np.round(2 * (rng.normal(size=n) + shift)) / 2


def naive_area(positive, negative):
    return np.mean([[1.0 if p > n else 0.5 if p == n else 0.0 for n in negative] for p in positive])


def test_area_is_the_share_of_pairs_in_order_ties_half(rng):
    positive, negative = with_ties(40, 0.7, rng), with_ties(70, 0, rng)
    assert len(np.unique(np.append(positive, negative))) < 20
    assert area_under_roc(positive, negative).value == pytest.approx(naive_area(positive, negative), abs=1e-14)
    assert area_under_roc(np.ones(5), np.ones(9)).value == 0.5
    assert area_under_roc(np.ones(5), np.zeros(9)).value == 1
    assert area_under_roc(np.zeros(5), np.ones(9)).value == 0


def test_area_is_the_integral_of_the_curve(rng):
    positive, negative = with_ties(40, 0.7, rng), with_ties(70, 0, rng)
    false, true = roc_curve(positive, negative)
    assert np.trapezoid(true, false) == pytest.approx(naive_area(positive, negative), abs=1e-14)


def test_curve_counts_what_is_at_least_the_threshold(rng):
    positive, negative = with_ties(40, 0.7, rng), with_ties(70, 0, rng)
    false, true = roc_curve(positive, negative)
    thresholds = np.append(np.inf, np.sort(np.unique(np.append(positive, negative)))[::-1])
    np.testing.assert_allclose(true, [np.mean(positive >= t) for t in thresholds])
    np.testing.assert_allclose(false, [np.mean(negative >= t) for t in thresholds])


def test_area_sees_only_the_order_of_scores(rng):
    positive, negative = rng.normal(1, 1, 50), rng.normal(size=80)
    assert area_under_roc(np.exp(positive), np.exp(negative)) == area_under_roc(positive, negative)


def test_stderr_is_delongs(rng):
    """Their equations, pair by pair: S10 / M + S01 / N with sample variances of the placements."""
    positive, negative = with_ties(30, 0.7, rng), with_ties(45, 0, rng)
    kernel = np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in negative] for p in positive])
    variance = kernel.mean(axis=1).var(ddof=1) / 30 + kernel.mean(axis=0).var(ddof=1) / 45
    area = kernel.mean()
    trials = area * (1 - area) / variance                   # independent trials with this variance, more than 30
    expected = np.sqrt(variance + 1 / (4 * trials ** 2)) / (1 + 1 / trials)       # Wilson's
    assert trials > 30 and area_under_roc(positive, negative).stderr == pytest.approx(expected, rel=1e-12)
    other = with_ties(30, 0.2, rng), with_ties(45, 0, rng)
    kernel -= np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in other[1]] for p in other[0]])
    variance = kernel.mean(axis=1).var(ddof=1) / 30 + kernel.mean(axis=0).var(ddof=1) / 45
    assert area_difference((positive, negative), other).stderr == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_intervals_cover_the_true_area(rng):
    """Unit normals a distance 1 apart: A = Phi(1 / sqrt 2)."""
    truth, covered = ndtr(1 / np.sqrt(2)), []
    for _ in range(500):
        low, high = area_under_roc(rng.normal(1, 1, 60), rng.normal(size=90)).interval()
        covered.append(low <= truth <= high)
    assert abs(np.mean(covered) - 0.95) < 0.01 + 5 * np.sqrt(0.95 * 0.05 / 500)


def test_clusters_widen_the_interval_until_it_covers(rng):
    """Scores of one picture share an offset: taken as independent they cover far too seldom."""
    truth, naive, clustered = ndtr(1 / np.sqrt(2 * 1.0 ** 2 + 2 * 1.0 ** 2) * 1.5), [], []
    pictures = np.repeat(np.arange(40), 5)
    for _ in range(300):
        offset = rng.normal(size=(2, 40))                   # a picture's positives and its negatives
        positive, negative = (shift + part[pictures] + rng.normal(size=200) for shift, part in zip((1.5, 0), offset))
        for hits, clusters in ((naive, ()), (clustered, (pictures, pictures))):
            low, high = area_under_roc(positive, negative, *clusters).interval()
            hits.append(low <= truth <= high)
    assert np.mean(naive) < 0.85
    assert np.mean(clustered) > 0.94 - 5 * np.sqrt(0.95 * 0.05 / 300)


def test_each_score_its_own_cluster_is_no_clusters(rng):
    positive, negative = rng.normal(1, 1, 300), rng.normal(size=400)
    plain = area_under_roc(positive, negative)
    own = area_under_roc(positive, negative, np.arange(300), 300 + np.arange(400))
    assert own.stderr == pytest.approx(plain.stderr, rel=1e-12)


def test_the_difference_of_two_detectors_knows_that_they_saw_the_same(rng):
    """Its variance is Var A + Var B - 2 Cov: 0 for the same detector, and small for a nearly equal one."""
    positive, negative = rng.normal(1, 1, 200), rng.normal(size=300)
    assert area_difference((positive, negative), (positive, negative)).stderr == 0
    near = positive + 0.1 * rng.normal(size=200), negative + 0.1 * rng.normal(size=300)
    difference = area_difference((positive, negative), near)
    first, second = area_under_roc(positive, negative), area_under_roc(*near)
    assert difference.value == pytest.approx(first.value - second.value, abs=1e-14)
    assert difference.unit == "" and type(first) is Share                       # nothing here is in nats
    assert difference.stderr < 0.2 * first.stderr
    apart = rng.normal(1, 1, 200), rng.normal(size=300)
    independent = area_difference((positive, negative), apart).stderr
    assert independent == pytest.approx(np.hypot(first.stderr, area_under_roc(*apart).stderr), rel=0.15)


@pytest.mark.parametrize("call, error, says", [
    (lambda: area_under_roc(np.ones(1), np.ones(5)), ValueError, "at least 2 positives"),
    (lambda: area_under_roc(np.ones((2, 2)), np.ones(5)), ValueError, r"positive must be scores of shape \(n,\)"),
    (lambda: area_under_roc(np.ones(4), np.array([np.nan, 1])), ValueError, "negative must be finite"),
    (lambda: area_under_roc(np.ones(4), np.ones(4), np.ones(3), np.ones(4)), ValueError, "one label for each score"),
    (lambda: area_under_roc(np.ones(4), np.ones(4), np.ones(4), None), TypeError, "one for each row"),
    (lambda: area_under_roc(np.ones(4), np.ones(4), np.ones(4), np.ones(4)), ValueError, "at least 2 clusters"),
    (lambda: area_difference((np.ones(4), np.ones(4)), (np.ones(3), np.ones(4))), ValueError, "the same positives"),
    (lambda: roc_curve(np.ones(0), np.ones(4)), ValueError, "positive must be scores"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("pictures, each", [(6, 1), (6, 5)])
def test_the_error_of_clusters_is_the_scatter_of_repeats(pictures, each, rng):
    """The variance before Wilson's correction is unbiased: one factor G / (G - 1), also for six clusters."""
    labels = np.repeat(np.arange(pictures), each)
    areas, variances = [], []
    for _ in range(2500):
        offset = rng.normal(size=(2, pictures))
        positive, negative = (shift + part[labels] + rng.normal(size=len(labels))
                              for shift, part in zip((1.0, 0.0), offset))
        area, *terms = roc._area(positive, negative)
        areas.append(area)
        variances.append(roc._variance(terms, labels, labels)[0])
    assert abs(np.mean(variances) / np.var(areas) - 1) < 0.02 + 5 * np.sqrt(2 / 2500) < 6 / 5 - 1      # seen if twice


def test_a_perfect_area_has_an_error():
    four = area_under_roc([3.0, 2.0], [1.0, 0.0])
    assert four.value == 1 and four.stderr > 0.1 and four.interval()[1] == 1 and four.interval()[0] < 0.5
    lopsided = area_under_roc([3.0, 2.0], np.linspace(0, 1, 10_000))
    assert lopsided.stderr > 0.1                            # two positives do not become 10,000
    none = area_under_roc(np.zeros(20), np.ones(20))
    assert none.value == 0 and none.interval() == pytest.approx((0, 0.1611), abs=1e-4)
    labels = np.repeat([0, 1, 2], 10)
    clustered = area_under_roc(np.ones(30), np.zeros(30), labels, labels)
    assert clustered.stderr > 0.1 and clustered.n == 3


def test_clusters_may_have_names_and_masked_scores_are_refused():
    names = np.repeat(["left", "right"], 3)
    scores = np.arange(6.0)
    numbers = area_under_roc(scores, scores - 1, [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1])
    assert area_under_roc(scores, scores - 1, names, names) == numbers
    with pytest.raises(ValueError, match="masked"):
        area_under_roc(np.ma.masked_array(scores, scores > 4), scores)
    with pytest.raises(TypeError, match="pairs"):
        area_difference(None, (scores, scores))
