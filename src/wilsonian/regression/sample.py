"""Rows to learn from, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import numpy as np
from sklearn.utils.validation import _check_sample_weight

from wilsonian.kernels import Kernel

MERGED_ROWS = 20_000  # up to here repeated rows are merged, and the order of rows does not matter


class Sample(eqx.Module):
    """Rows to learn from: inputs (rows, d), targets (rows, outputs), weights (rows,) that count
    repetitions, and known noise variances of the rows (rows,) in the squared units of the
    targets, if there are any. NumPy arrays."""

    X: Any
    y: Any
    weights: Any
    row_noise: Any = None

    @classmethod
    def checked(
        cls, X: np.ndarray, y: np.ndarray, sample_weight: Any = None, row_noise: Any = None
    ) -> Sample:
        """The rows that count, of inputs (rows, d) and targets (rows, outputs) without gaps. Raises
        ValueError as :func:`check_weights` and :func:`check_row_noise` do."""
        weights = check_weights(sample_weight, X)
        known = check_row_noise(row_noise, len(y), y.shape[1])
        if np.all(weights > 0):
            return cls(X, y, weights, known)
        counted = weights > 0
        known = None if known is None else known[counted]
        return cls(X[counted], y[counted], weights[counted], known)

    def check(self) -> None:
        """Raise ValueError unless these rows can be the first of a fit."""
        check_repetitions(self.weights)
        check_varying(self.y)

    def merged(self) -> Sample:
        """Distinct rows in a canonical order, with their weights added up: repeating a row and
        giving it a weight become the same data. Left alone beyond MERGED_ROWS, and where noise is
        known row by row."""
        if len(self.X) > MERGED_ROWS or self.row_noise is not None:
            return self
        table = np.hstack([self.X, self.y])
        order = np.lexsort(table.T[::-1])
        table = table[order]
        new = np.ones(len(table), bool)
        new[1:] = np.any(table[1:] != table[:-1], axis=1)
        starts = np.flatnonzero(new)
        X, y = np.split(table[starts], [self.X.shape[1]], axis=1)
        return Sample(X, y, np.add.reduceat(self.weights[order], starts))

    def draw(self, rows: int, random: np.random.Generator) -> Sample:
        """A uniform subsample, or all of it if that is no more."""
        if rows >= len(self.X):
            return self
        return self.rows(np.sort(random.choice(len(self.X), rows, replace=False)))

    def counted_from(self, origin: np.ndarray) -> Sample:
        """With inputs counted from there."""
        return dataclasses.replace(self, X=self.X - origin) if np.any(origin) else self

    def rows(self, chosen: np.ndarray) -> Sample:
        """The rows of those numbers."""
        known = None if self.row_noise is None else self.row_noise[chosen]
        return Sample(self.X[chosen], self.y[chosen], self.weights[chosen], known)

    def scaled(self, weights: np.ndarray) -> Sample:
        """With targets centred and of variance one, under other weights."""
        mean = weights @ self.y / weights.sum()
        scale = np.sqrt(weights @ (self.y - mean) ** 2 / weights.sum())
        known = None if self.row_noise is None else self.row_noise / scale[0] ** 2
        return Sample(self.X, (self.y - mean) / scale, self.weights, known)

    def mean_squares(self) -> np.ndarray:
        """Weighted mean square of every output, (outputs,)."""
        return self.weights @ self.y**2 / self.weights.sum()

    def mean_square(self) -> float:
        """Mean of :meth:`mean_squares`."""
        return float(np.mean(self.mean_squares()))


ROUNDING = 1e-13  # of a column's size: less than that is no spread


def column_spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation of every column; of a column that is constant, or nearly so by rounding,
    the mean of the others'."""
    size, spread = _size_and_deviation(X)
    varies = spread > ROUNDING * size
    return np.where(varies, spread, spread[varies].mean() if varies.any() else 1.0)


def _size_and_deviation(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest magnitude and standard deviation of every column, whose squares may overflow."""
    size = np.abs(X).max(axis=0, initial=0.0)
    unit = np.where(size > 0, size, 1.0)
    return size, unit * (X / unit).std(axis=0)


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


FAR = 10.0  # times its median deviation from zero a column is counted from its median instead


def origin_of(kernel: Kernel, X: np.ndarray) -> np.ndarray:
    """Where inputs (rows, d) are best counted from, (d,): the medians of columns that lie far from
    zero, where the kernel knows differences only; else zero. Medians, because outliers move means
    and standard deviations."""
    none = np.zeros(X.shape[1])
    if not kernel.shift_invariant:
        return none
    middle = np.median(X, axis=0)
    deviation = np.median(np.abs(X - middle), axis=0)
    deviation = np.where(deviation > 0, deviation, column_spread(X))
    return np.where(np.abs(middle) > FAR * deviation, middle, none)


SINGLE_DIGITS = 1e-3  # of a column's spread: the rounding that single precision may do to it


def check_precision(X: np.ndarray, dtype: Any) -> None:
    """Raise ValueError where single precision would round away what a column of `X` (rows, d) far
    from zero says. For a kernel that knows differences only it never does: see
    :func:`origin_of`."""
    if np.dtype(dtype) != np.float32:
        return
    size, spread = _size_and_deviation(X)
    varies = spread > ROUNDING * size
    most = float(np.finfo(np.float32).max)
    if size.max(initial=0.0) > most / 8:
        column = int(size.argmax())
        raise ValueError(
            f"dtype='float32' holds no numbers beyond {most:.2g}: column {column} of `X` spans "
            f"{size[column]:.3g}; divide it by a constant, or use dtype='float64'."
        )
    lost = varies & (np.finfo(np.float32).eps * size > SINGLE_DIGITS * spread)
    if lost.any():
        column = int(np.flatnonzero(lost)[0])
        raise ValueError(
            f"dtype='float32' would round away what column {column} of `X` says: its values go up "
            f"to {size[column]:.3g} and spread by {spread[column]:.3g} only, and this kernel knows "
            "more than differences; subtract an offset (such as the column's mean) in float64 "
            "first, or use dtype='float64'."
        )


def check_varying(y: np.ndarray) -> None:
    """Raise ValueError when an output of the targets (rows, outputs) is the same in all rows."""
    for k, column in enumerate(y.T):
        if np.ptp(column) == 0:
            raise ValueError(
                f"`y` is constant in output {k} (every value is {column[0]:g}): there is "
                "nothing to learn; check the target column."
            )
