"""Rung 6: every figure module runs, and what the stored results claim holds."""
import ast
import inspect
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import pages, runner, store

NAMES = runner.names()
STORED = [name for name in NAMES if name not in runner.waiting()]


def of_the_rules(module):
    """A headline of at most 12 words and 80 characters, a place, and a gray line."""
    assert module.SECTION in runner.SECTIONS
    assert len(module.FINDING.split()) <= 12 and len(module.FINDING) <= 80 and not module.FINDING.endswith(".")
    assert isinstance(module.SETTINGS, str) and module.SETTINGS


@pytest.mark.parametrize("name", NAMES)
def test_computes_at_effort_quick_draws_and_states_what_it_shows(name):
    module = runner.load(name)
    of_the_rules(module)
    results, _ = runner.compute(name, "quick")
    assert not any(value.dtype.hasobject for value in results.values())         # no pickle
    assert results["seeds"].dtype.kind == "i" and results["seeds"].ndim == 0
    assert isinstance(module.draw(results), Figure)         # as a file: .ci/run makes all of them
    assert module.claim(results) and module.checks(results)


@pytest.mark.parametrize("name", STORED)
def test_the_stored_results_hold_what_is_claimed(name):
    results, made = runner.stored(name)
    module = runner.load(name)
    assert runner.refuted(name, results) == []
    assert all(isinstance(holds, bool) for holds in module.checks(results).values())
    assert len(module.claim(results).split()) <= 25
    assert {"seconds", "processor", "python", "numpy", "scipy", "matplotlib", "blas", "commit", "code"} <= made.keys()


@pytest.mark.parametrize("name", NAMES)
def test_no_number_of_a_claim_is_typed(name):
    """The strings in the source of claim() hold no number of their own; R1 and 2-D are names."""
    tree = ast.parse(inspect.getsource(runner.load(name).claim)).body[0]
    formats = {part for value in ast.walk(tree) if isinstance(value, ast.FormattedValue) and value.format_spec
               for part in ast.walk(value.format_spec)}
    texts = [part.value for part in ast.walk(tree) if isinstance(part, ast.Constant) and isinstance(part.value, str)
             and part not in formats and part.value != ast.get_docstring(tree, clean=False)]
    assert [text for text in texts if re.search(r"(?<![\w.-])\d+(?![\w-])", text)] == []


@pytest.mark.parametrize("name", STORED)
def test_the_picture_of_the_stored_results_stands_beside_them(name):
    assert store.picture_path(name, "full").exists(), f"run: python -m figures {name} --redraw"
    assert isinstance(runner.load(name).draw(runner.stored(name)[0]), Figure)


def test_the_pages_are_what_the_stored_results_say():
    assert (runner.CODE / "README.md").read_text(encoding="utf-8") == pages.gallery()
    readme = (runner.CODE.parent / "README.md").read_text(encoding="utf-8")
    assert readme == pages.readme(readme)


@pytest.mark.slow
def test_no_stored_result_is_stale():
    assert [name for name in STORED if not runner.is_fresh(name)] == []


def test_nothing_stands_beside_the_figures_that_none_made():
    made = {path.stem for path in (runner.CODE / "results").iterdir()}
    drawn = {path.stem for path in (runner.CODE / "rendered").glob("*.png")}
    assert made == drawn == set(STORED)


def test_a_number_that_is_changed_by_hand_is_found(tmp_path):
    results, made = runner.stored("gallery")
    path = tmp_path / "gallery.npz"
    store.save(path, results, made)
    assert store.read(path)[0].keys() == results.keys()
    results["means"] = results["means"] + 1e-6
    np.savez(path, made=str(np.load(path)["made"]), **results)
    with pytest.raises(store.Changed, match="was changed after it was computed"):
        store.read(path)


def test_a_claim_that_no_longer_holds_is_refuted():
    results, _ = runner.stored("gallery")
    results["means"] = results["means"] + 0.1
    assert runner.refuted("gallery", results) == ["every entropy within 4 standard errors of the mean of -log p"]
