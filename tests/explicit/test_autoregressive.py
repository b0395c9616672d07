from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtri_exp, softmax
from scipy.stats import kstest, norm

from scratch.data.distributions import LAWS, grid, moons, ring, spirals
from scratch.divergence.monte_carlo import kl_monte_carlo
from scratch.divergence.quadrature import kl_quadrature
from scratch.explicit import autoregressive
from scratch.explicit.autoregressive import AutoregressiveMixture
from scratch.grid import midpoints
from scratch.kernels.dense import mlp_size, mlp_views
from scratch.kernels.likelihoods import mixture_log_density
from scratch.learning.gradient_check import gradient, gradient_error, pullback_errors
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit

MODEL = AutoregressiveMixture(3, components=2, hidden=(5, 4), order=(2, 0, 1))


def random_theta(model, rng, spread=0.5):
    return model.init(rng, np.float64) + spread * rng.standard_normal(model.mask.shape)


def naive_log_prob(model, theta, x):
    """The definition: one network evaluation per row, one Gaussian at a time; later coordinates overwritten."""
    layers = mlp_views(model.mask * theta, model.widths)
    total = np.zeros(len(x))
    for n, row in enumerate(x):
        for place, i in enumerate(model.order):
            seen = np.full(model.dim, 1e3)                  # would show if the output depended on it
            for j in model.order[:place]:
                seen[j] = row[j]
            h = seen
            for W, b in layers[:-1]:
                a = h @ W + b
                h = a / (1 + np.exp(-np.clip(a, -700, None)))
            W, b = layers[-1]
            logits, means, log_stds = (h @ W + b).reshape(model.dim, 3, model.components)[i]
            weights = np.exp(logits) / np.exp(logits).sum()
            log_stds = 8 * np.tanh(log_stds / 8)
            p = sum(w / (np.sqrt(2 * np.pi) * np.exp(s)) * np.exp(-0.5 * ((row[i] - m) / np.exp(s)) ** 2)
                    for w, m, s in zip(weights, means, log_stds))
            total[n] += np.log(p)
    return total


# ---- 1 definition ----

def test_log_prob_is_the_naive_loop(rng):
    theta, x = random_theta(MODEL, rng), rng.normal(size=(5, 3))
    np.testing.assert_allclose(MODEL.log_prob(theta, x), naive_log_prob(MODEL, theta, x), rtol=1e-12)


def test_loss_is_the_mean_negative_log_prob(rng):
    theta, x = random_theta(MODEL, rng), rng.normal(size=(5, 3))
    assert abs(MODEL.loss(theta, x)[0] + MODEL.log_prob(theta, x).mean()) < 1e-12 * max(1, abs(MODEL.loss(theta, x)[0]))


# ---- 2 gradient ----

@pytest.mark.parametrize("model", [MODEL, AutoregressiveMixture(1, components=3, hidden=(4,)), AutoregressiveMixture(2, components=2, hidden=())])
def test_gradient_in_every_parameter(model, rng):
    theta, x = random_theta(model, rng), rng.normal(size=(6, model.dim))
    assert gradient_error(lambda theta: model.loss(theta, x)[0], theta, model.loss(theta, x)[1]) < 1e-10


def test_gradient_in_every_parameter_and_input_of_the_conditionals(rng):
    theta, x = random_theta(MODEL, rng), rng.normal(size=(4, 3))

    def conditionals(theta, x):
        parameters, pull = MODEL.conditionals(theta, x)
        return *parameters, pull
    assert max(pullback_errors(conditionals, [theta, x], rng)) < 1e-10


def test_score_by_the_pullback_is_the_gradient_of_log_prob_in_x(rng):
    theta, x = random_theta(MODEL, rng), rng.normal(size=(4, 3))
    log_p, pull = MODEL._log_conditionals(theta, x)
    score = pull(np.ones_like(log_p))[1]
    assert gradient_error(lambda x: MODEL.log_prob(theta, x).sum(), x, score) < 1e-10


