"""Learning a kernel's hyperparameters: many starts, the best followed up, the null model beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import kept_as_given, learnable
from wilsonian.regression.ascent import Run, maximize
from wilsonian.regression.evidence import Hyperparameters
from wilsonian.regression.periods import nats_of_search
from wilsonian.regression.sample import Sample
from wilsonian.regression.starts import (
    AMPLITUDE_RANGE,
    Start,
    null_evidence,
    starting_kernels,
    starts_of,
)

# Starts are compared, and followed for a few iterations, on this many rows and inducing points;
# what leads there is followed to the end on all rows of the sample.
SCOUT_ROWS, SCOUT_RANK, SCOUTS, SCOUT_ITERATIONS = 500, 200, 6, 15
SHAKEN = 12  # further kernels, the most likely one times log-normal factors, that are compared
SCOUT_MARGIN = 5.0  # nats behind the best scout, at which another is not followed
# The null model is kept unless something else is better by a nat for each number that was moved:
# Akaike's price of a number. Half of it, what one gains from noise on average, is not enough: the
# best of many starts gains more (benchmarks/weak_signals.py).
NULL_MARGIN, CHANCE = 1.0, 1.0


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
        maximize(start, few, few_rank, max_iterations=SCOUT_ITERATIONS, **options)
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
            maximize(start, sample, rank, max_iterations=max_iterations, watch=watch, **options)
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
