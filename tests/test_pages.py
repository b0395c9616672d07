"""The glossary and the pages of the folders say where things stand in the code, and there they stand."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = (ROOT / "scratch/GLOSSARY.md").read_text(encoding="utf-8")


def cells(line):
    """The cells of a row of a table; `&#124;` stands for | in them."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text):
    """[(head, rows)] of all tables of a page."""
    blocks = re.findall(r"(?:^\|.*\n)+", text + "\n", flags=re.MULTILINE)
    return [(cells(block.splitlines()[0]), [cells(line) for line in block.splitlines()[2:]]) for block in blocks]


def test_every_row_of_the_glossary_names_code_that_exists():
    rows = [row for head, rows in tables(GLOSSARY) if head[0] == "word" for row in rows]
    assert len(rows) > 60
    for word, _, meaning, where, _ in rows:
        assert meaning.endswith((".", "?")), word
        path, *names = re.findall(r"`([^`]+)`", where)
        file = ROOT / path if path.startswith("figures/") else ROOT / "scratch" / path
        for name in names:
            assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), (word, path, name)


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    for page in (ROOT / "scratch").rglob("*.md"):
        for head, rows in tables(page.read_text(encoding="utf-8")):
            for row in rows:
                assert len(row) == len(head), (page, row)
