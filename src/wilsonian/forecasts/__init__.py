"""What more labels would buy: a pilot's spectrum and target, read as a learning curve."""

from wilsonian.forecasts.forecasting import Forecast, forecast

__all__ = [
    "Forecast",
    "forecast",
]
