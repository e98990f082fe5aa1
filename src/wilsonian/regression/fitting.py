"""From a sample and a stream of rows to a fitted process: the one road that every fit takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from wilsonian.kernels import Kernel
from wilsonian.regression.exact import solve_parts
from wilsonian.regression.finishing import Blocks, FittedProcess, finish
from wilsonian.regression.learning.diary import Diary, Progress, silent
from wilsonian.regression.learning.learners import LearnAll, LearnNothing
from wilsonian.regression.plan import Plan
from wilsonian.regression.preparation import Prepared, prepare
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import Statistics, Trust, accumulate


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where a fit stands: what was prepared, the statistics of the blocks read so far, and, once
    all are read, how far the residual correction came."""

    prepared: Prepared
    statistics: Statistics
    blocks: int
    duals: tuple[np.ndarray, ...] = ()  # (rows, outputs) each, of `residual_correction`


Keep = Callable[[Standing, bool], None]


def fit_process(
    kernel: Kernel,
    sample: Sample,
    blocks: Blocks,
    plan: Plan,
    random: np.random.Generator,
    *,
    rows: int,
    start: Standing | None = None,
    keep: Keep = lambda standing, now: None,
    diary: Diary | None = None,
    progress: Progress = silent,
) -> FittedProcess:
    """Learn, stream and coarse grain: the reduced process of all `rows` training rows, and if the
    plan asks for it the correction by what was cut.

    `sample` is a uniform sample of them (or all), targets in their own units; hyperparameters and
    inducing points come from it. `blocks(i)` then runs through the rows from block i on; memory is
    bounded by rank^2 + block * rank. Learning takes from `diary` what it had finished with the same
    random numbers. A fit goes on from `start`, where an earlier one stood:
    `keep(standing, now)` is called before the first block, after every block, and when the fit is
    interrupted; `now` says that this state must be stored at once.

    Raises ValueError for a cutoff beyond the modes there are, for a kernel that is not positive
    semidefinite, and for inputs that the plan's precision would round away.
    """
    with jax.enable_x64(True):
        trust = Trust.of(sample)
        if start is None:
            weights = trust.weights(sample)
            diary = Diary() if diary is None else diary
            prepared = prepare(kernel, sample, weights, rows, plan, random, diary, progress)
            # Targets are counted from the sample's mean, so that a large one costs no digits.
            offset = weights @ sample.y / weights.sum()
            start = Standing(prepared, Statistics.empty(prepared.features.rank, offset), 0)
        keep(start, True)
        standing, features = start, start.prepared.features
        try:
            for sums in accumulate(features, start.statistics, blocks(start.blocks), trust):
                standing = dataclasses.replace(
                    standing, statistics=sums, blocks=standing.blocks + 1
                )
                progress("integrating", sums.rows, rows)
                keep(standing, False)
        except KeyboardInterrupt:
            keep(standing, True)
            raise
        fitted = finish(standing.prepared, standing.statistics, sample, plan, blocks)
        if not plan.exact:
            return fitted
        at = standing
        correction = solve_parts(
            fitted.process,
            blocks(0),
            block_size=plan.block_size,
            learn_scale=not isinstance(plan.learner, LearnNothing),
            learn_stretch=isinstance(plan.learner, LearnAll),
            progress=progress,
            start=at.duals,
            keep=lambda duals, now: keep(dataclasses.replace(at, duals=duals), now),
        )
        return dataclasses.replace(fitted, correction=correction)
