from functools import lru_cache

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal, norm

from scratch.implicit import push_forward
from scratch.implicit.push_forward import PushForward
from scratch.grid import midpoints


mesh = lru_cache(PushForward.of)


def push_forward_log_prob(generator, x):
    """A mesh that is used once."""
    return PushForward.of(generator).log_prob(x)


def preimages(density, x):
    """The number of z that the generator takes to each x, (n,)."""
    covers = np.zeros(len(x), int)
    for point, *_ in push_forward._covering(x, density.x, density.triangles):
        covers += np.bincount(point, minlength=len(x))
    return covers


def standard_normal(x):
    return norm.logpdf(x).sum(axis=1)


def fold(z):
    """x1 = z1^2 is a chi-squared variable: every x1 > 0 has two preimages."""
    return np.stack([z[:, 0] ** 2, z[:, 1]], axis=1)


def square(z):
    """(z1 + i z2)^2: two preimages of equal density everywhere, |det| = 4 |z|^2 = 4 |x|."""
    return np.stack([z[:, 0] ** 2 - z[:, 1] ** 2, 2 * z[:, 0] * z[:, 1]], axis=1)


def swirl(z):
    """Each circle is turned by its own angle: no area changes, and the Gaussian stays what it is."""
    turn = np.sqrt(1 + (z * z).sum(axis=1))
    return np.stack([z[:, 0] * np.cos(turn) - z[:, 1] * np.sin(turn),
                     z[:, 0] * np.sin(turn) + z[:, 1] * np.cos(turn)], axis=1)


def two_modes(z):
    """Two narrow modes, between which the generator is a hundred times as steep: like a GAN."""
    return np.stack([0.2 * z[:, 0] + np.tanh((z[:, 0] - 0.3) / 0.02), 0.2 * z[:, 1]], axis=1)


def waves(z):
    """Folded over in places: one preimage or three."""
    return z + 0.5 * np.sin(2 * z[:, :1] + z[:, 1:]) * (1.0, 0.5)


def sheared_sinh(z):
    """A composition: a heavy-tailed map, then a linear one with determinant -1.5."""
    return np.stack([np.sinh(z[:, 0]), z[:, 1]], axis=1) @ SHEAR + 0.7


SHEAR = np.array([[0.5, 1.0], [2.0, 1.0]])


def log_sheared_sinh(x):
    y = (x - 0.7) @ np.linalg.inv(SHEAR)
    return norm.logpdf(np.arcsinh(y[:, 0])) - 0.5 * np.log1p(y[:, 0] ** 2) + norm.logpdf(y[:, 1]) - np.log(1.5)


# ---- densities that are known ----

def test_linear_generator_gives_its_gaussian_to_rounding(rng):
    """Triangles are exact for linear maps: what is left would be a mistake."""
    A = np.array([[1.0, -0.4], [0.7, 0.2]])
    law = multivariate_normal([3.0, -1.0], A.T @ A)
    x = rng.uniform(-5, 5, size=(300, 2)) @ A + (3.0, -1.0)  # the mesh ends at |z_i| = 8
    np.testing.assert_allclose(push_forward_log_prob(lambda z: z @ A + (3.0, -1.0), x), law.logpdf(x), atol=1e-9)


@pytest.mark.parametrize("generator, exact, number, mean, worst", [
    (fold, lambda x: -0.5 * x[:, 0] - 0.5 * np.log(2 * np.pi * x[:, 0]) + norm.logpdf(x[:, 1]), 2, 2e-3, 0.2),
    (square, lambda x: np.log(2 / (8 * np.pi * np.hypot(*x.T))) - 0.5 * np.hypot(*x.T), 2, 2e-3, 0.2),
    (swirl, standard_normal, 1, 4e-3, 0.4),
    (sheared_sinh, log_sheared_sinh, 1, 1e-3, 0.1)])
def test_density_of_known_maps(generator, exact, number, mean, worst, rng):
    """The error has no sign, so its mean is much smaller than its size; near the branch points it is largest."""
    density = mesh(generator)
    x = generator(rng.normal(size=(3000, 2)))
    error = density.log_prob(x) - exact(x)
    assert abs(error.mean()) < mean
    assert np.quantile(np.abs(error), 0.99) < worst
    assert np.mean(preimages(density, x) == number) > 0.998


def test_mesh_follows_a_generator_that_is_steep_between_modes(rng):
    z = np.concatenate([rng.normal(size=(2000, 2)), np.stack([rng.uniform(0.2, 0.4, 500), np.zeros(500)], axis=1)])
    steepness = 0.2 + (1 - np.tanh((z[:, 0] - 0.3) / 0.02) ** 2) / 0.02             # up to 50
    exact = standard_normal(z) - np.log(0.2 * steepness)
    error = mesh(two_modes).log_prob(two_modes(z)) - exact
    assert abs(error[:2000].mean()) < 5e-3 and abs(error[2000:].mean()) < 2e-2
    assert np.quantile(np.abs(error), 0.95) < 0.2


def test_error_falls_with_the_tolerance(rng):
    """The triangles' size goes as tolerance^(1/4), and with it the error at a point."""
    x = rng.normal(size=(2000, 2))
    error = []
    for tolerance in (1e-3, 1e-5):
        error.append(np.std(PushForward.of(swirl, tolerance).log_prob(x) - standard_normal(x)))
    assert error[1] < 0.08 and error[1] < 0.6 * error[0]


@pytest.mark.parametrize("generator, bounds, n", [(two_modes, [(-2.5, 2.5), (-1.5, 1.5)], 150),
                                                  (swirl, [(-6, 6)] * 2, 60)])
