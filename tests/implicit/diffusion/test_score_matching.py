import numpy as np
import pytest

from scratch.data.distributions import LAWS
from scratch.data.gaussian_mixture import GaussianMixture
from scratch.implicit.diffusion.score_matching import ScoreNetwork, denoising, explicit, sliced
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient, gradient_error
from scratch.learning.training import fit

MODEL = ScoreNetwork(dim=3, hidden=(5, 4))
OBJECTIVES = [explicit, sliced, denoising(0.3)]


class LinearScore:
    """s(x) = x A + b, theta = [A, b]: the score of a Gaussian, and what a field must offer to an objective."""

    def split(self, theta):
        return theta[:4].reshape(2, 2), theta[4:]

    def field(self, theta, x):
        A, b = self.split(theta)
        return x @ A + b, lambda ds: np.concatenate([(x.T @ ds).ravel(), ds.sum(axis=0)])

    def jvp(self, theta, x, x_dot):
        A, b = self.split(theta)

        def pull(ds, ds_dot):
            return np.concatenate([(x.T @ ds + x_dot.T @ ds_dot).ravel(), ds.sum(axis=0)])
        return x @ A + b, x_dot @ A, pull


def random_theta(model, rng):
    theta = model.init(rng, np.float64)
    return theta + 0.3 * rng.standard_normal(theta.shape)


def mean_loss(objective, model, theta, x, noise):
    J, pull = objective(model, theta, x, noise)
    return J.mean(), pull(np.full(len(x), 1 / len(x)))


# ---- 1 definition ----

def test_explicit_is_the_trace_of_the_jacobian_row_by_row(rng):
    theta, x = random_theta(MODEL, rng), rng.normal(size=(4, 3))
    J, _ = explicit(MODEL, theta, x)
    for n in range(4):
        jacobian = np.array([gradient(lambda row: MODEL.field(theta, row[None])[0][0, i].sum(), x[n])
                             for i in range(3)])            # [i, j] = ds_i / dx_j
        assert abs(J[n] - np.trace(jacobian) - 0.5 * np.sum(MODEL.score(theta, x[n:n + 1]) ** 2)) < 1e-12
        v = rng.normal(size=3)
        along = sliced(MODEL, theta, x[n:n + 1], v[None])[0][0]
        assert abs(along - v @ jacobian @ v - 0.5 * np.sum(MODEL.score(theta, x[n:n + 1]) ** 2)) < 1e-12


def test_denoising_is_the_naive_loop(rng):
    theta, x, eps = random_theta(MODEL, rng), *rng.normal(size=(2, 4, 3))
    J, _ = denoising(0.3)(MODEL, theta, x, eps)
    for n in range(4):
        s = MODEL.score(theta, x[n:n + 1] + 0.3 * eps[n])[0]
        target = -(x[n] + 0.3 * eps[n] - x[n]) / 0.3 ** 2   # grad log N(x_noisy; x_n, sigma^2 I)
        assert abs(J[n] - 0.5 * np.sum((s - target) ** 2)) < 1e-12


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_is_the_mean_of_the_objective_per_coordinate(objective, rng):
    model = ScoreNetwork(3, hidden=(5, 4), objective=objective)
    theta, x, noise = random_theta(model, rng), *rng.normal(size=(2, 4, 3))
    assert abs(model.loss(theta, x, noise)[0] - objective(model, theta, x, noise)[0].mean() / 3) < 1e-12


# ---- 2 gradient ----

@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("dim, hidden", [(3, (5, 4)), (1, (4,)), (2, ())])
def test_gradient_in_every_parameter(objective, dim, hidden, rng):
    model = ScoreNetwork(dim, hidden=hidden, objective=objective)
    theta, x = random_theta(model, rng), rng.normal(size=(6, dim))
    noise = model.draw_noise(rng, 6)
    dtheta = model.loss(theta, x, noise)[1]
    assert gradient_error(lambda theta: model.loss(theta, x, noise)[0], theta, dtheta) < 1e-10


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_pullback_weighs_the_rows(objective, rng):
    """With a weight for every row, not 1/N for all: a mean would let errors cancel."""
    theta, x, noise = random_theta(MODEL, rng), *rng.normal(size=(2, 5, 3))
    weights = rng.normal(size=5)
    dtheta = objective(MODEL, theta, x, noise)[1](weights)
    assert gradient_error(lambda theta: weights @ objective(MODEL, theta, x, noise)[0], theta, dtheta) < 1e-10


