"""The ledger's own pieces: bits as a density of the plane, the bound of a DDPM, the choice of a road."""
import numpy as np

from figures import families, ledger
from scratch.data.distributions import LAWS
from scratch.implicit.diffusion.ddpm import DDPM


def test_the_slope_of_the_squeeze_is_its_derivative_and_the_window_holds_all_points(rng):
    codes, x = families.Codes((8,)), rng.normal(0, 2.5, (200, 2))
    h = 1e-6
    y, log_slope = codes._squeeze(x)
    dy = [(codes._squeeze(x + h * axis)[0] - codes._squeeze(x - h * axis)[0])[:, i] / (2 * h)
          for i, axis in enumerate(np.eye(2))]
    np.testing.assert_allclose(log_slope, np.log(dy).sum(axis=0), atol=1e-4)
    assert np.abs(y).max() < 4 and (y == x)[np.abs(x) < codes.EDGE].all()


def test_a_sample_of_the_codes_has_the_density_of_its_cell(rng):
    """The mean of 1 / q over samples in a set is its area: in the middle of the window, and beyond its edge."""
    codes, n = families.Codes((8,)), 20_000
    theta = codes.init(rng)
    x = codes.sample(theta, n, rng)
    inverse = np.exp(-codes.log_prob(theta, x))
    for low, high in ((-2.0, 2.0), (3.6, 4.0)):
        inside = inverse * ((low < x) & (x < high)).all(axis=1)
        assert abs(inside.mean() - (high - low) ** 2) < 5 * inside.std() / np.sqrt(n)


def test_the_bound_by_weighted_draws_is_that_of_the_full_sweep(rng):
    model, law = DDPM(2, steps=20, hidden=(8,)), LAWS["ring"]
    theta = model.init(rng)
    sweep = model.bound_terms(theta, law.sample(4000, rng), rng).sum(axis=0)
    bound = ledger._bound(model, theta, law, 40_000, rng)
    assert abs(bound.value + law.entropy() - sweep.mean()) < 5 * np.hypot(bound.stderr, sweep.std() / np.sqrt(4000))
    assert bound.stderr < 0.1 and ledger._bound(model, theta, law, 160_000, rng).stderr < 0.6 * bound.stderr


def test_a_density_that_is_remembered_is_computed_once():
    calls = []
    again = ledger._remembered(lambda x: calls.append(len(x)) or -x[:, 0])
    x = np.ones((3, 2))
    assert (again(x) == again(x.copy())).all() and (again(2 * x) == -2).all() and calls == [3, 3]


def test_quadrature_goes_before_monte_carlo_and_a_bound_stands_where_there_is_neither():
    roads = np.full((1, 1, 3, len(ledger.ROADS), 2), np.nan)
    roads[0, 0, 0, [0, 1]] = (0.1, 0.02), (0.2, 0.01)
    roads[0, 0, 1, [1, 2]] = (0.3, 0.001), (0.4, 0.01)
    roads[0, 0, 2, [2, 3]] = (0.5, 0.01), (0.6, 0.02)
    mass = np.array([[[1.0001, 1.001, np.nan]]])            # the second finds cells too coarse
    value, _ = ledger.forward(dict(roads=roads, mass=mass))
    roads[0, 0, 1, 0] = 0.9, 0.1
    assert ledger.forward(dict(roads=roads, mass=mass))[0][0, 0, 1] == value[0, 0, 1] == 0.3
    value, error = ledger.forward(dict(roads=roads, mass=mass))
    assert value.ravel().tolist() == [0.1, 0.3, 0.6] and error.ravel().tolist() == [0.02, 0.001, 0.02]
