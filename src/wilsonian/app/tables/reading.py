"""A table on disk as blocks of rows in a fixed order: CSV, Parquet, NPZ and bundled data.

Parquet is streamed: memory is bounded by a few blocks whatever the number of rows. CSV and NPZ are
read whole when they are opened; a table larger than memory belongs in Parquet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from wilsonian.app.tables.blocks import (
    ArrayTable,
    ArrowTable,
    Block,
    Table,
    TableError,
    arrow_block,
    arrow_kind,
    close_to,
    listed,
    reads_as_number,
)
from wilsonian.app.tables.bundled import BUNDLED, bundled_table

__all__ = [
    "ArrayTable",
    "ArrowTable",
    "Block",
    "Columns",
    "ParquetTable",
    "Table",
    "TableError",
    "array_table",
    "choose_columns",
    "open_table",
]

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet", ".pq", ".npz")


def open_table(path_or_name: str | Path) -> Table:
    """A table by the path of a CSV, TSV, Parquet or NPZ file, or by the name of a bundled one.

    A CSV file needs a header line; where that line has no comma, semicolons or tabs separate. In
    NPZ, either `X`, (rows, columns) or (rows, height, width[, channels]), with an optional `y` and
    further one-dimensional columns, or one-dimensional columns only; never with pickles.
    """
    text, path = str(path_or_name), Path(path_or_name)
    if text in BUNDLED:
        return bundled_table(text)
    suffix = next((s for s in sorted(SUFFIXES, key=len)[::-1] if path.name.lower().endswith(s)), "")
    if path.is_dir():
        raise TableError(f"{text} is a folder; give one file in it ({', '.join(SUFFIXES)}).")
    if not path.exists():
        raise TableError(
            f"there is no file {text}{close_to(text, BUNDLED)}; give a path that exists or a "
            f"bundled name: {', '.join(BUNDLED)}."
        )
    if not suffix:
        raise TableError(
            f"{text} has an unknown extension {path.suffix!r}; tables are {', '.join(SUFFIXES)}."
        )
    try:
        empty = path.stat().st_size == 0
        with path.open("rb"):
            pass
    except OSError as error:
        raise TableError(
            f"{text} cannot be opened ({error.strerror}); check its permissions."
        ) from error
    if empty:
        raise TableError(f"{text} is an empty file; write it again.")
    if suffix in (".parquet", ".pq"):
        return ParquetTable(path)
    return _open_npz(path) if suffix == ".npz" else _open_csv(path, suffix)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a table are features, which of these are categories, and the target."""

    features: tuple[str, ...]
    target: str
    categorical: tuple[str, ...] = ()


def choose_columns(
    table: Table,
    target: str | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    categorical: Sequence[str] = (),
) -> Columns:
    """The columns to learn from: all but the target, or those in `include`, less `exclude`.

    Raises TableError for a name the table lacks, or a choice that contradicts itself.
    """
    names = table.column_names
    wanted = [*(include or ()), *exclude, *categorical, *([target] if target else [])]
    for name in wanted:
        if name not in table.kinds:
            raise TableError(
                f"{table.name} has no column {name!r}{close_to(name, names)}; its columns are "
                f"{listed(names)}."
            )
    target = target or table.default_target
    if target is None:
        raise TableError(
            f"{table.name} does not say which column to predict; pass --target with one of "
            f"{listed(names)}."
        )
    if target in (include or ()):
        raise TableError(f"{target!r} is the target and cannot also be a feature; leave it out.")
    if target in exclude:
        raise TableError(f"{target!r} is the target and cannot be dropped; choose one of the two.")
    both = [name for name in include or () if name in exclude]
    if both:
        raise TableError(f"{listed(both)} is both included and dropped; choose one of the two.")
    apart = {target, *exclude, *table.other_targets}
    features = list(dict.fromkeys(include)) if include else [n for n in names if n not in apart]
    if not features:
        raise TableError(f"no column of {table.name} is left beside {target!r}; drop fewer.")
    stray = [name for name in categorical if name not in features]
    if stray:
        raise TableError(
            f"{listed(stray)} is categorical but no feature; leave it out of --categorical (for a "
            "target, use --task classification)."
        )
    return Columns(tuple(features), target, tuple(dict.fromkeys(categorical)))


