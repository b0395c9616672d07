from itertools import product

import numpy as np
import pytest

from scratch.data.discrete import COLUMNS, ROWS, SIDES, Brackets, GrayCoded, SpinGlass, decode, encode
from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.grid import midpoints

SPINS = SpinGlass()
LAWS_OF_BITS = [Brackets(6), SPINS, GrayCoded(LAWS["ring"])]
CELL = 4.0 / 2 ** 15                                        # the side of a code's cell


def counts(x, states):
    """How often each of the states occurs among the rows."""
    index = {tuple(state): i for i, state in enumerate(states.tolist())}
    return np.bincount([index[tuple(row)] for row in x.tolist()], minlength=len(states))


# ---- brackets ----

def reduces_to_nothing(word, kinds):
    """A second definition of well formed: neighbors that match are struck out until none is left."""
    word = list(word)
    while True:
        pairs = [i for i in range(len(word) - 1) if word[i] < kinds and word[i + 1] == word[i] + kinds]
        if not pairs:
            return not word
        del word[pairs[0]:pairs[0] + 2]


@pytest.mark.parametrize("length, kinds", [(2, 1), (6, 1), (8, 1), (2, 3), (4, 3), (6, 2)])
def test_brackets_by_enumeration_of_all_words(length, kinds):
    law = Brackets(length, kinds)
    x = np.array(list(product(range(2 * kinds), repeat=length)))
    fits = np.array([reduces_to_nothing(word, kinds) for word in x.tolist()])
    assert law.ways[length, 0] == fits.sum()
    np.testing.assert_array_equal(law.well_formed(x), fits)
    assert law.entropy() == pytest.approx(np.log(fits.sum()), abs=1e-14)
    np.testing.assert_allclose(law.log_prob(x), np.where(fits, -np.log(fits.sum()), -np.inf), rtol=1e-14)
    assert np.exp(law.log_prob(x)).sum() == pytest.approx(1, rel=1e-13)


def test_number_of_words_is_catalan_times_kinds():
    catalan = 1
    for n in range(1, 11):
        catalan = catalan * 2 * (2 * n - 1) // (n + 1)
        assert Brackets(2 * n, 3).ways[2 * n, 0] == catalan * 3 ** n


def test_drawn_words_are_well_formed_and_equally_likely(rng):
    law, n = Brackets(6), 8000
    x = law.sample(n, rng)
    assert law.well_formed(x).all()
    words, count = np.unique(x, axis=0, return_counts=True)
    assert len(words) == 40                                 # 5 shapes, 2 kinds for each of 3 pairs
    chi_squared = np.sum((count - n / 40) ** 2) / (n / 40)
    assert abs(chi_squared - 39) < 5 * np.sqrt(2 * 39)


# ---- spin glass ----

def test_spin_glass_is_a_naive_sum_over_neighbors():
    """Every spin of the torus has a coupling to the one above it and one to the one on its left."""
    above, left = np.random.Generator(np.random.PCG64(12)).normal(0, 0.6, (2, ROWS, COLUMNS))
    energy = np.zeros(2 ** SIDES)
    for n, x in enumerate(product((0, 1), repeat=SIDES)):
        s = 2.0 * np.reshape(x, (ROWS, COLUMNS)) - 1
        for i, j in np.ndindex(ROWS, COLUMNS):
            energy[n] += s[i, j] * (above[i, j] * s[i - 1, j] + left[i, j] * s[i, j - 1])
    p = np.exp(energy) / np.exp(energy).sum()
    np.testing.assert_allclose(np.exp(SPINS.log_prob(SPINS.states)), p, rtol=1e-11)
    assert SPINS.entropy() == pytest.approx(-p @ np.log(p), rel=1e-12)


def test_every_state_of_the_spin_glass_is_looked_up_in_its_own_place(rng):
    assert np.exp(SPINS.log_p).sum() == pytest.approx(1, rel=1e-13)
    some = rng.permutation(2 ** SIDES)[:50]
    np.testing.assert_array_equal(SPINS.log_prob(SPINS.states[some]), SPINS.log_p[some])


def test_spins_are_drawn_as_often_as_their_probability_says(rng):
    n, p = 50_000, np.exp(SPINS.log_p)
    drawn, likely = counts(SPINS.sample(n, rng), SPINS.states), n * p > 10
    z = (drawn - n * p)[likely] / np.sqrt(n * p * (1 - p))[likely]
    assert likely.sum() > 100 and np.abs(z).max() < 5


# ---- Gray codes ----

