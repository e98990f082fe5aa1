"""The `wilsonian` command: arguments in, model, tables and report out; no numerics."""

from __future__ import annotations

import dataclasses
import enum
import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import wilsonian
from wilsonian.cli.console import Console, flow_csv, flow_rows, forecast_summary, run_summary
from wilsonian.records import to_json
from wilsonian.storage.files import FileError, atomic_path, atomic_write, check_writable
from wilsonian.storage.model_files import ModelFileError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find which directions of a learning problem the data can resolve, integrate out the "
    "rest, and keep the effective theory.",
    epilog="Exit codes: 0 done; 1 a file could not be written; 2 wrong usage or input; "
    "130 interrupted.",
)


INTERRUPTED = 130


class Task(enum.StrEnum):
    """What the target is."""

    auto = "auto"
    regression = "regression"
    classification = "classification"


class Ridge(enum.StrEnum):
    """What eliminated modes become."""

    uniform = "uniform"
    input_dependent = "input-dependent"


class Learn(enum.StrEnum):
    """What is learned by evidence."""

    all = "all"
    scale = "scale"
    none = "none"


class Precision(enum.StrEnum):
    """Of the pass over the rows."""

    float64 = "float64"
    float32 = "float32"


QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
ModelArgument = Annotated[Path, typer.Argument(help="Folder written by `wilsonian fit --out`.")]


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show:
        typer.echo(f"wilsonian {wilsonian.__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def fit(
    table: Annotated[
        str,
        typer.Argument(
            help="CSV, TSV, Parquet or NPZ file, or a bundled data set: digits, diabetes, "
            "breast_cancer, wine, iris, linnerud."
        ),
    ],
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    kernel: Annotated[
        str,
        typer.Option(
            help="rbf, matern12, matern32, matern52, rational_quadratic, linear, polynomial, "
            "nngp:relu,depth=3, ntk:erf, nngp:net.json (an architecture); sums and products: "
            "'0.5*rbf + linear', 'matern52:length_scale=2'."
        ),
    ] = "matern52",
    out: Annotated[Path | None, typer.Option(help="Folder to store the model in.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    with_forecast: Annotated[
        bool, typer.Option("--forecast", help="Add to --report what more labelled rows would buy.")
    ] = False,
    include: Annotated[
        str, typer.Option(help="Columns to learn from, with commas (default: all but the target).")
    ] = "",
    drop: Annotated[str, typer.Option(help="Columns to leave out, with commas.")] = "",
    categorical: Annotated[
        str, typer.Option(help="Columns whose values are categories, with commas.")
    ] = "",
    task: Annotated[
        Task, typer.Option(help="auto classifies a text target and regresses a numeric one.")
    ] = Task.auto,
    rank: Annotated[
        str, typer.Option(help="Number of landmarks; auto adds them until the cutoff rule is met.")
    ] = "auto",
    max_rank: Annotated[int, typer.Option(help="Budget of --rank auto.")] = 1024,
    cutoff: Annotated[
        str,
        typer.Option(help="auto, none, a number of modes (100), or an eigenvalue scale (1e-3)."),
    ] = "auto",
    threshold: Annotated[
        float, typer.Option(help="Learnability below which modes are integrated out.")
    ] = 0.1,
    ridge: Annotated[
        Ridge, typer.Option(help="What eliminated modes become: one ridge, or one per input.")
    ] = Ridge.uniform,
    learn: Annotated[
        Learn,
        typer.Option(help="Learn all hyperparameters, the scale (amplitude and noise), or none."),
    ] = Learn.all,
    amplitude: Annotated[
        float, typer.Option(help="Prior variance, in units of the target's: start, or value.")
    ] = 1.0,
    noise: Annotated[
        float, typer.Option(help="Noise variance, in units of the target's: start, or value.")
    ] = 0.01,
    precision: Annotated[
        Precision, typer.Option(help="Of the pass over the rows.")
    ] = Precision.float64,
    test_fraction: Annotated[
        float | None,
        typer.Option(help="Fraction of rows held out [default: 0.2, at most 50,000 rows]."),
    ] = None,
    block_size: Annotated[int, typer.Option(help="Rows read at a time.")] = 4096,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted fit of --out stopped.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a reduced Gaussian process to a table and test it on held-out rows."""
    from wilsonian.reports import write_report
    from wilsonian.runs.fit import Choices, fit_table

    if resume and out is None:
        raise ValueError("--resume needs --out: the state of a fit lies beside its model.")
    if with_forecast and report is None:
        raise ValueError("--forecast needs --report: it is a section of that page.")
    if seed < 0:
        raise ValueError(f"--seed must not be negative, got {seed}.")
    if report is not None:
        check_writable(report)
    choices = Choices(
        table=table,
        target=target,
        include=_names(include),
        exclude=_names(drop),
        categorical=_names(categorical),
        task=task.value,
        kernel=kernel,
        parameters={
            "rank": _number_or(rank, "--rank", ("auto",)),
            "max_rank": max_rank,
            "cutoff": _number_or(cutoff, "--cutoff", ("auto", "none")),
            "threshold": threshold,
            "ridge": ridge.value,
            "optimizer": None if learn is Learn.none else "l-bfgs-b",
            "learn": "all" if learn is Learn.none else learn.value,
            "amplitude": amplitude,
            "noise": noise,
            "dtype": precision.value,
        },
        test_fraction=test_fraction,
        seed=seed,
        block_size=block_size,
    )
    console = Console(quiet=quiet or as_json)
    with console.progress() as progress:
        run = fit_table(choices, out, resume=resume, progress=progress)
        further = [_forecast_section(choices, learn, progress)] if with_forecast else []
    if report is not None:
        write_report(run.record, report, further)
    if as_json:
        _echo_json({"record": _short(run.record), "out": out and str(out)})
    console.print(run_summary(run.record))
    for what, path in (("Model", out), ("Report", report)):
        if path is not None:
            console.print(f"{what} written to {path}")


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
    from wilsonian.runs.fit import load_run
    from wilsonian.tables import open_table
    from wilsonian.tables.prediction_files import check_suffix, prediction_writer

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
    from wilsonian.plots.flow_figure import check_picture, write_flow_figure
    from wilsonian.runs.fit import load_run

    if plot is not None:
        check_picture(plot)
    record = load_run(model).record
    if csv is not None:
        atomic_write(csv, flow_csv(record.flow))
    if plot is not None:
        write_flow_figure(record, plot)
    if as_json:
        _echo_json(record.flow.columns())
    console = Console(quiet=quiet or as_json)
    console.table(*flow_rows(record))
    for path in (csv, plot):
        if path is not None:
            console.print(f"Written to {path}")


@app.command()
def forecast(
    table: Annotated[
        str, typer.Argument(help="Table of the pilot; rows without a target lend their inputs.")
    ],
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
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
    include: Annotated[str, typer.Option(help="Columns to learn from, with commas.")] = "",
    drop: Annotated[str, typer.Option(help="Columns to leave out, with commas.")] = "",
    categorical: Annotated[
        str, typer.Option(help="Columns whose values are categories, with commas.")
    ] = "",
    task: Annotated[
        Task, typer.Option(help="auto classifies a text target and regresses a numeric one.")
    ] = Task.auto,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Picture to write (PNG, PDF or SVG).")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file to write, all sizes.")] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Error at more labelled rows than there are, which ridge, and what one more doubling buys."""
    from wilsonian.forecasts.figure import write_forecast_figure
    from wilsonian.forecasts.text import forecast_csv, forecast_rows
    from wilsonian.plots.flow_figure import check_picture
    from wilsonian.reports.forecast import write_forecast_report
    from wilsonian.runs.forecast import ForecastChoices, forecast_table

    if seed < 0:
        raise ValueError(f"--seed must not be negative, got {seed}.")
    if plot is not None:
        check_picture(plot)
    for path in (plot, csv, report):
        if path is not None:
            check_writable(path)
    choices = ForecastChoices(
        table=table,
        target=target,
        include=_names(include),
        exclude=_names(drop),
        categorical=_names(categorical),
        task=task.value,
        kernel=kernel,
        learn=learn,
        labels=labels,
        to=tuple(float(_number_or(text, "--to", ())) for text in _names(to)),
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
        _echo_json(run.record())
    console.table(*forecast_rows(run))
    console.print("")
    console.print(forecast_summary(run))
    for path in (plot, csv, report):
        if path is not None:
            console.print(f"Written to {path}")


@app.command()
def info(model: ModelArgument, as_json: JsonOption = False) -> None:
    """What a model is, where it came from and how well it did."""
    from wilsonian.runs.fit import load_run

    record = load_run(model).record
    if as_json:
        _echo_json(_short(record))
    else:
        Console().print(run_summary(record, details=True))


def main() -> None:
    """Entry point: one sentence and an exit code for everything that can go wrong."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer's answer to KeyboardInterrupt
            _fail("Interrupted; a fit with --out goes on with --resume.", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except FileError as error:
        _fail(str(error), 1)
    except MemoryError:
        _fail("out of memory; lower --max-rank or --block-size, or give Parquet instead of CSV.", 1)
    except (ModelFileError, ValueError) as error:  # the library's sentences are ValueErrors
        _fail(str(error), 2)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # not a usage error of typer's
            raise
        _fail(error.format_message(), 2)


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _fail(sentence: str, code: int) -> None:
    sys.stderr.write(f"\n{sentence}\n" if code == INTERRUPTED else f"Error: {sentence}\n")
    sys.exit(code)


def _forecast_section(choices: Any, learn: Learn, progress: Any) -> str:
    """The forecast of a fit's table and kernel, as HTML."""
    from wilsonian.reports.forecast import forecast_section
    from wilsonian.runs.forecast import ForecastChoices, forecast_table

    shared = ("table", "target", "include", "exclude", "categorical", "task", "kernel", "seed")
    values = {name: getattr(choices, name) for name in shared}
    return forecast_section(
        forecast_table(ForecastChoices(**values, learn=learn is Learn.all), progress)
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _number_or(text: str, option: str, words: tuple[str, ...]) -> Any:
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


def _short(record: Any) -> dict[str, Any]:
    """A run's record without its long arrays."""
    values = to_json(record)
    for name in ("predictions", "mode_images", "spectrum", "flow"):
        del values[name]
    return {**values, "kept": record.spectrum.kept, "modes": len(record.spectrum.eigenvalues)}


def _echo_json(value: Any) -> None:
    if dataclasses.is_dataclass(value):
        value = to_json(value)
    typer.echo(json.dumps(to_json(value), indent=1, allow_nan=False))
