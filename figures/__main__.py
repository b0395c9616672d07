"""python -m figures: compute and draw the figures of this project.

    python -m figures                      all of them (studies from their stored results)
    python -m figures gallery cost         some
    python -m figures --list               names and claims
    python -m figures --effort quick       seconds instead of minutes, into figures/quick/
    python -m figures --redraw             pictures only, from the stored results
    python -m figures --studies            compute the long studies anew, too
    python -m figures --jobs 1             one process instead of one per core
"""
import argparse
import multiprocessing
import os
import signal
import sys
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

# Small matrices run faster on one BLAS thread each, and two figures at a time: set before NumPy loads.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from figures import runner                                  # noqa: E402


def main(arguments=None):
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m figures", description="Compute and draw the figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make (default: all)")
    parser.add_argument("--list", action="store_true", help="print names and claims, make nothing")
    parser.add_argument("--effort", choices=runner.EFFORTS, default="full", help="default: full")
    parser.add_argument("--redraw", action="store_true", help="draw from the stored results alone")
    parser.add_argument("--studies", action="store_true", help="compute the long studies anew, too")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: one per core)")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in runner.names()]
    if unknown:
        parser.error(f"unknown figure {', '.join(unknown)}; known: {', '.join(runner.names())}")
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")

    chosen = list(dict.fromkeys(options.names)) or runner.names()
    if options.list:
        for name in chosen:
            print(f"{name}\n    {runner.load(name).CLAIM}")
        return 0
    try:
        return run(chosen, options)
    except KeyboardInterrupt:
        print("interrupted: the figures that were not finished are as they were", file=sys.stderr)
        return 130


def cores():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(chosen, options):
    """Make the figures, the timings alone and last; a failure is told and does not stop the others."""
    runner.check_writable(options.effort)                   # before an hour of computing, not after
    together, alone, failed = [], [], []
    began = time.monotonic()
    for name in chosen:
        try:
            module = runner.load(name)
        except Exception as error:
            failed.append(tell_failure(name, error))
            continue
        is_drawn_only = options.redraw or (runner.is_study(module) and not options.studies
                                           and options.effort == "full")
        task = (name, options.effort, is_drawn_only)
        (alone if runner.is_timing(module) and not is_drawn_only else together).append(task)
    for jobs, tasks in ((options.jobs, together), (1, alone)):
        if tasks:
            failed += run_group(tasks, min(jobs, len(tasks)), began)
    if options.effort == "full" and not failed and chosen == runner.names():
        runner.write(runner.HERE / "README.md", lambda file: file.write(runner.page().encode()))
    print(f"{len(chosen) - len(failed)} of {len(chosen)} figures made in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def run_group(tasks, jobs, began):
    """Make `tasks` in `jobs` processes (1: in this one); returns the names that failed."""
    failed = []
    if jobs == 1:
        for number, task in enumerate(tasks):
            progress(f"{time.monotonic() - began:4.0f} s, to come: {', '.join(name for name, *_ in tasks[number:])}")
            if not succeeds(task[0], lambda: runner.make(*task)):
                failed.append(task[0])
        return failed
    context = multiprocessing.get_context("spawn")
    end_at_once = (signal.SIGINT, signal.SIG_DFL)           # an interrupted worker must not go on to the next figure
    with ProcessPoolExecutor(jobs, context, initializer=signal.signal, initargs=end_at_once) as pool:
        waiting = {pool.submit(runner.make, *task): task[0] for task in tasks}
        try:
            while waiting:
                progress(f"{time.monotonic() - began:4.0f} s, to come: {', '.join(waiting.values())}")
                done, _ = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    name = waiting.pop(future)
                    if not succeeds(name, future.result):
                        failed.append(name)
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            progress("")
    return failed


def succeeds(name, seconds):
    """Print how many seconds() a figure took, or why it failed; returns whether it was made."""
    try:
        took = seconds()
    except Exception as error:
        progress("")
        tell_failure(name, error)
        return False
    progress("")
    print(f"{name:24s} {took:6.1f} s", flush=True)
    return True


def tell_failure(name, error):
    """Print what went wrong with a figure, and where; returns its name."""
    print(f"{name:24s} FAILED", file=sys.stderr)
    traceback.print_exception(error, file=sys.stderr)
    return name


def progress(text):
    """Show `text` on the terminal's last line, in place of the line before."""
    if sys.stderr and sys.stderr.isatty():
        print(f"\r{text[:100]:100s}\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
