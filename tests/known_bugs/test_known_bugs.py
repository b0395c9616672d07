"""Each famous bug, planted in memory, turns a test of this project red.

By default the first form of each is planted and the first test that must see it is run.  The slow tests
plant every form, run every test that an exhibit names, and run these tests without a plant.
"""
import sys

import numpy as np
import pytest

from tests.known_bugs.plant import ROOT, changed_source, complaint, exhibits, planted

EXHIBITS = exhibits()
PLANTS = {f"{exhibit.bug} {plant.name}": plant for exhibit in EXHIBITS for plant in exhibit.plants}
NAMED = sorted({test for plant in PLANTS.values() for test in plant.red + plant.blind})


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.bug)
def test_each_bug_turns_a_test_red(exhibit):
    plant = exhibit.plants[0]
    with planted(plant.changes):
        assert complaint(plant.red[0]) is not None, (plant.name, plant.red[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
def test_each_form_turns_all_its_tests_red_and_passes_those_that_are_blind_to_it(name):
    plant = PLANTS[name]
    with planted(plant.changes):
        for test in plant.red:
            assert complaint(test) is not None, test
        for test in plant.blind:
            assert complaint(test) is None, test


@pytest.mark.slow
@pytest.mark.parametrize("test", NAMED)
def test_without_a_plant_they_are_green(test):
    with planted({}):
        assert complaint(test) is None


def test_all_34_are_shown_once_with_a_question_and_a_way_to_answer_it():
    assert [exhibit.bug for exhibit in EXHIBITS] == [f"B{number}" for number in range(1, 35)]
    for exhibit in EXHIBITS:
        parts = ["\nSeen in ", "\n*Question.* ", "\n*A way to answer it.* "]
        assert all(exhibit.text.count(part) == 1 for part in parts) and exhibit.plants, exhibit.bug
        assert all(plant.red for plant in exhibit.plants), exhibit.bug


@pytest.mark.parametrize("name", PLANTS)
def test_every_form_finds_its_text_and_changes_the_code(name):
    for file, pairs in PLANTS[name].changes.items():
        source = changed_source(file, pairs)
        assert source != (ROOT / file).read_text(encoding="utf-8")
        compile(source, file, "exec")


def test_a_text_that_is_gone_is_a_clear_error():
    with pytest.raises(LookupError, match="has no text 'a line that nobody wrote' any more"):
        changed_source("scratch/grid.py", [("a line that nobody wrote", "")])


def test_planting_leaves_no_trace():
    import scratch.kernels.stable as before
    loaded = dict(sys.modules)
    with planted({"scratch/kernels/stable.py": [("y = a * s", "y = a + s")]}):
        from scratch.kernels.stable import silu
        assert silu(np.zeros(1))[0] == 0.5
    from scratch.kernels.stable import silu
    assert silu(np.zeros(1))[0] == 0 and sys.modules["scratch.kernels.stable"] is before
    assert all(sys.modules[name] is module for name, module in loaded.items())
