"""Rung 6: every figure module runs, and every stored result still draws."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import runner


@pytest.mark.parametrize("name", runner.names())
def test_computes_at_effort_quick_and_draws(name, tmp_path):
    module = runner.load(name)
    assert isinstance(module.CLAIM, str) and module.CLAIM.endswith(".")
    results = runner.compute(name, "quick")
    assert not any(value.dtype.hasobject for value in results.values())         # no pickle
    fig = runner.draw(name, results)
    assert isinstance(fig, Figure)
    fig.savefig(tmp_path / "picture.png")


@pytest.mark.parametrize("name", runner.names())
def test_stored_results_still_draw_and_the_picture_stands_beside_them(name):
    stored, picture = runner.paths(name, "full")
    assert picture.exists(), f"run: python -m figures {name}"
    with np.load(stored, allow_pickle=False) as results:
        assert isinstance(runner.draw(name, dict(results)), Figure)
