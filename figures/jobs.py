"""Making many figures at once, by any executor: this process, a pool of processes, or other machines.

A worker gets names and returns arrays and bytes.  This process alone writes files, so that the
workers need no common disk.  With the executor of another package:

    from figures.jobs import Run
    run = Run(client.get_executor(), at_once=64)            # of Dask; any concurrent.futures.Executor will do
    run.make(["ledger"], studies=True)
"""
import shutil
import sys
import time
import traceback
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

import numpy as np

from figures import provenance, runner, store


class Here(Executor):
    """Does the work in this process, when it is submitted."""

    def submit(self, function, /, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class Run:
    """One run of the figures.  at_once: how many jobs the executor is given at a time."""

    def __init__(self, executor, at_once, effort="full"):
        self.executor, self.at_once, self.effort = executor, at_once, effort
        self.failed, self.refuted, self.began = [], [], time.monotonic()
        self.queue = deque()                                # of (function, its arguments, what to do with the result)
        self.made = {}                                      # of each computed figure: results, and how they were made

    def make(self, names, redraw=False, studies=False):
        """Make figures, those that measure time alone and last; a failure is printed and does not stop the others.

        studies: compute the studies too, except those whose stored result is of today's code.
        """
        timings = []
        for name in names:
            with _Telling(self, name):
                module = runner.load(name)
                is_drawn_only = redraw or (runner.is_study(module) and self.effort == "full"
                                           and (not studies or runner.is_fresh(name)))
                if is_drawn_only:
                    self._draw(name, runner.stored(name)[0])
                elif getattr(module, "TIMING", False):
                    timings.append(name)
                elif runner.is_study(module) and self.effort == "full":
                    self._study(name)
                else:
                    self._compute(name)
        self._work(self.at_once)
        for name in timings:
            self._compute(name)
            self._work(1)

    def check(self, names):
        """Compute figures that are no studies anew and print how far they are from the stored ones; returns 0 or 1."""
        for name in names:
            with _Telling(self, name):
                module = runner.load(name)
                if not runner.is_study(module) and not getattr(module, "TIMING", False):
                    self.queue.append((runner.compute, (name, "full"), lambda found, name=name: _say(
                        distances(name, runner.stored(name)[0], found[0]))))
        self._work(self.at_once)
        return 1 if self.failed else 0

    def report(self, names):
        """Print how the run went; returns the exit status: 0 if all were made and all checks hold."""
        made = len(names) - len(set(self.failed))
        print(f"{made} of {len(names)} figures made in {time.monotonic() - self.began:.0f} s")
        for name, check in self.refuted:
            print(f"REFUTED {name}: {check}")
        return 1 if self.failed or self.refuted else 0

    # ---- the steps of a figure: compute it, or its parts, then draw it ----

    def _compute(self, name):
        self.queue.append((runner.compute, (name, self.effort), lambda found: self._computed(name, *found)))

    def _study(self, name):
        total, missing = len(runner.load(name).parts("full")), runner.missing_parts(name)
        seconds = []
        if len(missing) < total:
            _say(f"{name}: {total - len(missing)} of {total} parts are stored")

        def done(part, results, took):
            store.save(store.part_path(name, part), results, provenance.made(took, runner.code(name)))
            missing.remove(part)
            seconds.append(took)
            left = np.mean(seconds) * len(missing) / self.at_once / 60
            _say(f"{name:24s} {took:6.1f} s  {part} ({total - len(missing)} of {total}, about {left:.0f} min left)")
            if not missing:
                self._gather(name)

        for part in missing.copy():
            self.queue.append((runner.compute, (name, "full", part), lambda found, part=part: done(part, *found)))
        if not missing:
            self._gather(name)

    def _gather(self, name):
        self._computed(name, *runner.gather(name))

    def _computed(self, name, results, seconds):
        self.made[name] = results, provenance.made(seconds, runner.code(name)), seconds
        self._draw(name, results)

    def _draw(self, name, results):
        self.queue.appendleft((runner.pictures, (name, results), lambda files: self._finish(name, results, files)))

    def _finish(self, name, results, files):
        """Write all files of a figure, when its drawing has succeeded too, and test its claim."""
        if self.effort == "full":
            self.refuted += [(name, check) for check in runner.refuted(name, results)]
            if hasattr(runner.load(name), "table"):
                text = runner.load(name).table(results)
                store.write(store.result_path(name, "full").with_suffix(".md"), lambda file: file.write(text.encode()))
        took = ""
        if name in self.made:
            results, made, seconds = self.made.pop(name)
            store.save(store.result_path(name, self.effort), results, made)
            took = f"{seconds:6.1f} s"
        for ending, content in files.items():
            path = store.picture_path(name, self.effort).with_suffix(ending)
            store.write(path, lambda file, content=content: file.write(content))
        if self.effort == "full" and took:
            shutil.rmtree(store.part_path(name, "part").parent, ignore_errors=True)
        _say(f"{name:24s} {took or '   drawn'}")

    def _work(self, at_once):
        """Give the jobs of the queue to the executor until none is left."""
        running = {}
        while self.queue or running:
            while self.queue and len(running) < at_once:
                function, arguments, then = self.queue.popleft()
                running[self.executor.submit(function, *arguments)] = arguments[0], then
            names = dict.fromkeys([name for name, _ in running.values()] + [job[1][0] for job in self.queue])
            _progress(f"{time.monotonic() - self.began:4.0f} s, to come: {', '.join(names)}")
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                name, then = running.pop(future)
                with _Telling(self, name):
                    then(future.result())
        _progress("")


class _Telling:
    """Prints an error in a figure, so that the others go on."""

    def __init__(self, run, name):
        self.run, self.name = run, name

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, store.Changed):
            self.run.refuted.append((self.name, str(error)))
        elif isinstance(error, Exception):
            self.run.failed.append(self.name)
            _progress("")
            print(f"{self.name:24s} FAILED", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)
        return isinstance(error, Exception)


def distances(name, stored, computed):
    """One line an array: how far the computed one is from the stored one."""
    lines = []
    for key in sorted(stored.keys() | computed.keys()):
        old, new = stored.get(key), computed.get(key)
        if old is None or new is None or old.shape != new.shape:
            lines.append(f"    {key}: {'not computed' if new is None else 'not stored or of another shape'}")
        elif not np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
            far = "other"
            if old.dtype.kind in "fiub":
                far = f"{np.nanmax(np.abs(old - new.astype(old.dtype))):.2g} of {np.nanmax(np.abs(old)):.2g}"
            lines.append(f"    {key}: differs by at most {far}")
    return "\n".join([f"{name}: {'identical' if not lines else 'differs'} ({len(stored)} arrays)", *lines])


def _say(line):
    _progress("")
    print(line, flush=True)


def _progress(text):
    """Show `text` on the terminal's last line, in place of the line before."""
    if sys.stderr and sys.stderr.isatty():
        print(f"\r{text[:100]:100s}\r", end="", file=sys.stderr, flush=True)
