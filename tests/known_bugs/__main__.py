"""python -m tests.known_bugs B4: show an exhibit, plant each of its forms in memory, and print what the tests say."""
import sys
import warnings

from tests.known_bugs.plant import complaint, exhibits, planted

warnings.filterwarnings("error", module="(scratch|tests)")  # as in setup.cfg
chosen = [exhibit for exhibit in exhibits() if exhibit.bug in sys.argv[1:]]
for exhibit in chosen:
    print(f"\n{exhibit.text}\n")
    for plant in exhibit.plants:
        print(f"planted: {plant.name}")
        for test in [*plant.red, *plant.blind]:
            with planted(plant.changes):
                said = complaint(test)
            print(f"    {test}\n        {'green' if said is None else 'RED  ' + said.splitlines()[0]}")
if not chosen:
    print(__doc__, *(exhibit.text.split("\n")[0] for exhibit in exhibits()), sep="\n")
