"""Class labels of a reduced Gaussian process: latents with a logistic or softmax likelihood."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from wilsonian.regression.classification.laplace import (
    Latents,
    Rows,
    find_mode,
    find_mode_in_passes,
    leave_one_out,
)
from wilsonian.regression.classification.link import expected_probabilities, slope
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import row_blocks

Blocks = Callable[[], Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]]

# Up to here all rows are held as features; beyond, the scale is chosen from so many of them, drawn
# at random, and the mode found in passes over blocks of all.
ROWS_IN_MEMORY = 8192
BIAS_DEVIATION = 5.0  # prior standard deviation of a latent's constant: odds of e^5 are no surprise
START, FARTHEST = 3.0, 1000.0  # prior standard deviation of a latent tried first; the largest
SPREADS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.0)  # shares of the posterior variance tried


@dataclasses.dataclass(frozen=True)
class LabelProcess:
    r"""Posterior of latent functions :math:`f_c(x) = b_c + s\, g(x) \cdot W_c` of the kept modes
    :math:`g` (of the kernel, its amplitude set to one), given class labels; one latent for two
    classes, of the second against the first.

    The modes that the process' cutoff eliminates are independent noise in each label's latent. Of
    variance :math:`v`, it renormalizes the slope of the link, :math:`f \to f / \sqrt{1 + \pi v /
    8}`, in learning, in leaving out and in prediction alike. Where the ridge is uniform that is one
    factor for all, which the scale, chosen last, contains; where it is not, the link is steeper or
    flatter by what :math:`s^2 K_>(x, x)` differs from its mean.
    """

    process: ReducedProcess
    scale: float  # s
    spread: float  # share of the latents' posterior variance that probabilities average over
    latents: Latents
    leave_one_out_log_loss: float  # nats, of the rows that the scale was chosen from

    @classmethod
    def fit(
        cls,
        process: ReducedProcess,
        X: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        blocks: Blocks | None = None,
    ) -> LabelProcess:
        """From rows `X`, their classes as probabilities `targets` (rows, 1) for two classes or
        (rows, classes), and sample weights; or from a uniform sample of the rows behind `blocks`,
        every call of which runs through all of them.

        Scale and spread minimize the log loss of every row with one repetition of it left out. The
        spread is there because the mode of a skewed posterior lies nearer to zero than its mean:
        with all of the variance, probabilities far from one half are too timid (Rasmussen and
        Williams 2006, sec. 3.7.2)."""
        few: Any = slice(None)
        if len(X) > ROWS_IN_MEMORY:
            chosen = np.random.default_rng(0).choice(len(X), ROWS_IN_MEMORY, replace=False)
            few = np.sort(chosen)
        sample = Sampled.of(process, X[few], targets[few], weights[few])
        best = sample.best_scale()
        latents = best.latents
        if len(X) > ROWS_IN_MEMORY and blocks is None:
            rows = Sample(X, targets, weights)
            blocks = lambda: (block[:3] for block in row_blocks(rows, 4096))  # noqa: E731
        if blocks is not None:

            def designs() -> Iterator[Rows]:
                for inputs, labels, counts in blocks():
                    counts = np.ones(len(inputs)) if counts is None else counts
                    yield _design(process, inputs, best.scale), labels, counts

            latents = find_mode_in_passes(designs, latents.mean)
        return cls(process, best.scale, best.spread, latents, best.log_loss)

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (rows, classes) of all classes, latents integrated out."""
        features, noise, excess = _unit_features(self.process, X)
        design = _assembled(features, noise, self.scale)
        far = self.scale**2 * excess * _steepness(noise, self.scale) ** 2
        variance = self.latents.variances(design) + far[:, None]
        return expected_probabilities(self.latents.means(design), self.spread * variance)


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Rows whose features are held, to try scales on."""

    features: np.ndarray  # (rows, kept), of a kernel of unit amplitude
    lost: np.ndarray  # (rows,), likewise, counted from its mean
    targets: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls, process: ReducedProcess, X: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> Sampled:
        return cls(*_unit_features(process, X)[:2], targets, weights)

    def best_scale(self) -> Scaled:
        """The scale and spread of least log loss left out: up or down by factors of 3 while that
        helps, then to the bottom of the parabola through the best three."""
        spread = np.mean(np.sum(self.features**2, axis=1))
        unit = 1 / np.sqrt(spread) if spread > 0 else 1.0
        tried: dict[float, Scaled] = {}

        def loss(log_scale: float) -> float:
            if log_scale not in tried:
                nearest = min(tried, key=lambda other: abs(other - log_scale), default=None)
                start = None if nearest is None else tried[nearest]
                tried[log_scale] = self.at(unit * float(np.exp(log_scale)), start)
            return tried[log_scale].log_loss

        step = np.log(3.0)
        here = float(np.log(START))
        direction = step if loss(here + step) < loss(here) else -step
        while abs(here + direction) < np.log(FARTHEST) and loss(here + direction) < loss(here):
            here += direction
        if here - step in tried and here + step in tried:
            left, middle, right = (loss(here + move) for move in (-step, 0.0, step))
            bend = left - 2 * middle + right
            if bend > 0:
                loss(here + step * 0.5 * (left - right) / bend)
        return min(tried.values(), key=lambda found: found.log_loss)

    def at(self, scale: float, start: Scaled | None = None) -> Scaled:
        """The posterior at one scale, with the spread of least log loss left out."""
        design = _assembled(self.features, self.lost, scale)
        if start is None:
            mean = np.zeros((design.shape[1], self.targets.shape[1]))
        else:  # the same functions
            constant = np.arange(design.shape[1])[:, None] == 0
            mean = start.latents.mean * np.where(constant, 1.0, start.scale / scale)
        latents = find_mode((design, self.targets, self.weights), mean)
        mean, variance = leave_one_out(latents, design, self.targets, self.weights)
        losses = [(self._log_loss(mean, spread * variance), spread) for spread in SPREADS]
        # Where all spreads are as good, for want of variance, the whole variance.
        loss, spread = min(losses, key=lambda pair: (round(pair[0], 6), -pair[1]))
        return Scaled(scale, spread, latents, loss)

    def _log_loss(self, mean: np.ndarray, variance: np.ndarray) -> float:
        chances = expected_probabilities(mean, variance)
        chosen = self.targets.argmax(axis=1) if self.targets.shape[1] > 1 else self.targets[:, 0]
        of_label = chances[np.arange(len(chances)), chosen.astype(int)]
        losses = -np.log(np.maximum(of_label, np.finfo(float).tiny))
        return float(np.average(losses, weights=self.weights))


@dataclasses.dataclass(frozen=True)
class Scaled:
    """What one scale gives."""

    scale: float
    spread: float
    latents: Latents
    log_loss: float


def _design(process: ReducedProcess, X: np.ndarray, scale: float) -> np.ndarray:
    return _assembled(*_unit_features(process, X)[:2], scale)


def _unit_features(
    process: ReducedProcess, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kept features (rows, kept), and what was cut: noise, counted from its mean over the data,
    and excess (rows,), of a kernel of unit amplitude."""
    with jax.enable_x64(True):
        noise, excess = process.lost_variances(X)
        features = process.kept_features(X) / np.sqrt(process.amplitude)
        mean = process.mean_lost()
        return features, (noise - mean) / process.amplitude, excess / process.amplitude


def _assembled(features: np.ndarray, lost: np.ndarray, scale: float) -> np.ndarray:
    constant = np.full((len(features), 1), BIAS_DEVIATION)
    return _steepness(lost, scale)[:, None] * np.hstack([constant, scale * features])


def _steepness(lost: np.ndarray, scale: float) -> np.ndarray:
    """Of the link (rows,), against that at the mean lost variance (from which `lost` is counted);
    at most twice."""
    return slope(np.maximum(scale**2 * lost, -0.75 * 8 / np.pi))
