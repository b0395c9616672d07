import numpy as np
import pytest

from scratch.learning.optimizers import SGD, Adam, average, constant, cosine, warmed_up_cosine

OPTIMIZERS = [SGD(0.1), Adam(0.1)]


def descend(optimizer, gradients, theta, scale=1.0):
    memory, path = optimizer.start(theta), []
    for g in gradients:
        theta, memory = optimizer.step(theta, g, memory, scale)
        path.append(theta)
    return np.array(path)


def test_sgd_by_hand():
    path = descend(SGD(0.5), np.array([[1.0], [-2.0]]), np.array([3.0]), scale=0.5)
    np.testing.assert_allclose(path[:, 0], [2.75, 3.25], rtol=1e-15)


def test_first_five_steps_of_adam_by_hand(rng):
    """Algorithm 1 written as sums: no recursion, no running average."""
    gradients, theta = rng.normal(size=(5, 3)), rng.normal(size=3)
    rate, b1, b2, eps = 0.01, 0.8, 0.95, 1e-3
    path = descend(Adam(rate, b1, b2, eps), gradients, theta, scale=0.5)
    for t in range(1, 6):
        m = sum((1 - b1) * b1 ** (t - s) * gradients[s - 1] for s in range(1, t + 1)) / (1 - b1 ** t)
        v = sum((1 - b2) * b2 ** (t - s) * gradients[s - 1] ** 2 for s in range(1, t + 1)) / (1 - b2 ** t)
        theta = theta - 0.5 * rate * m / (np.sqrt(v) + eps)
        np.testing.assert_allclose(path[t - 1], theta, rtol=1e-14)


def test_adams_defaults_are_those_of_the_paper():
    assert Adam(0.1) == Adam(0.1, 0.9, 0.999, 1e-8)


def test_adam_under_a_constant_gradient_moves_each_coordinate_by_the_rate_whatever_its_scale():
    path = descend(Adam(0.01), np.tile([1e-3, 5.0], (20, 1)), np.zeros(2))
    np.testing.assert_allclose(np.diff(path, axis=0, prepend=[[0.0, 0.0]]), -0.01, rtol=2e-5)


def test_the_average_puts_half_of_its_weight_on_the_last_8_percent():
    mean = np.zeros(1)
    for t in range(1, 1001):                                # a change at 917 = 1000 2^(-1/8)
        mean = average(mean, np.array([float(t > 917)]), t)
    assert abs(mean[0] - (1 - 0.917 ** 8)) < 1e-12 and abs(mean[0] - 0.5) < 1e-3


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_a_step_changes_none_of_its_arguments_and_keeps_the_dtype(optimizer, rng):
    theta, g = rng.normal(size=(2, 4)).astype(np.float32)
    kept = theta.copy(), g.copy()
    memory = optimizer.start(theta)
    first, after = optimizer.step(theta, g, memory)
    second, _ = optimizer.step(theta, g, memory)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal((theta, g), kept)
    assert first.dtype == np.float32
    third, _ = optimizer.step(first, g, after)
    assert third.dtype == np.float32 and not np.array_equal(first, third)


@pytest.mark.parametrize("make", [SGD, lambda c: Adam(c, c, c, c), lambda c: Adam(np.array([0.1, c]))])
def test_float64_constants_do_not_widen_a_float32_run(make):
    optimizer, theta = make(np.float64(0.5)), np.ones(2, np.float32)
    memory = optimizer.start(theta)
    for _ in range(2):
        theta, memory = optimizer.step(theta, theta, memory, np.float64(0.5))
    assert theta.dtype == average(theta, theta, 2, np.float64(7.0)).dtype == np.float32


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_finds_the_bottom_of_a_quadratic(optimizer):
    theta, memory, A = np.array([3.0, -2.0]), None, np.array([1.0, 4.0])
    memory = optimizer.start(theta)
    for step in range(500):
        theta, memory = optimizer.step(theta, A * theta, memory, cosine(step / 500))
    assert np.abs(theta).max() < 1e-3


@pytest.mark.parametrize("schedule, middle", [(constant, 1.0), (cosine, 0.5)])
def test_schedules_start_at_one_and_decay_to_zero(schedule, middle):
    assert schedule(0.0) == 1.0
    assert abs(schedule(0.5) - middle) < 1e-15
    assert abs(schedule(1.0) - (1.0 if schedule is constant else 0.0)) < 1e-15


def test_cosine_is_flat_at_both_ends():
    assert 1 - cosine(0.01) < 3e-4 and cosine(0.99) < 3e-4


def test_the_warm_up_takes_a_twentieth_of_the_run():
    assert warmed_up_cosine(0.0) == 0.01 and abs(warmed_up_cosine(0.025) - 0.51 * cosine(0.025)) < 1e-15
    assert warmed_up_cosine(0.05) == cosine(0.05)


