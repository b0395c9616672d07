"""The change of variables, worn by every model of real vectors."""
import pickle
import warnings

import numpy as np
import pytest

from scratch.data.gaussian_mixture import GaussianMixture
from scratch.data.standardized import Standardized, standardize
from scratch.divergence.entropy import kl_cross_entropy
from scratch.explicit.made import MADE
from scratch.explicit.mixture_em import MixtureEM
from scratch.explicit.bernoulli_vae import BernoulliVAE
from scratch.explicit.vae import VAE
from scratch.family_tree import MODELS, reals
from scratch.grid import midpoints
from scratch.implicit.diffusion.conditioning import ConditionalDiffusion
from scratch.implicit.diffusion.ddpm import DDPM
from scratch.implicit.diffusion.denoiser import Diffusion
from scratch.implicit.gan import GAN
from scratch.implicit.wave_gan import WaveGAN
from scratch.learning.gradient_check import gradient_error
from scratch.learning.optimizers import Adam
from scratch.learning.training import Recipe, fit, train
from tests.test_ladder import with_dim

# Without those of waveforms, whose coordinates are samples in one unit.
GENERATIVE = {name: entry for name, entry in MODELS.items() if entry.rows is reals and
              entry.branch != "discriminative models" and not issubclass(entry.model, WaveGAN)}
DENSITIES = [name for name, entry in GENERATIVE.items() if hasattr(entry.model, "log_prob")]
IN_NATS = {"MixtureEM", "AutoregressiveMixture", "VAE", "LinearVAE"}
COARSE = {"VAE": dict(nodes=60), "Diffusion": dict(steps=8), "FlowMatching": dict(steps=8)}       # cheap enough
SHIFT, DIAGONAL = (71.0, -3e-4, 1.7e9), (13.0, 2e-5, 900.0)
WHITE = ((13.0, 1e-5, 30.0), (-4.0, 2e-5, 80.0), (0.5, -3e-6, 900.0))
SCALES = pytest.mark.parametrize("scale", [DIAGONAL, WHITE], ids=["scaled", "whitened"])


def planar(name):
    """A small instance for two coordinates."""
    return with_dim(GENERATIVE[name], 2)


def worn(model, scale):
    """The model in units of these scales."""
    D = model.dim
    return Standardized(model, SHIFT[:D], np.array(scale)[:D] if scale is DIAGONAL else np.array(scale)[:D, :D])


def moved(model, rng, size=0.1, dtype=np.float64):
    theta = model.init(rng, dtype)
    return theta + (size * rng.standard_normal(theta.shape)).astype(dtype)


# ---- definition ----

def test_every_model_of_real_vectors_is_here():
    assert {"AutoregressiveMixture", "MixtureEM", "VAE", "LinearVAE", "GAN", "Diffusion", "DDPM", "ScoreNetwork",
            "FlowMatching"} <= set(GENERATIVE)
    assert {name for name, entry in GENERATIVE.items() if getattr(entry.model, "in_nats", False)} == IN_NATS


def test_rows_have_mean_0_and_the_models_standard_deviation(rng):
    rows = np.array(SHIFT) + rng.standard_normal((500, 3)) @ np.array(WHITE)
    for model, std in ((VAE(3), 1.5), (Diffusion(3, sigma_data=0.7), 0.7), (DDPM(3), 1.0)):
        z = standardize(model, rows).to_model(rows)
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)          # 1.7e9 leaves 2e-7 of the digits
        np.testing.assert_allclose(z.std(axis=0), std, rtol=1e-9)
        z = standardize(model, rows, whiten=True).to_model(rows)
        np.testing.assert_allclose(z.T @ z / len(z), std ** 2 * np.eye(3), atol=1e-6)


def test_a_matrix_may_hold_zeros_if_its_rank_is_full():
    model = Standardized(VAE(2), (0.0, 0.0), ((2.0, 0.0), (0.0, 3.0)))
    np.testing.assert_allclose(model.to_data(np.array([[1.0, 1.0]])), [[2.0, 3.0]])


@SCALES
def test_there_and_back(scale, rng):
    model, z = worn(VAE(3), scale), rng.standard_normal((20, 3))
    x = model.to_data(z)
    np.testing.assert_allclose(x[:, 0], 71 + z @ (np.array(scale)[:, 0] if scale is WHITE else [13.0, 0, 0]))
    np.testing.assert_allclose(model.to_model(x), z, atol=1e-8)
    assert model.log_det == pytest.approx(np.linalg.slogdet(np.diag(scale) if scale is DIAGONAL else scale)[1])


# ---- the loss, its gradient, and types ----

