import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

import figures.__main__ as command
from figures import runner
from figures.__main__ import main


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Results and pictures go to a folder of the test's own."""
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "names", lambda: ["family_tree"])
    return tmp_path


def test_make_writes_results_and_picture_and_redraws_the_same_picture(elsewhere, monkeypatch):
    runner.make("family_tree", "full")
    picture = elsewhere / "rendered" / "family_tree.png"
    first = picture.read_bytes()
    picture.unlink()
    monkeypatch.setattr(runner, "compute", lambda name, effort: 1 / 0)
    runner.make("family_tree", "full", redraw=True)
    assert picture.read_bytes() == first
    assert first.startswith(b"\x89PNG")


def test_the_command_line_makes_quick_figures_and_fails_where_one_fails(tmp_path):
    """In a tree of its own with one figure that works and one that does not."""
    package = tmp_path / "figures"
    package.mkdir()
    for file in ("__init__", "__main__", "runner", "style"):
        shutil.copy(runner.HERE / f"{file}.py", package)
    (package / "good.py").write_text(
        "from figures.style import figure\nCLAIM = 'It works.'\n"
        "def compute(effort, rng):\n    return dict(effort=effort, draw=rng.random())\n"
        "def draw(results):\n    return figure(1)\n")
    (package / "bad.py").write_text("\nCLAIM = 'It breaks.'\ndef compute(effort, rng):\n    return 1 / 0\n")
    (package / "worse.py").write_text("\nCLAIM = 'It does not even load.'\nimport nonsense\n")
    (package / "study.py").write_text(
        "from figures.style import figure\nCLAIM = 'It takes long.'\nSTUDY = True\n"
        "def compute(effort, rng):\n    assert effort == 'quick'\n    return dict(effort=effort)\n"
        "def draw(results):\n    return figure(1)\n")

    def figures(*arguments):
        run = subprocess.run([sys.executable, "-m", "figures", *arguments], cwd=tmp_path,
                             capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    status, said = figures("--effort", "quick", "--jobs", "1")
    assert status == 1 and "2 of 4 figures made" in said
    assert "ZeroDivisionError" in said and "No module named 'nonsense'" in said
    assert sorted(path.name for path in (package / "quick").iterdir()) == ["good.npz", "good.png", "study.npz",
                                                                           "study.png"]
    status, said = figures("good", "good")
    assert status == 0 and "1 of 1 figures made" in said
    stored = dict(np.load(package / "results" / "good.npz"))
    assert stored["effort"] == "full"
    status, said = figures("study")                         # a study is only redrawn, and there is nothing stored
    assert status == 1 and "compute it first (python -m figures study --studies)" in said
    assert not (package / "results" / "study.npz").exists()
    for closed in ("2>&-", ""):                             # sys.stderr is None where the caller has closed it
        run = subprocess.run(f"{sys.executable} -m figures good {closed}", shell=True, cwd=tmp_path, capture_output=True)
        assert run.returncode == 0, run.stderr


def test_one_job_needs_no_other_process(elsewhere, monkeypatch):
    monkeypatch.setattr(command, "ProcessPoolExecutor", lambda *arguments, **options: 1 / 0)
    assert main(["family_tree", "--jobs", "1"]) == 0
    assert (elsewhere / "rendered" / "family_tree.png").exists()


def test_a_read_only_checkout_is_found_out_before_anything_is_computed(elsewhere, monkeypatch):
    (elsewhere / "results").write_text("a file where the folder should be")
    monkeypatch.setattr(runner, "compute", lambda name, effort: 1 / 0)
    with pytest.raises(OSError, match="cannot be written to"):
        main(["family_tree", "--jobs", "1"])


def test_as_many_jobs_as_this_process_may_use(monkeypatch):
    monkeypatch.setattr(command.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert command.cores() == 1


def test_timings_are_made_alone_after_the_others_and_studies_only_on_request(monkeypatch):
    groups = []
    monkeypatch.setattr(command, "run_group", lambda tasks, jobs, began: groups.append((tasks, jobs)) or [])
    assert main(["cost", "gallery", "family_tree", "--jobs", "2"]) == 0
    assert groups == [([("gallery", "full", False), ("family_tree", "full", False)], 2), ([("cost", "full", False)], 1)]
    groups.clear()
    monkeypatch.setattr(runner, "is_study", lambda module: True)
    main(["gallery"])
    main(["gallery", "--studies"])
    main(["gallery", "--effort", "quick"])
    assert [tasks for tasks, _ in groups] == [[("gallery", "full", True)], [("gallery", "full", False)],
                                              [("gallery", "quick", False)]]


def test_figures_have_random_streams_of_their_own(monkeypatch):
    class Figure:
        @staticmethod
        def compute(effort, rng):
            return dict(draw=rng.random())
    monkeypatch.setattr(runner, "load", lambda name: Figure)
    draws = [float(runner.compute(name, "quick")["draw"]) for name in ("gallery", "cost", "gallery")]
    assert draws[0] == draws[2] != draws[1]


def test_results_are_written_only_when_the_drawing_succeeds(elsewhere, monkeypatch):
    monkeypatch.setattr(runner, "draw", lambda name, results: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runner.make("family_tree", "full")
    assert list(elsewhere.iterdir()) == []


def test_a_figure_that_moves_gets_a_gif_beside_its_picture(elsewhere, monkeypatch):
    module = runner.load("family_tree")

    def animate(results):
        fig = Figure()
        return FuncAnimation(fig, lambda frame: fig.suptitle(str(frame)), frames=3)
    monkeypatch.setattr(module, "animate", animate, raising=False)
    runner.make("family_tree", "full")
    assert (elsewhere / "rendered" / "family_tree.gif").read_bytes().startswith(b"GIF89a")
    assert (elsewhere / "rendered" / "family_tree.png").exists()


def test_nothing_is_written_when_the_animation_fails(elsewhere, monkeypatch):
    monkeypatch.setattr(runner.load("family_tree"), "animate", lambda results: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        runner.make("family_tree", "full")
    assert list(elsewhere.iterdir()) == []


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
