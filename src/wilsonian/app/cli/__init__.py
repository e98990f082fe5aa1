"""The command `wilsonian`: arguments in, model, tables and report out; no numerics."""

# Importing a command registers it; the order is that of `wilsonian --help`.
from wilsonian.app.cli import (  # isort: skip  # noqa: F401
    fit_command,
    model_commands,
    forecast_command,
    rg_command,
    information_command,
    greybox_command,
)
from wilsonian.app.cli.app import app, main

__all__ = ["app", "main"]
