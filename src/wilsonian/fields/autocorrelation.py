r"""How many independent measurements a Markov chain's are worth.

:math:`\tau = 1 + 2\sum_{t\ge1}\rho(t)`, the number of measurements per independent one, summed up
to the window where the statistical error of the tail outweighs what it still holds (the Gamma
method: U. Wolff, hep-lat/0306017, with :math:`\tau = 2\tau_{int}`).
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Autocorrelation:
    """Integrated autocorrelation of one observable."""

    time: float  # measurements per independent one, 1 for independent ones
    error: float
    window: int
    mean: float
    mean_error: float  # standard error of the mean, with autocorrelation


def autocorrelation(series: np.ndarray, decay: float = 1.5) -> Autocorrelation:
    """Of a series (measurements, chains), the chains pooled; ValueError for fewer than 8 rows."""
    values = np.asarray(series, float)
    values = values[:, None] if values.ndim == 1 else values
    steps, chains = values.shape
    if steps < 8:
        raise ValueError(
            f"{steps} measurements per chain are too few for an autocorrelation; take 8 or more."
        )
    centred = values - values.mean()
    padded = np.fft.rfft(centred, 2 * steps, axis=0)
    gamma = np.fft.irfft(np.abs(padded) ** 2, axis=0)[:steps].sum(1)
    gamma /= chains * (steps - np.arange(steps))
    if gamma[0] == 0:
        return Autocorrelation(1.0, 0.0, 0, float(values.mean()), 0.0)
    rho = gamma / gamma[0]
    total = 1.0
    for window in range(1, steps):
        total = max(total + 2 * rho[window], 1e-3)
        half = total / 2
        scale = decay / np.log((2 * half + 1) / (2 * half - 1)) if half > 0.5 else 1e-3
        if np.exp(-window / scale) - scale / np.sqrt(window * steps * chains) < 0:
            break
    # The mean is subtracted from its own series: a bias of order window / measurements.
    total *= 1 + (2 * window + 1) / (steps * chains)
    count = steps * chains
    return Autocorrelation(
        float(total),
        float(total * np.sqrt(2 * (2 * window + 1) / count)),
        window,
        float(values.mean()),
        float(np.sqrt(gamma[0] * max(total, 1.0) / count)),
    )
