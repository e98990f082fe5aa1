"""JSON that comes back equal: no NaN, no key twice, nothing that changes type on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from typing import Any

import numpy as np

DEEPEST = 100  # levels; well within what Python's parser follows


def check_json(value: Any, where: str, depth: int = 0) -> None:
    """Raise ValueError, naming the place, for a value that JSON would change or cannot hold."""
    if depth > DEEPEST:
        raise ValueError(f"{where[:60]}... is nested deeper than {DEEPEST} levels; flatten it.")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; use keys of type str.")
            check_json(item, f"{where}[{key!r}]", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_json(item, f"{where}[{index}]", depth + 1)
    elif isinstance(value, int | float):
        if not abs(value) <= sys.float_info.max:
            raise ValueError(f"{where} is not a finite float; store None, or use `arrays`.")
    elif not (value is None or isinstance(value, str)):
        raise ValueError(
            f"{where} is of type {type(value).__name__}; convert it to dict, list, str, int, "
            "float, bool or None, or use `arrays`."
        )


def parse_json(raw: bytes) -> Any:
    """The value of a UTF-8 text; ValueError with the reason if it is not strict JSON."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_not_json)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def strict_decoder() -> json.JSONDecoder:
    """Reads as :func:`parse_json`, also from the middle of a text."""
    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_not_json)


def canonical_sha256(value: Any) -> str:
    """SHA-256 of the value as JSON with sorted keys, no spaces and ASCII only."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def render_json(value: Any) -> bytes:
    """The value as indented JSON for people; equal values in equal order give equal bytes."""
    return json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(result := dict(pairs)) < len(pairs):
        raise ValueError("a key appears twice")
    return result


def _not_json(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


def to_json(value: Any) -> Any:
    """`value` as plain lists, dictionaries, numbers and strings; not-a-number becomes None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
