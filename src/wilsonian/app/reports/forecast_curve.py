"""The page of a forecast from a measured curve."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wilsonian.app.reports.forecast_curve_text import (
    candidate_rows,
    curve_rows,
    curve_sentences,
)
from wilsonian.app.reports.page import document, section, table_of
from wilsonian.app.reports.svg import Drawing
from wilsonian.app.runs.forecast_curve import CurveRun
from wilsonian.support.files import atomic_write
from wilsonian.support.number_text import format_count, format_number
from wilsonian.theory.forecast.curve_figure import plot_curve_forecast

CAPTION = (
    "The green points are measured, with one standard error to each side; the line and its band "
    "are forecast, and should run through them."
)


def curve_html(run: CurveRun) -> str:
    """The forecast as one self-contained HTML page; equal runs give equal pages."""
    return document(f"{run.name}: forecast", _parts(run))


def write_curve_report(run: CurveRun, path: str | os.PathLike[str]) -> Path:
    """Write the page to `path`, whole or not at all, and return where it is.

    Raises FileError, with what to try, when the folder is missing or cannot be written to.
    """
    path = Path(path)
    atomic_write(path, curve_html(run))
    return path


def _parts(run: CurveRun) -> Iterator[str]:
    escape, found = html.escape, run.forecast
    first, *others = curve_sentences(run)
    sizes = format_count(len(found.points.n), "size")
    yield (
        "<header>\n"
        '<p class="kind">Forecast from a measured learning curve</p>\n'
        f"<h1>{escape(run.name)}</h1>\n"
        f'<p class="facts">{sizes} · {found.points.n[0]:,g} to '
        f"{found.points.n[-1]:,g} samples</p>\n"
        f'<p class="learned">{escape(first)}</p>\n</header>'
    )
    judged = "<p>Nothing in the curve speaks against this forecast.</p>\n"
    if found.diagnostics:
        doubts = "".join(f"<li>{escape(doubt)}</li>\n" for doubt in found.diagnostics)
        judged = f"<h3>Why to be careful</h3>\n<ul>\n{doubts}</ul>\n"
    said = "".join(f"<p>{escape(sentence)}</p>\n" for sentence in others)
    after = (
        f"<h3>The forecast by number of samples</h3>\n{_table(*curve_rows(run))}"
        f"<h3>The candidates</h3>\n<p>Each has its own forecast; its weight is its evidence, how "
        "well it foretells the points before they are seen.</p>\n"
        f"{_table(*candidate_rows(run))}"
    )
    drawing = Drawing(
        "forecast-curve",
        "Error against samples",
        CAPTION,
        lambda ax, scale: plot_curve_forecast(ax, found, scale=scale),
        lambda n, value: _describe(run, n, value),
        ("log", "linear"),
    )
    yield section("What would more samples buy?", [drawing], said + judged, after)
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in run.notes)
    yield (
        "<section>\n<h2>How it was made</h2>\n"
        f"{table_of('The run', [('Random seed', str(run.seed))])}\n"
        f"<h3>What was read</h3>\n<ul>\n{notes}\n</ul>\n</section>"
    )


def _describe(run: CurveRun, n: float, value: float) -> str:
    found = run.forecast
    title = format_count(round(n), "sample")
    if np.any((found.points.n == n) & (found.points.error == value)):
        return f"{title}\nmeasured {format_number(value)}"
    place = int(np.argmin(np.abs(np.log(found.fine_n / n))))
    low, high = format_number(found.fine.lower[place]), format_number(found.fine.upper[place])
    return f"{title}\nforecast {format_number(value)}\n90% band {low} to {high}"


def _table(names: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>\n"
