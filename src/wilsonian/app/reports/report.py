"""The report of a run: one HTML page that needs no network, no server and no script."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from wilsonian.app.reports.page import page
from wilsonian.app.runs.records import RunRecord
from wilsonian.support.files import atomic_write


def report_html(record: RunRecord, further: Iterable[str] = ()) -> str:
    """The run as one self-contained HTML page; equal records give equal pages. `further` is the
    HTML of sections to add, such as :func:`wilsonian.app.reports.forecast.forecast_section`."""
    return page(record, further)


def write_report(
    record: RunRecord, path: str | os.PathLike[str], further: Iterable[str] = ()
) -> Path:
    """Write the page, whole or not at all; raises FileError where that is impossible."""
    return atomic_write(path, report_html(record, further))
