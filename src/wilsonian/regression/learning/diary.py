"""What a long learning tells while it goes on, and what of it is finished, so that an interrupted
one goes on from there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.language.kernel_text import KernelTextError, format_kernel, parse_kernel
from wilsonian.regression.learning.ascent import Run
from wilsonian.regression.learning.starts import Start


class Progress(Protocol):
    """Called while work goes on: the stage, how much of how much is done (0 if unknown), and what
    is to be told beside it."""

    def __call__(self, stage: str, done: int, of: int, told: str = "") -> None: ...


def silent(stage: str, done: int, of: int, told: str = "") -> None:
    """Progress that nobody watches."""


@dataclasses.dataclass
class Diary:
    """Finished runs by name and the state of the last, unfinished work, as plain data with the
    state of the random numbers after it. Learning with the same numbers again takes them from here
    instead of repeating them, and comes to the same end, bit for bit.

    `keep(diary, now)` is called after every entry; `now` says that it must be stored at once.
    """

    entries: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    keep: Callable[[Diary, bool], None] = lambda diary, now: None

    def once(self, name: str, random: np.random.Generator, run: Callable[[], Run]) -> Run:
        """The run of that name as it was recorded, or made now and recorded."""
        if name in self.entries:
            entry = self.entries[name]
            random.bit_generator.state = entry["random"]
            return _restored(entry)
        done = run()
        try:
            self.entries[name] = {**_plain(done), "random": random.bit_generator.state}
        except KernelTextError:  # a kernel that is a function: it cannot be stored
            return done
        self.keep(self, True)
        return done

    def write(self, name: str, entry: dict[str, Any], *, now: bool = False) -> None:
        """Record, or overwrite, what is not finished: numbers, text and arrays."""
        self.entries[name] = entry
        self.keep(self, now)


def _plain(run: Run) -> dict[str, Any]:
    start = run.start
    return {
        "kernel": format_kernel(start.kernel),
        "amplitude": start.amplitude,
        "noise_variance": start.noise_variance,
        "evidence": float(start.evidence),
        "iterations": int(run.iterations),
        "settled": run.settled,
        "at_bounds": run.at_bounds,
        "complaint": run.complaint,
    }


def _restored(entry: dict[str, Any]) -> Run:
    start = Start(
        with_precision(parse_kernel(entry["kernel"]), float),
        np.asarray(entry["amplitude"], float),
        np.asarray(entry["noise_variance"], float),
        entry["evidence"],
    )
    return Run(start, entry["iterations"], entry["settled"], entry["at_bounds"], entry["complaint"])
