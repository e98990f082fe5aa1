"""`wilsonian forecast`: the options, and what is written where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.console import Console, forecast_summary
from wilsonian.app.cli.curve_command import CURVE_OPTIONS, CurveFiles, forecast_of_curve
from wilsonian.app.cli.options import (
    JsonOption,
    QuietOption,
    ReportOption,
    SeedOption,
    names,
    number_or,
)
from wilsonian.app.cli.table_options import TableOptions, spread_options
from wilsonian.support.files import atomic_write, check_writable


@app.command()
@spread_options
def forecast(
    *,
    context: typer.Context,
    table: Annotated[
        str | None,
        typer.Argument(help="Table of the pilot; rows without a target lend their inputs."),
    ] = None,
    curve: Annotated[
        str | None,
        typer.Option(
            help="Instead of a table: a learning curve measured with any model, columns n, error "
            "and perhaps standard_error."
        ),
    ] = None,
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
    columns: TableOptions,
    seed: SeedOption = 0,
    plot: Annotated[Path | None, typer.Option(help="Picture to write (PNG, PDF or SVG).")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file to write, all sizes.")] = None,
    report: ReportOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Error at more labelled rows than there are, which ridge, and what one more doubling buys."""
    sizes = tuple(float(number_or(text, "--to", ())) for text in names(to))
    for path in (plot, csv, report):
        if path is not None:
            check_writable(path)
    if curve is not None:
        _only_of_a_curve(context)
        files = CurveFiles(plot, csv, report)
        forecast_of_curve(
            curve, sizes, seed, columns.dialect(), files, quiet=quiet, as_json=as_json
        )
        return
    if table is None:
        raise ValueError(
            "give the table of a pilot, or --curve with a file of measured errors (columns n, "
            "error and perhaps standard_error)."
        )
    from wilsonian.app.reports.forecast import write_forecast_report
    from wilsonian.app.reports.forecast_text import forecast_csv, forecast_rows, witness_rows
    from wilsonian.app.runs.forecast import ForecastChoices, forecast_table
    from wilsonian.support.pictures import check_picture
    from wilsonian.theory.forecast.figure import write_forecast_figure

    if plot is not None:
        check_picture(plot)
    choices = ForecastChoices(
        table=table,
        **columns.choices(),
        kernel=kernel,
        learn=learn,
        labels=labels,
        to=sizes,
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
    console.table(*witness_rows(run))
    console.print("")
    console.print(forecast_summary(run))
    for path in (plot, csv, report):
        if path is not None:
            console.print(f"Written to {path}")


def _only_of_a_curve(context: typer.Context) -> None:
    """Raises ValueError when something was given that says nothing about a measured curve."""
    given = [
        name
        for name in context.params
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if "table" in given:
        raise ValueError(
            f"give a table or --curve, not both: got {context.params['table']!r} and --curve "
            f"{context.params['curve']!r}."
        )
    other = [f"--{name.replace('_', '-')}" for name in given if name not in CURVE_OPTIONS]
    if other:
        raise ValueError(
            f"{', '.join(other)} {'is' if len(other) == 1 else 'are'} about the table of a pilot; "
            "leave out what does not belong to --curve."
        )
