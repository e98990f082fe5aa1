"""The learning curve that a pilot's own subsamples draw, gone on by one shape."""

from __future__ import annotations

import dataclasses

import numpy as np

from wilsonian.theory.forecast.curve_shapes import CurveShape
from wilsonian.theory.forecast.subsamples import MeasuredErrors

REACH = 3.0  # of the grid along a parameter, whose prior is standard normal
GRID = {1: 801, 2: 161}  # points by dimensions; six sizes tell an exponent to 3 %
# Relative error of every measured size about a smooth law. Not the spread of its subsamples, which
# share their rows: they go up and down together. Chosen as the numbers of pooling.py.
OWN_ERROR = 0.03


@dataclasses.dataclass(frozen=True)
class CurveDraws:
    """Curves of one shape, drawn from what the measured ones leave of its prior."""

    shape: CurveShape
    largest: float  # size measured, from which places are counted
    parameters: np.ndarray  # (draws, dimensions)
    level: np.ndarray  # (draws,) logarithm of the error at the largest size

    def log_errors(self, n: np.ndarray) -> np.ndarray:
        """Logarithms of the error (draws, sizes)."""
        places = np.log(np.asarray(n, float) / self.largest)
        return self.level[:, None] + self.shape.log_error(self.parameters, places)


@dataclasses.dataclass(frozen=True)
class CurveWitness:
    """Posterior of one shape of learning curve, on a grid of its parameters."""

    curves: CurveDraws  # one of each point of the grid, at its best level
    weights: np.ndarray  # (points,) posterior
    level_spread: float  # of the logarithm, at all sizes alike

    @classmethod
    def of(cls, shape: type[CurveShape], measured: MeasuredErrors) -> CurveWitness:
        """The shape through the least errors of each size, in the logarithm. The level has a flat
        prior and is integrated out in closed form."""
        n = measured.n.astype(float)
        places = np.log(n / n[-1])
        curve = shape(-float(places[0]))
        line = np.linspace(-REACH, REACH, GRID[curve.dimensions])
        axes = np.meshgrid(*[line] * curve.dimensions, indexing="ij")
        parameters = np.stack([axis.ravel() for axis in axes], axis=1)
        away = np.log(measured.least()) - curve.log_error(parameters, places)
        level = away.mean(axis=1)
        missed = np.sum((away - level[:, None]) ** 2, axis=1) / OWN_ERROR**2
        loss = 0.5 * (missed + np.sum(parameters**2, axis=1))
        weights = np.exp(loss.min() - loss)
        spread = float(np.hypot(OWN_ERROR / np.sqrt(len(n)), measured.spread[-1]))
        return cls(CurveDraws(curve, n[-1], parameters, level), weights / weights.sum(), spread)

    def draw(self, draws: int, random: np.random.Generator) -> CurveDraws:
        """Curves from the posterior."""
        chosen = random.choice(len(self.weights), draws, p=self.weights)
        level = self.curves.level[chosen] + self.level_spread * random.standard_normal(draws)
        return dataclasses.replace(
            self.curves, parameters=self.curves.parameters[chosen], level=level
        )

    def mean(self, n: np.ndarray) -> np.ndarray:
        """Posterior mean of the logarithm of the error, (sizes,)."""
        return self.weights @ self.curves.log_errors(n)
