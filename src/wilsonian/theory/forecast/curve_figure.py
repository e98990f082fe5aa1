"""A forecast from a measured curve as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wilsonian.support.axes import (
    ELIMINATED,
    KEPT,
    MEASURED,
    REFERENCE,
    Scale,
    add_legend,
    format_ticks,
    tidy_log_axis,
)
from wilsonian.support.pictures import picture
from wilsonian.theory.forecast.curve_diagnostics import own_spread
from wilsonian.theory.forecast.curve_records import CurveForecast

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_curve_forecast(ax: Axes, forecast: CurveForecast, *, scale: Scale = "log") -> Axes:
    """The points with a standard error to each side, median and 90 % band, the sizes asked for."""
    points, fine = forecast.points, forecast.fine
    spread = points.error * own_spread(forecast)
    ax.fill_between(
        forecast.fine_n,
        fine.lower,
        fine.upper,
        color=KEPT,
        alpha=0.18,
        linewidth=0,
        label="90% band",
    )
    ax.plot(forecast.fine_n, fine.median, color=KEPT, linewidth=1.4, label="forecast")
    low = np.minimum(spread, 0.9 * points.error)
    ax.vlines(points.n, points.error - low, points.error + spread, color=MEASURED, linewidth=1)
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5}
    ax.plot(points.n, points.error, color=MEASURED, label="measured", **dots)
    ax.plot(forecast.n, forecast.median, color=ELIMINATED, label="sizes asked for", **dots)
    style: dict[str, Any] = {"color": REFERENCE, "linewidth": 1, "linestyle": "--"}
    ax.axvline(points.n[-1], label=f"last size measured: {points.n[-1]:,.0f}", **style)
    if scale == "log":
        ax.set_xscale("log")
        ax.set_yscale("log")
        tidy_log_axis(ax.xaxis)
        tidy_log_axis(ax.yaxis)
    else:
        ax.set_ylim(bottom=0)
        format_ticks(ax.xaxis)
        format_ticks(ax.yaxis)
    ax.set_xlabel("samples")
    ax.set_ylabel("error")
    return add_legend(ax)


def write_curve_figure(forecast: CurveForecast, path: Path) -> None:
    """Draw it and write it to `path`, whole or not at all.

    Raises ValueError for a name that is no picture's, FileError where nothing can be written.
    """
    with picture(path, 5.6, 4.2) as figure:
        plot_curve_forecast(figure.subplots(), forecast)
