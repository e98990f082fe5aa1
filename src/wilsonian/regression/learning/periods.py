"""Periods to start learning from: the strongest lines in the spectrum of the targets."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import has_period, parts_with, with_periods
from wilsonian.regression.sample import Sample

PEAKS = 4  # lines followed
MULTIPLES = (2.0, 3.0)  # of the strongest line's period: it may be a harmonic of what repeats
# Frequencies, in cycles over the range of a column: not beyond what a regular grid of the smallest
# gap can tell, nor CYCLES_PER_ROW times the rows, above which noise alone has lines.
CYCLES_PER_ROW, MOST_CYCLES = 2.0, 20_000
OVERSAMPLED, BINS_PER_CYCLE = 4, 16
SMOOTH = 4.0  # ranges: the period of a column beside the one that repeats


class Line(NamedTuple):
    """A line in the spectrum of the targets along one column."""

    power: float  # share of the targets' variance
    column: int
    period: float  # in the units of the column


def searched_cycles(x: np.ndarray) -> float:
    """How many different frequencies a column can tell apart."""
    values = np.unique(x)
    if len(values) < 4:
        return 0.0
    gap = np.quantile(np.diff(values), 0.01)
    return float(min(np.ptp(values) / (2 * gap), CYCLES_PER_ROW * len(values), MOST_CYCLES))


def lines(sample: Sample, most: int = PEAKS) -> list[Line]:
    """The strongest lines over all columns, strongest first."""
    found: list[Line] = []
    for column, x in enumerate(sample.X.T):
        found += _lines_of(x, sample, column, most)
    return sorted(found, reverse=True)[:most]


def _lines_of(x: np.ndarray, sample: Sample, column: int, most: int) -> list[Line]:
    """Peaks of the periodogram along one column, the trend removed; binned, so that one fast
    Fourier transform serves unequal distances too, and then sharpened by least squares."""
    cycles, span = searched_cycles(x), float(np.ptp(x))
    if cycles < 1:
        return []
    weights = np.sqrt(sample.weights)
    place = (x - x.min()) / span
    trend = np.stack([np.ones_like(place), place], axis=1) * weights[:, None]
    y = weights[:, None] * sample.y
    y = y - trend @ np.linalg.lstsq(trend, y, rcond=None)[0]
    y = y / np.maximum(np.linalg.norm(y, axis=0), 1e-300)
    bins = 1 << int(np.ceil(np.log2(BINS_PER_CYCLE * cycles + 16)))
    series = np.zeros((bins, y.shape[1]))
    np.add.at(series, np.minimum((place * bins).astype(int), bins - 1), y * weights[:, None])
    waves = np.fft.rfft(series, OVERSAMPLED * bins, axis=0)
    power = np.sum(np.abs(waves) ** 2, axis=1)[: int(OVERSAMPLED * cycles) + 1]
    power[: OVERSAMPLED // 2] = 0.0  # less than half a cycle is a trend
    inner = power[1:-1]
    peaks = 1 + np.flatnonzero((inner >= power[:-2]) & (inner > power[2:]))
    found: list[Line] = []
    for peak in peaks[np.argsort(-power[peaks])]:
        at = peak / OVERSAMPLED
        if all(abs(at - span / line.period) > 1.5 for line in found):  # not a side lobe
            near = at + np.linspace(-0.5, 0.5, 21) / OVERSAMPLED * 2
            strength = [_explained(place, y, weights, cycle) for cycle in near if cycle > 0.25]
            best = int(np.argmax(strength))
            cycle = near[near > 0.25][best]
            found.append(Line(strength[best], column, span / cycle))
        if len(found) == most:
            break
    return found


def _explained(place: np.ndarray, y: np.ndarray, weights: np.ndarray, cycles: float) -> float:
    """Share of the targets' squares that one wave explains, by least squares."""
    angle = 2 * np.pi * cycles * place
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=1) * weights[:, None]
    left = y - waves @ np.linalg.lstsq(waves, y, rcond=None)[0]
    return float(1 - np.sum(left**2) / max(np.sum(y**2), 1e-300))


def with_starting_periods(kernel: Kernel, sample: Sample) -> list[Kernel]:
    """The kernel as given and, if it has periodic parts, with their periods set to lines of the
    targets: one part to each of the strongest lines in turn and to the multiples of the first,
    several to the strongest together, then to those after them."""
    parts = parts_with(kernel, has_period)
    if not parts:
        return [kernel]
    count = len(parts)
    found = lines(sample, max(PEAKS, count))
    if not found:
        return [kernel]
    first = found[0]
    if count == 1:
        found += [first._replace(period=first.period * multiple) for multiple in MULTIPLES]
    starts = [kernel]
    for begin in range(len(found)):
        chosen = itertools.islice(itertools.cycle(found), begin, begin + count)
        periods = [_periods(line, sample.X, part) for line, part in zip(chosen, parts, strict=True)]
        starts.append(with_periods(kernel, periods))
    return starts


def _periods(line: Line, X: np.ndarray, part: Any) -> Any:
    """The period of a line; where columns have their own, the others a period so long that they
    are smooth functions."""
    if not np.ndim(part.period):
        return line.period
    spans = np.ptp(X, axis=0)
    periods = SMOOTH * np.where(spans > 0, spans, 1.0)
    periods[line.column] = line.period
    return periods


def nats_of_search(kernel: Kernel, X: np.ndarray) -> float:
    """Log evidence that the best of all periods gains on noise by chance: the logarithm of how
    many there are, once for each periodic part."""
    parts = len(parts_with(kernel, has_period))
    if not parts:
        return 0.0
    return parts * float(np.log(max(sum(searched_cycles(x) for x in X.T), 1.0)))
