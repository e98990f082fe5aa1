"""Inducing points that move, and hyperparameters with them, up the evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import has_length_scale
from wilsonian.regression.inducing_points import InducingPoints, randomly_pivoted_cholesky
from wilsonian.regression.learning.diary import Diary, Progress, silent
from wilsonian.regression.learning.evidence import Candidate, Hyperparameters, loss_and_gradient
from wilsonian.regression.sample import Sample, column_spread
from wilsonian.regression.statistics import InducingFeatures
from wilsonian.support.row_threads import shared_rows
from wilsonian.support.trees import raveled, unraveled

# Adam (Kingma and Ba, arXiv:1412.6980), algorithm 1. Its averages of slopes and of their squares
# reach over these shares of the steps: a short climb has no time for long ones.
LEARNING_RATE, MEMORY, SQUARE_MEMORY, FLOOR = 0.1, 0.05, 0.5, 1e-8
# Logarithms of hyperparameters move in units of this, coordinates of points in those of `_units`:
# the slope of a number that all points share is better known than that of one point.
SHARED = 2.0
# The rate falls to zero along a cosine over all steps: the noise of the rows drawn keeps what is
# gained at a high rate small, and most of the gain comes late, so that no stop by what has been
# gained so far is safe (docs/science/learning.md, section 6). Steps come in windows, whose evidence
# is the mean over rows each seen before a step is taken on them. Where it falls below that of the
# best window by FALL nats per row and twice its standard error, the climb goes back and on at a
# smaller rate.
WINDOW, FALL, SLOWER = 10, 0.003, 0.25
ENTRY = "moving inducing points"


@dataclasses.dataclass
class Ascent:
    """State of the climb; losses are negative log evidences per row."""

    vector: np.ndarray  # numbers of a Candidate
    mean: np.ndarray  # of the slopes, decaying
    square: np.ndarray  # of their squares, decaying
    safe: np.ndarray  # where the best window ended
    losses: np.ndarray  # one a step
    level: float = np.inf  # mean loss of the best window
    speed: float = LEARNING_RATE
    begun: int = 0  # the step at which the averages are empty

    def rate(self, steps: int) -> float:
        """Learning rate of the next step."""
        return 0.5 * self.speed * (1 + np.cos(np.pi * len(self.losses) / steps))

    def step(self, loss: float, slope: np.ndarray, unit: np.ndarray, steps: int) -> None:
        """One step of Adam downhill, in units of `unit`."""
        rate, slope = self.rate(steps), slope * unit
        first, second = memory(MEMORY, steps), memory(SQUARE_MEMORY, steps)
        self.losses = np.append(self.losses, loss)
        count = len(self.losses) - self.begun
        self.mean = first * self.mean + (1 - first) * slope
        self.square = second * self.square + (1 - second) * slope**2
        mean = self.mean / (1 - first**count)
        root = np.sqrt(self.square / (1 - second**count))
        self.vector = self.vector - rate * unit * mean / (root + FLOOR)

    def settle(self) -> None:
        """After a step: at the end of a window go on, or go back."""
        count = len(self.losses)
        if count == 1:
            self.level = float(self.losses[0])
        if count % WINDOW:
            return
        latest = float(np.mean(self.losses[-WINDOW:]))
        # From step to step: what the rows drawn change, not what the climb does.
        jumps = np.std(np.diff(self.losses[-2 * WINDOW :]))
        if latest <= self.level + FALL + 2 * jumps / np.sqrt(WINDOW):
            self.safe, self.level = self.vector, min(latest, self.level)
            return
        self.vector, self.begun = self.safe, count
        self.mean, self.square = np.zeros_like(self.mean), np.zeros_like(self.square)
        self.speed *= SLOWER


def memory(share: float, steps: int) -> float:
    """The factor by which an average over a share of so many steps forgets at each."""
    return max(1 - 1 / (share * steps), 0.0)


def move_inducing_points(
    hyperparameters: Hyperparameters,
    inducing_points: np.ndarray,
    sample: Sample,
    *,
    rows: int,
    steps: int,
    rows_per_step: int,
    input_dependent: bool,
    random: np.random.Generator,
    progress: Progress = silent,
    diary: Diary | None = None,
    entry: str = ENTRY,
    left: Callable[[Hyperparameters, np.ndarray], bool] | None = None,
) -> tuple[Hyperparameters, np.ndarray]:
    """Move inducing points and hyperparameters together up the evidence, by `steps` steps of
    Adam. They run through the rows in random order, again and again. With a diary the climb goes on
    from where it stands there, under the name `entry`. Half-way it is `left` if that says so of
    where it stands."""
    spread = column_spread(sample.X)
    # Single precision, unless a column's offset would eat it up.
    offset = np.max(np.abs(sample.X), axis=0) / spread
    dtype = np.float32 if np.max(offset) < 1e3 else np.float64
    candidate, fixed = Candidate.of(
        hyperparameters.kernel,
        hyperparameters.amplitude,
        hyperparameters.noise_variance,
        inducing_points,
    )
    candidate, fixed = with_precision(candidate, dtype), with_precision(fixed, dtype)
    vector = raveled(candidate, float)
    unit = np.full(len(vector), SHARED)
    unit[-inducing_points.size :] = np.tile(
        _units(hyperparameters.kernel, spread), len(inducing_points)
    )
    diary = Diary() if diary is None else diary
    none = np.zeros_like(vector)
    ascent = _stood(diary, entry, len(vector)) or Ascent(vector, none, none, vector, np.empty(0))
    order = _Order(len(sample.X), min(rows_per_step, len(sample.X)), int(random.integers(2**63)))
    broken = False

    def stand() -> tuple[Hyperparameters, np.ndarray]:
        here, losses = unraveled(ascent.vector, candidate), ascent.losses
        gain = np.mean(losses[:WINDOW]) - np.mean(losses[-WINDOW:]) if len(losses) else 0.0
        message = (
            f"{hyperparameters.message} Then {len(losses)} Adam steps moved {len(inducing_points)} "
            f"inducing points and gained {gain:.4f} nats per row."
        )
        moved = Hyperparameters(
            with_precision(here.on_host(fixed), float),
            np.exp(np.asarray(here.log_amplitude, float)),
            np.exp(np.asarray(here.log_noise_variance, float)),
            hyperparameters.converged and not broken,
            message,
        )
        return moved, np.asarray(here.inducing_points, float)

    with shared_rows():
        while len(ascent.losses) < steps and not broken:
            if left is not None and 2 * len(ascent.losses) == steps and left(*stand()):
                break
            few = sample.rows(order.of(len(ascent.losses)))
            # Each row drawn stands for several, so that the evidence is that of all rows.
            few = dataclasses.replace(few, weights=few.weights * (rows / len(few.X)))
            here = unraveled(ascent.vector, candidate)
            few = with_precision(few, dtype)
            loss, slope = loss_and_gradient(here, fixed, few, input_dependent, True)
            if not np.isfinite(loss):
                broken = dtype is np.float64
                dtype = np.float64  # the noise may be below the rounding of single precision
                candidate, fixed = with_precision(candidate, dtype), with_precision(fixed, dtype)
                continue
            ascent.step(loss, raveled(slope, float), unit, steps)
            ascent.settle()
            done = len(ascent.losses)
            progress(ENTRY, done, steps, f"log evidence per row {-loss:.4f}")
            diary.write(entry, dataclasses.asdict(ascent))
    return stand()


@dataclasses.dataclass(frozen=True)
class _Order:
    """Which rows each step sees: passes through all, every pass in an order of its own."""

    rows: int
    per_step: int
    seed: int

    def of(self, step: int) -> np.ndarray:
        steps = max(self.rows // self.per_step, 1)
        shuffled = np.random.default_rng([self.seed, step // steps]).permutation(self.rows)
        start = step % steps * self.per_step
        return np.sort(shuffled[start : start + self.per_step])


def add_inducing_points(
    kernel: Kernel, points: np.ndarray, pool: np.ndarray, rank: int, random: np.random.Generator
) -> np.ndarray:
    """`points` (m, d) followed by points of the `pool`, `rank` in all: those added are drawn where
    `points` leave most of the prior's variance unresolved, by :func:`randomly_pivoted_cholesky`.
    Fewer where the kernel is exhausted first."""
    whole = np.concatenate([points, pool])
    features = InducingFeatures.of(kernel, points, whole.dtype)
    factor = features.at(whole)
    residual = features.unresolved(whole, factor)
    residual[: len(points)] = 0.0
    start = InducingPoints(np.arange(len(points)), factor, residual, False)
    with shared_rows():  # many small products
        added = randomly_pivoted_cholesky(kernel, whole, rank, random, start=start)
    return whole[added.indices]


def _stood(diary: Diary, name: str, size: int) -> Ascent | None:
    entry = diary.entries.get(name)
    if entry is None or len(entry["vector"]) != size:
        return None
    return Ascent(**entry)


def _units(kernel: Kernel, spread: np.ndarray) -> np.ndarray:
    """What each column's coordinate of an inducing point moves in: the spread of the column, or the
    kernel's shortest length scale there if that is less."""
    parts = jax.tree.leaves(kernel, is_leaf=has_length_scale)
    scales = [part.length_scale for part in parts if has_length_scale(part)]
    return np.min([spread, *(np.broadcast_to(scale, spread.shape) for scale in scales)], axis=0)
