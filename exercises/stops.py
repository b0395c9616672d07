"""The stops of the study path, read from scratch/README.md."""
import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "scratch" / "README.md"


class Stop(NamedTuple):
    """A stop: its title, its code, what the page says that it prints, and the tests that judge its change."""
    title: str
    code: str
    printed: str
    tests: list


def stops():
    """{"1": Stop, ...} in the order of the page."""
    parts = re.findall(r"^## (\d+)\. (.*?)\n(.*?)(?=^## )", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return {number: Stop(title, re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1),
                         re.search(r"```text\n(.*?)```", text, re.DOTALL).group(1),
                         re.findall(r"^    python -m pytest '?([^\s']+)'?$", text, re.MULTILINE))
            for number, title, text in parts}
