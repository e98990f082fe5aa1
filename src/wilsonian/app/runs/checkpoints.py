"""A fit that was interrupted: where it stood, on disk beside the model it was to become."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.app.tables.encoding import Encoding
from wilsonian.regression.exact.residual_correction import STAGE
from wilsonian.regression.fitting import Standing
from wilsonian.regression.learning.diary import Diary
from wilsonian.regression.saving.estimators import understood
from wilsonian.regression.saving.processes import (
    prepared_state,
    restore_prepared,
    restore_statistics,
    statistics_state,
)
from wilsonian.support.model_files import ModelFileError, read_folder, write_folder

SECONDS_BETWEEN = 5.0  # at most so much work is lost when a fit is killed


def checkpoint_folder(model: Path) -> Path:
    """Where the fit of a model to be stored at `model` keeps its state."""
    return model.parent / f"{model.name}.partial"


class Checkpoint:
    """State of one fit: which table and choices it belongs to, and how far it came."""

    def __init__(self, model: Path, identity: dict[str, Any]) -> None:
        self.folder, self.identity = checkpoint_folder(model), identity
        self._written = -float("inf")

    def save(
        self,
        encoding: Encoding,
        standing: Standing | None = None,
        *,
        diary: Diary | None = None,
        now: bool = False,
    ) -> None:
        """Store where the fit stands, unless it was stored moments ago: with the columns read, with
        what a `diary` of the learning holds, or (`standing`) with hyperparameters and inducing
        points and so many blocks of rows."""
        if not now and time.monotonic() - self._written < SECONDS_BETWEEN:
            return
        document: dict[str, Any] = {"identity": self.identity, "encoding": encoding.to_dict()}
        arrays: dict[str, Any] = {}
        if diary is not None:
            document["diary"] = {
                name: _named(entry, f"diary_{number}", arrays)
                for number, (name, entry) in enumerate(diary.entries.items())
            }
        if standing is not None:
            prepared_document, prepared = prepared_state(standing.prepared)
            sums_document, sums = statistics_state(standing.statistics)
            arrays = {**prepared, **sums}
            arrays |= {f"dual_{k}": dual for k, dual in enumerate(standing.duals)}
            document |= {
                "prepared": prepared_document,
                "statistics": sums_document,
                "blocks": standing.blocks,
                "duals": len(standing.duals),
            }
        write_folder(self.folder, "checkpoint", document, arrays)
        self._written = time.monotonic()

    def load(self) -> tuple[Encoding, Standing | None, Diary]:
        """The stored state: it stands before the end of the learning if it is no Standing, with
        what the diary holds of it.

        Raises ModelFileError if there is none, if it is damaged, or belongs to another table or
        other choices.
        """
        if not self.folder.exists():
            raise ModelFileError(
                f"There is nothing to resume: no interrupted fit left {str(self.folder)!r}; leave "
                "--resume out to start one."
            )
        document, arrays = read_folder(self.folder, "checkpoint")
        with understood(self.folder):
            stored = document["identity"]
            differing = sorted(
                name
                for name in {*stored, *self.identity}
                if stored.get(name) != self.identity.get(name)
            )
            if differing:
                raise ModelFileError(
                    f"Cannot resume from {str(self.folder)!r}: that fit had another "
                    f"{', '.join(differing)}; repeat its command with --resume, or start anew "
                    "without --resume."
                )
            encoding = Encoding.from_dict(document["encoding"])
            if "prepared" not in document:
                entries = document.get("diary", {}).items()
                return encoding, None, Diary({k: _unnamed(v, arrays) for k, v in entries})
            prepared = restore_prepared(document["prepared"], arrays)
            statistics = restore_statistics(document["statistics"], arrays)
            duals = tuple(arrays[f"dual_{k}"] for k in range(document.get("duals", 0)))
            standing = Standing(prepared, statistics, int(document["blocks"]), duals)
            return encoding, standing, Diary()

    def remove(self) -> None:
        """Forget it: the model is stored."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _named(entry: dict[str, Any], prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """An entry of a diary with its arrays put among `arrays`, and their names in their place."""
    plain = dict(entry)
    for key, value in entry.items():
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}_{key}"] = value
            plain[key] = {"array": f"{prefix}_{key}"}
    return plain


def _unnamed(entry: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    def value(stored):
        named = isinstance(stored, dict) and set(stored) == {"array"}
        return np.asarray(arrays[stored["array"]]) if named else stored

    return {key: value(stored) for key, stored in entry.items()}


def interruption(stage: str, done: int, model: Path | None) -> str:
    """What an interruption in a `stage` (of `Progress`) leaves, and where --resume goes on."""
    if model is None:
        return "Interrupted; nothing is kept (with --out, a fit can go on with --resume)."
    if not checkpoint_folder(model).exists():
        return "Interrupted before anything was kept; start the fit again, without --resume."
    where = {
        "sampling": "with the columns read; the sampling of rows starts again",
        "learning hyperparameters": "with the columns read and the learning's finished runs; the "
        "unfinished one starts again, with the same random numbers",
        "moving inducing points": "with the columns read, the hyperparameters learned, and the "
        f"inducing points where they were at most {SECONDS_BETWEEN:g} seconds ago",
        "integrating": f"after the {done:,} rows that are integrated",
        STAGE: f"with all rows integrated, after {done:,} steps of the residual correction",
        "testing": "with all rows integrated; the testing starts again",
    }
    went_on = where.get(stage, "from what is kept")
    return f"Interrupted; the fit goes on with --resume, {went_on}."
