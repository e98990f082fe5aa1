"""Inducing points that move, and hyperparameters with them, up the evidence."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.regression.ascent import raveled, unraveled
from wilsonian.regression.diary import Diary
from wilsonian.regression.evidence import Candidate, loss_and_gradient
from wilsonian.regression.learning import Hyperparameters, Progress, silent
from wilsonian.regression.sample import Sample, column_spread

# Adam (Kingma and Ba, arXiv:1412.6980), algorithm 1.
LEARNING_RATE, MEMORY, SQUARE_MEMORY, FLOOR = 0.1, 0.9, 0.999, 1e-8
# Steps come in windows. The rate stays while the mean evidence of a window's rows, each seen before
# a step is taken on them, is higher than the window's before by more than GAIN nats per row; then,
# or when the most steps are done, it falls to zero along a cosine for LANDING windows.
WINDOW, GAIN, LANDING = 10, 0.005, 3
ENTRY = "moving inducing points"


@dataclasses.dataclass
class Ascent:
    """State of the climb."""

    vector: np.ndarray  # numbers of a Candidate
    mean: np.ndarray  # of the slopes, decaying
    square: np.ndarray  # of their squares, decaying
    losses: list[float]  # one a step
    landing: int | None  # the step at which the rate began to fall

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        if self.landing is None:
            return LEARNING_RATE
        done = (len(self.losses) - self.landing) / (LANDING * WINDOW)
        return 0.5 * LEARNING_RATE * (1 + np.cos(np.pi * done))

    @property
    def finished(self) -> bool:
        return self.landing is not None and len(self.losses) >= self.landing + LANDING * WINDOW

    def step(self, loss: float, slope: np.ndarray, unit: np.ndarray) -> None:
        """One step of Adam downhill, in units of `unit`."""
        rate, slope = self.rate, slope * unit
        self.losses.append(loss)
        count = len(self.losses)
        self.mean = MEMORY * self.mean + (1 - MEMORY) * slope
        self.square = SQUARE_MEMORY * self.square + (1 - SQUARE_MEMORY) * slope**2
        mean = self.mean / (1 - MEMORY**count)
        root = np.sqrt(self.square / (1 - SQUARE_MEMORY**count))
        self.vector = self.vector - rate * unit * mean / (root + FLOOR)

    def settle(self, most_steps: int) -> None:
        """After a step: begin to land where the evidence has stopped rising, or steps run out."""
        count = len(self.losses)
        if self.landing is not None or count % WINDOW:
            return
        risen = count < 2 * WINDOW or (
            np.mean(self.losses[-2 * WINDOW : -WINDOW]) - np.mean(self.losses[-WINDOW:]) > GAIN
        )
        if not risen or count + LANDING * WINDOW >= most_steps:
            self.landing = count


def move_inducing_points(
    hyperparameters: Hyperparameters,
    inducing_points: np.ndarray,
    sample: Sample,
    *,
    rows: int,
    most_steps: int,
    rows_per_step: int,
    input_dependent: bool,
    random: np.random.Generator,
    progress: Progress = silent,
    diary: Diary | None = None,
) -> tuple[Hyperparameters, np.ndarray]:
    """Move inducing points and hyperparameters together up the evidence, by Adam, until the
    evidence of the rows of each step has stopped rising, at most `most_steps`. The steps run
    through the rows in random order, again and again; inducing points move in units of the spread
    of each column. With a diary the climb goes on from where it stands there."""
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
    vector = raveled(candidate)
    unit = np.ones(len(vector))
    unit[-inducing_points.size :] = np.tile(spread, len(inducing_points))
    diary = Diary() if diary is None else diary
    ascent = _stood(diary, len(vector)) or Ascent(
        vector, np.zeros_like(vector), np.zeros_like(vector), [], None
    )
    order = _Order(len(sample.X), min(rows_per_step, len(sample.X)), int(random.integers(2**63)))
    broken = False
    while not ascent.finished and not broken:
        few = sample.rows(order.of(len(ascent.losses)))
        # Each row drawn stands for several, so that the evidence is that of all rows.
        few = dataclasses.replace(few, weights=few.weights * (rows / len(few.X)))
        here = unraveled(ascent.vector, candidate)
        loss, slope = loss_and_gradient(here, fixed, few.data(dtype), input_dependent, True)
        broken = not np.isfinite(loss)
        if broken:
            break
        ascent.step(loss, raveled(slope), unit)
        ascent.settle(most_steps)
        done = len(ascent.losses)
        end = most_steps if ascent.landing is None else ascent.landing + LANDING * WINDOW
        progress(ENTRY, done, end, f"log evidence per row {-loss:.4f}")
        diary.write(ENTRY, _plain(ascent))
    end_point = unraveled(ascent.vector, candidate)
    losses = ascent.losses
    gain = np.mean(losses[:WINDOW]) - np.mean(losses[-WINDOW:]) if losses else 0.0
    message = (
        f"{hyperparameters.message} Then {len(losses)} Adam steps moved {len(inducing_points)} "
        f"inducing points and gained {gain:.4f} nats per row."
    )
    moved = Hyperparameters(
        with_precision(end_point.on_host(fixed), float),
        np.exp(np.asarray(end_point.log_amplitude, float)),
        np.exp(np.asarray(end_point.log_noise_variance, float)),
        hyperparameters.converged and not broken,
        message,
    )
    return moved, np.asarray(end_point.inducing_points, float)


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


def _plain(ascent: Ascent) -> dict[str, Any]:
    return {
        "vector": ascent.vector,
        "mean": ascent.mean,
        "square": ascent.square,
        "losses": np.array(ascent.losses),
        "landing": -1 if ascent.landing is None else ascent.landing,
    }


def _stood(diary: Diary, size: int) -> Ascent | None:
    entry = diary.entries.get(ENTRY)
    if entry is None or len(entry["vector"]) != size:
        return None
    parts = (np.asarray(entry[name], float) for name in ("vector", "mean", "square"))
    landing = int(entry["landing"])
    return Ascent(*parts, list(map(float, entry["losses"])), None if landing < 0 else landing)
