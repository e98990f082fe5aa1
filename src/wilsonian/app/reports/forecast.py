"""The report of a forecast: its page, and its section on the page of a fit."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from wilsonian.app.reports.forecast_parts import describe_points, doubts, paragraphs
from wilsonian.app.reports.forecast_text import (
    RIDGE_NOTE,
    WITNESS_NOTE,
    forecast_rows,
    forecast_sentences,
    no_forecast,
    witness_rows,
)
from wilsonian.app.reports.page import document, headed_table, section, table_of
from wilsonian.app.reports.svg import Draw, Drawing
from wilsonian.app.runs.forecast import ForecastRun
from wilsonian.support.files import atomic_write
from wilsonian.support.number_text import format_count, format_number, format_percent
from wilsonian.theory.forecast.figure import ForecastLines, Quantity, plot_forecast

TITLE = "What would more labels buy?"


def forecast_section(run: ForecastRun, sentences: Sequence[str] | None = None) -> str:
    """Sentences (all of them when left out), doubts, figures and table of a forecast."""
    sentences = forecast_sentences(run) if sentences is None else sentences
    said = paragraphs(sentences) + doubts(run.forecast.diagnostics, "pilot")
    after = (
        f"<h3>The forecast by number of labels</h3>\n{paragraphs([RIDGE_NOTE])}"
        f"{headed_table(*forecast_rows(run))}"
        f"<h3>The witnesses</h3>\n{paragraphs([WITNESS_NOTE])}{headed_table(*witness_rows(run))}"
    )
    return section(TITLE, forecast_figures(run), said, after)


def refusal_section(reason: str) -> str:
    """That section when there is no forecast, which `reason` explains in one sentence."""
    said = f"<p>{html.escape(no_forecast(reason))}</p>\n"
    return f"<section>\n<h2>{TITLE}</h2>\n{said}</section>"


def forecast_figures(run: ForecastRun) -> list[Drawing]:
    """The error, and of classes first the error rate, against the number of labels."""
    caption = (
        "The green points are measured inside the pilot, the line and its band are forecast; where "
        "both are known they should agree."
    )
    quantities: dict[Quantity, str] = {"error": "Mean squared error"}
    if run.forecast.task == "classification":
        quantities = {"error_rate": "Error rate", **quantities}

    def draw(quantity: Quantity) -> Draw:
        return lambda ax, scale: plot_forecast(ax, run.forecast, quantity=quantity, scale=scale)

    return [
        Drawing(
            f"forecast-{quantity.replace('_', '-')}",
            f"{title} against labels",
            caption,
            draw(quantity),
            describe_points(
                ForecastLines.of_pilot(run.forecast, quantity),
                "label",
                format_number if quantity == "error" else format_percent,
            ),
            ("log", "linear"),
        )
        for quantity, title in quantities.items()
    ]


def forecast_html(run: ForecastRun) -> str:
    """The forecast as one self-contained HTML page; equal runs give equal pages."""
    return document(f"{run.name}: {run.target}", _parts(run))


def write_forecast_report(run: ForecastRun, path: str | os.PathLike[str]) -> Path:
    """Write the page, whole or not at all; raises FileError where that is impossible."""
    return atomic_write(path, forecast_html(run))


def _parts(run: ForecastRun) -> Iterator[str]:
    escape, found = html.escape, run.forecast
    facts = [format_count(found.labels, "label"), format_count(found.inputs, "input")]
    first, *others = forecast_sentences(run)
    yield (
        "<header>\n"
        f'<p class="kind">Forecast of the {found.task} of <b>{escape(run.target)}</b></p>\n'
        f"<h1>{escape(run.name)}</h1>\n"
        f'<p class="facts">{" · ".join(facts)}</p>\n'
        f'<p class="learned">{escape(first)}</p>\n</header>'
    )
    yield forecast_section(run, others)
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in run.notes)
    rows = [("Kernel", run.kernel), ("Random seed", str(run.seed))]
    yield (
        "<section>\n<h2>How it was made</h2>\n"
        f"{table_of('The run', rows)}\n"
        f"<h3>What was done to the table</h3>\n<ul>\n{notes}\n</ul>\n</section>"
    )
