"""What a forecast from a measured curve finds, as plain records."""

from __future__ import annotations

import dataclasses

import numpy as np

from wilsonian.theory.forecast.curve_points import CurvePoints
from wilsonian.theory.forecast.records import Band


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One shape's own forecast, and how far it is believed."""

    name: str
    weight: float  # of all candidates, by evidence; they sum to one
    log_evidence: float
    error: Band  # (sizes,) at the sizes asked for
    left_out: float  # its median at the last size measured, from the sizes before; NaN unchecked


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """The curve's own test: its last sizes, forecast from those before."""

    n: np.ndarray  # (left out,)
    measured: np.ndarray
    error: Band  # of such a measurement, its scatter included


@dataclasses.dataclass(frozen=True)
class CurveForecast:
    """What `forecast_curve` finds, in the units of the errors given."""

    n: np.ndarray  # (sizes,) asked for
    median: np.ndarray  # (sizes,)
    lower: np.ndarray  # (sizes,) of the central 90 %
    upper: np.ndarray
    gain: Band  # (sizes,) share of the error that one more factor of two removes
    floor: Band  # scalars: what no number of samples goes below; zero for a power law
    candidates: tuple[Candidate, ...]  # by weight, descending
    fine_n: np.ndarray  # finely, for plots, from the first size measured
    fine: Band
    points: CurvePoints
    scatter: float  # relative, of one measurement; with standard errors, by how much too small
    left_out: LeftOut | None  # None for fewer than five sizes, or without the check
    diagnostics: tuple[str, ...]

    @property
    def band(self) -> Band:
        """Median and ends as one record."""
        return Band(self.median, self.lower, self.upper)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each candidate by name."""
        return {candidate.name: candidate.weight for candidate in self.candidates}
