"""Stored results and pictures: files that appear whole or not at all, and that say how they were made."""
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from figures import provenance

HERE = Path(__file__).parent                # where results and pictures stand


class Changed(ValueError):
    """A stored result is not the one that was computed."""


def result_path(name, effort):
    """Where the results of a figure stand."""
    return HERE / ("quick" if effort == "quick" else "results") / f"{name}.npz"


def picture_path(name, effort):
    """Where the picture of a figure stands."""
    return HERE / ("quick" if effort == "quick" else "rendered") / f"{name}.png"


def part_path(name, part):
    """Where a part of a study waits until all parts are done."""
    return HERE / "parts" / name / f"{part.replace(' ', '_')}.npz"


def save(path, results, made):
    """Write a dict of arrays, and how it was made, to one .npz."""
    made = json.dumps(made | dict(arrays=provenance.digest(results)))
    write(path, lambda file: np.savez_compressed(file, made=made, **results))


def read(path):
    """The results (a dict of arrays) and how they were made; Changed if a number is not what was computed."""
    with np.load(path, allow_pickle=False) as file:
        results = dict(file)
    made = json.loads(str(results.pop("made", "{}")))
    if provenance.digest(results) != made.get("arrays"):
        raise Changed(f"{path} was changed after it was computed: compute it anew")
    return results, made


def check_writable(effort):
    """Raise an error if the folders of results and pictures cannot be written to."""
    for path in (result_path("figure", effort), picture_path("figure", effort)):
        try:
            path.parent.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise OSError(f"{path.parent} cannot be written to: make figures in a checkout of your own") from error


def write(path, save):
    """Call save(file) and put the file at `path` whole, or leave what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)
    try:
        with file:                                          # closed before it is moved or removed
            save(file)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise
