"""Compute, store and draw figures, so that an interrupted run leaves yesterday's in place.

A figure is a module of this package with CLAIM, compute(effort, rng) and
draw(results).  It may also say

    STUDY = True       too long for the default run: redrawn from its stored
                       results, computed anew by --studies
    TIMING = True      it measures time, so it is computed alone, after the others
    animate(results)   a matplotlib Animation, which becomes a GIF beside the picture

Effort "full" writes results/NAME.npz and rendered/NAME.png, which stand in the
repository.  Effort "quick" writes the same into quick/, which does not: a
glance never replaces the real picture.
"""
import importlib
import io
import os
import tempfile
import time
import zlib
from pathlib import Path

import matplotlib
import numpy as np

from figures.style import SETTINGS

CODE = Path(__file__).parent
HERE = CODE                     # where results and pictures stand
EFFORTS = ("quick", "full")


def modules():
    """The modules of all figures, by name in alphabetical order: those of this folder tree that make a claim."""
    found = [path for path in CODE.rglob("*.py") if "\nCLAIM = " in path.read_text(encoding="utf-8")]
    return {path.stem: ".".join(("figures", *path.relative_to(CODE).with_suffix("").parts))
            for path in sorted(found, key=lambda path: path.stem)}


def names():
    """The names of all figures, in alphabetical order."""
    return list(modules())


def load(name):
    """The module of a figure."""
    if name not in names():
        raise ValueError(f"unknown figure {name!r}; known: {', '.join(names())}")
    return importlib.import_module(modules()[name])


def is_study(module):
    """Whether the default run only redraws it."""
    return getattr(module, "STUDY", False)


def is_timing(module):
    """Whether it must be computed alone."""
    return getattr(module, "TIMING", False)


def compute(name, effort):
    """The figure's results, a dict of arrays, from its own random stream."""
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, got {effort!r}")
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    results = load(name).compute(effort, rng)
    return {key: np.asarray(value) for key, value in results.items()}


def draw(name, results):
    """The figure's picture."""
    with matplotlib.rc_context(SETTINGS):
        return load(name).draw(results)


def gif(name, results):
    """The figure's moving picture as the bytes of a GIF, or None if it has none."""
    module = load(name)
    if not hasattr(module, "animate"):
        return None
    with matplotlib.rc_context(SETTINGS), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.gif"                 # the writer wants a path with this ending
        module.animate(results).save(path, writer="pillow")
        return path.read_bytes()


def make(name, effort, redraw=False):
    """Compute (or read) and draw one figure; returns the seconds that took.

    All files are written at the end, when the drawing has succeeded too.
    """
    began = time.perf_counter()
    stored, picture = paths(name, effort)
    if redraw:
        if not stored.exists():
            flag = " --studies" * is_study(load(name))
            raise FileNotFoundError(f"{stored} does not exist: compute it first (python -m figures {name}{flag})")
        with np.load(stored, allow_pickle=False) as file:
            results = dict(file)
    else:
        results = compute(name, effort)
    with matplotlib.rc_context(SETTINGS):
        fig = draw(name, results)
        content = io.BytesIO()
        fig.savefig(content, format="png", metadata={"Software": None})
    moving = gif(name, results)
    if not redraw:
        write(stored, lambda file: np.savez_compressed(file, **results))
    write(picture, lambda file: file.write(content.getvalue()))
    if moving is not None:
        write(picture.with_suffix(".gif"), lambda file: file.write(moving))
    return time.perf_counter() - began


def page():
    """The text of figures/README.md: every figure with its claim."""
    rows = "\n".join(f"| [![{name}](rendered/{name}.png)](rendered/{name}.png) | **{name}** {load(name).CLAIM} |"
                     for name in names())
    return f"# Figures\n\nThis page is written by `python -m figures`.\n\n| figure | claim |\n|---|---|\n{rows}\n"


def paths(name, effort):
    """Where the results and the picture of a figure stand."""
    if effort == "quick":
        return HERE / "quick" / f"{name}.npz", HERE / "quick" / f"{name}.png"
    return HERE / "results" / f"{name}.npz", HERE / "rendered" / f"{name}.png"


def check_writable(effort):
    """Raise an error if the folders of results and pictures cannot be written to."""
    for path in paths("figure", effort):
        try:
            path.parent.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise OSError(f"{path.parent} cannot be written to: make figures in a checkout of your own") from error


def write(path, save):
    """Call save(file) and put the file at `path` whole, or leave what was there."""
    path.parent.mkdir(exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)
    try:
        with file:                                          # closed before it is moved or removed
            save(file)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise
