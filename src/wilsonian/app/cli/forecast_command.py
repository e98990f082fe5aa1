"""`wilsonian forecast`: the options, and what is written where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.console import Console, forecast_summary
from wilsonian.app.cli.options import (
    CategoricalOption,
    Dates,
    DatesOption,
    DecimalOption,
    DropOption,
    EncodingOption,
    IncludeOption,
    JsonOption,
    MissingOption,
    QuietOption,
    ReportOption,
    SeedOption,
    SeparatorOption,
    TargetOption,
    Task,
    TaskOption,
    dialect_choice,
    names,
    number_or,
)
from wilsonian.support.files import atomic_write, check_writable


@app.command()
def forecast(
    table: Annotated[
        str, typer.Argument(help="Table of the pilot; rows without a target lend their inputs.")
    ],
    target: TargetOption = None,
    kernel: Annotated[str, typer.Option(help="As in `wilsonian fit`.")] = "matern52",
    labels: Annotated[
        int | None,
        typer.Option(
            help="Labelled rows to use [default: all, at most 1,000]; others lend inputs."
        ),
    ] = None,
    to: Annotated[
        str, typer.Option(help="Sample sizes, with commas [default: 2, 4, 8, 16 times the labels].")
    ] = "",
    ridge: Annotated[
        float | None,
        typer.Option(help="Added to the kernel matrix [default: the best for each n]."),
    ] = None,
    learn: Annotated[
        bool, typer.Option(help="Learn the kernel's parameters from the pilot.")
    ] = True,
    include: IncludeOption = "",
    drop: DropOption = "",
    categorical: CategoricalOption = "",
    dates: DatesOption = Dates.numbers,
    separator: SeparatorOption = None,
    decimal: DecimalOption = None,
    encoding: EncodingOption = None,
    missing: MissingOption = None,
    task: TaskOption = Task.auto,
    seed: SeedOption = 0,
    plot: Annotated[Path | None, typer.Option(help="Picture to write (PNG, PDF or SVG).")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file to write, all sizes.")] = None,
    report: ReportOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Error at more labelled rows than there are, which ridge, and what one more doubling buys."""
    from wilsonian.app.reports.forecast import write_forecast_report
    from wilsonian.app.reports.forecast_text import forecast_csv, forecast_rows
    from wilsonian.app.runs.forecast import ForecastChoices, forecast_table
    from wilsonian.support.pictures import check_picture
    from wilsonian.theory.forecast.figure import write_forecast_figure

    if plot is not None:
        check_picture(plot)
    for path in (plot, csv, report):
        if path is not None:
            check_writable(path)
    choices = ForecastChoices(
        table=table,
        target=target,
        include=names(include),
        exclude=names(drop),
        categorical=names(categorical),
        dates=dates.value,
        dialect=dialect_choice(separator, decimal, encoding, missing),
        task=task.value,
        kernel=kernel,
        learn=learn,
        labels=labels,
        to=tuple(float(number_or(text, "--to", ())) for text in names(to)),
        ridge=ridge,
        seed=seed,
    )
    console = Console(quiet=quiet or as_json)
    with console.progress() as progress:
        run = forecast_table(choices, progress)
    if plot is not None:
        write_forecast_figure(run.forecast, plot)
    if csv is not None:
        atomic_write(csv, forecast_csv(run))
    if report is not None:
        write_forecast_report(run, report)
    if as_json:
        echo_json(run.record())
    console.table(*forecast_rows(run))
    console.print("")
    console.print(forecast_summary(run))
    for path in (plot, csv, report):
        if path is not None:
            console.print(f"Written to {path}")
