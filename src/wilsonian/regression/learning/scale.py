"""Amplitude and noise of a kernel that stays, by the evidence of all rows or of a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.optimize

from wilsonian.core.precision import with_precision
from wilsonian.kernels import host_diagonal, host_gram
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.evidence_gradient import evidence_and_slopes
from wilsonian.regression.learning.starts import AMPLITUDE_RANGE, NOISE_RANGE
from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.sample import Sample

SCALE_ROWS = 4000  # their evidence sets amplitude and noise of an input-dependent ridge


def learn_scale(modes: Modes, hyperparameters: Hyperparameters) -> Hyperparameters:
    """Amplitude and noise that maximize the evidence of all rows, known through their sufficient
    statistics, under a uniform ridge."""
    count = modes.n_samples * len(modes.target_square)

    def objective(vector):
        evidence, slopes = evidence_of_modes(modes, *np.exp(vector))
        return -evidence / count, -slopes / count

    mean_square = float(np.mean(modes.target_square) / modes.n_samples)
    return _maximized(objective, hyperparameters, mean_square)


def evidence_of_modes(
    modes: Modes, amplitude: float, noise_variance: float
) -> tuple[float, np.ndarray]:
    r"""Log evidence of :meth:`Modes.theory`, in nats summed over the p outputs, and its slopes in
    the logarithms of amplitude a and noise, (2,). In modes all is diagonal: with
    :math:`\rho = \sigma^2 + a t`, :math:`L_k = n a \lambda_k / (\rho + n a \lambda_k)` and targets'
    mode coefficients :math:`c_k`,

    .. math:: E = -\tfrac12 \Big[ \frac{|y|^2 - n \sum_k L_k c_k^2}{\rho} - p \sum_k \log(1 - L_k)
        + p n \log 2 \pi \rho \Big].

    Written out: compiled, it would be compiled anew for every number of modes.
    """
    size, outputs = modes.n_samples, len(modes.target_square)
    ridge = noise_variance + amplitude * modes.tail
    signal = size * amplitude * modes.eigenvalues
    learned = signal / (ridge + signal)
    power = size * np.sum(modes.coefficients**2, axis=1)
    quadratic = float(modes.target_square.sum() - learned @ power)
    log_determinant = np.sum(np.log1p(signal / ridge)) + size * np.log(2 * np.pi * ridge)
    evidence = -0.5 * (quadratic / ridge + outputs * log_determinant)
    spread = float((learned * (1 - learned)) @ power) / ridge
    in_ridge = (quadratic / ridge - spread - outputs * (size - learned.sum())) / (2 * ridge)
    in_signal = (spread - outputs * learned.sum()) / 2
    slopes = [in_signal + in_ridge * amplitude * modes.tail, in_ridge * noise_variance]
    return float(evidence), np.array(slopes)


def learn_scale_of_rows(
    modes: Modes, hyperparameters: Hyperparameters, sample: Sample
) -> Hyperparameters:
    """Amplitude and noise that maximize the evidence of a ridge at each of the sample's first rows:
    what the other rows would add to it has no sufficient statistics."""
    size = min(len(sample.X), SCALE_ROWS)
    X, weights = sample.X[:size] - modes.features.origin, sample.weights[:size]
    known = sample.row_noise
    y = (sample.y[:size] - modes.target_mean) / modes.target_scale
    if known is not None:
        known = known[:size] / modes.target_scale[0] ** 2
    kernel = with_precision(hyperparameters.kernel, float)
    points = np.asarray(modes.features.inducing_points, float)
    cross = np.asarray(host_gram(kernel, X, points), float)
    square = np.asarray(host_gram(kernel, points, points), float)
    diagonal = np.asarray(host_diagonal(kernel, X), float)
    count = float(weights.sum()) * y.shape[1]

    def objective(vector):
        amplitude, noise = np.exp(vector)[:, None]
        slopes = evidence_and_slopes(
            cross,
            square,
            diagonal,
            y,
            weights,
            amplitude,
            noise,
            row_noise=known,
            input_dependent=True,
        )
        if not np.isfinite(slopes.evidence):  # outside the region where the factorizations exist
            return 1e10, np.zeros(2)
        gradient = np.concatenate([slopes.amplitude, slopes.noise_variance])
        return -slopes.evidence / count, -gradient / count

    return _maximized(objective, hyperparameters, Sample(X, y, weights).mean_square())


def _maximized(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    hyperparameters: Hyperparameters,
    mean_square: float,
) -> Hyperparameters:
    """Bounded L-BFGS-B in the logarithms of amplitude and noise; `objective` is minus the evidence,
    with its slopes."""
    bounds = np.log(mean_square * np.array([AMPLITUDE_RANGE, NOISE_RANGE]))
    scales = hyperparameters.amplitude, hyperparameters.noise_variance
    start = np.clip(np.log(scales).ravel(), *bounds.T)
    result = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
    amplitude, noise_variance = np.exp(result.x)[:, None]
    return dataclasses.replace(hyperparameters, amplitude=amplitude, noise_variance=noise_variance)
