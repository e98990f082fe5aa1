"""Rows that a table holds more than once, to the last digit."""

from __future__ import annotations

import numpy as np

from wilsonian.support.number_text import format_percent

SHARE = 0.02  # of the rows, from which on it is worth a sentence
MOSTLY = 0.5  # of the rows of equal inputs are equal in the target too, where they are copies
ROWS = 20_000  # of the sample, at most


def repeated_sentences(X: np.ndarray, y: np.ndarray) -> list[str]:
    """What exact copies do to a regression: two equal measurements of one point say that there is
    hardly any noise, while a row that was copied says nothing new. Inputs (rows, columns), targets
    (rows,). Nothing where other rows of equal inputs differ in the target: then all of them are
    measurements."""
    table = np.column_stack([X, y])[:ROWS]
    copies = len(table) - len(np.unique(table, axis=0))
    if copies < SHARE * len(table):
        return []
    inputs = len(table) - len(np.unique(table[:, :-1], axis=0))
    if copies < MOSTLY * inputs:
        return []
    return [
        f"{format_percent(copies / len(table))} of the rows repeat an earlier one to the last "
        "digit, target included. If they are copies and no second measurements, the noise is "
        "underrated and intervals are too narrow: drop them first."
    ]
