"""Arguments of the room's functions, checked with one sentence each."""

from __future__ import annotations

import math
from typing import Any

from wilsonian.core.types import is_number


def checked_number(name: str, value: Any, what: str, *, above: float) -> float:
    """A finite number larger than `above`. Raises ValueError that says `what` it must be."""
    if not _is_real(value) or not above < float(value) < math.inf:
        raise ValueError(f"`{name}` must be {what}, got {value!r}.")
    return float(value)


def checked_count(name: str, value: Any, *, least: int = 1) -> int:
    """A whole number that is at least `least`. Raises ValueError for anything else."""
    if not _is_real(value) or value != math.floor(value) or value < least:
        raise ValueError(f"`{name}` must be a whole number, at least {least}; got {value!r}.")
    return int(value)


def _is_real(value: Any) -> bool:
    return is_number(value) and not isinstance(value, bool) and math.isfinite(value)
