"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import csv
import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wilsonian.app.tables.dialect import DialectChoice


class Task(enum.StrEnum):
    """What the target is."""

    auto = "auto"
    regression = "regression"
    classification = "classification"


class Ridge(enum.StrEnum):
    """What eliminated modes become."""

    uniform = "uniform"
    input_dependent = "input-dependent"


class Dates(enum.StrEnum):
    """What becomes of dates."""

    numbers = "numbers"
    drop = "drop"


class NoiseAs(enum.StrEnum):
    """What a column of known noise holds."""

    variance = "variance"
    error = "error"


class Learn(enum.StrEnum):
    """What is learned by evidence."""

    all = "all"
    scale = "scale"
    none = "none"


class Precision(enum.StrEnum):
    """Of the pass over the rows."""

    float64 = "float64"
    float32 = "float32"


def _checked_seed(seed: int) -> int:
    if seed < 0:
        raise ValueError(f"--seed must not be negative, got {seed}.")
    return seed


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
ModelArgument = Annotated[Path, typer.Argument(help="Folder written by `wilsonian fit --out`.")]
TargetOption = Annotated[str | None, typer.Option(help="Column to predict.")]
IncludeOption = Annotated[
    str, typer.Option(help="Columns to learn from, with commas (default: all but the target).")
]
DropOption = Annotated[str, typer.Option(help="Columns to leave out, with commas.")]
CategoricalOption = Annotated[
    str, typer.Option(help="Columns whose values are categories, with commas.")
]
TaskOption = Annotated[
    Task, typer.Option(help="auto classifies a text target and regresses a numeric one.")
]
SeedOption = Annotated[int, typer.Option(help="Of every random choice.", callback=_checked_seed)]
ReportOption = Annotated[Path | None, typer.Option(help="HTML page to write.")]


SeparatorOption = Annotated[
    str | None,
    typer.Option(
        help="Of a CSV file: a character, comma, semicolon, tab, bar [default: detected]."
    ),
]
DecimalOption = Annotated[
    str | None, typer.Option(help="Decimal mark of a CSV file, . or , [default: detected].")
]
EncodingOption = Annotated[
    str | None, typer.Option(help="Of a CSV file: utf-8, utf-16, latin-1 ... [default: detected].")
]
MissingOption = Annotated[
    str | None,
    typer.Option(
        help="What a CSV file writes for missing values, with commas, beside empty cells "
        "[default: NA, NaN, null, N/A ...; '' for empty cells only, so that NA is a level]."
    ),
]
DatesOption = Annotated[
    Dates,
    typer.Option(
        help="Dates become numbers (days since the first, weekday, hour), or are dropped."
    ),
]
IdOption = Annotated[
    str, typer.Option("--id", help="Columns that name rows: not learned from, but carried along.")
]


def dialect_choice(
    separator: str | None, decimal: str | None, encoding: str | None, missing: str | None
) -> DialectChoice:
    """What the options say of a CSV file's dialect."""
    from wilsonian.app.tables.dialect import WORDS, DialectChoice

    return DialectChoice(
        None if separator is None else WORDS.get(separator, separator),
        decimal,
        encoding,
        None if missing is None else names(missing),
    )


def names(text: str) -> tuple[str, ...]:
    """Names between commas; one that holds a comma stands in double quotes, as in CSV."""
    (found,) = csv.reader([text], skipinitialspace=True) if text.strip() else ([],)
    return tuple(name.strip() for name in found if name.strip())


def number_or(text: str, option: str, words: tuple[str, ...]) -> Any:
    """`text` as one of `words` ("none" is None), a whole number or a float."""
    if text in words:
        return None if text == "none" else text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    allowed = ", ".join(words) + " or " if words else ""
    raise ValueError(f"{option} must be {allowed}a number, got {text!r}.")
