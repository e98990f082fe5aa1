"""Figures, one per function: each draws a plain record on the axes it is given."""

from wilsonian.app.figures.run_figures import (
    DRAWN_POINTS,
    DRAWN_ROWS,
    plot_calibration,
    plot_evidence_flow,
    plot_mode,
    plot_predictions,
    plot_ridge_flow,
    plot_spectrum,
    plot_test_error_flow,
)

__all__ = [
    "DRAWN_POINTS",
    "DRAWN_ROWS",
    "plot_calibration",
    "plot_evidence_flow",
    "plot_mode",
    "plot_predictions",
    "plot_ridge_flow",
    "plot_spectrum",
    "plot_test_error_flow",
]
