"""The flow of a model as rows of a table, for the console and for the page."""

from __future__ import annotations

import numpy as np

from wilsonian.app.runs.records import RunRecord
from wilsonian.support.number_text import format_number, format_percent


def flow_rows(record: RunRecord, most: int = 24) -> tuple[list[str], list[list[str]]]:
    """Column names and text cells of the flow: cutoffs evenly spaced in the logarithm of the modes
    kept, and the model's own, marked by a star."""
    flow, kept = record.flow, record.spectrum.kept
    count = len(flow.kept)
    if not count:
        return [*flow.columns()], []
    places = np.geomspace(1, count, min(most, count)).round().astype(int) - 1
    places = np.unique([*places, np.argmin(np.abs(flow.kept - kept)), count - 1])
    names = {"test_error": "error rate" if record.task == "classification" else "test rmse"}
    columns = flow.columns()
    header = [names.get(name, name.replace("_", " ")) for name in columns]
    rows = []
    for place in places:
        cells = [_cell(name, values[place]) for name, values in columns.items()]
        cells[0] = f"{'* ' if flow.kept[place] == kept else ''}{cells[0]}"
        rows.append(cells)
    return header, rows


def _cell(name: str, value: float) -> str:
    if name == "kept":
        return f"{int(value)}"
    if name == "evidence":
        return f"{value:,.2f}"
    return format_percent(value) if name == "learnability" else format_number(value, 4)
