"""Posterior of one parameter on a grid that closes in on where it lives."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.interpolate
import scipy.special

from wilsonian.greybox.laplace import LOWEST, Engine, Evidence, Hyperparameters
from wilsonian.greybox.parameters import Bounded

COARSE, FINE = 24, 32
DROP = 12.0  # nats below the top that a grid covers
NARROWEST = 1e-9  # of the prior's range, next to a bound
ROUNDS = 8


@dataclasses.dataclass
class Points:
    """Weighted points in parameter space for each signal."""

    unbounded: np.ndarray  # (samples, points, parameters)
    physical: np.ndarray
    log_weight: np.ndarray  # (samples, points) posterior, normalized
    log_evidence: np.ndarray  # (samples,)
    evidence: Evidence  # what was found at each point
    spacing: np.ndarray | None  # (samples,) of a grid, in its coordinate; None for draws
    k_hat: np.ndarray  # (samples,) 0 for grids


class Axis:
    """The coordinate of the grid: the parameter itself between bounds, else the unbounded one."""

    def __init__(self, parameter) -> None:
        self.parameter = parameter
        self.bounded = isinstance(parameter, Bounded)
        width = parameter.high - parameter.low if self.bounded else 0.0
        self.low = parameter.low + NARROWEST * width if self.bounded else -6.0
        self.high = parameter.high - NARROWEST * width if self.bounded else 6.0

    def unbounded(self, grid: np.ndarray) -> np.ndarray:
        return self.parameter.unbounded(grid) if self.bounded else grid

    def log_prior(self, grid: np.ndarray) -> np.ndarray:
        if self.bounded:
            return np.full(grid.shape, -np.log(self.parameter.high - self.parameter.low))
        return self.parameter.log_prior(grid)


def posterior_on(grid: np.ndarray, axis: Axis, found: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Normalized log weights of the points and log evidence of the signals."""
    logs = scipy.special.logsumexp(found.log_evidence, axis=2) + axis.log_prior(grid)
    ends = np.zeros(grid.shape)
    ends[:, [0, -1]] = np.log(0.5)  # trapezoids
    logs = logs + ends + np.log((grid[:, -1:] - grid[:, :1]) / (grid.shape[1] - 1))
    total = scipy.special.logsumexp(logs, axis=1)
    return logs - total[:, None], total


