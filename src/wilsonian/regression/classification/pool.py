"""Shares of several predictions in one: stacking, by the log loss of rows left out."""

from __future__ import annotations

import numpy as np

PRIOR_ROWS = 0.25  # every prediction starts as if it alone had explained so many rows
LEAST, STEPS = 1e-3, 500  # a smaller share is none; iterations at most


def shares_of(losses: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    r"""Shares (predictions,) of a mixture :math:`p(y) = \sum_k s_k p_k(y)` from the log losses
    (predictions, rows) of left out rows that count `weights` times, and its mean log loss:
    :math:`\sum_i w_i \log p(y_i) + \alpha \sum_k \log s_k` at its maximum, by expectation
    maximization (Yao, Vehtari, Simpson and Gelman 2018, with a Dirichlet prior: of few rows the
    best is best by chance)."""
    # What matters is how much better one is than another, and no probability is nought.
    least = losses.min(axis=0)
    chances = np.exp(-np.minimum(losses - least, 700.0))
    shares = np.full(len(losses), 1 / len(losses))
    for _ in range(STEPS):
        told = shares[:, None] * chances
        counts = PRIOR_ROWS + (told / told.sum(axis=0)) @ weights
        before, shares = shares, counts / counts.sum()
        if np.max(np.abs(shares - before)) < 1e-6:
            break
    shares = np.where(shares < LEAST, 0.0, shares)
    shares = shares / shares.sum()
    mixed = least - np.log(np.maximum(shares @ chances, np.finfo(float).tiny))
    return shares, float(np.average(mixed, weights=weights))
