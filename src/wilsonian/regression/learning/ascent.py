"""One run of an optimizer up the log evidence of a sample, from one start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.optimize

from wilsonian.core.precision import with_precision
from wilsonian.regression.inducing_points import randomly_pivoted_cholesky
from wilsonian.regression.learning.evidence import Candidate, loss_and_gradient
from wilsonian.regression.learning.starts import AMPLITUDE_RANGE, NOISE_RANGE, Start
from wilsonian.regression.sample import Sample
from wilsonian.support.trees import raveled, unraveled

# Bounds of a kernel's numbers, as factors of the starting value.
KERNEL_RANGE = (1e-3, 1e3)
# A run ends where the evidence of all rows would rise by no more than this, in nats, for each
# factor of e in a hyperparameter; far below the nat that means something.
SLOPE = 0.05
UNDEFINED = 1e10  # loss where the factorizations do not exist

Watch = Callable[[int, float], None]  # iterations done, log evidence in nats


@dataclasses.dataclass(frozen=True)
class Run:
    """Where an optimizer came to."""

    start: Start  # its kernel, amplitude and noise, and the log evidence there
    iterations: int
    settled: bool
    at_bounds: int  # hyperparameters at their bounds
    complaint: str  # the optimizer's own, if it did not settle

    @property
    def evidence(self) -> float:
        return self.start.evidence


def maximize(
    start: Start,
    sample: Sample,
    rank: int,
    *,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
    tied: bool = False,
    dtype: Any = float,
    tolerance: float = 1e-6,
    watch: Watch | None = None,
) -> Run:
    """SciPy's L-BFGS-B over the logarithms of the kernel's numbers, amplitude and noise. Inducing
    points are chosen for the start and stay put. `tied` multiplies the entries of an array, such as
    the length scales of all columns, by one common factor. It ends where an iteration gains less
    than `tolerance` of the evidence per row."""
    data = with_precision(sample, dtype)
    if rank >= len(sample.X):
        points = data.X
    else:
        points = sample.X[randomly_pivoted_cholesky(start.kernel, sample.X, rank, random).indices]
        # The compiled kernel is for one shape: fill up with copies (the jitter copes with them).
        points = np.resize(points, (rank, sample.X.shape[1])).astype(dtype)
    candidate, fixed = Candidate.of(start.kernel, start.amplitude, start.noise_variance, points)
    candidate, fixed = with_precision((candidate, fixed), dtype)
    moved = (candidate.log_kernel, candidate.log_amplitude, candidate.log_noise_variance)
    vector, groups = raveled(moved, float), len(candidate.log_amplitude)
    rows, outputs = float(data.weights.sum()), sample.y.shape[1]
    spread = _spread(moved, tied)

    def at(steps: np.ndarray) -> Candidate:
        log_kernel, *scales = unraveled(vector + spread @ steps, moved)
        return Candidate(log_kernel, scales[0], scales[1], points)

    def objective(steps):
        loss, slope = loss_and_gradient(at(steps), fixed, data, input_dependent, False)
        if not np.isfinite(loss):
            return UNDEFINED, np.zeros(len(steps))
        slopes = (slope.log_kernel, slope.log_amplitude, slope.log_noise_variance)
        return loss, raveled(slopes, float) @ spread

    scale = np.log(sample.mean_squares() if groups > 1 else [sample.mean_square()])[:, None]
    bounds = np.concatenate(
        [
            np.tile(np.log(KERNEL_RANGE), (spread.shape[1] - 2 * groups, 1)),
            scale + np.log(AMPLITUDE_RANGE) - vector[-2 * groups : -groups, None],
            scale + np.log(NOISE_RANGE) - vector[-groups:, None],
        ]
    )
    if data.row_noise is not None:  # beside known noise there may be none
        least = np.log(NOISE_RANGE[0]) - vector[-groups:]
        bounds[-groups:, 0] = np.minimum(bounds[-groups:, 0], least)
    low, high = bounds.T
    iterations, settled, slope = 0, False, np.inf
    result = scipy.optimize.OptimizeResult(x=np.zeros(spread.shape[1]), fun=np.inf)
    # A line search may fail on rounding: begin anew from there, without its memory.
    for _ in range(3 if dtype is float else 1):
        before = result.fun
        result = scipy.optimize.minimize(
            objective,
            np.clip(result.x, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            callback=None if watch is None else _counting(watch, iterations, rows * outputs),
            options={
                "maxiter": max(max_iterations - iterations, 1),
                "ftol": tolerance if dtype is float else max(tolerance, 1e-5),
                "gtol": SLOPE / (rows * outputs),
            },
        )
        iterations += result.nit
        inside = ((result.x > low) | (result.jac < 0)) & ((result.x < high) | (result.jac > 0))
        slope = np.max(np.abs(result.jac[inside]), initial=0.0) * rows * outputs
        settled = bool(result.success)
        if settled or iterations >= max_iterations or before - result.fun < 1e-6:
            break
    # No lower point along a slope of next to nothing: that is the rounding.
    settled = settled or (iterations < max_iterations and slope < 20 * SLOPE)
    best = at(result.x)
    at_bounds = int(np.sum(np.minimum(result.x - low, high - result.x) < 1e-6))
    amplitude = np.exp(np.asarray(best.log_amplitude, float))
    noise = np.exp(np.asarray(best.log_noise_variance, float))
    evidence = -result.fun * rows * outputs if result.fun < UNDEFINED else -np.inf
    end = Start(with_precision(best.on_host(fixed), float), amplitude, noise, evidence)
    return Run(end, iterations, settled, at_bounds, str(result.message))


def _spread(moved: Any, tied: bool) -> np.ndarray:
    """(numbers, steps): which numbers a step of the optimizer moves; with `tied` those of an array
    of the kernel move together."""
    sizes = [np.size(leaf) for leaf in jax.tree.leaves(moved[0])]
    scales = sum(np.size(leaf) for leaf in moved[1:])
    if not tied:
        return np.eye(sum(sizes) + scales)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    owner = np.concatenate([owner, len(sizes) + np.arange(scales)]).astype(int)
    return np.eye(len(sizes) + scales)[owner]


def _counting(watch: Watch, before: int, size: float) -> Callable[..., None]:
    count = before

    def callback(intermediate_result: Any) -> None:
        nonlocal count
        count += 1
        watch(count, -float(intermediate_result.fun) * size)

    return callback
