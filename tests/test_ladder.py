"""What must hold for every model of the family tree, so that none joins without it."""
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import scratch
from scratch.family_tree import BRANCHES, MODELS
from scratch.learning.gradient_check import gradient_error
from scratch.learning.training import fit


@pytest.fixture(params=MODELS)
def entry(request):
    return MODELS[request.param]


def test_the_gradient_of_the_loss_is_exact_in_every_parameter(entry, rng):
    model = entry()
    theta = model.init(rng, np.float64)
    theta = theta + 0.1 * rng.standard_normal(theta.shape)  # away from zeros and symmetric starts
    x = entry.rows(model, rng, 5)
    noise = model.draw_noise(rng, len(x))
    loss, dtheta = model.loss(theta, x, noise)
    assert np.isfinite(loss).all() and dtheta.shape == theta.shape and dtheta.dtype == theta.dtype
    for player, block in enumerate(getattr(model, "players", [slice(None)])):     # each has its own loss
        def own_loss(part):
            moved = theta.astype(part.dtype)
            moved[block] = part
            return np.atleast_1d(model.loss(moved, x, noise)[0])[player]
        assert gradient_error(own_loss, theta[block], dtheta[block]) < 1e-10


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


def test_the_loss_is_a_mean_over_the_batch(entry, rng):
    """Every row twice: same loss, same gradient (known bugs, B8 and B9)."""
    model = entry()
    theta, x = model.init(rng, np.float64), entry.rows(model, rng, 5)
    if model.draw_noise(rng, 1) is not None:
        pytest.skip("each row has noise of its own")
    once, twice = model.loss(theta, x, None), model.loss(theta, np.repeat(x, 2, axis=0), None)
    assert abs(once[0] - twice[0]) < 1e-12
    np.testing.assert_allclose(once[1], twice[1], rtol=1e-9, atol=1e-12)


def test_samples_have_the_shape_and_follow_the_seed(entry, rng):
    model = entry()
    if entry.branch == "discriminative models":
        pytest.skip("p(y|x) has nothing to say about x")
    theta = model.init(rng)
    first, second = (model.sample(theta, 7, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == (7, model.dim)
    np.testing.assert_array_equal(first, second)


def test_trains_with_its_own_recipe_from_rows(entry, rng):
    model = entry()
    theta, rows = model.init(rng), entry.rows(model, rng, 64)
    after = fit(model, theta, rows, rng, steps=3)
    assert after.shape == theta.shape and after.dtype == theta.dtype and not np.array_equal(after, theta)


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
