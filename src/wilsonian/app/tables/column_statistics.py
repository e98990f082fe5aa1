"""What one pass over the training rows learns about their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wilsonian.app.tables.blocks import Block, TableError, as_option, reads_as_number

MOST_LEVELS = 1_000_000  # a text column with more would fill the memory with its counts


def finite_matrix(block: Block, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Numeric columns as float64 with NaN for missing, and where they are missing, if anywhere.

    Raises TableError at an infinity, naming its column and row.
    """
    values = block.matrix(names)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):  # one pass settles the usual case
            return values, None
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0]
        raise TableError(
            f"column {names[column]!r} is infinite in row {block.row_numbers[row] + 1}; replace "
            "infinities, or leave the cell empty if the value is missing."
        )
    missing = np.isnan(values)
    return values, missing if missing.any() else None


class Moments:
    """Count, mean, sum of squared deviations and range of columns, over their present values.

    Blocks are merged by Chan, Golub and LeVeque's formula, so that columns far from zero keep
    their variance.
    """

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.count = np.zeros(columns)
        self.mean = np.zeros(columns)
        self.deviation = np.zeros(columns)
        self.low = np.full(columns, np.inf)
        self.high = np.full(columns, -np.inf)

    def update(self, values: np.ndarray, missing: np.ndarray | None) -> None:
        """Add a block, (rows, columns), with NaN where `missing` is true."""
        rows = len(values)
        if not rows:
            return
        if missing is None:
            count = np.full(values.shape[1], float(rows))
            low, high = values.min(axis=0), values.max(axis=0)
        else:
            count = rows - missing.sum(axis=0).astype(float)
            low = np.where(missing, np.inf, values).min(axis=0)
            high = np.where(missing, -np.inf, values).max(axis=0)
            values = np.where(missing, 0.0, values)
        divisor = np.maximum(count, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = values.sum(axis=0) / divisor
            centred = values - mean
            if missing is not None:
                centred[missing] = 0.0
            # What rounding left of the mean; without it, columns far from zero lose digits.
            rest = centred.sum(axis=0)
            mean = mean + rest / divisor
            deviation = np.einsum("ij,ij->j", centred, centred) - rest**2 / divisor
            total = np.maximum(self.count + count, 1.0)
            step = np.where(count > 0, mean - self.mean, 0.0)
            self.mean = self.mean + step * (count / total)
            self.deviation = self.deviation + deviation + step**2 * (self.count * count / total)
        self.count = self.count + count
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.rows += rows

    @property
    def missing(self) -> np.ndarray:
        return self.rows - self.count

    @property
    def constant(self) -> np.ndarray:
        """Columns with one distinct value or none, or a spread too small for a float."""
        return (self.low >= self.high) | (self.deviation <= 0)

    def standard_deviation(self) -> np.ndarray:
        """Of the population, that is divided by the count."""
        return np.sqrt(np.maximum(self.deviation, 0.0) / np.maximum(self.count, 1.0))

    def root_mean_square(self, columns: np.ndarray) -> float:
        """Of all present values in `columns` (a mask) together."""
        squares = self.deviation + self.count * self.mean**2
        return float(np.sqrt(squares[columns].sum() / max(self.count[columns].sum(), 1.0)))


class LevelCounts:
    """How often each level of a column occurs, and in which row (from 0) it was seen first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[str, int] = {}
        self.first_rows: dict[str, int] = {}
        self.missing = 0

    def update(self, block: Block) -> np.ndarray:
        """Add a block; return the mask of its rows with a value."""
        if block.is_number(self.name):
            finite_matrix(block, [self.name])
        codes, texts = block.levels(self.name)
        distinct, first, counts = np.unique(codes, return_index=True, return_counts=True)
        for code, row, count in zip(distinct, block.row_numbers[first], counts, strict=True):
            if code < 0:
                self.missing += int(count)
                continue
            level = texts[code]
            self.counts[level] = self.counts.get(level, 0) + int(count)
            self.first_rows.setdefault(level, int(row))
        if len(self.counts) > MOST_LEVELS:
            raise TableError(
                f"column {self.name!r} has more than {MOST_LEVELS:,} distinct values; leave it "
                f"out with --drop {as_option(self.name)}."
            )
        return codes >= 0

    @property
    def present(self) -> int:
        return sum(self.counts.values())

    @property
    def is_identifier(self) -> bool:
        """More than 50 distinct values, and more than half of the values are distinct."""
        return len(self.counts) > 50 and 2 * len(self.counts) > self.present

    @property
    def mostly_numbers(self) -> bool:
        numbers = sum(count for level, count in self.counts.items() if reads_as_number(level))
        return 2 * numbers > self.present

    def first_word(self) -> tuple[str, int] | None:
        """The first level that does not read as a number and its row (from 0)."""
        words = [
            (row, level) for level, row in self.first_rows.items() if not reads_as_number(level)
        ]
        return min(words)[::-1] if words else None

    def most_frequent(self, most: int) -> list[str]:
        """At most `most` levels, the most frequent first and ties in alphabetical order."""
        return sorted(self.counts, key=lambda level: (-self.counts[level], level))[:most]
