"""A figure is a module of this package that computes numbers, draws them, and states what they show.

    SECTION = "1.5"             where it belongs: a key of SECTIONS
    FINDING = "..."             its headline, at most 12 words
    SETTINGS = "..."            the gray line at its foot
    compute(effort, rng)        its results, a dict of arrays; `seeds` says how many independent runs they rest on
    claim(results)              one sentence, at most 25 words, each number in it formatted from the results
    checks(results)             {name: bool}, the inequalities on which headline and claim rest
    draw(results)               a matplotlib Figure

It may also have

    TIMING = True               it measures time, so it is computed alone, after the others
    animate(results)            a matplotlib Animation, which becomes a GIF beside the picture
    table(results)              text in Markdown, which becomes results/NAME.md
    readme(results)             text in Markdown, which replaces the block of its name in the README

A study takes too long to compute in the default run, which only redraws it from its stored results.
In place of compute it has

    parts(effort)               the names of its parts, such as "ring gan 0"
    compute_part(part, effort, rng)     the results of one part
    gather(effort, parts)       the results of the figure, from {part: its results}

--studies computes the studies that have no result yet, or one that other code made.  Each part is
stored as it ends.  So a run that is killed loses the parts in work and no other.

Effort "full" writes results/NAME.npz and rendered/NAME.png, which stand in the repository.  Effort
"quick" writes both into quick/, which does not, so a quick run never replaces a full result.
"""
import importlib
import tempfile
import time
import zlib
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np

from figures import provenance, store, style

CODE = Path(__file__).parent
EFFORTS = ("quick", "full")
SECTIONS = {
    "1.1": "1.1 Definition (基本定义)",
    "1.2": "1.2 Three abilities (生成模型的核心能力)",
    "1.3": "1.3 The family tree (生成模型的分类)",
    "1.4": "1.4 Generative and discriminative models (生成模型与判别模型的对比)",
    "1.5": "1.5 What is special about diffusion (扩散模型的特殊性)",
    "case": "Case studies (案例研究)",
    "loop": "The training loop (代码示例)",
    "key": "The key formula (关键公式)",
    "divergence": "How the key formula is measured",
    "trust": "Why the numbers can be trusted",
}


@lru_cache(maxsize=None)
def modules():
    """The modules of all figures, by name in alphabetical order: those of this folder tree with a finding."""
    found = [path for path in CODE.rglob("*.py") if "\nFINDING = " in path.read_text(encoding="utf-8")]
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


def waiting():
    """The names of the studies that were never computed: the default run and the pages leave them out."""
    return [name for name in names() if is_study(load(name)) and not store.result_path(name, "full").exists()]


def is_study(module):
    """Whether the default run only redraws it."""
    return hasattr(module, "parts")


def compute(name, effort, part=None):
    """Results and seconds of processor time: of a part of a study, or of a whole figure.  Run by a worker.

    Each figure, and each part, has a random stream of its own.
    """
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, got {effort!r}")
    module, began = load(name), time.process_time()
    if part is not None:
        results = module.compute_part(part, effort, np.random.default_rng([_number(name), _number(part)]))
    elif is_study(module):
        parts = {part: compute(name, effort, part)[0] for part in module.parts(effort)}
        results = module.gather(effort, parts)
    else:
        results = module.compute(effort, np.random.default_rng(_number(name)))
    return _arrays(results), time.process_time() - began


def pictures(name, results):
    """{ending: bytes} of the picture, and of the moving one if there is one.  Run by a worker."""
    module = load(name)
    with matplotlib.rc_context(style.SETTINGS):
        files = {".png": style.png(module.draw(results), Title=module.FINDING, Description=module.SETTINGS)}
        if hasattr(module, "animate"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "picture.gif"         # the writer wants a path with this ending
                module.animate(results).save(path, writer="pillow")
                files[".gif"] = path.read_bytes()
    return files


def refuted(name, results):
    """The names of the checks that do not hold."""
    return [check for check, holds in load(name).checks(results).items() if not holds]


def missing_parts(name):
    """The parts of a study that are not stored, or that other code made."""
    return [part for part in load(name).parts("full") if stored_part(name, part) is None]


def stored_part(name, part):
    """(results, seconds) of a part if it is stored and today's code made it, else None."""
    try:
        results, made = store.read(store.part_path(name, part))
    except (OSError, ValueError, KeyError):                 # none, or not whole, or changed
        return None
    return (results, made["seconds"]) if made["code"] == code(name) else None


def gather(name):
    """Results and seconds of a study whose parts are all stored."""
    parts = {part: stored_part(name, part) for part in load(name).parts("full")}
    results = load(name).gather("full", {part: results for part, (results, _) in parts.items()})
    return _arrays(results), sum(seconds for _, seconds in parts.values())


@lru_cache(maxsize=None)
def code(name):
    """The hash of the code that makes a figure's results, as it was when this process asked first."""
    return provenance.code_hash(modules()[name])


def stored(name):
    """The stored results of a figure, and how they were made."""
    path = store.result_path(name, "full")
    if not path.exists():
        flag = " --studies" * is_study(load(name))
        raise FileNotFoundError(f"{path} does not exist: compute it first (python -m figures {name}{flag})")
    return store.read(path)


def is_fresh(name):
    """Whether a figure has a stored result, and today's code made it, or is confirmed (confirm.py)."""
    try:
        made = stored(name)[1]
        return code(name) in (made["code"], made.get("confirmed", {}).get("code"))
    except (OSError, ValueError):                           # none, or changed by hand
        return False


def _number(name):
    return zlib.crc32(name.encode())


def _arrays(results):
    return {key: np.asarray(value) for key, value in results.items()}
