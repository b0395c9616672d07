"""python -m figures: compute and draw the figures of this project, and test what they claim.

    python -m figures                      all of them (studies from their stored results)
    python -m figures gallery dirac_gan    some
    python -m figures --list               what they found, what they cost, whether they are stale
    python -m figures --effort quick       seconds instead of minutes, into figures/quick/
    python -m figures --redraw             pictures only, from the stored results
    python -m figures --studies            compute the stale studies too; a killed run goes on where it stopped
    python -m figures --check              compute anew and print how far the numbers are from the stored ones
    python -m figures --confirm COMMIT     mark results as fresh that the code of COMMIT makes with the same bits
    python -m figures --jobs 1             one process instead of one per core

The status is 0 if all figures were made and all their checks hold.
"""
import argparse
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

# Small matrices run faster on one BLAS thread each, and two figures at a time: set before NumPy loads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from figures import pages, runner, store                    # noqa: E402
from figures.confirm import confirm                         # noqa: E402
from figures.jobs import Here, Run                          # noqa: E402


def main(arguments=None):
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m figures", description="Compute and draw the figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all)")
    parser.add_argument("--list", action="store_true", help="print findings, cost and age, make nothing")
    parser.add_argument("--check", action="store_true", help="compare with the stored results, make nothing")
    parser.add_argument("--effort", choices=runner.EFFORTS, default="full", help="default: full")
    parser.add_argument("--redraw", action="store_true", help="draw from the stored results alone")
    parser.add_argument("--studies", action="store_true", help="compute the studies, too, whose results are stale")
    parser.add_argument("--confirm", metavar="COMMIT", help="compare with the code of a commit, make nothing")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: one per core)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in runner.names()]
    if unknown:
        parser.error(f"unknown figure {', '.join(unknown)}; known: {', '.join(runner.names())}")
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    chosen = list(dict.fromkeys(options.names)) or runner.names()
    if not options.names and not options.studies and options.effort == "full" and not options.list:
        chosen = [name for name in chosen if name not in runner.waiting()]
    if options.list:
        print(*map(pages.line, chosen), sep="\n")
        return 0
    if options.confirm:
        return 1 if confirm(options.confirm, chosen) else 0
    if not options.check:
        store.check_writable(options.effort)                # before an hour of computing, not after
    try:
        with executor(options.jobs) as workers, _ending_at_once():
            run = Run(workers, options.jobs, options.effort)
            if options.check:
                return run.check(chosen)
            run.make(chosen, redraw=options.redraw, studies=options.studies)
    except KeyboardInterrupt:
        print("interrupted: what was not finished is as it was", file=sys.stderr)
        return 130
    if options.effort == "full" and not options.names and not run.failed and not run.refuted:
        pages.write()
    return run.report(chosen)


def executor(jobs):
    """Where the work is done: in `jobs` processes, or in this one."""
    if jobs == 1:
        return Here()
    end_at_once = (signal.SIGINT, signal.SIG_DFL)           # an interrupted worker must not go on to the next figure
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), signal.signal, end_at_once)


@contextmanager
def _ending_at_once():
    """An interrupt ends the workers, too."""
    try:
        yield
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.terminate()
        raise


def cores():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
