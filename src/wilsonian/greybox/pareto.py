r"""Shape of the tail of importance weights (Vehtari et al., Pareto smoothed importance sampling):
below 0.5 the estimate is good, above 0.7 not to be trusted."""

from __future__ import annotations

import numpy as np


def pareto_shape(log_weights: np.ndarray) -> float:
    r""":math:`\hat k` of the largest weights, by the estimate of Zhang and Stephens (2009) for the
    generalized Pareto law, shrunk towards 0.5 as in PSIS. Infinite below 25 finite weights."""
    logs = np.asarray(log_weights, float)
    logs = np.sort(logs[np.isfinite(logs)])
    count = len(logs)
    if count < 25:
        return float("inf")
    tail = int(min(np.ceil(0.2 * count), np.ceil(3 * count**0.5)))
    weights = np.exp(logs - logs[-1])
    above = weights[-tail:] - weights[-tail - 1]
    above = above[above > 0]
    if len(above) < 5:
        return 0.0  # all tail weights alike: nothing is heavier than anything
    return _zhang_stephens(above)


def _zhang_stephens(above: np.ndarray) -> float:
    n = len(above)
    grid = 30 + int(n**0.5)
    quarter = above[int(n / 4 + 0.5) - 1]
    theta = 1 / above[-1] + (1 - (grid / (np.arange(1, grid + 1) - 0.5)) ** 0.5) / (3 * quarter)
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = -np.mean(np.log1p(-theta[:, None] * above), axis=1)
        log_likelihood = n * (np.log(theta / shape) + shape - 1)
    log_likelihood = np.where(np.isfinite(log_likelihood), log_likelihood, -np.inf)
    weight = np.exp(log_likelihood - log_likelihood.max())
    best = np.sum(theta * weight) / np.sum(weight)
    k = float(np.mean(np.log1p(-best * above)))
    return (n * k + 10 * 0.5) / (n + 10)
