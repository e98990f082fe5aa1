"""How often Python looks for garbage, in a process that is the command's own."""

from __future__ import annotations

import gc


def look_seldom() -> None:
    """Libraries make half a million objects that stay: look for garbage among them less often."""
    gc.set_threshold(100_000, 50, 100)
