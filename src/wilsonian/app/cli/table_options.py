"""Options about a table, stated once: how a text file is written, and what its columns mean."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wilsonian.app.cli.options import TargetOption, all_names, names

if TYPE_CHECKING:
    from wilsonian.app.tables.dialect import DialectChoice


class Task(enum.StrEnum):
    """What the target is."""

    auto = "auto"
    regression = "regression"
    classification = "classification"


class Dates(enum.StrEnum):
    """What becomes of dates."""

    numbers = "numbers"
    drop = "drop"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DialectOptions:
    """How a text file is written, for every command that reads one."""

    separator: Annotated[
        str | None,
        typer.Option(
            help="Of a CSV file: a character, comma, semicolon, tab, bar [default: detected]."
        ),
    ] = None
    decimal: Annotated[
        str | None, typer.Option(help="Decimal mark of a CSV file, . or , [default: detected].")
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(help="Of a CSV file: utf-8, utf-16, latin-1 ... [default: detected]."),
    ] = None
    missing: Annotated[
        str | None,
        typer.Option(
            help="What a CSV file writes for missing values, with commas, beside empty cells "
            "[default: NA, NaN, null, N/A ...; '' for empty cells only, so that NA is a level]."
        ),
    ] = None

    def dialect(self) -> DialectChoice:
        """What the options say of a CSV file's dialect."""
        from wilsonian.app.tables.dialect import WORDS, DialectChoice

        return DialectChoice(
            None if self.separator is None else WORDS.get(self.separator, self.separator),
            self.decimal,
            self.encoding,
            None if self.missing is None else names(self.missing),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions(DialectOptions):
    """What the columns of a table mean, for every command that learns from one."""

    target: TargetOption = None
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Columns to learn from, with commas [default: all but the target].",
        ),
    ] = None
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Columns to leave out, with commas or one by one."),
    ] = None
    categorical: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Columns whose values are categories, with commas."),
    ] = None
    identifiers: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            metavar="NAMES",
            help="Columns that name rows: not learned from, but carried to predictions.",
        ),
    ] = None
    dates: Annotated[
        Dates,
        typer.Option(
            help="Dates become numbers (days since the first, weekday, hour), or are dropped."
        ),
    ] = Dates.numbers
    task: Annotated[
        Task, typer.Option(help="auto classifies a text target and regresses a numeric one.")
    ] = Task.auto

    def choices(self) -> dict[str, Any]:
        """As keyword arguments of `TableChoices`."""
        return {
            "target": self.target,
            "include": all_names(self.include),
            "exclude": all_names(self.drop),
            "categorical": all_names(self.categorical),
            "identifiers": all_names(self.identifiers),
            "dates": self.dates.value,
            "dialect": self.dialect(),
            "task": self.task.value,
        }


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose one parameter of a record of options stands for the record's fields: its
    signature holds them in that place, as typer reads it, and its call gathers them."""
    own = inspect.signature(command, eval_str=True)
    (place,) = [
        name
        for name, parameter in own.parameters.items()
        if isinstance(parameter.annotation, type)
        and issubclass(parameter.annotation, DialectOptions)
    ]
    record = own.parameters[place].annotation
    fields = dict(inspect.signature(record, eval_str=True).parameters)
    for shared in dataclasses.fields(DialectOptions):  # last, after what only this record has
        fields[shared.name] = fields.pop(shared.name)
    spread: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        ones = fields.values() if name == place else [parameter]
        spread += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in ones]

    @functools.wraps(command)
    def gathering(**values: Any) -> None:
        options = record(**{name: values.pop(name) for name in fields})
        command(**values, **{place: options})

    gathering.__signature__ = own.replace(parameters=spread)  # type: ignore[attr-defined]
    gathering.__annotations__ = {one.name: one.annotation for one in spread}
    return gathering
