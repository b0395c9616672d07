import numpy as np
import pytest
from scipy.stats import norm

from scratch.data.beyond_mixtures import Checkerboard, WarpedGaussian
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient_error

WARPED = WarpedGaussian(std=1.3, curvature=0.4, noise=0.5, slope=0.7)


# ---- warped Gaussian ----

def test_log_prob_is_the_two_normals_written_out(rng):
    x1, x2 = rng.normal(size=(2, 20)) * 2
    expected = (norm(0, 1.3).logpdf(x1)
                + norm(0.4 * (x1 ** 2 - 1.3 ** 2), np.sqrt(0.5 ** 2 * np.exp(0.7 * x1))).logpdf(x2))
    assert WARPED.log_prob(np.column_stack([x1, x2])) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_score_is_the_gradient_of_log_prob(rng):
    x = rng.normal(size=(6, 2)) * 2
    assert gradient_error(lambda x: WARPED.log_prob(x).sum(), x, WARPED.score(x)) < 1e-10


def test_samples_have_the_moments_of_the_formula():
    n = 400_000
    x1, x2 = WARPED.sample(n, np.random.default_rng(2)).T
    s, c = 1.3, 0.4
    exact = {                          # moments of a normal; E exp(a x1) = exp(a^2 std^2 / 2)
        "E x1": (x1, 0.0), "E x1^2": (x1 ** 2, s ** 2), "E x2": (x2, 0.0),
        "E x2^2": (x2 ** 2, 2 * c ** 2 * s ** 4 + 0.5 ** 2 * np.exp((0.7 * s) ** 2 / 2)),
        "E x1^2 x2": (x1 ** 2 * x2, 2 * c * s ** 4),
        "E x1 x2^2": (x1 * x2 ** 2, 0.5 ** 2 * 0.7 * s ** 2 * np.exp((0.7 * s) ** 2 / 2))}
    for name, (values, moment) in exact.items():
        assert abs(values.mean() - moment) < 5 * values.std() / np.sqrt(n), name


def test_the_box_holds_all_but_a_millionth_and_the_density_integrates_to_one():
    nodes, cell = midpoints(WARPED.bounds(), 1000)
    log_p = WARPED.log_prob(nodes)
    p = cell * np.exp(log_p)
    assert 1 - 1e-6 < p.sum() < 1 + 1e-9
    assert WARPED.entropy() == pytest.approx(-p @ log_p, abs=2e-5)     # a millionth of the mass is missing


def test_far_out_the_log_density_is_minus_infinity_and_never_nan():
    funnel = WarpedGaussian(std=1.0, curvature=0.0, noise=1.0, slope=1.0)
    x = np.array([[-3000.0, 1.0], [-3000.0, 0.0], [1e90, 0.0]])
    exact = [-np.inf, -0.5 * 3000 ** 2 - np.log(2 * np.pi) + 1500, -0.5e180]
    assert funnel.log_prob(x) == pytest.approx(exact, rel=1e-12)
    with pytest.raises(ValueError, match="score"):
        funnel.score(x[:1])


# ---- checkerboard ----

@pytest.mark.parametrize("side, dark", [(1, 1), (2, 2), (3, 5), (4, 8)])
def test_log_prob_equals_a_loop_over_the_dark_squares(side, dark, rng):
    law, width = Checkerboard(side, 0.8), 0.8
    x = rng.uniform(-0.5, 0.5, size=(300, 2)) * (side * width + 1)
    expected = np.full(len(x), -np.inf)
    for i in range(side):
        for j in range(side):
            low = np.array([i, j]) * width - side * width / 2
            if (i + j) % 2 == 0:
                expected[((x >= low) & (x < low + width)).all(axis=1)] = -np.log(dark * width ** 2)
    assert law.log_prob(x) == pytest.approx(expected, abs=1e-12)
    assert np.isinf(expected).any() and np.isfinite(expected).any()


def test_checkerboard_integrates_to_one():
    law = Checkerboard(5, 1.5)
    nodes, cell = midpoints(law.bounds(), 200)
    assert cell * np.exp(law.log_prob(nodes)).sum() == pytest.approx(1, abs=1e-12)


def test_checkerboard_samples_fill_every_dark_square_evenly_and_no_other():
    law, n = Checkerboard(3, 2.0), 50_000
    x = law.sample(n, np.random.default_rng(5))
    assert np.isfinite(law.log_prob(x)).all()
    row, column = np.floor((x.T + 3.0) / 2.0).astype(int)
    counts = np.bincount(3 * row + column, minlength=9)[::2]           # the five dark ones
    assert (np.abs(counts - n / 5) < 5 * np.sqrt(n * 0.2 * 0.8)).all()
    within = (x + 3.0) / 2.0 % 1                                       # uniform inside a square
    assert np.abs(within.mean(axis=0) - 0.5).max() < 5 * np.sqrt(1 / 12 / n)
    assert np.abs((within ** 2).mean(axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / n)
    assert abs(within.prod(axis=1).mean() - 1 / 4) < 5 * np.sqrt((1 / 9 - 1 / 16) / n)


def test_checkerboard_score_is_zero_inside_and_undefined_outside():
    law = Checkerboard(2, 1.0)
    assert law.score(np.array([[-0.5, -0.5], [0.5, 0.5]])).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(ValueError, match="1 of 2 rows do not"):
        law.score(np.array([[-0.5, -0.5], [0.5, -0.5]]))


# ---- bad input ----

@pytest.mark.parametrize("make, error, message", [
    (lambda: WarpedGaussian(0, 1, 1, 0), ValueError, "std must be a positive"),
    (lambda: WarpedGaussian(1, 1, -1, 0), ValueError, "noise must be a positive"),
    (lambda: WarpedGaussian(1, np.inf, 1, 0), ValueError, "curvature must be a finite"),
    (lambda: WarpedGaussian(1, 1, 1, np.nan), ValueError, "slope must be a finite"),
    (lambda: Checkerboard(0, 1.0), ValueError, "side must be at least 1"),
    (lambda: Checkerboard(2.5, 1.0), TypeError, "side must be an integer"),
    (lambda: Checkerboard(2, -1.0), ValueError, "width must be a positive"),
])
def test_impossible_constants_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_entropy_of_a_law_in_any_unit_is_finite():
    assert WarpedGaussian(1e200, 0.0, 1e200, 0.0).entropy() == pytest.approx(1 + np.log(2 * np.pi) + 400 * np.log(10))
    assert Checkerboard(4, 1e200).entropy() == pytest.approx(np.log(8) + 400 * np.log(10))
    assert Checkerboard(4, 1e-200).entropy() == pytest.approx(np.log(8) - 400 * np.log(10))


def test_constants_are_stored_as_python_numbers():
    law = WarpedGaussian(np.float32(1), np.int64(0), np.float64(0.5), np.float32(0.25))
    assert all(type(value) is float for value in (law.std, law.curvature, law.noise, law.slope))
    assert law == WarpedGaussian(1.0, 0.0, 0.5, 0.25) and hash(law) == hash(WarpedGaussian(1.0, 0.0, 0.5, 0.25))
