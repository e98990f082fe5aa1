"""Plain records of a run: what the command line prints, stores as JSON and draws in the report."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from wilsonian.regression.processes.records import FlowRecord, SpectrumRecord


@dataclasses.dataclass(frozen=True)
class PredictionRecord:
    """Held-out predictions: of a regression target, or of class labels."""

    true: np.ndarray  # (rows,)
    mean: np.ndarray  # (rows,) predicted mean, or predicted label
    std: np.ndarray | None  # (rows,) of a new label, noise included; None for classes
    probabilities: np.ndarray | None = None  # (rows, classes)
    classes: tuple[str, ...] = ()
    incomplete: np.ndarray | None = None  # (rows,), which rows lack values


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
    rank_status: str  # one sentence: why the inducing points stopped there
    measure: Literal["population", "sample"]
    noise_variance: float  # noise variance, units of target^2
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
    baselines: dict[str, float] = dataclasses.field(default_factory=dict)  # errors of known methods
    known_noise: float = 0.0  # mean of the rows' known noise variances, beside `noise_variance`
    reading: str = ""  # how a text file was read, in one sentence
    correction: str = ""  # what reading out the eliminated modes bought, one sentence or two
    notes: tuple[str, ...] = ()  # what was done to the table: dropped rows, filled values, ...
