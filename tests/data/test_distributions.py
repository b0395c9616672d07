from functools import cache

import numpy as np
import pytest

from scratch.data import distributions
from scratch.data.distributions import (LAWS, banana, checkerboard, funnel, grid, moons,
                                        pinwheel, ring, spirals)
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient_error

each_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


# ---- what every distribution promises ----

def test_the_eight_laws_are_there_under_their_names():
    assert list(LAWS) == ["ring", "grid", "moons", "spirals", "pinwheel", "checkerboard", "banana", "funnel"]
    assert all(callable(getattr(distributions, name)) for name in LAWS)


def test_the_laws_are_those_that_the_results_were_measured_on():
    defaults = {"ring": (8, 2.0, 0.15), "grid": (5, 1.0, 0.15), "moons": (0.12, 1.0), "spirals": (0.10, 3.0, 1.25),
                "pinwheel": (5, 2.0, 0.5, 0.6, 0.10), "checkerboard": (4, 1.5), "banana": (0.5, 1.0, 0.3), "funnel": (1.0,)}
    for name, values in defaults.items():
        x = np.array([[0.3, -0.4], [2.0, 0.1], [-1.0, 1.7]])
        np.testing.assert_array_equal(LAWS[name].log_prob(x), getattr(distributions, name)(*values).log_prob(x))


@each_law
def test_a_law_keeps_its_contract(law, rng):
    x = law.sample(11, rng)
    assert law.dim == 2 and x.shape == (11, 2) and x.dtype == np.float64
    assert law.log_prob(x).shape == (11,) and law.score(x).shape == (11, 2)
    assert law.bounds().shape == (2, 2) and (law.bounds()[:, 0] < law.bounds()[:, 1]).all()
    assert isinstance(law.entropy(), float)
    assert (law.sample(11, np.random.default_rng(1)) == law.sample(11, np.random.default_rng(1))).all()


@pytest.mark.parametrize("name", [name for name in LAWS if name != "checkerboard"])    # constant: see there
def test_score_is_the_gradient_of_log_prob(name, rng):
    law = LAWS[name]
    x = law.sample(8, rng) + 0.3 * rng.normal(size=(8, 2))              # also beside the mass
    assert gradient_error(lambda x: law.log_prob(x).sum(), x, law.score(x)) < 1e-10


@each_law
def test_float32_rows_are_computed_in_float64(law, rng):
    x = law.sample(5, rng).astype(np.float32)
    for method in (law.log_prob, law.score):
        assert method(x).dtype == np.float64 and (method(x) == method(x.astype(float))).all()


@cache
def on_grid(name):
    """Log density and probability of the cells of a grid; the box of a warped law needs a finer one."""
    nodes, cell = midpoints(LAWS[name].bounds(), 1000 if name in ("banana", "funnel") else 300)
    log_p = LAWS[name].log_prob(nodes)
    return log_p, cell * np.exp(log_p)


@pytest.mark.parametrize("name", LAWS)
def test_density_integrates_to_one(name):
    _, p = on_grid(name)
    assert abs(p.sum() - 1) < (1.1e-6 if name in ("banana", "funnel") else 1e-11)      # their box misses 1e-6


@each_law
def test_entropy_agrees_with_monte_carlo(law):
    log_p = law.log_prob(law.sample(50_000, np.random.default_rng(8)))
    assert abs(-log_p.mean() - law.entropy()) <= 5 * log_p.std() / np.sqrt(len(log_p)) + 1e-12


@each_law
def test_samples_fall_into_cells_as_often_as_the_density_says(law):
    """The square [-4, 4]^2 in 8 x 8 cells, each with 24 x 24 quadrature nodes."""
    n, side = 40_000, 8
    nodes, cell = midpoints([(-4, 4), (-4, 4)], side * 24)
    p = cell * np.exp(law.log_prob(nodes)).reshape(side, 24, side, 24).sum(axis=(1, 3))
    counts = np.histogram2d(*law.sample(n, np.random.default_rng(11)).T, bins=side, range=[(-4, 4)] * 2)[0]
    likely = p * n > 5
    z = (counts - n * p)[likely] / np.sqrt(n * p * (1 - p))[likely]
    assert likely.sum() >= 10 and np.abs(z).max() < 4.5
    assert p.sum() > 0.98                                              # the laws have one scale


@pytest.mark.parametrize("name", ["ring", "grid", "moons", "spirals", "pinwheel"])
def test_entropy_by_quadrature_is_stable_under_refinement(name):
    log_p, p = on_grid(name)
    assert LAWS[name].entropy() == pytest.approx(-p @ log_p, abs=1e-10)


