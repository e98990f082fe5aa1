"""Rows to learn from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.regression.evidence import Data


@dataclasses.dataclass(frozen=True)
class Sample:
    """Rows to learn from: inputs (rows, d), targets (rows, outputs), weights (rows,) that count
    repetitions, and known noise variances of the rows (rows,) in the squared units of the
    targets, if there are any."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    row_noise: np.ndarray | None = None

    def draw(self, rows: int, random: np.random.Generator) -> Sample:
        """A uniform subsample, or all of it if that is no more."""
        if rows >= len(self.X):
            return self
        return self.rows(np.sort(random.choice(len(self.X), rows, replace=False)))

    def rows(self, chosen: np.ndarray) -> Sample:
        """The rows of those numbers."""
        known = None if self.row_noise is None else self.row_noise[chosen]
        return Sample(self.X[chosen], self.y[chosen], self.weights[chosen], known)

    def data(self, dtype: Any) -> Data:
        """As arrays of one precision."""
        return with_precision(Data(self.X, self.y, self.weights, self.row_noise), dtype)

    def mean_squares(self) -> np.ndarray:
        """Weighted mean square of every output, (outputs,)."""
        return self.weights @ self.y**2 / self.weights.sum()

    def mean_square(self) -> float:
        """Mean of :meth:`mean_squares`."""
        return float(np.mean(self.mean_squares()))

    def groups(self, count: int) -> list[slice]:
        """Columns of the outputs that share amplitude and noise: all, or each by itself."""
        outputs = self.y.shape[1]
        return [slice(0, outputs)] if count == 1 else [slice(q, q + 1) for q in range(outputs)]


def column_spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation of every column; of a column that is constant, or nearly so by rounding,
    the mean of the others'."""
    spread = X.std(axis=0)
    varies = spread > 1e-6 * np.abs(X).max(axis=0)
    return np.where(varies, spread, spread[varies].mean() if varies.any() else 1.0)
