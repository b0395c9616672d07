"""The house keeps its rules: sizes of files and functions, imports, and references that lead somewhere."""
import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "scratch").rglob("*.py"))
FLOORS = ("grid", "kernels", "learning", "data", "divergence", "discriminative", "explicit", "implicit")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_at_most_250_lines_of_120_characters_and_a_function_at_most_40(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 250 and max(map(len, text.splitlines())) <= 120
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 40, node.name


def test_scratch_is_small():
    assert sum(path.read_text(encoding="utf-8").count("\n") for path in FILES) <= 12_300


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_upwards_and_never_to_a_sibling_family(path):
    place = path.relative_to(ROOT / "scratch").parts[0].removesuffix(".py")
    if place not in FLOORS:
        return
    for there in re.findall(r"^\s*(?:from|import) scratch\.(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
        if there in FLOORS and there != place:
            assert FLOORS.index(there) < FLOORS.index(place), f"{place} imports {there}"
            assert not {place, there} <= {"discriminative", "explicit", "implicit"}, f"{place} imports {there}"


def test_every_check_that_a_derivation_names_exists():
    """`Checked in` under a derivation leads to a test that exists."""
    named = [(path, file, test) for path in FILES
             for file, test in re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", path.read_text(encoding="utf-8"))]
    assert len(named) > 50
    for path, file, test in named:
        assert (ROOT / file).exists() and f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (path, file, test)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_equation_that_a_line_computes_is_displayed(path):
    """`# (3)` and `# d(3)` at the end of a line name an equation of the file's docstrings."""
    text = path.read_text(encoding="utf-8")
    prose = "\n".join([ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text))
                       if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
                      + re.findall(r"^#.*$", text, re.MULTILINE))        # a derivation between two functions
    displayed = set(re.findall(r"\((\d+[a-z]?)\)", prose))
    for line in text.splitlines():
        comment = line.rsplit("#", 1)[1] if "#" in line else ""
        for number in re.findall(r"(?<![\w.])d?\((\d+[a-z]?)\)\s*$", comment):
            assert number in displayed, line


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=lambda path: path.name)
def test_every_folder_says_in_which_order_to_read_it(folder):
    """Its README.md names each file once or more; __init__.py says one line."""
    if folder == ROOT / "scratch":
        return
    page = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("*.py"):
        assert path.name == "__init__.py" or path.name in page, path.name
    assert len((folder / "__init__.py").read_text(encoding="utf-8").splitlines()) == 1
