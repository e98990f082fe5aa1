"""Latents linear in the columns, beside those of the kernel's modes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.linalg

from wilsonian.regression.classification.label_process import Blocks
from wilsonian.regression.classification.laplace import Latents, Rows, find_mode_in_passes
from wilsonian.regression.classification.link import expected_probabilities
from wilsonian.regression.classification.scaled import Labels, Sampled, assembled

DIRECTIONS = 256  # of greatest variance, that latents may depend on
DIRECTION_ROWS = 1024  # that these are found from, where there are more columns
PASSES = 4  # over rows that are not held, from where the sample's latents are


@dataclasses.dataclass(frozen=True)
class ColumnProcess:
    r"""Posterior of latents :math:`f_c(x) = b_c + A (x - m) \cdot W_c`, given class labels:
    penalized logistic regression with its uncertainty. :math:`m` are the columns' means, :math:`A`
    divides by their deviations (and goes to the leading principal directions, where there are many
    columns), times a scale chosen as that of
    :class:`wilsonian.regression.classification.label_process.LabelProcess`."""

    centre: np.ndarray  # (columns,), m
    map: np.ndarray  # (columns, directions), transposed A
    spread: float
    latents: Latents

    @classmethod
    def fit(cls, labels: Labels, blocks: Blocks | None = None) -> tuple[ColumnProcess, np.ndarray]:
        """From labelled rows, or from a uniform sample of the rows behind `blocks`; also the log
        losses (rows,) of labels left out."""
        centre = np.average(labels.X, axis=0, weights=labels.weights)
        away = labels.X - centre
        spread = np.sqrt(np.average(away**2, axis=0, weights=labels.weights))
        # Constant to rounding: it says nothing.
        known = spread > 1e-12 * np.abs(centre)
        map = np.diag(np.where(known, 1 / np.where(known, spread, 1.0), 0.0))
        if len(centre) > DIRECTIONS:
            map = map @ _leading(away[:: -(-len(away) // DIRECTION_ROWS)] @ map)
        map = map / np.sqrt(len(centre))
        sample = Sampled(away @ map, np.zeros(len(away)), labels)
        best = sample.best_scale()
        map = best.scale * map
        if blocks is None:
            return cls(centre, map, best.spread, sample.posterior(best)), best.losses

        def designs() -> Iterator[Rows]:
            for inputs, targets, counts in blocks():
                counts = np.ones(len(inputs)) if counts is None else counts
                yield _design((inputs - centre) @ map), targets, counts

        latents = find_mode_in_passes(designs, best.mean, PASSES)
        return cls(centre, map, best.spread, latents), best.losses

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (rows, classes) of all classes, latents integrated out."""
        design = _design((X - self.centre) @ self.map)
        variance = self.latents.variances(design)
        return expected_probabilities(self.latents.means(design), self.spread * variance)


def _design(features: np.ndarray) -> np.ndarray:
    return assembled(features, np.zeros(len(features)), 1.0)


def _leading(rows: np.ndarray) -> np.ndarray:
    """Orthonormal directions (columns, directions) in which rows vary most."""
    values, vectors = scipy.linalg.eigh(rows @ rows.T)
    kept = np.flatnonzero(values > 1e-10 * values[-1])[-DIRECTIONS:]
    return rows.T @ (vectors[:, kept] / np.sqrt(values[kept]))
