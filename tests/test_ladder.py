"""How to add a model, and the tests that every model of the family tree must pass.

1. Write a frozen dataclass `Model(dim, *, ...)` in scratch/explicit/ or scratch/implicit/ with the
   methods of scratch/__init__.py: size, blocks, recipe, init, draw_noise, loss; sample for a generative
   model; log_prob, elbo and complete where they exist; in_nats = True if the loss is in nats.  The
   docstring holds model, loss and gradient with numbered equations, and names a test that exists.
2. Add one `Entry` to MODELS in scratch/family_tree.py, with sizes small enough to check every parameter.
3. This file then checks by itself: the signatures; that blocks cover theta; the gradient in every
   coordinate; dtypes; that the loss is pure and a mean over the batch; loss = -mean log_prob where
   `Entry.exact` says so; mass 1 of densities in the plane and of probabilities of small vectors;
   samples against log_prob; the seed; three training steps.
4. Yours to test, in tests/ at the mirrored path: the definition by a naive loop, the closed-form
   counterpart, learning to a stated KL, the sampler's options.
5. A color per family stands in figures/style.py, and figures/runner.py says what a figure is.
   The table of models in scratch/README.md has one row a model.  The README.md of the folder names each
   file in its reading order.  tests/figures/test_audit.py counts the classes by their loss: raise its numbers.
"""
import importlib
import inspect
import pkgutil
from dataclasses import MISSING, fields, replace

import numpy as np
import pytest
from scipy.stats import chi2

import scratch
from scratch.divergence.entropy import kl_cross_entropy
from scratch.family_tree import BRANCHES, MODELS, bits, integers, labeled, numbered, reals
from scratch.grid import midpoints
from scratch.learning.gradient_check import gradient
from scratch.learning.optimizers import constant
from scratch.learning.training import fit

PLANAR = [name for name, entry in MODELS.items() if entry.rows is reals and hasattr(entry.model, "log_prob")
          and getattr(entry(), "output_noise", 1) > 0]      # a GAN without noise has no density
COUNTABLE = [name for name, entry in MODELS.items() if entry.rows is integers]
COARSE = {"VAE": dict(nodes=40), "Diffusion": dict(steps=16), "FlowMatching": dict(steps=16)}     # small models
GENERATIVE = [name for name, entry in MODELS.items() if entry.branch != "discriminative models"]
EXACT = [name for name, entry in MODELS.items() if entry.exact]


@pytest.fixture(params=MODELS)
def entry(request):
    return MODELS[request.param]


def moved(model, rng, dtype=np.float64, size=0.1):
    """Parameters away from zeros and symmetric starts."""
    theta = model.init(rng, dtype)
    return theta + (size * rng.standard_normal(theta.shape)).astype(dtype)


def with_dim(entry, dim):
    """The model of this entry for fewer coordinates, its orders without those that are gone."""
    sizes = {**entry.sizes, **({"dim": dim} if "dim" in entry.sizes else {})}
    if "order" in sizes:
        sizes["order"] = tuple(i for i in sizes["order"] if i < dim)
    if "orders" in sizes:
        sizes["orders"] = tuple(tuple(i for i in order if i < dim) for order in sizes["orders"])
    return entry.model(**sizes)


# ---- the contract ----

def test_the_first_size_alone_makes_a_model_and_all_others_are_keywords(entry):
    first, *others = [field for field in fields(entry.model) if field.init]
    positional = ("components", "dim") if first.name == "components" else ("dim",)
    assert first.name == positional[0] and first.default is MISSING
    for field in others:
        assert field.default is not MISSING and field.kw_only != (field.name in positional), field.name
    size = entry.sizes[first.name]
    model, same = entry.model(size), entry.model(size)
    assert getattr(model, first.name) == size and model == same and hash(model) == hash(same)
    assert model.recipe.batch_size >= 1


def test_public_methods_have_the_signatures_of_the_contract(entry):
    leading = dict(init=["rng", "dtype"], draw_noise=["rng", "n"], loss=["theta", "x", "noise"],
                   sample=["theta", "n", "rng"], log_prob=["theta", "x"], elbo=["theta", "x", "noise"],
                   complete=["theta", "known", "n", "rng"])
    for method, names in leading.items():
        if not hasattr(entry.model, method):
            assert method in ("sample", "log_prob", "elbo", "complete"), method
            continue
        parameters = list(inspect.signature(getattr(entry.model, method)).parameters.values())[1:]
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        positional = ["x" if name == "rows" else name for name in positional]     # rows: x and a label
        assert positional == names, (method, positional)
    assert all(not name.endswith("tangent") for name in dir(entry.model))


def test_blocks_name_every_coordinate_once(entry, rng):
    model = entry()
    covered = np.concatenate([np.arange(model.size)[place] for place in model.blocks.values()])
    np.testing.assert_array_equal(covered, np.arange(model.size))
    assert model.init(rng).shape == (model.size,)


def test_an_elbo_takes_the_noise_of_the_loss(entry, rng):
    model = entry()
    if not hasattr(model, "elbo"):
        pytest.skip("no bound")
    x = entry.rows(model, rng, 5)
    bound = model.elbo(model.init(rng), x, model.draw_noise(rng, 5))
    assert bound.shape == (5,) and np.isfinite(bound).all()


