"""Rung 6: every figure module runs, and every stored result still draws."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import runner
from figures.explicit import autoregressive
from scratch.data.distributions import LAWS
from scratch.family_tree import BRANCHES, MODELS


@pytest.mark.parametrize("name", runner.names())
def test_computes_at_effort_quick_and_draws(name):
    module = runner.load(name)
    assert isinstance(module.CLAIM, str) and module.CLAIM.endswith(".")
    results = runner.compute(name, "quick")
    assert not any(value.dtype.hasobject for value in results.values())         # no pickle
    assert isinstance(runner.draw(name, results), Figure)   # as a file: .ci/run makes all of them


def test_stored_results_are_those_of_todays_laws_and_models():
    """What can be told without computing anew: the laws' entropies and the tree."""
    entropies = {name: law.entropy() for name, law in LAWS.items()}
    with np.load(runner.paths("gallery", "full")[0]) as gallery:
        np.testing.assert_allclose(gallery["entropies"], list(entropies.values()), rtol=1e-9)
    with np.load(runner.paths("autoregressive", "full")[0]) as stored:
        np.testing.assert_allclose(stored["entropies"], [entropies[name] for name in autoregressive.NAMES], rtol=1e-9)
    with np.load(runner.paths("family_tree", "full")[0]) as tree:
        assert list(tree["names"]) == [*BRANCHES, *MODELS]


@pytest.mark.parametrize("name", runner.names())
def test_stored_results_still_draw_and_the_picture_stands_beside_them(name):
    stored, picture = runner.paths(name, "full")
    assert picture.exists(), f"run: python -m figures {name}"
    with np.load(stored, allow_pickle=False) as results:
        assert isinstance(runner.draw(name, dict(results)), Figure)