def next_range(
    grid: np.ndarray, log_weight: np.ndarray, axis: Axis
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part within `DROP` nats of the top, one cell wider each side; and whether the grid was
    too coarse for it or too narrow."""
    near = log_weight > log_weight.max(axis=1, keepdims=True) - DROP
    first = near.argmax(axis=1)
    last = near.shape[1] - 1 - near[:, ::-1].argmax(axis=1)
    rows, cell = np.arange(len(grid)), grid[:, 1] - grid[:, 0]
    low, high = grid[rows, first] - cell, grid[rows, last] + cell
    # At an end that is not the prior's, look further.
    width = grid[:, -1] - grid[:, 0]
    left = (first == 0) & (grid[:, 0] > axis.low * (1 + 1e-12) + 1e-300)
    right = (last == near.shape[1] - 1) & (grid[:, -1] < axis.high)
    left &= grid[:, 0] - axis.low > 1e-6 * (axis.high - axis.low)
    right &= axis.high - grid[:, -1] > 1e-6 * (axis.high - axis.low)
    low, high = low - 0.5 * width * left, high + 0.5 * width * right
    coarse = near.sum(axis=1) < near.shape[1] // 3
    return np.maximum(low, axis.low), np.minimum(high, axis.high), coarse | left | right


def lay(low: np.ndarray, high: np.ndarray, count: int) -> np.ndarray:
    return low[:, None] + (high - low)[:, None] * np.linspace(0, 1, count)


def warm_start(grid: np.ndarray, old: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Coefficients of the nearest point of an older grid."""
    cell = old[:, 1:2] - old[:, :1]
    place = np.clip(np.rint((grid - old[:, :1]) / cell), 0, old.shape[1] - 1).astype(int)
    return np.take_along_axis(coefficients, place[..., None], axis=1)


def explore(
    engine: Engine,
    hyper: Hyperparameters,
    signals: np.ndarray,
    observed: np.ndarray,
    start: np.ndarray,
    iterations: int = 3,
    fine: int = FINE,
) -> tuple[Points, np.ndarray]:
    """The posterior of each signal, from nothing: a coarse grid over the prior, then grids of
    `fine` points on what lies within 12 nats of the top. Also returns the grid.

    `start` (samples, coefficients) is where Gauss-Newton begins.
    """
    axis = Axis(next(iter(engine.assembly.physics.parameters.members.values())))
    samples = len(signals)
    ends = np.full(samples, axis.low), np.full(samples, axis.high)
    step = (axis.high - axis.low) / COARSE / 2
    grid = lay(ends[0] + step, ends[1] - step, COARSE)
    begin = np.repeat(start[:, None], COARSE, axis=1)
    found = engine.evidence(
        hyper, signals, observed, axis.unbounded(grid)[..., None], begin, iterations
    )
    weight, _ = posterior_on(grid, axis, found)
    low, high, _ = next_range(grid, weight, axis)
    grid, result, total = lay(low, high, fine), None, np.zeros(samples)
    weight = np.zeros((samples, fine))
    old_grid, old_w = lay(ends[0] + step, ends[1] - step, COARSE), found.coefficients
    waiting = np.arange(samples)
    for round_ in range(ROUNDS):
        begin = warm_start(grid[waiting], old_grid, old_w)
        # Every point moves at least as far as from the common start in one go.
        found = engine.evidence(
            hyper,
            signals[waiting],
            observed[waiting],
            axis.unbounded(grid[waiting])[..., None],
            begin,
            max(iterations - 1, 2) if round_ == 0 else 2,
        )
        if result is None:
            result = found._replace(**{n: np.array(v) for n, v in found._asdict().items()})
        else:
            for stored, value in zip(result, found, strict=True):
                stored[waiting] = value
        weight[waiting], total[waiting] = posterior_on(grid[waiting], axis, found)
        low, high, more = next_range(grid[waiting], weight[waiting], axis)
        if round_ == ROUNDS - 1 or not more.any():
            break
        old_grid, old_w = grid[waiting][more], found.coefficients[more]
        waiting = waiting[more]
        grid[waiting] = lay(low[more], high[more], fine)
    assert result is not None
    return points_of(grid, axis, result, weight, total), grid


def points_of(grid, axis: Axis, found: Evidence, weight, total) -> Points:
    """A grid as weighted points."""
    unbounded = axis.unbounded(grid)[..., None]
    physical = axis.parameter.physical(unbounded)
    spacing = grid[:, 1] - grid[:, 0]
    return Points(unbounded, physical, weight, total, found, spacing, np.zeros(len(grid)))


def all_lost(points: Points) -> np.ndarray:
    """Signals for which the simulator gave no finite number anywhere."""
    return np.all(points.evidence.log_evidence <= LOWEST / 2, axis=(1, 2))


FINER = 8


def refined(values: np.ndarray, log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grids (signals, points) eight times as fine, the log density by a cubic spline: cells of a
    third of a standard deviation are too coarse for quantiles."""
    points = values.shape[1]
    coarse, fine = np.arange(points), np.linspace(0, points - 1, FINER * (points - 1) + 1)
    logs = np.maximum(log_weight - log_weight.max(axis=1, keepdims=True), -60.0)
    logs[:, [0, -1]] += np.log(2.0)  # the trapezoid's half
    weight = np.exp(scipy.interpolate.CubicSpline(coarse, logs, axis=1)(fine))
    weight[:, [0, -1]] /= 2
    spread = scipy.interpolate.CubicSpline(coarse, values, axis=1)(fine)
    return spread, weight / weight.sum(axis=1, keepdims=True)
