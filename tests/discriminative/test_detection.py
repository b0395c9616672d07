import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from scratch.discriminative.detection import (
    Insertion, Marks, free_response, hardest, match, matched_filter, score_map, suppress, windows)
from scratch.discriminative.labeled import split_classes
from scratch.discriminative.roc import area_under_roc


def test_the_score_map_scores_the_window_at_each_place(rng):
    picture, weights = rng.normal(size=(9, 12)), rng.normal(size=9)
    scores = score_map(lambda x: x @ weights, picture, 3)
    assert scores.shape == (7, 10) == windows(picture, 3).shape[:2]
    for i in range(7):
        for j in range(10):
            assert scores[i, j] == pytest.approx(picture[i:i + 3, j:j + 3].ravel() @ weights)


def test_what_is_masked_is_not_scored(rng):
    picture, mask = rng.normal(size=(5, 5)), rng.random((3, 3)) < 0.5
    scores = score_map(lambda x: x[:, 4], picture, 3, mask)
    assert (scores[~mask] == -np.inf).all()
    np.testing.assert_array_equal(scores[mask], picture[1:4, 1:4][mask])


# ---- non-maximum suppression ----

def naive_suppress(scores, radius):
    """Take the best place left, cross out all within the radius, repeat."""
    left, places = scores.copy(), []
    while left.max() > -np.inf:
        best = np.unravel_index(left.argmax(), left.shape)
        places.append(best)
        for i, j in np.ndindex(left.shape):
            if (i - best[0]) ** 2 + (j - best[1]) ** 2 <= radius ** 2:
                left[i, j] = -np.inf
    return np.array(places)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 30])
def test_suppression_is_the_naive_loop(radius, rng):
    scores = rng.normal(size=(13, 17))
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    marks = suppress(scores, radius)
    np.testing.assert_array_equal(marks.places, naive_suppress(scores, radius))
    np.testing.assert_array_equal(marks.scores, scores[tuple(marks.places.T)])
    assert (np.diff(marks.scores) <= 0).all()


def test_marks_are_more_than_a_radius_apart_and_leave_no_place_uncovered(rng):
    scores = rng.normal(size=(20, 20))
    places = suppress(scores, 3).places
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert distance[~np.eye(len(places), dtype=bool)].min() > 3
    everywhere = np.stack(np.meshgrid(np.arange(20), np.arange(20), indexing="ij"), axis=-1).reshape(-1, 2)
    assert np.hypot(*(everywhere[:, None] - places[None]).transpose(2, 0, 1)).min(axis=1).max() <= 3


def test_suppression_edge_distance_exactly_the_radius_is_suppressed_one_more_is_not():
    for gap, kept in ((3, 1), (4, 2)):
        scores = np.full((1, 10), -np.inf)
        scores[0, [1, 1 + gap]] = 2.0, 1.0
        assert len(suppress(scores, 3).places) == kept
    assert suppress(np.full((3, 3), -np.inf), 1).places.shape == (0, 2)


# ---- hits and their curve ----

def test_a_structure_is_claimed_once_and_by_the_best_mark():
    marks = Marks(np.array([[10, 10], [11, 10], [30, 30], [50, 52]]), np.array([4.0, 3.0, 2.0, 1.0]))
    hits = match(marks, [[10, 11], [50, 50]], radius=2)
    np.testing.assert_array_equal(hits, [True, False, False, True])
    np.testing.assert_array_equal(match(marks, [[10, 11], [50, 50]], radius=1.9), [True, False, False, False])
    np.testing.assert_array_equal(match(marks, [[10, 11], [12, 10]], radius=2), [True, True, False, False])
    assert not match(marks, np.empty((0, 2)), radius=2).any()


def test_a_mark_takes_the_nearest_structure_and_leaves_the_other_to_the_next_mark():
    """Both structures lie within the radius of the first mark, and one within that of the second."""
    marks = Marks(np.array([[10, 10], [10, 7]]), np.array([2.0, 1.0]))
    for structures in ([[10, 8], [10, 11]], [[10, 11], [10, 8]]):
        np.testing.assert_array_equal(match(marks, structures, radius=3), [True, True])


def test_free_response_counts_by_hand():
    scores, hits = np.array([0.3, 0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, True, False])
    false, true = free_response(scores, hits, structures=4, pictures=2)
    np.testing.assert_allclose(false, [0, 0, 0.5, 0.5, 1])                       # the two marks of 0.8 come together
    np.testing.assert_allclose(true, [0, 0.25, 0.5, 0.75, 0.75])


# ---- baseline, training windows ----

def test_the_matched_filter_is_the_likelihood_ratio(rng):
    template, x = 0.5 * rng.normal(size=6), rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + 2
    S = np.cov(x.T, bias=True) + 0.3 ** 2 * np.eye(6)
    ratio = (multivariate_normal.logpdf(x, x.mean(axis=0) + template, S)
             - multivariate_normal.logpdf(x, x.mean(axis=0), S))
    np.testing.assert_allclose(matched_filter(template, x, noise=0.3)(x), ratio, atol=1e-9)
    plain = multivariate_normal.logpdf(x, template) - multivariate_normal.logpdf(x, np.zeros(6))
    np.testing.assert_allclose(matched_filter(template)(x), plain, atol=1e-9)


