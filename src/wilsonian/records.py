"""Plain records of a run: what the command line prints, stores as JSON and draws in the report."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class FlowRecord:
    """The flow of a fitted theory: one entry per cutoff, ordered from keeping nothing upward."""

    kept: np.ndarray  # number of modes kept
    ridge: np.ndarray  # predicted ridge sigma^2 + c, units of target^2
    evidence_ridge: np.ndarray  # ridge that maximizes the evidence at this cutoff
    learnability: np.ndarray  # of the first eliminated mode (0 when none is left)
    evidence: np.ndarray  # log marginal likelihood of the reduced theory, nats
    test_error: np.ndarray | None = None  # held-out RMSE (regression) or error rate

    def columns(self) -> dict[str, np.ndarray]:
        """Name to values of every column that is filled."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class SpectrumRecord:
    """Kernel spectrum on the data measure, in units of target^2 (amplitude included)."""

    eigenvalues: np.ndarray  # (modes,), descending
    learnability: np.ndarray  # (modes,), at the fitted ridge
    target_power: np.ndarray  # (modes,), squared target coefficient per mode, mean over outputs
    kept: int
    tail: float  # trace that no resolved mode carries
    threshold: float  # of the learnability that decides the cutoff


@dataclasses.dataclass(frozen=True)
class PredictionRecord:
    """Held-out predictions: of a regression target, or of class labels."""

    true: np.ndarray  # (rows,)
    mean: np.ndarray  # (rows,) predicted mean, or predicted label
    std: np.ndarray | None  # (rows,) of a new label, noise included; None for classes
    probabilities: np.ndarray | None = None  # (rows, classes)
    classes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One `wilsonian fit`, as reported."""

    name: str  # of the data set
    task: Literal["regression", "classification"]
    target: str  # name of the target column
    kernel: str  # text form, with learned values
    rows: int  # used for training
    test_rows: int
    columns: int  # after encoding
    rank: int
    rank_status: str  # one sentence: why the landmarks stopped there
    measure: Literal["population", "sample"]
    noise: float  # noise variance, units of target^2
    ridge: float  # renormalized ridge at the cutoff
    expected_loss: float  # expected rise in mean squared error from the cutoff
    convergence: str  # one sentence about the optimizer
    seconds: float
    seed: int
    hyperparameters: dict[str, Any]
    metrics: dict[str, float]  # of the held-out rows
    spectrum: SpectrumRecord
    flow: FlowRecord
    predictions: PredictionRecord
    mode_images: np.ndarray | None = None  # (modes, height, width[, channel]) for image inputs
    notes: tuple[str, ...] = ()  # what was done to the table: dropped rows, filled values, ...


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
