"""A fitted model of a table: how it is stored, and how it predicts another table."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from wilsonian.app.runs.choices import DETECTED
from wilsonian.app.runs.records import PredictionRecord, RunRecord
from wilsonian.app.tables import open_table
from wilsonian.app.tables.blocks import Table
from wilsonian.app.tables.dialect import DialectChoice
from wilsonian.app.tables.encoding import Encoding
from wilsonian.regression.classification.classifier import ReducedGPClassifier
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.saving.estimators import (
    Estimator,
    estimator_state,
    restore_estimator,
    understood,
)
from wilsonian.support.model_files import ModelFileError, read_folder, write_folder
from wilsonian.support.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class Run:
    """A fitted model: how it reads a table, what it learned, and how well it did."""

    estimator: Estimator
    encoding: Encoding
    record: RunRecord

    @property
    def regressor(self) -> ReducedGPRegressor:
        """The reduced Gaussian process inside."""
        e = self.estimator
        return e.regressor_ if isinstance(e, ReducedGPClassifier) else e

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model folder, whole or not at all; held-out predictions are not part of it."""
        document, arrays = estimator_state(self.estimator)
        unsaved = {"spectrum", "flow", "predictions", "mode_images"}
        run = {
            field.name: to_json(getattr(self.record, field.name))
            for field in dataclasses.fields(self.record)
            if field.name not in unsaved
        }
        if self.record.flow.test_error is not None:
            arrays["test_error"] = self.record.flow.test_error
        content = {"estimator": document, "encoding": self.encoding.to_dict(), "run": run}
        return write_folder(path, "model", content, arrays)

    def open(
        self,
        path: str,
        dialect: DialectChoice = DETECTED,
        identifiers: Sequence[str] | None = None,
    ) -> Table:
        """A table to predict, its columns read as where the model was fitted; what `dialect` says
        of a text file goes before the training table's dialect. Raises TableError."""
        carried = self.encoding.identifiers if identifiers is None else identifiers
        kinds = {**self.encoding.kinds, **dict.fromkeys(carried, "text")}
        return open_table(path, dataclasses.replace(dialect, like=self.encoding.dialect), kinds)

    def predict(
        self,
        table: Table,
        block_size: int = 4096,
        *,
        identifiers: Sequence[str] | None = None,
        unseen: dict[tuple[str, str], int] | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Predictions for a table, block by block, as named columns: the `identifiers` (those named
        at the fit that the table has, if None), then `mean` and `std` (of a new label, noise
        included), or `class` and one probability per class.

        Columns of a text file are read as where the model was fitted. `unseen` is filled with the
        counts of :meth:`Encoding.unseen`. Raises TableError if the table lacks a column or has one
        of another kind.
        """
        encoding = self.encoding
        carried = [n for n in encoding.identifiers if n in table.kinds]
        carried = list(carried if identifiers is None else identifiers)
        table = table.read_as(
            {**encoding.kinds, **dict.fromkeys(carried, "text")}, encoding.dialect
        )
        encoding.check(table)
        for block in table.blocks([*encoding.input_columns, *carried], block_size):
            X = encoding.transform(block)
            if unseen is not None:
                for key, count in encoding.unseen(block).items():
                    unseen[key] = unseen.get(key, 0) + count
            first = {name: block.column(name) for name in carried}
            yield first | self._predicted(X)

    def _predicted(self, X: np.ndarray) -> dict[str, np.ndarray]:
        if isinstance(self.estimator, ReducedGPClassifier):
            named = zip(self.encoding.classes, self.estimator.predict_proba(X).T, strict=True)
            return {
                "class": self.estimator.predict(X),
                **{f"probability_{name}": values for name, values in named},
            }
        mean, std = self.estimator.predict(X, return_std=True, include_noise=True)
        lacking = self.encoding.missing_noise(X)
        return {"mean": mean, "std": std if lacking is None else np.sqrt(std**2 + lacking)}


def load_run(path: str | os.PathLike[str]) -> Run:
    """The model in a folder written by `wilsonian fit --out`; nothing is executed.

    Raises ModelFileError for a folder that is missing, damaged, or was saved from Python (it then
    has no table's encoding: use `wilsonian.load_model`).
    """
    document, arrays = read_folder(path, "model")
    if "encoding" not in document:
        raise ModelFileError(
            f"Cannot use {os.fspath(path)!r} with tables: it was saved from Python and does not "
            "say how to read a table's columns; load it with wilsonian.load_model."
        )
    with understood(path):
        estimator = restore_estimator(document["estimator"], arrays)
        run = dict(document["run"], notes=tuple(document["run"]["notes"]))
        if "noise" in run:  # as version 0.1.0 called it
            run["noise_variance"] = run.pop("noise")
        flow = dataclasses.replace(estimator.flow_, test_error=arrays.get("test_error"))
        empty = np.zeros(0)
        std = None if run["task"] == "classification" else empty
        predictions = PredictionRecord(empty, empty, std)
        record = RunRecord(**run, spectrum=estimator.spectrum_, flow=flow, predictions=predictions)
        return Run(estimator, Encoding.from_dict(document["encoding"]), record)
