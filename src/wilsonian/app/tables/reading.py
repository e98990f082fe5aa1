"""A table as blocks of rows in a fixed order: CSV, Parquet, NPZ, standard input, bundled data."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from wilsonian.app.tables.blocks import Table, TableError, close_to, listed
from wilsonian.app.tables.bundled import BUNDLED, bundled_table
from wilsonian.app.tables.csv_files import CsvTable, inflate
from wilsonian.app.tables.dialect import DialectChoice
from wilsonian.app.tables.npz_files import open_npz
from wilsonian.app.tables.parquet_files import ParquetTable

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet", ".pq", ".npz")
STANDARD_INPUT = "-"


def open_table(
    path_or_name: str | Path,
    dialect: DialectChoice | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Table:
    """A table by the path of a CSV, TSV, Parquet or NPZ file, by the name of a bundled one, or "-"
    for CSV on standard input.

    A CSV file needs a header line; how it is written is detected (see `tables.detection`) but for
    what `dialect` says, and its columns named in `kinds` are read as a model's. In NPZ, either `X`,
    (rows, columns) or (rows, height, width[, channels]), with an optional `y` and further
    one-dimensional columns, or one-dimensional columns only; never with pickles.
    """
    text, path = str(path_or_name), Path(path_or_name)
    if text in BUNDLED:
        return bundled_table(text)
    dialect = dialect or DialectChoice()
    if text == STANDARD_INPUT or path.is_fifo():
        data = sys.stdin.buffer.read() if text == STANDARD_INPUT else path.read_bytes()
        if not data:
            raise TableError("standard input is empty; pipe a CSV file with a header line into it.")
        held = pa.py_buffer(data)
        if data[:2] == b"\x1f\x8b":
            held = inflate(held, "standard input")
        return CsvTable("standard input", lambda: held, dialect, kinds=kinds)
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
    identity = _file_identity(path)
    if suffix in (".parquet", ".pq"):
        return ParquetTable(path, identity)
    if suffix == ".npz":
        return open_npz(path, identity)
    load: Callable[[], pa.Buffer] = lambda: pa.py_buffer(path.read_bytes())  # noqa: E731
    if suffix == ".csv.gz":
        load = lambda: inflate(pa.py_buffer(path.read_bytes()), text)  # noqa: E731
    tabs = suffix == ".tsv"
    return CsvTable(text, load, dialect, tabs=tabs, kinds=kinds, identity=identity)


@dataclasses.dataclass(frozen=True)
class RowNoise:
    """The column that holds what is known of the noise of each row's target."""

    name: str
    is_error: bool  # standard errors, in the target's units; else variances, in its units squared


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a table are features, which of these are categories, and the target."""

    features: tuple[str, ...]
    target: str
    categorical: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what was decided for the user, in sentences
    identifiers: tuple[str, ...] = ()  # no features, but carried to predictions
    noise: RowNoise | None = None


def choose_columns(
    table: Table,
    target: str | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    categorical: Sequence[str] = (),
    dates: Literal["numbers", "drop"] = "numbers",
    identifiers: Sequence[str] = (),
    noise: RowNoise | None = None,
) -> Columns:
    """The columns to learn from: all but the target, or those in `include`, less `exclude`, and
    less those that hold dates where `dates` says to drop them.

    Raises TableError for a name the table lacks, or a choice that contradicts itself.
    """
    names = table.column_names
    wanted = [*(include or ()), *exclude, *categorical, *identifiers, *([target] if target else [])]
    wanted += [noise.name] if noise else []
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
    if target in identifiers:
        raise TableError(f"{target!r} is the target and cannot be an --id; choose one of the two.")
    if noise:
        _check_noise(table, noise.name, target, [*(include or ()), *categorical, *identifiers])
    both = [name for name in include or () if name in exclude]
    if both:
        raise TableError(f"{listed(both)} is both included and dropped; choose one of the two.")
    apart = {target, *exclude, *identifiers, *table.other_targets, *([noise.name] if noise else [])}
    features = list(dict.fromkeys(include)) if include else [n for n in names if n not in apart]
    dated = [n for n in features if table.kinds[n] == "datetime" and n not in categorical]
    notes = []
    if dates == "drop" and dated:
        features = [name for name in features if name not in dated]
        notes = [f"{listed(dated)} {'holds' if len(dated) == 1 else 'hold'} dates and is left out."]
    if not features:
        raise TableError(f"no column of {table.name} is left beside {target!r}; drop fewer.")
    stray = [name for name in categorical if name not in features]
    if stray:
        raise TableError(
            f"{listed(stray)} is categorical but no feature; leave it out of --categorical (for a "
            "target, use --task classification)."
        )
    carried = tuple(dict.fromkeys(identifiers))
    return Columns(
        tuple(features), target, tuple(dict.fromkeys(categorical)), tuple(notes), carried, noise
    )


def _check_noise(table: Table, name: str, target: str, elsewhere: Sequence[str]) -> None:
    if name == target or name in elsewhere:
        raise TableError(
            f"{name!r} is the noise column and cannot also be the target, a feature or an --id; "
            "choose one of the two."
        )
    if table.kinds[name] != "number":
        raise TableError(
            f"the noise column {name!r} of {table.name} holds {table.kinds[name]}, not numbers; it "
            "must hold a variance (or, with --noise-as error, a standard error) for every row."
        )


def _file_identity(path: Path) -> tuple[Any, ...]:
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns
