"""Results that outlive a change of code (figures/confirm.py)."""
import pytest

from figures import provenance, runner, store
from figures.confirm import confirm, same


def test_arrays_that_one_code_repeats_decide():
    once = {"kl": "a", "seconds": "b"}
    again = {"kl": "a", "seconds": "c"}                     # a time
    assert same(once, again, {"kl": "a", "seconds": "d"})
    assert not same(once, again, {"kl": "x", "seconds": "b"})
    assert not same(once, again, {"kl": "a"})               # an array is missing
    assert not same({"seconds": "b"}, {"seconds": "c"}, {"seconds": "b"})       # nothing is repeated


def test_the_next_edit_makes_a_confirmed_result_stale(monkeypatch, tmp_path):
    results, made = runner.stored("dirac_gan")
    monkeypatch.setattr(store, "HERE", tmp_path)
    made |= dict(code="first", confirmed=dict(code="second", commit="abc"))
    store.save(store.result_path("dirac_gan", "full"), results, made)
    for code, is_fresh in (("first", True), ("second", True), ("third", False)):
        monkeypatch.setattr(runner, "code", lambda name, code=code: code)
        assert runner.is_fresh("dirac_gan") == is_fresh


@pytest.mark.slow                                           # checks out a commit
@pytest.mark.parametrize("changes_numbers", [False, True])
def test_a_result_is_confirmed_only_by_the_same_bits(changes_numbers, monkeypatch, tmp_path):
    name = "dirac_gan"
    results, made = runner.stored(name)
    monkeypatch.setattr(runner, "code", lambda name: "of an edited file")
    monkeypatch.setattr(store, "HERE", tmp_path)
    store.save(store.result_path(name, "full"), results, made)
    if changes_numbers:
        compute = runner.compute
        monkeypatch.setattr(runner, "compute", lambda *arguments: (
            {key: value + (key != "seeds") for key, value in compute(*arguments)[0].items()}, 0.0))
    assert not runner.is_fresh(name)
    assert confirm("HEAD", [name]) == [name] * changes_numbers
    assert runner.is_fresh(name) == (not changes_numbers)
    again, made_again = runner.stored(name)
    assert provenance.digest(again) == provenance.digest(results)
    assert made_again["code"] == made["code"]               # who made it stays
