"""The reduced process of one ridge: everything in closed form from sufficient statistics."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from wilsonian.core.coarse_graining import coarse_grain
from wilsonian.core.cutoffs import AbstractCutoff
from wilsonian.core.information import learned_fraction
from wilsonian.core.precision import compiled, with_precision
from wilsonian.regression.processes.mode_flow import ModeSums
from wilsonian.regression.processes.modes import Modes, ModeTheory, theory_of
from wilsonian.regression.processes.reduced import Flow, ReducedProcess


@dataclasses.dataclass(frozen=True)
class UniformProcess(ReducedProcess):
    """Posterior under one ridge, the same at every input."""

    @classmethod
    def of(
        cls,
        modes: Modes,
        amplitude: float,
        noise_variance: float,
        cutoff: AbstractCutoff,
        largest_lost: float,
    ) -> UniformProcess:
        """Posterior under a uniform ridge, in closed form from the statistics in `modes`, and the
        largest variance that they did not resolve in training."""
        sums = modes.sums(amplitude, noise_variance)
        theory = with_precision(_coarse_grained(sums, with_precision(cutoff, float)), float)
        kept_root, kept = _kept_root(modes, amplitude, theory)
        ridge, eigenvalues = float(theory.ridge.mean()), amplitude * modes.eigenvalues[kept]
        learned = learned_fraction(np, theory.weights[kept] * eigenvalues, ridge, modes.n_samples)
        coefficients = learned[:, None] * modes.coefficients[kept]
        bare = modes.rotation[:, kept] / np.sqrt(modes.eigenvalues[kept])
        lost = ridge - noise_variance
        return cls(
            modes,
            amplitude,
            noise_variance,
            theory,
            bare @ coefficients,
            kept_root * np.sqrt(1 - learned),
            kept_root,
            max(lost, 0.0) if modes.measure == "population" else None,
            largest_lost,
        )

    @functools.cached_property
    def flow(self) -> Flow:
        """The flow at every cutoff from no mode kept to all, from the statistics alone."""
        modes, amplitude = self.modes, self.amplitude
        bare, count = self.noise_variance + amplitude * modes.tail, len(modes.eigenvalues)
        # The modes above the k-th, summed from the least up: nothing is lost to cancellation.
        lost = np.append(np.cumsum(modes.eigenvalues[::-1])[::-1], 0.0)
        ridge = bare + amplitude * lost * (modes.measure == "population")
        sums = self._sums(modes.eigenvalues)
        return Flow(np.arange(count + 1.0), ridge, sums.at_each(ridge), sums.best_ridges())

    def _sums(self, eigenvalues: np.ndarray) -> ModeSums:
        """The evidence of modes of these eigenvalues, for a kernel of unit amplitude."""
        modes = self.modes
        return ModeSums(
            modes.n_samples * self.amplitude * eigenvalues,
            modes.n_samples * np.sum(modes.coefficients**2, axis=1),
            float(np.sum(modes.target_square)),
            len(modes.target_square),
            modes.n_samples,
        )

    def mean_ridge(self):
        return float(self.theory.ridge.mean())

    def log_evidence(self):
        kept = self._sums(np.asarray(self.theory.weights) * self.modes.eigenvalues)
        return float(kept.at_all(self.mean_ridge())[-1])

    def learnabilities(self):
        eigenvalues = self.amplitude * self.modes.eigenvalues
        return learned_fraction(np, eigenvalues, self.mean_ridge(), self.modes.n_samples)

    def means_along_flow(self, X):
        modes, summary = self.modes, self.flow
        basis = self.basis(X)
        signal = (modes.n_samples * self.amplitude * modes.eigenvalues)[:, None]
        learned = signal / (np.asarray(summary.ridge) + signal)
        learned *= np.arange(len(signal))[:, None] < np.asarray(summary.kept)
        for output, (mean, scale) in enumerate(
            zip(modes.target_mean, modes.target_scale, strict=True)
        ):
            coefficients = modes.coefficients[:, output, None] * learned
            yield mean + scale * (basis @ coefficients)


# Compiled as a whole: step by step every step would be compiled for every number of modes.
@compiled
def _coarse_grained(sums: tuple, cutoff: AbstractCutoff) -> ModeTheory:
    return coarse_grain(theory_of(*sums), cutoff)


def _kept_root(modes: Modes, amplitude: float, theory: ModeTheory) -> tuple[np.ndarray, np.ndarray]:
    weights = np.asarray(theory.weights)
    kept = np.flatnonzero(weights > 0)
    return modes.rotation[:, kept] * np.sqrt(amplitude * weights[kept]), kept