@SCALES
@pytest.mark.parametrize("name", GENERATIVE)
def test_the_loss_and_its_gradient(name, scale, rng):
    inner = GENERATIVE[name].model(**{**GENERATIVE[name].sizes, **({"dim": 3} if name != "MixtureEM" else {})})
    model = worn(inner, scale)
    theta, z = moved(inner, rng), rng.standard_normal((5, inner.dim))
    x, noise = model.to_data(z), model.draw_noise(rng, 5)
    value, dtheta = model.loss(theta, x, noise)
    expected, _ = inner.loss(theta, model.to_model(x), noise)
    np.testing.assert_allclose(value, expected + (model.log_det if name in IN_NATS else 0.0), rtol=1e-12)
    for player, block in enumerate(getattr(model, "players", [slice(None)])):     # each has its own loss
        def own_loss(part):
            changed = theta.astype(part.dtype)
            changed[block] = part
            return np.atleast_1d(model.loss(changed, x, noise)[0])[player]
        assert gradient_error(own_loss, theta[block], dtheta[block]) < 1e-10


@pytest.mark.parametrize("name", GENERATIVE)
def test_float32_parameters_train_in_float32_and_rows_come_out_in_float64(name, rng):
    model = worn(planar(name), DIAGONAL)
    theta, rows = model.init(rng), model.to_data(rng.standard_normal((64, 2)))
    after = fit(model, theta, rows, rng, steps=3)
    assert after.dtype == theta.dtype == np.float32 and not np.array_equal(after, theta)
    x = model.sample(after, 7, rng)
    assert x.shape == (7, 2) and x.dtype == np.float64


@pytest.mark.parametrize("name", GENERATIVE)
def test_training_is_that_of_the_model_on_rows_in_its_units(name, rng):
    """Bit for bit, with a setting that changes along the run (GAN) and with z that float32 can hold."""
    inner, z = planar(name), np.round(64 * rng.standard_normal((64, 2))) / 64
    model = Standardized(inner, (2.0 ** 20, -8.0), (0.5, 4.0))
    theta = inner.init(rng)
    expected = fit(inner, theta, z, np.random.default_rng(1), steps=4)
    np.testing.assert_array_equal(fit(model, theta, model.to_data(z), np.random.default_rng(1), steps=4), expected)


# ---- densities and samples ----

@SCALES
@pytest.mark.parametrize("name", DENSITIES)
def test_the_density_has_mass_1_in_the_units_of_the_data(name, scale, rng):
    model = worn(planar(name), scale)
    theta = moved(model, rng, size=0.05)
    z = model.model.sample(theta, 200, rng)
    middle = np.median(z, axis=0)
    radius = 4 * np.max(np.quantile(np.abs(z - middle), 0.95, axis=0))
    box = model.A if scale is DIAGONAL else np.abs(model.A).sum(axis=0)     # holds the square in z
    center = model.to_data(middle[None])[0]
    n = 300 if name == "AutoregressiveMixture" else 60      # its conditionals may be narrow at random parameters
    nodes, cell = midpoints(np.stack([center - radius * box, center + radius * box], axis=1), n)
    assert abs(cell * np.sum(np.exp(model.log_prob(theta, nodes, **COARSE.get(name, {})))) - 1) < 5e-3


@SCALES
@pytest.mark.parametrize("name", DENSITIES)
def test_samples_follow_the_density(name, scale, rng):
    """KL(samples || log_prob) by nearest neighbors is 0, in coordinates that this test makes of x itself."""
    model = worn(planar(name), scale)
    theta = moved(model, rng, size=0.3)
    x = model.sample(theta, 1000, rng)
    mean, root = x.mean(axis=0), np.linalg.cholesky(np.diag(x.var(axis=0))) if scale is DIAGONAL else \
        np.linalg.cholesky(np.cov(x.T))
    kl = kl_cross_entropy((x - mean) @ np.linalg.inv(root).T, lambda y: (
        model.log_prob(theta, mean + y @ root.T, **COARSE.get(name, {})) + np.linalg.slogdet(root)[1]))
    assert abs(kl.value) < 5 * kl.stderr + 0.02, kl         # 0.02: the bias of the neighbors in two dimensions


@pytest.mark.parametrize("name", ["VAE", "DDPM", "LinearVAE"])
def test_the_bound_is_the_models_minus_log_det(name, rng):
    model = worn(planar(name), WHITE)
    theta, x, noise = moved(model, rng), model.to_data(rng.standard_normal((5, 2))), model.draw_noise(rng, 5)
    expected = model.model.elbo(theta, model.to_model(x), noise) - model.log_det
    np.testing.assert_array_equal(model.elbo(theta, x, noise), expected)


