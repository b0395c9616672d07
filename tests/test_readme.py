"""The README and the pages of the folders are true: commands, code, links, figures."""
import re
from pathlib import Path

import pytest

from scratch.family_tree import MODELS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_holds_the_two_commands_that_ci_runs():
    commands = re.findall(r"^    (python3 -m venv .*)$", README, flags=re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("python -m figures") and commands[1].endswith("python -m pytest")


CODE = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))


def test_its_code_runs():
    exec(re.sub(r"steps=\d+", "steps=5", CODE).replace("2000", "50"), {})


@pytest.mark.slow
def test_its_code_prints_what_it_says(capsys):
    """Up to five standard errors of the first number and 0.05 nats of the others: rounding differs between machines."""
    exec(CODE, {})
    printed = capsys.readouterr().out
    kl, error = (float(number) for number in re.search(r"prints `(.*?) \+- (.*?) nats", README).groups())
    assert abs(float(printed.split()[0]) - kl) < 5 * error
    said = dict(re.findall(r"^    (\w[\w ]*?) +(-[\d.]+) nats$", README, flags=re.MULTILINE))
    found = dict(re.findall(r"^(\w[\w ]*?) +(-[\d.]+) nats$", printed, flags=re.MULTILINE))
    assert said.keys() == found.keys() and len(said) == 6
    for name in said:
        assert abs(float(said[name]) - float(found[name])) < 0.05, name


PAGES = [path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_every_place_of_a_page_exists(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / link).exists(), link
    for place in re.findall(r"`((?:scratch|tests|figures)/[\w/.]*)`", text):
        assert (ROOT / place).exists(), place


def test_every_model_has_a_row():
    rows = re.search(r"## Models(.*?)## ", README, flags=re.DOTALL).group(1)
    assert set(re.findall(r"`(\w+)`", rows)) >= set(MODELS)
