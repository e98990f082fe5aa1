"""From a file of measured errors to a forecast: which column is what."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.app.runs.choices import DETECTED, Progress
from wilsonian.app.runs.forecast import DOUBLINGS
from wilsonian.app.tables import TableError, open_table
from wilsonian.app.tables.blocks import Table, listed
from wilsonian.app.tables.dialect import DialectChoice
from wilsonian.support.strict_json import to_json
from wilsonian.theory.forecast.curve_forecast import forecast_curve
from wilsonian.theory.forecast.curve_records import CurveForecast

MOST_POINTS = 10_000
NAMES = {
    "n": (
        *("n", "size", "sizes", "samples", "sample_size", "n_samples"),
        *("train_size", "training_size", "rows", "labels"),
    ),
    "error": (
        *("error", "errors", "loss", "test_error", "test_loss", "mse", "rmse", "mae"),
        "error_rate",
    ),
    "standard_error": ("standard_error", "std_error", "stderr", "se", "sem", "error_se"),
}


@dataclasses.dataclass(frozen=True)
class CurveChoices:
    """What `wilsonian forecast --curve` is asked for."""

    curve: str
    to: tuple[float, ...] = ()
    seed: int = 0
    dialect: DialectChoice = DETECTED


@dataclasses.dataclass(frozen=True)
class CurveRun:
    """A forecast and where it came from."""

    forecast: CurveForecast
    name: str  # of the file
    seed: int
    seconds: float
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As plain lists, dictionaries, numbers and strings."""
        found = self.forecast
        about = {name: getattr(self, name) for name in ("name", "seed", "seconds", "notes")}
        values = {
            field.name: getattr(found, field.name)
            for field in dataclasses.fields(found)
            if not field.name.startswith("fine")
        }
        return {**to_json(about), **to_json(values)}


def forecast_curve_file(
    choices: CurveChoices, progress: Progress = lambda stage, done, of: None
) -> CurveRun:
    """The forecast for a file with a column of sample sizes, one of errors, and perhaps one of
    their standard errors: found by name (n, error, standard_error, and common others), else in that
    order.

    Raises TableError and ValueError with what was seen and what to try.
    """
    started = time.monotonic()
    table = open_table(choices.curve, choices.dialect)
    names = curve_columns(table)
    if table.rows > MOST_POINTS:
        raise TableError(
            f"{table.name} has {table.rows:,} rows, and a curve at most {MOST_POINTS:,} points; "
            "give a table of data without --curve."
        )
    values = _values(table, names)
    largest = float(np.max(values[0], initial=1.0))
    sizes = choices.to or tuple(largest * factor for factor in DOUBLINGS)
    found = forecast_curve(*values, to=sizes, random_state=choices.seed, progress=progress)
    roles = ("sample sizes", "errors", "standard errors")
    read = ", ".join(f"{role} from {name!r}" for role, name in zip(roles, names, strict=False))
    notes = [table.reading] if table.reading else []
    notes.append(f"Read {read}.")
    ignored = [name for name in table.column_names if name not in names]
    if ignored:
        notes.append(f"Not used: {listed(ignored)}.")
    merged = int(np.sum(found.points.repeats - 1))
    if merged:
        notes.append(
            f"{len(values[0])} points of {len(found.points.n)} sizes: those of one size were "
            "merged."
        )
    elif np.any(np.diff(values[0]) < 0):
        notes.append("The points were sorted by their size.")
    return CurveRun(
        found, Path(table.name).name, choices.seed, time.monotonic() - started, tuple(notes)
    )


def curve_columns(table: Table) -> list[str]:
    """Columns of size, error and, if there is one, standard error.

    Raises TableError when they cannot be told.
    """
    columns = table.column_names
    plain = {name.strip().lower().replace(" ", "_"): name for name in reversed(columns)}
    named = {
        role: next((plain[alias] for alias in aliases if alias in plain), None)
        for role, aliases in NAMES.items()
    }
    size, error, spread = (named[role] for role in ("n", "error", "standard_error"))
    if size is None and error is None and len(columns) in (2, 3):
        return columns
    if size is None or error is None:
        missing = "sample sizes (call it n)" if size is None else "errors (call it error)"
        raise TableError(
            f"{table.name} has no column that is known to hold {missing}: its columns are "
            f"{listed(columns)}; name them n, error and, if measured, standard_error."
        )
    return [size, error] if spread is None else [size, error, spread]


def _values(table: Table, names: list[str]) -> list[np.ndarray]:
    blocks = list(table.blocks(names, MOST_POINTS))
    if not blocks:
        raise TableError(f"{table.name} holds no points; give one row for each size measured.")
    values = blocks[0].matrix(names).T
    bad = np.argwhere(np.isnan(values.T))
    if len(bad):
        row, column = bad[0]
        raise TableError(
            f"{table.name} has no value of {names[column]!r} in row {row + 1}; fill it in, or "
            "leave out the row (standard errors: the column)."
        )
    return list(values)
