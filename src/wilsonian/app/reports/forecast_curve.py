"""The page of a forecast from a measured curve."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path

from wilsonian.app.reports.forecast_curve_text import (
    candidate_rows,
    curve_rows,
    curve_sentences,
)
from wilsonian.app.reports.forecast_parts import describe_points, doubts, paragraphs
from wilsonian.app.reports.page import document, headed_table, section, table_of
from wilsonian.app.reports.svg import Drawing
from wilsonian.app.runs.forecast_curve import CurveRun
from wilsonian.support.files import atomic_write
from wilsonian.support.number_text import format_count, format_number
from wilsonian.theory.forecast.figure import ForecastLines, plot_curve_forecast

CAPTION = (
    "The green points are measured, with one standard error to each side; the line and its band "
    "are forecast, and should run through them."
)


def curve_html(run: CurveRun) -> str:
    """The forecast as one self-contained HTML page; equal runs give equal pages."""
    return document(f"{run.name}: forecast", _parts(run))


def write_curve_report(run: CurveRun, path: str | os.PathLike[str]) -> Path:
    """Write the page, whole or not at all; raises FileError where that is impossible."""
    return atomic_write(path, curve_html(run))


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
    said = paragraphs(others) + doubts(found.diagnostics, "curve")
    after = (
        f"<h3>The forecast by number of samples</h3>\n{headed_table(*curve_rows(run))}"
        f"<h3>The candidates</h3>\n<p>Each has its own forecast; its weight is its evidence, how "
        "well it foretells the points before they are seen.</p>\n"
        f"{headed_table(*candidate_rows(run))}"
    )
    drawing = Drawing(
        "forecast-curve",
        "Error against samples",
        CAPTION,
        lambda ax, scale: plot_curve_forecast(ax, found, scale=scale),
        describe_points(ForecastLines.of_curve(found), "sample", format_number),
        ("log", "linear"),
    )
    yield section("What would more samples buy?", [drawing], said, after)
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in run.notes)
    yield (
        "<section>\n<h2>How it was made</h2>\n"
        f"{table_of('The run', [('Random seed', str(run.seed))])}\n"
        f"<h3>What was read</h3>\n<ul>\n{notes}\n</ul>\n</section>"
    )
