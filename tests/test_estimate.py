import numpy as np
import pytest

from scratch.estimate import Estimate


def test_interval_covers_the_truth_as_often_as_it_says(rng):
    draws = rng.normal(3.0, 0.5, 20_000)
    for level in (0.5, 0.95):
        low, high = np.array([Estimate(draw, 0.5, 1).interval(level) for draw in draws]).T
        covered = np.mean((low < 3.0) & (3.0 < high))
        assert abs(covered - level) < 4 * np.sqrt(level * (1 - level) / 20_000)


def test_two_roads_agree_within_their_common_error():
    assert Estimate(1.0, 0.3, 10).agrees_with(Estimate(2.9, 0.4, 10))           # 1.9 <= 4 * 0.5
    assert not Estimate(1.0, 0.3, 10).agrees_with(Estimate(3.1, 0.4, 10))
    assert Estimate(1.0, 0.3, 10).agrees_with(1.1, errors=1)
    assert not Estimate(1.0, 0.0, 10).agrees_with(1.1)
    assert Estimate(np.inf, 0.0, 10).agrees_with(Estimate(np.inf, 0.0, 10))
    assert not Estimate(np.inf, 0.0, 10).agrees_with(1.0)


def test_reads_as_a_number():
    assert float(Estimate(0.25, 0.1, 5)) == 0.25
    assert str(Estimate(0.25, 0.1, 5)) == "0.2500 +- 0.1000 nats (n = 5)"
    assert str(Estimate(0.000354, 0.000041, 5)) == "0.000354 +- 0.000041 nats (n = 5)"


def test_bad_level_is_named():
    with pytest.raises(ValueError, match="level must lie in"):
        Estimate(0.0, 1.0, 5).interval(95)
