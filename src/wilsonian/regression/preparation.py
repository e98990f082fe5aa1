"""What a pass over all rows needs: hyperparameters and inducing points, from a sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.linalg

from wilsonian.core.cutoffs import LearnabilityCutoff
from wilsonian.core.spectrum import Measure
from wilsonian.kernels import Kernel, host_diagonal
from wilsonian.regression.inducing_points import InducingPoints, choose_inducing_points
from wilsonian.regression.learning.diary import Diary, Progress, silent
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.learners import AHEAD, LEARNING_ROWS, Climb, together
from wilsonian.regression.learning.moving import add_inducing_points
from wilsonian.regression.plan import Plan
from wilsonian.regression.sample import Sample, check_precision, origin_of
from wilsonian.regression.statistics import InducingFeatures
from wilsonian.support.row_threads import shared_rows
from wilsonian.support.triangles import weighted_square

# Inducing points are chosen from at most this many rows per inducing point of the largest rank.
POOL_PER_INDUCING_POINT = 8
# Of the inducing points, so many that their modes are kept once some have moved: the last of these
# modes are only half resolved, and the climb goes on with twice as many.
NEARLY_ALL = 0.9
# With less noise than this share of the prior variance products are of double precision: whitened,
# the rounding of a kernel is as good as noise of some hundred times 6e-8 of it.
SINGLE_NOISE = 3e-4


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What one pass over all rows needs: features, and the hyperparameters they came from."""

    features: InducingFeatures
    hyperparameters: Hyperparameters
    measure: Measure
    rank_status: str  # one sentence: why there are as many inducing points


def prepare(
    kernel: Kernel,
    sample: Sample,
    weights: np.ndarray,
    rows: int,
    plan: Plan,
    random: np.random.Generator,
    diary: Diary,
    progress: Progress = silent,
) -> Prepared:
    """Learn hyperparameters and choose inducing points from a `sample` of the `rows` training rows,
    whose targets are scaled under these `weights`. Runs in float64: call it under
    `jax.enable_x64(True)`. Raises ValueError for inputs that the plan's precision would round away,
    and for a kernel that is not positive semidefinite."""
    if plan.normalize_y:
        sample = sample.scaled(weights)
    origin = origin_of(kernel, sample.X)
    sample = sample.counted_from(origin)
    check_precision(sample.X, plan.dtype)
    budget = min(plan.rank or plan.max_rank, rows)
    by_row = plan.input_dependent or sample.row_noise is not None
    points: Any = None if plan.inducing_points is None else plan.inducing_points - origin
    # What is learned before inducing points move is refined while they do.
    moves = plan.move_inducing_points is not False and measure_of(budget, rows) == "population"
    hyperparameters = plan.learner.before(
        kernel, sample, budget, by_row, moves and points is None, random, diary, progress
    )
    if points is not None:
        status = f"The {len(points)} inducing points were given."
    else:
        pool = sample.draw(max(POOL_PER_INDUCING_POINT * budget, LEARNING_ROWS), random)
        budget = min(budget, len(pool.X))

        def kept(factor: np.ndarray, residual: np.ndarray, of: Hyperparameters) -> int:
            return _kept_modes(factor, residual, of, rows, plan.threshold)

        def enough(chosen: InducingPoints) -> bool:
            return kept(chosen.factor, chosen.residual, hyperparameters) < chosen.rank

        def choose(rank: int) -> InducingPoints:
            kernel = hyperparameters.kernel
            with shared_rows():  # many small products
                return choose_inducing_points(kernel, pool.X, rank, budget, random, enough)

        chosen = choose(budget if plan.rank else min(64, budget))
        met: bool | None = None  # whether the cutoff rule is, by the latest kernel
        exhausted = chosen.exhausted
        points = pool.X[chosen.indices]
        wanted = plan.move_inducing_points
        if wanted is None:
            wanted = measure_of(len(points), rows) == "population"
            wanted &= rows > LEARNING_ROWS or not enough(chosen)
            wanted &= not exhausted  # nowhere better to go: they span the kernel already
        climbs: list[Climb] = []

        def climb(along: Climb) -> None:
            nonlocal hyperparameters, points
            hyperparameters, points = plan.learner.along(
                hyperparameters,
                points,
                along,
                pool.X,
                sample,
                rows=rows,
                by_row=by_row,
                random=random,
                diary=diary,
                progress=progress,
                left=spanned if len(points) < min(AHEAD.points, budget) else None,
            )
            climbs.append(along)

        def resolved(of: Hyperparameters, points: np.ndarray) -> int:
            """Modes in the span of the points that the rule keeps."""
            features = InducingFeatures.of(of.kernel, points, pool.X.dtype)
            factor = features.at(pool.X)
            with shared_rows():
                return kept(factor, features.unresolved(pool.X, factor), of)

        def spanned(of: Hyperparameters, points: np.ndarray) -> bool:
            """Whether the rule keeps all that few points span: more are needed anyway."""
            return resolved(of, points) == len(points)

        def grown(share: float) -> bool:
            """Whether there are more of them now: what was learned meanwhile may resolve more than
            what the rule was asked about."""
            nonlocal points, met
            modes, before = resolved(hyperparameters, points), len(points)
            met = modes < before
            if modes >= share * before and before < budget:
                more = choose(min(2 * before, budget)).rank
                if more > before:
                    kernel = hyperparameters.kernel
                    points = add_inducing_points(kernel, points, pool.X, more, random)
            return len(points) > before

        while wanted and plan.learner.moves:
            if AHEAD not in climbs and AHEAD.points <= len(points):
                climb(AHEAD)
                if len(points) < budget and grown(NEARLY_ALL):
                    continue
            last = together(len(points), rows)
            if last not in climbs:
                climb(last)
            if not grown(1.0):
                break
        met = enough(chosen) if met is None else met
        status = _status(plan, len(points), exhausted, met, rows)
        if climbs:
            moved = climbs[-1].points
            which = "They" if moved == len(points) else f"The first {moved}"
            status += f" {which} were then moved by gradient of the evidence."
    dtype = plan.dtype
    if dtype == np.float32 and _below_single(hyperparameters, sample):
        dtype, told = np.float64, " Products are of float64: float32 would round away this noise."
        hyperparameters = dataclasses.replace(
            hyperparameters, message=hyperparameters.message + told
        )
    features = InducingFeatures.of(hyperparameters.kernel, points, dtype, origin)
    return Prepared(features, hyperparameters, measure_of(len(points), rows), status)


