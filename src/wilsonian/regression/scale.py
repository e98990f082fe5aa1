"""Amplitude and noise of a ridge at every input, by the evidence of a sample of rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize

from wilsonian.core.precision import with_precision
from wilsonian.kernels import compiled_diagonal
from wilsonian.regression.evidence_gradient import evidence_and_slopes
from wilsonian.regression.host_grams import gram
from wilsonian.regression.learning import Hyperparameters
from wilsonian.regression.sample import Sample
from wilsonian.regression.starts import AMPLITUDE_RANGE, NOISE_RANGE


def learn_scale_of_rows(
    hyperparameters: Hyperparameters, inducing_points: np.ndarray, sample: Sample
) -> Hyperparameters:
    """Amplitude and noise that maximize the evidence of a sample under a ridge at each input; the
    kernel stays. Bounded L-BFGS-B in two logarithms."""
    kernel = with_precision(hyperparameters.kernel, float)
    points = np.asarray(inducing_points, float)
    grams = [
        np.asarray(matrix, float)
        for matrix in (
            gram(kernel, sample.X, points),
            gram(kernel, points, points),
            compiled_diagonal(kernel, sample.X),
        )
    ]
    size = float(sample.weights.sum()) * sample.y.shape[1]

    def objective(vector):
        amplitude, noise_variance = np.exp(vector)[:, None]
        slopes = evidence_and_slopes(
            *grams,
            sample.y,
            sample.weights,
            amplitude,
            noise_variance,
            row_noise=sample.row_noise,
            input_dependent=True,
        )
        if not np.isfinite(slopes.evidence):  # outside the region where the factorizations exist
            return 1e10, np.zeros(2)
        gradient = np.concatenate([slopes.amplitude, slopes.noise_variance])
        return -slopes.evidence / size, -gradient / size

    bounds = np.log(sample.mean_square() * np.array([AMPLITUDE_RANGE, NOISE_RANGE]))
    scales = hyperparameters.amplitude, hyperparameters.noise_variance
    start = np.clip(np.log(scales).ravel(), *bounds.T)
    result = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
    amplitude, noise_variance = np.exp(result.x)[:, None]
    return dataclasses.replace(hyperparameters, amplitude=amplitude, noise_variance=noise_variance)
