"""The `wilsonian` command: its entry point, and an exit code for everything that can go wrong."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import Annotated, Any

import typer

from wilsonian.app.cli.codes import INTERRUPTED, Interruption
from wilsonian.support.compilations import keep_compilations
from wilsonian.support.files import FileError
from wilsonian.support.version import __version__

app = typer.Typer(
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find which directions of a learning problem the data can resolve, integrate out the "
    "rest, and keep the effective theory.",
    epilog="Exit codes: 0 done; 1 a file could not be written; 2 wrong usage or input; "
    "130 interrupted. What was compiled is kept for the next run in ~/.cache/wilsonian "
    "(WILSONIAN_COMPILATION_CACHE=off: not at all, or a folder).",
)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show:
        typer.echo(f"wilsonian {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    keep_compilations()


def run() -> None:
    """One sentence and an exit code for everything that can go wrong."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        try:
            code = app(standalone_mode=False)
        except SystemExit as stop:  # typer's answer to a closed pipe
            if isinstance(stop.__context__, OSError) and stop.__context__.errno == errno.EPIPE:
                raise BrokenPipeError from stop
            raise
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer's answer to KeyboardInterrupt
            _fail("Interrupted.", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        # Who read the output has seen enough; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Interruption as stop:
        _fail(str(stop), INTERRUPTED)
    except FileError as error:
        _fail(str(error), 1)
    except MemoryError:
        _fail("out of memory; lower --max-rank or --block-size, or give Parquet instead of CSV.", 1)
    except ValueError as error:  # the library's sentences are ValueErrors
        _fail(str(error), 2)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # not a usage error of typer's
            raise
        _fail(error.format_message(), 2)


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _fail(sentence: str, code: int) -> None:
    sys.stderr.write(f"\n{sentence}\n" if code == INTERRUPTED else f"Error: {sentence}\n")
    sys.exit(code)


def echo_json(value: Any) -> None:
    from wilsonian.support.strict_json import to_json

    typer.echo(json.dumps(to_json(value), indent=1, allow_nan=False))
