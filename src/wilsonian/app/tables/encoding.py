"""Columns of a table as numeric features: a stated policy, fitted on the training rows only.

- Numeric columns are standardized by the training mean and (population) standard deviation;
  whole numbers with few values stay numeric. Constant columns are dropped, with a note.
- The pixels of a table of images are instead all divided by one number, the root mean square over
  all of them; none is dropped.
- A missing number is replaced by the training mean; a column that had missing values in training
  gets a further column, 1 where the value is missing. An infinity is an error.
- Text, categories, booleans and the columns named as categorical are one-hot over their 32 most
  frequent levels (ties in alphabetical order). Further levels share the level "other"; missing is
  a level of its own. A level that training never showed, missing included, counts as "other", or is
  all zeros where training had no other levels.
- Dates, text that is mostly numbers and text that is mostly distinct are errors: what they mean is
  not for the program to guess.
- Rows whose target is missing are left out and counted.

Features come in the order numbers, indicators of missing numbers, levels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from wilsonian.app.tables.blocks import Block, Table, TableError, listed, reads_as_number
from wilsonian.app.tables.column_statistics import finite_matrix

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
class LevelColumn:
    """One feature for each level, then for other levels and for missing where training had any."""

    name: str
    levels: tuple[str, ...]
    other: bool
    missing: bool

    @property
    def features(self) -> list[str]:
        names = [*self.levels, *["(other)"] * self.other, *["(missing)"] * self.missing]
        return [f"{self.name}={name}" for name in names]

    def positions(self, block: Block) -> np.ndarray:
        """Which of the features is 1 in each row; -1 for none."""
        if block.is_number(self.name):
            finite_matrix(block, [self.name])
            if not any(map(reads_as_number, self.levels)):
                raise TableError(_kind_sentence(self.name, "numbers", "text"))
        codes, texts = block.levels(self.name)
        place = {level: position for position, level in enumerate(self.levels)}
        other = len(self.levels) if self.other else -1
        missing = len(self.levels) + self.other if self.missing else other
        # The last entry is for missing, whose code is -1.
        return np.array([place.get(text, other) for text in texts] + [missing], np.int64)[codes]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The column to predict, and the class names if it is a label."""

    name: str
    task: Task
    classes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Encoding:
    """From blocks of a table to features and targets; made by `EncodingBuilder`."""

    numbers: tuple[NumberColumn, ...]
    categories: tuple[LevelColumn, ...]
    outcome: Outcome
    image_shape: tuple[int, ...] | None
    sentences: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [*self.input_columns, self.outcome.name]
        if len(set(names)) < len(names):
            raise ValueError(f"an encoding must name each column once, got {listed(names)}.")
        if not all(column.scale > 0 for column in self.numbers):
            raise ValueError("an encoding's scales must all be positive; fit it again.")
        if not self.feature_names:
            raise ValueError("an encoding must have at least one feature; fit it again.")
        if (self.task == "classification") != (len(self.classes) > 1):
            raise ValueError(
                f"an encoding for {self.task} cannot have {len(self.classes)} classes; fit it "
                "again."
            )
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
    def _columns(self) -> list[NumberColumn | LevelColumn]:
        return [*self.numbers, *self.categories]

    @cached_property
    def feature_names(self) -> list[str]:
        names = [column.name for column in self.numbers]
        names += [f"{column.name} (missing)" for column in self.numbers if column.indicator]
        return names + [feature for column in self.categories for feature in column.features]

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
            expected = "number" if isinstance(column, NumberColumn) else "text"
            accepted = {"number"} if expected == "number" else {"text", "category", "boolean"}
            if isinstance(column, LevelColumn) and any(map(reads_as_number, column.levels)):
                accepted.add("number")
            if kind not in {*accepted, "empty"}:
                raise TableError(f"{table.name}: {_kind_sentence(column.name, kind, expected)}")

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

    def target_labels(self, block: Block) -> np.ndarray:
        """Class labels of a block as text, None where missing."""
        codes, texts = block.levels(self.outcome.name)
        return np.array([*texts, None], dtype=object)[codes]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, value: Any) -> Encoding:
        """The encoding that `to_dict` wrote. Raises ValueError for anything else."""
        fields = _fields(cls, value, "encoding")
        return cls(
            _records(NumberColumn, fields["numbers"], "numbers"),
            _records(LevelColumn, fields["categories"], "categories"),
            _record(Outcome, fields["outcome"], "outcome"),
            fields["image_shape"] and tuple(fields["image_shape"]),
            tuple(fields["sentences"]),
        )

    @cached_property
    def _number_arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        columns = self.numbers
        shift, scale, fill = (
            np.array([getattr(column, name) for column in columns], float)
            for name in ("shift", "scale", "fill")
        )
        return shift, scale, fill, np.array([column.indicator for column in columns], bool)


def _kind_sentence(name: str, kind: str, expected: str) -> str:
    return (
        f"column {name!r} holds {kind} where the model was fitted to {expected}; clean it, or fit "
        "again on a table like this one."
    )


# Whether a JSON value may fill a field, by the field's annotation.
_ACCEPTS = {
    "str": lambda v: isinstance(v, str),
    "bool": lambda v: isinstance(v, bool),
    "float": lambda v: type(v) in (int, float) and math.isfinite(v),
    "Task": lambda v: v in ("regression", "classification"),
    "Outcome": lambda v: isinstance(v, dict),
    "tuple[str, ...]": lambda v: isinstance(v, list) and all(isinstance(t, str) for t in v),
    "tuple[int, ...] | None": lambda v: (
        v is None or (isinstance(v, list) and v and all(type(i) is int and i > 0 for i in v))
    ),
}


def _fields(cls: type, value: Any, where: str) -> dict[str, Any]:
    annotations = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    if not isinstance(value, dict) or set(value) != set(annotations):
        seen = listed(list(map(str, value))) if isinstance(value, dict) else type(value).__name__
        raise ValueError(
            f"a stored encoding's `{where}` must have the fields {listed(list(annotations))}, got "
            f"{seen}; the file was altered: fit and save the model again."
        )
    for name, annotation in annotations.items():
        accepts = _ACCEPTS.get(annotation, lambda v: isinstance(v, list))
        if not accepts(value[name]):
            raise ValueError(
                f"a stored encoding's `{where}.{name}` cannot be {str(value[name])[:60]!r}; the "
                "file was altered: fit and save the model again."
            )
    return value


def _record(cls: type, value: Any, where: str) -> Any:
    fields = _fields(cls, value, where)
    for name, entry in fields.items():
        if isinstance(entry, list) and len(set(entry)) < len(entry):
            raise ValueError(
                f"a stored encoding's `{where}.{name}` repeats an entry; the file was altered: fit "
                "and save the model again."
            )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def _records(cls: type, values: Sequence[Any], where: str) -> tuple[Any, ...]:
    return tuple(_record(cls, value, where) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
