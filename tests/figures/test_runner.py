import numpy as np
import pytest

from figures import runner
from figures.__main__ import main


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Results and pictures go to a folder of the test's own."""
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "names", lambda: ["family_tree"])
    return tmp_path


def test_make_writes_results_and_picture_and_redraws_the_same_picture(elsewhere):
    runner.make("family_tree", "full")
    picture = elsewhere / "rendered" / "family_tree.png"
    first = picture.read_bytes()
    picture.unlink()
    runner.make("family_tree", "full", redraw=True)
    assert picture.read_bytes() == first
    assert first.startswith(b"\x89PNG")


def test_quick_figures_never_replace_the_full_ones(elsewhere):
    runner.make("family_tree", "quick")
    assert sorted(path.name for path in elsewhere.iterdir()) == ["quick"]


def test_an_interrupted_write_leaves_yesterdays_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    runner.write(path, lambda file: file.write(b"yesterday"))

    def interrupted(file):
        file.write(b"half of tod")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        runner.write(path, interrupted)
    assert path.read_bytes() == b"yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_same_figure_same_numbers():
    first, second = (runner.compute("gradient_check", "quick") for _ in range(2))
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


def test_redraw_without_results_says_what_to_do(elsewhere):
    with pytest.raises(FileNotFoundError, match="compute it first"):
        runner.make("family_tree", "full", redraw=True)


def test_unknown_names_and_efforts_are_named(capsys):
    with pytest.raises(ValueError, match="unknown figure 'nonsense'; known: "):
        runner.load("nonsense")
    with pytest.raises(ValueError, match="effort must be one of quick, full"):
        runner.compute("family_tree", "huge")
    for arguments in (["nonsense"], ["--effort", "huge"], ["--jobs", "0"]):
        with pytest.raises(SystemExit):
            main(arguments)
    assert "unknown figure nonsense" in capsys.readouterr().err


def test_list_prints_every_name_and_claim(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    for name in runner.names():
        assert name in printed and runner.load(name).CLAIM in printed
