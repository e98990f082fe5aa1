"""Exit codes: 0 done, 1 a file could not be written, 2 wrong usage or input, and this one."""

INTERRUPTED = 130