def test_density_integrates_to_one(generator, bounds, n):
    nodes, cell = midpoints(bounds, n)
    assert abs(cell * np.exp(mesh(generator).log_prob(nodes)).sum() - 1) < 1e-2


def test_samples_of_a_folding_generator_follow_the_density(rng):
    """The mean of f / q over draws from q is the integral of f, a Gaussian: where q is singular, 1 / q is not."""
    density = mesh(waves)
    x = waves(rng.normal(size=(6000, 2)))
    covers = preimages(density, x[:500])
    assert (covers % 2 == 1).all() and covers.max() > 1    # odd, as for every map that is z far out
    for mean in ((0.0, 0.0), (1.0, 0.5), (-0.5, -1.0)):
        ratio = np.exp(multivariate_normal(mean, 0.2 * np.eye(2)).logpdf(x) - density.log_prob(x))
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(x)) < 0.2


@pytest.mark.parametrize("generator", [waves, two_modes])
def test_draws_of_the_mesh_are_those_of_the_generator_and_all_have_a_density(generator, rng):
    z = rng.normal(size=(1000, 2))
    x = mesh(generator).generate(z)
    assert np.abs(x - generator(z)).max() < 0.3 and np.abs(x - generator(z)).mean() < 1e-3
    assert np.isfinite(mesh(generator).log_prob(x)).all()


def test_mean_log_density_of_the_draws_is_minus_the_entropy(rng):
    """For x1 = z1^2, chi-squared with one degree: H = 1/2 + log(2 Gamma(1/2)) + 1/2 digamma(1/2)."""
    log_q = mesh(fold).log_prob(mesh(fold).generate(rng.normal(size=(2500, 2))))
    entropy = chi2(1).entropy() + norm.entropy()
    assert abs(log_q.mean() + entropy) < 5 * log_q.std() / 50


# ---- where there is no density ----

def test_outside_the_fold_there_is_nothing(rng):
    x = np.stack([-rng.uniform(0.01, 3, 50), rng.normal(size=50)], axis=1)
    density = mesh(fold)
    assert (density.log_prob(x) == -np.inf).all() and (preimages(density, x) == 0).all()


def test_collapsed_generator_has_no_density_at_its_own_samples(rng, monkeypatch):
    """All mass on a circle: the image has no area, so almost no point is covered."""
    monkeypatch.setattr(push_forward, "MOST", 20_000)

    def circle(z):
        return np.stack([np.cos(z[:, 0]), np.sin(z[:, 0])], axis=1)
    assert np.mean(push_forward_log_prob(circle, circle(rng.normal(size=(500, 2)))) == -np.inf) > 0.9
    assert (push_forward_log_prob(circle, 0.5 * circle(rng.normal(size=(500, 2)))) == -np.inf).all()


# ---- the search ----

@pytest.mark.parametrize("generator", [lambda z: z, lambda z: z[:, ::-1], lambda z: -0.25 * z])
def test_points_on_corners_and_edges_are_covered_once(generator):
    axis = np.arange(-20, 21) * 0.025                       # corners and edges of the mesh among them
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert (preimages(PushForward.of(generator), x) == 1).all()


def test_search_finds_what_trying_every_triangle_finds(rng, monkeypatch):
    """Naive loop over triangles of a coarse mesh, against the search by columns."""
    z = rng.normal(size=(60, 2))
    x = rng.normal(size=(60, 2))
    triangles = np.array([rng.choice(60, 3, replace=False) for _ in range(80)])
    mesh, points = PushForward(z, x, triangles), 0.25 * rng.normal(size=(70, 2))  # triangles reach beyond
    density = np.zeros(70)
    for corners in triangles:
        (a, b, c), (za, zb, zc) = x[corners], z[corners]
        weights = np.linalg.solve(np.stack([b - a, c - a], axis=1), (points - a).T)          # (2, n)
        inside = (weights > 0).all(axis=0) & (weights.sum(axis=0) < 1)
        here = za + weights[:1].T * (zb - za) + weights[1:].T * (zc - za)
        shrink = np.linalg.det([b - a, c - a]) / np.linalg.det([zb - za, zc - za])
        density += inside * np.exp(standard_normal(here)) / abs(shrink)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(mesh.log_prob(points), np.log(density), rtol=1e-9, atol=1e-9)
    one_by_one = np.concatenate([mesh.log_prob(point[None]) for point in points])
    np.testing.assert_allclose(one_by_one, mesh.log_prob(points), rtol=1e-12)
    whole = mesh.log_prob(points)
    monkeypatch.setattr(push_forward, "CHUNK", 16)          # preimages of a point are now found in different parts
    np.testing.assert_allclose(mesh.log_prob(points), whole, rtol=1e-12)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda: push_forward_log_prob(lambda z: z[:, :1], np.zeros((2, 2))), ValueError, "generator must take z"),
    (lambda: push_forward_log_prob(lambda z: z.astype(int), np.zeros((2, 2))), TypeError, "got dtype int64"),
    (lambda: push_forward_log_prob(lambda z: z * np.inf, np.ones((2, 2))), ValueError, "must be finite"),
    (lambda: push_forward_log_prob(lambda z: z, np.zeros((2, 3))), ValueError, r"shape \(n, 2\)"),
    (lambda: mesh(fold).generate(np.full((1, 2), 9.0)), ValueError, "z must lie within 8"),
    (lambda: push_forward_log_prob(lambda z: z, np.zeros((0, 2))), ValueError, "at least one row"),
    (lambda: push_forward_log_prob(lambda z: z, np.zeros((2, 2), int)), TypeError, "floating point"),
    (lambda: push_forward_log_prob(lambda z: z, np.full((2, 2), np.nan)), ValueError, "finite"),
])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
