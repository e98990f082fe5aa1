"""A CSV file as a table: its dialect from its content, and every column as what it holds.

The file is read whole when it is opened; a table larger than memory belongs in Parquet. With the
columns of a model (`kinds`), those are read as they were where the model was fitted, whatever the
new file alone would suggest: levels stay text, numbers must be numbers.
"""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from wilsonian.app.tables.blocks import (
    ArrowTable,
    Table,
    TableError,
    listed,
    number_text,
    reads_as_number,
)
from wilsonian.app.tables.dates import ISO, AmbiguousDatesError, date_form, read_dates
from wilsonian.app.tables.detection import SAMPLE_BYTES, Layout, detect_layout
from wilsonian.app.tables.dialect import (
    Dialect,
    DialectChoice,
    decode,
    detect_encoding,
    has_signs,
    number,
    numbers,
)

_BOOLEANS = {"true": "True", "TRUE": "True", "True": "True", "1": "True"}
_BOOLEANS |= {"false": "False", "FALSE": "False", "False": "False", "0": "False"}


class CsvTable(ArrowTable):
    """A CSV file in memory, and how it was read."""

    def __init__(
        self,
        name: str,
        load: Callable[[], pa.Buffer],
        choice: DialectChoice,
        *,
        tabs: bool = False,
        kinds: Mapping[str, str] | None = None,
        identity: tuple[Any, ...] = (),
    ) -> None:
        self._load, self._choice, self._tabs = load, choice, tabs
        self._read_kinds, self._origin = dict(kinds or {}), identity
        reader = _Reader(name, load(), choice, tabs, self._read_kinds)
        table = reader.table()
        dialect = reader.layout.dialect
        self.dialect = dialect
        super().__init__(name, table, (*identity, *map(str, dialect.to_dict().values())))
        self.reading = f"Read with {dialect.describe()}."
        self.notes, self.date_formats = tuple(reader.notes), reader.date_formats
        self.doubts = reader.doubts

    def read_as(self, kinds: Mapping[str, str], dialect: Dialect | None = None) -> Table:
        if all(self._read_kinds.get(name) == kind for name, kind in kinds.items()):
            return self
        choice = self._choice
        if dialect is not None and choice.like is None:
            choice = dataclasses.replace(choice, like=dialect)
        kinds = {**self._read_kinds, **kinds}
        return CsvTable(
            self.name, self._load, choice, tabs=self._tabs, kinds=kinds, identity=self._origin
        )


def inflate(data: pa.Buffer, name: str) -> pa.Buffer:
    """The content of a gzip file."""
    try:
        return pa.py_buffer(gzip.decompress(bytes(data)))
    except (OSError, EOFError, ValueError) as error:
        raise TableError(
            f"{name} is not a readable .csv.gz file ({error}); write or copy it again."
        ) from error


