"""Signals as the room works with them: one row each, gaps filled and remembered."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Signals:
    """`values` (samples, channels, times), gaps filled by straight lines; `observed` alike."""

    values: np.ndarray
    observed: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        return self.values.reshape(len(self.values), -1)

    @property
    def flat_observed(self) -> np.ndarray:
        return self.observed.reshape(len(self.values), -1)

    def first(self) -> np.ndarray:
        """One signal in the shape that a user's `start` is given."""
        one = self.values[0]
        return one[0] if len(one) == 1 else one

    def __len__(self) -> int:
        return len(self.values)


def read_signals(X: Any, times: np.ndarray) -> Signals:
    """Check signals against the simulator's times; NaN is a gap.

    `X` is (samples, times) or (samples, channels, times). Raises ValueError with what was seen.
    """
    try:
        values = np.array(X, float)
    except (TypeError, ValueError):
        raise ValueError("signals must be numbers, (samples, times); got something else.") from None
    if values.ndim == 2:
        values = values[:, None]
    if values.ndim != 3 or not values.size:
        raise ValueError(
            f"signals have shape {np.shape(X)}; give (samples, times) or (samples, channels, "
            "times), one signal as X[None]."
        )
    if values.shape[2] != len(times):
        word = "shorter" if values.shape[2] < len(times) else "longer"
        raise ValueError(
            f"signals hold {values.shape[2]} values and the simulator's grid {len(times)} times, "
            f"so they are {word}; cut `times` to the signals, or mark missing values by NaN."
        )
    if np.any(np.isinf(values)):
        raise ValueError("signals hold infinite values; mark missing values by NaN.")
    observed = ~np.isnan(values)
    empty = ~observed.any(axis=(1, 2))
    if empty.any():
        raise ValueError(
            f"signal {int(np.flatnonzero(empty)[0])} has no observed value; leave it out."
        )
    for row, seen in zip(
        values.reshape(-1, len(times)), observed.reshape(-1, len(times)), strict=True
    ):
        if not seen.all():
            row[~seen] = np.interp(times[~seen], times[seen], row[seen]) if seen.any() else 0.0
    return Signals(values, observed)


def noise_floor(signals: Signals) -> np.ndarray:
    """Standard deviation of the noise of each channel by second differences: an upper bound, as
    what is smooth cancels and what is not stays."""
    second = np.diff(signals.values, n=2, axis=2)
    good = signals.observed[:, :, 2:] & signals.observed[:, :, 1:-1] & signals.observed[:, :, :-2]
    found: list[float] = []
    for channel in range(second.shape[1]):
        values = second[:, channel][good[:, channel]]
        found.append(np.median(np.abs(values)) / (0.6745 * 6**0.5) if len(values) else np.nan)
    size = np.sqrt(np.mean(signals.values**2, axis=(0, 2)))
    floors = np.where(np.isfinite(found), found, 0.05 * size)
    return np.maximum(floors, 1e-6 * size + 1e-12)
