"""Plant an error into this project, in memory alone, and see which of its tests go red.

    with planted({"scratch/explicit/vae.py": [("mean + std * noise", "mean + std ** 2 * noise")]}):
        complaint("tests/explicit/test_vae.py::test_gradient_in_every_parameter")       # what that test says

The exhibits stand on the pages of this folder, and are read from there.  The tests that they name are the
project's own: no exhibit has a check of its own.
"""
import importlib
import inspect
import itertools
import re
import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RED = (AssertionError, pytest.fail.Exception, Warning)      # warnings of this project are errors in its tests


class Plant(NamedTuple):
    """One form of a bug in our code."""
    name: str
    changes: dict       # {file: [(text, what stands there instead), ...]}; a text that occurs twice changes twice
    red: list           # the tests that must fail
    blind: list         # tests that pass all the same


class Exhibit(NamedTuple):
    """A famous bug."""
    bug: str            # its number, "B4"
    text: str           # its part of the page
    plants: list


def exhibits():
    """All exhibits, in the order of their numbers, from the pages of this folder."""
    pages = [path for path in HERE.glob("*.md") if path.name != "README.md"]
    found = [Exhibit(part.split(".")[0], part.strip(), [_plant(form) for form in part.split("\n### ")[1:]])
             for page in pages for part in page.read_text(encoding="utf-8").split("\n## ")[1:]]
    return sorted(found, key=lambda exhibit: int(exhibit.bug[1:]))


def _plant(text):
    """A form, as it stands on a page: its name, a diff, and a list of tests."""
    changes = {}
    for line in re.search(r"```diff\n(.*?)```", text, re.DOTALL).group(1).splitlines():
        if line[0] not in " -+@":                           # a file
            pairs = changes[line] = [([], [])]
        elif line == "@@":                                  # another place in this file
            pairs.append(([], []))
        else:                                               # " " stands in both, "-" in ours, "+" in the wrong one
            for side, own in enumerate("-+"):
                pairs[-1][side].extend([line[1:]] if line[0] in (own, " ") else [])
    changes = {file: [tuple("\n".join(lines) for lines in pair) for pair in pairs] for file, pairs in changes.items()}
    return Plant(text.split("\n")[0], changes, *(re.findall(rf"^- {kind}: `(.*)`$", text, re.MULTILINE)
                                                 for kind in ("red", "blind")))


def changed_source(file, pairs):
    """The text of a file with each old text replaced by the new one; a text that is gone is an error."""
    source = (ROOT / file).read_text(encoding="utf-8")
    for old, new in pairs:
        if old not in source:
            raise LookupError(f"{file} has no text {old!r} any more: the exhibit must follow the code")
        source = source.replace(old, new)
    return source


class _Planter(MetaPathFinder):
    """Finds the changed modules before Python's own finders do."""

    def __init__(self, changes):
        self.sources = {file.removesuffix(".py").replace("/", "."): changed_source(file, pairs)
                        for file, pairs in changes.items()}

    def find_spec(self, name, path=None, target=None):
        if name in self.sources:
            file = str(ROOT / (name.replace(".", "/") + ".py"))
            return spec_from_file_location(name, file, loader=_Loader(name, file, self.sources[name]))


class _Loader(SourceFileLoader):
    def __init__(self, name, path, source):
        super().__init__(name, path)
        self.source = source

    def get_code(self, name):
        return compile(self.source, self.path, "exec")      # neither read from nor written to __pycache__


def ours():
    """The names of the loaded modules of this project, but for this folder."""
    return [name for name in sys.modules if name.split(".")[0] in ("scratch", "tests", "figures")
            and not name.startswith("tests.known_bugs")]


@contextmanager
def planted(changes):
    """Inside, every import of this project is fresh and has these changes; afterwards all is as before."""
    planter = _Planter(changes)
    kept = {name: sys.modules.pop(name) for name in ours()}
    sys.meta_path.insert(0, planter)
    try:
        yield
    finally:
        sys.meta_path.remove(planter)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(kept)


def calls(test):
    """Each call of a test: its arguments from pytest's marks, and rng and monkeypatch where it takes them.

    A test of the ladder names its model in brackets, "...::test_dtypes_follow_theta[VAE]".
    """
    place, _, model = test.removesuffix("]").partition("[")
    file, name = place.split("::")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    function = getattr(module, name)
    choices = []
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            names = [part.strip() for part in mark.args[0].split(",")]
            choices.append([dict(zip(names, values if len(names) > 1 else [values])) for values in mark.args[1]])
    for chosen in itertools.product(*choices):
        arguments = {name: value for some in chosen for name, value in some.items()}
        taken = inspect.signature(function).parameters
        if "entry" in taken:
            arguments["entry"] = module.MODELS[model]
        if "rng" in taken:
            arguments["rng"] = np.random.default_rng(20260)     # as tests/conftest.py
        yield function, arguments


def complaint(test):
    """What a test of this project says against the code as it is now: None if it passes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for function, arguments in calls(test):
            if "monkeypatch" in inspect.signature(function).parameters:
                arguments["monkeypatch"] = monkeypatch
            try:
                function(**arguments)
            except RED as error:
                return f"{type(error).__name__}: {str(error).strip()[:400]}"
