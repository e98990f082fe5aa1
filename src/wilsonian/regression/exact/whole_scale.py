"""Scales of a process with all its modes, by the evidence of some of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.optimize

from wilsonian.core.precision import with_precision
from wilsonian.kernels import (
    AbstractStationary,
    Constant,
    Kernel,
    Rescaled,
    Scaled,
    Sum,
    compiled_gram,
)
from wilsonian.regression.sample import Sample

ROWS = 3000  # whose kernel matrix is taken apart, for every stretch: two seconds each
RATIOS = (1e-9, 1e3)  # noise over amplitude, searched
GRID = 64
# Of the length scales, tried one after another while the evidence rises, by a nat or more in all.
STRETCHES = tuple(2.0 ** (-k / 4) for k in range(1, 13))
GAIN = 1.0


class WholeScale(NamedTuple):
    """What the evidence of a process with all its modes says of its prior."""

    amplitude: float
    noise_variance: float
    stretch: float  # to multiply all length scales by, at most one


def scale_of_whole(
    kernel: Kernel, sample: Sample, least_noise: float, *, learn_stretch: bool = False
) -> WholeScale:
    r"""Amplitude a and noise variance :math:`\sigma^2` that maximize the evidence of a sample with
    scaled targets (rows, outputs), without a cutoff.

    A reduced theory may explain by its eliminated modes what is noise in truth; the whole process
    may not. With :math:`W^{1/2} K W^{1/2} = U \Lambda U^T` (weights W), :math:`t = U^T W^{1/2} y`
    and :math:`\rho = \sigma^2 / a` the best amplitude is :math:`\hat a = \frac{1}{n p} \sum
    t_k^2 / (\lambda_k + \rho)`, and what is left to maximize over :math:`\rho` is
    :math:`-\tfrac12 p\,[n \log \hat a + \sum_k \log (\lambda_k + \rho)]`. The noise is at least
    `least_noise`. In float64: call it where that is enabled.

    With `learn_stretch` also by what to shorten all length scales: a reduced theory does not see
    what is shorter than its modes, and calls it noise. Left alone are kernels whose numbers are not
    all length scales and variances.
    """
    few = sample.draw(ROWS, np.random.default_rng(0))
    first = best = _scale(*_spectrum(kernel, few), least_noise)
    stretch = 1.0
    for shorter in STRETCHES if learn_stretch and _has_length_scales(kernel) else ():
        found = _scale(*_spectrum(Rescaled(kernel, shorter), few), least_noise)
        if found[2] >= best[2]:
            break
        best, stretch = found, shorter
    if few.y.size / 2 * (first[2] - best[2]) < GAIN:
        best, stretch = first, 1.0
    return WholeScale(*best[:2], stretch)


def _has_length_scales(kernel: Kernel) -> bool:
    if isinstance(kernel, Sum):
        return _has_length_scales(kernel.left) and _has_length_scales(kernel.right)
    if isinstance(kernel, Scaled):
        return _has_length_scales(kernel.kernel)
    return isinstance(kernel, AbstractStationary | Constant)


def _spectrum(kernel: Kernel, few: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the weighted kernel matrix, and mean squares of the targets along them."""
    roots = np.sqrt(few.weights)
    gram = np.array(compiled_gram(with_precision(kernel, float), few.X, few.X))
    values, vectors = np.linalg.eigh(gram * roots * roots[:, None])
    powers = np.mean((vectors.T @ (few.y * roots[:, None])) ** 2, axis=1)
    return np.maximum(values, 0.0), powers


def _scale(
    values: np.ndarray, powers: np.ndarray, least_noise: float
) -> tuple[float, float, float]:
    """Amplitude, noise, and twice what the evidence loses there for each row and output."""

    def amplitude(log_ratio: float) -> float:
        return float(np.mean(powers / (values + np.exp(log_ratio))))

    def loss(log_ratio: float) -> float:
        spread = np.mean(np.log(values + np.exp(log_ratio)))
        return float(np.log(max(amplitude(log_ratio), np.finfo(float).tiny)) + spread)

    log_ratio = _least(loss, RATIOS)
    ratio, best = float(np.exp(log_ratio)), amplitude(log_ratio)
    if best * ratio >= least_noise:
        return best, best * ratio, 1 + loss(log_ratio)

    def loss_at_least_noise(log_amplitude: float) -> float:
        total = np.exp(log_amplitude) * values + least_noise
        return float(np.mean(powers / total + np.log(total)))

    log_best = _least(loss_at_least_noise, (best * 1e-3, best * 1e3))
    return float(np.exp(log_best)), least_noise, loss_at_least_noise(log_best)


def _least(loss: Callable[[float], float], between: tuple[float, float]) -> float:
    """Where a function of a logarithm is least: the best of a grid, then between its neighbours."""
    grid = np.linspace(np.log(between[0]), np.log(between[1]), GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    return float(scipy.optimize.minimize_scalar(loss, bounds=bounds, method="bounded").x)
