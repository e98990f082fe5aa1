"""Columns of a table as numeric features: a stated policy, fitted on the training rows only.

- Numeric columns are standardized by the training mean and (population) standard deviation;
  whole numbers with few values stay numeric. Constant columns are dropped, with a note.
- The pixels of a table of images are instead all divided by one number, the root mean square over
  all of them; none is dropped.
- A missing number is replaced by the training mean; a column that had missing values in training
  gets a further column, 1 where the value is missing, and the noise variance that such a lack adds
  to a number to be predicted (see `runs.missing`). An infinity is an error.
- Text, categories, booleans and the columns named as categorical are one-hot over their 32 most
  frequent levels (ties in alphabetical order). Further levels share the level "other"; missing is
  a level of its own. A level that training never showed, missing included, counts as "other", or is
  all zeros where training had no other levels.
- A date or time becomes days since the first one in training (standardized), and, where they vary,
  the weekday and the hour, each as sine and cosine of its angle on the circle of a week or a day;
  a missing one becomes the mean day, zeros, and 1 in a marker column if training had such.
- Text that is mostly numbers and text that is mostly distinct are errors: what they mean is not for
  the program to guess.
- At prediction every column is read as it was in training, whatever the new file alone suggests.
- Rows whose target is missing are left out and counted.

Features come in the order numbers, indicators of missing numbers, dates, levels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np

from wilsonian.app.tables.blocks import Block, Table, TableError, listed, reads_as_number
from wilsonian.app.tables.column_statistics import finite_matrix
from wilsonian.app.tables.date_columns import DateColumn
from wilsonian.app.tables.dialect import Dialect, dialect_of
from wilsonian.app.tables.encoding_json import plain, read_fields, read_record, read_records
from wilsonian.app.tables.level_columns import LevelColumn, kind_sentence
from wilsonian.support.number_text import format_count

Task = Literal["regression", "classification"]


@dataclasses.dataclass(frozen=True)
class NumberColumn:
    """The feature (value - shift) / scale, with `fill` for a missing value."""

    name: str
    shift: float
    scale: float
    fill: float
    indicator: bool


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The column to predict, and the class names if it is a label."""

    name: str
    task: Task
    classes: tuple[str, ...] = ()
    noise: str = ""  # the column of known noise of every row, if there is one
    noise_is_error: bool = False  # it holds standard errors, not variances


