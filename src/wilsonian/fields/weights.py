r"""Exact weights: effective sample size, free energy, and a Markov chain of independent proposals.

.. math:: \log w = -S(\phi) - \log q(\phi), \quad ESS/N = \frac{(\sum w)^2}{N\sum w^2}, \quad
          \log Z = \log\,\mathrm{mean}\,w

ESS from N draws cannot exceed what N draws saw (docs/science/exact-rg.md, "Weights").
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import logsumexp


@dataclasses.dataclass(frozen=True)
class WeightSummary:
    """What the log weights of draws say."""

    count: int
    effective_fraction: float  # ESS / N
    log_partition_function: float
    log_partition_error: float
    largest_share: float  # of one draw
    log_weight_variance: float  # one runaway makes it meaningless; the ESS stays


def summarize_weights(log_weights: np.ndarray) -> WeightSummary:
    """Summary of draws' log weights; minus infinity is a weight of zero. ValueError for others."""
    logs = np.asarray(log_weights, float)
    if (
        len(logs) == 0
        or np.isnan(logs).any()
        or (logs == np.inf).any()
        or not (logs > -np.inf).any()
    ):
        raise ValueError(
            "log weights must be numbers (minus infinity for zero), with one at least above zero; "
            "look at the fields that gave others."
        )
    total = logsumexp(logs)
    share = np.exp(logs - total)
    fraction = float(1 / (len(logs) * (share**2).sum()))
    finite = logs[np.isfinite(logs)]
    return WeightSummary(
        len(logs),
        fraction,
        float(total - np.log(len(logs))),
        float(np.sqrt(max(1 / fraction - 1, 0.0) / len(logs))),
        float(share.max()),
        float(finite.var()),
    )


def independence_metropolis(log_weights: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    r"""Chain that proposes the draws in turn and accepts with :math:`\min(1, w'/w)`.

    Returns (number of the draw at each step, share accepted); its law is the theory's.
    """
    logs = np.asarray(log_weights, float)
    tests = np.log(np.random.default_rng(seed).uniform(size=len(logs)))
    place, accepted = 0, 0
    places = np.empty(len(logs), int)
    places[0] = 0
    for number in range(1, len(logs)):
        if tests[number] < logs[number] - logs[place]:
            place, accepted = number, accepted + 1
        places[number] = place
    return places, accepted / max(len(logs) - 1, 1)
