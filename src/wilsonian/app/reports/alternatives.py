"""What a figure shows, in a sentence for those who cannot see it: numbers read off the record."""

from __future__ import annotations

import numpy as np

from wilsonian.app.runs.calibration import interval_coverage
from wilsonian.app.runs.records import PredictionRecord
from wilsonian.regression.processes.records import FlowRecord, SpectrumRecord
from wilsonian.support.axes import shorten
from wilsonian.support.number_text import format_count, format_number, format_percent

NAMES = {"ridge": "predicted ridge", "evidence": "log evidence", "test_error": "held-out error"}


def predictions(record: PredictionRecord) -> str:
    """Of predicted against true."""
    true, mean = np.asarray(record.true, float), np.asarray(record.mean, float)
    inside = np.abs(true - mean) <= 1.96 * np.asarray(record.std, float)
    return (
        f"{format_count(len(true), 'row')}: true values from {format_number(true.min())} to "
        f"{format_number(true.max())}, predictions from {format_number(mean.min())} to "
        f"{format_number(mean.max())}; {format_percent(inside.mean())} of the bars hold the truth"
    )


def coverage(record: PredictionRecord) -> str:
    """Of the coverage of intervals."""
    levels = np.array([0.5, 0.9, 0.95])
    held = zip(levels, interval_coverage(record, levels), strict=True)
    return ", ".join(f"{format_percent(a)} intervals hold {format_percent(b)}" for a, b in held)


def confusion(counts: np.ndarray, names: list[str]) -> str:
    """Of a confusion matrix."""
    wrong = counts - np.diag(np.diagonal(counts))
    right = f"{int(np.trace(counts)):,} of {format_count(int(counts.sum()), 'row')} are right"
    if not wrong.any():
        return right
    row, column = np.unravel_index(np.argmax(wrong), wrong.shape)
    return (
        f"{right}; most often confused: {int(wrong[row, column]):,} of true "
        f"{shorten(names[row], 40)} predicted as {shorten(names[column], 40)}"
    )


def reliability(table: np.ndarray) -> str:
    """Of accuracy against stated confidence."""
    filled = table[table[:, 0] > 0]
    return "; ".join(
        f"stated {format_percent(stated, 2)}, right {format_percent(right, 2)} of "
        f"{format_count(int(rows), 'row')}"
        for rows, stated, right in filled
    )


def spectrum(record: SpectrumRecord) -> str:
    """Of a spectrum with its cutoff."""
    eigenvalues = record.eigenvalues
    if not len(eigenvalues):
        return "No modes were resolved"
    return (
        f"{format_count(len(eigenvalues), 'eigenvalue')} from {format_number(eigenvalues[0])} down "
        f"to {format_number(eigenvalues[-1])}; the cutoff keeps {record.kept:,}"
    )


def flow(record: FlowRecord, column: str, kept: int) -> str:
    """Of a column of the flow."""
    values = np.asarray(record.columns()[column], float)
    if not len(values) or not np.isfinite(values).any():
        return "Nothing was recorded"
    place = int(np.argmin(np.abs(np.asarray(record.kept) - kept)))
    ends = [(record.kept[i], values[i]) for i in (0, place, len(values) - 1)]
    told = ", ".join(f"{format_number(value)} with {int(n):,} modes" for n, value in ends)
    return f"The {NAMES[column]} is {told}; the cutoff keeps {kept:,}"
