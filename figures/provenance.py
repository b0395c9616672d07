"""Where a stored result comes from: machine, versions, commit, and a hash of the code that made it.

The hash covers every definition that a figure's computing functions reach, in its module and in
what it imports from this project, without comments and docstrings.  A result whose hash is not
that of today's code is stale.  A change of the drawing, or of a function that is not reached, leaves it fresh.
"""
import ast
import hashlib
import platform
import subprocess
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import scipy

ROOT = Path(__file__).parent.parent
COMPUTING = ("compute", "parts", "compute_part", "gather")     # the functions of a figure that make its results


def made(seconds, code):
    """What a stored result says of its making, a dict of str and float."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return dict(seconds=round(seconds, 1), date=datetime.now(timezone.utc).strftime("%Y-%m-%d"), processor=processor(),
                python=platform.python_version(), numpy=np.__version__, scipy=scipy.__version__,
                matplotlib=matplotlib.__version__, blas=f"{blas['name']} {blas['version']}", commit=commit(), code=code)


@lru_cache
def processor():
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@lru_cache
def commit():
    """The commit that is checked out, with a + if files differ from it."""
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    try:
        return git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--porcelain", "--", "scratch", "figures/*.py"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def digest(arrays):
    """A hash of a dict of arrays: a number changed by hand changes it."""
    total = hashlib.sha256()
    for key in sorted(arrays):
        value = np.ascontiguousarray(arrays[key])
        total.update(f"{key} {value.dtype.str} {np.shape(arrays[key])} ".encode() + value.tobytes())
    return total.hexdigest()[:16]


def code_hash(module):
    """The hash of all that the computing functions of a figure's module (a dotted name) reach."""
    reached = {}
    for name in COMPUTING:
        if name in source(module)[0]:
            _reach(module, name, reached)
    text = "\n".join(f"{module}.{name}: {reached[module, name]}" for module, name in sorted(reached))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def path_of(module):
    """The file of a module of this project, or None."""
    place = ROOT.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)


@lru_cache(maxsize=None)
def source(module):
    """{name: syntax trees} of a module's top-level definitions, and {name: (module, name or None)} of its imports."""
    definitions, imports = {}, {}
    for node in ast.parse(path_of(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                whole = path_of(f"{node.module}.{name.name}")
                imports[name.asname or name.name] = (f"{node.module}.{name.name}", None) if whole else (node.module, name.name)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            definitions.setdefault(node.name, []).append(node)
        else:
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    definitions.setdefault(part.id, []).append(node)
    return definitions, imports


def _reach(module, name, reached):
    """Add the text of a definition, and of all that it uses, to reached {(module, name): text}."""
    if (module, name) in reached or path_of(module) is None:
        return
    definitions, imports = source(module)
    if name in imports and imports[name][1]:
        _reach(*imports[name], reached)
    if name not in definitions:
        return
    reached[module, name] = ""                              # before what it uses: functions may call each other
    for node in definitions[name]:
        reached[module, name] += ast.unparse(_without_docstrings(node))
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                place, whole = imports.get(part.value.id, (None, "a name"))
                if whole is None:
                    _reach(place, part.attr, reached)
            if isinstance(part, ast.Name):
                _reach(module, part.id, reached)


def _without_docstrings(node):
    """A copy of a syntax tree without the docstrings."""
    tree = ast.parse(ast.unparse(node))
    for part in ast.walk(tree):
        body = getattr(part, "body", None)
        if isinstance(part, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(part) is not None:
            part.body = body[1:] or [ast.Pass()]
    return tree
