"""Figures drawn by other processes: they load Matplotlib while the fit goes on, and each draws its
share once there is something to draw."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from wilsonian.support.garbage import look_seldom

if TYPE_CHECKING:  # beside the imports of a fit, not before them
    from wilsonian.app.reports.svg import Render, Rendering
    from wilsonian.app.runs.records import RunRecord

COUNT = 2
# Nothing is imported from the folder that a user happens to be in.
COMMAND = [sys.executable, "-P", "-m", "wilsonian.app.reports.draughtsmen"]


@contextlib.contextmanager
def draughtsmen(wanted: bool) -> Iterator[Callable[[RunRecord], Render]]:
    """Processes for the figures of a run, if they are `wanted` and there is a core for them: hands
    out what makes of a record how its figures are rendered. What they cannot draw is drawn here."""
    count = COUNT if wanted and _cores() > 1 else 0
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with contextlib.suppress(OSError):
            for _ in range(count):
                processes.append(subprocess.Popen(COMMAND, **pipes))  # type: ignore[call-overload]
        yield lambda record: _drawn(record, processes)
    finally:
        for process in processes:
            with contextlib.suppress(OSError), process:  # of what it did not read
                process.kill()


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # the cores of this process, on Linux
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _drawn(record: RunRecord, processes: list[subprocess.Popen[bytes]]) -> Render:
    from wilsonian.app.reports.figures import all_figures
    from wilsonian.app.reports.svg import render

    names = [(each.name, scale) for each in all_figures(record) for scale in each.scales]
    found: dict[tuple[str, str], Rendering] = {}
    for number, process in enumerate(processes):
        with contextlib.suppress(OSError):
            process.stdin.write(pickle.dumps((record, names[number :: len(processes)])))  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
    for process in processes:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            found |= pickle.load(process.stdout)  # type: ignore[arg-type]
    return lambda drawing, scale: found.get((drawing.name, scale)) or render(drawing, scale)


def _draw() -> None:
    look_seldom()
    if hasattr(os, "nice"):
        os.nice(10)  # while it loads, the fit goes first
    from wilsonian.app.reports.figures import all_figures
    from wilsonian.app.reports.svg import Drawing, render

    render(Drawing("first", "", "", lambda ax, _: ax), "log")  # loads Matplotlib and its fonts
    record, names = pickle.load(sys.stdin.buffer)
    drawings = {drawing.name: drawing for drawing in all_figures(record)}
    found = {(name, scale): render(drawings[name], scale) for name, scale in names}
    pickle.dump(found, sys.stdout.buffer)


if __name__ == "__main__":
    _draw()
