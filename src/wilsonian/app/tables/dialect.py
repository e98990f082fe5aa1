"""How a CSV file writes its cells: separator, decimal mark, encoding, marks of a missing value.

Blanks, apostrophes and the mark that is not the decimal one may stand between groups of three
digits; a currency or percent sign may stand beside a number, and parentheses around it mean minus,
as spreadsheets write them.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wilsonian.app.tables.blocks import TableError

# What spreadsheets, R, pandas and databases write for a missing value.
MISSING = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "blank": " "}
DECIMALS = {".": "decimal points", ",": "decimal commas"}
_BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_GROUPS = "'\N{RIGHT SINGLE QUOTATION MARK}" + _BLANKS
_UNIT = r"(?:[$€£¥₹%]|USD|EUR|GBP|CHF|JPY)"
_SIGN = "[-+\N{MINUS SIGN}]?"


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How one file is written."""

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    missing: tuple[str, ...] = MISSING  # beside an empty cell

    def describe(self) -> str:
        """In one line."""
        text = (
            f"{SEPARATORS.get(self.separator, repr(self.separator))} between columns, "
            f"{DECIMALS[self.decimal]}, {self.encoding.upper()}"
        )
        if self.missing != MISSING:
            text += ", missing: " + ", ".join(map(repr, ("", *self.missing)))
        return text

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**dataclasses.asdict(self), "missing": list(self.missing)}


@dataclasses.dataclass(frozen=True)
class DialectChoice:
    """What the user says of a file's dialect; None is detected from its content.

    `like` is the dialect of the table that a model was fitted to, used where the file's columns
    can be read in it.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    missing: tuple[str, ...] | None = None
    like: Dialect | None = None

    def __post_init__(self) -> None:
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\n\r'):
            raise ValueError(
                f"--separator must be one character or {', '.join(WORDS)}, got {self.separator!r}."
            )
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"--decimal must be . or , and not {self.decimal!r}.")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise ValueError(
                    f"there is no encoding {self.encoding!r}; --encoding takes utf-8, utf-16, "
                    "latin-1, windows-1252 and other names that Python knows."
                ) from error


def dialect_of(value: Any) -> Dialect:
    """The dialect that `to_dict` wrote. Raises ValueError for anything else."""
    match value:
        case {
            "separator": str() as separator,
            "decimal": "." | "," as decimal,
            "encoding": str() as encoding,
            "missing": list() as missing,
        } if len(value) == 4 and len(separator) == 1 and all(isinstance(m, str) for m in missing):
            choice = DialectChoice(separator, decimal, encoding)
            return Dialect(separator, decimal, choice.encoding or "utf-8", tuple(missing))
    raise ValueError(
        "a stored encoding's `dialect` must have a separator, a decimal mark, an encoding and "
        "marks of missing values; the file was altered: fit and save the model again."
    )


@cache
def number_pattern(decimal: str) -> str:
    """A regular expression (Python's and RE2's) of a whole cell that holds a number."""
    marks = ("." if decimal == "," else ",") + _GROUPS
    groups = "|".join(rf"[1-9][0-9]{{0,2}}(?:{re.escape(mark)}[0-9]{{3}})+" for mark in marks)
    point, blank = re.escape(decimal), f"[{_BLANKS}]?"
    digits = rf"(?:(?:[0-9]+|{groups})(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][-+]?[0-9]+)?"
    signed = rf"{_SIGN}{blank}{_UNIT}?{blank}{_SIGN}{digits}{blank}{_UNIT}?"
    return rf"^(?:{signed}|\({blank}{_UNIT}?{blank}{digits}{blank}{_UNIT}?{blank}\))$"


@cache
def _matcher(decimal: str) -> Callable[[str], object]:
    return re.compile(number_pattern(decimal)).match


def number(text: str, decimal: str) -> float | None:
    """The number that a trimmed cell holds, or None."""
    if not _matcher(decimal)(text):
        return None
    minus = text.startswith("(")
    text = re.sub(_UNIT, "", text).replace("\N{MINUS SIGN}", "-").replace(decimal, "D")
    return float(("-" if minus else "") + re.sub(r"[^-+0-9eED]", "", text).replace("D", "."))


def numbers(column: pa.Array, decimal: str) -> pa.Array | None:
    """A column of trimmed text as floats where every value is a number, else None."""
    matching = pc.match_substring_regex(column, number_pattern(decimal))
    if not pc.all(matching, min_count=0).as_py():
        return None
    minus = pc.starts_with(column, "(")
    text = pc.replace_substring_regex(column, _UNIT, "")
    text = pc.replace_substring(text, "\N{MINUS SIGN}", "-")
    text = pc.replace_substring(text, decimal, "D")
    text = pc.replace_substring_regex(text, r"[^-+0-9eED]", "")
    text = pc.replace_substring(text, "D", ".")
    values = pc.cast(text, pa.float64())
    return pc.if_else(minus, pc.negate(values), values)


def has_signs(column: pa.Array) -> bool:
    """Whether a currency or percent sign stands in a column of text."""
    return bool(pc.any(pc.match_substring_regex(column, _UNIT), min_count=0).as_py())


def decode(data: pa.Buffer, encoding: str, name: str) -> pa.Buffer:
    """Bytes as UTF-8. Raises TableError where they are not of that encoding."""
    if encoding in ("utf-8", "utf-8-sig"):
        return data
    try:
        text = bytes(data).decode(encoding)
    except UnicodeError as error:
        raise TableError(
            f"{name} is not text in {encoding} ({error}); name another with --encoding."
        ) from error
    return pa.py_buffer(text.removeprefix("\ufeff").encode("utf-8", "surrogatepass"))


def detect_encoding(data: pa.Buffer) -> str:
    """By a byte order mark, by zero bytes, else UTF-8 where all of it is, else Windows-1252 (which
    spreadsheets write and call Latin-1)."""
    head = bytes(data[: min(4096, data.size)])
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = (head[0::2].count(0), head[1::2].count(0))
    if max(zeros) > len(head) // 8:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    decoder, undefined = codecs.getincrementaldecoder("utf-8")(), False
    try:
        for start in range(0, data.size, 1 << 20):
            decoder.decode(bytes(data[start : start + (1 << 20)]))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        undefined = any(bytes(data).count(byte) for byte in b"\x81\x8d\x8f\x90\x9d")
    else:
        return "utf-8"
    return "latin-1" if undefined else "windows-1252"
