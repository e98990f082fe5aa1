"""One fit at a time writes to a place: the second is refused while the first runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from wilsonian.support.files import refusal


@contextlib.contextmanager
def one_at_a_time(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `path` for this process; the system lets go of it when the process ends, however.

    Raises FileError if another process holds it. Where the system has no such locks (Windows)
    nothing is held.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = Path(path)
    lock = path.parent / f".{path.name[:200]}.lock"
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            advice = "wait until it is done, or choose another name"
            raise refusal(path, "another fit is writing there now", advice) from error
        # Whoever held it before may have removed the file in the meantime.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                break
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock)
        os.close(descriptor)
