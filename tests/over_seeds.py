"""Do the tests hold for every seed, or only for the one that they were written with?

    python -m tests.over_seeds 20                        20 shifts of every seed, the default tests
    python -m tests.over_seeds 5 tests/learning -m slow  the same with pytest's own arguments

It runs pytest once a shift.  Shift s adds 1000 s to every integer that a test gives to np.random.default_rng,
the fixture `rng` included.  Generators that scratch makes for itself, as for the couplings of a law, stay.  The
statistical tests are those that make a generator in the first shift; the others are left out from then on.  At
the end it prints every test that went red, with its shifts.  The exit status is 1 if more than one shift in a
hundred has a red test.

A test that states its error and allows five of them is red once in two million seeds.  So a test that is red here
passes by its seed: its bound is too narrow, or its error is wrong.  Not part of the default tests, because a shift
takes nearly as long as they do.  The pictures and the museum of known bugs are left out: their seeds are their own.
"""
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

STRIDE = 1000               # more than any seed that is written in the tests counts up to
LEFT_OUT = ("figures", "known_bugs", "test_house.py", "test_readme.py", "test_study_path.py")

# ---- as a plugin of pytest (-p tests.over_seeds) ----

statistical = set()         # ids of the tests that made a generator


def pytest_configure():
    """From here on np.random.default_rng takes shifted seeds."""
    shift, original = STRIDE * int(os.environ["SEED_SHIFT"]), np.random.default_rng

    def shifted(seed=None):
        if isinstance(seed, (int, np.integer)) and not _asked_by_scratch():
            statistical.add(os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0])
            seed += shift
        return original(seed)
    np.random.default_rng = shifted


def _asked_by_scratch():
    return str(sys._getframe(2).f_globals.get("__name__")).startswith("scratch")


def pytest_collection_modifyitems(items):
    """After the first shift only the statistical tests; module fixtures make their generators in the first test."""
    ids = Path(os.environ["STATISTICAL"]).read_text(encoding="utf-8").splitlines()
    if ids:
        items[:] = [item for item in items if item.nodeid in set(ids)]


def pytest_sessionfinish():
    Path(os.environ["STATISTICAL"]).write_text("\n".join(statistical), encoding="utf-8")


# ---- as a program ----

def red_tests(shift, arguments, ids):
    """The ids of the tests that fail at this shift, [] if none does; ids: the file of the statistical tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.over_seeds", "-p", "no:cacheprovider",
               "--tb=no", "-rfE", *arguments]
    run = subprocess.run(command, env=os.environ | {"SEED_SHIFT": str(shift), "STATISTICAL": ids},
                         capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if run.returncode not in (0, 1):
        raise RuntimeError(run.stdout + run.stderr)
    lines = [line.split(" - ")[0].split(maxsplit=1) for line in run.stdout.splitlines()]
    return [words[1] for words in lines if len(words) == 2 and words[0] in ("FAILED", "ERROR")]


def main(count, *arguments):
    red = defaultdict(list)
    with tempfile.NamedTemporaryFile() as ids:
        for shift in range(1, int(count) + 1):
            failed = red_tests(shift, arguments or ["tests", *(f"--ignore=tests/{name}" for name in LEFT_OUT)], ids.name)
            print(f"shift {shift}: {len(failed)} red", *failed, sep="\n    ", flush=True)
            for test in failed:
                red[test].append(shift)
    shifts = {shift for found in red.values() for shift in found}
    print(f"{len(shifts)} of {count} shifts have a red test")
    for test, found in sorted(red.items(), key=lambda item: -len(item[1])):
        print(f"{len(found):4} of {count}  {test}  at {found}")
    return int(len(shifts) > int(count) / 100)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not sys.argv[1].isdecimal():
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
