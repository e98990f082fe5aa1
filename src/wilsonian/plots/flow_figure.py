"""The flow of a model as one picture for files: spectrum, ridge, evidence and test error."""

from __future__ import annotations

from pathlib import Path

from wilsonian import plots
from wilsonian.records import RunRecord
from wilsonian.storage.files import atomic_path

SUFFIXES = (".png", ".pdf", ".svg")


def check_picture(path: Path) -> None:
    """Raise ValueError unless a picture can be written to a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"pictures are {', '.join(SUFFIXES)}, got {path.name!r}; choose one.")


def write_flow_figure(record: RunRecord, path: Path) -> None:
    """Draw the flow of `record` and write it to `path`, whole or not at all.

    Raises ValueError for a name that is no picture's, FileError where nothing can be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    check_picture(path)
    flow, kept = record.flow, record.spectrum.kept
    tested = flow.test_error is not None
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 7.5 if tested else 4.2), layout="constrained")
        axes = figure.subplots(2 if tested else 1, 2 if tested else 3, squeeze=False).ravel()
        noise_per_mode = record.ridge / max(record.rows, 1)
        plots.plot_spectrum(axes[0], record.spectrum, noise_per_mode=noise_per_mode)
        plots.plot_ridge_flow(axes[1], flow, noise=record.noise, kept=kept)
        plots.plot_evidence_flow(axes[2], flow, kept=kept)
        if tested:
            quantity = "error rate" if record.task == "classification" else "RMSE"
            plots.plot_test_error_flow(axes[3], flow, kept=kept, quantity=f"held-out {quantity}")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=144)
