"""What is asked of a stored model: `wilsonian predict`, `wilsonian flow` and `wilsonian info`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.console import Console, flow_csv, run_json, run_summary
from wilsonian.app.cli.options import JsonOption, ModelArgument, QuietOption, names
from wilsonian.app.cli.table_options import DialectOptions, spread_options
from wilsonian.app.reports.flow_text import flow_rows
from wilsonian.support.files import atomic_path, atomic_write, check_writable

if TYPE_CHECKING:
    import numpy as np


@app.command()
@spread_options
def predict(
    model: ModelArgument,
    table: Annotated[
        str, typer.Argument(help="Table with the model's columns; - for CSV on standard input.")
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV, Parquet or NPZ file to write (default: CSV on standard output)."),
    ] = None,
    identifiers: Annotated[
        str | None,
        typer.Option("--id", help="Columns to carry along [default: those of the fit's --id]."),
    ] = None,
    written: DialectOptions,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict each row of a table: mean and standard deviation of a new label, or the class and
    its probabilities. A CSV file is read as the training table was, unless options say so."""
    import numpy as np

    from wilsonian.app.runs.model import load_run
    from wilsonian.app.tables.encoding import unseen_sentences
    from wilsonian.app.tables.prediction_files import check_suffix, prediction_writer

    if out is not None:
        check_suffix(out)
        check_writable(out)
    run = load_run(model)
    carried = None if identifiers is None else names(identifiers)
    rows = run.open(table, written.dialect(), carried)
    unseen: dict[tuple[str, str], int] = {}
    blocks = run.predict(rows, identifiers=carried, unseen=unseen)
    # Beside predictions on standard output, sentences go to standard error.
    console, done = Console(quiet=quiet or as_json, error=out is None), 0
    held: list[dict[str, np.ndarray]] = []
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(console.progress())
        if out is not None:
            file = stack.enter_context(stack.enter_context(atomic_path(out)).open("wb"))
            write = stack.enter_context(prediction_writer(file, out.suffix))
        elif as_json:
            write = held.append
        else:
            write = stack.enter_context(prediction_writer(sys.stdout.buffer, ".csv"))
        for block in blocks:
            write(block)
            done += len(next(iter(block.values())))
            progress("predicting", done, rows.rows)
    said = [*rows.notes, *unseen_sentences(unseen)]
    if as_json:
        counted = [{"column": name, "sort": sort, "rows": n} for (name, sort), n in unseen.items()]
        answer: dict[str, Any] = {"rows": done, "out": out and str(out), "reading": rows.reading}
        answer |= {"notes": said, "unseen": counted}
        if out is None:
            answer["predictions"] = {
                name: np.concatenate([block[name] for block in held]) for name in held[0]
            }
        echo_json(answer)
    if rows.reading:
        console.print(rows.reading)
    for sentence in said:
        console.print(sentence)
    if out is not None:
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
    from wilsonian.app.runs.model import load_run
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
    from wilsonian.app.runs.model import load_run

    record = load_run(model).record
    if as_json:
        echo_json(run_json(record))
    else:
        Console().print(run_summary(record, details=True))
