"""A stored encoding's JSON, checked entry by entry: loading trusts nothing that a file says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from wilsonian.app.tables.blocks import listed

# Whether a JSON value may fill a field, by the field's annotation.
_ACCEPTS = {
    "str": lambda v: isinstance(v, str),
    "bool": lambda v: isinstance(v, bool),
    "float": lambda v: type(v) in (int, float) and math.isfinite(v),
    "LevelKind": lambda v: v in ("text", "number", "boolean"),
    "Dialect | None": lambda v: v is None or isinstance(v, dict),
    "Task": lambda v: v in ("regression", "classification"),
    "Outcome": lambda v: isinstance(v, dict),
    "tuple[str, ...]": lambda v: isinstance(v, list) and all(isinstance(t, str) for t in v),
    "tuple[int, ...] | None": lambda v: (
        v is None or (isinstance(v, list) and v and all(type(i) is int and i > 0 for i in v))
    ),
}


def optional(cls: type) -> dict[str, Any]:
    """Fields with a default, which models of earlier versions lack."""
    return {
        field.name: plain(field.default)
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
    }


def read_fields(cls: type, value: Any, where: str) -> dict[str, Any]:
    annotations = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    if isinstance(value, dict):
        value = {**optional(cls), **value}
    if not isinstance(value, dict) or set(value) != set(annotations):
        seen = listed(list(map(str, value))) if isinstance(value, dict) else type(value).__name__
        raise ValueError(
            f"a stored encoding's `{where}` must have the fields {listed(list(annotations))}, got "
            f"{seen}; the file was altered: fit and save the model again."
        )
    for name, annotation in annotations.items():
        accepts = _ACCEPTS.get(annotation, lambda v: isinstance(v, list))
        if not accepts(value[name]):
            raise ValueError(
                f"a stored encoding's `{where}.{name}` cannot be {str(value[name])[:60]!r}; the "
                "file was altered: fit and save the model again."
            )
    return value


def read_record(cls: type, value: Any, where: str) -> Any:
    fields = read_fields(cls, value, where)
    for name, entry in fields.items():
        if isinstance(entry, list) and len(set(entry)) < len(entry):
            raise ValueError(
                f"a stored encoding's `{where}.{name}` repeats an entry; the file was altered: fit "
                "and save the model again."
            )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def read_records(cls: type, values: Sequence[Any], where: str) -> tuple[Any, ...]:
    return tuple(read_record(cls, value, where) for value in values)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value
