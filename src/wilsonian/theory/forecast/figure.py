"""Forecasts as figures: what was measured, the forecast with its band, the sizes asked for."""

from __future__ import annotations

import dataclasses
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
from wilsonian.theory.forecast.curve_diagnostics import own_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wilsonian.theory.forecast.curve_records import CurveForecast
    from wilsonian.theory.forecast.records import Band, Forecast


Quantity = Literal["error", "error_rate"]


@dataclasses.dataclass(frozen=True)
class ForecastLines:
    """What the figure of a forecast shows, of a pilot or of a measured curve."""

    n: np.ndarray  # (sizes,) finely
    band: Band
    measured_n: np.ndarray
    measured: np.ndarray
    measured_spread: np.ndarray | None  # (sizes,) a standard error to each side
    asked_n: np.ndarray
    asked: np.ndarray
    limit: float  # up to here something was measured
    limit_label: str
    measured_label: str = "measured"
    floor: float | None = None  # drawn on a linear scale

    @classmethod
    def of_pilot(cls, forecast: Forecast, quantity: Quantity = "error") -> ForecastLines:
        """Of a pilot. Raises ValueError for the error rate of a regression."""
        curve, table, measured = forecast.curve, forecast.table, forecast.measured
        band, points = (getattr(prediction, quantity) for prediction in (curve, table))
        if band is None or points is None:
            raise ValueError("a regression has no error rate; plot quantity='error'.")
        errors = quantity == "error"
        return cls(
            curve.n,
            band,
            measured.n,
            measured.least() if errors else measured.least_wrong(),
            None,
            table.n,
            points.median,
            forecast.labels,
            f"pilot: {format_count(forecast.labels, 'label')}",
            "measured in the pilot",
            float(forecast.floor.median) if errors else None,
        )

    @classmethod
    def of_curve(cls, forecast: CurveForecast) -> ForecastLines:
        """Of a measured curve."""
        points = forecast.points
        return cls(
            forecast.fine_n,
            forecast.fine,
            points.n,
            points.error,
            points.error * own_spread(forecast),
            forecast.n,
            forecast.median,
            float(points.n[-1]),
            f"last size measured: {points.n[-1]:,.0f}",
        )

    def draw(self, ax: Axes, scale: Scale) -> None:
        """Onto `ax`; labels of the axes are the caller's."""
        low, high = self.band.lower, self.band.upper
        shade: dict[str, Any] = {"color": KEPT, "alpha": 0.18, "linewidth": 0}
        ax.fill_between(self.n, low, high, label="90% band", **shade)
        ax.plot(self.n, self.band.median, color=KEPT, linewidth=1.4, label="forecast")
        if self.measured_spread is not None:
            below = np.minimum(self.measured_spread, 0.9 * self.measured)
            ends = self.measured - below, self.measured + self.measured_spread
            ax.vlines(self.measured_n, *ends, color=MEASURED, linewidth=1)
        dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5}
        ax.plot(self.measured_n, self.measured, color=MEASURED, label=self.measured_label, **dots)
        ax.plot(self.asked_n, self.asked, color=ELIMINATED, label="sizes asked for", **dots)
        style: dict[str, Any] = {"color": REFERENCE, "linewidth": 1}
        if self.floor is not None and scale == "linear":
            ax.axhline(self.floor, linestyle=":", label="noise", **style)
        ax.axvline(self.limit, linestyle="--", label=self.limit_label, **style)
        if scale == "log":
            ax.set_xscale("log")
            ax.set_yscale("log")
            positive = np.concatenate([low, self.measured])
            ax.set_ylim(bottom=0.8 * positive[positive > 0].min())
            tidy_log_axis(ax.xaxis)
            tidy_log_axis(ax.yaxis)
        else:
            ax.set_ylim(bottom=0)
            format_ticks(ax.xaxis)
            format_ticks(ax.yaxis)
        add_legend(ax)


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
    ForecastLines.of_pilot(forecast, quantity).draw(ax, scale)
    ax.set_xlabel("labelled rows")
    ax.set_ylabel("error rate" if quantity == "error_rate" else f"mean squared error{unit}")
    return ax


def plot_curve_forecast(ax: Axes, forecast: CurveForecast, *, scale: Scale = "log") -> Axes:
    """The points with a standard error to each side, median and 90 % band, the sizes asked for."""
    ForecastLines.of_curve(forecast).draw(ax, scale)
    ax.set_xlabel("samples")
    ax.set_ylabel("error")
    return ax


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


def write_curve_figure(forecast: CurveForecast, path: Path) -> None:
    """Draw it and write it to `path`, whole or not at all.

    Raises ValueError for a name that is no picture's, FileError where nothing can be written.
    """
    with picture(path, 5.6, 4.2) as figure:
        plot_curve_forecast(figure.subplots(), forecast)
