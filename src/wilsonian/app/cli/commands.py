"""All commands, registered; the order is that of `wilsonian --help`."""

from wilsonian.app.cli import (  # isort: skip  # noqa: F401
    fit_command,
    model_commands,
    forecast_command,
    rg_command,
    information_command,
    greybox_command,
)
from wilsonian.app.cli.app import app, run

__all__ = ["app", "run"]
