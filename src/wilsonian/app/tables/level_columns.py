"""A column of levels: text, categories, booleans or numbers that name things, one-hot."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from wilsonian.app.tables.blocks import Block, TableError, reads_as_number
from wilsonian.app.tables.column_statistics import finite_matrix

LevelKind = Literal["text", "number", "boolean"]


@dataclasses.dataclass(frozen=True)
class LevelColumn:
    """One feature for each level, then for other levels and for missing where training had any.

    `kind` is what the levels were in the training table: text as it stood there, numbers (3 and 3.0
    are one level) or truth values.
    """

    name: str
    levels: tuple[str, ...]
    other: bool
    missing: bool
    kind: LevelKind = "text"
    further: tuple[str, ...] = ()  # levels among the others, if they are few enough to be stored

    @staticmethod
    def dated(entry: dict[str, Any]) -> dict[str, Any]:
        """The entry of a stored model that does not say of what kind its levels are."""
        levels = entry.get("levels")
        if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
            return entry
        kind = "number" if levels and all(map(reads_as_number, levels)) else "text"
        return {**entry, "kind": "boolean" if set(levels) <= {"True", "False"} else kind}

    @property
    def features(self) -> list[str]:
        names = [*self.levels, *["(other)"] * self.other, *["(missing)"] * self.missing]
        return [f"{self.name}={name}" for name in names]

    def positions(self, block: Block) -> np.ndarray:
        """Which of the features is 1 in each row; -1 for none."""
        codes, texts = self._read(block)
        place = {level: position for position, level in enumerate(self.levels)}
        other = len(self.levels) if self.other else -1
        missing = len(self.levels) + self.other if self.missing else other
        # The last entry is for missing, whose code is -1.
        return np.array([place.get(text, other) for text in texts] + [missing], np.int64)[codes]

    def unseen(self, block: Block) -> dict[str, int]:
        """How many rows hold a level that training never showed; sorts as in `Encoding.unseen`."""
        codes, texts = self._read(block)
        seen = {*self.levels, *self.further}
        new = np.array([text not in seen for text in texts] + [not self.missing], bool)[codes]
        # Where the others are not stored by name, what is beyond the levels may have been seen.
        sort = "rare level" if self.other and not self.further else "level"
        return {sort: int((new & (codes >= 0)).sum()), "missing": int((new & (codes < 0)).sum())}

    def _read(self, block: Block) -> tuple[np.ndarray, list[str]]:
        if block.is_number(self.name):
            finite_matrix(block, [self.name])
            if not any(map(reads_as_number, self.levels)):
                raise TableError(kind_sentence(self.name, "numbers", "text"))
        codes, texts = block.levels(self.name)
        if {"True", "False"} & {*texts} and not {"True", "False"} & {*self.levels}:
            # Truth values where training had them as text, among other text or in another spelling.
            spelled = {level.lower(): level for level in (*self.levels, *self.further)}
            texts = [spelled.get(t.lower(), t) if t in ("True", "False") else t for t in texts]
        return codes, texts


def kind_sentence(name: str, kind: str, expected: str) -> str:
    """That a column is not what it was in training."""
    return (
        f"column {name!r} holds {kind} where the model was fitted to {expected}; clean it, or fit "
        "again on a table like this one."
    )
