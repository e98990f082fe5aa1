"""The population's spectrum from the kernel matrix of finitely many points, its bias removed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.optimize

from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum, check_eigenvalues

RIDGES, NODES, TAIL_NODES = 200, 160, 60
RESOLVED_SHARE = 0.8  # of the points; the last degrees of freedom hang on the least eigenvalues
FITTED_RANGE = 8.0  # factor in kappa over which the exponent of the tail is fitted
TAIL_RANKS = 1e4  # the tail is followed for this factor in the number of modes
LEAST_EIGENVALUE = 1e-60  # of where it starts: no power law that steep underflows
TRACE_WEIGHT = 30.0  # of the trace against one value of the degrees of freedom


@dataclasses.dataclass(frozen=True)
class PopulationSpectrum:
    """A kernel's spectrum on the law that points are drawn from, as far as a sample shows it."""

    spectrum: BinnedSpectrum  # down to the tail's end; without target power
    resolved: float  # kappa down to which the sample shows the spectrum; a power law below
    points: int  # of the sample
    tail_exponent: float  # b of the power law lambda_k ~ k^-b
    tail_share: float  # of the trace, below `resolved`
    tail_misfit: float  # root mean square relative error of the power law where it is fitted

    def modes_above(self) -> np.ndarray:
        """How many modes lie above each node of the spectrum, half of its own among them."""
        return np.cumsum(self.spectrum.multiplicity) - self.spectrum.multiplicity / 2

    def eigenvalue_at(self, rank: Any) -> np.ndarray:
        """The eigenvalue of the mode of each `rank`, the greatest being of rank 1."""
        ranks = np.asarray(rank, float) - 0.5
        counts = np.maximum(self.modes_above(), 1e-9)
        values = np.log(self.spectrum.eigenvalues)
        return np.exp(np.interp(np.log(ranks), np.log(counts), values))


def population_spectrum(gram_eigenvalues: Any) -> PopulationSpectrum:
    r"""The spectrum behind the eigenvalues of the kernel matrix of m points drawn from a law.

    Divided by m they are no eigenvalues of the population: too large at the top, too small below.
    But the deterministic equivalent reads from them, at any ridge :math:`\delta`,

    .. math:: \kappa = \frac{1}{\mathrm{tr} (K + \delta)^{-1}}, \qquad
        \mathrm{df}_1(\kappa) = \sum_k \frac{\lambda_k}{\lambda_k + \kappa} = m -
        \frac{\delta}{\kappa}

    without that bias (docs/science/forecast.md, section 1). The multiplicities of eigenvalues on a
    logarithmic grid are then found by nonnegative least squares, as El Karoui (2008) does from the
    Stieltjes transform. Below the least :math:`\kappa` that m points show, the spectrum goes on as
    the power law that :math:`\mathrm{df}_1` follows there; the trace is that of the matrix.

    Raises ValueError as :class:`LearningCurve` does for eigenvalues, which come in descending
    order, and for fewer than ten positive ones.
    """
    values = check_eigenvalues(gram_eigenvalues)
    points = len(values)
    if np.sum(values > 1e-14 * values[0]) < 10:
        raise ValueError(
            f"the kernel matrix of the {points} inputs has rank "
            f"{np.sum(values > 1e-14 * values[0])}; a spectrum needs 10 modes or more: give more "
            "distinct inputs, or a kernel with more modes."
        )
    trace = float(np.sum(values)) / points
    kappa, freedom = _degrees_of_freedom(values)
    grid = np.geomspace(kappa[0] / 50, 1.3 * values[0] / points, NODES)
    design = grid / (grid + kappa[:, None]) / freedom[:, None]
    design = np.vstack([design, TRACE_WEIGHT * grid / trace])
    goal = np.append(np.ones(len(kappa)), TRACE_WEIGHT)
    counts, _ = scipy.optimize.nnls(design, goal, maxiter=50 * NODES)
    slope, misfit = _power_law(kappa, freedom)
    shown = (grid >= kappa[0]) & (counts > 0)
    left = max(trace - float(counts[shown] @ grid[shown]), 1e-12 * trace)
    # Nodes equally far apart in log lambda: a power law has lambda^(-1/b) modes at each.
    edges = np.geomspace(TAIL_RANKS, 1.0, TAIL_NODES + 1)
    density = np.sqrt(edges[1:] * edges[:-1])
    tail = kappa[0] * np.maximum(density ** (-1 / slope), LEAST_EIGENVALUE)
    tail_counts = density * left / (density @ tail)
    eigenvalues = np.concatenate([grid[shown][::-1], tail[::-1]])
    multiplicity = np.concatenate([counts[shown][::-1], tail_counts[::-1]])
    spectrum = BinnedSpectrum(eigenvalues, multiplicity, np.zeros_like(eigenvalues))
    return PopulationSpectrum(spectrum, float(kappa[0]), points, 1 / slope, left / trace, misfit)


def _degrees_of_freedom(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """kappa, ascending, and the degrees of freedom there, where the sample shows them."""
    points = len(values)
    values = np.maximum(values, 1e-15 * values[0])  # rounding may make them negative
    ridges = np.geomspace(1e-13, 10.0, RIDGES) * values[0]
    inverse = 1 / (values + ridges[:, None])
    kappa = 1 / np.sum(inverse, axis=1)
    freedom = np.sum(values * inverse, axis=1)  # m - ridge / kappa, without the cancellation
    shown = (freedom < RESOLVED_SHARE * points) & (freedom > 0.02)
    return kappa[shown], freedom[shown]


def _power_law(kappa: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """1/b of df_1 ~ kappa^(-1/b) near the least kappa, and the root mean square relative misfit."""
    near = kappa < FITTED_RANGE * kappa[0]
    x, y = np.log(kappa[near]), np.log(freedom[near])
    line = np.polyfit(x, y, 1)
    misfit = float(np.sqrt(np.mean((np.polyval(line, x) - y) ** 2)))
    # A trace that converges needs b > 1; beyond b = 50 it is an exponential.
    return float(np.clip(-line[0], 0.02, 0.95)), misfit
