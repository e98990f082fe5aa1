"""What held-out predictions say about themselves against what happened: tables behind figures."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from wilsonian.app.runs.records import PredictionRecord


def is_classification(predictions: PredictionRecord) -> bool:
    """Whether the predictions are class labels: those carry no standard deviation."""
    return predictions.std is None


def class_indices(predictions: PredictionRecord) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """True and predicted class as positions in a list of names, and that list.

    A label is looked up by its text; whole numbers that are no class's name are positions.
    A held-out label that the training rows never showed is added to the list.
    """
    names = list(predictions.classes)
    columns = [np.asarray(values) for values in (predictions.true, predictions.mean)]
    labels = np.concatenate(columns)
    texts = [str(int(v)) if _is_whole(v) and str(v) not in names else str(v) for v in labels]
    if not set(texts) <= set(names) and all(_is_whole(v) and 0 <= v < len(names) for v in labels):
        positions = labels.astype(int)
    else:
        names += sorted(set(texts) - set(names))
        lookup = {name: position for position, name in enumerate(names)}
        positions = np.array([lookup[text] for text in texts], int)
    return positions[: len(columns[0])], positions[len(columns[0]) :], names


def confusion_matrix(predictions: PredictionRecord) -> tuple[np.ndarray, list[str]]:
    """Counts of held-out rows, (true class, predicted class), and the class names."""
    true, predicted, names = class_indices(predictions)
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (true, predicted), 1)
    return counts, names


def reliability_bins(predictions: PredictionRecord, bins: int = 10) -> np.ndarray:
    """(bins, 3): rows, mean confidence and accuracy of each bin of stated confidence."""
    true, predicted, _ = class_indices(predictions)
    confidence = np.asarray(predictions.probabilities, float).max(axis=1)
    bin_of_row = np.clip((confidence * bins).astype(int), 0, bins - 1)
    table = np.full((bins, 3), np.nan)
    for index in range(bins):
        rows = bin_of_row == index
        table[index, 0] = rows.sum()
        if rows.any():
            table[index, 1:] = confidence[rows].mean(), (true == predicted)[rows].mean()
    return table


def interval_coverage(predictions: PredictionRecord, levels: np.ndarray) -> np.ndarray:
    """Fraction of held-out rows inside the central interval of each nominal level."""
    error = np.abs(np.asarray(predictions.true, float) - np.asarray(predictions.mean, float))
    width = np.array([NormalDist().inv_cdf((1 + level) / 2) for level in levels])
    return np.array([(error <= w * np.asarray(predictions.std, float)).mean() for w in width])


def wilson_interval(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95% interval of a probability from an observed share of `count` trials.

    Wilson's score interval: unlike the normal one it has a width at shares of 0 and 1.
    """
    z = NormalDist().inv_cdf(0.975)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and float(value).is_integer()
