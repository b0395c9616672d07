import numpy as np
import pytest

from scratch.divergence.mode_coverage import mode_coverage

ANGLES = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), 0.01
GRID = np.stack(np.meshgrid([-4.0, -2, 0, 2, 4], [-4.0, -2, 0, 2, 4]), axis=-1).reshape(-1, 2), 0.05
BOTH = pytest.mark.parametrize("means, std", [RING, GRID], ids=["ring", "grid"])


def perfect(seed, means, std, n=2500):
    rng = np.random.default_rng(seed)
    return means[rng.integers(len(means), size=n)] + std * rng.normal(size=(n, means.shape[1]))


def test_it_equals_a_loop_over_the_samples():
    means = np.array([[0.0, 0], [1, 0], [0, 2], [5, 5]])
    samples, std = np.random.default_rng(0).normal(size=(200, 2)), 0.2
    counts = [0, 0, 0, 0]
    for row in samples:
        distances = [np.linalg.norm(row - mean) for mean in means]
        if min(distances) <= 3 * std:
            counts[int(np.argmin(distances))] += 1
    fractions = [count / sum(counts) for count in counts if count]
    modes, high_quality, reverse_kl = mode_coverage(samples, means, std)
    assert modes == len(fractions) == 3
    assert high_quality == pytest.approx(sum(counts) / 200, rel=1e-12)
    assert reverse_kl == pytest.approx(np.log(4) + sum(s * np.log(s) for s in fractions), rel=1e-12)


@BOTH
def test_a_perfect_sampler_scores_as_published(means, std):
    # 1 - exp(-9/2) = 98.889 % within 3 std, and E[reverse KL] = (modes - 1) / (2 samples of high quality):
    # 0.0014 on the ring, 0.0049 on the grid.
    runs = [mode_coverage(perfect(seed, means, std), means, std) for seed in range(100)]
    modes, high_quality, reverse_kl = np.array(runs).T
    assert (modes == len(means)).all()
    for values, expected in ((high_quality, 1 - np.exp(-4.5)), (reverse_kl, (len(means) - 1) / (2 * 0.98889 * 2500))):
        assert abs(values.mean() - expected) < 5 * values.std() / 10


def test_modes_that_are_too_sharp_show_above_989_and_too_wide_below():
    assert mode_coverage(perfect(0, RING[0], 0.005), *RING).high_quality > 0.999
    assert mode_coverage(perfect(0, RING[0], 0.02), *RING).high_quality < 0.75


@BOTH
def test_a_collapsed_sampler_has_the_reverse_kl_of_all_its_modes(means, std):
    modes, high_quality, reverse_kl = mode_coverage(np.repeat(means[3:4], 100, axis=0), means, std)
    assert (modes, high_quality) == (1, 1.0) and reverse_kl == pytest.approx(np.log(len(means)), rel=1e-14)


def test_missing_half_of_the_modes_costs_log_two():
    result = mode_coverage(np.repeat(GRID[0][:24], 2, axis=0)[::4], *GRID)
    assert result.modes == 12 and result.reverse_kl == pytest.approx(np.log(25 / 12), rel=1e-12)


def test_one_stray_sample_captures_a_mode_but_hardly_moves_the_reverse_kl():
    samples = np.concatenate([np.repeat(RING[0][:1], 999, axis=0), RING[0][1:2]])
    result = mode_coverage(samples, *RING)
    assert result.modes == 2 and np.log(8) - 0.01 < result.reverse_kl < np.log(8)


def test_the_border_of_three_std_belongs_to_the_mode():
    assert mode_coverage(np.array([[3.0], [-3.0], [3.001]]), [[0]], 1).high_quality == 2 / 3


def test_no_sample_of_high_quality_is_no_mode_and_infinite():
    assert mode_coverage(np.full((5, 2), 9.0), *RING) == (0, 0.0, np.inf)


def test_one_sample_one_mode_and_one_dimension():
    assert mode_coverage(np.array([[0.1]]), [[0.0]], 0.2) == (1, 1.0, 0.0)


def test_twenty_dimensions():
    # In 20 dimensions only P(chi^2_20 < 9) = 1.7 % lie within 3 std.
    means = np.zeros((2, 20))
    means[1] = 100.0
    result = mode_coverage(perfect(0, means, 1.0, 20_000), means, 1.0)
    assert abs(result.high_quality - 0.01712) < 5 * np.sqrt(0.01712 / 20_000)


@pytest.mark.parametrize("samples, means, std, error, says", [
    (np.zeros((5, 2), int), [[0, 0]], 1, TypeError, "samples must be floating point"),
    (np.zeros((0, 2)), [[0, 0]], 1, ValueError, "samples must have at least one row"),
    (np.full((5, 2), np.nan), [[0, 0]], 1, ValueError, "samples must be finite"),
    (np.zeros((5, 2)), [[0, 0, 0]], 1, ValueError, r"means must have shape \(n, 2\), got \(1, 3\)"),
    (np.zeros((5, 2)), [0, 0], 1, ValueError, "means must have shape"),
    (np.zeros((5, 2)), [["a", "b"]], 1, TypeError, "means must hold real numbers"),
    (np.zeros((5, 2)), [[0, np.inf]], 1, ValueError, "means must be finite"),
    (np.zeros((5, 2)), [[0, 0]], 0, ValueError, "std must be a positive finite number"),
    (np.zeros((5, 2)), [[0, 0]], [1], TypeError, "std must be a positive number")])
def test_bad_input_is_refused(samples, means, std, error, says):
    with pytest.raises(error, match=says):
        mode_coverage(samples, means, std)


def test_a_mean_that_comes_twice_is_refused():
    angles = np.pi * np.array([0, 1, 2])                  # linspace(0, 2 pi, 3): both ends are one place
    with pytest.raises(ValueError, match="means must differ"):
        mode_coverage(np.zeros((5, 1)), np.round(np.cos(angles))[:, None], 0.1)
