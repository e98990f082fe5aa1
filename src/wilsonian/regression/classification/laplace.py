r"""Laplace's approximation for class labels, in the features of a reduced process.

Latents :math:`f = \Phi W` of a design :math:`\Phi` (rows, features) have independent standard
normal weights. Their mode minimizes :math:`-\sum_i w_i \log p(y_i | f_i) + |W|^2 / 2` (Rasmussen
and Williams 2006, sec. 3.4 and 3.5, in the space of weights). The curvature of the softmax link,
:math:`\mathrm{diag}(p) - p p^T`, ties the latents together. Newton's steps take it whole, in
products with vectors; the posterior's variances take its diagonal, :math:`p (1 - p)`, one problem
of the design's width per class. That is exact for two classes (which have one latent); for more,
differences of latents come out up to twice as uncertain as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import scipy.linalg

from wilsonian.regression.classification.link import negative_log_likelihood, probabilities

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # design, targets (rows, latents), weights (rows,)
COVARIANCE_NUMBERS = 2**24  # of all latents' covariances: beyond, the last features count as apart
STEPS, TOLERANCE = 50, 1e-7  # Newton decrement, in nats, at which the mode counts as found


@dataclasses.dataclass(frozen=True)
class Latents:
    """Posterior of the weights: Gaussian, one covariance per latent. The leading features have a
    full one, the trailing ones (where there are too many classes) their variances."""

    mean: np.ndarray  # (features, latents)
    root: np.ndarray  # (latents, leading, leading): covariance is root @ root.T
    rest: np.ndarray  # (latents, trailing), variances
    steps: int
    decrement: float  # nats that another Newton step would gain

    def means(self, design: np.ndarray) -> np.ndarray:
        """Posterior means of the latents, (rows, latents)."""
        return design @ self.mean

    def variances(self, design: np.ndarray) -> np.ndarray:
        """Posterior variances of the latents, (rows, latents)."""
        leading = self.root.shape[1]
        squares = [np.sum((design[:, :leading] @ root) ** 2, axis=1) for root in self.root]
        return np.stack(squares, axis=1) + design[:, leading:] ** 2 @ self.rest.T


@dataclasses.dataclass(frozen=True)
class Pass:
    """What one pass over the rows finds at a point: objective, gradient and curvature."""

    objective: float
    gradient: np.ndarray  # (features, latents), of the log posterior
    curvature: np.ndarray  # (latents, leading, leading)
    rest: np.ndarray  # (latents, trailing)

    @classmethod
    def over(cls, blocks: Iterable[Rows], mean: np.ndarray) -> Pass:
        """At the weights `mean`, over blocks of rows."""
        features, latents = mean.shape
        leading = min(features, int(np.sqrt(COVARIANCE_NUMBERS / latents)))
        objective = 0.5 * float(np.sum(mean**2))
        gradient = -mean
        curvature = np.tile(np.eye(leading), (latents, 1, 1))
        rest = np.ones((latents, features - leading))
        for design, targets, weights in blocks:
            values = design @ mean
            chances = probabilities(values)
            objective += float(weights @ negative_log_likelihood(values, targets))
            gradient = gradient + design.T @ (weights[:, None] * (targets - chances))
            bends = weights[:, None] * chances * (1 - chances)
            for k, bend in enumerate(bends.T):
                scaled = np.sqrt(bend)[:, None] * design[:, :leading]
                curvature[k] += scaled.T @ scaled
            rest += bends.T @ design[:, leading:] ** 2
        return cls(objective, gradient, curvature, rest)

    def factor(self) -> Factor:
        lower = np.stack([np.linalg.cholesky(matrix) for matrix in self.curvature])
        return Factor(lower, self.rest)


@dataclasses.dataclass(frozen=True)
class Factor:
    """The untied curvature, factored."""

    lower: np.ndarray  # (latents, leading, leading), Cholesky
    rest: np.ndarray

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        """The step (features, latents) that this curvature makes of a gradient. Adding the same
        function to all latents changes no probability, so a step's mean over latents is nought."""
        leading = self.lower.shape[1]
        step = np.empty_like(gradient)
        for k, lower in enumerate(self.lower):
            step[:leading, k] = scipy.linalg.cho_solve((lower, True), gradient[:leading, k])
            step[leading:, k] = gradient[leading:, k] / self.rest[k]
        return step - step.mean(axis=1, keepdims=True) if len(self.lower) > 1 else step

    def latents(self, mean: np.ndarray, steps: int, decrement: float) -> Latents:
        """The posterior with this curvature about `mean`."""
        root = [scipy.linalg.lapack.dtrtri(lower, lower=1)[0].T for lower in self.lower]
        return Latents(mean, np.stack(root), 1 / self.rest, steps, decrement)


