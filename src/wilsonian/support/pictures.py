"""Figures as picture files, written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wilsonian.support.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf", ".svg")


def check_picture(path: Path) -> None:
    """Raise ValueError unless a picture can be written to a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"pictures are {', '.join(SUFFIXES)}, got {path.name!r}; choose one.")


@contextlib.contextmanager
def picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure (inches) to draw on, written to `path` at the end.

    Raises ValueError for a name that is no picture's, FileError where nothing can be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    check_picture(path)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=144)
