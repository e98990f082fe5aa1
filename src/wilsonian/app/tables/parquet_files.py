"""Parquet files, streamed: memory is bounded by a few blocks whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from wilsonian.app.tables.blocks import Block, Table, TableError, arrow_block, arrow_kind
from wilsonian.app.tables.csv_files import first_line


class ParquetTable(Table):
    """A Parquet file, decoded a block at a time and only in the columns asked for."""

    def __init__(self, path: Path, identity: tuple[Any, ...] = ()) -> None:
        self.name, self._path, self.identity = str(path), path, identity
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
            f"{self.name} is not a readable Parquet file ({first_line(error)}); it may be "
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
