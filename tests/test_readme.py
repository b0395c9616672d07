"""The README and all other pages are true: commands, code, what it prints, links, the chapter's headings."""
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from figures.pages import anchor
from scratch.family_tree import HEADINGS, MODELS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PATH = (ROOT / "scratch" / "README.md").read_text(encoding="utf-8")
PAGES = [path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]


def test_it_is_short():
    assert README.count("\n") <= 250


def test_holds_the_two_commands_that_ci_runs():
    commands = re.findall(r"^    (python3 -m venv .*)$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("python -m figures") and commands[1].endswith("python -m pytest")


CODE = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))


def test_its_code_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)                             # it saves a picture
    exec(re.sub(r"steps=\d+", "steps=5", CODE).replace("2000", "50"), {})
    assert (tmp_path / "ring.png").exists()


@pytest.mark.slow
def test_its_code_prints_what_it_says(capsys, tmp_path, monkeypatch):
    """Up to five standard errors of the first number and 0.05 nats of the others: rounding differs between machines."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    exec(CODE, {})
    printed = capsys.readouterr().out
    kl, error = (float(number) for number in re.search(r"prints `(.*?) \+- (.*?) nats", README).groups())
    assert abs(float(printed.split()[0]) - kl) < 5 * error
    said = dict(re.findall(r"^    (\w[\w ]*?) +(-[\d.]+) nats$", README, flags=re.MULTILINE))
    found = dict(re.findall(r"^(\w[\w ]*?) +(-[\d.]+) nats$", printed, flags=re.MULTILINE))
    assert said.keys() == found.keys() and len(said) == 6
    for name in said:
        assert abs(float(said[name]) - float(found[name])) < 0.05, name


# ---- commands ----

# Every command of the README and the study path, and what a test runs in its place: the same with less work.
# The stops' own commands run in test_study_path.py, and the two of the first screen in .ci/run.
COMMANDS = {
    "python -m figures --list": "python -m figures --list gallery",
    "python -m figures --studies": "python -m figures --studies --help",
    "python -m figures --check": "python -m figures --check gallery",
    "python -m tests.over_seeds 20": "python -m tests.over_seeds 1 tests/test_grid.py",
    "python -m tests.known_bugs B4": "python -m tests.known_bugs B4",
    'python -c "from scratch.family_tree import MODELS; print(*MODELS)"':
        'python -c "from scratch.family_tree import MODELS; print(*MODELS)"',
}


def test_every_command_is_known():
    found = {re.sub(r"\s{2,}.*", "", command) for page in (README, PATH)
             for command in re.findall(r"(?:^    |`)(python -[mc] [^`\n]+)", page, re.MULTILINE)}
    assert {command for command in found if not re.match("python -m (exercises|pytest)", command)} == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command):
    words = shlex.split(COMMANDS[command])
    done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if "MODELS" in command:
        assert done.stdout.split() == list(MODELS)


# ---- links, places, headings ----

def anchors(page):
    """The names of the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_every_place_of_a_page_exists(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if "://" not in link:
            file, _, name = link.partition("#")
            assert (page.parent / file).exists(), link
            assert not name or name in anchors(page.parent / file if file else page), link
    for place in re.findall(r"`((?:scratch|tests|figures|exercises)/[\w/.]*)`", text):
        assert (ROOT / place).exists(), place


def test_every_heading_of_the_chapter_is_in_the_map_and_in_its_order():
    rows = re.search(r"<!-- map -->(.*?)<!-- end map -->", README, flags=re.DOTALL).group(1)
    told = re.findall(r"^\| ([^|]*?) \(([^|()]*)\) \| \[", rows, flags=re.MULTILINE)
    assert told == list(HEADINGS.values()) and len(told) == 12


def test_every_model_has_a_row():
    rows = PATH.split("\n## Models\n")[1]
    assert set(re.findall(r"`(\w+)`", rows)) >= set(MODELS)
