"""Predictions written a block at a time: CSV, Parquet or NPZ."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from wilsonian.app.tables.blocks import reads_as_number

SUFFIXES = (".csv", ".parquet", ".npz")


def check_suffix(path: Path) -> None:
    """Raise ValueError unless predictions can be written to a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"predictions are written as {', '.join(SUFFIXES)}, got {path.name!r}; choose one."
        )


@contextlib.contextmanager
def prediction_writer(
    file: IO[bytes], suffix: str
) -> Iterator[Callable[[dict[str, np.ndarray]], None]]:
    """A function that appends a block of named columns to an open file."""
    if suffix.lower() == ".npz":
        parts: list[dict[str, np.ndarray]] = []
        yield parts.append
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        # Text of one width, so that the file holds no Python objects.
        plain: dict[str, Any] = {
            k: v.astype(str) if v.dtype == object else v for k, v in columns.items()
        }
        np.savez(file, **plain)
        return
    writer = None

    def write(block: dict[str, np.ndarray]) -> None:
        nonlocal writer
        if suffix.lower() == ".csv":
            block = {_harmless(name): _harmless_column(column) for name, column in block.items()}
        table = pa.table({name: pa.array(values) for name, values in block.items()})
        if writer is None and suffix.lower() == ".csv":
            writer = pyarrow.csv.CSVWriter(file, table.schema)
        elif writer is None:
            writer = pyarrow.parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


def _harmless(text: str) -> str:
    """Text that a spreadsheet would run as a formula, behind the apostrophe that makes it text."""
    formula = text[:1] in ("=", "+", "-", "@", "\t", "\r") and not reads_as_number(text)
    return f"'{text}" if formula else text


def _harmless_column(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "OU":
        return values
    distinct, codes = np.unique([*map(str, values)], return_inverse=True)
    harmless = np.array([*map(_harmless, distinct)], dtype=object)
    out = harmless[codes]
    out[[value is None for value in values]] = None
    return out
