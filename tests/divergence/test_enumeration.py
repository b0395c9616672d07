from itertools import product

import numpy as np
import pytest

from scratch.divergence.closed_form import kl_categoricals
from scratch.divergence.enumeration import all_states, kl_enumeration

STATES = all_states(3, [0.0, 1.0, 5.0])


def table(probabilities, states=STATES):
    """The log-probability of rows by looking them up among the states."""
    with np.errstate(divide="ignore"):
        logs = {tuple(state): np.log(p) for state, p in zip(states, probabilities)}
    return lambda x: np.array([logs[tuple(row)] for row in x])


def random_law(rng, size=27):
    p = rng.exponential(size=size)
    return p / p.sum()


def test_states_are_all_tuples_the_last_column_fastest():
    assert STATES.tolist() == [list(state) for state in product([0.0, 1.0, 5.0], repeat=3)]
    assert all_states(1, [7]).tolist() == [[7.0]]


def test_it_equals_a_loop_over_all_states(rng):
    p, q = random_law(rng), random_law(rng)
    expected = 0.0
    for a, b in zip(p, q):
        expected += a * np.log(a / b)
    kl = kl_enumeration(table(p), table(q), STATES)
    assert kl.value == pytest.approx(expected, rel=1e-12)
    assert (kl.stderr, kl.n) == (0, 27)
    assert (kl.mass_p, kl.mass_q) == (pytest.approx(1, abs=1e-14), pytest.approx(1, abs=1e-14))
    assert kl.value == pytest.approx(kl_categoricals(p, q).value, rel=1e-12)
    assert kl.value != pytest.approx(kl_enumeration(table(q), table(p), STATES).value, rel=1e-2)


def test_independent_coordinates_give_the_sum_of_their_divergences(rng):
    p, q = rng.uniform(0.1, 0.9, size=(2, 4))
    states = all_states(4, [0, 1])
    bernoullis = lambda p: lambda x: np.sum(np.where(x == 1, np.log(p), np.log(1 - p)), axis=1)
    assert kl_enumeration(bernoullis(p), bernoullis(q), states).value == pytest.approx(
        sum(kl_categoricals([a, 1 - a], [b, 1 - b]).value for a, b in zip(p, q)), rel=1e-12)


def test_chain_rule(rng):
    # KL(p(x, y) || q(x, y)) = KL(p(x) || q(x)) + sum_x p(x) KL(p(y|x) || q(y|x)), x the first coordinate.
    p, q = random_law(rng), random_law(rng)
    joint = kl_enumeration(table(p), table(q), STATES).value
    p, q = p.reshape(3, 9), q.reshape(3, 9)
    p_x, q_x = p.sum(axis=1), q.sum(axis=1)
    rest = all_states(2, [0.0, 1.0, 5.0])
    marginal = kl_enumeration(table(p_x, all_states(1, [0, 1, 5])), table(q_x, all_states(1, [0, 1, 5])),
                              all_states(1, [0, 1, 5])).value
    conditionals = [kl_enumeration(table(p[i] / p_x[i], rest), table(q[i] / q_x[i], rest), rest).value
                    for i in range(3)]
    assert joint == pytest.approx(marginal + p_x @ conditionals, rel=1e-12)
    assert marginal > 0 and min(conditionals) > 0


def test_zero_times_log_zero_is_zero_and_mass_where_q_has_none_is_infinite():
    states = all_states(1, [0, 1, 2])
    half, all_three = table([0.5, 0.5, 0], states), table([0.25, 0.25, 0.5], states)
    assert kl_enumeration(half, all_three, states).value == pytest.approx(np.log(2), rel=1e-14)
    assert kl_enumeration(all_three, half, states).value == np.inf
    assert kl_enumeration(half, half, states).value == 0
    assert kl_enumeration(table([1, 0, 0], states), table([0, 1, 0], states), states).value == np.inf


def test_an_unnormalized_law_shows_in_the_mass(rng):
    p, q = random_law(rng), random_law(rng)
    kl = kl_enumeration(table(p), table(1.25 * q), STATES)
    assert (kl.mass_p, kl.mass_q) == (pytest.approx(1), pytest.approx(1.25))


@pytest.mark.parametrize("dim, values, error, says", [
    (0, [0, 1], ValueError, "dim must be at least 1"), (2.0, [0, 1], TypeError, "dim must be an integer"),
    (2, [0, 1, 0], ValueError, "different numbers"), (2, [], (TypeError, ValueError), "values must"),
    (2, [[0, 1]], ValueError, "a list of different"), (2, [0, np.nan], ValueError, "values must be finite"),
    (2, ["a"], TypeError, "values must hold real numbers")])
def test_bad_values_are_refused(dim, values, error, says):
    with pytest.raises(error, match=says):
        all_states(dim, values)


@pytest.mark.parametrize("states, error, says", [
    (np.zeros((2, 1)), ValueError, "states must differ"), (np.array([[0], [1]]), TypeError, "states must be floating"),
    (np.zeros((0, 1)), ValueError, "at least one row"), (np.array([[np.inf]]), ValueError, "states must be finite")])
def test_bad_states_are_refused(states, error, says):
    law = lambda x: np.zeros(len(x))
    with pytest.raises(error, match=says):
        kl_enumeration(law, law, states)


def test_bad_laws_are_refused():
    law, states = lambda x: np.zeros(len(x)), np.array([[0.0], [1.0]])
    with pytest.raises(TypeError, match="log_p must be a function"):
        kl_enumeration([0.5, 0.5], law, states)
    with pytest.raises(ValueError, match=r"log_q must return 2 floats of shape \(2,\)"):
        kl_enumeration(law, lambda x: x, states)


def test_it_is_never_negative_and_keeps_the_digits_of_nearly_equal_laws(rng):
    states = all_states(3, [0, 1])
    for step in (1e-15, 1e-12, 1e-9, 1e-6):
        p = rng.dirichlet(np.ones(8))
        d = step * rng.normal(size=8)
        d -= p @ d                                          # so that q sums to 1, to first order
        kl = kl_enumeration(lambda x: np.log(p), lambda x: np.log(p) + d, states)
        assert kl.value >= 0
        if step > 1e-10:
            assert kl.value == pytest.approx(p @ d ** 2 / 2, rel=1e-5)


def test_a_state_that_p_hardly_has_does_not_overflow():
    states = all_states(1, [0, 1])
    kl = kl_enumeration(lambda x: np.array([0.0, -900.0]), lambda x: np.array([np.log(0.5), np.log(0.5)]), states)
    assert kl.value == pytest.approx(np.log(2), rel=1e-14)
