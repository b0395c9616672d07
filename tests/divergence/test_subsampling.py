import numpy as np
import pytest

from scratch.divergence.integral_metrics import mmd
from scratch.divergence.nearest_neighbor import kl_nearest_neighbor
from scratch.divergence.subsampling import subsample
from scratch.estimate import Estimate


def gap(x, y):
    """The difference of the means: a linear statistic, whose deviation is known."""
    return float(x.mean() - y.mean())


def samples(seed, n=200, m=160, shift=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1)), 2 * rng.normal(size=(m, 1)) + shift


def test_it_equals_a_loop_with_the_same_draws():
    x, y = samples(0)
    rng, values = np.random.default_rng(7), []
    for _ in range(10):
        values.append(gap(rng.choice(x, 60, replace=False), rng.choice(y, 48, replace=False)))
    mean = sum(values) / 10
    deviation = np.sqrt(sum((value - mean) ** 2 for value in values) / 9)
    result = subsample(gap, x, y, np.random.default_rng(7), repeats=10, fraction=0.3, rate=0.7)
    assert result.value == gap(x, y) and result.n == 200
    assert result.stderr == pytest.approx(deviation * (60 / 200) ** 0.7 / np.sqrt(1 - 60 / 200), rel=1e-12)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_the_standard_error_of_a_mean_is_exact_for_every_fraction(fraction, rng):
    # s^2 / n without the finite population correction would be off by sqrt(1 - fraction).
    x, y = samples(1)
    exact = np.sqrt(x.var(ddof=1) / 200 + y.var(ddof=1) / 160)
    stderr = subsample(gap, x, y, rng, repeats=1000, fraction=fraction).stderr
    assert abs(stderr / exact - 1) < 4 / np.sqrt(2 * 1000)


def test_it_finds_the_true_deviation_of_a_mean():
    runs = [subsample(gap, *samples(seed), np.random.default_rng(seed), repeats=20) for seed in range(200)]
    truth = np.sqrt(1 / 200 + 4 / 160)
    values = np.array([run.value for run in runs])
    assert abs(values.std() / truth - 1) < 4 / np.sqrt(2 * 200)
    assert abs(np.sqrt(np.mean([run.stderr ** 2 for run in runs])) / truth - 1) < 4 * np.sqrt(2 / 19 / 200)


def test_it_agrees_with_the_formula_for_neighbors_and_keeps_the_value(rng):
    x, y = samples(2, 800, 800)
    formula, result = kl_nearest_neighbor(x, y), subsample(kl_nearest_neighbor, x, y, rng)
    assert result.value == formula.value
    assert 0.7 < result.stderr / formula.stderr < 1.4


def test_rate_one_is_right_for_mmd_between_equal_laws():
    pairs = [np.random.default_rng(seed).normal(size=(2, 100, 1)) for seed in range(60)]
    truth = np.std([mmd(x, y).value for x, y in pairs])
    stderrs = [subsample(mmd, x, y, np.random.default_rng(seed), repeats=20, rate=1.0).stderr
               for seed, (x, y) in enumerate(pairs[:10])]
    assert 0.6 < np.mean(stderrs) / truth < 1.6                                   # rate 1/2 makes it twice that


def test_no_subset_repeats_a_point_and_all_have_the_stated_size(rng):
    seen = []

    def spy(x, y):
        seen.append((len(x), len(y)))
        assert len(np.unique(x)) == len(x) and len(np.unique(y)) == len(y)
        return Estimate(gap(x, y), 0.1, len(x))
    subsample(spy, *samples(3), rng, repeats=5, fraction=0.25)
    assert seen == [(200, 160)] + [(50, 40)] * 5


def test_same_seed_same_bits():
    first, second = (subsample(gap, *samples(4), np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_an_infinite_value_stays_infinite(rng):
    x, y = samples(5)
    x[:10] = x[0]                                                                 # an atom that q lacks
    result = subsample(kl_nearest_neighbor, x, y, rng)
    assert (result.value, result.stderr) == (np.inf, 0)


def test_constant_samples_have_no_error(rng):
    assert subsample(gap, np.ones((9, 1)), np.ones((9, 1)), rng, fraction=0.5) == Estimate(0.0, 0.0, 9)


def test_infinite_subsets_are_a_clear_error(rng):
    finite_on_all = lambda x, y: np.inf if len(x) < 100 else 0.0
    with pytest.raises(ValueError, match="finite on all points but not on 100 of 100 subsets"):
        subsample(finite_on_all, *samples(6), rng)


@pytest.mark.parametrize("change, error, says", [
    (dict(estimator=3), TypeError, "estimator must be a function"),
    (dict(estimator=lambda x, y: np.nan), ValueError, "NaN on all points"),
    (dict(x=np.zeros((9, 1), int)), TypeError, "x must be floating point"),
    (dict(x=np.zeros((9, 2))), ValueError, "same number of columns"),
    (dict(x=np.zeros((1, 1))), ValueError, "a fraction 0.25 of 1 and 9 rows leaves an empty subset"),
    (dict(rng=7), TypeError, "Generator"),
    (dict(repeats=1), ValueError, "repeats must be at least 2"),
    (dict(fraction=0.0), ValueError, "fraction"), (dict(fraction=1.0), ValueError, r"in \(0, 1\), got 1.0"),
    (dict(fraction=np.nan), ValueError, "fraction"), (dict(fraction="all"), TypeError, "fraction"),
    (dict(rate=-1), ValueError, "rate"), (dict(rate=None), TypeError, "rate")])
def test_bad_input_is_refused(change, error, says, rng):
    arguments = dict(estimator=gap, x=np.zeros((9, 1)), y=np.zeros((9, 1)), rng=rng) | change
    with pytest.raises(error, match=says):
        subsample(**arguments)
