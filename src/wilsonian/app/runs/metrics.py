"""Honest numbers about held-out predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from wilsonian.app.runs.calibration import class_indices, interval_coverage, reliability_bins
from wilsonian.app.runs.records import PredictionRecord

LEVELS = (50, 90, 95)


def regression_metrics(
    predictions: PredictionRecord, training_deviation: float
) -> dict[str, float]:
    r"""RMSE, also relative to the training target's standard deviation, R², coverage of central
    intervals, and the mean negative log density of the truth,
    :math:`\tfrac12 \log 2\pi s^2 + (y - \bar f)^2 / 2 s^2`, in nats and the target's units."""
    true, mean = np.asarray(predictions.true), np.asarray(predictions.mean)
    std = np.asarray(predictions.std)
    square = float(np.mean((true - mean) ** 2))
    spread = float(np.var(true))
    density = 0.5 * np.log(2 * np.pi * std**2) + (true - mean) ** 2 / (2 * std**2)
    metrics = {"rmse": np.sqrt(square), "relative_rmse": np.sqrt(square) / training_deviation}
    metrics["nlpd"] = float(density.mean())
    if spread > 0:
        metrics["r2"] = 1 - square / spread
        gained = (true - true.mean()) ** 2 - (true - mean) ** 2
        metrics |= _gain(gained / spread)
    coverage = interval_coverage(predictions, np.array(LEVELS) / 100)
    metrics |= {f"coverage_{level}": c for level, c in zip(LEVELS, coverage, strict=True)}
    metrics |= _incomplete(predictions, error=true - mean)
    return {name: float(value) for name, value in metrics.items()}


def _incomplete(predictions: PredictionRecord, error: np.ndarray) -> dict[str, float]:
    """The same of the rows that lack values, and the coverage of those that lack none; empty
    unless there are both."""
    lacking = predictions.incomplete
    if lacking is None or not lacking.any() or lacking.all():
        return {}
    found = {"incomplete_rows": float(lacking.sum())}
    found["rmse_incomplete"] = float(np.sqrt(np.mean(error[lacking] ** 2)))
    for name, rows in (("incomplete", lacking), ("complete", ~lacking)):
        part = PredictionRecord(*(a[rows] for a in map(np.asarray, _of_rows(predictions))))
        held = interval_coverage(part, np.array(LEVELS) / 100)
        found |= {f"coverage_{lv}_{name}": c for lv, c in zip(LEVELS, held, strict=True)}
    return found


def _of_rows(predictions: PredictionRecord) -> tuple[Any, Any, Any]:
    return predictions.true, predictions.mean, predictions.std


def _gain(per_row: np.ndarray) -> dict[str, float]:
    """Mean gain over a constant prediction per row, and its standard error: what tells whether
    anything was learned."""
    error = per_row.std() / np.sqrt(len(per_row))
    return {"gain": float(per_row.mean()), "gain_error": float(error)}


def classification_metrics(predictions: PredictionRecord) -> dict[str, float]:
    """Accuracy, mean stated confidence, log loss (nats), Brier score summed over classes, and the
    expected calibration error over ten bins of confidence. A label that training never showed
    counts as an error; its log loss, infinite, is left out of the mean."""
    true, predicted, _ = class_indices(predictions)
    probabilities = np.asarray(predictions.probabilities)
    known = true < probabilities.shape[1]
    accuracy = float(np.mean(true == predicted))
    one_hot = np.zeros_like(probabilities)
    one_hot[np.flatnonzero(known), true[known]] = 1.0
    brier = np.sum((probabilities - one_hot) ** 2, axis=1) + ~known
    rows, confidence, correct = reliability_bins(predictions).T
    gap = np.nansum(rows * np.abs(confidence - correct)) / rows.sum()
    metrics = {"accuracy": accuracy, "error_rate": 1 - accuracy, "brier": float(brier.mean())}
    metrics["confidence"] = float(probabilities.max(axis=1).mean())
    if known.any():
        chosen = probabilities[np.flatnonzero(known), true[known]]
        logs = np.log(np.maximum(chosen, np.finfo(float).tiny))
        metrics["log_loss"] = float(-logs.mean())
        # In log probability, not in accuracy: a rare class may be told well and never be named.
        frequency = np.bincount(true[known]) / known.sum()
        metrics |= _gain(logs - np.log(frequency[true[known]]))
    return {**metrics, "calibration_error": float(gap)}
