"""What the estimators accept: rows that count, targets that vary, inducing points of the right
shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight


def check_weights(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Sample weights (rows,), one each if None. Raises ValueError when they are negative, not
    finite, not one per row, or all zero."""
    weights = _check_sample_weight(sample_weight, X, dtype=float, ensure_non_negative=True)
    if not np.any(weights > 0):
        raise ValueError("all values of `sample_weight` are zero: no row counts.")
    return weights


def check_repetitions(weights: np.ndarray) -> None:
    """Raise ValueError when all rows of a data set together count less than one: sample weights are
    repetitions."""
    if weights.sum() < 1:
        raise ValueError(
            f"`sample_weight` adds up to {weights.sum():.3g} rows: a weight is how often a row is "
            "repeated. If these are precisions (inverse variances of the measurements), pass "
            "noise_variance_per_row=1/weights to a regressor's `fit` instead; if they are shares, "
            "multiply them by the number of rows."
        )


def check_row_noise(given: Any, rows: int, outputs: int) -> np.ndarray | None:
    """Known noise variances (rows,), None if there are none. Raises ValueError when they are
    negative, not finite or not one per row, and for several outputs."""
    if given is None:
        return None
    known = np.asarray(given, float)
    if known.shape != (rows,):
        raise ValueError(
            f"`noise_variance_per_row` must have shape ({rows},), one variance per row, got "
            f"{known.shape}."
        )
    if not np.all(np.isfinite(known)) or np.any(known < 0):
        raise ValueError(
            "`noise_variance_per_row` must be finite and not negative; pass variances (squared "
            "standard errors), not precisions, and leave out rows that are not known at all."
        )
    if outputs != 1:
        raise ValueError(
            f"`noise_variance_per_row` is of one output, `y` has {outputs}; fit each output with "
            "the variances of its own."
        )
    return known


def check_varying(y: np.ndarray) -> None:
    """Raise ValueError when an output of the targets (rows, outputs) is the same in all rows."""
    for k, column in enumerate(y.T):
        if np.ptp(column) == 0:
            raise ValueError(
                f"`y` is constant in output {k} (every value is {column[0]:g}): there is "
                "nothing to learn; check the target column."
            )


def check_labels_present(y: Any) -> None:
    """Raise ValueError when class labels of any type are missing (None, NaN, NaT or pandas' NA), or
    of types that have no order."""
    if isinstance(y, list | tuple):  # NumPy would make text of every label beside one
        try:
            labels = np.array(y, dtype=object)
        except ValueError:  # ragged
            return
    else:
        labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind not in "OM":
        return  # scikit-learn's own checks have their sentences
    missing = np.flatnonzero([_missing(label) for label in labels])
    if len(missing):
        raise ValueError(
            f"`y` holds {len(missing)} missing labels (the first is {labels[missing[0]]!r} in row "
            f"{missing[0]}): leave those rows out, or give them a class name of their own."
        )
    kinds = sorted({type(label).__name__ for label in labels})
    if len(kinds) > 1:
        try:
            np.unique(labels)
        except TypeError as error:
            raise ValueError(
                f"`y` mixes labels of types that have no order ({', '.join(kinds)}): make them "
                "all text, for instance."
            ) from error


def _missing(label: Any) -> bool:
    if label is None:
        return True
    try:
        return not bool(label == label)  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # pandas' NA has no truth
        return True


def check_inducing_points(inducing_points: Any, columns: int) -> np.ndarray:
    """Inducing points given by the user. Raises ValueError unless they are (rank, columns) and
    finite."""
    points = np.asarray(inducing_points, float)
    if points.ndim != 2 or points.shape[1] != columns or not len(points):
        raise ValueError(
            f"`inducing_points` must have shape (rank, {columns}), got {points.shape}."
        )
    if not np.all(np.isfinite(points)):
        raise ValueError("`inducing_points` must be finite, got NaN or infinity.")
    return points


def location_and_scale(
    y: np.ndarray, weights: np.ndarray, normalize: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of every output; zero and one unless `normalize`."""
    if not normalize:
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    mean = weights @ y / weights.sum()
    return mean, np.sqrt(weights @ (y - mean) ** 2 / weights.sum())


def random_generator(random_state: Any) -> np.random.Generator:
    """NumPy's generator for scikit-learn's `random_state`."""
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
