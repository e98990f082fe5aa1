"""Outputs that share a kernel and inducing points, each with an amplitude and noise of its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.processes.records import FlowRecord, SpectrumRecord
from wilsonian.regression.processes.reduced import ReducedProcess


@dataclasses.dataclass(frozen=True)
class OutputProcesses:
    """One :class:`ReducedProcess` for each output, on the same features of inducing points; it
    answers as they do, with one column, or one entry, for each."""

    parts: tuple[ReducedProcess, ...]

    @functools.cached_property
    def modes(self) -> Modes:
        """The modes that they share, with the coefficients and units of all outputs."""
        each = [part.modes for part in self.parts]
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(modes, name) for modes in each], axis=-1)
            for name in OF_OUTPUTS
        }
        return dataclasses.replace(each[0], **joined)

    @property
    def kept(self) -> int:
        """Modes kept for the output that keeps most."""
        return max(part.kept for part in self.parts)

    @property
    def amplitude(self) -> np.ndarray:
        """(outputs,)"""
        return np.array([part.amplitude for part in self.parts])

    @property
    def noise_variance(self) -> np.ndarray:
        """(outputs,), targets scaled."""
        return np.array([part.noise_variance for part in self.parts])

    def mean_ridge(self) -> np.ndarray:
        """(outputs,), targets scaled."""
        return np.array([part.mean_ridge() for part in self.parts])

    def expected_loss(self) -> np.ndarray:
        """(outputs,), targets scaled."""
        return np.array([part.expected_loss() for part in self.parts])

    def log_evidence(self) -> float:
        """Nats, summed over outputs."""
        return float(sum(part.log_evidence() for part in self.parts))

    def mean(self, X: np.ndarray) -> np.ndarray:
        """Posterior mean (rows, outputs), in the target's units."""
        return np.hstack([part.mean(X) for part in self.parts])

    def moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean (rows, outputs) in the target's units, and variance (rows, outputs) of the
        latent functions with targets scaled."""
        means, variances = zip(*(part.moments(X) for part in self.parts), strict=True)
        return np.hstack(means), np.stack(variances, axis=1)

    def covariance(self, X: np.ndarray) -> np.ndarray:
        """Posterior covariance (rows, rows, outputs), targets scaled."""
        return np.stack([part.covariance(X) for part in self.parts], axis=-1)

    def means_along_flow(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """As of :class:`ReducedProcess`, output by output."""
        for part in self.parts:
            yield from part.means_along_flow(X)

    def flow_record(self, unit: np.ndarray) -> FlowRecord:
        """The flow at the cutoffs that all outputs have: evidence summed over them, the rest their
        mean; `unit` (outputs,) is the squared scale of each."""
        records = [part.flow_record(float(u)) for part, u in zip(self.parts, unit, strict=True)]
        kept = functools.reduce(np.intersect1d, [record.kept for record in records])
        rows = [np.searchsorted(record.kept, kept) for record in records]

        def each(name: str) -> np.ndarray:
            pairs = zip(records, rows, strict=True)
            return np.array([getattr(record, name)[chosen] for record, chosen in pairs])

        names = ("ridge", "evidence_ridge", "learnability")
        means = {name: each(name).mean(axis=0) for name in names}
        return FlowRecord(kept=kept, evidence=each("evidence").sum(axis=0), **means)

    def spectrum_record(self, unit: np.ndarray, threshold: float) -> SpectrumRecord:
        """The spectrum, its mean over the outputs; `unit` (outputs,) is the squared scale."""
        records = [
            part.spectrum_record(float(u), threshold)
            for part, u in zip(self.parts, unit, strict=True)
        ]
        names = ("eigenvalues", "learnability", "target_power")
        means = {name: np.mean([getattr(r, name) for r in records], axis=0) for name in names}
        tail = float(np.mean([record.tail for record in records]))
        return SpectrumRecord(**means, kept=self.kept, tail=tail, threshold=threshold)


# Of the fields of `Modes`, those that have an entry for each output in their last axis.
OF_OUTPUTS = ("coefficients", "target_square", "target_mean", "target_scale")


def of_outputs(modes: Modes, columns: slice) -> Modes:
    """The modes for some of the outputs only."""
    return dataclasses.replace(modes, **{n: getattr(modes, n)[..., columns] for n in OF_OUTPUTS})


def parts_of(process: ReducedProcess | OutputProcesses) -> tuple[ReducedProcess, ...]:
    """The processes of single outputs, or the one of all."""
    return process.parts if isinstance(process, OutputProcesses) else (process,)
