"""`wilsonian information`: the options, and what is written where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.console import Console
from wilsonian.app.cli.options import (
    JsonOption,
    QuietOption,
    ReportOption,
    SeedOption,
    TargetOption,
)
from wilsonian.support.files import check_writable


@app.command()
def information(
    network: Annotated[
        Path | None, typer.Argument(help="Architecture, a JSON file of wilsonian.networks.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Argument(help="Its trained weights, a safetensors file.")
    ] = None,
    table: Annotated[
        str | None, typer.Argument(help="Table it was trained on, preprocessed as for training.")
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(help="Table of examples that it was not trained on.")
    ] = None,
    target: TargetOption = None,
    prior_variance: Annotated[
        float | None,
        typer.Option(help="Of a parameter before training [default: 1, as drawn by the library]."),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(help="Instead: the factor of |theta|^2 / 2 beside the mean loss."),
    ] = None,
    noise_variance: Annotated[
        float | None,
        typer.Option(help="Of a numeric label [default: the mean squared residual]."),
    ] = None,
    scope: Annotated[
        str, typer.Option(help="all, last-layer, or a part of parameters' names.")
    ] = "all",
    cost: Annotated[
        float, typer.Option(help="Nats per example that removed directions may cost.")
    ] = 0.01,
    demo: Annotated[
        bool, typer.Option("--demo", help="Train a small network on digits and show it.")
    ] = False,
    seed: SeedOption = 0,
    report: ReportOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """What a trained network has learned: informed directions, and what removing others costs."""
    from wilsonian.app.reports.information import write_information_report
    from wilsonian.app.reports.information_text import information_sentences
    from wilsonian.app.runs.information import (
        InformationChoices,
        demo_network,
        information_run,
        information_table,
    )

    if report is not None:
        check_writable(report)
    console = Console(quiet=quiet or as_json)
    with console.progress() as progress:
        if demo:
            if network is not None:
                raise ValueError("--demo trains its own network; leave out the files.")
            progress("training", 0, 0)
            trained, examples = demo_network(seed)
            run = information_run(
                trained,
                examples,
                name="A small network on digits",
                prior="prior variance 1",
                cost=cost,
                progress=progress,
            )
        else:
            if network is None or weights is None or table is None:
                raise ValueError(
                    "give the architecture, the weights and the table (or --demo), e.g. wilsonian "
                    "information net.json weights.safetensors digits."
                )
            run = information_table(
                InformationChoices(
                    network=network,
                    weights=weights,
                    table=table,
                    held_out=held_out,
                    target=target,
                    prior_variance=prior_variance,
                    weight_decay=weight_decay,
                    noise_variance=noise_variance,
                    scope=scope,
                    cost=cost,
                ),
                progress,
            )
    if report is not None:
        write_information_report(run, report)
    if as_json:
        echo_json(run.record())
    for sentence in information_sentences(run):
        console.print(sentence)
    console.print("")
    console.print(str(run.prices))
    for sentence in run.diagnostics:
        console.print(f"\nCareful: {sentence}")
    if report is not None:
        console.print(f"Written to {report}")