@dataclasses.dataclass(frozen=True)
class Mode:
    """Where Newton's method came to."""

    mean: np.ndarray  # (features, latents)
    steps: int
    decrement: float  # nats that another step would gain
    lower: np.ndarray | None  # the last preconditioner

    def posterior(self, rows: Rows) -> Latents:
        """With the untied curvature of the rows there."""
        factor = Pass.over([rows], self.mean).factor()
        return factor.latents(self.mean, self.steps, self.decrement)

    def alone(self) -> Latents:
        """As if it were known for certain."""
        features, latents = self.mean.shape
        return Latents(
            self.mean,
            np.zeros((latents, 0, 0)),
            np.zeros((latents, features)),
            self.steps,
            self.decrement,
        )


def find_mode(
    rows: Rows,
    start: np.ndarray,
    tolerance: float = TOLERANCE,
    lower: np.ndarray | None = None,
) -> Mode:
    """Newton's method from `start` for rows in memory, until the next step would gain no more than
    `tolerance` nats. Its systems, of all latents at once, are solved by conjugate gradients in
    products with the design; one factor, of the curvature that latents have on average, serves as
    preconditioner for all of them and for as many steps as it is close enough (exact for two
    classes, where it is fresh); `lower` is that of a problem nearby. Single precision serves these
    solutions, which need two digits; objective, gradient and steps are of double."""
    design, targets, weights = rows
    half, counts = design.astype(np.float32), weights[:, None].astype(np.float32)
    mean, latents = start, start.shape[1]
    values = design @ mean
    objective = 0.5 * float(np.sum(mean**2)) + float(
        weights @ negative_log_likelihood(values, targets)
    )
    decrement, steps = np.inf, 0
    while steps < STEPS:
        chances = probabilities(values)
        gradient = design.T @ (weights[:, None] * (targets - chances)) - mean

        likely = chances.astype(np.float32)

        def curved(vector, likely=likely):
            change = half @ vector
            bent = likely * (1 - likely) * change if latents == 1 else likely * change
            if latents > 1:
                bent -= likely * bent.sum(axis=1, keepdims=True)
            return vector + half.T @ (counts * bent)

        if lower is None:
            lower = _mean_factor(design, weights, chances).astype(np.float32)
        single, iterations = _conjugate_gradients(curved, gradient.astype(np.float32), lower)
        step = single.astype(float)
        if iterations > 15:
            lower = None  # of too distant a point
        decrement = float(np.vdot(gradient, step)) / 2
        if decrement < tolerance * max(1.0, abs(objective) * 1e-3):
            break
        length, change = 1.0, design @ step
        while length > 1e-8:
            trial, moved = mean + length * step, values + length * change
            new = 0.5 * float(np.sum(trial**2)) + float(
                weights @ negative_log_likelihood(moved, targets)
            )
            if new <= objective - 1e-4 * length * decrement:
                break
            length /= 2
        else:
            break  # rounding: nothing is left to gain
        mean, values, objective, steps = trial, moved, new, steps + 1
    return Mode(mean, steps, decrement, lower)


