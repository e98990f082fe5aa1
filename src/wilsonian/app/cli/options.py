"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import csv
import enum
from pathlib import Path
from typing import Annotated, Any

import typer


class Ridge(enum.StrEnum):
    """What eliminated modes become."""

    uniform = "uniform"
    input_dependent = "input-dependent"


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
SeedOption = Annotated[int, typer.Option(help="Of every random choice.", callback=_checked_seed)]
ReportOption = Annotated[Path | None, typer.Option(help="HTML page to write.")]


def names(text: str) -> tuple[str, ...]:
    """Names between commas; one that holds a comma stands in double quotes, as in CSV."""
    (found,) = csv.reader([text], skipinitialspace=True) if text.strip() else ([],)
    return tuple(name.strip() for name in found if name.strip())


def all_names(texts: list[str] | None) -> tuple[str, ...]:
    """The names of an option that may be given several times."""
    return tuple(name for text in texts or () for name in names(text))


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
