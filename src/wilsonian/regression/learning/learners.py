"""What a fit learns: nothing, amplitude and noise, or kernel and inducing points with them."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.regression.learning.diary import Diary, Progress
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.learning import learn
from wilsonian.regression.learning.moving import (
    ENTRY,
    add_inducing_points,
    move_inducing_points,
)
from wilsonian.regression.learning.scale import learn_scale, learn_scale_of_rows
from wilsonian.regression.learning.shortest import no_shorter_than_steps
from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.sample import Sample

# Hyperparameters are learned from at most this many rows and inducing points; amplitude and noise
# are then set by the evidence of all rows. Where there are more rows the search is coarse, and
# inducing points move with the hyperparameters.
LEARNING_ROWS, LEARNING_RANK, COARSE_RANK = 2000, 512, 256
# At most so many inducing points move: the price of a step grows as the cube of their number.
# Further ones are then added where those leave most unresolved.
MOST_MOVED = 512
# Inducing points move in steps that see about so many rows each, an even part of them all, for
# PASSES through these within STEPS (docs/science/learning.md, section 6).
STEP_ROWS, PASSES, STEPS = 4096, 30, (150, 300)
# With no more rows than this every row is an inducing point of the learning, above it half of them.
ALL_ROWS = 1000
# A second length scale per column is tried up to this many rows per inducing point.
ROWS_OF_SECOND_SCALE = 2.1


class Climb(NamedTuple):
    """Steps up the evidence by the hyperparameters and the first inducing points together."""

    points: int
    steps: int
    rows: int  # that each step sees


# Where there are as many, COARSE_RANK go ahead on fewer rows, at a fourth of the price of a step of
# 512; then the cutoff rule is asked again. Their steps are taken off those of all together.
AHEAD, LEAST_STEPS = Climb(COARSE_RANK, 50, 2048), 40


@dataclasses.dataclass(frozen=True)
class AbstractLearner(abc.ABC):
    """What is learned of a prior: from a sample before the pass over all rows, together with the
    inducing points, and after the pass. `by_row` says that the ridge is one of each row."""

    amplitude: float  # starting values, or those that are kept
    noise_variance: float

    moves: ClassVar[bool] = False  # whether inducing points may move with what is learned

    @abc.abstractmethod
    def before(
        self,
        kernel: Kernel,
        sample: Sample,
        rank: int,
        by_row: bool,
        refined: bool,
        random: np.random.Generator,
        diary: Diary,
        progress: Progress,
    ) -> Hyperparameters:
        """Hyperparameters for the choice of inducing points, of which there may be `rank`;
        `refined` if they are refined while these move."""

    def along(
        self,
        hyperparameters: Hyperparameters,
        points: np.ndarray,
        climb: Climb,
        pool: np.ndarray,
        sample: Sample,
        *,
        rows: int,
        by_row: bool,
        random: np.random.Generator,
        diary: Diary,
        progress: Progress,
        left: Callable[[Hyperparameters, np.ndarray], bool] | None = None,
    ) -> tuple[Hyperparameters, np.ndarray]:
        """Hyperparameters and inducing points after a climb; those beyond MOST_MOVED are chosen
        anew from the `pool` once the others have moved. The `sample` stands for so many `rows`. It
        is `left` half-way if that says so of both."""
        return hyperparameters, points

    @abc.abstractmethod
    def after(
        self, modes: Modes, hyperparameters: Hyperparameters, sample: Sample, by_row: bool
    ) -> Hyperparameters:
        """Hyperparameters once all rows are counted in the `modes`."""

    def given(self, kernel: Kernel, groups: int, message: str) -> Hyperparameters:
        """The prior as it was given."""
        amplitude, noise = np.full(groups, self.amplitude), np.full(groups, self.noise_variance)
        return Hyperparameters(with_precision(kernel, float), amplitude, noise, True, message)


class LearnNothing(AbstractLearner):
    """Kernel, amplitude and noise are as given."""

    def before(self, kernel, sample, rank, by_row, refined, random, diary, progress):
        message = "Nothing was learned: kernel, amplitude and noise are as given."
        return self.given(kernel, 1, message)

    def after(self, modes, hyperparameters, sample, by_row):
        return hyperparameters


@dataclasses.dataclass(frozen=True)
class LearnScale(AbstractLearner):
    """The kernel is as given; amplitude and noise maximize the evidence of all rows."""

    per_output: bool  # every output has its own

    def before(self, kernel, sample, rank, by_row, refined, random, diary, progress):
        groups = sample.y.shape[1] if self.per_output else 1
        message = "The kernel is as given; amplitude and noise maximize the evidence of all rows."
        return self.given(kernel, groups, message)

    def after(self, modes, hyperparameters, sample, by_row):
        return _rescaled(modes, hyperparameters, sample, by_row)


@dataclasses.dataclass(frozen=True)
class LearnAll(AbstractLearner):
    """Everything maximizes the evidence: kernel, amplitude and noise that of a sample, then
    inducing points with them; amplitude and noise last that of all rows."""

    moves: ClassVar[bool] = True
    per_output: bool
    ard: bool
    second_scale: bool  # try two length scales per column on few rows
    coarse: bool  # quickly: what is learned need not be the very best
    restarts: int
    max_iterations: int

    def before(self, kernel, sample, rank, by_row, refined, random, diary, progress):
        few = sample.draw(LEARNING_ROWS, random)
        coarse = self.coarse or (refined and few is not sample)
        most = COARSE_RANK if coarse else min(LEARNING_RANK, max(ALL_ROWS, len(few.X) // 2))
        rank = min(rank, most, len(few.X))
        whole = few is sample and len(few.X) <= ROWS_OF_SECOND_SCALE * rank
        found = learn(
            kernel,
            few,
            amplitude=self.amplitude,
            noise_variance=self.noise_variance,
            ard=self.ard,
            rank=rank,
            groups=sample.y.shape[1] if self.per_output else 1,
            restarts=self.restarts,
            input_dependent=by_row,
            max_iterations=self.max_iterations,
            random=random,
            second_scale=self.second_scale and whole,
            coarse=coarse,
            progress=progress,
            diary=diary,
        )
        return no_shorter_than_steps(found, sample)

    def along(
        self,
        hyperparameters,
        points,
        climb,
        pool,
        sample,
        *,
        rows,
        by_row,
        random,
        diary,
        progress,
        left=None,
    ):
        hyperparameters, climbed = move_inducing_points(
            hyperparameters,
            points[: climb.points],
            sample,
            rows=rows,
            steps=climb.steps,
            rows_per_step=climb.rows,
            input_dependent=by_row,
            random=random,
            progress=progress,
            diary=diary,
            entry=f"{ENTRY}: {len(points)}, {climb}",
            left=left,
        )
        hyperparameters = no_shorter_than_steps(hyperparameters, sample)
        if climb.points == MOST_MOVED < len(points):
            kernel = hyperparameters.kernel
            return hyperparameters, add_inducing_points(kernel, climbed, pool, len(points), random)
        return hyperparameters, np.concatenate([climbed, points[climb.points :]])

    def after(self, modes, hyperparameters, sample, by_row):
        return _rescaled(modes, hyperparameters, sample, by_row)


def together(points: int, rows: int) -> Climb:
    """The climb of so many inducing points: of all of them that move."""
    parts = max(round(rows / STEP_ROWS), 1)
    steps = PASSES * parts
    if points <= COARSE_RANK:
        steps = max(steps, STEPS[0])
    if points >= COARSE_RANK:
        steps = max(steps - AHEAD.steps, LEAST_STEPS)
    return Climb(min(points, MOST_MOVED), min(steps, STEPS[1]), rows // parts)


def _rescaled(
    modes: Modes, hyperparameters: Hyperparameters, sample: Sample, by_row: bool
) -> Hyperparameters:
    if by_row:
        return learn_scale_of_rows(modes, hyperparameters, sample)
    return learn_scale(modes, hyperparameters)
