"""The README is true: its commands, its code, its figures."""
import re
from pathlib import Path

from figures import runner

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_holds_the_two_commands_that_ci_runs():
    commands = re.findall(r"^    (python3 -m venv .*)$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("python -m figures") and commands[1].endswith("python -m pytest")


def test_shows_every_figure_with_its_claim_word_for_word():
    rows = dict(re.findall(r"^\| \[(\w+)\]\(figures/rendered/\1\.png\) \| (.*) \|$", README, flags=re.MULTILINE))
    assert rows == {name: runner.load(name).CLAIM for name in runner.names()}


def test_its_first_model_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(code.replace("steps=1000", "steps=5"), {})


def test_every_place_that_it_names_exists():
    for place in re.findall(r"`((?:scratch|tests|figures|kernels)/[\w/.]*)`", README):
        root = Path(__file__).parent.parent
        assert (root / place).exists() or (root / "scratch" / place).exists(), place