@pytest.mark.parametrize("dim, hidden", [(2, (4,)), (3, (5, 4)), (4, (3, 7, 5))])
def test_jacobian_of_the_outputs_is_strictly_triangular_for_every_order(dim, hidden, rng):
    for order in permutations(range(dim)):
        model = AutoregressiveMixture(dim, components=2, hidden=hidden, order=order)
        theta, x = random_theta(model, rng), rng.normal(size=(1, dim))
        for place, i in enumerate(order):
            for part in range(3):
                dx = gradient(lambda x: model.conditionals(theta, x)[0][part][0, i].sum(), x)[0]
                before, after = list(order[:place]), list(order[place:])
                assert (dx[after] == 0).all()               # exactly: no path at all
                assert (dx[before] != 0).all()              # and no allowed path is missing


# ---- 3 two ways ----

@pytest.fixture(scope="module")
def plane():
    """A model of the plane in reversed order, theta, and its probabilities on a grid that holds all the mass."""
    model = AutoregressiveMixture(2, components=3, hidden=(6,), order=(1, 0))
    theta = random_theta(model, np.random.default_rng(0), spread=0.05)
    nodes, cell = midpoints([(-12, 12)] * 2, 240)           # cells of 0.1; no component is narrower than 0.4
    log_p = model.log_prob(theta, nodes)
    return model, theta, nodes, cell * np.exp(log_p), log_p


def test_density_integrates_to_one(plane):
    assert abs(plane[3].sum() - 1) < 1e-6


def test_samples_follow_the_density(plane, rng):
    """E log p under the model's own samples = minus its entropy by quadrature; and the same for the means."""
    model, theta, nodes, p, log_p = plane
    x = model.sample(theta, 40_000, rng)
    for values, exact in ((model.log_prob(theta, x), p @ log_p), (x[:, 0], p @ nodes[:, 0]),
                          (x[:, 1], p @ nodes[:, 1]), (x[:, 0] * x[:, 1], p @ (nodes[:, 0] * nodes[:, 1]))):
        assert abs(values.mean() - exact) < 5 * values.std() / 200


def test_completion_follows_the_exact_conditional(plane, rng):
    """Given x_2, the joint along the line, normalized by quadrature, is the distribution of x_1."""
    model, theta, *_ = plane
    x = model.complete(theta, {1: 0.7}, 40_000, rng)
    np.testing.assert_array_equal(x[:, 1], 0.7)
    line, cell = midpoints([(-40, 40)], 8000)
    p = np.exp(model.log_prob(theta, np.hstack([line, np.full_like(line, 0.7)])))
    p *= cell / (cell * p.sum())
    mean = p @ line[:, 0]
    assert abs(x[:, 0].mean() - mean) < 5 * x[:, 0].std() / 200
    second = (x[:, 0] - mean) ** 2
    assert abs(second.mean() - p @ (line[:, 0] - mean) ** 2) < 5 * second.std() / 200


