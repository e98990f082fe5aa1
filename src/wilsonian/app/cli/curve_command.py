"""`wilsonian forecast --curve`: what is written where."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from wilsonian.app.cli.app import echo_json
from wilsonian.app.cli.console import Console
from wilsonian.support.files import atomic_write

if TYPE_CHECKING:
    from wilsonian.app.tables.dialect import DialectChoice

# Names of the parameters of `wilsonian forecast` that a curve has a use for.
CURVE_OPTIONS = frozenset(
    (
        *("context", "curve", "to", "seed", "separator", "decimal", "encoding", "missing"),
        *("plot", "csv", "report", "quiet", "as_json"),
    )
)


@dataclasses.dataclass(frozen=True)
class CurveFiles:
    """Where to write, if anywhere."""

    plot: Path | None
    csv: Path | None
    report: Path | None


def forecast_of_curve(
    curve: str,
    to: tuple[float, ...],
    seed: int,
    dialect: DialectChoice,
    files: CurveFiles,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Read, forecast, write and print."""
    from wilsonian.app.reports.forecast_curve import write_curve_report
    from wilsonian.app.reports.forecast_curve_text import (
        candidate_rows,
        curve_csv,
        curve_rows,
        curve_summary,
    )
    from wilsonian.app.runs.forecast_curve import CurveChoices, forecast_curve_file
    from wilsonian.support.pictures import check_picture
    from wilsonian.theory.forecast.figure import write_curve_figure

    if files.plot is not None:
        check_picture(files.plot)
    console = Console(quiet=quiet or as_json)
    with console.progress() as progress:
        run = forecast_curve_file(CurveChoices(curve, to, seed, dialect), progress)
    if files.plot is not None:
        write_curve_figure(run.forecast, files.plot)
    if files.csv is not None:
        atomic_write(files.csv, curve_csv(run))
    if files.report is not None:
        write_curve_report(run, files.report)
    if as_json:
        echo_json(run.record())
    console.table(*curve_rows(run))
    console.table(*candidate_rows(run))
    console.print("")
    console.print(curve_summary(run))
    for path in (files.plot, files.csv, files.report):
        if path is not None:
            console.print(f"Written to {path}")