class ParquetTable(Table):
    """A Parquet file, decoded a block at a time and only in the columns asked for."""

    def __init__(self, path: Path) -> None:
        self.name, self._path, self.identity = str(path), path, _file_identity(path)
        try:
            with self._open() as file:
                schema, self.rows = file.schema_arrow, file.metadata.num_rows
                groups = range(file.num_row_groups)
                self._group_rows = [file.metadata.row_group(group).num_rows for group in groups]
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        self._check(schema.names)
        self.kinds = {field.name: arrow_kind(field.type) for field in schema}

    def _open(self) -> pa.parquet.ParquetFile:
        # A buffer, so that a row group is read in pieces and not fetched whole: files written in
        # one row group stay within the memory bound too.
        return pa.parquet.ParquetFile(self._path, buffer_size=1 << 16, pre_buffer=False)

    def _unreadable(self, error: Exception) -> TableError:
        return TableError(
            f"{self.name} is not a readable Parquet file ({_first_line(error)}); it may be "
            "truncated: write or copy it again."
        )

    def _blocks(self, columns: list[str], block_size: int, start: int) -> Iterator[Block]:
        ends = np.cumsum(self._group_rows)
        first = start * block_size  # of the next block to yield
        group = int(np.searchsorted(ends, first, side="right"))
        skip = first - int(ends[group - 1]) if group else first
        groups = list(range(group, len(ends)))
        if first >= self.rows:
            return
        try:
            with self._open() as file:
                held: list[pa.RecordBatch] = []
                rows = 0
                for batch in file.iter_batches(block_size, groups, columns):
                    passed = min(skip, batch.num_rows)
                    skip -= passed
                    held.append(batch.slice(passed).select(columns))
                    rows += batch.num_rows - passed
                    while rows >= block_size:
                        table = pa.Table.from_batches(held)
                        yield arrow_block(table.slice(0, block_size), first)
                        first, rows = first + block_size, rows - block_size
                        held = table.slice(block_size).to_batches()
                if first < self.rows:
                    yield arrow_block(pa.Table.from_batches(held), first)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error


def _open_csv(path: Path, suffix: str) -> Table:
    separator = "\t" if suffix == ".tsv" else ","
    try:
        table = _read_csv(path, separator)
        if table.num_columns == 1:
            other = next((s for s in ";\t" if s in table.column_names[0]), None)
            table = table if other is None else _read_csv(path, other)
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError) as error:
        raise TableError(
            f"{path} is not a readable {suffix} file ({_first_line(error)}); every row must have "
            "as many values as the header has names."
        ) from error
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise TableError(
                f"column {field.name!r} of {path} is not UTF-8 text; save the file as UTF-8."
            )
    if "" in names:
        raise TableError(
            f"column {names.index('') + 1} of {path} has no name; name it in the header or remove "
            "it (an index written by pandas: to_csv(..., index=False))."
        )
    if all(map(reads_as_number, names)) and names != [str(i) for i in range(len(names))]:
        raise TableError(
            f"the first line of {path} holds numbers ({listed(names, 4)}), not column names; add a "
            "header line."
        )
    return ArrowTable(str(path), table, _file_identity(path))


def _read_csv(path: Path, separator: str) -> pa.Table:
    def read(threads: bool) -> pa.Table:
        return pa.csv.read_csv(
            path,
            pa.csv.ReadOptions(use_threads=threads),
            pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pa.csv.ConvertOptions(strings_can_be_null=True),
        )

    try:
        return read(True)
    except pa.ArrowInvalid:
        return read(False)  # the same error again, now with the number of the row in it


def _open_npz(path: Path) -> Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # NumPy and zlib raise many kinds for a file that is damaged
        hint = "it holds Python objects: save plain arrays"
        if "Object arrays" not in str(error):
            hint = "write it again with numpy.savez"
        raise TableError(f"{path} is not a readable NPZ file; {hint}.") from error
    return array_table(str(path), arrays, _file_identity(path))


def array_table(
    name: str, arrays: Mapping[str, np.ndarray], identity: tuple[Any, ...] = ()
) -> ArrayTable:
    """A table from arrays as an NPZ file holds them (see `open_table`)."""
    arrays, properties = dict(arrays), dict[str, Any](identity=identity)
    X, y = arrays.pop("X", None), arrays.pop("y", None)
    matrix_names: list[str] = []
    if X is not None:
        if not 2 <= X.ndim <= 4:
            raise TableError(f"X in {name} must be (rows, columns) or images, got {X.shape}.")
        matrix_names = [f"x{column}" for column in range(int(np.prod(X.shape[1:])))]
        if X.ndim > 2:
            properties |= {"image_shape": X.shape[1:], "image_columns": tuple(matrix_names)}
        X = X.reshape(len(X), len(matrix_names))
    if y is not None and y.ndim == 2 and y.shape[1] > 1:
        targets = [f"y{column}" for column in range(y.shape[1])]
        arrays |= dict(zip(targets, y.T, strict=True))
        properties |= {"default_target": targets[0], "other_targets": tuple(targets[1:])}
    elif y is not None:
        arrays["y"] = y.reshape(-1) if y.ndim == 2 else y
        properties["default_target"] = "y"
    shapes = {key: a.shape for key, a in arrays.items()} | ({} if X is None else {"X": X.shape})
    lengths = {shape[0] if shape else 0 for shape in shapes.values()}
    if any(a.ndim != 1 for a in arrays.values()) or len(lengths) != 1:
        seen = ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "no arrays"
        raise TableError(
            f"{name} must hold X and y, or one-dimensional columns, of one length, got {seen}; "
            "save those only."
        )
    return ArrayTable(name, arrays, X, matrix_names, **properties)


def _file_identity(path: Path) -> tuple[Any, ...]:
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
