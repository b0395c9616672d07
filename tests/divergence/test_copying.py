import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from scratch.divergence.copying import copying, copying_z


def test_z_is_the_naive_count(rng):
    fresh, generated = rng.integers(0, 8, 30) / 2, rng.integers(0, 6, 20) / 2   # with ties
    U = sum((q > p) + 0.5 * (q == p) for p in fresh for q in generated)
    assert copying_z(fresh, generated) == pytest.approx((U - 300) / np.sqrt(30 * 20 * 51 / 12), rel=1e-12)
    assert U == mannwhitneyu(generated, fresh).statistic


def test_without_copies_z_is_standard_normal(rng):
    train = rng.normal(size=(200, 3))
    z = [copying(train, rng.normal(size=(40, 3)), rng.normal(size=(60, 3)), rng) for _ in range(400)]
    assert abs(np.mean(z)) < 5 / 20 and abs(np.std(z) - 1) < 5 / np.sqrt(800)


def test_copies_are_far_below_0_and_misses_far_above(rng):
    train, fresh = rng.normal(size=(100, 2)), rng.normal(size=(300, 2))
    copies = train[rng.integers(100, size=300)] + 0.01 * rng.normal(size=(300, 2))
    assert copying(train, fresh, copies, rng) < -10
    assert copying(train, fresh, fresh + 3, rng) > 10


def test_cells_see_copies_in_one_half_that_misses_in_the_other_hide(rng):
    def halves(n):
        x = rng.normal(size=(n, 2))
        x[:, 0] = np.abs(x[:, 0]) + 5
        x[: n // 2, 0] *= -1
        return x
    train, fresh, generated = halves(200), halves(2000)[500:], halves(2000)
    generated[:1000] = train[rng.integers(100, size=1000)]                      # copies at the left
    generated[1000:] *= 1.2                                                     # too wide at the right
    left = copying(train, fresh[:500], generated[:1000], rng)
    right = copying(train, fresh[500:], generated[1000:], rng)
    assert left < -10 and right > 3
    assert copying(train, fresh, generated, rng, cells=2) == pytest.approx((left + 2 * right) / 3, rel=1e-9)


@pytest.mark.parametrize("few", [9, 10])
def test_a_cell_counts_from_ten_generated_rows_on(few, rng):
    """With 9 at the left the result is that of the right half; with 10 it is the mean of both."""
    left, right = np.array([-9.0, 0.0]), np.array([9.0, 0.0])
    train = np.concatenate([left + rng.normal(size=(50, 2)), right + rng.normal(size=(50, 2))])
    fresh = np.concatenate([left + rng.normal(size=(60, 2)), right + rng.normal(size=(40, 2))])
    generated = np.concatenate([left + rng.normal(size=(few, 2)), right + rng.normal(size=(30, 2))])
    halves = [copying(train, fresh[a], generated[b], rng) for a, b in ((slice(0, 60), slice(0, few)),
                                                                       (slice(60, 100), slice(few, few + 30)))
              if few >= 10 or b.start]
    expected = halves[0] if few < 10 else 0.6 * halves[0] + 0.4 * halves[1]
    assert copying(train, fresh, generated, rng, cells=2) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("call, error, says", [
    (lambda x, rng: copying(x, x[:, :1], x, rng), ValueError, r"fresh must have shape \(n, 2\)"),
    (lambda x, rng: copying(x, x, x, rng, cells=0), ValueError, "cells must be at least 1"),
    (lambda x, rng: copying(x, x, x, 0), TypeError, "rng must be"),
    (lambda x, rng: copying(x, x, x[:3], rng), ValueError, "take fewer cells"),
    (lambda x, rng: copying_z(x[:, 0], x), ValueError, "shape"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng.normal(size=(20, 2)), rng)
