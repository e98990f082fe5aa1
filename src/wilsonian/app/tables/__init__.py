"""Tables: read in blocks of rows, encoded as numbers, and written again."""

from wilsonian.app.tables.blocks import ArrowTable, TableError
from wilsonian.app.tables.npz_files import array_table
from wilsonian.app.tables.reading import Columns, choose_columns, open_table
from wilsonian.app.tables.table_encoder import TableEncoder

__all__ = [
    "ArrowTable",
    "Columns",
    "TableEncoder",
    "TableError",
    "array_table",
    "choose_columns",
    "open_table",
]