class _Reader:
    """One reading of one file."""

    def __init__(
        self,
        name: str,
        data: pa.Buffer,
        choice: DialectChoice,
        tabs: bool,
        kinds: Mapping[str, str],
    ) -> None:
        self.name, self.kinds, self.notes = name, kinds, list[str]()
        self.date_formats: dict[str, str] = {}
        self.doubts: dict[str, str] = {}
        encoding = choice.encoding or self._encoding(data, choice)
        self.data = decode(data, encoding, name)
        sample = self._sample().decode("utf-8", "replace")
        # A block must hold the header and a row; a table may have a hundred thousand columns.
        self.block_size = max(1 << 20, 2 * len(sample))
        self.layout: Layout = detect_layout(sample, choice, encoding, name, tabs)
        if self.layout.comments:
            count = self.layout.comments
            lines = "The line" if count == 1 else f"The {count} lines"
            self.notes.append(
                f"{lines} before the header that begin{'s' if count == 1 else ''} with # "
                f"{'is' if count == 1 else 'are'} left out."
            )
        self.signed: list[str] = []

    def _sample(self) -> bytes:
        size = SAMPLE_BYTES
        while size < self.data.size and bytes(self.data[:size]).count(b"\n") < 20:
            size *= 4
        return bytes(self.data[:size])

    @staticmethod
    def _encoding(data: pa.Buffer, choice: DialectChoice) -> str:
        found = detect_encoding(data)
        like = choice.like.encoding if choice.like else found
        # Content tells the Unicode encodings; between those of one byte only the user can.
        return like if found in ("windows-1252", "latin-1") and "utf" not in like else found

    def table(self) -> pa.Table:
        """All columns, each as what it holds."""
        header = [name.strip() for name in self.layout.header]
        raw = self._parse(header)
        names = ["", *header] if self.layout.row_names else header
        columns, kept = [], []
        for place, name in enumerate(names):
            values = raw.column(place).combine_chunks()
            if isinstance(values, pa.ChunkedArray):  # no rows
                values = pa.array([], values.type)
            if name in ("", "Unnamed: 0") and self._is_index(values, place, name):
                continue
            columns.append(self._convert(name, values))
            kept.append(name)
        self._check_header(kept)
        if self.signed:
            self.notes.append(f"Currency and percent signs in {listed(self.signed)} are left out.")
        return pa.Table.from_arrays(columns, names=kept)

    def _parse(self, header: list[str]) -> pa.Table:
        dialect, layout = self.layout.dialect, self.layout
        names = ["", *header] if layout.row_names else header
        # Places as names, because names may repeat or be empty.
        places = [str(place) for place in range(len(names))]
        text = {
            str(p): pa.string()
            for p, n in enumerate(names)
            if self.kinds.get(n, "") not in ("", "number")
        }

        def read(threads: bool) -> pa.Table:
            return pa.csv.read_csv(
                pa.BufferReader(self.data),
                pa.csv.ReadOptions(
                    use_threads=threads,
                    block_size=self.block_size,
                    column_names=places,
                    skip_rows=layout.lines,
                ),
                pa.csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
                pa.csv.ConvertOptions(
                    strings_can_be_null=True,
                    decimal_point=dialect.decimal,
                    null_values=["", *dialect.missing],
                    column_types=text,
                ),
            )

        try:
            try:
                return read(True)
            except pa.ArrowInvalid:
                return read(False)  # the same error again, now with the number of the row in it
        except pa.ArrowException as error:
            raise TableError(
                f"{self.name} is not a readable .csv file ({first_line(error)}); every row must "
                "have as many values as the header has names."
            ) from error

    def _is_index(self, values: pa.Array, place: int, name: str) -> bool:
        """Whether a column without a name only tells the rows apart, as R and pandas write it (or
        holds nothing); says so. Raises TableError for another column without a name."""
        if not values.null_count < len(values):
            self.notes.append(f"Column {place + 1} has neither name nor values and is left out.")
            return name == ""
        whole = pa.types.is_integer(values.type) or pa.types.is_string(values.type)
        tells = whole and not values.null_count and pc.count_distinct(values).as_py() == len(values)
        if place == 0 and tells and (name == "" or _counts(values)):
            what = "counts the rows" if _counts(values) else "tells the rows apart"
            of = "without a name" if name == "" else repr(name)
            self.notes.append(f"The first column, {of}, only {what} and is left out.")
            return True
        if name == "":
            raise TableError(
                f"column {place + 1} of {self.name} has no name; name it in the header or remove "
                "it (an index written by pandas: to_csv(..., index=False))."
            )
        return False

    def _check_header(self, names: Sequence[str]) -> None:
        numeric = all(map(reads_as_number, names))
        if names and numeric and list(names) != [str(i) for i in range(len(names))]:
            raise TableError(
                f"the first line of {self.name} holds numbers ({listed(names, 4)}), not column "
                "names; add a header line."
            )

    # One column --------------------------------------------------------------------------------

    def _convert(self, name: str, values: pa.Array) -> pa.Array:
        kind = self.kinds.get(name)
        if pa.types.is_string(values.type):
            values = self._trimmed(values)
        if kind is not None:
            return self._as_fitted(name, values, kind)
        if not pa.types.is_string(values.type):
            if pa.types.is_temporal(values.type):
                self.date_formats[name] = ISO
            return values
        if values.null_count == len(values):
            return pa.nulls(len(values))
        found = self._numbers(name, values)
        if found is not None:
            return found
        try:
            form = date_form(values, name, self.name)
        except AmbiguousDatesError as doubt:
            self.doubts[name] = str(doubt)
            return values
        if form is not None:
            self.date_formats[name] = form
            return read_dates(values, form)
        if set(pc.unique(values.drop_null()).slice(0, 9).to_pylist()) <= {*_BOOLEANS} - {"0", "1"}:
            return pc.cast(values, pa.bool_())
        return values

    def _trimmed(self, values: pa.Array) -> pa.Array:
        values = pc.utf8_trim_whitespace(values)
        marks = pa.array(["", *self.layout.dialect.missing], values.type)
        return pc.if_else(pc.is_in(values, marks), pa.scalar(None, values.type), values)

    def _numbers(self, name: str, values: pa.Array) -> pa.Array | None:
        found = numbers(values, self.layout.dialect.decimal)
        if found is None:
            return None
        if not self.layout.settled:
            other = "," if self.layout.dialect.decimal == "." else "."
            marked = pc.match_substring(values, other)
            if pc.any(marked, min_count=0).as_py():
                cell = values.filter(marked)[0].as_py()
                raise TableError(
                    f"column {name!r} of {self.name} holds {cell!r}, and nothing before it in the "
                    "file tells decimal points from decimal commas; say which with --decimal . or "
                    "--decimal ,."
                )
        if has_signs(values):
            self.signed.append(name)
        return found

    def _as_fitted(self, name: str, values: pa.Array, kind: str) -> pa.Array:
        """A column of a model, in the kind that was stored when the model was fitted."""
        if values.null_count == len(values):
            return pa.nulls(len(values))
        if kind == "number":
            return self._as_number(name, values)
        if kind == "number level" or kind == "boolean":
            encoded = values.dictionary_encode()
            texts = encoded.dictionary.to_pylist()
            decimal = self.layout.dialect.decimal
            found = [
                _BOOLEANS.get(t, t) if kind == "boolean" else _level(t, decimal) for t in texts
            ]
            return pa.array(found, pa.string()).take(encoded.indices)
        if kind.startswith("date:"):
            self.date_formats[name] = kind[5:]
            found = read_dates(values, kind[5:])
            bad = pc.and_(pc.is_null(found), pc.is_valid(values))
            self._refuse(name, values, bad, "dates written as where")
            return found
        return values

    def _as_number(self, name: str, values: pa.Array) -> pa.Array:
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            return values
        values = pc.cast(values, pa.string())
        found = numbers(values, self.layout.dialect.decimal)
        if found is None:
            decimal = self.layout.dialect.decimal
            bad = [v is not None and number(v, decimal) is None for v in values.to_pylist()]
            self._refuse(name, values, pa.array(bad), "numbers where")
        return found

    def _refuse(self, name: str, values: pa.Array, bad: pa.Array, wanted: str) -> None:
        if pc.any(bad, min_count=0).as_py():
            row = pc.index(bad, True).as_py()
            dialect = self.layout.dialect
            raise TableError(
                f"column {name!r} of {self.name} holds {values[row].as_py()!r} in row {row + 1} "
                f"and must hold {wanted} the model was fitted; clean it, or correct how the file "
                f"is read ({dialect.describe()}: --separator, --decimal, --missing)."
            )


def _counts(values: pa.Array) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    if not pa.types.is_integer(values.type):
        return False
    rows = np.arange(len(values))
    found = values.to_numpy(zero_copy_only=False)
    return bool(np.array_equal(found, rows) or np.array_equal(found, rows + 1))


def _level(text: str, decimal: str) -> str:
    found = number(text, decimal)
    return text if found is None else number_text(found)


def first_line(error: Exception) -> str:
    """What an error of a library says, shortened to a part of a sentence."""
    return str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