@dataclasses.dataclass(frozen=True)
class Encoding:
    """From blocks of a table to features and targets; made by `EncodingBuilder`."""

    numbers: tuple[NumberColumn, ...]
    categories: tuple[LevelColumn, ...]
    outcome: Outcome
    image_shape: tuple[int, ...] | None
    sentences: tuple[str, ...]
    dates: tuple[DateColumn, ...] = ()
    dialect: Dialect | None = None  # of the training table, if it was text
    identifiers: tuple[str, ...] = ()  # columns that are carried to predictions
    # Noise variances that the lack of a column adds, in the order of `markers`; none if empty.
    missing_variances: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = [*self.input_columns, self.outcome.name]
        if len(set(names)) < len(names):
            raise ValueError(f"an encoding must name each column once, got {listed(names)}.")
        if not min([c.scale for c in self.numbers] + [c.scale for c in self.dates], default=1) > 0:
            raise ValueError("an encoding's scales must all be positive; fit it again.")
        if not self.feature_names:
            raise ValueError("an encoding must have at least one feature; fit it again.")
        if (self.task == "classification") != (len(self.classes) > 1):
            raise ValueError(
                f"an encoding for {self.task} cannot have {len(self.classes)} classes; fit it "
                "again."
            )
        if self.missing_variances and len(self.missing_variances) != len(self.markers):
            raise ValueError(
                "an encoding has one variance per marker of missing values; fit again."
            )
        if not all(0 <= variance < math.inf for variance in self.missing_variances):
            raise ValueError("variances of missing values must not be negative; fit again.")
        if self.image_shape and math.prod(self.image_shape) != len(self.feature_names):
            raise ValueError(
                f"images of shape {self.image_shape} cannot have {len(self.feature_names)} pixels; "
                "fit the encoding again."
            )

    @property
    def task(self) -> Task:
        return self.outcome.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.outcome.classes

    @property
    def input_columns(self) -> list[str]:
        """Columns that `transform` reads."""
        return [column.name for column in self._columns]

    @property
    def _columns(self) -> list[NumberColumn | DateColumn | LevelColumn]:
        return [*self.numbers, *self.dates, *self.categories]

    @property
    def kinds(self) -> dict[str, str]:
        """How a text file's columns are read for `transform` (see `tables.csv_files`)."""
        kinds = dict.fromkeys((column.name for column in self.numbers), "number")
        kinds |= {column.name: f"date:{column.form}" for column in self.dates}
        levels = {"text": "text", "number": "number level", "boolean": "boolean"}
        kinds |= {column.name: levels[column.kind] for column in self.categories}
        return kinds | dict.fromkeys(self.identifiers, "text")

    @cached_property
    def feature_names(self) -> list[str]:
        names = [column.name for column in self.numbers]
        names += [f"{column.name} (missing)" for column in self.numbers if column.indicator]
        names += [feature for column in self.dates for feature in column.features]
        return names + [feature for column in self.categories for feature in column.features]

    @cached_property
    def markers(self) -> list[int]:
        """Features that are 1 where a value is missing, by position."""
        names = [f"{column.name} (missing)" for column in self.numbers if column.indicator]
        names += [date.features[-1] for date in self.dates if date.indicator]
        names += [column.features[-1] for column in self.categories if column.missing]
        place = {name: position for position, name in enumerate(self.feature_names)}
        return [place[name] for name in names]

    def incomplete(self, X: np.ndarray) -> np.ndarray:
        """Mask of the encoded rows that lack a value which training rows lacked too."""
        return np.any(X[:, self.markers] > 0, axis=1)

    def missing_noise(self, X: np.ndarray) -> np.ndarray | None:
        """Noise variances (rows,) of what encoded rows lack, None if it makes none."""
        if not any(self.missing_variances):
            return None
        return (X[:, self.markers] > 0) @ np.array(self.missing_variances)

    @cached_property
    def units(self) -> np.ndarray:
        """What a step of one in each feature is in the units of its column; 1 for marks, waves of
        a date and levels."""
        units = np.ones(len(self.feature_names))
        units[: len(self.numbers)] = [column.scale for column in self.numbers]
        days = {f"{date.name} (days)": date.scale for date in self.dates if "days" in date.parts}
        for place, name in enumerate(self.feature_names):
            units[place] = days.get(name, units[place])
        return units

    def notes(self) -> list[str]:
        """What was done to the training rows, in sentences with counts."""
        return list(self.sentences)

    def check(self, table: Table) -> None:
        """Raise TableError unless `table` has the columns `transform` reads, in their kinds."""
        wanted = self.input_columns
        missing = [name for name in wanted if name not in table.kinds]
        if missing:
            extra = [n for n in table.column_names if n not in {*wanted, self.outcome.name}]
            also = f" (it also has {listed(extra)}, unused)" if extra else ""
            raise TableError(
                f"{table.name} lacks {listed(missing)} of the columns that the model was fitted "
                f"to{also}; name the columns as in the training table."
            )
        for column in self._columns:
            kind = table.kinds[column.name]
            if isinstance(column, LevelColumn):
                expected, accepted = "text", {"text", "category", "boolean"}
                if any(map(reads_as_number, column.levels)):
                    accepted.add("number")
            else:
                expected = "number" if isinstance(column, NumberColumn) else "datetime"
                accepted = {expected}
            if kind not in {*accepted, "empty"}:
                raise TableError(f"{table.name}: {kind_sentence(column.name, kind, expected)}")

    def unseen(self, block: Block) -> dict[tuple[str, str], int]:
        """Rows of a block whose value of a column is of a sort that training never showed: counts
        by column and sort, "level", "rare level" (beyond those kept, seen or not) or "missing"."""
        counts: dict[tuple[str, str], int] = {}
        for column in self.categories:
            counts |= {(column.name, sort): n for sort, n in column.unseen(block).items()}
        plain = [column.name for column in self.numbers if not column.indicator]
        if plain:
            _, missing = finite_matrix(block, plain)
            if missing is not None:
                found = zip(plain, missing.sum(axis=0).tolist(), strict=True)
                counts |= {(name, "missing"): n for name, n in found}
        for date in self.dates:
            if not date.indicator:
                counts[date.name, "missing"] = int(np.isnan(block.days(date.name)).sum())
        return {key: count for key, count in counts.items() if count}

    def transform(self, block: Block) -> np.ndarray:
        """Features of a block, float64 (rows, features)."""
        shift, scale, fill, flagged = self._number_arrays
        values, missing = finite_matrix(block, [column.name for column in self.numbers])
        if missing is not None:
            values = np.where(missing, fill, values)
        values -= shift
        values /= scale
        if values.shape[1] == len(self.feature_names):
            return values
        out = np.zeros((block.rows, len(self.feature_names)))
        out[:, : values.shape[1]] = values
        offset = values.shape[1] + int(flagged.sum())
        if missing is not None:
            out[:, values.shape[1] : offset] = missing[:, flagged]
        for date in self.dates:
            out[:, offset : offset + len(date.features)] = date.transform(block.days(date.name))
            offset += len(date.features)
        for column in self.categories:
            positions = column.positions(block)
            rows = np.flatnonzero(positions >= 0)
            out[rows, offset + positions[rows]] = 1.0
            offset += len(column.features)
        return out

    def target(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Targets of a block, and the mask of its rows that have one.

        Regression gives floats, NaN where missing. Classification gives positions in `classes`,
        -1 where missing and (with a true mask) for a label that training never showed.
        """
        if self.task == "regression":
            values, missing = finite_matrix(block, [self.outcome.name])
            return values[:, 0], np.ones(block.rows, bool) if missing is None else ~missing[:, 0]
        codes, texts = block.levels(self.outcome.name)
        place = {label: position for position, label in enumerate(self.classes)}
        lookup = np.array([place.get(text, -1) for text in texts] + [-1], np.int64)
        return lookup[codes], codes >= 0

    def row_noise(self, block: Block) -> np.ndarray | None:
        """Known noise variances (rows,) in the target's units squared, None if there are none.

        Raises TableError where a row lacks one, or has a negative one.
        """
        name = self.outcome.noise
        if not name:
            return None
        values, missing = finite_matrix(block, [name])
        wrong = values[:, 0] < 0 if missing is None else missing[:, 0] | (values[:, 0] < 0)
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            held = "no value" if np.isnan(values[place, 0]) else f"{values[place, 0]:g}"
            raise TableError(
                f"the noise column {name!r} holds {held} in row {block.row_numbers[place] + 1}; "
                "known noise is zero or positive and of every row with a target: fill it in, or "
                "leave such rows out."
            )
        return values[:, 0] ** 2 if self.outcome.noise_is_error else values[:, 0]

    def target_labels(self, block: Block) -> np.ndarray:
        """Class labels of a block as text, None where missing."""
        codes, texts = block.levels(self.outcome.name)
        return np.array([*texts, None], dtype=object)[codes]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            **plain(dataclasses.asdict(self)),
            "dialect": self.dialect and self.dialect.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: Any) -> Encoding:
        """The encoding that `to_dict` wrote. Raises ValueError for anything else."""
        fields = read_fields(cls, value, "encoding")
        stored = [
            entry if not isinstance(entry, dict) or "kind" in entry else LevelColumn.dated(entry)
            for entry in fields["categories"]
        ]
        return cls(
            read_records(NumberColumn, fields["numbers"], "numbers"),
            read_records(LevelColumn, stored, "categories"),
            read_record(Outcome, fields["outcome"], "outcome"),
            fields["image_shape"] and tuple(fields["image_shape"]),
            tuple(fields["sentences"]),
            read_records(DateColumn, fields["dates"], "dates"),
            None if fields["dialect"] is None else dialect_of(fields["dialect"]),
            tuple(fields["identifiers"]),
            tuple(map(float, fields["missing_variances"])),
        )

    @cached_property
    def _number_arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        columns = self.numbers
        shift, scale, fill = (
            np.array([getattr(column, name) for column in columns], float)
            for name in ("shift", "scale", "fill")
        )
        return shift, scale, fill, np.array([column.indicator for column in columns], bool)


def unseen_sentences(counts: Mapping[tuple[str, str], int]) -> list[str]:
    """What `Encoding.unseen` counted, summed over blocks, for the user."""
    says = {
        "level": "hold{} levels of {!r} never seen in training.",
        "rare level": "hold{} levels of {!r} too rare in training to be kept, or never seen there.",
        "missing": "lack{} a value of {!r}, which no training row did.",
    }
    return [
        f"{format_count(count, 'row')} {says[sort].format('s' if count == 1 else '', name)}"
        for (name, sort), count in counts.items()
    ]
