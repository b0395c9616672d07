import numpy as np
import pytest

from scratch.discriminative.classification import error_rate, nats, reliability, temperature
from scratch.estimate import Estimate, Share
from scratch.kernels.stable import log_softmax


def truthful(n, rng, classes=3):
    """Log probabilities, and labels that were drawn from them."""
    logits = rng.normal(0, 2, size=(n, classes))
    return log_softmax(logits)[0], np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)


def test_error_and_nats_are_the_naive_loop(rng):
    log_p, y = truthful(50, rng)
    wrong = [max(range(3), key=lambda k: row[k]) != label for row, label in zip(log_p, y)]
    assert error_rate(log_p, y).value == sum(wrong) / 50
    terms = [-row[k] for row, k in zip(log_p, y)]
    assert nats(log_p, y).value == pytest.approx(sum(terms) / 50)
    assert nats(log_p, y).stderr == pytest.approx(np.std(terms, ddof=1) / np.sqrt(50))


def test_a_share_is_an_estimate_that_is_not_in_nats():
    share = Share(0.25, 0.01, 400)
    assert isinstance(share, Estimate) and "nats" not in str(share)
    assert share.interval() == pytest.approx((0.2309, 0.2701), abs=1e-4)


def test_guessing_costs_log_k_and_a_wrong_certainty_everything():
    even = np.full((10, 4), -np.log(4.0))
    assert nats(even, np.arange(10) % 4).value == pytest.approx(np.log(4))
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(2))
    assert nats(certain, np.array([0, 0])) == Estimate(np.inf, 0.0, 2)
    assert nats(certain, np.array([0, 1])).value == 0


def test_bins_hold_every_row_once_in_order_of_p(rng):
    p = rng.random(103)
    bins = reliability(p, p > 0.5, bins=10)
    assert bins.count.sum() == 103 and set(bins.count) == {10, 11}
    assert bins.count @ bins.announced == pytest.approx(p.sum())
    assert bins.count @ bins.found == np.sum(p > 0.5)
    assert (np.diff(bins.announced) > 0).all()
    assert bins.announced[0] == pytest.approx(np.sort(p)[:11].mean())


def test_wilsons_interval_is_the_set_of_shares_that_the_data_do_not_refute():
    """The ends solve (found - p)^2 = 1.96^2 p (1 - p) / n, and stay inside [0, 1]."""
    bins = reliability(np.full(40, 0.5), np.repeat([0, 1], [37, 3]), bins=1)
    for end in (bins.low[0], bins.high[0]):
        assert (3 / 40 - end) ** 2 == pytest.approx(1.959964 ** 2 * end * (1 - end) / 40, rel=1e-6)
    none = reliability(np.full(40, 0.5), np.zeros(40), bins=1)
    assert none.low[0] == pytest.approx(0, abs=1e-12) and 0.05 < none.high[0] < 0.12


def test_ece_of_true_probabilities_is_the_floor(rng):
    errors, floors, covered = [], [], []
    for _ in range(50):
        p = rng.beta(0.7, 0.7, size=500)
        bins = reliability(p, rng.random(500) < p)
        error, floor = bins.error()
        errors.append(error), floors.append(floor)
        covered.append(np.mean((bins.low <= bins.announced) & (bins.announced <= bins.high)))
    error = np.std(errors) / np.sqrt(50) / np.mean(floors)
    assert abs(np.mean(errors) / np.mean(floors) - 1) < 0.03 + 5 * error < 0.25
    assert abs(np.mean(covered) - 0.95) < 0.01 + 5 * np.sqrt(0.95 * 0.05 / 500)       # ten bins of 50 repeats


def test_overconfidence_is_seen(rng):
    p = rng.beta(0.7, 0.7, size=5000)
    y = rng.random(5000) < p
    too_sure = p ** 3 / (p ** 3 + (1 - p) ** 3)
    error, floor = reliability(too_sure, y).error()
    assert error > 5 * floor


@pytest.mark.parametrize("true", [0.0015, 0.4, 1.0, 3.0, 800.0])    # down to 1e-3 and up to 1e3
def test_temperature_undoes_a_factor_on_the_logits(true, rng):
    log_p, y = truthful(20_000, rng)
    assert temperature(log_softmax(true * log_p)[0], y) == pytest.approx(true, rel=0.05)


def test_temperature_is_the_minimum_of_the_nats(rng):
    log_p, y = truthful(300, rng)
    best = temperature(log_p, y)
    at = [nats(log_softmax(log_p / T)[0], y).value for T in (0.98 * best, best, 1.02 * best)]
    assert at[1] < at[0] and at[1] < at[2]


