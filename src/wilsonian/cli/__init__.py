"""The command `wilsonian` and what it shows."""

from wilsonian.cli.commands import app, main

__all__ = [
    "app",
    "main",
]
