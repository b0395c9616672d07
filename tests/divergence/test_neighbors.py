import numpy as np
import pytest

from scratch.divergence.neighbors import collected, count_nearer, nearest, nearest_others, same_scale
from scratch.divergence.repeats import places


def lattice(seed, n, dim):
    """Points on a coarse lattice: many repeats, many equal distances."""
    return np.random.default_rng(seed).integers(0, 3, size=(n, dim)) / 2.0


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("dim", [1, 3, 20])
def test_the_kth_distance_equals_a_sort_of_all(dim, k, rng):
    at, data = rng.normal(size=(15, dim)), rng.normal(size=(25, dim))
    distance, near = nearest(at, data, np.arange(25), k)
    for i, row in enumerate(at):
        all_distances = np.array([np.linalg.norm(row - other) for other in data])
        assert distance[i] == pytest.approx(np.sort(all_distances)[k - 1], rel=1e-12)
        assert list(near[i]) == list(np.argsort(all_distances)[:k])


@pytest.mark.parametrize("k", [1, 2, 5])
def test_repeated_points_count_as_often_as_they_occur(k):
    data = lattice(1, 60, 2)                              # 9 places, about 7 copies each
    place = places(data, data[:0]).of_x
    distance, near = nearest_others(data, data, place, k)
    for i, row in enumerate(data):
        others = np.sort([np.linalg.norm(row - data[j]) for j in range(60) if j != i])
        assert distance[i] == pytest.approx(others[k - 1], abs=1e-12)
        assert near.shape == (60, k)


def test_a_row_is_not_its_own_neighbor(rng):
    data = rng.normal(size=(30, 2))
    distance, near = nearest_others(data, data, np.arange(30), 3)
    assert (distance > 0).all() and (near != np.arange(30)[:, None]).all()


def test_only_strictly_nearer_points_are_counted():
    at, data = lattice(2, 40, 2), lattice(3, 50, 2)
    radius = np.random.default_rng(4).choice([0.0, 0.5, np.sqrt(0.5), 1.0, np.sqrt(2)], 40)
    expected = [sum(np.linalg.norm(row - other) < r - 1e-9 for other in data) for row, r in zip(at, radius)]
    assert count_nearer(at, data, radius).tolist() == expected


def test_neighbors_are_counted_and_copies_get_equal_parts():
    near = np.array([[0, 1], [1, 1], [2, 0]])             # 3 rows with 2 neighbors
    count = np.array([1, 4, 1, 0])                        # place 1 has 4 copies; place 3 has none here
    assert collected(near, count).tolist() == [1.0, 1.5 / 4, 0.5, 0.0]
    assert collected(near, count) @ count == 3


def test_one_unit_for_both_and_none_for_zeros():
    x, y = same_scale(np.array([[3.0, -8.0]]), np.array([[4.0, 2.0]]))
    assert x.tolist() == [[0.375, -1.0]] and y.tolist() == [[0.5, 0.25]]
    zeros, _ = same_scale(np.zeros((2, 1)), np.zeros((1, 1)))
    assert (zeros == 0).all()


def test_a_hundred_thousand_copies_change_no_distance(rng):
    data = np.concatenate([np.zeros((100_000, 2)), rng.normal(size=(50, 2))])
    place = places(data, data[:0]).of_x
    distance, _ = nearest_others(data, data, place, 5)
    assert (distance[:100_000] == 0).all() and (distance[100_000:] > 0).all()