# ---- 3 two ways to the same number ----

def test_explicit_is_distance_to_the_score(rng):
    """Up to a constant: Hyvarinen's identity by quadrature, for two fields that have nothing to do with the law."""
    law = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [[[0.3, 0.1], [0.1, 0.2]], [[0.2, 0], [0, 0.4]]], [0.4, 0.6])
    nodes, cell = midpoints(law.bounds(), 180)
    p, score = cell * np.exp(law.log_prob(nodes)), law.score(nodes)
    constant = 0.5 * p @ np.sum(score ** 2, axis=1)
    model = ScoreNetwork(2, hidden=(6,))
    for _ in range(2):
        theta = random_theta(model, rng)
        fisher = 0.5 * p @ np.sum((model.score(theta, nodes) - score) ** 2, axis=1)
        assert abs(fisher - p @ explicit(model, theta, nodes)[0] - constant) < 1e-6


def test_denoising_is_the_distance_to_the_score_of_the_noised_law_up_to_a_constant(rng):
    """Vincent's identity: its constant is the variance of -eps/sigma given x, whatever the field."""
    sigma, law = 0.5, GaussianMixture([[-1.0], [1.0]], [[[0.2]], [[0.3]]], [0.4, 0.6])
    noised, model = law.noised(sigma), ScoreNetwork(1, hidden=(6,))
    nodes, cell = midpoints(noised.bounds(), 2000)
    p, score = cell * np.exp(noised.log_prob(nodes)), noised.score(nodes)
    x0, cell = midpoints(law.bounds(), 600)
    eps, weights = np.polynomial.hermite_e.hermegauss(60)
    joint = np.outer(cell * np.exp(law.log_prob(x0)), weights / weights.sum()).ravel()      # p(x0) p(eps)
    pairs = np.stack(np.meshgrid(x0[:, 0], eps, indexing="ij"), axis=-1).reshape(-1, 2)
    for _ in range(2):
        theta = random_theta(model, rng)
        J = joint @ denoising(sigma)(model, theta, pairs[:, :1], pairs[:, 1:])[0]
        fisher = 0.5 * p @ np.sum((model.score(theta, nodes) - score) ** 2, axis=1)
        constant = 0.5 * (1 / sigma ** 2 - p @ np.sum(score ** 2, axis=1))
        assert abs(J - fisher - constant) < 1e-7


def test_sliced_is_explicit_in_expectation(rng):
    theta, x = random_theta(MODEL, rng), rng.normal(size=(1, 3))
    exact, n = explicit(MODEL, theta, x)[0][0], 20_000
    values = sliced(MODEL, theta, np.repeat(x, n, axis=0), rng.standard_normal((n, 3)))[0]
    assert abs(values.mean() - exact) < 5 * values.std() / np.sqrt(n)


# ---- 4 closed forms ----

def minimizer(objective, x, noise):
    """The best linear score: the objective is quadratic in theta, so one Newton step from 0 is exact."""
    def dtheta(theta):
        return mean_loss(objective, LinearScore(), theta, x, noise)[1]
    hessian = np.array([dtheta(unit) - dtheta(np.zeros(6)) for unit in np.eye(6)])
    return LinearScore().split(np.linalg.solve(hessian, -dtheta(np.zeros(6))))


def test_all_three_have_the_score_of_the_gaussian_as_their_minimizer(rng):
    """For linear s only second moments of the noise matter: +-sqrt(2) e_i, once each, make its average exact."""
    x = rng.multivariate_normal([1.0, -2.0], [[1.0, 0.6], [0.6, 0.8]], 50)
    mean, covariance = x.mean(axis=0), np.cov(x.T, bias=True)
    four = np.sqrt(2) * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    rows, noise = np.repeat(x, 4, axis=0), np.tile(four, (50, 1))
    for objective, exact in ((explicit, covariance), (sliced, covariance),
                             (denoising(0.7), covariance + 0.7 ** 2 * np.eye(2))):
        A, b = minimizer(objective, rows, noise)
        np.testing.assert_allclose(A, -np.linalg.inv(exact), rtol=1e-9)
        np.testing.assert_allclose(b, np.linalg.solve(exact, mean), rtol=1e-9)


