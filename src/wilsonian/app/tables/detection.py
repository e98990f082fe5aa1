"""Separator and decimal mark of a CSV file, detected together from the content of a sample."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Sequence

from wilsonian.app.tables.blocks import TableError, listed
from wilsonian.app.tables.dialect import (
    MISSING,
    SEPARATORS,
    Dialect,
    DialectChoice,
    number,
)

SAMPLE_BYTES, SAMPLE_ROWS = 1 << 18, 5000
MOSTLY = 0.8  # share of a column's cells that makes it a column of numbers


@dataclasses.dataclass(frozen=True)
class Layout:
    """The dialect of a file, its header, and what stands around that."""

    dialect: Dialect
    header: tuple[str, ...]
    lines: int = 1  # up to the end of the header
    comments: int = 0  # of these, lines before it that begin with #
    row_names: bool = False  # a first column that the header does not count, as R writes it
    settled: bool = True  # whether anything in the sample told the decimal mark


def detect_layout(text: str, choice: DialectChoice, encoding: str, name: str, tabs: bool) -> Layout:
    """The layout of a file that begins with `text`, whose last line may be cut.

    Raises TableError, naming both readings, where two are possible.
    """
    usual = MISSING if choice.like is None else choice.like.missing
    missing = usual if choice.missing is None else choice.missing
    hint = re.match(r"\ufeff?\"?sep=(.)\"?\r?\n", text)  # what Excel writes and reads
    text = text[hint.end() :] if hint else text.removeprefix("\ufeff")
    written = list(io.StringIO(text, newline=""))
    comments = _comments(written)
    text = "".join(written[comments:])
    separator = choice.separator or (hint.group(1) if hint else None)
    parsed = {mark: _rows(text, mark) for mark in ([separator] if separator else ",;\t|")}
    rows = {mark: found for mark, (found, _) in parsed.items()}
    if separator is None:
        separator = _separator(rows, choice, name, tabs)
    found = rows[separator]
    if not found:
        raise TableError(f"{name} holds nothing but blank lines; write it again.")
    header, body = found[0], found[1:]
    row_names = _has_row_names(header, body)
    decimal, settled = choice.decimal, True
    if decimal is None and choice.like is not None and choice.like.separator == separator:
        decimal = choice.like.decimal
    if decimal is None:
        columns = _columns(header, body, row_names)
        decimal, settled = _decimal(columns, separator, {*missing, ""}, name)
    dialect = Dialect(separator, decimal, encoding, missing)
    lines = int(bool(hint)) + comments + parsed[separator][1]
    return Layout(dialect, tuple(header), lines, comments, row_names, settled)


def _comments(lines: Sequence[str]) -> int:
    """How many of a file's first lines are comments: they begin with # and have not as many cells
    as the first line that does not. One that has is the header, as NumPy writes it, unless that
    line holds no number and so is a header itself."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    mark = max(SEPARATORS, key=first.count)
    named = not any(number(cell.strip(), ".") is not None for cell in first.split(mark))
    count = 0
    while count < len(lines) and lines[count].startswith("#"):
        alike = lines[count].count(mark) == first.count(mark)
        if alike and not (named and lines[count].startswith("# ")):
            break
        count += 1
    return count


def _rows(text: str, separator: str) -> tuple[list[list[str]], int]:
    """The first rows that are not blank, and how many lines of text the first of them ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[list[str]] = []
    lines = 0
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines = lines or reader.line_num
            if len(rows) > SAMPLE_ROWS:
                break
    except csv.Error:
        return [], 1
    # The last line may be cut; it counts only if it is the only one.
    whole = len(rows) > SAMPLE_ROWS or text.endswith(("\n", "\r")) or len(rows) < 3
    return (rows if whole else rows[:-1]), lines


def _has_row_names(header: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether every row has one cell more than the header, the first of which tells the rows apart
    (and the last is not just a separator at the end)."""
    if len(header) < 2 or not body or any(len(row) != len(header) + 1 for row in body):
        return False
    first = [row[0] for row in body]
    return len(set(first)) == len(first) and any(row[-1] for row in body)


def _separator(
    rows: dict[str, list[list[str]]], choice: DialectChoice, name: str, tabs: bool
) -> str:
    fits = [
        mark
        for mark, found in rows.items()
        if found and len(found[0]) > 1 and all(len(row) == len(found[0]) for row in found)
    ]
    if choice.like is not None and choice.like.separator in fits:
        return choice.like.separator
    if tabs and "\t" in fits:
        return "\t"
    if len(fits) > 1:
        readings = " and as ".join(
            f"{len(rows[mark][0])} columns between {SEPARATORS[mark]} ({listed(rows[mark][0], 3)})"
            for mark in fits
        )
        raise TableError(
            f"{name} can be read as {readings}; say which with "
            f"{' or '.join(f'--separator {_spoken(mark)}' for mark in fits)}."
        )
    if fits:
        return fits[0]
    named = [mark for mark, found in rows.items() if found and _has_row_names(found[0], found[1:])]
    if named:
        return named[0]
    # Ragged, or one column: the mark that the header has most of, so that the error is about it.
    usual = "\t" if tabs else ","
    return max(rows, key=lambda mark: (len(rows[mark][0]) if rows[mark] else 0, mark == usual))


def _columns(
    header: Sequence[str], body: Sequence[Sequence[str]], row_names: bool
) -> dict[str, list[str]]:
    names = ["", *header] if row_names else list(header)
    return {
        names[place].strip() or f"column {place + 1}": [
            row[place].strip() for row in body if place < len(row)
        ]
        for place in range(len(names))
    }


def _decimal(
    columns: dict[str, list[str]], separator: str, missing: set[str], name: str
) -> tuple[str, bool]:
    """The decimal mark, and whether anything told it."""
    seen: dict[str, tuple[str, str]] = {}  # mark: a column and its cell that need that mark
    either: tuple[str, str] | None = None  # a cell that reads as two different numbers
    for column, cells in columns.items():
        cells = [cell for cell in cells if cell not in missing]
        readings = {mark: [number(cell, mark) for cell in cells] for mark in ".,"}
        found: dict[str, str] = {}
        both = ""
        count = 0
        for cell, point, comma in zip(cells, *readings.values(), strict=True):
            count += point is not None or comma is not None
            if point is not None and comma is not None:
                both = both or (cell if point != comma else "")
            elif point is not None or comma is not None:
                found.setdefault("." if comma is None else ",", cell)
        if count < MOSTLY * len(cells) or not count:
            continue
        if len(found) == 1:
            ((mark, cell),) = found.items()
            seen.setdefault(mark, (column, cell))
        elif both and not found:
            # Unquoted, a comma cannot stand between commas, nor could it be written as a decimal.
            plain = separator == "," and "," not in both
            either = either or (None if plain else (column, both))
    if len(seen) == 2:
        (first, a), (second, b) = seen["."], seen[","]
        raise TableError(
            f"{name} holds decimal points (column {first!r}: {a!r}) and decimal commas (column "
            f"{second!r}: {b!r}); say which is meant with --decimal . or --decimal ,."
        )
    if seen:
        return next(iter(seen)), True
    if either is not None:
        column, cell = either
        point, comma = number(cell, "."), number(cell, ",")
        raise TableError(
            f"column {column!r} of {name} holds {cell!r}, which is {point:.15g} with decimal "
            f"points and {comma:.15g} with decimal commas, and nothing else in the file tells; "
            "say which with --decimal . or --decimal ,."
        )
    return ".", False


def _spoken(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[separator]