@each_law
@pytest.mark.parametrize("x, error, message", [
    (np.zeros((2, 2), dtype=int), TypeError, "floating point"),
    (np.zeros((2, 3)), ValueError, r"shape \(n, 2\)"),
    (np.zeros((0, 2)), ValueError, "at least one row"),
    (np.array([[0.0, np.inf]]), ValueError, "finite"),
    (np.array([[0.0, -1e200]]), ValueError, r"within 1e\+100 of the origin"),
])
def test_bad_rows_are_refused(law, x, error, message):
    for method in (law.log_prob, law.score):
        with pytest.raises(error, match=message):
            method(x)


@each_law
def test_bad_sample_requests_are_refused(law, rng):
    with pytest.raises(ValueError, match="n must be at least 1, got -3"):
        law.sample(-3, rng)
    with pytest.raises(TypeError, match="rng must be a numpy.random.Generator"):
        law.sample(3, np.random)


# ---- the shape of each ----

@pytest.mark.parametrize("modes", [1, 2, 8, 13])
def test_ring_has_that_many_distinct_modes_on_the_circle(modes):
    law = ring(modes, radius=3.0, std=0.2)
    assert len(np.unique(law.means.round(9), axis=0)) == modes
    assert np.hypot(*law.means.T) == pytest.approx(np.full(modes, 3.0))
    chords = np.hypot(*(law.means - np.roll(law.means, 1, axis=0)).T)
    assert chords == pytest.approx(np.full(modes, 6 * np.sin(np.pi / modes)), abs=1e-9)
    assert law.covariances == pytest.approx(np.tile(0.04 * np.eye(2), (modes, 1, 1)))


def test_grid_is_five_by_five_around_the_origin():
    expected = {(float(i), float(j)) for i in range(-2, 3) for j in range(-2, 3)}
    assert {tuple(mean) for mean in grid().means.tolist()} == expected
    assert np.abs(grid(4, spacing=2.0).means).max() == 3.0


def test_entropy_of_the_ring_is_the_choice_of_a_mode_plus_a_gaussian():
    """Exact for modes far apart; at the defaults they stand 5 std from their border."""
    law = ring(modes=8, radius=4.0)
    assert law.entropy() == pytest.approx(np.log(8) + 1 + np.log(2 * np.pi * 0.15 ** 2), abs=1e-9)


def test_moons_are_two_half_circles_that_interleave():
    means = moons(std=0.12, radius=2.0).means
    upper, lower = means[:len(means) // 2], means[len(means) // 2:]
    for moon, center, side in ((upper, (-1.0, -0.5), 1), (lower, (1.0, 0.5), -1)):
        x, y = (moon - center).T
        assert np.hypot(x, y) == pytest.approx(np.full(len(moon), 2.0), abs=1e-5)
        assert (side * y > -1e-9).all()
    assert means.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)


def test_spirals_wind_outward_and_are_images_of_each_other():
    law = spirals(std=0.1, radius=3.0, turns=1.25)
    arm, other = np.split(law.means, 2)
    assert other == pytest.approx(-arm)
    radii = np.hypot(*arm.T)
    assert (np.diff(radii) > 0).all() and radii[[0, -1]] == pytest.approx([0.5, 3.0])
    angle = np.unwrap(np.arctan2(arm[:, 1], arm[:, 0]))
    assert angle[-1] - angle[0] == pytest.approx(2 * np.pi * 1.25)
    assert radii == pytest.approx(0.5 + 2.5 * (angle - angle[0]) / (2.5 * np.pi), abs=1e-4)


