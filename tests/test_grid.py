import numpy as np
import pytest

from scratch.grid import midpoints


def test_nodes_are_the_centers_of_the_cells_last_axis_fastest():
    nodes, cell = midpoints([(0, 3), (10, 14)], 2)
    np.testing.assert_array_equal(nodes, [[0.75, 11], [0.75, 13], [2.25, 11], [2.25, 13]])
    assert cell == 1.5 * 2.0


def test_second_order_and_beyond_it_where_the_function_dies_out():
    def error(function, bounds, exact, n):
        nodes, cell = midpoints(bounds, n)
        return abs(cell * function(nodes[:, 0]).sum() - exact)
    ratio = error(np.exp, [(0, 1)], np.e - 1, 10) / error(np.exp, [(0, 1)], np.e - 1, 20)
    assert 3.9 < ratio < 4.1
    assert error(lambda x: np.exp(-0.5 * x * x), [(-9, 9)], np.sqrt(2 * np.pi), 24) < 1e-14


@pytest.mark.parametrize("bounds, n, says", [
    ([(0, 1)], 0, "n must be at least 1"),
    ([0, 1], 4, "bounds must have shape"),
    ([(1, 0)], 4, "low < high"),
    ([(0, 1), (1, 1)], 4, "low < high"),
    ([(0, np.inf)], 4, "bounds must be finite"),
])
def test_bad_input_is_named(bounds, n, says):
    with pytest.raises(ValueError, match=says):
        midpoints(bounds, n)
