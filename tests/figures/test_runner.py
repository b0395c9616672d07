"""Making figures: in a tree of its own with figures that work, fail, are studies, are refuted."""
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import figures.__main__ as command
from figures import provenance, runner, store
from figures.jobs import Here, Run, distances

HEAD = "from figures.style import figure\nSECTION = 'trust'\nFINDING = 'It works'\nSETTINGS = 'One seed.'\n"
TAIL = """
def claim(results):
    return f"It draws {results['draw']:.3f}."
def checks(results):
    return {'the draw is below 1': bool(results['draw'] < 1)}
def draw(results):
    return figure(1, FINDING, SETTINGS)
"""
GOOD = HEAD + "def compute(effort, rng):\n    return dict(seeds=1, effort=effort, draw=rng.random())\n" + TAIL
STUDY = HEAD + """
import time
def parts(effort):
    return [f"method {seed}" for seed in range(4)]
def compute_part(part, effort, rng):
    time.sleep(0.0 if effort == 'quick' else 0.6)
    return dict(draw=rng.random())
def gather(effort, parts):
    return dict(seeds=len(parts), draw=sum(part['draw'] for part in parts.values()) / len(parts))
""" + TAIL


@pytest.fixture
def tree(tmp_path):
    """figures(*arguments) -> (status, output) of the command in a tree that holds the named figures."""
    package = tmp_path / "figures"
    package.mkdir()
    for file in ("__init__", "__main__", "confirm", "jobs", "pages", "provenance", "runner", "store", "style"):
        shutil.copy(runner.CODE / f"{file}.py", package)
    (tmp_path / "README.md").write_text("# A\n\n<!-- cost -->\nold\n<!-- end cost -->\n")

    def figures(*arguments):
        run = subprocess.run([sys.executable, "-m", "figures", *arguments], cwd=tmp_path, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr
    figures.package = package
    return figures


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Results and pictures of the one figure `gallery` go to a folder of the test's own."""
    monkeypatch.setattr(store, "HERE", tmp_path)
    return tmp_path


def test_the_command_makes_what_works_and_tells_of_what_does_not(tree):
    (tree.package / "good.py").write_text(GOOD)
    (tree.package / "bad.py").write_text(GOOD.replace("rng.random()", "1 / 0"))
    (tree.package / "worse.py").write_text(GOOD + "import nonsense\n")
    (tree.package / "study.py").write_text(STUDY)
    status, said = tree("--effort", "quick", "--jobs", "1")
    assert status == 1 and "2 of 4 figures made" in said
    assert "ZeroDivisionError" in said and "No module named 'nonsense'" in said
    assert sorted(path.name for path in (tree.package / "quick").iterdir()) == ["good.npz", "good.png", "study.npz",
                                                                                "study.png"]
    status, said = tree("good", "good")
    assert status == 0 and "1 of 1 figures made" in said
    results, made = store.read(tree.package / "results" / "good.npz")
    assert results["effort"] == "full" and made["numpy"] == np.__version__
    status, said = tree("study")                            # a study is only redrawn, and there is nothing stored
    assert status == 1 and "compute it first (python -m figures study --studies)" in said


def test_a_whole_run_writes_the_pages_and_a_refuted_claim_ends_with_status_1(tree):
    (tree.package / "good.py").write_text(GOOD)
    status, said = tree("--jobs", "1")
    assert status == 0, said
    page = (tree.package / "README.md").read_text()
    assert "**It works** It draws 0." in page and "| 1 | 0 s, " in page
    assert "old" not in (tree.package.parent / "README.md").read_text()
    (tree.package / "good.py").write_text(GOOD.replace("< 1)", "< 0)"))
    for arguments in ((), ("--redraw",)):
        status, said = tree("--jobs", "1", *arguments)
        assert status == 1 and "REFUTED good: the draw is below 1" in said


def test_a_number_changed_by_hand_ends_with_status_1(tree):
    (tree.package / "good.py").write_text(GOOD)
    assert tree("good", "--jobs", "1")[0] == 0
    path = tree.package / "results" / "good.npz"
    stored = dict(np.load(path))
    np.savez(path, **stored | dict(draw=stored["draw"] / 2))
    status, said = tree("good", "--redraw")
    assert status == 1 and "REFUTED good" in said and "was changed after it was computed" in said


def test_a_study_that_is_killed_goes_on_where_it_stopped(tree):
    """kill -9 costs the part in work; the numbers are those of an undisturbed run."""
    (tree.package / "study.py").write_text(STUDY)
    arguments = [sys.executable, "-m", "figures", "study", "--studies", "--jobs", "1"]
    run = subprocess.Popen(arguments, cwd=tree.package.parent, stdout=subprocess.DEVNULL)
    folder = tree.package / "parts" / "study"
    while run.poll() is None and not list(folder.glob("*.npz")):
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert 1 <= len(kept) < 4
    status, said = tree("study", "--studies", "--jobs", "1")
    assert status == 0 and f"{len(kept)} of 4 parts are stored" in said and "min left" in said
    results, _ = store.read(tree.package / "results" / "study.npz")
    assert not folder.exists()
    undisturbed = np.mean([np.random.default_rng([runner._number("study"), runner._number(f"method {seed}")]).random()
                           for seed in range(4)])
    assert results["draw"] == undisturbed and results["seeds"] == 4
    assert "drawn" in tree("study", "--studies", "--jobs", "1")[1]              # its result is of today's code


def test_a_part_that_other_code_made_is_computed_anew(tree):
    (tree.package / "study.py").write_text(STUDY)
    folder = tree.package / "parts" / "study"
    for seed in range(3):
        store.save(folder / f"method_{seed}.npz", dict(draw=np.array(9.0)), provenance.made(1, "other code"))
    assert tree("study", "--studies", "--jobs", "2")[0] == 0
    assert store.read(tree.package / "results" / "study.npz")[0]["draw"] < 1


def test_the_list_tells_what_is_stale(tree):
    (tree.package / "good.py").write_text(GOOD)
    assert "no result" in tree("--list")[1]
    tree("good", "--jobs", "1")
    assert "0 s on 20" in tree("--list")[1] and "STALE" not in tree("--list")[1]
    (tree.package / "good.py").write_text(GOOD.replace("rng.random()", "rng.random() / 2"))
    assert "STALE" in tree("--list")[1]


def test_check_prints_how_far_the_numbers_are_and_writes_nothing(tree):
    (tree.package / "good.py").write_text(GOOD)
    (tree.package / "study.py").write_text(STUDY)
    tree("good", "--jobs", "1")
    before = (tree.package / "results" / "good.npz").read_bytes()
    assert "good: identical (3 arrays)" in tree("--check", "--jobs", "1")[1]
    (tree.package / "good.py").write_text(GOOD.replace("rng.random()", "rng.random() + 0.25"))
    status, said = tree("--check")
    assert status == 0 and "draw: differs by at most 0.25 of 0." in said and "study" not in said
    assert (tree.package / "results" / "good.npz").read_bytes() == before


def test_distances_of_arrays_that_are_missing_or_of_another_shape():
    said = distances("name", dict(a=np.ones(2), b=np.array("x"), c=np.ones(2)), dict(a=np.ones(3), b=np.array("y")))
    assert "a: not stored or of another shape" in said and "b: differs by at most other" in said and "c: not computed" in said


def test_standard_error_may_be_closed(tree):
    (tree.package / "good.py").write_text(GOOD)
    for closed in ("2>&-", ""):
        run = subprocess.run(f"{sys.executable} -m figures good --jobs 1 {closed}", shell=True, cwd=tree.package.parent,
                             capture_output=True)
        assert run.returncode == 0, run.stderr


def test_any_executor_does_the_work(elsewhere):
    for executor in (Here(), ThreadPoolExecutor(2)):
        run = Run(executor, at_once=2, effort="quick")
        run.make(["gallery"])
        assert run.report(["gallery"]) == 0 and (elsewhere / "quick" / "gallery.png").exists()


def test_one_job_needs_no_other_process(elsewhere, monkeypatch):
    monkeypatch.setattr(command, "ProcessPoolExecutor", lambda *arguments, **options: 1 / 0)
    assert command.main(["gallery", "--effort", "quick", "--jobs", "1"]) == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["quick"]       # and the full ones are left alone


def test_a_read_only_checkout_is_found_out_before_anything_is_computed(elsewhere, monkeypatch):
    (elsewhere / "quick").write_text("a file where the folder should be")
    monkeypatch.setattr(runner, "compute", lambda *arguments: 1 / 0)
    with pytest.raises(OSError, match="cannot be written to"):
        command.main(["gallery", "--effort", "quick", "--jobs", "1"])


def test_as_many_jobs_as_this_process_may_use(monkeypatch):
    monkeypatch.setattr(command.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert command.cores() == 1


def test_timings_are_computed_alone_after_the_others(elsewhere, monkeypatch):
    class Slow(Here):
        """Counts the jobs that are at work at a time."""
        submitted = []

        def submit(self, function, /, *arguments):
            self.submitted.append(arguments[0])
            return super().submit(function, *arguments)
    monkeypatch.setattr(runner.load("gallery"), "TIMING", True, raising=False)
    other = next(name for name in runner.names() if name != "gallery" and not runner.is_study(runner.load(name)))
    run = Run(Slow(), at_once=2, effort="quick")
    run.make(["gallery", other])
    assert Slow.submitted.index("gallery") > Slow.submitted.index(other)


@pytest.mark.parametrize("broken", ["draw", "animate"])
def test_nothing_is_written_when_the_drawing_fails(elsewhere, monkeypatch, broken):
    monkeypatch.setattr(runner.load("gallery"), broken, lambda results: 1 / 0, raising=False)
    run = Run(Here(), at_once=1, effort="quick")
    run.make(["gallery"])
    assert run.failed == ["gallery"] and list(elsewhere.iterdir()) == []


def test_an_interrupted_write_leaves_yesterdays_file_and_no_litter(tmp_path):
    path = tmp_path / "file"
    store.write(path, lambda file: file.write(b"yesterday"))

    def interrupted(file):
        file.write(b"half of tod")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        store.write(path, interrupted)
    assert path.read_bytes() == b"yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_figures_and_parts_have_random_streams_of_their_own(monkeypatch):
    class Figure:
        @staticmethod
        def compute(effort, rng):
            return dict(draw=rng.random())

        @staticmethod
        def compute_part(part, effort, rng):
            return dict(draw=rng.random())
    monkeypatch.setattr(runner, "load", lambda name: Figure)
    draws = [float(runner.compute(*job)[0]["draw"]) for job in
             (("a", "quick"), ("b", "quick"), ("a", "quick", "1"), ("a", "quick", "2"), ("b", "quick", "1"))]
    assert len(set(draws)) == 5
    assert draws[0] == float(runner.compute("a", "quick")[0]["draw"])


def test_unknown_names_and_efforts_are_named(capsys):
    with pytest.raises(ValueError, match="unknown figure 'nonsense'; known: "):
        runner.load("nonsense")
    with pytest.raises(ValueError, match="effort must be one of quick, full"):
        runner.compute("gallery", "huge")
    for arguments in (["nonsense"], ["--effort", "huge"], ["--jobs", "0"]):
        with pytest.raises(SystemExit):
            command.main(arguments)
    assert "unknown figure nonsense" in capsys.readouterr().err
