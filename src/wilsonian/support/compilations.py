"""What JAX compiled, kept in the user's cache folder for the next run."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

LARGEST = 512 * 2**20  # bytes; what was not used for longest goes first
ABANDONED = 7 * 24 * 3600.0  # seconds, after which the folder of a killed run is swept up
SWITCH = "WILSONIAN_COMPILATION_CACHE"
OFF = {"0", "off", "no", "false"}
_OF_RUN = "run-"
# XLA's own caches would put the folder's name, another one in each run, into every key.
_SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    "jax_persistent_cache_enable_xla_caches": "none",
}


def cache_folder() -> Path | None:
    """Where compilations are kept: `$WILSONIAN_COMPILATION_CACHE`, else `wilsonian/compilations` in
    `$XDG_CACHE_HOME` or `~/.cache`. None if they are not: that variable is 0 or off, or the user
    has JAX keep them elsewhere (`JAX_COMPILATION_CACHE_DIR`)."""
    wanted = os.environ.get(SWITCH, "")
    if wanted.lower() in OFF or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    if wanted:
        return Path(wanted)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "wilsonian" / "compilations"


def keep_compilations() -> Path | None:
    """Compile nothing that an earlier run of this user compiled; the folder, None if switched off.

    The command line does this by itself; from Python call it once, before the first fit. It changes
    settings of JAX, for the whole process. Each run has a folder of its own, of links to what is
    kept, and gives what it compiled to the others when it ends: whole files only, so that runs at
    the same time, or killed ones, do not disturb each other. At most LARGEST bytes are kept. Where
    nothing can be written, nothing is kept.
    """
    kept = cache_folder()
    if kept is None or _already_set():
        return None
    try:
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(kept)
        own = Path(tempfile.mkdtemp(prefix=_OF_RUN, dir=kept))
        for entry in _entries(kept):
            with contextlib.suppress(FileNotFoundError):  # another run just dropped it
                os.link(entry, own / entry.name)
    except OSError:
        return None
    atexit.register(_give, own, kept, os.getpid())
    if "jax" in sys.modules:
        import jax

        for name, value in {**_SETTINGS, "jax_compilation_cache_dir": str(own)}.items():
            jax.config.update(name, value)
    else:  # importing JAX takes a second that this need not cost
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(own)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name.upper(), str(value))
    return kept


def _already_set() -> bool:
    if "jax" not in sys.modules:
        return False
    import jax

    return jax.config.values["jax_compilation_cache_dir"] is not None


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith("-cache")]


def _give(own: Path, kept: Path, process: int) -> None:
    """At the end of a run: what is new becomes everybody's."""
    if os.getpid() != process:  # a fork of it
        return
    with contextlib.suppress(OSError):
        for entry in _entries(own):
            with contextlib.suppress(FileExistsError):
                os.link(entry, kept / entry.name)
    shutil.rmtree(own, ignore_errors=True)


def _sweep(kept: Path) -> None:
    """Drop folders of killed runs, and what was not used for longest beyond the bound."""
    now, found = time.time(), []
    for path in kept.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            used = max(status.st_atime, status.st_mtime)
            if path.name.startswith(_OF_RUN):
                if now - used > ABANDONED:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.name.endswith("-cache"):
                found.append((used, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= LARGEST:
            return
        path.unlink(missing_ok=True)
        total -= size
