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


FOLDERS = sorted(path.parent for path in (ROOT / "scratch").rglob("README.md") if path.parent.name != "scratch")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_opens_with_the_reading_order_of_all_its_files(folder):
    opening = (folder / "README.md").read_text(encoding="utf-8").split("\n## ")[0]
    for path in folder.glob("*.py"):
        assert path.name == "__init__.py" or f"`{path.name}`" in opening, path.name


def displayed(text):
    """The numbers of the equations that docstrings and comments display: at the beginning or the end of a line."""
    prose = [line.strip("# ") for doc in re.findall(r'"""(.*?)"""', text, flags=re.DOTALL) for line in doc.splitlines()]
    prose += [line.strip("# ") for line in text.splitlines() if line.startswith("#")]
    places = " ".join(found for line in prose for found in re.findall(r"^d?\(\d+\)| (?:d?\(\d+\)(?:, )?)+$", line))
    return set(re.findall(r"\d+", places))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_map_of_equations_leads_to_equations(folder):
    maps = [rows for head, rows in tables((folder / "README.md").read_text(encoding="utf-8")) if head[0] == "formula"]
    assert len(maps) == 1 and len(maps[0]) > 3
    for formula, file, numbers in maps[0]:
        there = displayed((folder / file.strip("`")).read_text(encoding="utf-8"))
        assert set(re.findall(r"\((\d+)\)", numbers)) <= there, (file, numbers)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_up_to_three_pictures_with_a_sentence_each(folder):
    pictures = re.findall(r"^\[!\[([^\]]+)\]\(([^)]+)\)\]\(([^)]+)\)\n\n(.*)$",
                          (folder / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert 1 <= len(pictures) <= 3
    for name, shown, linked, sentence in pictures:
        assert shown == linked and sentence[0].isupper() and sentence.endswith("."), name


@pytest.mark.parametrize("file", ["explicit/vae.py", "implicit/gan.py"])
def test_a_first_reading_is_marked_in_the_order_of_the_page(file):
    folder = (ROOT / "scratch" / file).parent
    section = (folder / "README.md").read_text(encoding="utf-8").split("## One file, one evening")[1].split("\n## ")[0]
    steps = re.findall(r"^(\d)\. `(\w+)`(?: in `([\w.]+)`)?", section, flags=re.MULTILINE)
    assert [int(number) for number, _, _ in steps] == list(range(1, len(steps) + 1)) and len(steps) >= 4
    for number, name, other in steps:
        text = (folder / (other or Path(file).name)).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {name}\(.*:  +# first reading {number}$", text, flags=re.MULTILINE), name
