"""The certificate sees what it claims to see: wrong factors, dead blocks, zeros with a false reason."""
import inspect
import re

import numpy as np
import pytest

from figures.learning import certificate as page
from figures.learning.certificate import Block, certify, checks, compute, kernels
from scratch.kernels import attention, dense, likelihoods, stable


def row(value, x, dx, top=1.0, owner="model", name="W"):
    return certify(Block(owner, name, value, np.asarray(x, float), np.asarray(dx, float)), top)


def test_every_kernel_with_a_pullback_is_certified(rng):
    found = {name for module in (stable, dense, attention, likelihoods) for name, function in vars(module).items()
             if inspect.isfunction(function) and function.__module__ == module.__name__
             and "def pull(" in inspect.getsource(function)}
    assert len(found) == 17 and found <= set(kernels(rng))


def test_a_right_gradient_passes_and_one_wrong_coordinate_shows_in_both_methods():
    right = row(lambda x: x[0] * x[1] ** 2, [3.0, 2.0], [4.0, 12.0])
    assert right["complex"] < 1e-14 and right["central"] < 1e-9 and right["explained"]
    assert abs(right["planted"] - 1e-6) < 1e-12
    wrong = row(lambda x: x[0] * x[1] ** 2, [3.0, 2.0], [4.0, 12.0012])
    assert abs(wrong["complex"] - 1e-4) < 1e-9 and abs(wrong["central"] - 1e-4) < 1e-8


def test_a_small_coordinate_is_measured_by_its_own_size_down_to_a_thousandth():
    for small, error in ((1e-2, 0.5), (1e-5, 0.5e-2)):      # half is lost, relative to itself or to 1e-3
        assert np.isclose(row(lambda x: x[0] + small * x[1], [1.0, 1.0], [1.0, small / 2])["complex"], error)


def test_a_gradient_lost_on_a_whole_block_is_an_error_and_no_zero():
    lost = row(lambda x: np.sum(x * x), [1.0, 2.0], [0.0, 0.0])
    assert lost["zeros"] == 0 and lost["complex"] == 1.0


def test_a_tiny_gradient_is_no_zero_and_rounding_is_no_gradient():
    tiny = row(lambda x: x[0] + 1e-17 * x[1], [1.0, 1.0], [1.0, 1e-17])
    rounding = row(lambda x: x[0] + 0 * x[1], [1.0, 1.0], [1.0, 1e-17])
    assert tiny["zeros"] == 0 and rounding["zeros"] == 1 and not rounding["explained"]


def test_a_dead_block_needs_a_reason(monkeypatch):
    assert not row(lambda x: 0 * x[0], [1.0], [0.0])["explained"]
    monkeypatch.setattr(page, "REASONS", {("model", "W"): "invariance"})
    dead = row(lambda x: 0 * x[0], [1.0], [0.0])
    assert dead["explained"] and dead["why"] == "1 invariance" and np.isnan(dead["complex"])


def test_a_reason_is_tested_by_a_large_step(monkeypatch):
    """At x = 0 the derivative of x^2 is zero too, as at the start of many models."""
    monkeypatch.setattr(page, "REASONS", {("model", "W"): "invariance"})
    assert not row(lambda x: x[0] ** 2 + x[1], [0.0, 1.0], [0.0, 1.0])["explained"]


def test_small_models_and_all_kernels_pass_and_the_tables_have_a_row_each(rng):
    results = compute("quick", rng)
    assert all(checks(results).values())
    table, by_model = page.table(results), page.by_model(results)
    assert table.count("\n| ") == len(results["block"]) + by_model.count("\n| ") + 2 and "| LinearGAN | discriminator b1 | 1 | " in table
    assert len(re.findall(r"^\| `(\w+)` \|", by_model, re.MULTILINE)) == len(set(results["owner"]) & set(page.MODELS))


@pytest.mark.parametrize("name, column, size", [
    ("complex step", "complex", 2e-10), ("central differences", "central", 2e-6),
    ("every zero is explained", "explained", False), ("the planted factor is seen in every block", "planted", 0.0)])
def test_one_bad_block_refutes_the_certificate(name, column, size, rng):
    results = dict(size=np.array([2, 1]), zeros=np.array([0, 1]), complex=np.array([1e-15, np.nan]),
                   central=np.array([1e-9, np.nan]), planted=np.array([1e-6, np.nan]), explained=np.array([True, True]))
    assert all(checks(results).values())
    results[column][0] = size
    assert [check for check, holds in checks(results).items() if not holds] == [name]


@pytest.mark.slow
def test_all_models_pass(rng):
    assert all(checks(compute("full", rng)).values())
