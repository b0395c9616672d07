"""python -m exercises 3: run the code of stop 3 of the study path, as it stands in scratch/README.md."""
import sys

from exercises.stops import stops

if len(sys.argv) == 2 and sys.argv[1] in stops():
    exec(compile(stops()[sys.argv[1]].code, f"stop {sys.argv[1]}", "exec"), {})
else:
    print(__doc__, *(f"{number:>2}  {stop.title}" for number, stop in stops().items()), sep="\n")
