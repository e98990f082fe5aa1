"""Fields of a theory, where they came from, and how far they can be trusted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.autocorrelation import Autocorrelation, autocorrelation
from wilsonian.fields.lattice import check_fields
from wilsonian.fields.observables import Measured, observables, per_field


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Fields (count, *lattice), row ``step * chains + chain`` for Markov chains.

    `log_weights` are None for fields drawn from the theory itself. `chains` is 0 for independent
    draws. `how` keeps the settings and figures of the run that made it, as JSON can.
    """

    theory: AbstractFieldTheory
    fields: np.ndarray
    log_weights: np.ndarray | None = None
    chains: int = 0
    how: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.fields) == 0:
            raise ValueError("the ensemble holds no fields; draw at least one.")
        check_fields(self.fields, self.theory.shape)
        if self.log_weights is not None and np.shape(self.log_weights) != (len(self.fields),):
            raise ValueError(
                f"log weights of shape {np.shape(self.log_weights)} for {len(self.fields)} fields; "
                "pass one each."
            )
        if self.chains and len(self.fields) % self.chains:
            raise ValueError(
                f"{len(self.fields)} fields do not come from {self.chains} equal chains; give the "
                "number of chains, or 0 for independent draws."
            )

    def __len__(self) -> int:
        return len(self.fields)

    def weights(self) -> np.ndarray:
        """Weights, summing to one."""
        if self.log_weights is None:
            return np.full(len(self), 1 / len(self))
        weights = np.exp(self.log_weights - self.log_weights.max())
        return weights / weights.sum()

    def groups(self, most: int = 32) -> np.ndarray:
        """Independent group of each field: whole chains, or runs of draws."""
        rows = np.arange(len(self))
        if self.chains > 1:
            return (rows % self.chains) * min(most, self.chains) // self.chains
        return rows * min(most, len(self)) // len(self)

    def observables(self) -> dict[str, Measured]:
        """The numbers of :mod:`wilsonian.fields.observables`, weighted, with errors."""
        return observables(
            per_field(self.theory, self.fields),
            self.theory.shape,
            None if self.log_weights is None else self.weights() * len(self),
            self.groups(),
        )

    def magnetization_autocorrelation(self) -> Autocorrelation:
        """Of |M| along the chains, in kept fields; of independent draws it is one."""
        series = np.abs(self.fields.reshape(len(self), -1).mean(1, dtype=float))
        if not self.chains:
            error = series.std() / np.sqrt(len(series))
            return Autocorrelation(1.0, 0.0, 0, float(series.mean()), float(error))
        return autocorrelation(series.reshape(-1, self.chains))
