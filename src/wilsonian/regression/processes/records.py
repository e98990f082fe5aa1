"""Plain records of a fitted theory: its spectrum, and its flow over all cutoffs. By themselves, so
that what only shows them starts without JAX."""

from __future__ import annotations

import dataclasses

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
