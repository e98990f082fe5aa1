"""Draws of the error at any size: of the averaged theory, and of the pool of all witnesses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.theory.forecast.curve_witness import CurveDraws, CurveWitness
from wilsonian.theory.forecast.pooling import NAMES, SHAPES, Departures, LeftOut, Pool
from wilsonian.theory.forecast.population_spectrum import PopulationSpectrum
from wilsonian.theory.forecast.records import Band, Prediction, Witness
from wilsonian.theory.forecast.subsamples import MeasuredErrors
from wilsonian.theory.forecast.target_law import TargetLaw
from wilsonian.theory.learning_curves import LearningCurve

THEORY_ERROR = 0.05  # relative, of the deterministic equivalent on real features
# Errors fall as the power of the mean squared error that the pilot shows, within this prior.
RATE_EXPONENT, RATE_SPREAD = 1.2, 0.25


@dataclasses.dataclass(frozen=True)
class TheoryDraws:
    """Errors of the averaged theory, one for each draw of the target's law."""

    population: PopulationSpectrum
    law: TargetLaw
    theory: LearningCurve  # of the mean law
    measured: MeasuredErrors
    scale: np.ndarray  # (draws,) error of the theory itself, the same at all sizes

    @classmethod
    def of(
        cls,
        population: PopulationSpectrum,
        law: TargetLaw,
        theory: LearningCurve,
        measured: MeasuredErrors,
        random: np.random.Generator,
    ) -> TheoryDraws:
        draws = len(law.noise_variance)
        scale = np.exp(THEORY_ERROR * random.standard_normal(draws))
        return cls(population, law, theory, measured, scale)

    def best_ridge(self, n: np.ndarray) -> np.ndarray:
        """Of least expected error, within what may be named."""
        return self.measured.within(self.theory.optimal_ridge(n), n, self.population)

    def errors(self, n: np.ndarray, ridge: np.ndarray) -> np.ndarray:
        """(draws, sizes); kappa depends on no draw."""
        spectrum, kappa = self.population.spectrum, self.theory.kappa(n, ridge)
        learned = spectrum.eigenvalues / (spectrum.eigenvalues + kappa[:, None])
        overfitting = learned**2 @ spectrum.multiplicity / n
        left = self.law.power @ ((1 - learned) ** 2).T
        return (left + self.law.noise_variance[:, None]) / (1 - overfitting) * self.scale[:, None]


