"""What a forecast finds, as plain records."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from wilsonian.kernels import Kernel
from wilsonian.theory.forecast.subsamples import MeasuredErrors
from wilsonian.theory.learning_curves import LearningCurve

BAND = (0.05, 0.5, 0.95)


@dataclasses.dataclass(frozen=True)
class Band:
    """A median and the ends of the central 90 %, one entry per sample size."""

    median: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, draws: np.ndarray) -> Band:
        """Of draws (draws, sizes)."""
        lower, median, upper = np.quantile(draws, BAND, axis=0)
        return cls(median, lower, upper)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The forecast at some sample sizes."""

    n: np.ndarray  # (sizes,)
    ridge: np.ndarray  # (sizes,) to add to the n by n kernel matrix; the best in expectation
    error: Band  # mean squared error of new labels, noise included, mean over outputs
    gain: Band  # share of that error which one more factor of two removes
    error_rate: Band | None  # share of new rows whose class is missed; None in regression


@dataclasses.dataclass(frozen=True)
class Witness:
    """One of the laws that a forecast is pooled of."""

    name: str
    weight: float  # in the pool; the weights add up to one
    # Root mean square of the logarithm by which it missed the pilot's error from parts of the
    # pilot, per factor of two; NaN when the pilot was too small for parts.
    missed: float
    error: Band  # at the sizes asked for, by itself


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What :func:`forecast` finds. Errors are in squared units of the target as given; of classes,
    of their targets -1 and 1, or of indicators."""

    table: Prediction  # at the sizes asked for
    curve: Prediction  # finely, for plots, from the smallest subsample measured
    measured: MeasuredErrors  # by the pilot's own subsamples
    floor: Band  # scalars: the error that no amount of data goes below
    witnesses: tuple[Witness, ...]
    diagnostics: tuple[
        str, ...
    ]  # sentences on why not to trust it; empty when nothing speaks against
    task: Literal["regression", "classification"]
    kernel: Kernel  # held fixed at every n
    labels: int
    inputs: int  # rows, labelled or not, whose inputs were given
    variance: float  # of the targets: the error of predicting their mean
    theory: LearningCurve  # of the posterior mean of power and noise