def test_codes_come_back_and_points_move_by_half_a_cell_at_most(rng):
    x = rng.uniform(-4, 4, size=(2000, 2))
    bits = encode(x)
    assert bits.shape == (2000, 32) and set(np.unique(bits)) == {0, 1}
    np.testing.assert_array_equal(encode(decode(bits)), bits)
    assert np.abs(decode(bits) - x).max() <= CELL / 2 * (1 + 1e-9)


def test_neighboring_magnitudes_differ_in_one_bit_and_mirrored_points_in_the_sign():
    x = np.stack([(np.arange(4000) + 0.5) * CELL, np.full(4000, -1.0)], axis=1)
    bits = encode(x)
    assert (np.abs(np.diff(bits, axis=0)).sum(axis=1) == 1).all()
    differing = (encode(-x) != bits).any(axis=0)
    assert np.flatnonzero(differing).tolist() == [0, 16]


def test_points_outside_the_window_get_the_code_of_its_border():
    corner = decode(encode(np.array([[9.0, -5.0]])))
    np.testing.assert_allclose(corner, [[4 - CELL / 2, -4 + CELL / 2]], rtol=1e-12)


def test_probability_of_a_code_is_the_mass_of_its_cell(rng):
    covariances = [[[0.2, 0.1], [0.1, 0.3]], [[0.1, 0.0], [0.0, 0.4]]]
    law = GaussianMixture([[0.5, -0.2], [-1.0, 1.0]], covariances, [0.4, 0.6])
    coded = GrayCoded(law)
    for bits in coded.sample(4, rng):
        center = decode(bits[None])[0]
        nodes, area = midpoints(center[:, None] + CELL / 2 * np.array([[-1, 1]]), 3)
        mass = area * np.exp(law.log_prob(nodes)).sum()
        assert coded.log_prob(bits[None])[0] == pytest.approx(np.log(mass), abs=1e-6)


@pytest.mark.parametrize("name", ["ring", "checkerboard"])
def test_entropy_of_the_codes_is_minus_the_mean_of_their_log_probability(name):
    law = GrayCoded(LAWS[name])
    log_p = law.log_prob(law.sample(20_000, np.random.default_rng(4)))
    assert abs(log_p.mean() + law.entropy()) < 5 * log_p.std() / np.sqrt(20_000) + 1e-12


# ---- all of them ----

@pytest.mark.parametrize("law", LAWS_OF_BITS, ids=["brackets", "spins", "codes"])
def test_draws_are_integers_of_finite_log_probability_and_the_seed_decides(law):
    first, second = (law.sample(20, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    log_p = law.log_prob(first)
    assert first.dtype.kind == "i" and log_p.shape == (20,) and np.isfinite(log_p).all()
    assert isinstance(law.entropy(), float)


@pytest.mark.parametrize("call, error, says", [
    (lambda rng: Brackets(7), ValueError, "length must be even"),
    (lambda rng: Brackets(0), ValueError, "length must be at least 1"),
    (lambda rng: Brackets(4, 1.5), TypeError, "kinds must be an integer"),
    (lambda rng: Brackets(4).sample(0, rng), ValueError, "n must be at least 1"),
    (lambda rng: Brackets(4).sample(3, 7), TypeError, "Generator"),
    (lambda rng: Brackets(4).log_prob(np.full((1, 4), 4)), ValueError, r"integers 0 ... 3"),
    (lambda rng: Brackets(4).well_formed(np.zeros((1, 6), int)), ValueError, r"shape \(n, 4\)"),
    (lambda rng: SPINS.log_prob(np.full((1, 12), 2)), ValueError, r"integers 0 ... 1"),
    (lambda rng: SPINS.sample(2.0, rng), TypeError, "n must be an integer"),
    (lambda rng: GrayCoded(LAWS), TypeError, "law must be a distribution with sample"),
    (lambda rng: GrayCoded(GaussianMixture([[0.0]], [[[1.0]]], [1.0])), ValueError, "of the plane"),
    (lambda rng: encode(np.zeros((1, 3))), ValueError, r"shape \(n, 2\)"),
    (lambda rng: decode(np.zeros((1, 31), int)), ValueError, r"shape \(n, 32\)"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(rng)


def test_words_too_long_to_count_are_refused_and_the_longest_are_counted(rng):
    longest = Brackets(672)
    assert np.isfinite(longest.entropy()) and longest.well_formed(longest.sample(2, rng)).all()
    with pytest.raises(ValueError, match="length must be even and at most 672 .kinds: 2., got 1400"):
        Brackets(1400)
