"""What a forecast from a measured curve says, in sentences and in rows of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wilsonian.support.number_text import format_number, format_percent

if TYPE_CHECKING:
    from wilsonian.app.runs.forecast_curve import CurveRun
    from wilsonian.theory.forecast.records import Band

LEAST_WEIGHT = 0.005  # of a candidate that is listed with more than "under 1%"


def curve_sentences(run: CurveRun) -> list[str]:
    """The farthest size asked for, what believes so, one more factor of two, the own test."""
    found, points = run.forecast, run.forecast.points
    n = f"{found.n[-1]:,.0f}"
    best = found.candidates[0]
    floor = (
        "No floor shows: for all that these points tell the error may fall to zero."
        if found.floor.lower < 0.05 * found.median[-1]
        else "No number of samples is expected to bring it below "
        f"{format_number(float(found.floor.median))} ({_ends(found.floor)}, 90% band)."
    )
    said = [
        f"With {n} samples the error is forecast to be {format_number(found.median[-1])} "
        f"({_ends(found.band, -1)}, 90% band); the last size measured, {points.n[-1]:,g}, has "
        f"{format_number(points.error[-1])}.",
        f"One more factor of two beyond {n} would remove {_share(found.gain.median[-1])} of it "
        f"({_share(found.gain.lower[-1])} to {_share(found.gain.upper[-1])}). {floor}",
        f"Of {len(found.candidates)} candidates the most credible is the {best.name} "
        f"({_weight(best.weight)} of the weight); the band holds all of them by their weight.",
    ]
    check = found.left_out
    if check is not None:
        last = f"{check.n[-1]:,g}"
        said.append(
            f"As a test, the sizes below {check.n[0]:,g} alone forecast "
            f"{format_number(check.error.median[-1])} at {last} samples "
            f"({_ends(check.error, -1)}); measured is {format_number(check.measured[-1])}."
        )
    return said


def curve_rows(run: CurveRun) -> tuple[list[str], list[list[str]]]:
    """Column names and text cells, one row per size."""
    found = run.forecast
    rows = [
        [
            f"{n:,.0f}",
            format_number(found.median[place]),
            _ends(found.band, place),
            _share(found.gain.median[place]),
            f"{_share(found.gain.lower[place])} to {_share(found.gain.upper[place])}",
        ]
        for place, n in enumerate(found.n)
    ]
    return ["samples", "error", "90% band", "one doubling removes", "90% band"], rows


def candidate_rows(run: CurveRun) -> tuple[list[str], list[list[str]]]:
    """Column names and text cells, one row per candidate."""
    found = run.forecast
    names = ["candidate", "weight", f"error at {found.n[-1]:,.0f}", "90% band"]
    if found.left_out is not None:
        names.append("forecast of the last point")
    rows = []
    for one in found.candidates:
        cells = [one.name, _weight(one.weight), format_number(one.error.median[-1])]
        cells.append(_ends(one.error, -1))
        if found.left_out is not None:
            cells.append(format_number(one.left_out))
        rows.append(cells)
    return names, rows


def curve_csv(run: CurveRun) -> str:
    """Measured points, curve and sizes asked for, as CSV with a header; `kind` says which."""
    found, points = run.forecast, run.forecast.points
    lines = ["kind,n,error,lower,upper"]
    spread = points.standard_error
    for place, (n, error) in enumerate(zip(points.n.tolist(), points.error.tolist(), strict=True)):
        ends = ["", ""]
        if spread is not None:
            ends = [repr(float(error + sign * 1.645 * spread[place])) for sign in (-1, 1)]
        lines.append(",".join(["measured", repr(n), repr(error), *ends]))
    for kind, sizes, band in (
        ("curve", found.fine_n, found.fine),
        ("forecast", found.n, found.band),
    ):
        columns = np.array([sizes, band.median, band.lower, band.upper]).T.tolist()
        lines += [",".join([kind, *map(repr, row)]) for row in columns]
    return "\n".join(lines) + "\n"


def curve_summary(run: CurveRun) -> str:
    """The forecast in a few lines of plain language, without its table."""
    found = run.forecast
    lines = [
        f"{run.name}: a curve of {len(found.points.n)} sizes up to {found.points.n[-1]:,g} samples",
        "",
        *curve_sentences(run),
        *(f"Careful: {doubt}" for doubt in found.diagnostics),
        "",
        *run.notes,
    ]
    return "\n".join(lines)


def _ends(band: Band, place: int | tuple[()] = ()) -> str:
    return f"{format_number(float(band.lower[place]))} to {format_number(float(band.upper[place]))}"


def _share(value: float) -> str:
    """A share as a percentage; below a thousandth it is nothing."""
    return format_percent(0.0 if abs(value) < 1e-3 else value, 2)


def _weight(weight: float) -> str:
    return "under 1%" if weight < LEAST_WEIGHT else f"{100 * weight:.0f}%"
