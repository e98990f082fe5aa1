"""A fitted model against held-out rows, seen a block at a time."""

from __future__ import annotations

import jax
import numpy as np

from wilsonian.app.runs.metrics import classification_metrics, regression_metrics
from wilsonian.app.runs.records import PredictionRecord
from wilsonian.regression.classification.classifier import ReducedGPClassifier
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.regressor import ReducedGPRegressor

PICTURES = 16


class Evaluation:
    """Predictions for held-out rows, and their error at every cutoff of the flow."""

    def __init__(
        self, estimator: ReducedGPRegressor | ReducedGPClassifier, classes: tuple[str, ...]
    ) -> None:
        self.estimator, self.classes, self.rows = estimator, classes, 0
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._losses: list[np.ndarray] = []  # sums over rows, (cutoffs,)

    def add(
        self, X: np.ndarray, y: np.ndarray, row_noise: np.ndarray, incomplete: np.ndarray
    ) -> None:
        """Rows (rows, d), so many as means at every cutoff may be held at once, and their targets,
        or labels as text; what is known of the noise variances of these targets beside what the
        model calls noise; and which rows lack values."""
        self.rows += len(X)
        if isinstance(self.estimator, ReducedGPClassifier):
            process = self.estimator.regressor_.process_
            chances = self.estimator.predict_proba(X)
            parts = self.estimator.classes_[chances.argmax(axis=1)], chances
            with jax.enable_x64(True):
                means = np.stack(list(process.means_along_flow(X)))
            codes = (means[0] > 0).astype(int) if len(means) == 1 else means.argmax(axis=0)
            loss = np.array(self.classes, dtype=object)[codes] != y[:, None]
        else:
            mean, std = self.estimator.predict(X, return_std=True, include_noise=True)
            parts = mean, np.sqrt(std**2 + row_noise)
            with jax.enable_x64(True):
                (means,) = self.estimator.process_.means_along_flow(X)
            loss = (means - y[:, None]) ** 2
        self._parts.append((y, *parts, incomplete))
        self._losses.append(loss.sum(axis=0))

    def result(self) -> tuple[PredictionRecord, dict[str, float], np.ndarray | None]:
        """Predictions, metrics, and the root-mean-square error or error rate at every cutoff
        (None without rows)."""
        classifies = isinstance(self.estimator, ReducedGPClassifier)
        if not self.rows:
            empty = np.zeros(0)
            return PredictionRecord(empty, empty, None if classifies else empty), {}, None
        loss = np.sum(self._losses, axis=0) / self.rows
        true, mean, third, incomplete = (
            np.concatenate(part) for part in zip(*self._parts, strict=True)
        )
        if isinstance(self.estimator, ReducedGPClassifier):
            predictions = PredictionRecord(true, mean, None, third, self.classes)
            return predictions, classification_metrics(predictions), loss
        predictions = PredictionRecord(true, mean, third, incomplete=incomplete)
        deviation = float(self.estimator.process_.modes.target_scale[0])
        return predictions, regression_metrics(predictions, deviation), np.sqrt(loss)


def mode_images(
    process: ReducedProcess, X: np.ndarray, shape: tuple[int, ...] | None
) -> np.ndarray | None:
    """The leading modes as pictures: each one's mean product with the pixels over the rows of `X`,
    that is the image whose presence it measures. None unless the inputs are images."""
    if shape is None:
        return None
    with jax.enable_x64(True):
        modes = process.basis(X)[:, :PICTURES]
    return (modes.T @ X / len(X)).reshape(-1, *shape)
