"""`wilsonian fit`: the options, and what is written where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.codes import Interruption
from wilsonian.app.cli.console import Console, run_json, run_summary
from wilsonian.app.cli.options import (
    JsonOption,
    Learn,
    NoiseAs,
    Precision,
    QuietOption,
    ReportOption,
    Ridge,
    SeedOption,
    number_or,
)
from wilsonian.app.cli.table_options import TableOptions, spread_options
from wilsonian.support.files import check_writable

if TYPE_CHECKING:
    from wilsonian.app.runs.fit import Choices
    from wilsonian.regression.learning.diary import Progress


@app.command()
@spread_options
def fit(
    table: Annotated[
        str,
        typer.Argument(
            help="CSV, TSV, Parquet or NPZ file, or a bundled data set: digits, diabetes, "
            "breast_cancer, wine, iris, linnerud."
        ),
    ],
    *,
    kernel: Annotated[
        str,
        typer.Option(
            help="rbf, matern12, matern32, matern52, rational_quadratic, linear, polynomial, "
            "periodic, locally_periodic, spectral_mixture, cosine, nngp:relu,depth=3, ntk:erf, "
            "nngp:net.json (an architecture); sums and products: "
            "'0.5*rbf + linear', 'matern52:length_scale=2'."
        ),
    ] = "matern52",
    out: Annotated[Path | None, typer.Option(help="Folder to store the model in.")] = None,
    report: ReportOption = None,
    with_forecast: Annotated[
        bool, typer.Option("--forecast", help="Add to --report what more labelled rows would buy.")
    ] = False,
    columns: TableOptions,
    noise_column: Annotated[
        str | None,
        typer.Option(
            help="Column of what is known of each row's noise (no repetitions, no weights)."
        ),
    ] = None,
    noise_as: Annotated[
        NoiseAs,
        typer.Option(help="What it holds: variances, or standard errors, of the target."),
    ] = NoiseAs.variance,
    rank: Annotated[
        str,
        typer.Option(
            help="Number of inducing points; auto adds them until the cutoff rule is met."
        ),
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
    noise_variance: Annotated[
        float, typer.Option(help="Noise variance, in units of the target's: start, or value.")
    ] = 0.01,
    precision: Annotated[
        Precision, typer.Option(help="Of the pass over the rows.")
    ] = Precision.float64,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Also read out what the cutoff eliminated, from all rows: nearer to the exact "
            "process, in time that grows with the square of the rows.",
        ),
    ] = False,
    test_fraction: Annotated[
        float | None,
        typer.Option(help="Fraction of rows held out [default: 0.2, at most 50,000 rows]."),
    ] = None,
    block_size: Annotated[int, typer.Option(help="Rows read at a time.")] = 4096,
    seed: SeedOption = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted fit of --out stopped.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a reduced Gaussian process to a table and test it on held-out rows."""
    from wilsonian.app.reports.draughtsmen import draughtsmen

    with draughtsmen(wanted=report is not None) as drawn:
        from wilsonian.app.reports import write_report
        from wilsonian.app.runs.checkpoints import interruption
        from wilsonian.app.runs.fit import Choices, fit_table

        if resume and out is None:
            raise ValueError("--resume needs --out: the state of a fit lies beside its model.")
        if with_forecast and report is None:
            raise ValueError("--forecast needs --report: it is a section of that page.")
        if report is not None:
            check_writable(report)
        choices = Choices(
            table=table,
            **columns.choices(),
            noise_column=noise_column,
            noise_as=noise_as.value,
            kernel=kernel,
            parameters={
                "rank": number_or(rank, "--rank", ("auto",)),
                "max_rank": max_rank,
                "cutoff": number_or(cutoff, "--cutoff", ("auto", "none")),
                "threshold": threshold,
                "ridge": ridge.value,
                "optimizer": None if learn is Learn.none else "l-bfgs-b",
                "learn": "all" if learn is Learn.none else learn.value,
                "amplitude": amplitude,
                "noise_variance": noise_variance,
                "dtype": precision.value,
                "exact": exact,
            },
            test_fraction=test_fraction,
            seed=seed,
            block_size=block_size,
        )
        console = Console(quiet=quiet or as_json)
        at = ("", 0)

        with console.progress() as show:

            def progress(stage: str, done: int, of: int, told: str = "") -> None:
                nonlocal at
                at = stage, done
                show(stage, done, of, told)

            try:
                run = fit_table(choices, out, resume=resume, progress=progress)
            except KeyboardInterrupt:
                raise Interruption(interruption(*at, out)) from None
            forecasts = [_forecast(choices, learn, progress)] if with_forecast else []
        if report is not None:
            sections = [section for section, _ in forecasts]
            write_report(run.record, report, sections, drawn(run.record))
        if as_json:
            echo_json({"record": run_json(run.record), "out": out and str(out)})
        console.print(run_summary(run.record))
        for _, refusal in forecasts:
            if refusal:
                console.print(f"\n{refusal}")
        for what, path in (("Model", out), ("Report", report)):
            if path is not None:
                console.print(f"{what} written to {path}")


def _forecast(choices: Choices, learn: Learn, progress: Progress) -> tuple[str, str]:
    """The section of the report on what more labels would buy, and what the console says of it:
    a sentence if there is no forecast, which must not cost the user the fit."""
    from wilsonian.app.reports.forecast import forecast_section, refusal_section
    from wilsonian.app.reports.forecast_text import no_forecast
    from wilsonian.app.runs.forecast import ForecastChoices, forecast_table

    try:
        run = forecast_table(ForecastChoices.of(choices, learn=learn is Learn.all), progress)
    except ValueError as error:  # a sentence of the library's, such as of too few labels
        return refusal_section(str(error)), no_forecast(str(error))
    return forecast_section(run), ""