def test_the_areas_of_plain_and_whitened_filters_are_those_of_theory(rng):
    """A linear score w has A = Phi(w^T t / sqrt(2 w^T S w)); random walks are smooth, as pictures are."""
    x, S = np.cumsum(rng.normal(size=(8000, 9)), axis=1), np.minimum.outer(np.arange(1.0, 10), np.arange(1.0, 10))
    template = np.array([0, 0, 0, 1.0, 1.5, 1.0, 0, 0, 0])
    areas = []
    for score, w in ((matched_filter(template - template.mean()), template - template.mean()),
                     (matched_filter(template, x), np.linalg.solve(S, template))):
        areas.append(area_under_roc(score(x[:4000] + template), score(x[4000:])))
        assert areas[-1].agrees_with(ndtr(w @ template / np.sqrt(2 * w @ S @ w)))
    assert areas[0].interval()[1] < areas[1].interval()[0]


def test_insertion_adds_the_template_to_half_of_the_backgrounds(rng):
    backgrounds, template = 10.0 * np.arange(5.0)[:, None] + np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0])
    x, y = split_classes(Insertion(backgrounds, template).sample(4000, rng), 4, 2)
    np.testing.assert_array_equal((x - y[:, None] * template) % 10, 0)
    assert abs(y.mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    assert set((x - y[:, None] * template)[:, 0]) == {0, 10, 20, 30, 40}
    np.testing.assert_array_equal(backgrounds[:, 0], 10.0 * np.arange(5))        # untouched


def test_hard_negatives_replace_a_share_of_the_empty_windows_only(rng):
    law = Insertion(np.zeros((3, 2)), np.ones(2), hard=np.full((2, 2), 7.0), hard_share=0.25)
    x, y = split_classes(law.sample(8000, rng), 2, 2)
    assert (x[y == 1] == 1).all()
    assert abs(np.mean(x[y == 0] == 7) - 0.25) < 5 * np.sqrt(0.25 / 4000)


def test_hardest_are_the_largest_scores_first(rng):
    x = rng.normal(size=(50, 3))
    chosen = hardest(lambda x: x[:, 1], x, 5)
    np.testing.assert_array_equal(chosen, sorted(x.tolist(), key=lambda row: -row[1])[:5])


@pytest.mark.parametrize("call, error, says", [
    (lambda rng: windows(np.zeros((5, 5)), 6), ValueError, "size must be at most 5"),
    (lambda rng: windows(np.zeros((5, 5), int), 3), TypeError, "floating point"),
    (lambda rng: score_map(len, np.zeros((5, 5)), 3, np.ones((5, 5), bool)), ValueError, r"shape \(3, 3\)"),
    (lambda rng: suppress(np.zeros(5), 1), ValueError, "scores must be a map"),
    (lambda rng: suppress(np.zeros((5, 5)), -1), ValueError, "radius must be at least 0"),
    (lambda rng: suppress(np.full((2, 2), np.nan), 1), ValueError, "without NaN"),
    (lambda rng: suppress(np.array([[0.0, np.nan]]), 1), ValueError, "without NaN"),
    (lambda rng: free_response(np.zeros(3), np.ones(3, bool), 2, 1), ValueError, "at most 2 hits"),
    (lambda rng: matched_filter(np.ones(4), np.zeros((3, 5))), ValueError, r"backgrounds must have shape \(n, 4\)"),
    (lambda rng: matched_filter(np.ones(4))(np.zeros((3, 5))), ValueError, r"shape \(n, 4\)"),
    (lambda rng: Insertion(np.zeros((2, 4)), np.ones(3)), ValueError, r"backgrounds must have shape \(n, 3\)"),
    (lambda rng: Insertion(np.zeros((2, 4)), np.ones(4), hard_share=2.0), ValueError, "hard_share"),
    (lambda rng: Insertion(np.zeros((2, 4)), np.ones(4)).sample(0, rng), ValueError, "n must be at least 1"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)


def test_a_singular_background_is_named_and_an_empty_mask_has_no_scores(rng):
    with pytest.raises(ValueError, match="covariance of 10 backgrounds of 25 pixels is singular"):
        matched_filter(np.ones(25), rng.standard_normal((10, 25)))
    nothing = score_map(matched_filter(np.ones(4)), rng.random((5, 5)), 2, np.zeros((4, 4), bool))
    assert (nothing == -np.inf).all()


# ---- what people bring ----

def test_an_insertion_takes_lists_and_refuses_masks(rng):
    law = Insertion([[0.0, 1.0], [2.0, 3.0]], [1, 1], hard=[[5.0, 5.0]])
    assert law.sample(10, rng).shape == (10, 3)
    assert law == law and len({law, Insertion([[0.0, 1.0]], [1, 1])}) == 2
    with pytest.raises(ValueError, match="backgrounds has 1 masked"):
        Insertion(np.ma.masked_array([[0.0, -999.0]], mask=[[False, True]]), [1.0, 1.0])
    with pytest.raises(ValueError, match="template has 1 masked"):
        Insertion([[0.0, 1.0]], np.ma.masked_array([0.0, -999.0], mask=[False, True]))


def test_the_matched_filter_does_not_see_a_constant_in_all_pixels(rng):
    x, template = np.round(rng.normal(size=(50, 4)), 3), rng.normal(size=4)
    np.testing.assert_allclose(matched_filter(template, x + 1e8)(x + 1e8), matched_filter(template, x)(x), atol=1e-5)


def test_a_score_of_the_wrong_shape_is_named(rng):
    for call in (lambda: score_map(lambda x: x, rng.random((5, 5)), 3), lambda: hardest(np.sum, np.ones((3, 2)), 1)):
        with pytest.raises(ValueError, match="score must return one number for each of"):
            call()


def test_marks_compare_and_hash_as_objects():
    one, two = (suppress(np.eye(3), 1) for _ in range(2))
    assert one == one and one != two and len({one, two}) == 2
