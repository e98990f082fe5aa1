"""The page of a network's information: what was learned, what may go, and at what price."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wilsonian.app.figures.information_figures import (
    plot_calibration_flow,
    plot_information,
    plot_prices,
    plot_shares,
)
from wilsonian.app.reports.information_text import (
    GLOSSARY,
    information_headlines,
    information_sentences,
    price_rows,
)
from wilsonian.app.reports.page import document, glossary, headed_table, section, table_of
from wilsonian.app.reports.svg import Drawing
from wilsonian.app.runs.information import InformationRun
from wilsonian.information.validity import LARGEST_COST
from wilsonian.support.files import atomic_write
from wilsonian.support.number_text import format_count, format_number


def information_html(run: InformationRun) -> str:
    """The page, self-contained; equal runs give equal pages."""
    return document(run.name, _parts(run))


def write_information_report(run: InformationRun, path: str | os.PathLike[str]) -> Path:
    """Write the page, whole or not at all; raises FileError where that is impossible."""
    return atomic_write(path, information_html(run))


def _parts(run: InformationRun) -> Iterator[str]:
    escape = html.escape
    first, second, *others = information_sentences(run)
    facts = [
        format_count(run.parameters, "parameter"),
        format_count(run.examples, "training example"),
        format_count(run.outputs, "output"),
    ]
    yield (
        "<header>\n"
        f'<p class="kind">Information of a trained network ({escape(run.task)})</p>\n'
        f"<h1>{escape(run.name)}</h1>\n"
        f'<p class="facts">{" · ".join(facts)}</p>\n'
        f'<p class="learned">{escape(first)}</p>\n<p>{escape(second)}</p>\n</header>'
    )
    cards = "\n".join(
        f"<div><dt>{escape(number.label)}</dt>"
        f'<dd class="value">{escape(number.value)}</dd>'
        f'<dd class="meaning">{escape(number.meaning)}</dd></div>'
        for number in information_headlines(run)
    )
    yield f'<dl class="numbers">\n{cards}\n</dl>'
    diagnostics = "".join(f"<li>{escape(text)}</li>\n" for text in run.diagnostics)
    if diagnostics:
        yield f"<section>\n<h2>Why to be careful</h2>\n<ul>\n{diagnostics}</ul>\n</section>"
    *others, halves = (f"<p>{escape(sentence)}</p>\n" for sentence in others)
    yield section("What was learned, and where is the cutoff?", _spectrum(run), halves)
    yield section("What may be removed, at what price?", _prices(run), "".join(others), _table(run))
    rows = [
        ("Prior", run.prior),
        ("Scope", run.scope),
        ("Route", run.route),
        (
            "Training loss",
            f"{format_number(run.prices.loss)} nats per example, standard error "
            f"{format_number(run.prices.standard_error, 2)}",
        ),
        ("Seconds", format_number(run.seconds)),
    ]
    yield (
        f"<section>\n<h2>How it was computed</h2>\n{table_of('The run', rows)}\n"
        f"<h3>The routes and their costs</h3>\n<pre>{escape(run.plan)}</pre>\n</section>"
    )
    yield glossary(GLOSSARY)


def _spectrum(run: InformationRun) -> list[Drawing]:
    def describe(rank: float, value: float) -> str:
        place = round(rank) - 1
        text = f"direction {round(rank):,}\nk = {format_number(value)}"
        if place < len(run.support) and value == run.information[place]:
            text += f"\ncarried by {format_number(run.support[place])} examples"
        return text

    return [
        Drawing(
            "information-spectrum",
            "Information of every direction",
            "Above the dashed line, k = 1, the data say more than the prior. Grey: directions "
            "found on half of the examples, with what the other half says about them.",
            lambda ax, scale: plot_information(ax, run.information, run.support, run.halves),
            describe,
        ),
        Drawing(
            "information-shares",
            "Where the information sits",
            "Informed directions by layer (they add up to the degrees of freedom), beside the "
            "number of parameters there.",
            lambda ax, scale: plot_shares(ax, run.shares, run.sizes),
        ),
    ]


def _prices(run: InformationRun) -> list[Drawing]:
    prices = run.prices

    def describe(scale: float, value: float) -> str:
        row = int(np.argmin(np.abs(np.log(prices.scales / scale))))
        return (
            f"cutoff {format_number(prices.scales[row])}: {int(prices.kept[row]):,} kept\n"
            f"{format_number(value, 2)} nats per example"
        )

    found = [
        Drawing(
            "information-prices",
            "The price list",
            "The line is predicted from gradient and curvature; squares and circles are measured. "
            "A cross says that the network does not agree with the prediction, or that it is too "
            f"large for one (above {LARGEST_COST} nats).",
            lambda ax, scale: plot_prices(ax, prices),
            describe,
        )
    ]
    held_out = prices.held_out
    if held_out is not None and np.isfinite(held_out.uncut_nll):
        found.append(
            Drawing(
                "information-calibration",
                "Held-out predictions under the cutoff",
                "Lower is better. Where the dashed line lies above the dotted one, the uncertainty "
                "of this prior makes predictions worse, cut or not.",
                lambda ax, scale: plot_calibration_flow(ax, prices.scales, held_out),
            )
        )
    return found


def _table(run: InformationRun) -> str:
    note = (
        "Costs in nats per example. Removed directions go to the prior's mean; a price is valid "
        "where the measured one lies within half of the predicted, or within the standard error of "
        f"the mean loss, and the predicted is below {LARGEST_COST} nats."
    )
    return (
        f"<h3>The price list</h3>\n<p>{html.escape(note)}</p>\n"
        f'<div style="overflow-x:auto">{headed_table(*price_rows(run))}</div>\n'
    )
