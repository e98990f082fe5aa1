"""What more labels would buy: a pilot's spectrum and target, read as a learning curve."""

from wilsonian.theory.forecast.figure import plot_forecast
from wilsonian.theory.forecast.forecasting import forecast
from wilsonian.theory.forecast.records import Forecast

__all__ = [
    "Forecast",
    "forecast",
    "plot_forecast",
]