def _mean_factor(design: np.ndarray, weights: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Cholesky factor of the curvature, averaged over latents whose sum stays."""
    count = chances.shape[1]
    bends = weights * (chances * (1 - chances)).sum(axis=1) / max(count - 1, 1)
    scaled = np.sqrt(bends)[:, None] * design
    curvature = scaled.T @ scaled
    curvature[np.diag_indices_from(curvature)] += 1
    return scipy.linalg.cholesky(curvature, lower=True, overwrite_a=True, check_finite=False)


def find_mode_in_passes(
    blocks: Callable[[], Iterable[Rows]], start: np.ndarray, passes: int = 12
) -> Latents:
    """The mode from a `start` nearby, for rows that are read anew in every one of at most `passes`
    passes: Newton steps for two classes; for more L-BFGS, the untied curvature its first guess."""
    mean, here = start, Pass.over(blocks(), start)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []  # steps taken, and changes of the gradient
    steps, length = 0, 1.0
    while True:
        factor = here.factor()
        step = _corrected(here.gradient, factor, pairs if mean.shape[1] > 1 else [])
        decrement = float(np.vdot(here.gradient, step)) / 2
        if decrement < TOLERANCE * max(1.0, abs(here.objective) * 1e-3) or steps >= passes:
            return factor.latents(mean, steps, decrement)
        there = Pass.over(blocks(), mean + length * step)
        steps += 1
        if there.objective <= here.objective:
            pairs.append((length * step, here.gradient - there.gradient))
            mean, here, length = mean + length * step, there, 1.0
        elif length > 1e-6:
            length /= 4
        else:
            return factor.latents(mean, steps, decrement)


def _corrected(
    gradient: np.ndarray, factor: Factor, pairs: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """The factor's step, made to agree with the changes of the gradient seen along earlier steps
    (Nocedal and Wright 2006, algorithm 7.4)."""
    passed = []
    for step, change in reversed(pairs):
        share = np.vdot(step, gradient) / np.vdot(step, change)
        gradient = gradient - share * change
        passed.append(share)
    result = factor.solve(gradient)
    for (step, change), share in zip(pairs, reversed(passed), strict=True):
        result = result + step * (share - np.vdot(change, result) / np.vdot(step, change))
    return result


def _conjugate_gradients(product, gradient, lower, limit=60, tolerance=0.03):
    """Solve product(x) = gradient, preconditioned by a Cholesky factor: (x, iterations)."""

    def solve(vector):
        return scipy.linalg.cho_solve((lower, True), vector, check_finite=False)

    x = np.zeros_like(gradient)
    residual = gradient
    direction = preconditioned = solve(residual)
    size = float(np.vdot(residual, preconditioned))
    target = tolerance**2 * size
    for iteration in range(limit):
        if size <= target:
            return x, iteration
        curved = product(direction)
        length = size / float(np.vdot(direction, curved))
        x = x + length * direction
        residual = residual - length * curved
        preconditioned = solve(residual)
        size, before = float(np.vdot(residual, preconditioned)), size
        direction = preconditioned + size / before * direction
    return x, limit


def row_variances(
    rows: Rows,
    chances: np.ndarray,
    at: np.ndarray | None = None,
    gram: np.ndarray | None = None,
    dropped: float = 0.0,
) -> np.ndarray:
    r"""Posterior variances (rows, latents) of the latents, untied, given rows that have `chances`,
    at the rows themselves or at those of another design, `at`; `gram` is the products of all rows
    with these where they are at hand.

    A row of curvature :math:`b` says at most :math:`b |\phi|^2 / 2` nats of a latent. Rows that say
    least, up to a share `dropped` of the sum, count as saying nothing (most rows of well separated
    classes); with those that are left a matrix of their number, or of the features', is factored,
    whichever is smaller."""
    design, _, weights = rows
    at = design if at is None else at
    sizes = np.einsum("ij,ij->i", design, design)
    squares = np.einsum("ij,ij->i", at, at)
    result = np.empty((len(at), chances.shape[1]))
    for k in range(chances.shape[1]):
        bends = weights * chances[:, k] * (1 - chances[:, k])
        speaking = _speaking(bends * sizes, dropped)
        scaled = np.sqrt(bends[speaking])[:, None] * design[speaking]
        few = len(speaking) < design.shape[1]
        if few and gram is not None:
            cross = np.sqrt(bends[speaking])[:, None] * gram[speaking]
        else:
            cross = scaled @ at.T if few else at.T
        inner = scaled @ scaled.T if few else scaled.T @ scaled
        inner[np.diag_indices_from(inner)] += 1
        lower = scipy.linalg.cholesky(inner, lower=True, overwrite_a=True, check_finite=False)
        half = scipy.linalg.solve_triangular(lower, cross, lower=True, check_finite=False)
        lengths = np.einsum("ij,ij->j", half, half)
        result[:, k] = np.maximum(squares - lengths, 0.0) if few else lengths
    return result


def _speaking(information: np.ndarray, dropped: float) -> np.ndarray:
    """Rows but those of least information, which hold a share `dropped` of it."""
    order = np.argsort(information)
    total = np.cumsum(information[order])
    return np.sort(order[total > dropped * total[-1]])


def leave_one_out(
    rows: Rows, mean: np.ndarray, gram: np.ndarray | None = None, dropped: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    r"""Means and variances (rows, latents) of the latents of weights `mean` at training rows had
    one repetition of each been left out: one of :math:`w` (all of a row of less weight). With
    posterior variance :math:`s` (:func:`row_variances`, whose `gram` and `dropped` these are),
    curvature :math:`b` and slope :math:`g` of one repetition's log likelihood the variance is
    :math:`s' = s / (1 - b s)` and the mean :math:`f - s' g` (the cavity of the Laplace
    approximation, one Newton step from the mode)."""
    design, targets, weights = rows
    values = design @ mean
    chances = probabilities(values)
    bends = chances * (1 - chances)
    once = np.minimum(weights, 1.0)[:, None]
    variance = row_variances(rows, chances, gram=gram, dropped=dropped)
    variance = variance / np.maximum(1 - once * bends * variance, 1e-10)
    return values - once * variance * (targets - chances), variance
