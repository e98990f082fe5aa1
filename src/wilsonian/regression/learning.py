"""Learning a kernel's hyperparameters: several starts, L-BFGS-B, and the null model beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.flatten_util import ravel_pytree

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import kept_as_given, learnable
from wilsonian.regression.evidence import Candidate, loss_and_gradient
from wilsonian.regression.inducing_points import randomly_pivoted_cholesky
from wilsonian.regression.mode_theory import ModeTheory
from wilsonian.regression.periods import nats_of_search
from wilsonian.regression.sample import Sample
from wilsonian.regression.starts import (
    AMPLITUDE_RANGE,
    NOISE_RANGE,
    Start,
    null_evidence,
    starting_kernels,
    starts_of,
)

# Bounds of a kernel's numbers, as factors of the starting value.
KERNEL_RANGE = (1e-3, 1e3)
# Starts are compared, and followed for a few iterations, on this many rows and inducing points;
# what leads there is followed to the end on all rows of the sample.
SCOUT_ROWS, SCOUT_RANK, SCOUTS, SCOUT_ITERATIONS = 500, 200, 6, 15
SHAKEN = 12  # further kernels, the most likely one times log-normal factors, that are compared
SCOUT_MARGIN = 5.0  # nats behind the best scout, at which another is not followed
# Learning ends where the evidence of all rows would rise by no more than this, in nats, for each
# factor of e in a hyperparameter; far below the nat that means something.
SLOPE = 0.01
# The null model is kept unless something else is better by a nat for each number that was moved:
# Akaike's price of a number. Half of it, what one gains from noise on average, is not enough: the
# best of many starts gains more (benchmarks/weak_signals.py).
NULL_MARGIN, CHANCE = 1.0, 1.0


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """A prior (kernel times amplitude), a noise variance, and how they were come by."""

    kernel: Kernel
    amplitude: np.ndarray  # (1,) for all outputs, or (outputs,)
    noise_variance: np.ndarray  # likewise
    converged: bool
    message: str  # one sentence


@dataclasses.dataclass(frozen=True)
class Run:
    """Where an optimizer came to."""

    start: Start  # its kernel, amplitude and noise, and the log evidence there
    iterations: int
    settled: bool
    at_bounds: int  # hyperparameters at their bounds
    complaint: str  # the optimizer's own, if it did not settle


def learn(
    kernel: Kernel,
    sample: Sample,
    *,
    amplitude: float,
    noise_variance: float,
    ard: bool,
    rank: int,
    groups: int,
    restarts: int,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
) -> Hyperparameters:
    """Maximize the reduced log evidence of `sample` over kernel, amplitude and noise; these two are
    one each for all outputs (`groups` 1), or one for every output.

    Every kernel of :func:`wilsonian.regression.starts.starting_kernels` starts at its best
    amplitudes and noises; the given ones are one more start. The best few are followed for some
    iterations of SciPy's L-BFGS-B on a part of the rows, and the leaders of those to the end, on
    all. `restarts` further runs start from the best multiplied by log-normal factors. The model
    without signal is one candidate more. Inducing points are chosen for each start and stay put.
    """
    stage = "learning hyperparameters"
    progress(stage, 0, max_iterations)
    options: dict[str, Any] = {"input_dependent": input_dependent, "random": random}
    few = sample.draw(SCOUT_ROWS, random)
    few_rank = min(rank, SCOUT_RANK, len(few.X))
    starts = []
    kernels = starting_kernels(kernel, sample, ard)
    for each in kernels:
        starts += starts_of(each, few, few_rank, groups, random)
    starts.sort(key=lambda start: -start.evidence)
    for _ in range(SHAKEN if _freedom(starts[0].kernel) > 1 else 0):
        shaken = _shaken(starts[0], random).kernel
        starts += starts_of(with_precision(shaken, float), few, few_rank, groups, random)
    starts.sort(key=lambda start: -start.evidence)
    given = kernels[0]
    scale = np.full(groups, amplitude), np.full(groups, noise_variance)
    scouted = [*_unlike(starts, SCOUTS), Start(given, *scale, -np.inf)]
    scouts = [
        _maximize(start, few, few_rank, max_iterations=SCOUT_ITERATIONS, **options)
        for start in scouted
    ]
    scouts.sort(key=lambda run: -run.start.evidence)
    # A part of the rows may mislead about those that are close.
    least = scouts[0].start.evidence - SCOUT_MARGIN
    followed = 3 if few is sample else 2
    leaders = _unlike([run.start for run in scouts if run.start.evidence >= least], followed)
    runs: list[Run] = []
    for index in range(len(leaders) + restarts):
        if index < len(leaders):
            start = leaders[index]
        else:
            start = _shaken(max(runs, key=lambda run: run.start.evidence).start, random)
        watch = (lambda done: progress(stage, done, max_iterations)) if not index else None
        runs.append(
            _maximize(start, sample, rank, max_iterations=max_iterations, watch=watch, **options)
        )
    best = max(runs, key=lambda run: run.start.evidence)
    return _judged(best, len(starts) + 1, len(runs), sample, rank)


def _unlike(starts: list[Start], count: int) -> list[Start]:
    """Up to `count` of the starts in their order, leaving out those within a tenth of a nat and a
    tenth in noise of one before: they would lead to the same end."""
    kept: list[Start] = []
    for start in starts:
        if len(kept) < count and not any(
            abs(start.evidence - other.evidence) < 0.1
            and np.allclose(np.log(start.noise_variance), np.log(other.noise_variance), atol=0.1)
            for other in kept
        ):
            kept.append(start)
    return kept


def _shaken(start: Start, random: np.random.Generator) -> Start:
    """A start multiplied by log-normal factors."""

    def factor(leaf):
        return leaf * np.exp(random.normal(size=np.shape(leaf)))

    moved, rest = eqx.partition(start.kernel, learnable(start.kernel))
    kernel = eqx.combine(jax.tree.map(factor, moved), rest)
    return Start(kernel, factor(start.amplitude), factor(start.noise_variance), -np.inf)


def _freedom(kernel: Kernel) -> int:
    """How many numbers of a kernel are learned."""
    moved = eqx.partition(kernel, learnable(kernel))[0]
    return sum(np.size(leaf) for leaf in jax.tree.leaves(moved))


def _judged(best: Run, compared: int, runs: int, sample: Sample, rank: int) -> Hyperparameters:
    """The best run or the null model, and a sentence saying what was compared."""
    null, rows = null_evidence(sample), float(sample.weights.sum())
    gain = best.start.evidence - null
    kept = kept_as_given(best.start.kernel)
    rest = "the rest" if _freedom(best.start.kernel) else "amplitude and noise alone"
    told = f"{kept} Of {rest}: " if kept else ""
    told += (
        f"L-BFGS-B {'converged' if best.settled else 'stopped'} after {best.iterations} iterations "
        f"on {len(sample.X)} rows with {min(rank, len(sample.X))} inducing points, the best of "
        f"{runs} runs from {compared} starts: log evidence "
    )
    chance = CHANCE * (_freedom(best.start.kernel) + len(best.start.amplitude))
    chance += nats_of_search(best.start.kernel, sample.X)
    if not gain >= max(NULL_MARGIN, chance):
        scale = sample.mean_squares() if len(best.start.amplitude) > 1 else sample.mean_square()
        scale = np.atleast_1d(scale)
        message = told + (
            f"{best.start.evidence / rows:.4f} per row, {gain:.1f} nats above that of noise alone; "
            f"chance may give {chance:.1f}. Noise alone was kept: no signal was found."
        )
        return Hyperparameters(
            best.start.kernel, AMPLITUDE_RANGE[0] * scale, scale, best.settled, message
        )
    message = (
        told
        + f"{best.start.evidence / rows:.4f} per row, {gain:.1f} nats above that of noise alone"
        + (f", {best.at_bounds} parameters at their bounds" if best.at_bounds else "")
        + ("." if best.settled else f" ({best.complaint}).")
    )
    start = best.start
    return Hyperparameters(
        start.kernel, start.amplitude, start.noise_variance, best.settled, message
    )


def _maximize(
    start: Start,
    sample: Sample,
    rank: int,
    *,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
    watch: Callable[[int], None] | None = None,
) -> Run:
    """One L-BFGS-B run."""
    data = sample.data(float)
    points = sample.X[randomly_pivoted_cholesky(start.kernel, sample.X, rank, random).indices]
    # The compiled kernel is for one shape: fill up with copies (the jitter copes with them).
    points = np.resize(points, (min(rank, len(sample.X)), sample.X.shape[1]))
    candidate, fixed = Candidate.of(start.kernel, start.amplitude, start.noise_variance, points)
    moved = (candidate.log_kernel, candidate.log_amplitude, candidate.log_noise_variance)
    raveled, unravel = ravel_pytree(jax.tree.map(jnp.asarray, moved))
    vector, groups = np.array(raveled), len(candidate.log_amplitude)
    rows, outputs = float(data.weights.sum()), sample.y.shape[1]

    def at(vector: np.ndarray) -> Candidate:
        parts: Any = jax.tree.map(np.asarray, unravel(jnp.asarray(vector)))
        return Candidate(parts[0], parts[1], parts[2], points)

    def objective(vector):
        loss, slope = loss_and_gradient(at(vector), fixed, data, input_dependent, False)
        if not np.isfinite(loss):  # outside the region where the factorizations exist
            return 1e10, np.zeros_like(vector)
        slopes = (slope.log_kernel, slope.log_amplitude, slope.log_noise_variance)
        return loss, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(slopes)])

    scale = np.log(sample.mean_squares() if groups > 1 else [sample.mean_square()])[:, None]
    bounds = np.concatenate(
        [
            vector[: len(vector) - 2 * groups, None] + np.log(KERNEL_RANGE),
            scale + np.log(AMPLITUDE_RANGE),
            scale + np.log(NOISE_RANGE),
        ]
    )
    if data.row_noise is not None:  # beside known noise there may be none
        bounds[-groups:, 0] = np.minimum(bounds[-groups:, 0], np.log(NOISE_RANGE[0]))
    low, high = bounds.T
    iterations, settled, slope = 0, False, np.inf
    result = scipy.optimize.OptimizeResult(x=vector, fun=np.inf)
    # A line search may fail on rounding: begin anew from there, without its memory.
    for _ in range(3):
        before = result.fun
        result = scipy.optimize.minimize(
            objective,
            np.clip(result.x, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            callback=None if watch is None else _counting(watch, iterations),
            options={
                "maxiter": max(max_iterations - iterations, 1),
                "ftol": 1e-7,
                "gtol": SLOPE / (rows * outputs),
            },
        )
        iterations += result.nit
        inside = ((result.x > low) | (result.jac < 0)) & ((result.x < high) | (result.jac > 0))
        slope = np.max(np.abs(result.jac[inside]), initial=0.0) * rows * outputs
        settled = bool(result.success)
        if settled or iterations >= max_iterations or before - result.fun < 1e-7:
            break
    # No lower point along a slope of next to nothing: that is the rounding.
    settled = settled or (iterations < max_iterations and slope < 100 * SLOPE)
    best = at(result.x)
    at_bounds = int(np.sum(np.minimum(result.x - low, high - result.x) < 1e-6))
    scales = np.exp(best.log_amplitude), np.exp(best.log_noise_variance)
    evidence = -result.fun * rows * outputs if result.fun < 1e10 else -np.inf
    end = Start(with_precision(best.kernel(fixed), float), *scales, evidence)
    return Run(end, iterations, settled, at_bounds, str(result.message))


def _counting(watch: Callable[[int], None], before: int) -> Callable[[Any], None]:
    count = before

    def callback(_: Any) -> None:
        nonlocal count
        count += 1
        watch(count)

    return callback


def learn_scale(
    theory_of: Callable[[Any, Any], ModeTheory],
    hyperparameters: Hyperparameters,
    mean_square: float,
) -> Hyperparameters:
    """Amplitude and noise that maximize the evidence of `theory_of(amplitude, noise)`, which knows
    all rows through their sufficient statistics. Bounded L-BFGS-B in two logarithms."""

    @jax.jit
    def loss_and_slope(vector):
        def loss(vector):
            theory = theory_of(*jnp.exp(vector))
            return -theory.log_evidence() / (theory.n_samples * theory.target_square.shape[0])

        return jax.value_and_grad(loss)(vector)

    bounds = np.log(mean_square * np.array([AMPLITUDE_RANGE, NOISE_RANGE]))
    scales = hyperparameters.amplitude, hyperparameters.noise_variance
    start = np.clip(np.log(scales).ravel(), *bounds.T)
    result = scipy.optimize.minimize(
        lambda vector: tuple(np.asarray(value, float) for value in loss_and_slope(vector)),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
    )
    amplitude, noise_variance = np.exp(result.x)[:, None]
    return dataclasses.replace(hyperparameters, amplitude=amplitude, noise_variance=noise_variance)
