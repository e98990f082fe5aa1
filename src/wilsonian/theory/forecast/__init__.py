"""What more labels would buy: from a pilot's spectrum and target, or from a measured curve."""

from wilsonian.theory.forecast.curve_forecast import forecast_curve
from wilsonian.theory.forecast.curve_records import CurveForecast
from wilsonian.theory.forecast.figure import plot_curve_forecast, plot_forecast
from wilsonian.theory.forecast.forecasting import forecast
from wilsonian.theory.forecast.records import Forecast

__all__ = [
    "CurveForecast",
    "Forecast",
    "forecast",
    "forecast_curve",
    "plot_curve_forecast",
    "plot_forecast",
]