def test_same_seed_same_bits(rng):
    theta = MODEL.init(rng)
    first, second = (MODEL.sample(theta, 10, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == MODEL.loss(theta, first.astype(float))[1].dtype == np.float32


def test_log_prob_far_away_is_finite_and_falls(rng):
    model = AutoregressiveMixture(2, components=3, hidden=(16, 16))
    theta = fit(model, model.init(rng), LAWS["ring"], rng, steps=200)
    near, far, farthest = model.log_prob(theta, np.array([[0.0, 2.0], [50.0, -50.0], [1e6, -1e6]]))
    assert np.isfinite(farthest) and far < near - 10 and farthest < far - 10


# ---- the flow ----

def test_noise_is_the_normal_quantile_of_each_conditional_distribution_function(rng):
    """The definition, one number at a time, where Phi^-1(F) loses no digits."""
    theta, x = random_theta(MODEL, rng), rng.normal(size=(5, 3))
    logits, means, log_stds = MODEL.conditionals(theta, x)[0]
    z, _ = MODEL.to_noise(theta, x)
    for n, i in np.ndindex(5, 3):
        weights = np.exp(logits[n, i]) / np.exp(logits[n, i]).sum()
        F = sum(w * norm.cdf(x[n, i], m, np.exp(s)) for w, m, s in zip(weights, means[n, i], log_stds[n, i]))
        assert abs(z[n, i] - norm.ppf(F)) < 1e-10 if 1e-6 < F < 1 - 1e-6 else abs(z[n, i]) > 4


def complex_ndtri_exp(log_F):
    """Phi^-1(exp(log_F)) for the complex step: scipy's has no complex numbers."""
    z = ndtri_exp(log_F.real)
    return z + 1j * log_F.imag * np.exp(log_F.real - norm.logpdf(z))            # dz / dlog F = F / N(z; 0, 1)


def test_log_det_is_that_of_the_jacobian(rng, monkeypatch):
    """The full Jacobian by the complex step: its determinant, and with it log p = log N(z) + log |det|.

    At the model's samples.  Between narrow components z hardly changes with x: its slope is all rounding.
    """
    theta = random_theta(MODEL, rng)
    x = MODEL.sample(theta, 6, rng)
    z, log_det = MODEL.to_noise(theta, x)
    monkeypatch.setattr(autoregressive, "ndtri_exp", complex_ndtri_exp)
    jacobian = np.stack([MODEL.to_noise(theta, x + 1e-30j * axis)[0].imag / 1e-30 for axis in np.eye(3)],
                        axis=2)                                                 # (N, D, D): dz_i / dx_j
    before = np.argsort(MODEL.order)
    assert (jacobian[:, before[:, None] < before] == 0).all()                   # triangular in the model's order
    sign, by_steps = np.linalg.slogdet(jacobian)
    assert (sign == 1).all()                                # below: the largest error in a thousand runs is 5e-12
    np.testing.assert_allclose(log_det, by_steps, rtol=0, atol=1e-10)
    np.testing.assert_allclose(norm.logpdf(z).sum(axis=1) + by_steps, MODEL.log_prob(theta, x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_noise_to_data_and_back_is_the_identity_far_into_the_tails(dtype, rng):
    """|z| up to 8, where 1 - F is 6e-16, and some at 30, where F underflows; errors of a few roundings of x and z."""
    theta, z = random_theta(MODEL, rng).astype(dtype), rng.uniform(-8, 8, (200, 3)).astype(dtype)
    z[:3] = 30 * np.eye(3) - 30 * np.eye(3)[::-1]
    x = MODEL.from_noise(theta, z)
    back, log_det = MODEL.to_noise(theta, x)
    assert x.dtype == back.dtype == log_det.dtype == dtype and np.isfinite(log_det).all()
    slope = np.exp(mixture_log_density(x, *MODEL.conditionals(theta, x)[0])[0] - norm.logpdf(z))        # dz_i / dx_i
    few = 20 * np.finfo(dtype).eps                          # the largest seen in ten runs is 4.5 roundings
    assert (np.abs(back - z) < few * (1 + np.abs(z) + np.abs(x) * slope)).all()


def test_with_one_component_the_flow_is_affine_however_far_out(rng):
    """z = (x - mu) / s exactly, also where F and 1 - F underflow; log |det| = -sum log s."""
    model = AutoregressiveMixture(3, components=1, hidden=(5, 4), order=(2, 0, 1))
    theta, x = random_theta(model, rng), rng.normal(size=(50, 3)) * (1, 10, 100)
    _, means, log_stds = (part[..., 0] for part in model.conditionals(theta, x)[0])
    z, log_det = model.to_noise(theta, x)
    assert np.abs(z).max() > 40                             # Phi(-40) is 1e-350, below the least float64
    np.testing.assert_allclose(z, (x - means) / np.exp(log_stds), rtol=1e-12, atol=1e-14)
    error = np.abs(log_det + log_stds.sum(axis=1))
    assert (error < 5e-12 * (1 + np.sum(z * z, axis=1))).all()                  # 1/2 z^2 cancels in (7)
    np.testing.assert_allclose(model.from_noise(theta, z), x, rtol=1e-8, atol=1e-8)


def test_data_to_noise_and_back_is_the_identity(plane, rng):
    model, theta, *_ = plane
    x = model.sample(theta, 2000, rng)
    np.testing.assert_allclose(model.from_noise(theta, model.to_noise(theta, x)[0]), x, rtol=0, atol=1e-11)


def test_samples_become_standard_normal_noise_and_noise_becomes_samples(plane, rng):
    """Both ways: every coordinate of z by Kolmogorov-Smirnov, their correlation, and E log p of x = g(z)."""
    model, theta, _, p, log_p = plane
    n = 5000
    z, _ = model.to_noise(theta, model.sample(theta, n, rng))
    for i in range(2):
        assert kstest(z[:, i], norm.cdf).pvalue > 1e-6      # 5 standard errors, two-sided: 6e-7
    assert abs(np.mean(z[:, 0] * z[:, 1])) < 5 / np.sqrt(n) and abs(np.mean(z[:, 0] ** 2 * z[:, 1])) < 5 * np.sqrt(3 / n)
    values = model.log_prob(theta, model.from_noise(theta, rng.standard_normal((n, 2))))
    assert abs(values.mean() - p @ log_p) < 5 * values.std() / np.sqrt(n)


# ---- 4 closed form ----

def test_one_component_without_hidden_layers_learns_a_gaussian_exactly(rng):
    """Linear means and constant variances are the Gaussian family: the optimum is the sample's own Gaussian."""
    rows = rng.multivariate_normal([1.0, -2.0], [[1.0, 0.6], [0.6, 0.8]], 400)
    model = AutoregressiveMixture(2, components=1, hidden=())
    theta = model.init(rng, np.float64)
    weights = model.mask.copy()
    W, b = mlp_views(weights, model.widths)[0]
    W.reshape(2, 2, 3, 1)[:, :, 2] = 0                      # no log std from x: the conditionals stay Gaussian
    result = minimize(lambda t: [f(v) for f, v in zip((float, lambda g: g * weights), model.loss(t * weights, rows))],
                      theta, jac=True, method="BFGS", options=dict(gtol=1e-7))
    covariance = np.cov(rows.T, bias=True)
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    assert abs(result.fun - exact) < 1e-9


# ---- 5 learning ----

def test_learns_moons_in_a_few_hundred_steps(rng):
    law, model = moons(std=0.2), AutoregressiveMixture(2, components=12, hidden=(32, 32))
    theta = fit(model, model.init(rng), law, rng, steps=500, recipe=Recipe(Adam(1e-2, beta2=0.99), batch_size=256))
    quadrature = kl_quadrature(law.log_prob, lambda x: model.log_prob(theta, x), law.bounds(), n=101)
    x = law.sample(20_000, rng)
    monte_carlo = kl_monte_carlo(law.log_prob, lambda x: model.log_prob(theta, x), x)
    assert 0 < quadrature.value < 0.03                     # 0.007 to 0.014 in five runs
    assert abs(quadrature.mass_p - 1) < 1e-3
    assert monte_carlo.agrees_with(quadrature)


BENCHMARKS = {name: LAWS[name] for name in ("ring", "grid", "moons", "spirals")} | {
    "wide ring": ring(5, 3.0, 0.3), "coarse grid": grid(4, 1.5, 0.2), "large moons": moons(0.2, 2.0),
    "short spirals": spirals(0.15, 3.0, 1.0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_ten_thousand_steps_reach_the_distributions_to_thousandths_of_a_nat(name, rng):
    law, model = BENCHMARKS[name], AutoregressiveMixture(2)
    theta = fit(model, model.init(rng), law, rng, steps=10_000)
    kl = kl_monte_carlo(law.log_prob, lambda x: model.log_prob(theta, x), law.sample(200_000, rng))
    assert -4 * kl.stderr < kl.value < 0.003
    quadrature = kl_quadrature(law.log_prob, lambda x: model.log_prob(theta, x), law.bounds())
    assert kl.agrees_with(quadrature) and abs(quadrature.mass_q - 1) < 1e-3


# ---- bad input ----

@pytest.mark.parametrize("call, error, says", [
    (lambda m, t, rng: AutoregressiveMixture(0), ValueError, "dim must be at least 1"),
    (lambda m, t, rng: AutoregressiveMixture(2, components=-1), ValueError, "components must be at least 1"),
    (lambda m, t, rng: AutoregressiveMixture(2, hidden=(4.5,)), TypeError, "each of hidden"),
    (lambda m, t, rng: AutoregressiveMixture(2, hidden=4), TypeError, "hidden must be"),
    (lambda m, t, rng: AutoregressiveMixture(2, order=(1, 2)), ValueError, "an order must hold"),
    (lambda m, t, rng: AutoregressiveMixture(2, order=(1.0, 0.0)), TypeError, "each of an order"),
    (lambda m, t, rng: AutoregressiveMixture(2, order=5), TypeError, "an order must be a permutation"),
    (lambda m, t, rng: m.log_prob(t * np.nan, np.zeros((2, 3))), ValueError, "theta must be finite"),
    (lambda m, t, rng: m.complete(t, {2: "a"}, 5, rng), TypeError, "known must hold real numbers"),
    (lambda m, t, rng: m.init(3), TypeError, "Generator"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 4))), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.loss(t, np.zeros((0, 3))), ValueError, "at least one row"),
    (lambda m, t, rng: m.loss(t, np.zeros((2, 3), int)), TypeError, "floating point"),
    (lambda m, t, rng: m.log_prob(t, np.array([[0, np.nan, 0]])), ValueError, "finite"),
    (lambda m, t, rng: m.log_prob(t[:-1], np.zeros((2, 3))), ValueError, "theta must have shape"),
    (lambda m, t, rng: m.sample(t, 0, rng), ValueError, "n must be at least 1"),
    (lambda m, t, rng: m.sample(t, 5, 7), TypeError, "Generator"),
    (lambda m, t, rng: m.complete(t, [1.0], 5, rng), TypeError, "known must be a dict"),
    (lambda m, t, rng: m.complete(t, {2: 0.0, 1: 0.0, 0: 0.0}, 5, rng), ValueError, "fewer than 3"),
    (lambda m, t, rng: m.complete(t, {2: np.inf}, 5, rng), ValueError, "known must be finite"),
    (lambda m, t, rng: m.complete(t, {0: 1.0}, 5, rng), ValueError, r"first coordinates .*\(2, 0, 1\).*got \[0\]"),
    (lambda m, t, rng: m.to_noise(t, np.zeros((2, 4))), ValueError, r"shape \(n, 3\)"),
    (lambda m, t, rng: m.from_noise(t, np.array([[0, np.inf, 0]])), ValueError, "finite"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(MODEL, MODEL.init(rng), rng)


def test_numpy_scalars_are_stored_as_python_numbers():
    model, plain = AutoregressiveMixture(dim=np.int64(3), components=np.int64(2), hidden=(np.int64(4),), order=np.array([1, 0, 2])), AutoregressiveMixture(dim=3, components=2, hidden=(4,), order=(1, 0, 2))
    assert model == plain and hash(model) == hash(plain) and repr(model) == repr(plain)


def test_a_component_is_drawn_with_its_weight(rng):
    """Three far components of unequal weights: near equal weights any symmetric noise would do."""
    model = AutoregressiveMixture(1, components=3, hidden=())
    theta, logits = np.zeros(model.size), np.array([0.0, 1.0, 2.5])
    mlp_views(theta, model.widths)[0][1][...] = np.concatenate([logits, [-10, 0, 10], [-2, -2, -2]])
    x = model.sample(theta, 20_000, rng)
    counts = np.sum(np.abs(x - [-10, 0, 10]) < 5, axis=0)
    expected = 20_000 * softmax(logits)
    assert np.sum((counts - expected) ** 2 / expected) < 20


@pytest.mark.parametrize("model, widths, layer, factor", [(AutoregressiveMixture(2), "widths", 0, 2.0), (AutoregressiveMixture(2), "widths", -1, 0.1)])
def test_init_has_the_scale_that_its_lines_name(model, widths, layer, factor, rng):
    widths = getattr(model, widths)
    W, _ = mlp_views(model.init(rng)[:mlp_size(widths)], widths)[layer]
    assert W.std() == pytest.approx(factor * np.sqrt(2 / len(W)), rel=0.25)
