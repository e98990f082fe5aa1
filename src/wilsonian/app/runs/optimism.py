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


@dataclasses.dataclass(frozen=True)
class Scatter:
    """How much wider than stated rows scatter that learning left out, in variance, at least one."""

    complete: float = 1.0  # rows that nothing is added to
    incomplete: float = 1.0  # rows to which `lacking` is added
    lacking: float = 1.0  # factor of what is added, that makes those rows as wide


def scatter_left_out(
    process: ReducedProcess,
    plan: Plan,
    X: np.ndarray,
    y: np.ndarray,
    row_noise: np.ndarray,
    seed: int,
) -> Scatter:
    r"""Mean squared errors of training rows that neither posterior nor hyperparameters were learned
    from, over the variances stated for them (docs/science/learning.md, section 7).

    Inputs (rows, d), targets (rows,) and what their lacking values add to the noise, in the
    target's units squared: all the rows that `process` was fitted to under `plan`. Ones where it is
    not asked: beyond as many rows as learning takes as inducing points (there are then many rows
    for each number learned), where no kernel was learned or nothing was found, and for all modes
    read out of the rows, whose amplitude and noise are learned last.
    """
    learner = plan.learner
    if not isinstance(learner, LearnAll) or plan.exact or not process.kept or len(X) > ALL_ROWS:
        return Scatter()
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
        row_noise / scale[0] ** 2,
    )
    with jax.enable_x64(True):
        squares, stated = squares_left_out(
            start,
            sample,
            max_iterations=learner.max_iterations,
            random=np.random.default_rng(seed),
        )
    return _of_groups(squares, stated, row_noise / scale[0] ** 2)


def _of_groups(squares: np.ndarray, stated: np.ndarray, added: np.ndarray) -> Scatter:
    """From squared errors over the variances stated, these, and what of them is added for what rows
    lack: variances of complete rows grow by c, the rest of those of others as well, and what is
    added to them by what makes their sum as many times as large as they scatter."""
    lacks = added > 0
    whole = squares[~lacks] if not lacks.all() else squares
    complete = max(float(whole.mean()), 1.0)
    if not lacks.any():
        return Scatter(complete, complete, complete)
    incomplete = max(float(squares[lacks].mean()), 1.0)
    total, extra = float(stated[lacks].sum()), float(added[lacks].sum())
    lacking = max((incomplete * total - complete * (total - extra)) / extra, 0.0)
    return Scatter(complete, incomplete, lacking)


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


def optimism_sentences(scatter: Scatter) -> list[str]:
    """What was done about it."""
    complete, incomplete = map(format_number, (scatter.complete, scatter.incomplete))
    return [
        f"Training rows left out of the learning scatter by {complete} times the variance stated "
        f"for them, those with missing values by {incomplete} times: variances were raised "
        "accordingly, which leaves predictions as they are."
    ]
