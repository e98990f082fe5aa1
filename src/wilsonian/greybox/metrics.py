"""How good parameters and their intervals are, where the truth is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.stats

from wilsonian.greybox.results import ParameterPosterior

LEVELS = (0.5, 0.8, 0.9, 0.95)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Share of truths inside the intervals of each level, with its binomial standard error."""

    levels: tuple[float, ...]
    share: np.ndarray
    error: np.ndarray
    count: int


@dataclasses.dataclass(frozen=True)
class ParameterScore:
    """One parameter against the truth."""

    name: str
    mean_error: float
    median_error: float
    mean_sd: float
    sd_over_prior: float
    confounding: float  # median
    coverage: Coverage
    strata: dict[str, Coverage]
    pit: np.ndarray  # counts in ten bins
    pit_distance: float  # Kolmogorov
    pit_p: float


def coverage(rank: np.ndarray, levels: tuple[float, ...] = LEVELS) -> Coverage:
    """From the posterior probabilities below the truth.

    Raises ValueError when there is none.
    """
    rank = np.asarray(rank, float)
    if not len(rank):
        raise ValueError("coverage needs at least one truth; the stratum is empty.")
    share = np.array([np.mean(np.abs(rank - 0.5) < level / 2) for level in levels])
    nominal = np.array(levels)
    return Coverage(levels, share, np.sqrt(nominal * (1 - nominal) / len(rank)), len(rank))


def score(
    found: ParameterPosterior, truth: np.ndarray, strata: Mapping[str, np.ndarray] | None = None
) -> ParameterScore:
    """Errors, coverage overall and by strata (names to masks), and the PIT histogram.

    Raises ValueError when there is not one truth for each signal.
    """
    truth = np.asarray(truth, float)
    if truth.shape != found.mean.shape:
        raise ValueError(
            f"{found.name!r} has {len(found.mean)} posteriors and {truth.shape} truths; give one "
            "for each signal."
        )
    rank, error = found.rank(truth), np.abs(found.mean - truth)
    test = scipy.stats.kstest(rank, "uniform")
    chosen = {n: np.asarray(m, bool) for n, m in (strata or {}).items() if np.any(m)}
    return ParameterScore(
        found.name,
        float(error.mean()),
        float(np.median(error)),
        float(found.sd.mean()),
        float(found.sd.mean() / found.prior_spread),
        float(np.median(found.confounding)),
        coverage(rank),
        {name: coverage(rank[mask]) for name, mask in chosen.items()},
        np.histogram(rank, bins=10, range=(0, 1))[0],
        float(test.statistic),
        float(test.pvalue),
    )


def signal_errors(truth: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Per signal: squared error summed over its entries, and its mean; mean absolute error."""
    off = np.asarray(truth, float) - np.asarray(estimate, float)
    off = off.reshape(len(off), -1)
    return {
        "sum_squares": float(np.mean(np.sum(off**2, axis=1))),
        "mean_square": float(np.mean(off**2)),
        "mean_absolute": float(np.mean(np.abs(off))),
    }


def quantile_strata(signals: np.ndarray) -> dict[str, np.ndarray]:
    """Three strata by the size of the signals (root mean square), for want of better ones."""
    flat = np.asarray(signals, float).reshape(len(signals), -1)
    size = np.sqrt(np.nanmean(flat**2, axis=1))
    low, high = np.quantile(size, [1 / 3, 2 / 3])
    return {
        "small signals": size < low,
        "middling signals": (size >= low) & (size <= high),
        "large signals": size > high,
    }
