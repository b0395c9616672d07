"""A result is stale if, and only if, a definition that its computing reaches has changed."""
import pytest

from figures import provenance

FIGURE = '''"""A figure."""
from tools import helper, lonely
import other
from folder import part

SIZE = 3

def compute(effort, rng):
    """Computes."""
    return dict(x=helper(SIZE), y=part.value())

def draw(results):
    return lonely()
'''
TOOLS = '''
CONSTANT = 1.0

def helper(n):
    # a comment
    return inner(n) + CONSTANT

def inner(n):
    return Shape().area

class Shape:
    """A shape."""
    area = 2

def lonely():
    return 0
'''


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A project of three files; tree(file, old, new) changes one, and returns the hash of the figure."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__init__.py").write_text("")
    for name, text in {"figure": FIGURE, "tools": TOOLS, "folder/part": "def value():\n    return 5\n"}.items():
        (tmp_path / f"{name}.py").write_text(text)

    def change(file="figure", old="", new=""):
        path = tmp_path / f"{file}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
        provenance.source.cache_clear()
        return provenance.code_hash("figure")
    yield change
    provenance.source.cache_clear()


@pytest.mark.parametrize("file, old, new", [
    ("figure", "SIZE = 3", "SIZE = 4"), ("figure", "x=helper", "z=helper"), ("tools", "CONSTANT = 1.0", "CONSTANT = 2.0"),
    ("tools", "+ CONSTANT", "- CONSTANT"), ("tools", "area = 2", "area = 3"), ("tools", "Shape().area", "Shape().area * 2"),
    ("folder/part", "return 5", "return 6")])
def test_every_definition_that_is_reached_counts(tree, file, old, new):
    before = tree()
    assert tree(file, old, new) != before


@pytest.mark.parametrize("file, old, new", [
    ("figure", "return lonely()", "return lonely() + 1"), ("tools", "return 0", "return 1"),
    ("tools", "# a comment", "# another comment"), ("tools", '"""A shape."""', '"""A better shape."""'),
    ("figure", '"""Computes."""', ""), ("figure", "SIZE = 3", "SIZE   =   3")])
def test_drawing_comments_and_docstrings_do_not(tree, file, old, new):
    before = tree()
    assert tree(file, old, new) == before


def test_a_result_says_how_it_was_made():
    made = provenance.made(12.345, "abc")
    assert made["seconds"] == 12.3 and made["code"] == "abc" and made["numpy"] and made["blas"] and made["date"]
