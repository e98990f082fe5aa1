"""The command `wilsonian`: arguments in, model, tables and report out; no numerics."""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder

from wilsonian.app.cli.codes import INTERRUPTED
from wilsonian.support.garbage import look_seldom


class _Pandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        asks = getattr(sys.modules.get("sklearn.utils.fixes"), "__spec__", None)
        if fullname == "pandas" and getattr(asks, "_initializing", False):
            raise ModuleNotFoundError("the command line does without pandas", name=fullname)


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """Scikit-learn imports pandas where it is installed, a third of a second for what no command
    uses: inside, this import of it, and no other, does not find it."""
    finder = _Pandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def main() -> None:
    """Entry point. What needs time to import is imported inside, so that Ctrl-C always ends in one
    sentence."""
    try:
        if sys.argv[1:] == ["--version"]:
            from wilsonian.support.version import __version__

            sys.stdout.write(f"wilsonian {__version__}\n")
            sys.exit(0)
        look_seldom()
        atexit.register(gc.freeze)  # nor search all of them when the process ends anyway
        from wilsonian.app.cli.commands import run

        with _without_pandas():
            run()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.exit(INTERRUPTED)