def test_completes_what_a_dict_does_not_name(entry, rng):
    model = entry()
    if not hasattr(model, "complete"):
        pytest.skip("does not complete")
    theta, first = model.init(rng), getattr(model, "order", None) or getattr(model, "orders", [[0]])[0]
    rows = model.complete(theta, {int(first[0]): 1}, 6, rng)
    assert rows.shape == (6, model.dim) and (rows[:, first[0]] == 1).all()
    assert len(np.unique(np.delete(rows, first[0], axis=1), axis=0)) > 1
    with pytest.raises((ValueError, TypeError)):
        model.complete(theta, {model.dim: 1}, 6, rng)


# ---- gradients ----

def test_the_gradient_of_the_loss_is_exact_in_every_parameter(entry, rng):
    model = entry()
    theta, x = moved(model, rng), entry.rows(model, rng, 5)
    noise = model.draw_noise(rng, len(x))
    loss, dtheta = model.loss(theta, x, noise)
    assert np.isfinite(loss).all() and dtheta.shape == theta.shape and dtheta.dtype == theta.dtype
    for player, block in enumerate(getattr(model, "players", [slice(None)])):     # each has its own loss
        def own_loss(part):
            changed = theta.astype(part.dtype)
            changed[block] = part
            return np.atleast_1d(model.loss(changed, x, noise)[0])[player]
        exact = gradient(own_loss, theta[block])
        errors = np.abs(dtheta[block] - exact) / np.max(np.abs(exact))
        worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
        place = worst + (block.start or 0)
        names = [name for name, where in model.blocks.items() if place in np.arange(model.size)[where]]
        assert errors[worst] < 1e-10, (f"coordinate {place} in block {names}: "
                                       f"{dtheta[block][worst]} instead of {exact[worst]}")


def test_dtypes_follow_theta(entry, rng):
    model = entry()
    for dtype in (np.float32, np.float64):
        theta, x = model.init(rng, dtype), entry.rows(model, rng, 5)
        assert theta.dtype == dtype
        assert model.loss(theta, x, model.draw_noise(rng, 5))[1].dtype == dtype
        if entry.rows is reals:
            assert model.sample(theta, 3, rng).dtype == dtype


# ---- the loss ----

def test_the_loss_is_a_function_that_changes_nothing(entry, rng):
    model = entry()
    theta, x = model.init(rng), entry.rows(model, rng, 5)
    noise = model.draw_noise(rng, len(x))
    kept = theta.copy(), x.copy()
    first, second = model.loss(theta, x, noise), model.loss(theta, x, noise)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(theta, kept[0])
    np.testing.assert_array_equal(x, kept[1])


def doubled(noise, n):
    """The noise of every row twice: each array repeated along the axis of the batch."""
    if noise is None or isinstance(noise, tuple):
        return noise and tuple(doubled(part, n) for part in noise)
    return np.repeat(noise, 2, axis=noise.shape.index(n))


def test_the_loss_is_a_mean_over_the_batch(entry, rng):
    """Every row twice, with its noise: same loss, same gradient.  A sum, or a second division by N, is not invariant."""
    model = entry()
    theta, x = model.init(rng, np.float64), entry.rows(model, rng, 5)
    noise = model.draw_noise(rng, 5)
    once, twice = model.loss(theta, x, noise), model.loss(theta, np.repeat(x, 2, axis=0), doubled(noise, 5))
    np.testing.assert_allclose(once[0], twice[0], rtol=1e-12)
    np.testing.assert_allclose(once[1], twice[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_loss_is_minus_the_mean_log_prob(name, rng):
    model = MODELS[name]()
    if hasattr(model, "penalty"):
        model = replace(model, penalty=0.0)
    theta, x = moved(model, rng), MODELS[name].rows(model, rng, 7)
    assert abs(model.loss(theta, x, None)[0] + np.mean(model.log_prob(theta, x))) < 1e-12


def test_the_bound_is_the_loss_and_many_weighted_draws_are_log_prob(entry, rng):
    """What an exact loss is to the others: a constant left out of p(x | z) shows here."""
    model = entry()
    if not hasattr(model, "importance_bound"):
        pytest.skip("no importance weights")
    theta, x = 0.1 * model.init(rng, np.float64), entry.rows(model, rng, 5)         # weights of a small variance
    noise = model.draw_noise(rng, 5)
    assert abs(model.loss(theta, x, noise)[0] + np.mean(model.elbo(theta, x, noise))) < 1e-12
    noise = rng.standard_normal((20_000, 5, model.latent))
    bound, (_, log_w, *_) = model.importance_bound(theta, x, noise), model.importance_loss(theta, x, noise)
    error = np.std(np.exp(log_w - bound), axis=0) / np.sqrt(20_000)
    assert (np.abs(bound - model.log_prob(theta, x)) < 5 * error + 1e-9).all() and error.max() < 0.02


# ---- densities and samples ----

@pytest.mark.parametrize("name", PLANAR)
def test_a_density_in_the_plane_has_mass_1(name, rng):
    model = with_dim(MODELS[name], 2)
    theta = moved(model, rng, size=0.05)
    x = model.sample(theta, 200, rng)
    center, radius = np.median(x, axis=0), 4 * np.max(np.quantile(np.abs(x - np.median(x, axis=0)), 0.95, axis=0))
    n = 250 if name == "AutoregressiveMixture" else 50      # its conditionals may be narrow at random parameters
    nodes, cell = midpoints(np.stack([center - radius, center + radius], axis=1), n)
    assert abs(cell * np.sum(np.exp(model.log_prob(theta, nodes, **COARSE.get(name, {})))) - 1) < 5e-3


@pytest.mark.parametrize("name", PLANAR)
def test_samples_in_the_plane_follow_the_density(name, rng):
    """KL(samples || log_prob) by nearest neighbors is 0: wrong orders, scales or noises are not."""
    model = with_dim(MODELS[name], 2)
    theta = moved(model, rng, size=0.3)
    x = np.asarray(model.sample(theta, 4000 if name in EXACT else 1000, rng), float)
    kl = kl_cross_entropy(x, lambda rows: model.log_prob(theta, rows, **COARSE.get(name, {})))
    assert abs(kl.value) < 5 * kl.stderr + 0.02, kl         # 0.02: the bias of the neighbors in two dimensions


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.rows in (bits, labeled, numbered)
                                  and hasattr(entry.model, "log_prob") and entry.branch != "diffusion models"])
