"""The command `wilsonian`: arguments in, model, tables and report out; no numerics."""

from __future__ import annotations

import gc
import sys

from wilsonian.app.cli.codes import INTERRUPTED


def main() -> None:
    """Entry point. What needs time to import is imported inside, so that Ctrl-C always ends in one
    sentence."""
    try:
        if sys.argv[1:] == ["--version"]:
            from wilsonian.support.version import __version__

            sys.stdout.write(f"wilsonian {__version__}\n")
            sys.exit(0)
        # Libraries make half a million objects that stay: look for garbage among them less often.
        gc.set_threshold(100_000, 50, 100)
        from wilsonian.app.cli.commands import run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.exit(INTERRUPTED)
