"""What a table is to the rest of the library: named columns, read in blocks of rows."""

from __future__ import annotations

import abc
import difflib
import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wilsonian.support.axes import shorten

Kind = Literal["number", "text", "category", "boolean", "datetime", "empty", "unsupported"]


class TableError(ValueError):
    """A table that cannot be used as asked: one sentence that names it and says what to try."""


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in quotes with commas, shortened to the first `most`."""
    text = ", ".join(repr(shorten(name, 60)) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def as_option(name: str) -> str:
    """A column name as an option such as --drop takes it, ready for the shell."""
    if "," in name or '"' in name:
        name = '"' + name.replace('"', '""') + '"'
    return shlex.quote(name)


def close_to(name: str, names: Sequence[str]) -> str:
    """A parenthesis that suggests the nearest of `names`, or nothing."""
    near = difflib.get_close_matches(name, names, 3, 0.6)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


class Block:
    """Rows of a table: numeric columns as NumPy arrays, the rest as Arrow arrays, and columns that
    are stored side by side as one matrix. `row_numbers` are their positions in the table, from 0.
    """

    def __init__(
        self,
        row_numbers: np.ndarray,
        columns: Mapping[str, np.ndarray | pa.Array],
        matrix: np.ndarray | None = None,
        matrix_index: Mapping[str, int] | None = None,
    ) -> None:
        self.row_numbers, self._columns = row_numbers, columns
        self._matrix, self._matrix_index = matrix, matrix_index or {}

    @property
    def rows(self) -> int:
        return len(self.row_numbers)

    def select(self, mask: np.ndarray) -> Block:
        """The rows where `mask` is true; they keep their row numbers."""
        columns = {
            name: values[mask] if isinstance(values, np.ndarray) else values.filter(pa.array(mask))
            for name, values in self._columns.items()
        }
        matrix = None if self._matrix is None else self._matrix[mask]
        return Block(self.row_numbers[mask], columns, matrix, self._matrix_index)

    def column(self, name: str) -> np.ndarray:
        """One column: floats with NaN for missing, or objects with None for missing."""
        if name in self._matrix_index and self._matrix is not None:
            return _as_float(self._matrix[:, self._matrix_index[name]])
        values = self._stored(name)
        if isinstance(values, np.ndarray):
            return values
        return np.array(values.to_pylist(), dtype=object)

    def is_number(self, name: str) -> bool:
        """Whether the column is stored as numbers."""
        return name in self._matrix_index or isinstance(self._stored(name), np.ndarray)

    def matrix(self, names: Sequence[str]) -> np.ndarray:
        """Numeric columns as a new float64 array, (rows, len(names)).

        Raises TableError where a column is not numeric, naming its first value and row.
        """
        positions = [self._matrix_index.get(name, -1) for name in names]
        stored = self._matrix
        if stored is not None and positions == list(range(stored.shape[1])):
            return stored.astype(np.float64)
        out = np.empty((self.rows, len(names)))
        inside = np.array(positions, int) >= 0
        if stored is not None and inside.any():
            out[:, inside] = stored[:, [p for p in positions if p >= 0]]
        for column in np.flatnonzero(~inside).tolist():
            out[:, column] = self._numbers(names[column])
        return out

    def levels(self, name: str) -> tuple[np.ndarray, list[str]]:
        """The column as positions in a list of its distinct values as text; -1 is missing."""
        values = self.column(name) if name in self._matrix_index else self._stored(name)
        if isinstance(values, np.ndarray):
            distinct, codes = np.unique(values, return_inverse=True)
            texts = [number_text(value) for value in distinct if not np.isnan(value)]
            return np.where(codes < len(texts), codes, -1), texts
        if pa.types.is_null(values.type):
            return np.full(len(values), -1), []
        encoded = values.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, [number_text(value) for value in encoded.dictionary.to_pylist()]

    def days(self, name: str) -> np.ndarray:
        """A column of dates as days since 1970 (of times, as parts of a day), NaN for missing."""
        values = self._stored(name)
        if isinstance(values, np.ndarray) or not pa.types.is_temporal(values.type):
            if isinstance(values, pa.Array) and values.null_count == len(values):
                return np.full(len(values), np.nan)
            raise TableError(
                f"column {name!r} must hold dates here, as where the model was fitted; clean that "
                "column of the table."
            )
        return _days(values)

    def _stored(self, name: str) -> np.ndarray | pa.Array:
        if name not in self._columns:
            raise TableError(
                f"column {name!r} is not in this block, which holds "
                f"{listed([*self._columns, *self._matrix_index])}; ask for it in blocks(columns)."
            )
        return self._columns[name]

    def _numbers(self, name: str) -> np.ndarray:
        values = self._stored(name)
        if isinstance(values, np.ndarray):
            return values
        if values.null_count == len(values):
            return np.full(len(values), np.nan)
        first = int(np.argmax(values.is_valid().to_numpy(zero_copy_only=False)))
        raise TableError(
            f"column {name!r} must be numeric here, got {values[first].as_py()!r} in row "
            f"{self.row_numbers[first] + 1}; clean that column of the table."
        )


class Table(abc.ABC):
    """Named columns of equal length that can be read in blocks, always in the same order.

    `image_columns` are, in order, the pixels of an image of shape `image_shape`, if there is one.
    `other_targets` are columns that are no features unless they are asked for by name.
    """

    name: str
    kinds: dict[str, Kind]
    rows: int
    default_target: str | None = None
    other_targets: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    image_columns: tuple[str, ...] = ()
    identity: tuple[Any, ...] = ()  # what, beside the columns, tells this table from another
    dialect: Any = None  # of a text file (`tables.dialect.Dialect`)
    reading: str = ""  # how a text file was read, in one sentence
    notes: tuple[str, ...] = ()  # what was done to the columns when they were read
    date_formats: Mapping[str, str] = {}  # of dates that were text: how they were read
    doubts: Mapping[str, str] = {}  # of a column: why it cannot be used as it is

    @property
    def column_names(self) -> list[str]:
        return list(self.kinds)

    def fingerprint(self) -> str:
        """SHA-256 over the file's path, size and modification time and the columns (not over the
        values, so that it costs nothing)."""
        seen = json.dumps([self.name, self.rows, *self.identity, list(self.kinds.items())])
        return hashlib.sha256(seen.encode()).hexdigest()

    def read_as(self, kinds: Mapping[str, str], dialect: Any = None) -> Table:
        """This table with columns read as a model's (`Encoding.kinds`); a text file does not say
        what its columns are, other tables do and stay as they are."""
        return self

    def blocks(self, columns: Sequence[str], block_size: int, start: int = 0) -> Iterator[Block]:
        """Blocks `start`, `start + 1`, ... of `block_size` rows (the last may be shorter)."""
        absent = [name for name in columns if name not in self.kinds]
        if absent:
            raise TableError(
                f"{self.name} has no column {listed(absent)}{close_to(absent[0], [*self.kinds])}; "
                f"its columns are {listed(self.column_names)}."
            )
        if block_size < 1 or start < 0:
            raise ValueError(
                f"`block_size` must be positive and `start` not negative, got {block_size} and "
                f"{start}."
            )
        return self._blocks(list(dict.fromkeys(columns)), block_size, start)

    @abc.abstractmethod
    def _blocks(self, columns: list[str], block_size: int, start: int) -> Iterator[Block]: ...

    def _check(self, names: Sequence[str]) -> None:
        """Raise TableError unless there are rows and every column has its own name."""
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        if repeated:
            raise TableError(
                f"{self.name} has more than one column named {listed(repeated)}; rename them so "
                "that every column has its own name."
            )
        if not names or not self.rows:
            raise TableError(
                f"{self.name} has {len(names)} columns and {self.rows} rows; give a table with at "
                "least one of each."
            )


class ArrayTable(Table):
    """Columns held in memory, and a matrix whose columns are stored side by side."""

    def __init__(
        self,
        name: str,
        columns: Mapping[str, np.ndarray],
        matrix: np.ndarray | None = None,
        matrix_names: Sequence[str] = (),
        **properties: Any,
    ) -> None:
        self.name = name
        self.rows = len(next(iter(columns.values())) if matrix is None else matrix)
        self._check([*matrix_names, *columns])
        if matrix is not None and matrix.dtype.kind not in "iufb":
            raise TableError(f"the matrix of {name} must be numeric, got dtype {matrix.dtype}.")
        self._matrix = matrix
        self._matrix_index = {name: position for position, name in enumerate(matrix_names)}
        self._columns = {name: _from_numpy(values) for name, values in columns.items()}
        self.kinds: dict[str, Kind] = {name: "number" for name in matrix_names}
        self.kinds |= {name: _array_kind(values) for name, values in self._columns.items()}
        for attribute, value in properties.items():
            setattr(self, attribute, value)

    def _blocks(self, columns: list[str], block_size: int, start: int) -> Iterator[Block]:
        for first in range(start * block_size, self.rows, block_size):
            rows = np.arange(first, min(first + block_size, self.rows))
            span = slice(first, int(rows[-1]) + 1)
            held = {name: self._columns[name][span] for name in columns if name in self._columns}
            matrix = None if self._matrix is None else self._matrix[span]
            yield Block(rows, held, matrix, self._matrix_index)


class ArrowTable(Table):
    """An Arrow table held in memory."""

    def __init__(self, name: str, table: pa.Table, identity: tuple[Any, ...] = ()) -> None:
        self.name, self.rows, self.identity = name, table.num_rows, identity
        self._check(table.column_names)
        self.kinds = {field.name: arrow_kind(field.type) for field in table.schema}
        self._table = table

    def _blocks(self, columns: list[str], block_size: int, start: int) -> Iterator[Block]:
        for first in range(start * block_size, self.rows, block_size):
            yield arrow_block(self._table.select(columns).slice(first, block_size), first)


def arrow_kind(kind: pa.DataType) -> Kind:
    """What an Arrow type means to the encoding."""
    types = pa.types
    if types.is_dictionary(kind):
        return "unsupported" if arrow_kind(kind.value_type) == "unsupported" else "category"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_null(kind):
        return "empty"
    dated = types.is_temporal(kind) and not types.is_duration(kind) and not types.is_interval(kind)
    return "datetime" if dated else "unsupported"


def _days(values: pa.Array) -> np.ndarray:
    if pa.types.is_time(values.type):
        unit = pa.time64("us")
        parts = pc.cast(pc.cast(values, unit), pa.int64())
    else:
        # Microseconds; what is finer is left out.
        parts = pc.cast(pc.cast(values, pa.timestamp("us"), safe=False), pa.int64())
    days = pc.divide(pc.cast(parts, pa.float64()), 86_400e6)
    return days.to_numpy(zero_copy_only=False)


def reads_as_number(text: str) -> bool:
    """Whether `text` is a number as Python writes one."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def arrow_block(table: pa.Table, first: int) -> Block:
    rows = np.arange(first, first + table.num_rows)
    return Block(rows, {name: _from_arrow(table.column(name)) for name in table.column_names})


def _from_arrow(column: pa.ChunkedArray) -> np.ndarray | pa.Array:
    values = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_dictionary(values.type):
        return values.dictionary_decode()
    if arrow_kind(values.type) != "number":
        return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values
    if pa.types.is_decimal(values.type):
        values = pc.cast(values, pa.float64())
    return _as_float(values.to_numpy(zero_copy_only=False))


def _from_numpy(values: np.ndarray) -> np.ndarray | pa.Array:
    return _as_float(values) if values.dtype.kind in "iuf" else pa.array(values)


def _array_kind(values: np.ndarray | pa.Array) -> Kind:
    return "number" if isinstance(values, np.ndarray) else arrow_kind(values.type)


def _as_float(values: np.ndarray) -> np.ndarray:
    kept = values.dtype in (np.float32, np.float64)
    return values if kept else values.astype(np.float64)


def number_text(value: object) -> str:
    """A level's name: whole numbers without a decimal point, so that 3 and 3.0 are one level."""
    if isinstance(value, float | np.floating) and abs(float(value)) < 1e15:
        return str(int(value)) if value == int(value) else str(value)
    return str(value)
