"""The flow of a model as one picture for files: spectrum, ridge, evidence and test error."""

from __future__ import annotations

from pathlib import Path

from wilsonian.app import figures as plots
from wilsonian.app.runs.records import RunRecord
from wilsonian.support.pictures import picture


def write_flow_figure(record: RunRecord, path: Path) -> None:
    """Draw the flow of `record` and write it to `path`, whole or not at all.

    Raises ValueError for a name that is no picture's, FileError where nothing can be written.
    """
    flow, kept = record.flow, record.spectrum.kept
    tested = flow.test_error is not None
    with picture(path, 10, 7.5 if tested else 4.2) as figure:
        axes = figure.subplots(2 if tested else 1, 2 if tested else 3, squeeze=False).ravel()
        noise_per_mode = record.ridge / max(record.rows, 1)
        plots.plot_spectrum(axes[0], record.spectrum, noise_per_mode=noise_per_mode)
        plots.plot_ridge_flow(axes[1], flow, noise_variance=record.noise_variance, kept=kept)
        plots.plot_evidence_flow(axes[2], flow, kept=kept)
        if tested:
            quantity = "error rate" if record.task == "classification" else "RMSE"
            plots.plot_test_error_flow(axes[3], flow, kept=kept, quantity=f"held-out {quantity}")