def _below_single(hyperparameters: Hyperparameters, sample: Sample) -> bool:
    """Whether rounding to single precision, of the prior variance, would pass for noise."""
    variance = hyperparameters.amplitude * np.mean(
        host_diagonal(hyperparameters.kernel, sample.X[:LEARNING_ROWS])
    )
    known = 0.0 if sample.row_noise is None else sample.row_noise.min()
    return bool(np.any(hyperparameters.noise_variance + known < SINGLE_NOISE * variance))


def measure_of(rank: int, rows: int) -> Measure:
    """Modes in the span of more inducing points than half the rows are modes of the sample: they
    decouple (docs/science/wilsonian.md, section 9). Far fewer inducing points see the rows as draws
    of the population."""
    return "sample" if 2 * rank > rows else "population"


def _status(plan: Plan, count: int, exhausted: bool, met: bool, rows: int) -> str:
    """Why there are as many inducing points."""
    rule = f"learnability of the next mode below {plan.threshold:g}"
    if plan.rank:
        status = f"{count} inducing points, as asked"
        status += f"; the cutoff rule ({rule}) is " + ("met." if met else "not met.")
    elif met:
        status = f"{count} inducing points meet the cutoff rule ({rule})."
    elif exhausted or count == rows:
        status = (
            f"All {count} independent rows serve as inducing points; nothing is left unresolved."
        )
    else:
        status = f"{count} inducing points are the budget; the cutoff rule ({rule}) is not met yet."
    if exhausted and plan.rank and count < plan.rank:
        status = f"{count} of the {plan.rank} inducing points asked for exhaust the kernel's rank."
    return status


def _kept_modes(
    factor: np.ndarray,
    residual: np.ndarray,
    hyperparameters: Hyperparameters,
    rows: int,
    threshold: float,
) -> int:
    """Modes that the rule keeps, for the output that keeps most: of features (n, points) at some
    rows, and the prior variances (n,) that they leave unresolved."""
    second_moment = weighted_square(factor, np.full(len(factor), 1 / len(factor)))
    eigenvalues = np.maximum(scipy.linalg.eigvalsh(second_moment)[::-1], 0.0)
    lost = float(residual.mean())
    kept = [
        LearnabilityCutoff(threshold, noise, rows, a * lost).rank_on_host(a * eigenvalues)
        for a, noise in zip(hyperparameters.amplitude, hyperparameters.noise_variance, strict=True)
    ]
    return max(kept)