def test_a_gaussian_keeps_its_closed_form_in_any_unit(rng):
    """One component, fitted by gradients to rows that were moved and stretched: N(mean, covariance) of the rows."""
    truth = GaussianMixture([[71.0, 2e-3]], [[[170.0, 9e-3], [9e-3, 1e-6]]], [1.0])
    rows = truth.sample(4000, rng)
    for whiten in (False, True):
        model = standardize(MixtureEM(1), rows, whiten=whiten)
        near = model.model.theta_of(GaussianMixture([[0.0, 0.0]], [np.eye(2)], [1.0])) + 0.2 * rng.normal(size=model.size)
        theta = fit(model, near, rows, rng, steps=600, recipe=Recipe(Adam(1e-2), batch_size=4000))     # the whole batch
        x = truth.sample(500, rng)
        exact = GaussianMixture([rows.mean(axis=0)], [np.cov(rows.T, bias=True)], [1.0])
        assert np.abs(model.log_prob(theta, x) - exact.log_prob(x)).max() < 0.1       # 0.02 in twelve seeds


# ---- codes and completion ----

def test_codes_are_those_of_the_model_and_decode_to_the_units_of_the_data(rng):
    model = worn(VAE(3, hidden=(5,)), WHITE)
    theta, x = moved(model, rng), model.to_data(rng.standard_normal((6, 3)))
    mean, log_std = model.encode(theta, x)
    np.testing.assert_array_equal(mean, model.model.encode(theta, model.to_model(x))[0])
    decoded = model.decode(theta, mean)
    np.testing.assert_allclose(model.to_model(decoded), model.model.decode(theta, mean), atol=1e-6)
    assert log_std.shape == (6, 2) and decoded.shape == (6, 3) and abs(decoded[:, 2] / 1.7e9 - 1).max() < 1e-3


@pytest.mark.parametrize("name", [name for name in GENERATIVE if hasattr(GENERATIVE[name].model, "complete")])
def test_completes_in_the_units_of_the_data(name, rng):
    model = worn(planar(name), DIAGONAL)
    theta, i = moved(model, rng, dtype=np.float32), getattr(model.model, "order", (0,))[0]
    value = (80.1, -3.1e-4)[i]
    x = model.complete(theta, {i: value}, 6, np.random.default_rng(1))
    inner = model.model.complete(theta, {i: (value - SHIFT[i]) / DIAGONAL[i]}, 6, np.random.default_rng(1))
    assert (x[:, i] == value).all()                         # exactly, although the model computed in float32
    np.testing.assert_allclose(x[:, 1 - i], SHIFT[1 - i] + DIAGONAL[1 - i] * inner[:, 1 - i].astype(float), rtol=1e-12)


# ---- what people bring ----

def own_rows(rng, n=272):
    """Rows like Old Faithful's: minutes of eruption, minutes of waiting."""
    return GaussianMixture([[2.04, 54.5], [4.29, 80.0]], [[[.069, .435], [.435, 33.7]], [[.17, .94], [.94, 36.0]]],
                           [0.36, 0.64]).sample(n, rng)


@pytest.mark.parametrize("name", [name for name in GENERATIVE if name not in ("LinearGAN",)])
def test_raw_rows_are_warned_about_and_standardized_rows_are_not(name, rng):
    inner, rows = planar(name), own_rows(rng)
    theta = inner.init(rng)
    with pytest.warns(UserWarning, match=rf"column . of data has mean .*{name}.*use standardize\(model, rows\)"):
        train(inner, theta, rows, rng, steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for whiten in (False, True):
            model = standardize(inner, rows, whiten=whiten)
            train(model, theta, rows, rng, steps=1)
        with pytest.warns(UserWarning, match=rf"{name} is made for"):                  # rows of another kind
            train(model, theta, 100 * rows, rng, steps=1)


def test_models_of_bits_and_classes_are_not_warned_about(rng):
    rare = (rng.random((200, 4)) < 0.02).astype(float)      # standard deviation 0.14
    model = BernoulliVAE(4, hidden=(6,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, model.init(rng), rare, rng, steps=1)
        train(MADE(4, hidden=(6,)), MADE(4, hidden=(6,)).init(rng), rng.integers(2, size=(9, 4)), rng, steps=1)


def test_unix_seconds_keep_their_digits(rng):
    """A week of seconds since 1970: float32 holds no second of them, the standardized model all."""
    rows = 1.7e9 + np.stack([np.sort(604800 * rng.random(400)), 2.0 * rng.standard_normal(400)], axis=1)
    assert len(np.unique(rows[:, 0].astype(np.float32))) < len(rows)
    model = standardize(VAE(2, hidden=(6,)), rows)
    theta = fit(model, model.init(rng), rows, rng, steps=3)
    assert len(np.unique(model.to_model(rows)[:, 0])) == len(rows)
    x = model.sample(theta, 200, rng)
    assert len(np.unique(x[:, 0])) == 200 and np.isfinite(model.loss(theta, rows, model.draw_noise(rng, 400))[0])


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e3, 1e12])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_unit_of_a_column_changes_log_prob_by_its_logarithm_only(unit, whiten, rng):
    """Whitening too: columns of 1e-9 and 1e12 are no more dependent than those of 1."""
    rows, units = own_rows(rng), np.array([1.0, unit])
    here, there = (standardize(VAE(2, hidden=(6,)), scale * rows, whiten=whiten) for scale in (1.0, units))
    theta = moved(here, rng)
    np.testing.assert_allclose(there.log_prob(theta, units * rows[:20], nodes=20) + np.log(unit),
                               here.log_prob(theta, rows[:20], nodes=20), rtol=1e-8)


