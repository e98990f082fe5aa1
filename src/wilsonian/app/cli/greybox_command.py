"""`wilsonian greybox` and `wilsonian greybox-infer`: the options, and what is written where."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from wilsonian.app.cli.app import app, echo_json
from wilsonian.app.cli.console import Console
from wilsonian.app.cli.options import JsonOption, QuietOption, ReportOption, SeedOption
from wilsonian.support.files import atomic_write, check_writable
from wilsonian.support.model_files import check_folder

PhysicsArgument = Annotated[
    str,
    typer.Argument(
        help="A bundled task (pendulum, advection-diffusion, oscillator, lotka-volterra, sir) or "
        "a simulator of yours, file.py:name."
    ),
]


@app.command()
def greybox(
    physics: PhysicsArgument,
    signals: Annotated[
        str | None, typer.Argument(help="NPZ or NPY file of signals (samples, times).")
    ] = None,
    residual: Annotated[
        str,
        typer.Option(
            help="Terms with commas: feature:NAME (a function or a term beside the simulator), "
            "force, force:tied, force:smooth, smooth:LENGTH, white, none [default: the task's; "
            "else force]."
        ),
    ] = "",
    train: Annotated[int, typer.Option(help="Signals to learn the residual from.")] = 40,
    test: Annotated[int, typer.Option(help="Signals to infer.")] = 100,
    noise: Annotated[
        float | None, typer.Option(help="Standard deviation of the noise [default: learned].")
    ] = None,
    max_steps: Annotated[int, typer.Option(help="Most steps of each fit.")] = 30,
    autoencoder: Annotated[
        int, typer.Option(help="Epochs of a hybrid autoencoder to compare with; 0 trains none.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to store the model in.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where a fit with --out was stopped.")
    ] = False,
    report: ReportOption = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Parameters of a simulator that explains signals only partly, with intervals that hold."""
    import shutil

    from wilsonian.app.reports.greybox import write_greybox_report
    from wilsonian.app.runs.greybox import GreyboxChoices, run_greybox, summary

    if report is not None:
        check_writable(report)
    if train < 2 or test < 1:
        raise ValueError(f"--train must be 2 or more and --test 1 or more, got {train}, {test}.")
    checkpoint = None
    if out is not None:
        check_folder(out, "model")
        checkpoint = out.parent / f"{out.name}.partial"
        if not resume:
            shutil.rmtree(checkpoint, ignore_errors=True)
    choices = GreyboxChoices(
        physics,
        signals,
        residual,
        train=train,
        test=test,
        noise=noise,
        max_steps=max_steps,
        seed=seed,
        autoencoder=autoencoder,
    )
    console = Console(quiet=quiet or as_json)
    with console.progress() as progress:
        run = run_greybox(choices, progress, checkpoint)
    if out is not None:
        run.model.save(out, physics=physics, residual=residual)
        assert checkpoint is not None
        shutil.rmtree(checkpoint, ignore_errors=True)
    if report is not None:
        write_greybox_report(run, report)
    if as_json:
        names, columns = run.result.table()
        echo_json(
            {
                "columns": names,
                "parameters": columns.tolist(),
                "evidence": {c.name: c.evidence for c in run.comparison.candidates},
            }
        )
    for line in summary(run):
        console.print(line)
    for path in (out, report):
        if path is not None:
            console.print(f"Written to {path}")


@app.command(name="greybox-infer")
def greybox_infer(
    model: Annotated[Path, typer.Argument(help="Folder written by `wilsonian greybox --out`.")],
    signals: Annotated[str, typer.Argument(help="NPZ or NPY file of signals.")],
    out: Annotated[Path, typer.Option(help="CSV file to write, one row per signal.")],
    physics: Annotated[
        str, typer.Option(help="The simulator as file.py:name, unless it is a bundled task.")
    ] = "",
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.9,
    quiet: QuietOption = False,
) -> None:
    """Parameters of new signals by a stored grey-box model."""
    from wilsonian.app.runs.greybox import read_physics, read_residual, read_signal_file
    from wilsonian.greybox.saving import read_about
    from wilsonian.greybox.sector_model import SectorModel
    from wilsonian.greybox.tasks import TASKS

    check_writable(out)
    document = read_about(model)
    stored = document["about"]
    if not physics and stored["physics"] not in TASKS:
        raise ValueError(
            f"this model's simulator was {stored['physics']!r}; no code is run unless you name it: "
            "give --physics file.py:name."
        )
    text = physics or stored["physics"]
    simulator, module = read_physics(text)
    residual = read_residual(stored["residual"], simulator, module, text if text in TASKS else "")
    values, _ = read_signal_file(signals, simulator.parameters.names)
    loaded = SectorModel(simulator, residual, amplitude=document["amplitude"]).load(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said below
        result = loaded.infer(values)
    names, columns = result.table(level)
    rows = [",".join(names), *(",".join(repr(float(v)) for v in row) for row in columns)]
    atomic_write(out, "\n".join(rows) + "\n")
    console = Console(quiet=quiet)
    for name in result:
        console.print(result[name].sentence)
    console.print(f"{len(np.asarray(values))} signals; written to {out}")