@pytest.mark.parametrize("law, std", [(moons(), 0.12), (spirals(), 0.10), (moons(std=0.3), 0.3)])
def test_components_of_a_curve_stand_at_most_one_std_apart(law, std):
    steps = np.hypot(*np.diff(law.means[:len(law.means) // 2], axis=0).T)
    assert 0.9 * std < steps.min() and steps.max() <= std


def test_the_crest_of_a_curve_is_flat_to_5_parts_in_a_billion():
    law = moons(std=0.12, radius=2.0)
    angle = np.pi / 2 + np.linspace(-0.1, 0.1, 50)        # three components wide, on the upper moon
    crest = law.log_prob((-1.0, -0.5) + 2.0 * np.column_stack([np.cos(angle), np.sin(angle)]))
    assert np.ptp(crest) < 2e-8                            # 4 amplitudes: 8 exp(-2 pi^2)


def test_pinwheel_looks_the_same_from_every_arm(rng):
    law, x = pinwheel(arms=5), rng.normal(size=(20, 2)) * 2
    c, s = np.cos(2 * np.pi / 5), np.sin(2 * np.pi / 5)
    assert law.log_prob(x @ np.array([[c, s], [-s, c]])) == pytest.approx(law.log_prob(x), abs=1e-9)


def test_an_arm_of_the_pinwheel_fades_as_a_gaussian_along_its_curve():
    """Weight over that of the middle needle: exp(-1/2 ((t - radius) / length)^2), with |mean| = t."""
    law = pinwheel(arms=3, radius=2.0, length=0.4)
    t, weights = np.hypot(*law.means.T).reshape(3, 11), law.weights.reshape(3, 11)
    np.testing.assert_allclose(t[0], 2.0 + 0.4 * np.arange(-2.5, 2.6, 0.5), rtol=1e-12)
    np.testing.assert_allclose(weights / weights[:, 5:6], np.exp(-0.5 * ((t - 2.0) / 0.4) ** 2), rtol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=1), 1 / 3, rtol=1e-12)


def test_needles_of_the_pinwheel_lie_along_their_arm():
    law = pinwheel(arms=3, length=0.5, twist=0.6, std=0.1)
    for arm in range(3):
        means, covariances = law.means[11 * arm:11 * arm + 11], law.covariances[11 * arm:11 * arm + 11]
        secants = means[2:] - means[:-2]                               # along the tangent to second order
        secants /= np.hypot(*secants.T)[:, None]
        values, vectors = np.linalg.eigh(covariances[1:-1])
        assert np.abs(np.einsum("ki,ki->k", secants, vectors[:, :, 1])).min() > 0.998
        assert values[:, 0] == pytest.approx(np.full(9, 0.01))
        speed2 = 1 + 0.6 ** 2 * (means[1:-1] ** 2).sum(axis=1)         # |c'(t)|^2
        assert values[:, 1] == pytest.approx(0.25 ** 2 * speed2 + 0.01)


def test_checkerboard_banana_and_funnel_pass_their_constants_on():
    assert checkerboard(6, 0.5).bounds().tolist() == [[-1.5, 1.5]] * 2
    bent = banana(curvature=0.25, std=2.0, noise=0.1)
    assert bent.log_prob(np.array([[4.0, 3.0], [-4.0, 3.0]])) == pytest.approx(
        np.full(2, -0.5 * 2 ** 2 - np.log(2 * np.pi * 2.0 * 0.1)))    # on the parabola, 2 std out
    wide = funnel(std=3.0)
    assert wide.log_prob(np.array([[3.0, np.exp(1.5)]]))[0] == pytest.approx(
        -0.5 - 0.5 - np.log(2 * np.pi * 3.0) - 1.5)                   # one std out in both


@pytest.mark.parametrize("make, error, message", [
    (lambda: ring(0), ValueError, "modes must be at least 1"),
    (lambda: ring(8.0), TypeError, "modes must be an integer"),
    (lambda: ring(radius=-1), ValueError, "radius must be a positive"),
    (lambda: ring(std=0), ValueError, "std must be a positive"),
    (lambda: grid(side=-5), ValueError, "side must be at least 1"),
    (lambda: grid(spacing=0.0), ValueError, "spacing must be a positive"),
    (lambda: moons(std="0.1"), TypeError, "std must be a positive number"),
    (lambda: moons(radius=np.nan), ValueError, "radius must be a positive"),
    (lambda: moons(std=1e-9), ValueError, "too thin"),
    (lambda: spirals(turns=0), ValueError, "turns must be a positive"),
    (lambda: spirals(radius=np.inf), ValueError, "radius must be a positive"),
    (lambda: pinwheel(arms=0), ValueError, "arms must be at least 1"),
    (lambda: pinwheel(length=-0.1), ValueError, "length must be a positive"),
    (lambda: pinwheel(twist=np.inf), ValueError, "twist must be a finite"),
    (lambda: checkerboard(side=0), ValueError, "side must be at least 1"),
    (lambda: checkerboard(width=0), ValueError, "width must be a positive"),
    (lambda: banana(curvature=0), ValueError, "curvature must be a positive"),
    (lambda: banana(noise=-1), ValueError, "noise must be a positive"),
    (lambda: funnel(std=0), ValueError, "std must be a positive"),
])
def test_impossible_constants_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
