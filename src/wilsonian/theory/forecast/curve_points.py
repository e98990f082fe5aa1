"""A measured learning curve: checked, in order, one point per size."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.support.number_text import format_count

LEAST_POINTS = 3


@dataclasses.dataclass(frozen=True)
class CurvePoints:
    """Errors by sample size, sizes ascending and distinct."""

    n: np.ndarray  # (sizes,)
    error: np.ndarray  # (sizes,) mean of those measured at that size
    standard_error: np.ndarray | None  # (sizes,) of that mean; None where nobody measured it
    repeats: np.ndarray  # (sizes,) how many were given at that size
    # Sum over sizes of squared relative deviations from the size's mean.
    within: float

    @property
    def relative(self) -> np.ndarray | None:
        """Standard errors over errors."""
        return None if self.standard_error is None else self.standard_error / self.error

    def log_likelihood(
        self, log_error: np.ndarray, level: np.ndarray, log_scatter: np.ndarray
    ) -> np.ndarray:
        """Of curves (draws, sizes) in the logarithm, above `level` (draws,), (draws,).

        Logarithms of errors are Gaussian about the curve. With standard errors `log_scatter` is by
        how much they are too small; without, it is the relative scatter of one measurement.
        """
        scale = np.exp(log_scatter)[:, None]
        own = 1 / np.sqrt(self.repeats) if self.relative is None else self.relative
        spread = scale * own
        missed = (np.log(self.error) - level[:, None] - log_error) / spread
        found = -0.5 * np.sum(missed**2, axis=1) - np.sum(np.log(spread), axis=1)
        if self.relative is None:
            more = np.sum(self.repeats - 1)
            found -= more * log_scatter + 0.5 * self.within * np.exp(-2 * log_scatter)
        return found

    def before(self, count: int) -> CurvePoints:
        """The first `count` sizes."""
        cut = {
            field.name: getattr(self, field.name)[:count]
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        # The scatter within sizes is shared by their repeats beyond the first.
        left = np.sum(self.repeats[:count] - 1) / max(np.sum(self.repeats - 1), 1)
        return dataclasses.replace(self, **cut, within=self.within * float(left))


def curve_points(n: Any, error: Any, standard_error: Any = None) -> CurvePoints:
    """Checked points: sorted by size, repeated sizes merged (weighted by their standard errors
    where given).

    Raises ValueError with what was seen for lengths that differ, values that are not positive and
    finite, and fewer than three different sizes.
    """
    n, error = _numbers(n, "n"), _numbers(error, "error")
    if len(n) != len(error):
        raise ValueError(f"`n` has {len(n)} values and `error` {len(error)}; pass one per size.")
    _positive(n, "n", n, "sample sizes are")
    _positive(error, "error", n, "errors are (a zero was measured on too few test rows)")
    if standard_error is not None:
        standard_error = _numbers(standard_error, "standard_error")
        if len(standard_error) != len(n):
            raise ValueError(
                f"`standard_error` has {len(standard_error)} values and `n` {len(n)}; pass one "
                "per size, or none at all."
            )
        _positive(standard_error, "standard_error", n, "standard errors are; leave all out or none")
    sizes, place = np.unique(n, return_inverse=True)
    if len(sizes) < LEAST_POINTS:
        raise ValueError(
            f"the curve has {format_count(len(sizes), 'different sample size')}; a forecast needs "
            f"at least {LEAST_POINTS}, and says little below 5."
        )
    repeats = np.bincount(place).astype(float)
    if standard_error is None:
        mean = np.bincount(place, error) / repeats
        return CurvePoints(
            sizes, mean, None, repeats, float(np.sum((error / mean[place] - 1) ** 2))
        )
    weights = standard_error**-2.0
    whole = np.bincount(place, weights)
    mean = np.bincount(place, weights * error) / whole
    return CurvePoints(sizes, mean, whole**-0.5, repeats, 0.0)


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be numbers, got {str(values)[:60]}.") from None
    if found.ndim != 1:
        raise ValueError(f"`{name}` must be one list of numbers, got shape {found.shape}.")
    return found


def _positive(values: np.ndarray, name: str, n: np.ndarray, which: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        at = "" if name == "n" else f" at n = {n[bad[0]]:g}"
        raise ValueError(
            f"`{name}` holds {values[bad[0]]:g}{at} (point {bad[0] + 1}); {which} positive and "
            "finite."
        )
