"""What a pass over all rows needs: hyperparameters and inducing points, from a sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import scipy.linalg

from wilsonian.core.cutoffs import LearnabilityCutoff
from wilsonian.core.precision import with_precision
from wilsonian.core.spectrum import Measure
from wilsonian.kernels import Kernel
from wilsonian.regression.diary import Diary
from wilsonian.regression.host_grams import gram
from wilsonian.regression.inducing_features import InducingFeatures
from wilsonian.regression.inducing_points import InducingPoints, randomly_pivoted_cholesky
from wilsonian.regression.learning import Hyperparameters, Progress, learn, silent
from wilsonian.regression.moving import move_inducing_points
from wilsonian.regression.plan import Plan
from wilsonian.regression.sample import Sample

# Hyperparameters are learned from at most this many rows and inducing points; amplitude and noise
# are then set by the evidence of all rows. Where there are more rows, inducing points move, and
# hyperparameters with them, in steps that see INDUCING_POINT_ROWS rows each, for at most
# INDUCING_POINT_PASSES through the rows within INDUCING_POINT_STEPS; the search before is coarse.
LEARNING_ROWS, LEARNING_RANK, COARSE_RANK = 2000, 512, 256
INDUCING_POINT_ROWS, INDUCING_POINT_PASSES, INDUCING_POINT_STEPS = 4000, 25, (60, 300)
# With no more rows than this every row is an inducing point of the learning, above it half of them.
ALL_ROWS = 400
# A second length scale per column is tried up to this many rows per inducing point.
ROWS_OF_SECOND_SCALE = 2.1
# Inducing points are chosen from at most this many rows per inducing point of the largest rank.
POOL_PER_INDUCING_POINT = 8


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
    rows: int,
    plan: Plan,
    random: np.random.Generator,
    progress: Progress = silent,
    diary: Diary | None = None,
) -> Prepared:
    """Learn hyperparameters and choose inducing points from a `sample` of the `rows` training rows;
    targets centred and scaled. Runs in float64: call it under `jax.enable_x64(True)`."""
    # One amplitude and noise for each output, where they are learned.
    own = plan.per_output == "scale" and plan.learn is not None
    groups = sample.y.shape[1] if own else 1
    message = (
        "Nothing was learned: kernel, amplitude and noise are as given."
        if plan.learn is None
        else "The kernel is as given; amplitude and noise maximize the evidence of all rows."
    )
    hyperparameters = Hyperparameters(
        with_precision(kernel, float),
        np.full(groups, plan.amplitude),
        np.full(groups, plan.noise_variance),
        True,
        message,
    )
    budget = min(plan.rank or plan.max_rank, rows)
    if plan.learn == "all":
        few = sample.draw(LEARNING_ROWS, random)
        moves = plan.move_inducing_points is not False and measure_of(budget, rows) == "population"
        coarse = few is not sample and moves and plan.inducing_points is None
        finest = COARSE_RANK if coarse else min(LEARNING_RANK, max(ALL_ROWS, len(few.X) // 2))
        rank = min(budget, finest, len(few.X))
        hyperparameters = learn(
            kernel,
            few,
            amplitude=plan.amplitude,
            noise_variance=plan.noise_variance,
            ard=plan.ard,
            rank=rank,
            groups=groups,
            restarts=plan.restarts,
            input_dependent=plan.input_dependent or sample.row_noise is not None,
            max_iterations=plan.max_iterations,
            random=random,
            second_scale=plan.second_scale and rows <= ROWS_OF_SECOND_SCALE * rank,
            coarse=coarse,
            progress=progress,
            diary=diary,
        )
    given = plan.inducing_points
    if given is not None:
        status = f"The {len(given)} inducing points were given."
        features = _features(hyperparameters.kernel, given, plan.dtype)
        return Prepared(features, hyperparameters, measure_of(len(given), rows), status)
    pool = sample.draw(max(POOL_PER_INDUCING_POINT * budget, LEARNING_ROWS), random)
    chosen, status, met = choose_inducing_points(hyperparameters, pool.X, rows, plan, random)
    points = pool.X[chosen.indices]
    measure = measure_of(len(points), rows)
    wanted = plan.move_inducing_points
    if wanted is None:
        wanted = measure == "population" and (not met or rows > LEARNING_ROWS)
        wanted &= not chosen.exhausted  # nowhere better to go: they span the kernel already
    if wanted and plan.learn == "all":
        passes = INDUCING_POINT_PASSES * rows / INDUCING_POINT_ROWS
        hyperparameters, points = move_inducing_points(
            hyperparameters,
            points,
            sample,
            rows=rows,
            most_steps=int(np.clip(passes, *INDUCING_POINT_STEPS)),
            rows_per_step=INDUCING_POINT_ROWS,
            input_dependent=plan.input_dependent or sample.row_noise is not None,
            random=random,
            progress=progress,
            diary=diary,
        )
        status += " They were then moved by gradient of the evidence."
    features = _features(hyperparameters.kernel, points, plan.dtype)
    return Prepared(features, hyperparameters, measure, status)


def measure_of(rank: int, rows: int) -> Measure:
    """Modes in the span of more inducing points than half the rows are modes of the sample: they
    decouple (docs/science/wilsonian.md, section 9). Far fewer inducing points see the rows as draws
    of the population."""
    return "sample" if 2 * rank > rows else "population"


def _features(kernel: Kernel, points: np.ndarray, dtype: Any) -> InducingFeatures:
    kernel = with_precision(kernel, float)
    square = np.array(gram(kernel, points, points))
    # The jitter is relative to the diagonal and to the precision of the products to come.
    jitter = np.finfo(dtype).eps * np.mean(np.diagonal(square))
    for _ in range(20):
        try:
            root = np.linalg.cholesky(square + jitter * np.eye(len(points)))
            break
        except np.linalg.LinAlgError:
            jitter *= 10
    else:
        raise ValueError(
            f"the kernel matrix of the {len(points)} inducing points is not positive semidefinite; "
            "use a valid kernel or other inducing points."
        )
    return InducingFeatures.of(kernel, points.astype(dtype), root)


def choose_inducing_points(
    hyperparameters: Hyperparameters,
    pool: np.ndarray,
    rows: int,
    plan: Plan,
    random: np.random.Generator,
) -> tuple[InducingPoints, str, bool]:
    """Inducing points for the plan's rank, or doubled from 64 until the cutoff rule is met or the
    budget is reached: (inducing points, sentence saying which, whether the rule is met)."""
    budget = min(plan.rank or plan.max_rank, len(pool))
    rank = budget if plan.rank else min(64, budget)
    chosen = None
    while True:
        chosen = randomly_pivoted_cholesky(hyperparameters.kernel, pool, rank, random, start=chosen)
        count = len(chosen.indices)
        kept = _kept_modes(chosen, hyperparameters, rows, plan.threshold)
        met = kept < count
        if met or chosen.exhausted or rank >= budget:
            break
        rank = min(2 * rank, budget)
    rule = f"learnability of the next mode below {plan.threshold:g}"
    if plan.rank:
        status = f"{count} inducing points, as asked"
        status += f"; the cutoff rule ({rule}) is " + ("met." if met else "not met.")
    elif met:
        status = f"{count} inducing points meet the cutoff rule ({rule})."
    elif chosen.exhausted or count == rows:
        status = (
            f"All {count} independent rows serve as inducing points; nothing is left unresolved."
        )
    else:
        status = f"{count} inducing points are the budget; the cutoff rule ({rule}) is not met yet."
    if chosen.exhausted and plan.rank and count < plan.rank:
        status = f"{count} of the {plan.rank} inducing points asked for exhaust the kernel's rank."
    return chosen, status, met


def _kept_modes(
    chosen: InducingPoints, hyperparameters: Hyperparameters, rows: int, threshold: float
) -> int:
    """Modes that the rule keeps, for the output that keeps most."""
    second_moment = chosen.factor.T @ chosen.factor / len(chosen.factor)
    eigenvalues = np.maximum(scipy.linalg.eigvalsh(second_moment)[::-1], 0.0)
    lost = float(chosen.residual.mean())
    kept = [
        int(rank_of(LearnabilityCutoff(threshold, noise, rows, a * lost), a * eigenvalues))
        for a, noise in zip(hyperparameters.amplitude, hyperparameters.noise_variance, strict=True)
    ]
    return max(kept)


@jax.jit
def rank_of(rule: LearnabilityCutoff, eigenvalues: jax.Array) -> jax.Array:
    """How many modes the rule keeps."""
    return rule.rank(eigenvalues)
