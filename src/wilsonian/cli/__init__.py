"""The command `wilsonian`: arguments in, model, tables and report out; no numerics."""

# Importing a command registers it; the order is that of `wilsonian --help`.
from wilsonian.cli import fit_command, model_commands, forecast_command  # isort: skip  # noqa: F401
from wilsonian.cli.app import app, main

__all__ = ["app", "main"]
