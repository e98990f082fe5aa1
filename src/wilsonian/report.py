"""The report of a run: one HTML page that needs no network, no server and no script."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from wilsonian.records import RunRecord
from wilsonian.report_page import page


def report_html(record: RunRecord) -> str:
    """The run as one self-contained HTML page; equal records give equal pages."""
    return page(record)


def write_report(record: RunRecord, path: str | os.PathLike[str]) -> Path:
    """Write the page to `path`, whole or not at all, and return where it is.

    Raises OSError, with what to try, when the folder is missing or cannot be written to.
    """
    path = Path(path)
    text = report_html(record)
    # In the same folder, so that the last step is a rename on one file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"Cannot write the report to {str(path)!r} ({reason}); "
            f"try a file name in a folder that exists and that you may write to, "
            f"for example {str(Path.home() / 'report.html')!r}."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path