def test_at_the_minimum_explicit_is_minus_half_the_fisher_information(rng):
    """J(grad log p) = -1/2 E |grad log p|^2, here -1/2 tr S^-1."""
    x = rng.multivariate_normal([1.0, -2.0], [[1.0, 0.6], [0.6, 0.8]], 50)
    precision = np.linalg.inv(np.cov(x.T, bias=True))
    theta = np.concatenate([-precision.ravel(), precision @ x.mean(axis=0)])
    value, dtheta = mean_loss(explicit, LinearScore(), theta, x, None)
    assert abs(value + 0.5 * np.trace(precision)) < 1e-10 and np.abs(dtheta).max() < 1e-10


# ---- 5 learning ----

@pytest.mark.parametrize("objective", OBJECTIVES)
def test_learns_the_score_of_moons_in_a_few_hundred_steps(objective, rng):
    """Fraction of the score's mean square that is left; s = 0 leaves all of it, ten seeds at most 0.25, 0.30, 0.17."""
    law, model = LAWS["moons"].noised(0.3), ScoreNetwork(2, hidden=(32, 32), objective=objective)
    theta = fit(model, model.init(rng), law, rng, steps=200)
    target = law.noised(0.3) if objective is OBJECTIVES[2] else law
    x = target.sample(4000, rng)
    score = target.score(x)
    left = np.mean((model.score(theta, x) - score) ** 2) / np.mean(score ** 2)
    assert left < 0.4                                       # five deviations above the mean of the ten


def test_langevin_dynamics_samples_the_law_of_a_known_score(rng):
    """A network without hidden layers and with weights set by hand is the score -x / 0.5 of N(0, 0.5)."""
    model = ScoreNetwork(1, hidden=())
    theta = np.zeros(model.size)
    theta[0] = -2.0                                         # feature 0 is x itself
    dt, n = 0.05, 8000
    x = model.sample(theta, n, rng, steps=60, dt=dt)
    variance = 0.5 / (1 - dt)                               # of the discrete dynamics: V = (1 - 2 dt)^2 V + 2 dt
    assert abs(x.var() / variance - 1) < 5 * np.sqrt(2 / n)


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: ScoreNetwork(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: ScoreNetwork(2, hidden=4), TypeError, "hidden must be"),
    (lambda m, t, rng: ScoreNetwork(2, objective="sliced"), TypeError, "objective must be a function"),
    (lambda m, t, rng: denoising(0.0), ValueError, "sigma must be a positive"),
    (lambda m, t, rng: m.draw_noise(rng, 0), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 4)), np.zeros((2, 4))), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3)), np.zeros((1, 3))), ValueError, r"noise must be \(noise \(2, 3\)\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int), np.zeros((2, 3))), TypeError, "floating point"),
    (lambda m, t, rng: m.score(t, np.full((1, 3), np.nan)), ValueError, "finite"),
    (lambda m, t, rng: m.score(t[:-1], np.zeros((2, 3))), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 5, rng, dt=-1.0), ValueError, "dt must be a positive"),
    (lambda m, t, rng: m.sample(t, 5, 7), TypeError, "Generator"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)


def test_langevin_with_a_score_of_zero_is_a_random_walk_for_two_units_of_time(rng):
    model = ScoreNetwork(2, hidden=())
    x = model.sample(np.zeros(model.size), 1000, rng)
    assert abs(x.var() / (1 + 2 * 2.0) - 1) < 5 * np.sqrt(2 / 2000)             # N(0, 1), then dx = sqrt(2) dw
    x = model.sample(np.zeros(model.size), 1000, rng, steps=10, dt=0.3)
    assert abs(x.var() / (1 + 2 * 3.0) - 1) < 5 * np.sqrt(2 / 2000)