@pytest.mark.parametrize("call, error, says", [
    (lambda: error_rate(np.zeros(3), np.zeros(3, int)), ValueError, r"shape \(n, classes\)"),
    (lambda: error_rate(np.ones((3, 2)), np.zeros(3, int)), ValueError, "log probabilities"),
    (lambda: nats(np.zeros((3, 2)), np.zeros(3)), ValueError, "3 integers"),
    (lambda: nats(np.zeros((3, 2)), np.full(3, 2)), ValueError, "the classes 0 ... 1"),
    (lambda: nats(np.zeros((1, 2)), np.zeros(1, int)), ValueError, "at least 2 rows"),
    (lambda: reliability(np.full(20, 1.5), np.zeros(20)), ValueError, r"lie in \[0, 1\]"),
    (lambda: reliability(np.full(20, 0.5), np.full(20, 0.5)), ValueError, "hits must be 0 or 1"),
    (lambda: reliability(np.full(5, 0.5), np.zeros(5)), ValueError, "n >= bins"),
    (lambda: temperature(np.log([[0.9, 0.1]] * 4), np.zeros(4, int)), ValueError, "no temperature is best"),
])
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---- ties, ends, masks ----

@pytest.mark.parametrize("value, hits", [(0.5, 10), (0.3, 6), (0.0, 0), (1.0, 20)])
def test_a_constant_and_right_probability_has_no_calibration_error_in_any_order(value, hits, rng):
    y = np.repeat([1, 0], [hits, 20 - hits])
    for order in (y, y[::-1], rng.permutation(y)):
        assert reliability(np.full(20, value), order).error()[0] == pytest.approx(0, abs=1e-15)


def test_the_bins_do_not_depend_on_the_order_of_rows_and_part_no_ties(rng):
    p = np.round(rng.random(500), 1)
    y = rng.random(500) < p
    first = reliability(p, np.sort(y), bins=7), reliability(p, y, bins=7)
    order = rng.permutation(500)
    for found, again in zip(first[1], reliability(p[order], y[order], bins=7)):
        np.testing.assert_allclose(again, found, rtol=1e-12)
    assert first[1].count.sum() == 500 and (np.diff(first[1].announced) > 0).all() and len(first[1].count) <= 7
    parts = [set(part) for part in np.split(np.sort(p), np.cumsum(first[1].count)[:-1])]
    assert sum(len(part) for part in parts) == len(set(p))  # no value of p in two bins


def test_two_values_of_p_make_two_bins():
    bins = reliability([0.2] * 5 + [0.8] * 5, [0, 0, 0, 0, 1, 1, 1, 1, 1, 0], bins=10)
    np.testing.assert_allclose([bins.announced, bins.found], [[0.2, 0.8]] * 2)


def test_no_error_in_twenty_rows_is_no_certainty():
    """Wilson: 0 of 20 lies below 0.161, 1 of 5 between 0.036 and 0.624."""
    even = np.log(np.full((20, 2), 0.5))
    none = error_rate(even, np.zeros(20, int))
    assert none.value == 0 and none.stderr > 0.02
    assert none.interval() == pytest.approx((0, 0.1611), abs=1e-4)
    one = error_rate(even[:5], np.array([0, 0, 0, 0, 1]))
    assert one.interval() == pytest.approx((0.0362, 0.6245), abs=1e-4)
    assert error_rate(even, np.ones(20, int)).interval()[1] == 1


def test_classes_may_be_lists_and_the_hidden_entries_of_a_mask_are_not_used():
    log_p = np.log([[0.9, 0.1], [0.2, 0.8]])
    assert error_rate(log_p.tolist(), [0, 1]).value == 0
    with pytest.raises(ValueError, match="masked"):
        error_rate(log_p, np.ma.masked_array([0, 1], mask=[True, False]))
    with pytest.raises(ValueError, match="masked"):
        reliability(np.ma.masked_array([0.5, -999], mask=[False, True]), [0, 1], bins=1)


@pytest.mark.parametrize("row", [[-np.inf, -np.inf], [np.nan, -1.0]])
def test_a_row_in_which_no_class_has_mass_has_no_answer(row):
    with pytest.raises(ValueError, match="no class has mass|log probabilities"):
        error_rate(np.array([[-0.1, -3.0], row]), np.array([0, 0]))


def test_diagrams_compare_and_hash_as_objects():
    one, two = (reliability([0.2, 0.8], [0, 1], bins=2) for _ in range(2))
    assert one == one and one != two and len({one, two}) == 2
