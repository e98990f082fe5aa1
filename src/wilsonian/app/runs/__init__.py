"""From a table to a record: fits with their honest test, and forecasts."""
