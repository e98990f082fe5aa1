"""What the pages of both kinds of forecast share: doubts, and the words at a point."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import numpy as np

from wilsonian.app.reports.svg import Describe
from wilsonian.support.number_text import format_count
from wilsonian.theory.forecast.figure import ForecastLines


def paragraphs(sentences: Sequence[str]) -> str:
    """One each, escaped."""
    return "".join(f"<p>{html.escape(sentence)}</p>\n" for sentence in sentences)


def doubts(diagnostics: Sequence[str], source: str) -> str:
    """Why to be careful, or that nothing in the `source` says so."""
    if not diagnostics:
        return f"<p>Nothing in the {source} speaks against this forecast.</p>\n"
    listed = "".join(f"<li>{html.escape(doubt)}</li>\n" for doubt in diagnostics)
    return f"<h3>Why to be careful</h3>\n<ul>\n{listed}</ul>\n"


def describe_points(lines: ForecastLines, noun: str, form: Callable[[float], str]) -> Describe:
    """What the reader is told at a point of the figure."""

    def describe(n: float, value: float) -> str:
        title = format_count(round(n), noun)
        if np.any((lines.measured_n == n) & (lines.measured == value)):
            return f"{title}\nmeasured {form(value)}"
        place = int(np.argmin(np.abs(np.log(lines.n / n))))
        low, high = form(lines.band.lower[place]), form(lines.band.upper[place])
        return f"{title}\nforecast {form(value)}\n90% band {low} to {high}"

    return describe
