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


def disturbed(results):
    """The results with all arrays of a kind changed, and with one: NaN, another sign, order, size, fewer rows."""
    rng = np.random.default_rng(0)
    changes = {"f": [lambda v: np.full_like(v, np.nan), lambda v: -v, lambda v: 0 * v, lambda v: v + 1, lambda v: 1e4 * v,
                     lambda v: v / 1e4, np.flip, lambda v: np.flip(v, -1) if v.ndim else v,
                     lambda v: v * np.exp(2 * rng.standard_normal(v.shape))],
               "iu": [lambda v: 0 * v, lambda v: v + 1, np.flip, lambda v: v[:1] if v.ndim else v],
               "U": [lambda v: np.full_like(v, "?")], "b": [np.logical_not]}
    for kinds, ways in changes.items():
        keys = [key for key, value in results.items() if value.dtype.kind in kinds]
        for chosen in [keys, *([key] for key in keys)]:
            for way in ways:
                yield results | {key: way(results[key]) for key in chosen}


@pytest.mark.parametrize("name", STORED)
@pytest.mark.filterwarnings("ignore")
def test_every_check_can_fail(name):
    """Some disturbance of the stored results makes each check false."""
    results, module = runner.stored(name)[0], runner.load(name)
    sleeping = set(module.checks(results))
    for others in disturbed(results):
        try:
            sleeping -= {check for check, holds in module.checks(others).items() if not holds}
        except Exception:                                   # of a shape that no figure has
            continue
        if not sleeping:
            break
    assert sleeping == set()


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
    """The picture holds headline and settings as texts: after an edit of one of them it is to be drawn anew."""
    path, module = store.picture_path(name, "full"), runner.load(name)
    picture = path.read_bytes() if path.exists() else b""
    for key, text in (("Title", module.FINDING), ("Description", module.SETTINGS)):
        assert f"{key}\0{text}".encode("latin-1") in picture, f"run: python -m figures {name} --redraw"
    assert isinstance(module.draw(runner.stored(name)[0]), Figure)


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
