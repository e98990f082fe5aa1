"""The errors a pilot measures itself: subsamples tested on the rest, and leaving one out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg

from wilsonian.theory.forecast.population_spectrum import PopulationSpectrum

SIZES, REPEATS = 5, 6
RIDGES = np.geomspace(1e-3, 1.0, 6)  # in units of the kernel's mean diagonal


@dataclasses.dataclass(frozen=True)
class MeasuredErrors:
    """Mean squared errors by sample size (sizes,) and ridge (ridges,); all of the pilot's rows are
    left out one by one, so that the last size is the pilot's."""

    n: np.ndarray  # (sizes,)
    ridge: np.ndarray  # (ridges,)
    error: np.ndarray  # (sizes, ridges) mean over outputs and test rows
    wrong: np.ndarray  # (sizes, ridges) share of rows whose class is missed; NaN for no classes
    spread: np.ndarray  # (sizes,) standard error of the least error, relative
    residuals: np.ndarray  # (pilot, outputs) left out one by one, at the ridge of least error

    def best(self) -> np.ndarray:
        """Index of the ridge of least error at each size."""
        return np.argmin(self.error, axis=1)

    def least(self) -> np.ndarray:
        """Error at the best ridge of each size."""
        return self.error[np.arange(len(self.n)), self.best()]

    def within(self, ridge: Any, n: np.ndarray, population: PopulationSpectrum) -> np.ndarray:
        """The ridges to name of those wanted at sizes `n`: at least the least that was measured
        (below, inputs far from all others make errors that no theory of Gaussian features knows),
        at most what leaves nothing learned."""
        most = 1e3 * n * np.asarray(population.spectrum.eigenvalues)[0]
        return np.clip(np.asarray(ridge, float), self.ridge[0], most)

    def least_wrong(self) -> np.ndarray:
        """Error rate there."""
        return self.wrong[np.arange(len(self.n)), self.best()]


def measure_subsamples(
    gram: np.ndarray, targets: np.ndarray, random: np.random.Generator, *, classes: bool = False
) -> MeasuredErrors:
    """Kernel ridge regression from random subsamples of a pilot, `gram` (n, n) and `targets`
    (n, outputs), tested on its other rows; of the whole pilot by leaving rows out one by one. Each
    training set is centred by its own mean. With `classes` the error rate is measured too: targets
    are then as :func:`wilsonian.regression.classification.classifier.class_targets` makes them.

    Sizes run from an eighth to four fifths of the pilot, six subsamples of each.
    """
    points = len(targets)
    sizes = np.unique(np.geomspace(max(points / 8, 8), 0.8 * points, SIZES).astype(int))
    ridges = RIDGES * float(np.mean(np.diagonal(gram)))
    errors = np.zeros((len(sizes) + 1, len(ridges)))
    wrong = np.full_like(errors, np.nan)
    spread = np.zeros(len(sizes) + 1)
    for place, size in enumerate(sizes):
        found = np.zeros((REPEATS, 2, len(ridges)))
        for repeat in range(REPEATS):
            order = random.permutation(points)
            found[repeat] = _held_out(gram, targets, order[:size], order[size:], ridges, classes)
        errors[place], wrong[place] = found.mean(axis=0)
        least = np.argmin(errors[place])
        spread[place] = np.std(found[:, 0, least], ddof=1) / REPEATS**0.5 / errors[place, least]
    left_out = [_left_out(gram, targets, ridge) for ridge in ridges]
    errors[-1] = [np.mean(residual**2) for residual in left_out]
    residuals = left_out[int(np.argmin(errors[-1]))]
    if classes:
        wrong[-1] = [np.mean(is_wrong(targets - r, targets)) for r in left_out]
    square = np.mean(residuals**2, axis=1)
    spread[-1] = np.std(square) / points**0.5 / np.mean(square)
    return MeasuredErrors(np.append(sizes, points), ridges, errors, wrong, spread, residuals)


def is_wrong(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mask of rows whose class differs: by sign for one output, else by the greatest score."""
    if targets.shape[1] == 1:
        return (scores[:, 0] > 0) != (targets[:, 0] > 0)
    return np.argmax(scores, axis=1) != np.argmax(targets, axis=1)


def _held_out(
    gram: np.ndarray,
    targets: np.ndarray,
    rows: np.ndarray,
    others: np.ndarray,
    ridges: np.ndarray,
    classes: bool,
) -> np.ndarray:
    """Mean squared error and error rate at each ridge, (2, ridges)."""
    mean = targets[rows].mean(axis=0)
    values, vectors = np.linalg.eigh(gram[np.ix_(rows, rows)])
    values = np.maximum(values, 0.0)
    across, coefficients = gram[np.ix_(others, rows)] @ vectors, vectors.T @ (targets[rows] - mean)
    found = np.full((2, len(ridges)), np.nan)
    for place, ridge in enumerate(ridges):
        scores = mean + across @ (coefficients / (values + ridge)[:, None])
        found[0, place] = np.mean((targets[others] - scores) ** 2)
        if classes:
            found[1, place] = np.mean(is_wrong(scores, targets[others]))
    return found


def _left_out(gram: np.ndarray, targets: np.ndarray, ridge: float) -> np.ndarray:
    """Residuals of every row when it is left out of the regression, in closed form."""
    lower = np.linalg.cholesky(gram + ridge * np.eye(len(gram)))
    inverse = scipy.linalg.cho_solve((lower, True), np.eye(len(gram)))
    centred = targets - targets.mean(axis=0)
    return (inverse @ centred) / np.diagonal(inverse)[:, None]
