"""What the command line shows: progress on long work, summaries and tables."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress
import rich.table

from wilsonian.app.reports.forecast_text import RIDGE_NOTE, forecast_sentences, witness_sentence
from wilsonian.app.reports.text import (
    cutoff_sentence,
    headlines,
    learned_sentence,
)
from wilsonian.app.reports.verdicts import error_sentence, evidence_sentence, verdicts
from wilsonian.app.runs.records import RunRecord
from wilsonian.regression.processes.records import FlowRecord
from wilsonian.support.number_text import format_count
from wilsonian.support.strict_json import to_json

if TYPE_CHECKING:
    from wilsonian.app.runs.forecast import ForecastRun
    from wilsonian.regression.learning.diary import Progress

SHOWN_AFTER = 2.0  # seconds
SHOWN_NOTES = 8  # about the columns, on the console
STAGES = {
    "reading": "Reading columns",
    "sampling": "Sampling rows",
    "learning hyperparameters": "Learning hyperparameters",
    "moving inducing points": "Moving inducing points",
    "integrating": "Integrating rows",
    "reading out eliminated modes": "Reading out eliminated modes",
    "testing": "Testing on held-out rows",
    "predicting": "Predicting",
    "learning the target's prior": "Learning the target's prior",
    "decomposing the kernel": "Decomposing the kernel",
    "measuring subsamples": "Measuring subsamples",
    "fitting the target": "Fitting the target",
    "weighing the witnesses": "Weighing the witnesses",
    "training": "Training a network",
    "computing information": "Computing the information",
    "splitting halves": "Comparing two halves of the examples",
    "measuring prices": "Measuring the price of every cutoff",
}
ROWS = {"reading", "sampling", "integrating", "testing", "predicting"}


class Console:
    """Standard output for results (standard error if `error`), standard error for progress; silent
    if `quiet`."""

    def __init__(self, quiet: bool = False, error: bool = False) -> None:
        self.quiet = quiet
        self._out = rich.console.Console(
            highlight=False, soft_wrap=True, markup=False, stderr=error
        )

    def print(self, text: str) -> None:
        if not self.quiet:
            self._out.print(text)

    def table(self, names: list[str], rows: list[list[str]]) -> None:
        """Right-aligned columns, plain text."""
        if self.quiet:
            return
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        for row in [names, *rows]:
            cells = zip(row, widths, strict=True)
            self.print("  ".join(cell.rjust(width) for cell, width in cells))

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """A callback (stage, done, of how many; 0 if unknown) that shows progress with rows per
        second, or what it is told beside, and time left, once the work has taken two seconds."""
        shown = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.fields[rate]}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=rich.console.Console(stderr=True),
            disable=self.quiet or not sys.stderr.isatty(),
            transient=True,
        )
        started = time.monotonic()
        tasks: dict[str, rich.progress.TaskID] = {}
        since: dict[str, tuple[float, int]] = {}

        def update(stage: str, done: int, of: int, told: str = "") -> None:
            now = time.monotonic()
            first, before = since.setdefault(stage, (now, done))
            if now - started < SHOWN_AFTER and stage != "learning hyperparameters":
                return
            if stage not in tasks:
                shown.start()
                for earlier in tasks.values():
                    shown.update(earlier, visible=False)
                tasks[stage] = shown.add_task(STAGES.get(stage, stage), total=None, rate="")
            rate = told
            if stage in ROWS and now > first and done > before:
                rate = f"{(done - before) / (now - first):,.0f} rows/s"
            total = max(of, done) if of > 1 else None
            shown.update(tasks[stage], completed=done, total=total, rate=rate)

        try:
            yield update
        finally:
            shown.stop()


def run_summary(record: RunRecord, details: bool = False) -> str:
    """A run in a few lines of plain language."""
    lines = [f"{record.name}: {record.task} of {record.target}"]
    lines += [record.reading, ""] if record.reading else [""]
    lines += [error_sentence(record), *verdicts(record), ""]
    found = headlines(record)
    width = max(len(headline.label) for headline in found)
    lines += [f"  {h.label:<{width}}  {h.value}  ({h.meaning})" for h in found]
    theory = [learned_sentence(record), cutoff_sentence(record), evidence_sentence(record)]
    lines += ["", *filter(None, theory)]
    lines += [f"Kernel: {record.kernel}", record.rank_status, record.convergence]
    lines += [record.correction] if record.correction else []
    if not details:
        # Every decision about the user's columns is said; hints come first, and a few will do.
        notes = sorted(record.notes, key=lambda note: not note.startswith("Hint: "))
        more = len(notes) - SHOWN_NOTES
        lines += ["", *notes[:SHOWN_NOTES]]
        lines += [f"And {format_count(more, 'more note')}, on the page of --report."] * (more > 0)
    else:
        lines += [
            "",
            f"{record.rows:,} training rows, {record.test_rows:,} test rows, "
            f"{record.columns:,} columns after encoding, seed {record.seed}",
            *record.notes,
        ]
    return "\n".join(lines)


def run_json(record: RunRecord) -> dict[str, Any]:
    """A run's record without its long arrays."""
    values = to_json(record)
    for name in ("predictions", "mode_images", "spectrum", "flow"):
        del values[name]
    return {**values, "kept": record.spectrum.kept, "modes": len(record.spectrum.eigenvalues)}


def forecast_summary(run: ForecastRun) -> str:
    """A forecast in a few lines of plain language, without its table."""
    found = run.forecast
    lines = [
        f"{run.name}: {found.task} of {run.target}, a pilot of {found.labels:,} labels and "
        f"{found.inputs:,} inputs",
        "",
        *forecast_sentences(run),
        witness_sentence(run),
        *(f"Careful: {doubt}" for doubt in found.diagnostics),
        "",
        f"Kernel: {run.kernel}",
        RIDGE_NOTE,
    ]
    return "\n".join(lines)


def flow_csv(flow: FlowRecord) -> str:
    """All cutoffs of a flow as CSV with a header."""
    columns, text = flow.columns(), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return text.getvalue()
