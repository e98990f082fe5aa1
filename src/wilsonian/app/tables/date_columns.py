"""A column of dates as numbers: days since the first, weekday, hour."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.app.tables.column_statistics import Moments
from wilsonian.app.tables.dates import ISO

PARTS = ("days", "weekday", "hour")
_LENGTHS = {"weekday": 7.0, "hour": 24.0}


@dataclasses.dataclass(frozen=True)
class DateColumn:
    r"""Features of a date :math:`t`, in days since 1970.

    `days`: :math:`(t - t_0 - \text{shift}) / \text{scale}`, where :math:`t_0` is the `first` date
    of training; `weekday` and `hour`: :math:`\sin, \cos(2 \pi w / 7)` with Monday 0, and of
    :math:`2 \pi h / 24`, so that Sunday is next to Monday and 23 h to 0 h.
    """

    name: str
    first: float
    shift: float
    scale: float
    parts: tuple[str, ...]
    indicator: bool
    form: str = ISO  # how text is read as a date

    def __post_init__(self) -> None:
        if not self.parts or not {*self.parts} <= {*PARTS}:
            raise ValueError(f"a stored encoding's date parts must be among {', '.join(PARTS)}.")

    @property
    def features(self) -> list[str]:
        names = ["days"] if "days" in self.parts else []
        for part in self.parts:
            names += [f"{part} sine", f"{part} cosine"] if part != "days" else []
        names += ["missing"] if self.indicator else []
        return [f"{self.name} ({name})" for name in names]

    def transform(self, days: np.ndarray) -> np.ndarray:
        """Features (rows, features) of days since 1970, NaN for missing."""
        missing = np.isnan(days)
        columns = []
        if "days" in self.parts:
            columns.append((days - self.first - self.shift) / self.scale)
        for part in self.parts:
            if part != "days":
                angle = 2 * np.pi * calendar(days, part) / _LENGTHS[part]
                columns += [np.sin(angle), np.cos(angle)]
        columns = [np.where(missing, 0.0, column) for column in columns]
        if self.indicator:
            columns.append(missing.astype(float))
        return np.stack(columns, axis=1)


def calendar(days: np.ndarray, part: str) -> np.ndarray:
    """Weekday (Monday 0) or hour of day of days since 1970-01-01, a Thursday."""
    whole = np.floor(days)
    return np.mod(whole + 3, 7) if part == "weekday" else 24 * (days - whole)


class DateStatistics:
    """What one pass over the training rows learns about a column of dates."""

    def __init__(self, name: str) -> None:
        self.name, self.moments = name, Moments(1)
        self._ranges = {part: [np.inf, -np.inf] for part in _LENGTHS}

    def update(self, days: np.ndarray) -> None:
        """Add a block of days since 1970, NaN for missing."""
        missing = np.isnan(days)
        self.moments.update(days[:, None].copy(), missing[:, None] if missing.any() else None)
        if missing.all():
            return
        for part, ends in self._ranges.items():
            found = calendar(days[~missing], part)
            ends[:] = min(ends[0], found.min()), max(ends[1], found.max())

    @property
    def missing(self) -> int:
        return int(self.moments.missing[0])

    def column(self, form: str) -> DateColumn | None:
        """The column; None where it does not vary."""
        moments = self.moments
        if moments.constant[0]:
            return None
        first = float(moments.low[0])
        # Times of a day lie within one; their distance from the first says what the hour says.
        times = first >= 0 and moments.high[0] <= 1
        parts = [] if times else ["days"]
        for part, (low, high) in self._ranges.items():
            parts += [part] if high > low and not (times and part == "weekday") else []
        if times and not parts:
            return None
        shift, scale = float(moments.mean[0]) - first, float(moments.standard_deviation()[0])
        return DateColumn(self.name, first, shift, scale, tuple(parts), self.missing > 0, form)

    def sentence(self, column: DateColumn) -> str:
        """What was made of it."""
        words: dict[str, Any] = {
            "days": f"days since {np.datetime64(int(column.first // 1), 'D')}",
            "weekday": "weekday",
            "hour": "hour of day",
        }
        parts = ", ".join(words[part] for part in column.parts)
        more = f", and one column for missing ({self.missing:,} rows)" if column.indicator else ""
        return f"{self.name!r} is a date and becomes {parts}{more}; --dates drop leaves it out."
