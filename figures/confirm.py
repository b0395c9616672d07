"""Results that outlive a change of code: python -m figures --confirm COMMIT.

A result is stale as soon as a definition that its computing reaches is edited, even if the edit changes no
number.  To compute all studies anew takes hours.  This takes seconds a figure.  Where the result was fresh at
COMMIT, the code of COMMIT and today's code both compute the figure at effort "quick", from the same random
numbers.  If every array is the same to the last bit, the result says that today's code is confirmed.  Arrays that
one code does not repeat are times, and are left out.

It cannot see a change that effort "quick" does not reach, such as one for larger sizes.  So a result keeps the
commit and the hash of the code that made it.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import provenance, runner, store

COMPUTE = """
import json, sys
from figures import provenance, runner
fresh = [name for name in sys.argv[1:] if runner.is_fresh(name)]
def digests(name):
    return {key: provenance.digest({key: value}) for key, value in runner.compute(name, "quick")[0].items()}
print(json.dumps({name: [digests(name), digests(name)] for name in fresh}))
"""


def confirm(commit, names):
    """Confirm the stale results among names by the code of a commit; returns the names that are stale still."""
    stale = [name for name in names if not runner.is_fresh(name) and store.result_path(name, "full").exists()]
    with tempfile.TemporaryDirectory() as folder:
        then = Path(folder) / "then"
        git("worktree", "add", "--quiet", "--detach", str(then), commit)
        try:
            output = subprocess.run([sys.executable, "-c", COMPUTE, *stale], cwd=then, check=True, stdout=subprocess.PIPE)
        finally:
            git("worktree", "remove", "--force", str(then))
    for name, (first, second) in json.loads(output.stdout.splitlines()[-1]).items():
        now = {key: provenance.digest({key: value}) for key, value in runner.compute(name, "quick")[0].items()}
        if same(first, second, now):
            results, made = runner.stored(name)
            made["confirmed"] = dict(code=runner.code(name), commit=provenance.commit())
            store.save(store.result_path(name, "full"), results, made)
            stale.remove(name)
            print(f"{name:28s} confirmed: the same bits at effort quick")
    for name in stale:
        print(f"{name:28s} STALE")
    return stale


def same(first, second, now):
    """Whether the arrays that one code repeats, {key: digest} twice, are those of another code; False if it repeats none."""
    repeated = [key for key in first if first[key] == second[key]]
    return first.keys() == now.keys() and bool(repeated) and all(now[key] == first[key] for key in repeated)


def git(*arguments):
    """Run git in this repository."""
    subprocess.run(["git", *arguments], cwd=provenance.ROOT, check=True, stdout=sys.stderr)