def test_average_is_the_weighted_mean_it_claims(rng):
    """With gamma = 0 the plain mean; in general a weight of about s^gamma on the s-th value."""
    values = rng.normal(size=(50, 2))
    for gamma in (0.0, 7.0):
        mean = values[0]
        for t in range(1, 51):
            mean = average(mean, values[t - 1], t, gamma)
        weights = np.array([(1 - (1 - 1 / s) ** (gamma + 1)) * np.prod([(1 - 1 / u) ** (gamma + 1)
                            for u in range(s + 1, 51)]) for s in range(1, 51)])
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-13)
        np.testing.assert_allclose(mean, weights @ values, rtol=1e-12)
        ideal = np.diff(np.arange(51.0) ** (gamma + 1)) / 50 ** (gamma + 1)
        np.testing.assert_allclose(weights, ideal, rtol=1e-12)


def test_average_begins_with_the_first_value():
    np.testing.assert_array_equal(average(np.array([99.0]), np.array([1.0]), 1), [1.0])


@pytest.mark.parametrize("make", [
    lambda: SGD(0.0), lambda: SGD(-1.0), lambda: Adam(float("nan")),
    lambda: Adam(0.1, beta1=1.0), lambda: Adam(0.1, beta2=-0.1), lambda: Adam(0.1, epsilon=0.0)])
def test_bad_constants_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()


@pytest.mark.parametrize("make", [SGD, Adam])
def test_one_rate_per_parameter_moves_each_parameter_at_its_own(make, rng):
    gradients, rates = rng.normal(size=(5, 3)), np.array([0.1, 0.02, 0.5])
    together = descend(make(rates), gradients, np.zeros(3))
    for i, rate in enumerate(rates):
        alone = descend(make(float(rate)), gradients[:, i:i + 1], np.zeros(1))
        np.testing.assert_allclose(together[:, i], alone[:, 0], rtol=1e-13)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_rates_per_parameter_keep_the_precision_hold_fast_at_zero_and_must_fit(make):
    optimizer, theta = make(np.array([0.1, 0.0])), np.ones(2, np.float32)
    after, _ = optimizer.step(theta, theta, optimizer.start(theta))
    assert after.dtype == np.float32 and after[0] != 1 and after[1] == 1
    with pytest.raises(ValueError, match="2 entries, but there are 3 parameters"):
        optimizer.step(np.ones(3), np.ones(3), optimizer.start(np.ones(3)))


@pytest.mark.parametrize("rate", [np.array([0.1, -0.1]), np.array([0.1, np.nan]), np.ones((2, 2)), np.array(["a"])])
def test_bad_rates_per_parameter_are_refused(rate):
    with pytest.raises((TypeError, ValueError), match="learning_rate"):
        Adam(rate)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_optimizers_with_a_rate_per_parameter_can_be_compared_and_hashed(make):
    rates = np.logspace(-3, -1, 4, dtype=np.float32)
    assert make(rates) == make(rates.copy()) and hash(make(rates)) == hash(make(list(rates)))
    assert make(rates) != make(rates[::-1]) and len({make(rates), make(rates), make(0.1)}) == 2
    one = make(rates[1])                                    # a NumPy scalar becomes a Python float
    assert type(one.learning_rate) is float and one == make(float(rates[1]))
    after, _ = one.step(np.ones(2, np.float32), np.ones(2, np.float32), one.start(np.ones(2, np.float32)))
    assert after.dtype == np.float32


def test_the_rates_are_a_copy():
    rates = np.array([0.1, 0.2])
    optimizer = SGD(rates)
    rates[:] = 0
    np.testing.assert_allclose(optimizer.step(np.zeros(2), np.ones(2), ())[0], [-0.1, -0.2], rtol=1e-15)


def test_adam_says_so_when_a_sum_of_squares_overflows():
    # g^2 = 1e36 fits into float32, but the sum of 1,000 of them does not: theta would stand still
    optimizer, theta, g = Adam(0.1), np.zeros(2, np.float32), np.array([1e18, 1.0], np.float32)
    memory, moved = optimizer.start(theta), []
    for _ in range(500):
        after, memory = optimizer.step(theta, g, memory)
        moved.append(after[0])
    assert np.isfinite(moved[:300]).all() and np.isnan(moved[-1]) and 0 not in moved
    after, _ = optimizer.step(theta, np.array([2e19, 1.0], np.float32), optimizer.start(theta))
    assert np.isnan(after).all()


@pytest.mark.parametrize("bad", [None, "a", [[1.0], [1.0, 2.0]], {}, object(), True, np.ma.masked_array([1.0, 2.0], [0, 1])])
def test_bad_rates_are_named(bad):
    with pytest.raises((TypeError, ValueError), match="learning_rate"):
        Adam(bad)
