import numpy as np
import pytest

from scratch.estimate import Estimate, Share


def test_interval_covers_the_truth_as_often_as_it_says(rng):
    draws = rng.normal(3.0, 0.5, 20_000)
    for level in (0.5, 0.95):
        low, high = np.array([Estimate(draw, 0.5, 1).interval(level) for draw in draws]).T
        covered = np.mean((low < 3.0) & (3.0 < high))
        assert abs(covered - level) < 5 * np.sqrt(level * (1 - level) / 20_000)


def test_two_roads_agree_within_their_common_error():
    assert Estimate(1.0, 0.3, 10).agrees_with(Estimate(3.4, 0.4, 10))           # 2.4 <= 5 * 0.5
    assert not Estimate(1.0, 0.3, 10).agrees_with(Estimate(3.6, 0.4, 10))
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


def test_a_share_is_certain_of_nothing_and_stays_between_0_and_1():
    """Wilson's interval: the value of his formula, its cover, and what the plain error says in the interior."""
    for hits, n in ((0, 20), (1, 5), (4, 4), (50, 100), (999, 1000)):
        share, z = Share.of(hits, n), 1.959964
        low, high = share.interval()
        v, scale = hits / n, 1 + z * z / n
        middle, half = (v + z * z / (2 * n)) / scale, z / scale * np.sqrt(v * (1 - v) / n + z * z / (4 * n * n))
        assert (low, high) == pytest.approx((max(0, middle - half), min(1, middle + half)), abs=1e-6)
        assert 0 <= low < high <= 1 and share.stderr > 0
        for p in (middle - half, middle + half):            # each end is z standard deviations of its own away from v
            assert (v - p) ** 2 == pytest.approx(z * z * p * (1 - p) / n, abs=1e-6)
    plain = np.sqrt(0.3 * 0.7 / 1000)
    assert Share.of(300, 1000).stderr == pytest.approx(plain, rel=2e-3)


def test_the_error_of_a_share_is_its_scatter(rng):
    for p, n in ((0.5, 100), (0.1, 200), (0.02, 400)):
        hits = rng.binomial(n, p, 4000)
        stated = np.mean([Share.of(k, n).stderr for k in hits])
        assert stated == pytest.approx((hits / n).std(), rel=0.1)


def test_an_interval_covers_where_the_plain_one_has_no_width(rng):
    hits = rng.binomial(20, 0.05, 4000)                     # a third of the samples have no hit
    covered = np.mean([low <= 0.05 <= high for low, high in (Share.of(k, 20).interval() for k in hits)])
    assert covered > 0.91


def test_a_small_variance_is_worth_more_trials_than_rows():
    """An area of 0.995 with a variance of (0.002)^2 keeps that error; at a variance of 0 the rows decide."""
    assert Share.with_variance(0.995, 0.002 ** 2, 20).stderr == pytest.approx(0.002, rel=0.05)
    assert Share.with_variance(1.0, 0.0, 20).stderr == Share.of(20, 20).stderr
    assert Share.with_variance(0.3, 0.21 / 50, 50) == Share.of(15, 50)
    low, high = Share.with_variance(0.995, 0.002 ** 2, 20).interval()
    assert 0.98 < low < 0.995 < high <= 1
