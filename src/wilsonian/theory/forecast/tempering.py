"""Draws from a posterior and its evidence, from the prior by degrees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MOVES = 6  # Metropolis moves of every draw at each degree
MOST_DEGREES = 400


def tempered_draws(
    log_likelihood: Callable[[np.ndarray], np.ndarray],
    dimensions: int,
    draws: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, float]:
    r"""Draws (draws, dimensions) from the posterior of a standard normal prior, and the logarithm
    of the evidence.

    The likelihood's power goes from zero to one in steps that leave half the draws effective; at
    each, draws are resampled and moved by random walks of their own covariance. Several modes and
    long ridges are no trouble as long as the prior reaches them. P. Del Moral, A. Doucet, A. Jasra
    (2006), Sequential Monte Carlo samplers.

    `log_likelihood` takes (draws, dimensions) to (draws,). Raises RuntimeError when the likelihood
    is so narrow that 400 degrees do not reach it.
    """
    points = random.standard_normal((draws, dimensions))
    values = _finite(log_likelihood(points))
    power, evidence, step = 0.0, 0.0, 1.0
    for _ in range(MOST_DEGREES):
        move = _next_power(values, 1 - power)
        weights = np.exp(move * (values - values.max()))
        evidence += move * values.max() + np.log(weights.mean())
        power += move
        covariance = _covariance(points, weights / weights.sum())
        chosen = _systematic(weights / weights.sum(), draws, random)
        points, values = points[chosen], values[chosen]
        lower = np.linalg.cholesky(covariance)
        for _ in range(MOVES):
            scale = step * 2.38 / np.sqrt(dimensions)
            new = points + scale * random.standard_normal(points.shape) @ lower.T
            found = _finite(log_likelihood(new))
            gain = power * (found - values) + 0.5 * np.sum(points**2 - new**2, axis=1)
            taken = np.log(random.random(draws)) < gain
            points = np.where(taken[:, None], new, points)
            values = np.where(taken, found, values)
            step = float(np.clip(step * np.exp(taken.mean() - 0.25), 0.05, 2.0))
        if power >= 1:
            return points, float(evidence)
    raise RuntimeError(
        f"the likelihood was reached to a power of {power:.2g} only, in {MOST_DEGREES} degrees."
    )


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, -1e200)


def _next_power(values: np.ndarray, most: float) -> float:
    """The step that leaves half the draws effective, at most `most`."""
    away = values - values.max()

    def effective(step: float) -> float:
        weights = np.exp(step * away)
        return float(weights.sum() ** 2 / np.sum(weights**2))

    half = len(values) / 2
    if effective(most) >= half:
        return most
    low, high = -80.0, float(np.log(most))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(np.exp(middle)) > half else (low, middle)
    return float(np.exp(high))


def _covariance(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    away = points - weights @ points
    found = (weights[:, None] * away).T @ away
    return found + 1e-12 * np.eye(len(found)) + 1e-9 * np.diag(np.diagonal(found))


def _systematic(weights: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """Indices, each as often as its weight says, up to one."""
    places = (random.random() + np.arange(draws)) / draws
    return np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1)