def test_models_are_compared_hashed_and_pickled_by_value(rng):
    rows = own_rows(rng)
    for whiten in (False, True):
        first, second = (standardize(VAE(2), rows, whiten=whiten) for _ in range(2))
        assert first == second and hash(first) == hash(second) and first != standardize(VAE(2), rows[1:], whiten=whiten)
        assert pickle.loads(pickle.dumps(first)) == first
    assert Standardized(VAE(2), [1, 2], np.array([3.0, 4.0])) == Standardized(VAE(2), (1.0, 2.0), (3.0, 4.0))


def test_what_a_model_has_passes_through(rng):
    model = standardize(GAN(2, hidden=(6,)), own_rows(rng))
    assert (model.dim, model.size, model.players, model.blocks) == (
        2, model.model.size, model.model.players, model.model.blocks)
    assert not hasattr(standardize(VAE(2), own_rows(rng)), "players")
    settled = model.recipe.anneal(model, 0.99)
    assert settled.model.gamma < model.model.gamma and settled.shift == model.shift


def test_full_rank_does_not_depend_on_the_units_of_the_columns():
    assert Standardized(VAE(2), (0.0, 0.0), ((1e-9, 1e9), (2e-9, -1e9))).log_det == pytest.approx(np.log(3.0))


@pytest.mark.parametrize("call, error, says", [
    (lambda rows: standardize(VAE(3), rows), ValueError, r"rows must have shape \(n, 3\)"),
    (lambda rows: standardize(VAE(2), rows * [1.0, 0.0] + 0.1), ValueError, "column 1 is constant"),
    (lambda rows: standardize(VAE(2), rows[:1]), ValueError, "column 0 is constant"),
    (lambda rows: standardize(VAE(2), rows[:, :1] * [1.0, 3.0], whiten=True), ValueError, "linearly independent"),
    (lambda rows: standardize(VAE(2), rows.astype(int)), TypeError, "floating point"),
    (lambda rows: standardize(VAE, rows), TypeError, "generative model of real vectors"),
    (lambda rows: standardize(None, rows), TypeError, "generative model of real vectors"),
    (lambda rows: standardize(BernoulliVAE(2), rows), TypeError, "generative model of real vectors"),
    (lambda rows: standardize(MADE(2), rows), TypeError, "generative model of real vectors"),
    (lambda rows: standardize(ConditionalDiffusion(2), rows), TypeError, "generative model of real vectors"),
    (lambda rows: Standardized(VAE(2), (0.0,), (1.0, 1.0)), ValueError, r"shift must have shape \(2,\)"),
    (lambda rows: Standardized(VAE(2), (0.0, 0.0), (1.0, -1.0)), ValueError, "positive numbers"),
    (lambda rows: Standardized(VAE(2), (0.0, 0.0), ((1.0, 2.0), (2.0, 4.0))), ValueError, "full rank"),
    (lambda rows: Standardized(VAE(2), (0.0, 0.0), ((1.0, 0.0), (2.0, 0.0))), ValueError, "full rank"),
    (lambda rows: Standardized(VAE(2), (0.0, 0.0), (1.0, 0.0)), ValueError, "positive numbers"),
    (lambda rows: Standardized(VAE(2), (0.0, np.nan), (1.0, 1.0)), ValueError, "shift must be finite"),
    (lambda rows: Standardized(VAE(2), (0.0, 0.0), "a"), TypeError, "scale must hold real numbers"),
    (lambda rows: Standardized(VAE(2), (0.0, 0.0), 2.0), ValueError, "scale"),
    (lambda rows: standardize(Diffusion(2), rows, whiten=True).complete(None, {0: 1.0}, 3, None), ValueError, "whitened"),
    (lambda rows: standardize(Diffusion(2), rows).complete(None, {2: 1.0}, 3, None), ValueError, "below 2"),
    (lambda rows: standardize(Diffusion(2), rows).complete(None, [1.0], 3, None), TypeError, "known must be a dict"),
    (lambda rows: standardize(VAE(2), rows).log_prob(np.zeros(VAE(2).size), rows[:, :1]), ValueError, r"shape \(n, 2\)"),
    (lambda rows: standardize(VAE(2), rows).to_model(rows.astype(int)), TypeError, "floating point"),
])
def test_bad_input_is_named(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(own_rows(rng))
