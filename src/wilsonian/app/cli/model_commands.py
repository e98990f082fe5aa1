"""What is asked of a stored model: `wilsonian predict`, `wilsonian flow` and `wilsonian info`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.console import Console, flow_csv, flow_rows, run_json, run_summary
from wilsonian.app.cli.options import JsonOption, ModelArgument, QuietOption
from wilsonian.support.files import atomic_path, atomic_write, check_writable


@app.command()
def predict(
    model: ModelArgument,
    table: Annotated[str, typer.Argument(help="Table with the model's columns.")],
    out: Annotated[
        Path | None,
        typer.Option(help="CSV, Parquet or NPZ file to write (default: CSV on standard output)."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Predict each row of a table: mean and standard deviation of a new label, or the class and
    its probabilities."""
    from wilsonian.app.runs.fit import load_run
    from wilsonian.app.tables import open_table
    from wilsonian.app.tables.prediction_files import check_suffix, prediction_writer

    if out is not None:
        check_suffix(out)
        check_writable(out)
    run, rows = load_run(model), open_table(table)
    console = Console(quiet=quiet or out is None)
    blocks, done = run.predict(rows), 0
    if out is None:
        with prediction_writer(sys.stdout.buffer, ".csv") as write:
            for block in blocks:
                write(block)
        return
    with (
        console.progress() as progress,
        atomic_path(out) as temporary,
        temporary.open("wb") as file,
        prediction_writer(file, out.suffix) as write,
    ):
        for block in blocks:
            write(block)
            done += len(next(iter(block.values())))
            progress("predicting", done, rows.rows)
    console.print(f"{done:,} predictions written to {out}")


@app.command()
def flow(
    model: ModelArgument,
    as_json: JsonOption = False,
    csv: Annotated[Path | None, typer.Option(help="CSV file to write, all cutoffs.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture to write (PNG, PDF or SVG).")] = None,
    quiet: QuietOption = False,
) -> None:
    """Ridge, learnability, evidence and test error at every cutoff of a model."""
    from wilsonian.app.figures.flow_figure import write_flow_figure
    from wilsonian.app.runs.fit import load_run
    from wilsonian.support.pictures import check_picture

    if plot is not None:
        check_picture(plot)
    record = load_run(model).record
    if csv is not None:
        atomic_write(csv, flow_csv(record.flow))
    if plot is not None:
        write_flow_figure(record, plot)
    if as_json:
        echo_json(record.flow.columns())
    console = Console(quiet=quiet or as_json)
    console.table(*flow_rows(record))
    for path in (csv, plot):
        if path is not None:
            console.print(f"Written to {path}")


@app.command()
def info(model: ModelArgument, as_json: JsonOption = False) -> None:
    """What a model is, where it came from and how well it did."""
    from wilsonian.app.runs.fit import load_run

    record = load_run(model).record
    if as_json:
        echo_json(run_json(record))
    else:
        Console().print(run_summary(record, details=True))
