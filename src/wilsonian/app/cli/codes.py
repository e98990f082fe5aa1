"""Exit codes: 0 done, 1 a file could not be written, 2 wrong usage or input, and this one."""

INTERRUPTED = 130


class Interruption(Exception):  # noqa: N818 - it is no error
    """Ctrl-C or `kill`, in one sentence that says what is kept."""
