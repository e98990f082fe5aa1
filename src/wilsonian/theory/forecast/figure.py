"""A forecast as a figure: the error against the number of labels, with its band."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from wilsonian.support.number_text import format_count
from wilsonian.support.pictures import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wilsonian.theory.forecast.records import Forecast


Quantity = Literal["error", "error_rate"]


def plot_forecast(
    ax: Axes,
    forecast: Forecast,
    *,
    quantity: Quantity = "error",
    unit: str = "",
    scale: Scale = "log",
) -> Axes:
    """Median and 90 % band of the forecast, the pilot's own subsamples, and the sizes asked for.

    `quantity` chooses the mean squared error or the error rate, `unit` adds to the label of the
    vertical axis. Raises ValueError for the error rate of a regression.
    """
    curve, table, measured = forecast.curve, forecast.table, forecast.measured
    bands = [getattr(prediction, quantity) for prediction in (curve, table)]
    if None in bands:
        raise ValueError("a regression has no error rate; plot quantity='error'.")
    line, points = bands
    seen = measured.least() if quantity == "error" else measured.least_wrong()
    ax.fill_between(
        curve.n, line.lower, line.upper, color=KEPT, alpha=0.18, linewidth=0, label="90% band"
    )
    ax.plot(curve.n, line.median, color=KEPT, linewidth=1.4, label="forecast")
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5}
    ax.plot(measured.n, seen, color=MEASURED, label="measured in the pilot", **dots)
    ax.plot(table.n, points.median, color=ELIMINATED, label="sizes asked for", **dots)
    if quantity == "error" and scale == "linear":
        ax.axhline(
            float(forecast.floor.median), color=REFERENCE, linewidth=1, linestyle=":", label="noise"
        )
    style: dict[str, Any] = {"color": REFERENCE, "linewidth": 1, "linestyle": "--"}
    ax.axvline(forecast.labels, label=f"pilot: {format_count(forecast.labels, 'label')}", **style)
    if scale == "log":
        ax.set_xscale("log")
        ax.set_yscale("log")
        positive = np.concatenate([line.lower, seen])
        ax.set_ylim(bottom=0.8 * positive[positive > 0].min())
        tidy_log_axis(ax.xaxis)
        tidy_log_axis(ax.yaxis)
    else:
        ax.set_ylim(bottom=0)
        format_ticks(ax.xaxis)
        format_ticks(ax.yaxis)
    ax.set_xlabel("labelled rows")
    ax.set_ylabel("error rate" if quantity == "error_rate" else f"mean squared error{unit}")
    return add_legend(ax)


def write_forecast_figure(forecast: Forecast, path: Path) -> None:
    """Draw a forecast and write it to `path`, whole or not at all; of classes with the error rate
    beside the mean squared error.

    Raises ValueError for a name that is no picture's, FileError where nothing can be written.
    """
    classes = forecast.task == "classification"
    with picture(path, 10 if classes else 5.6, 4.2) as figure:
        axes = figure.subplots(1, 2 if classes else 1, squeeze=False).ravel()
        if classes:
            plot_forecast(axes[0], forecast, quantity="error_rate")
        plot_forecast(axes[-1], forecast)
