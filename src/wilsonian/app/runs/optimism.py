"""How much wider rows scatter that learning never saw, and a fit whose variances are as wide."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.regression.fitting import Standing
from wilsonian.regression.learning.learners import ALL_ROWS, LearnAll, LearnNothing
from wilsonian.regression.learning.left_out import squares_left_out
from wilsonian.regression.learning.starts import Start
from wilsonian.regression.plan import Plan
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.sample import Sample
from wilsonian.support.number_text import format_number


def scatter_left_out(
    process: ReducedProcess,
    plan: Plan,
    X: np.ndarray,
    y: np.ndarray,
    row_noise: np.ndarray | None,
    seed: int,
) -> float:
    r"""Mean squared error of training rows that neither posterior nor hyperparameters were learned
    from, over the variance stated for them, at least one (docs/science/learning.md, section 7).

    Inputs (rows, d), targets (rows,) and variances of the rows beside the common noise in the
    target's units squared: all the rows that `process` was fitted to under `plan`. One where it is
    not asked: beyond as many rows as learning takes as inducing points (there are then many rows
    for each number learned), where no kernel was learned or nothing was found, and for all modes
    read out of the rows, whose amplitude and noise are learned last.
    """
    learner = plan.learner
    if not isinstance(learner, LearnAll) or plan.exact or not process.kept or len(X) > ALL_ROWS:
        return 1.0
    modes = process.modes
    scale = modes.target_scale
    start = Start(
        with_precision(modes.features.kernel, float),
        np.array([process.amplitude]),
        np.array([process.noise_variance]),
        -np.inf,
    )
    sample = Sample(
        X - modes.features.origin,
        (y[:, None] - modes.target_mean) / scale,
        np.ones(len(X)),
        None if row_noise is None else row_noise / scale[0] ** 2,
    )
    with jax.enable_x64(True):
        squares = squares_left_out(
            start,
            sample,
            max_iterations=learner.max_iterations,
            random=np.random.default_rng(seed),
        )
    return max(float(squares.mean()), 1.0)


def widened(
    plan: Plan, standing: Standing, process: ReducedProcess, factor: float
) -> tuple[Plan, Standing]:
    """What makes the last step of a fit give amplitude and noise of `process` times `factor`. With
    variances of the rows times the same the mean is what it was, and all variances are `factor`
    times as large."""
    amplitude, noise_variance = process.amplitude * factor, process.noise_variance * factor
    prepared = dataclasses.replace(
        standing.prepared,
        hyperparameters=dataclasses.replace(
            standing.prepared.hyperparameters,
            amplitude=np.array([amplitude]),
            noise_variance=np.array([noise_variance]),
        ),
    )
    return (
        dataclasses.replace(plan, learner=LearnNothing(amplitude, noise_variance)),
        dataclasses.replace(standing, prepared=prepared),
    )


def optimism_sentences(scatter: float) -> list[str]:
    """What was done about it."""
    return [
        f"Training rows left out of the learning scatter by {format_number(scatter)} times the "
        "variance stated for them: all variances were raised by that factor, which leaves "
        "predictions as they are."
    ]
