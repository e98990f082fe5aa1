"""From a table to a forecast: which rows are the pilot, and which only lend their inputs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.app.runs.choices import Progress, TableChoices
from wilsonian.app.tables import Columns
from wilsonian.app.tables.blocks import Table
from wilsonian.app.tables.encoding import Encoding
from wilsonian.app.tables.encoding_builder import EncodingBuilder
from wilsonian.language.kernel_text import describe_kernel
from wilsonian.support.sampling import Reservoir
from wilsonian.support.strict_json import to_json
from wilsonian.theory.forecast.forecasting import (
    LEAST_LABELS,
    MOST_LABELS,
    SPECTRUM_ROWS,
    Forecast,
    forecast,
)

SAMPLED = 8 * (MOST_LABELS + SPECTRUM_ROWS)  # rows drawn from the table
DOUBLINGS = (2, 4, 8, 16)  # times the pilot, when no size is asked for


@dataclasses.dataclass(frozen=True)
class ForecastChoices(TableChoices):
    """What `wilsonian forecast` is asked for."""

    learn: bool = True
    labels: int | None = None  # None: every row with a target, but at most MOST_LABELS
    to: tuple[float, ...] = ()
    ridge: float | None = None

    @classmethod
    def of(cls, choices: TableChoices, *, learn: bool) -> ForecastChoices:
        """The forecast for the table and kernel of another run."""
        if choices.noise_column is not None:
            raise ValueError(
                "a forecast knows one noise for all rows, not the one of --noise-column; leave one "
                "of the two out."
            )
        shared = [field.name for field in dataclasses.fields(TableChoices)]
        return cls(**{name: getattr(choices, name) for name in shared}, learn=learn)


@dataclasses.dataclass(frozen=True)
class ForecastRun:
    """A forecast and where it came from."""

    forecast: Forecast
    name: str  # of the data set
    target: str
    kernel: str  # text form, with learned values
    seed: int
    seconds: float
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As plain lists, dictionaries, numbers and strings."""
        values = to_json(
            {
                field.name: getattr(self.forecast, field.name)
                for field in dataclasses.fields(self.forecast)
                if field.name not in ("kernel", "theory", "measured")
            }
        )
        measured = self.forecast.measured
        values["measured"] = to_json(
            {
                "n": measured.n,
                "ridge": measured.ridge[measured.best()],
                "error": measured.least(),
                "error_rate": measured.least_wrong(),
            }
        )
        about = {
            name: getattr(self, name)
            for name in ("name", "target", "kernel", "seed", "seconds", "notes")
        }
        return {**to_json(about), **values}


def forecast_table(
    choices: ForecastChoices, progress: Progress = lambda stage, done, of: None
) -> ForecastRun:
    """The forecast for a table. Rows without a target, and those beyond `labels`, lend their
    inputs only.

    Raises TableError, KernelTextError and ValueError with what was seen and what to try.
    """
    started = time.monotonic()
    kernel = choices.parsed_kernel()
    if choices.labels is not None and choices.labels < LEAST_LABELS:
        raise ValueError(
            f"--labels must be at least {LEAST_LABELS}, got {choices.labels}; a forecast says "
            "little below 100."
        )
    table, columns = choices.open()
    encoding = _encoding(table, columns, choices, progress)
    X, y = _rows(table, columns, encoding, choices, progress)
    known = y >= 0 if encoding.task == "classification" else np.isfinite(y)
    labels = min(choices.labels or MOST_LABELS, int(known.sum()))
    if choices.labels is not None and choices.labels > labels:
        raise ValueError(
            f"--labels asks for {choices.labels:,} and {table.name} has {labels:,} rows with a "
            f"{columns.target!r} among those drawn; ask for fewer."
        )
    pilot = np.flatnonzero(known)[:labels]
    lent = np.ones(len(X), bool)
    lent[pilot] = False
    sizes = choices.to or tuple(labels * factor for factor in DOUBLINGS)
    classes = encoding.task == "classification"
    found = forecast(
        X[pilot],
        y[pilot].astype(int) if classes else y[pilot],
        kernel,
        to=sizes,
        unlabelled=X[lent] if lent.any() else None,
        ridge=choices.ridge,
        learn_kernel=choices.learn,
        task=encoding.task,
        random_state=choices.seed,
        progress=progress,
    )
    return ForecastRun(
        found,
        Path(table.name).name,
        columns.target,
        describe_kernel(found.kernel),
        choices.seed,
        time.monotonic() - started,
        tuple([table.reading, *encoding.notes()] if table.reading else encoding.notes()),
    )


def _blocks(table: Table, columns: Columns, choices: ForecastChoices) -> Iterator[Any]:
    return table.blocks([*columns.features, columns.target], choices.block_size)


def _encoding(
    table: Table, columns: Columns, choices: ForecastChoices, progress: Progress
) -> Encoding:
    builder, done = EncodingBuilder(table, columns, choices.task), 0
    for block in _blocks(table, columns, choices):
        builder.update(block)
        done += block.rows
        progress("reading", done, table.rows)
    return builder.finish()


def _rows(
    table: Table,
    columns: Columns,
    encoding: Encoding,
    choices: ForecastChoices,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """A random sample of rows in random order: inputs, and targets or class numbers; NaN or -1
    where there is none."""
    reservoir, done = Reservoir(SAMPLED, choices.seed), 0
    for index, block in enumerate(_blocks(table, columns, choices)):
        y, _ = encoding.target(block)
        reservoir.update(encoding.transform(block), np.asarray(y, float), index)
        done += block.rows
        progress("sampling", done, table.rows)
    X, y = reservoir.sample()
    order = np.random.default_rng(choices.seed).permutation(len(X))
    return X[order], y[order]
