"""Amplitude and noise of a process with all its modes, by the evidence of some of its rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.optimize

from wilsonian.kernels import Kernel, compiled_gram
from wilsonian.regression.sample import Sample

ROWS = 1500  # whose kernel matrix is taken apart: as much work as some hundred thousand rows' pass
RATIOS = (1e-9, 1e3)  # noise over amplitude, searched
GRID = 64


def scale_of_whole(kernel: Kernel, sample: Sample, least_noise: float) -> tuple[float, float]:
    r"""Amplitude a and noise variance :math:`\sigma^2` that maximize the evidence of a sample with
    scaled targets (rows, outputs), without a cutoff.

    A reduced theory may explain by its eliminated modes what is noise in truth; the whole process
    may not. With :math:`W^{1/2} K W^{1/2} = U \Lambda U^T` (weights W), :math:`t = U^T W^{1/2} y`
    and :math:`\rho = \sigma^2 / a` the best amplitude is :math:`\hat a = \frac{1}{n p} \sum
    t_k^2 / (\lambda_k + \rho)`, and what is left to maximize over :math:`\rho` is
    :math:`-\tfrac12 p\,[n \log \hat a + \sum_k \log (\lambda_k + \rho)]`. The noise is at least
    `least_noise`. In float64: call it where that is enabled.
    """
    few = sample.draw(ROWS, np.random.default_rng(0))
    roots = np.sqrt(few.weights)
    gram = np.array(compiled_gram(kernel, few.X, few.X)) * roots * roots[:, None]
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    powers = np.mean((vectors.T @ (few.y * roots[:, None])) ** 2, axis=1)

    def amplitude(log_ratio: float) -> float:
        return float(np.mean(powers / (values + np.exp(log_ratio))))

    def loss(log_ratio: float) -> float:
        spread = np.mean(np.log(values + np.exp(log_ratio)))
        return float(np.log(max(amplitude(log_ratio), np.finfo(float).tiny)) + spread)

    ratio = float(np.exp(_least(loss, RATIOS)))
    best = amplitude(np.log(ratio))
    if best * ratio >= least_noise:
        return best, best * ratio

    def loss_at_least_noise(log_amplitude: float) -> float:
        total = np.exp(log_amplitude) * values + least_noise
        return float(np.mean(powers / total + np.log(total)))

    return float(np.exp(_least(loss_at_least_noise, (best * 1e-3, best * 1e3)))), least_noise


def _least(loss: Callable[[float], float], between: tuple[float, float]) -> float:
    """Where a function of a logarithm is least: the best of a grid, then between its neighbours."""
    grid = np.linspace(np.log(between[0]), np.log(between[1]), GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    return float(scipy.optimize.minimize_scalar(loss, bounds=bounds, method="bounded").x)
