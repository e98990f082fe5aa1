"""Dates that are written as text: which of the usual forms a column has.

ISO dates and times (2026-11-25, 2026-11-25 18:30:00) are recognized by Arrow; here are the other
forms. Day and month in two orders that both fit are an error that names them.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from wilsonian.app.tables.blocks import TableError, as_option


class AmbiguousDatesError(TableError):
    """Dates that can be read in two ways; a doubt of the table until the column is used."""


ISO = "ISO"
# The order of day and month beside each other: both may fit.
_DAY_FIRST = ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y")
_MONTH_FIRST = ("%m.%d.%Y", "%m/%d/%Y", "%m-%d-%Y")
_OTHERS = ("%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y")
_TIMES = ("", " %H:%M:%S", " %H:%M")
FORMATS = (*_DAY_FIRST, *_MONTH_FIRST, *_OTHERS)


def read_dates(column: pa.Array, date_format: str) -> pa.Array:
    """A column of trimmed text as timestamps, null where a value is not of that form."""
    if date_format == ISO:
        # A time of day is one of the first day.
        for text in (column, pc.binary_join_element_wise("1970-01-01", column, "T")):
            for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
                try:
                    return pc.cast(text, kind)
                except pa.ArrowInvalid:
                    pass
        # Not all are dates: one by one.
        valid = [_iso(value.as_py()) for value in column]
        return pa.array(valid, pa.timestamp("us"))
    return pc.strptime(column, format=date_format, unit="us", error_is_null=True)


def date_form(column: pa.Array, name: str, table: str) -> str | None:
    """The form that all values of a column of trimmed text have; None if there is none.

    Raises AmbiguousDatesError where the values are dates in two orders of day and month.
    """
    present = column.drop_null()
    if not len(present):
        return None
    first = present[:64]
    found = [
        day + time
        for day in FORMATS
        for time in _TIMES
        if _fits(first, day + time) and _fits(present, day + time)
    ]
    # %Y takes two digits too: 25.11.26 is no year 26.
    if not found or pc.any(pc.less(pc.year(read_dates(present, found[0])), 1000)).as_py():
        return None
    if (
        len(found) > 1
        and not pc.all(pc.equal(*(read_dates(present, form) for form in found[:2]))).as_py()
    ):
        value = present[0].as_py()
        raise AmbiguousDatesError(
            f"column {name!r} of {table} holds dates such as {value!r}, and all of them can be "
            "day before month or month before day; write them as year-month-day, leave them "
            f"out with --drop {as_option(name)}, or use --categorical {as_option(name)}."
        )
    return found[0]


def _fits(values: pa.Array, form: str) -> bool:
    return pc.strptime(values, format=form, unit="us", error_is_null=True).null_count == 0


def _iso(text: str | None) -> object:
    if text is None:
        return None
    try:
        return pa.scalar(text).cast(pa.timestamp("us")).as_py()
    except pa.ArrowInvalid:
        return None
