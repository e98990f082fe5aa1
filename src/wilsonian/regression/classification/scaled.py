"""Latents of one scale: that and the spread of least log loss, of rows left out."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import scipy.linalg

from wilsonian.regression.classification.laplace import (
    Latents,
    Mode,
    Rows,
    find_mode,
    leave_one_out,
    row_variances,
)
from wilsonian.regression.classification.link import (
    expected_probabilities,
    probabilities,
    slope,
)
from wilsonian.support.row_threads import by_parts

BIAS_DEVIATION = 5.0  # prior standard deviation of a latent's constant: odds of e^5 are no surprise
START, FARTHEST = 3.0, 1000.0  # prior standard deviation of a latent tried first; the largest
SPREADS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.0)  # shares of the posterior variance tried
# Scales are compared on so many numbers of latents, but at least COMPARED_ROWS rows, at random.
COMPARED, COMPARED_ROWS = 4000, 500
# Up to so many numbers of latents rows are left out in folds, and the mode found without each;
# beyond, one by one in one Newton step. At large scales that step is too short: it promised .062
# nats on breast_cancer where folds, and unseen rows, gave .078.
FOLDS, FOLDED = 5, 15_000
# For rows left out: nats (per thousand of the loss) at which a mode counts as found, the share of
# what rows say that is passed over, points at which several latents are averaged, and the rows up
# to which products of all with all are held.
TOLERANCE, DROPPED, DRAWS, GRAM_ROWS = 1e-3, 0.003, 32, 2500


@dataclasses.dataclass(frozen=True)
class Labels:
    """Rows with classes as numbers, counted `weights` times."""

    X: np.ndarray  # (rows, columns)
    codes: np.ndarray  # (rows,)
    weights: np.ndarray  # (rows,)
    classes: int

    @property
    def targets(self) -> np.ndarray:
        """Classes as probabilities: (rows, 1), of the second of two, or (rows, classes)."""
        return (
            self.codes[:, None].astype(float)
            if self.classes == 2
            else np.eye(self.classes)[self.codes]
        )

    def log_losses(self, chances: np.ndarray) -> np.ndarray:
        """Nats (rows,) of the labels under probabilities (rows, classes)."""
        of_label = chances[np.arange(len(chances)), self.codes]
        return -np.log(np.maximum(of_label, np.finfo(float).tiny))


@dataclasses.dataclass(frozen=True)
class Scaled:
    """What one scale gives."""

    scale: float
    mean: np.ndarray  # (features, latents), of the weights
    spread: float  # share of the latents' posterior variance that probabilities average over
    losses: np.ndarray  # (rows,), nats, of the labels with one repetition of a row left out
    log_loss: float  # their weighted mean


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Rows whose features are held, to try scales on."""

    features: np.ndarray  # (rows, kept)
    lost: np.ndarray  # (rows,), what features miss of the prior variance, counted from its mean
    labels: Labels

    def best_scale(self) -> Scaled:
        """The scale and spread of least log loss left out. Of scales, by a part of the rows: up or
        down by factors of 3 while that helps, then to the bottom of the parabola through the best
        three."""
        part = self._few()
        size = np.mean(np.sum(self.features**2, axis=1))
        unit = 1 / np.sqrt(size) if size > 0 else 1.0
        tried: dict[float, Scaled] = {}

        def loss(log_scale: float) -> float:
            if log_scale not in tried:
                nearest = min(tried, key=lambda other: abs(other - log_scale), default=None)
                start = None if nearest is None else tried[nearest]
                tried[log_scale] = part.at(unit * float(np.exp(log_scale)), start)
            return tried[log_scale].log_loss

        step = np.log(3.0)
        here = float(np.log(START))
        direction = step if loss(here + step) < loss(here) else -step
        while abs(here + direction) < np.log(FARTHEST) and loss(here + direction) < loss(here):
            here += direction
        if here - step in tried and here + step in tried:
            left, middle, right = (loss(here + move) for move in (-step, 0.0, step))
            bend = left - 2 * middle + right
            if bend > 0 and abs(left - right) > 0.2 * bend:  # else it is here
                loss(here + step * 0.5 * (left - right) / bend)
        best = min(tried.values(), key=lambda found: found.log_loss)
        return best if part is self else self.at(best.scale, spreads=(best.spread,))

    def _few(self) -> Sampled:
        """So many of the rows as scales are compared on."""
        count = max(COMPARED // self.labels.targets.shape[1], COMPARED_ROWS)
        if len(self.features) <= count:
            return self
        few = np.sort(np.random.default_rng(0).choice(len(self.features), count, replace=False))
        labels = self.labels
        part = Labels(labels.X[few], labels.codes[few], labels.weights[few], labels.classes)
        return Sampled(narrowed(self.features[few]), self.lost[few], part)

    def at(
        self, scale: float, start: Scaled | None = None, spreads: tuple[float, ...] = SPREADS
    ) -> Scaled:
        """The posterior at one scale, with that of the `spreads` that has the least log loss of
        rows left out."""
        rows = self.rows(scale)
        design, targets, weights = rows
        if start is None:
            mean = np.zeros((design.shape[1], targets.shape[1]))
        else:  # the same functions
            constant = np.arange(design.shape[1])[:, None] == 0
            mean = start.mean * np.where(constant, 1.0, start.scale / scale)
        mode = find_mode(rows, mean, TOLERANCE)
        if targets.size <= FOLDED:
            losses = self._losses_in_folds(rows, mode, spreads)
        else:
            gram = self._gram
            if gram is not None:
                steep = steepness(self.lost, scale)
                gram = steep[:, None] * (BIAS_DEVIATION**2 + scale**2 * gram) * steep
            means, variances = leave_one_out(rows, mode.mean, gram, DROPPED)
            losses = self._losses(means, variances, spreads, slice(None))
        totals = np.round(losses @ weights / weights.sum(), 6)
        # Where all spreads are as good, for want of variance, the whole variance.
        best = int(np.argmin(totals))
        return Scaled(scale, mode.mean, spreads[best], losses[best], float(totals[best]))

    def _losses_in_folds(self, rows: Rows, mode: Mode, spreads: tuple[float, ...]) -> np.ndarray:
        """Log losses (spreads, rows) with a part of all repetitions left out."""
        design, targets, weights = rows
        out = fold_weights(weights)
        losses = np.zeros((len(spreads), len(weights)))

        def of_fold(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            test, some = np.flatnonzero(left), weights > left
            part = design[some], targets[some], (weights - left)[some]
            without = find_mode(part, mode.mean, TOLERANCE, mode.lower).mean
            means, variances = design[test] @ without, np.zeros((len(test), targets.shape[1]))
            if any(spreads):
                chances = probabilities(part[0] @ without)
                variances = row_variances(part, chances, design[test], dropped=DROPPED)
            found = self._losses(means, variances, spreads, test)
            return test, left[test] / weights[test] * found

        for test, found in by_parts(of_fold, [left for left in out.T if left.any()]):
            losses[:, test] += found
        return losses

    def _losses(self, means: Any, variances: Any, spreads: tuple[float, ...], of: Any) -> Any:
        """Log losses (spreads, rows) of the labels of some rows."""
        labels = dataclasses.replace(self.labels, codes=self.labels.codes[of])
        return np.stack(
            [
                labels.log_losses(expected_probabilities(means, spread * variances, DRAWS))
                for spread in spreads
            ]
        )

    def posterior(self, found: Scaled) -> Latents:
        """The latents of a scale that :meth:`at` found: their mode alone where probabilities do not
        average over the rest."""
        rows = self.rows(found.scale)
        mode = find_mode(rows, found.mean)
        return mode.posterior(rows) if found.spread else mode.alone()

    def rows(self, scale: float) -> Rows:
        design = assembled(self.features, self.lost, scale)
        return design, self.labels.targets, self.labels.weights

    @functools.cached_property
    def _gram(self) -> np.ndarray | None:
        return self.features @ self.features.T if len(self.features) <= GRAM_ROWS else None


def fold_weights(weights: np.ndarray) -> np.ndarray:
    """How many repetitions of a row every fold leaves out, (rows, folds): one after the other goes
    to the next fold, those of a row of weight one at random."""
    first = np.random.default_rng(0).permutation(len(weights)) % FOLDS
    whole = np.floor(weights / FOLDS)
    turn = (np.arange(FOLDS) - first[:, None]) % FOLDS
    return whole[:, None] + np.clip((weights - FOLDS * whole)[:, None] - turn, 0.0, 1.0)


def narrowed(features: np.ndarray) -> np.ndarray:
    """Features with the same products, no more of them than rows."""
    if features.shape[1] <= len(features):
        return features
    return scipy.linalg.qr(features.T, mode="r", overwrite_a=False, check_finite=False)[0][
        : len(features)
    ].T


def assembled(features: np.ndarray, lost: np.ndarray, scale: float) -> np.ndarray:
    """The design of latents with a constant, at a scale; unresolved variance flattens the link."""
    constant = np.full((len(features), 1), BIAS_DEVIATION)
    return steepness(lost, scale)[:, None] * np.hstack([constant, scale * features])


def steepness(lost: np.ndarray, scale: float) -> np.ndarray:
    """Of the link (rows,), against that at the mean lost variance (from which `lost` is counted);
    at most twice."""
    return slope(np.maximum(scale**2 * lost, -0.75 * 8 / np.pi))
