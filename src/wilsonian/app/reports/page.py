"""The report of a run: one HTML page that needs no network, no server and no script. Everything
that comes from the user's table is escaped."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.app.reports.figures import (
    SHOWN_MODES,
    flow_figures,
    mode_figures,
    quality_figures,
    spectrum_figures,
)
from wilsonian.app.reports.flow_text import flow_rows
from wilsonian.app.reports.svg import Drawing, Render, Rendering, render
from wilsonian.app.reports.text import (
    GLOSSARY,
    Headline,
    cutoff_sentence,
    headlines,
    learned_sentence,
)
from wilsonian.app.reports.verdicts import (
    LONGEST_NAME,
    error_sentence,
    evidence_sentence,
    verdicts,
)
from wilsonian.app.runs.records import RunRecord
from wilsonian.support.axes import shorten
from wilsonian.support.files import atomic_write
from wilsonian.support.number_text import format_count, format_number

LISTED_VALUES = 8

# Nothing is fetched from anywhere, whatever a name in the table says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def report_html(record: RunRecord, further: Iterable[str] = (), rendered: Render = render) -> str:
    """The run as one self-contained HTML page; equal records give equal pages. `further` is the
    HTML of sections to add, such as :func:`wilsonian.app.reports.forecast.forecast_section`;
    `rendered` makes its figures, as :func:`wilsonian.app.reports.svg.render` does."""
    names = (shorten(name, LONGEST_NAME) for name in (record.name, record.target))
    return document(": ".join(names), _parts(record, further, rendered))


def write_report(
    record: RunRecord,
    path: str | os.PathLike[str],
    further: Iterable[str] = (),
    rendered: Render = render,
) -> Path:
    """Write the page, whole or not at all; raises FileError where that is impossible."""
    return atomic_write(path, report_html(record, further, rendered))


def document(title: str, parts: Iterable[str]) -> str:
    """A page of its own from a title, which is escaped, and the HTML of its parts."""
    title = html.escape(title)
    files = resources.files("wilsonian.app.reports")
    style = (files / "report.css").read_text(encoding="utf-8")
    script = (files / "report.js").read_text(encoding="utf-8")
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _parts(record: RunRecord, further: Iterable[str], rendered: Render) -> Iterable[str]:
    yield _header(record)
    yield _numbers(headlines(record))
    quality = quality_figures(record)
    yield section("How good are the predictions?", quality, rendered=rendered)
    theory = [*spectrum_figures(record), *flow_figures(record)]
    found = (learned_sentence(record), cutoff_sentence(record), evidence_sentence(record))
    said = "".join(f"<p>{html.escape(sentence)}</p>\n" for sentence in found if sentence)
    title = "What was learned, and where is the cutoff?"
    said += glossary(GLOSSARY)
    yield section(title, theory, said, _flow_table(record), rendered=rendered)
    yield _modes(record, rendered)
    yield from further
    yield _details(record)


def _flow_table(record: RunRecord) -> str:
    names, rows = flow_rows(record)
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        "<details>\n<summary>The flow as a table (* is the cutoff)</summary>\n"
        f'<table class="flow">\n<tr>{head}</tr>\n{body}\n</table>\n</details>\n'
    )


def _header(record: RunRecord) -> str:
    escape = html.escape
    facts = [
        f"{format_count(record.rows, 'training row')}",
        f"{format_count(record.test_rows, 'held-out row')}",
        f"{format_count(record.columns, 'input column')}",
    ]
    said = "".join(f"<p>{escape(sentence)}</p>\n" for sentence in verdicts(record))
    target, name = shorten(record.target, LONGEST_NAME), shorten(record.name, LONGEST_NAME)
    return (
        "<header>\n"
        f'<p class="kind">Gaussian-process {record.task} of <b>{escape(target)}</b></p>\n'
        f"<h1>{escape(name)}</h1>\n"
        f'<p class="facts">{" · ".join(facts)}</p>\n'
        f'<p class="learned">{escape(error_sentence(record))}</p>\n'
        f"{said}</header>"
    )


def _numbers(numbers: list[Headline]) -> str:
    cards = "\n".join(
        f"<div><dt>{html.escape(number.label)}</dt>"
        f'<dd class="value">{html.escape(number.value)}</dd>'
        f'<dd class="meaning">{html.escape(number.meaning)}</dd></div>'
        for number in numbers
    )
    return f'<dl class="numbers">\n{cards}\n</dl>'


def section(
    title: str,
    drawings: list[Drawing],
    before: str = "",
    after: str = "",
    layout: str = "figures",
    rendered: Render = render,
) -> str:
    """Figures under a heading, with HTML before and after them; nothing without figures.

    `layout` is a class of the style sheet: "figures" in two columns, "modes" as small pictures.
    """
    if not drawings:
        return ""
    figures = "\n".join(_figure(drawing, rendered) for drawing in drawings)
    return (
        f"<section>\n<h2>{title}</h2>\n{before}"
        f'<div class="{layout}">\n{figures}\n</div>\n{after}</section>'
    )


def _figure(drawing: Drawing, rendered: Render) -> str:
    renderings = [rendered(drawing, scale) for scale in drawing.scales]
    panels = "".join(_panel(rendering, index == 0) for index, rendering in enumerate(renderings))
    buttons = ""
    if len(renderings) > 1:
        buttons = "".join(
            f'<button type="button" data-scale="{rendering.scale}" '
            f'aria-pressed="{str(index == 0).lower()}">{rendering.scale}</button>'
            for index, rendering in enumerate(renderings)
        )
        # Shown by the script, without which it would do nothing.
        buttons = f'<div class="scales" role="group" aria-label="Axes" hidden>{buttons}</div>'
    return (
        f'<figure id="{drawing.name}">\n<div class="head"><h3>{html.escape(drawing.title)}</h3>'
        f"{buttons}</div>\n{panels}"
        f"<figcaption>{html.escape(drawing.caption)}</figcaption>\n</figure>"
    )


def _panel(rendering: Rendering, shown: bool) -> str:
    hidden = "" if shown else " hidden"
    points = ""
    if rendering.points:
        # `<` could end the script element or open a comment in it.
        text = json.dumps(rendering.points, ensure_ascii=False, separators=(",", ":"))
        text = text.replace("<", "\\u003c")
        points = f'<script type="application/json">{text}</script>'
    return (
        f'<div class="panel" data-scale="{rendering.scale}"{hidden}>{rendering.svg}{points}</div>\n'
    )


def _modes(record: RunRecord, rendered: Render) -> str:
    drawings = mode_figures(record)
    if not drawings:
        return ""
    pictures = "\n".join(
        f"<figure>{rendered(drawing, 'log').svg}<figcaption><b>{html.escape(drawing.title)}</b>"
        f"<br>{html.escape(drawing.caption)}</figcaption></figure>"
        for drawing in drawings
    )
    images = record.mode_images
    channels = ", its channels side by side" if images is not None and images.ndim == 4 else ""
    more = f" (the first {SHOWN_MODES})" if images is not None and len(images) > SHOWN_MODES else ""
    return (
        "<section>\n<h2>What do the modes look like?</h2>\n"
        f"<p>Each picture is the pattern a mode follows{channels}{more}: it grows with the red "
        "pixels and falls with the blue ones.</p>\n"
        f'<div class="modes{" wide" if channels else ""}">\n{pictures}\n</div>\n</section>'
    )


def _details(record: RunRecord) -> str:
    measure = {
        "population": "population: modes of the distribution the rows come from",
        "sample": "sample: modes of the training rows themselves",
    }[record.measure]
    rows = [
        ("Kernel", record.kernel),
        *((name, describe_value(value)) for name, value in flatten(record.hyperparameters)),
    ]
    run = [
        ("Optimizer", record.convergence),
        ("Inducing points", f"{record.rank:,}. {record.rank_status}"),
        *([("Eliminated modes", record.correction)] if record.correction else []),
        ("Measure", measure),
        ("Random seed", str(record.seed)),
    ]
    notes = "\n".join(f"<li>{html.escape(note)}</li>" for note in record.notes)
    table = f"<h3>What was done to the table</h3>\n<ul>\n{notes}\n</ul>\n" if notes else ""
    return (
        "<section>\n<h2>How it was fitted</h2>\n"
        f"{table_of('Kernel and hyperparameters, as learned', rows, code=True)}\n"
        f"{table_of('The run', run)}\n{table}</section>"
    )


def table_of(title: str, rows: list[tuple[str, str]], code: bool = False) -> str:
    """A titled table of names and values, escaped."""
    opening, closing = ("<code>", "</code>") if code else ("", "")
    lines = "\n".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f"<td>{opening}{html.escape(value)}{closing}</td></tr>"
        for name, value in rows
    )
    return f"<h3>{title}</h3>\n<table>\n{lines}\n</table>"


def headed_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a head, escaped."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>\n"


def glossary(words: Mapping[str, str]) -> str:
    """What words mean, folded away."""
    entries = "\n".join(
        f"<dt>{html.escape(word)}</dt><dd>{html.escape(meaning)}</dd>"
        for word, meaning in words.items()
    )
    return f"<details>\n<summary>Words used here</summary>\n<dl>\n{entries}\n</dl>\n</details>"


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Names and values of nested dictionaries, inner names behind a dot."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def describe_value(value: Any) -> str:
    """A hyperparameter as text; a long array by its ends and its range."""
    if isinstance(value, str | bool) or value is None:
        return str(value)
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0:
        items = list(np.asarray(value, dtype=object).ravel())
        shown = ", ".join(describe_value(item) for item in items[:LISTED_VALUES])
        if len(items) <= LISTED_VALUES:
            return f"[{shown}]"
        try:
            numbers = np.asarray(items, float)
        except (TypeError, ValueError):
            return f"[{shown}, …] ({len(items):,} values)"
        low, high = format_number(np.nanmin(numbers)), format_number(np.nanmax(numbers))
        return f"[{shown}, …] ({len(items):,} values from {low} to {high})"
    try:
        return format_number(value, 4)
    except (TypeError, ValueError):
        return str(value)