def test_a_density_of_y_given_x_or_of_bits_has_mass_1(name, rng):
    model, rows = MODELS[name](), MODELS[name].rows
    theta = moved(model, rng)
    if rows is bits:
        values = np.stack(np.unravel_index(np.arange(2 ** model.dim), (2,) * model.dim), axis=1).astype(float)
        cell = 1.0
    else:
        y = np.arange(getattr(model, "classes", 2)) if rows is labeled else midpoints([(-30, 30)], 3000)[0][:, 0]
        cell = 1.0 if rows is labeled else 60 / 3000
        values = np.column_stack([np.tile(rng.standard_normal(model.dim), (len(y), 1)), y])
    assert abs(cell * np.exp(model.log_prob(theta, values)).sum() - 1) < 1e-6


@pytest.mark.parametrize("name", COUNTABLE)
def test_probabilities_of_small_vectors_sum_to_1_and_samples_follow_them(name, rng):
    model = with_dim(MODELS[name], 3)
    theta = moved(model, rng, size=0.5)
    states = np.stack(np.unravel_index(np.arange(model.classes ** 3), (model.classes,) * 3), axis=1)
    p = np.exp(model.log_prob(theta, states))
    assert abs(p.sum() - 1) < 1e-12
    n = 4000
    counts = np.bincount(np.ravel_multi_index(model.sample(theta, n, rng).T, (model.classes,) * 3), minlength=len(p))
    rare = n * p < 10                                       # pooled: chi-square's law needs counts of ten or so
    p, counts = (np.append(part[~rare], part[rare].sum() if rare.any() else []) for part in (p, counts))
    chi_square = np.sum((counts - n * p) ** 2 / np.maximum(n * p, 1))
    assert chi_square < chi2.isf(3e-7, len(p) - 1)          # as rare as five errors


@pytest.mark.parametrize("name", GENERATIVE)
def test_samples_have_the_shape_and_follow_the_seed(name, rng):
    model = MODELS[name]()
    theta = model.init(rng)
    first, second = (model.sample(theta, 7, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == (7, model.dim)
    np.testing.assert_array_equal(first, second)


def test_trains_with_its_own_recipe_from_rows(entry, rng):
    model = entry()
    theta, rows = model.init(rng), entry.rows(model, rng, 64)
    after = fit(model, theta, rows, rng, steps=3)
    assert after.shape == theta.shape and after.dtype == theta.dtype and not np.array_equal(after, theta)


# ---- the tree ----

def test_every_model_hangs_from_a_branch_and_every_branch_from_another():
    assert all(entry.branch in BRANCHES for entry in MODELS.values())
    assert all(parent is None or parent in BRANCHES for _, parent in BRANCHES.values())


def test_no_model_class_is_missing_from_the_tree():
    """Every dataclass of the family folders with a loss is in MODELS."""
    found = set()
    for module in pkgutil.walk_packages(scratch.__path__, "scratch."):
        if module.name.split(".")[1] in ("discriminative", "explicit", "implicit"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if (inspect.isclass(value) and value.__module__ == module.name
                        and hasattr(value, "loss") and hasattr(value, "init")):
                    found.add(name)
    assert found == set(MODELS)


def test_float64_parameters_have_the_digits_of_float64():
    for name, entry in MODELS.items():
        model = entry()
        theta = model.init(np.random.default_rng(0), np.float64)
        np.testing.assert_allclose(model.init(np.random.default_rng(0), np.float32), theta, rtol=1e-6)
        for block, place in model.blocks.items():
            part = theta[place]
            constant = (part == part.flat[0]).all()         # biases of 0, gains of 1
            assert constant or (part != part.astype(np.float32)).any(), (name, block)
