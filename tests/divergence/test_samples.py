import numpy as np
import pytest

from scratch.divergence.samples import common_plane, equal_rows, first_copies, two_samples, whiten


def test_rows_are_in_one_group_exactly_if_they_are_equal():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, size=(40, 3)) / 2, rng.integers(0, 3, size=(30, 3)) / 2
    group = np.concatenate(equal_rows(x, y))
    rows = np.concatenate([x, y])
    same = (rows[:, None] == rows[None]).all(axis=2)
    assert np.array_equal(group[:, None] == group[None], same)
    assert set(group) == set(range(group.max() + 1))


def test_minus_zero_equals_zero():
    group_x, group_y = equal_rows(np.array([[0.0, 1.0]]), np.array([[-0.0, 1.0]]))
    assert group_x[0] == group_y[0]


def test_float32_becomes_float64_and_the_caller_keeps_its_own():
    x = np.ones((2, 1), np.float32)
    a, b = two_samples(x, x)
    a += 1
    assert a.dtype == b.dtype == np.float64 and (x == 1).all()


@pytest.mark.parametrize("x, y, error, message", [
    (np.ones((3, 2)), np.ones((3, 1)), ValueError, r"same number of columns, got shapes \(3, 2\) and \(3, 1\)"),
    (np.ones(3), np.ones((3, 1)), ValueError, r"x must have shape \(n, dim\), got \(3,\)"),
    (np.ones((3, 1)), np.ones((0, 1)), ValueError, "y must have at least one row"),
    (np.ones((3, 1)), np.ones((3, 1), int), TypeError, "y must be floating point"),
    (np.ones((3, 1)), np.full((3, 1), np.inf), ValueError, "y must be finite"),
    (np.ones((3, 1), complex), np.ones((3, 1)), TypeError, "x must be real"),
])
def test_bad_samples_are_refused_by_name(x, y, error, message):
    with pytest.raises(error, match=message):
        two_samples(x, y)


def test_first_copies_keeps_the_first_rows_of_each_group():
    group = np.array([2, 0, 2, 2, 1, 0, 2])
    assert np.flatnonzero(first_copies(group, 1)).tolist() == [0, 1, 4]
    assert np.flatnonzero(first_copies(group, 3)).tolist() == [0, 1, 2, 3, 4, 5]


# ---- the common plane ----

def test_the_common_plane_of_a_constant_column():
    x = np.array([[1.0, 7.0], [2.0, 7.0]])
    varying, inside = common_plane(x, np.array([[5.0, 7.0], [5.0, 6.0], [4.0, 7.0]]))
    assert varying.tolist() == [True, False] and inside.tolist() == [True, False, True]


@pytest.mark.parametrize("y", [
    [[5.0, 6.0], [4.0, 6.0]],                                                     # none on the plane of x
    [[5.0, 7.0], [5.0, 7.0], [4.0, 6.0]],                                         # there, y stands still
])
def test_no_y_is_left_where_q_has_no_mass_near_p(y):
    _, inside = common_plane(np.array([[1.0, 7.0], [2.0, 7.0]]), np.array(y))
    assert not inside.any()


def test_a_single_y_on_the_plane_does_not_stand_still():
    _, inside = common_plane(np.array([[1.0, 7.0], [2.0, 7.0]]), np.array([[5.0, 7.0], [4.0, 6.0]]))
    assert inside.tolist() == [True, False]


# ---- whitening ----

@pytest.mark.parametrize("dim", [1, 2, 20])
def test_whitened_samples_have_unit_mean_covariance_and_keep_their_order_in_space(dim, rng):
    a = rng.normal(size=(dim, dim))
    x, y = rng.normal(size=(50, dim)) @ a + 3, 2 * rng.normal(size=(40, dim)) @ a
    u, v = whiten(x, y)
    assert (np.cov(u.T) + np.cov(v.T)) / 2 == pytest.approx(np.eye(dim) if dim > 1 else 1.0, abs=1e-9)
    # one and the same linear map: differences of u and v follow from those of x and y
    back = np.linalg.lstsq(u - u[0], x - x[0], rcond=None)[0]
    assert (v - u[0]) @ back == pytest.approx(y - x[0], abs=1e-8)


def test_whitened_linear_images_differ_by_a_rotation(rng):
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(50, 3)) + 1
    a = np.array([[1, 5, 0], [0, 0.1, 3], [0, 0, 1e6]])
    straight, bent = (np.concatenate(whiten(*pair)) for pair in ((x, y), (x @ a - 7, y @ a - 7)))
    assert straight @ straight.T == pytest.approx(bent @ bent.T, abs=1e-6)


def test_dependent_or_constant_columns_cannot_be_whitened(rng):
    x = rng.normal(size=(20, 2))
    for column in (np.ones(20), x[:, 0] - 2 * x[:, 1]):
        with pytest.raises(ValueError, match="constant or linearly dependent"):
            whiten(np.column_stack([x, column]), np.column_stack([x[::-1], column[::-1]]))
    with pytest.raises(ValueError, match="at least 2 rows of x and of y, got 20 and 1"):
        whiten(x, x[:1])
