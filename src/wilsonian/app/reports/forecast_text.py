"""What a forecast says, in sentences and in rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from wilsonian.support.number_text import format_count, format_number, format_percent

if TYPE_CHECKING:
    from wilsonian.app.runs.forecast import ForecastRun
    from wilsonian.theory.forecast.records import Band

WITNESS_NOTE = (
    "Each witness forecasts the error by itself. What it missed is by how much, per factor of two, "
    "it was off when it forecast the pilot's own error from parts of the pilot: the less, the more "
    "weight in the pool."
)
RIDGE_NOTE = (
    "The ridge is what to add to the diagonal of the kernel matrix of that many rows; the kernel "
    "stays as it is here."
)


def forecast_sentences(run: ForecastRun) -> list[str]:
    """The farthest size asked for, one more factor of two, and the floor."""
    found = run.forecast
    table, measured = found.table, found.measured
    quantity = "mean squared error" if table.error_rate is None else "error rate"
    band = table.error if table.error_rate is None else table.error_rate
    now = (measured.least() if table.error_rate is None else measured.least_wrong())[-1]
    form = format_number if table.error_rate is None else _percent
    n = f"{table.n[-1]:,.0f}"
    return [
        f"With {n} labels the {quantity} is forecast to be {form(band.median[-1])} "
        f"({_between(band, -1, form)}, 90% band); the {format_count(found.labels, 'label')} of the "
        f"pilot reach {form(now)}, each row left out in turn.",
        f"One more factor of two beyond {n} would remove "
        f"{format_percent(table.gain.median[-1], 2)} of the mean squared error "
        f"({_between(table.gain, -1, _percent)}).",
        "No number of labels brings the mean squared error below "
        f"{format_number(float(found.floor.median))} "
        f"({format_number(float(found.floor.lower))} to "
        f"{format_number(float(found.floor.upper))}), the noise as far as these labels tell it; "
        f"predicting the mean has {format_number(found.variance)}.",
    ]


def witness_sentence(run: ForecastRun) -> str:
    """Who says so."""
    best = run.forecast.witnesses[0]
    return (
        f"It is pooled of {len(run.forecast.witnesses)} witnesses; most weight has the {best.name} "
        f"({format_percent(best.weight, 2)})."
    )


def witness_rows(run: ForecastRun) -> tuple[list[str], list[list[str]]]:
    """Column names and text cells, one row per witness."""
    n = run.forecast.table.n[-1]
    names = ["witness", "weight", "missed", f"MSE at {n:,.0f}", "90% band"]
    rows = [
        [
            one.name,
            format_percent(one.weight, 2),
            format_percent(one.missed, 2),
            format_number(one.error.median[-1]),
            _between(one.error, -1, format_number),
        ]
        for one in run.forecast.witnesses
    ]
    return names, rows


def no_forecast(reason: str) -> str:
    """That there is none, for a reason that is a sentence of the library's."""
    return f"No forecast was made: {reason}"


def forecast_rows(run: ForecastRun) -> tuple[list[str], list[list[str]]]:
    """Column names and text cells, one row per size."""
    table = run.forecast.table
    names = ["labels", "MSE", "90% band", "one doubling removes", "90% band", "ridge"]
    if table.error_rate is not None:
        names[1:1] = ["error rate", "90% band"]
    rows = []
    for place, n in enumerate(table.n):
        cells = [f"{n:,.0f}"]
        if table.error_rate is not None:
            cells += [
                format_percent(table.error_rate.median[place]),
                _between(table.error_rate, place, format_percent),
            ]
        cells += [
            format_number(table.error.median[place]),
            _between(table.error, place, format_number),
            _percent(table.gain.median[place]),
            _between(table.gain, place, _percent),
            format_number(table.ridge[place]),
        ]
        rows.append(cells)
    return names, rows


def forecast_csv(run: ForecastRun) -> str:
    """The forecast as CSV with a header: the whole curve that is drawn, and the sizes asked for
    (`asked` is 1 there), in order of size."""
    names, parts = ["n", "ridge"], []
    table, curve = run.forecast.table, run.forecast.curve
    bands = [n for n in ("error", "gain", "error_rate") if getattr(table, n) is not None]
    for sizes, asked in ((table, 1.0), (curve, 0.0)):
        columns = [sizes.n, sizes.ridge]
        for name in bands:
            band = getattr(sizes, name)
            columns += [band.median, band.lower, band.upper]
        rows = np.array([*columns, np.full(len(sizes.n), asked)]).T
        parts.append(rows if asked else rows[~np.isin(sizes.n, table.n)])
    rows = np.concatenate(parts)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    for name in bands:
        names += [name, f"{name}_lower", f"{name}_upper"]
    lines = [",".join([*names, "asked"])]
    lines += [",".join([*map(repr, row[:-1]), str(int(row[-1]))]) for row in rows.tolist()]
    return "\n".join(lines) + "\n"


def _between(band: Band, place: int, form: Callable[[float], str]) -> str:
    return f"{form(band.lower[place])} to {form(band.upper[place])}"


def _percent(share: float) -> str:
    return format_percent(share, 2)
