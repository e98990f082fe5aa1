"""The command line's reading of columns, for scikit-learn's pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from wilsonian.app.tables.blocks import ArrowTable, Block, Table, TableError
from wilsonian.app.tables.encoding_builder import EncodingBuilder
from wilsonian.app.tables.reading import choose_columns, open_table

_ROW = "row number, which no column is named"


class TableEncoder(TransformerMixin, BaseEstimator):
    """Numbers, text, booleans and dates as the numeric columns that `wilsonian fit` learns from.

    A table is a DataFrame of pandas or polars, an Arrow table, a mapping of names to arrays, or the
    path of a file. The policy is that of :mod:`wilsonian.app.tables.encoding`; a column keeps the
    meaning it had at `fit`.

    Parameters
    ----------
    include, exclude, categorical : sequences of column names
        Columns to use (all, if None), to leave out, and to take as categories.
    dates : "numbers" or "drop"

    Attributes
    ----------
    encoding_ : Encoding; `encoding_.notes()` says what was done
    n_features_in_ : int, columns of the table
    """

    def __init__(
        self,
        include: Any = None,
        exclude: Any = (),
        categorical: Any = (),
        dates: Literal["numbers", "drop"] = "numbers",
    ):
        self.include = include
        self.exclude = exclude
        self.categorical = categorical
        self.dates = dates

    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Learn means, spreads and levels from the rows of a table. Raises TableError for columns
        that cannot be used, with what to try."""
        table = _as_table(X)
        # The policy is about features; a target that no row lacks keeps every row.
        numbered = _Numbered(table)
        columns = choose_columns(
            numbered, _ROW, self.include, self.exclude, self.categorical, self.dates
        )
        builder = EncodingBuilder(numbered, columns, "regression")
        for block in numbered.blocks([*columns.features, _ROW], 4096):
            builder.update(block)
        self.encoding_ = builder.finish()
        self.n_features_in_ = len(table.kinds)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features (rows, features) of a table with the columns that `fit` used."""
        check_is_fitted(self)
        encoding = self.encoding_
        table = _as_table(X).read_as(encoding.kinds, encoding.dialect)
        encoding.check(table)
        blocks = table.blocks(encoding.input_columns, 4096)
        return np.concatenate([encoding.transform(block) for block in blocks])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features."""
        check_is_fitted(self)
        return np.array(self.encoding_.feature_names, dtype=object)


class _Numbered(Table):
    """A table with its row numbers as one more column."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.__dict__.update({k: v for k, v in vars(table).items() if not k.startswith("_")})
        self.kinds = {**table.kinds, _ROW: "number"}

    def _blocks(self, columns: list[str], block_size: int, start: int) -> Any:
        wanted = [name for name in columns if name != _ROW]
        for block in self._table.blocks(wanted, block_size, start):
            stored = {name: block._stored(name) for name in wanted}
            yield Block(block.row_numbers, {**stored, _ROW: block.row_numbers.astype(float)})


def _as_table(X: Any) -> Table:
    if isinstance(X, Table):
        return X
    if isinstance(X, str | Path):
        return open_table(X)
    if isinstance(X, pa.Table):
        return ArrowTable("the table", X)
    if hasattr(X, "to_arrow"):
        return ArrowTable("the table", X.to_arrow())
    if isinstance(X, Mapping):
        return ArrowTable("the table", pa.table(dict(X)))
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        return ArrowTable("the table", pa.Table.from_pandas(X, preserve_index=False))
    raise TableError(
        f"a table must be a DataFrame, an Arrow table, a mapping of names to arrays or a path, got "
        f"{type(X).__name__}; name the columns."
    )