@dataclasses.dataclass(frozen=True)
class ForecastErrors:
    """Errors of the pool. Curves were measured at the best ridge; at another, the theory says how
    much worse it is."""

    theory: TheoryDraws
    curves: tuple[CurveDraws, ...]
    left_out: LeftOut
    pool: Pool
    departures: Departures
    rate: np.ndarray | None  # (draws,) error rate of the pilot, left out one by one
    rate_error: float  # mean squared error that goes with it
    rate_exponent: np.ndarray  # (draws,)
    most_wrong: float

    @classmethod
    def of(
        cls,
        theory: TheoryDraws,
        left_out: LeftOut,
        classes: bool,
        farthest: float,
        random: np.random.Generator,
    ) -> ForecastErrors:
        """Draws are put in order at the size `farthest`."""
        draws, measured = len(theory.scale), theory.measured
        curves = tuple(CurveWitness.of(s, measured).draw(draws, random) for s in SHAPES)
        n = np.array([farthest])
        logs = _logs(theory, curves, n, theory.best_ridge(n))
        pool = Pool.of(left_out.weights(), logs[:, :, 0], random)
        known = theory, curves, left_out, pool, Departures.of(draws, random)
        if not classes:
            return cls(*known, None, 1.0, np.ones(draws), 1.0)
        return cls(*known, *_rates(measured, draws, random))

    def predict(self, n: np.ndarray, ridge: Any) -> Prediction:
        """The forecast at sizes `n`, at the best ridge or the one given."""
        n = np.asarray(n, float)
        chosen = self._ridge(n, ridge)
        errors = self._pooled(n, chosen)
        doubled = self._pooled(n, self._ridge(2 * n, ridge), factor=2)
        gain = 1 - doubled / errors
        if ridge is None:  # at the best ridge more rows never hurt, whatever the curves' departures
            gain = np.maximum(gain, 0.0)
        rate = None
        if self.rate is not None:
            ratio = errors / self.rate_error
            rates = self.rate[:, None] * ratio ** self.rate_exponent[:, None]
            rate = Band.of(np.minimum(rates, self.most_wrong))
        return Prediction(n, chosen, Band.of(errors), Band.of(gain), rate)

    def witnesses(self, n: np.ndarray, ridge: Any) -> tuple[Witness, ...]:
        """What each says by itself at sizes `n`, the weightiest first."""
        n = np.asarray(n, float)
        logs = _logs(self.theory, self.curves, n, self._ridge(n, ridge))
        missed = self.left_out.root_mean_square()
        departed = self.departures.at(self._doublings(n))
        found = []
        for place, name in enumerate(NAMES):
            alone = np.eye(len(NAMES))[place]
            one = logs[place] + self.left_out.law_error(alone) * departed
            weight, miss = float(self.pool.weights[place]), float(missed[place])
            found.append(Witness(name, weight, miss, Band.of(np.exp(one))))
        return tuple(sorted(found, key=lambda one: -one.weight))

    def floor(self, farthest: np.ndarray) -> np.ndarray:
        """The noise (draws,), or the error of the pool at the size `farthest` where that is less:
        curves may know of less noise than the labels show."""
        noise = self.theory.law.noise_variance * self.theory.scale
        return np.minimum(noise, self._pooled(farthest, self._ridge(farthest, None))[:, 0])

    def _pooled(self, n: np.ndarray, ridge: np.ndarray, factor: int = 1) -> np.ndarray:
        """Draws (draws, sizes) at `factor` (1 or 2) times the sizes n, on the walks to n."""
        logs = _logs(self.theory, self.curves, factor * n, ridge)
        walked = self.departures.at(self._doublings(n), more=factor == 2)
        law_error = self.left_out.law_error(self.pool.weights)
        return np.exp(self.pool.mix(logs) + law_error * walked)

    def _doublings(self, n: np.ndarray) -> np.ndarray:
        """Factors of two beyond the pilot's size."""
        return np.log2(n / self.theory.measured.n[-1])

    def _ridge(self, n: np.ndarray, ridge: Any) -> np.ndarray:
        if ridge is None:
            return self.theory.best_ridge(n)
        return np.broadcast_to(np.asarray(ridge, float), n.shape)


def _logs(
    theory: TheoryDraws,
    curves: tuple[CurveDraws, ...],
    n: np.ndarray,
    ridge: np.ndarray,
) -> np.ndarray:
    """Logarithms of the errors (witnesses, draws, sizes)."""
    mean, best = theory.theory.label_error, theory.best_ridge(n)
    worse = np.log(mean(n, ridge) / mean(n, best))
    found = [curve.log_errors(n) + worse for curve in curves]
    return np.stack([np.log(theory.errors(n, ridge)), *found])


def _rates(
    measured: MeasuredErrors, draws: int, random: np.random.Generator
) -> tuple[np.ndarray, float, np.ndarray, float]:
    """The last four fields of `ForecastErrors` for classes."""
    points, wrong, least = measured.n[-1], measured.least_wrong(), measured.least()
    # Of no mistakes in n, the posterior under a flat prior: (k + 1) / (n + 2).
    rate = random.beta(wrong[-1] * points + 1, (1 - wrong[-1]) * points + 1, draws)
    seen = wrong > 0
    slope, information = 0.0, 0.0
    if np.sum(seen) > 2:
        x = np.log(least[seen]) - np.mean(np.log(least[seen]))
        slope = float(x @ np.log(wrong[seen]) / (x @ x))
        information = float(x @ x) / 0.1**2
    prior = 1 / RATE_SPREAD**2
    centre = (prior * RATE_EXPONENT + information * slope) / (prior + information)
    spread = 1 / np.sqrt(prior + information)
    # A slope seen over one factor of eight in n holds only so far beyond.
    exponent = centre + np.hypot(spread, 0.15) * random.standard_normal(draws)
    most = 1 - 1 / max(measured.residuals.shape[1], 2)
    return rate, float(least[-1]), np.maximum(exponent, 0), most
