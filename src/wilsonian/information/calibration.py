"""How well stated probabilities and intervals hold on examples that were held out."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.special

from wilsonian.information.likelihoods import AbstractLikelihood, Softmax

BINS = 15
LEVELS = np.linspace(0.1, 0.9, 9)


def negative_log_density(
    likelihood: AbstractLikelihood, mean: Any, covariance: Any, y: Any
) -> float:
    """Mean negative log density of held-out labels in nats."""
    values = likelihood.predictive_nll(jnp.asarray(mean), jnp.asarray(covariance), jnp.asarray(y))
    return float(np.mean(np.asarray(values)))


def calibration_error(likelihood: AbstractLikelihood, mean: Any, covariance: Any, y: Any) -> float:
    """Of classes the expected calibration error in 15 bins of confidence; of a regression the mean
    distance between nine central intervals' levels and how often labels fall in them."""
    mean, covariance = jnp.asarray(mean), jnp.asarray(covariance)
    if isinstance(likelihood, Softmax):
        return expected_calibration_error(
            np.asarray(likelihood.predictive(mean, covariance)), np.asarray(y)
        )
    noise = likelihood.covariance(mean.shape[1], mean.dtype)  # type: ignore[attr-defined]
    total = np.asarray(covariance) + np.asarray(noise)
    deviations = np.sqrt(np.einsum("nkk->nk", total))
    inside = np.abs(np.asarray(y) - np.asarray(mean)) / deviations
    reach = np.sqrt(2) * scipy.special.erfinv(LEVELS)
    return float(
        np.mean([abs(np.mean(inside <= z) - p) for z, p in zip(reach, LEVELS, strict=True)])
    )


def expected_calibration_error(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Mean distance between confidence and accuracy, over bins of confidence (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(y))


def accuracy(likelihood: AbstractLikelihood, outputs: Any, y: Any) -> float:
    """Of classes the fraction that is right; of a regression the coefficient of determination."""
    outputs, y = np.asarray(outputs), np.asarray(y)
    if isinstance(likelihood, Softmax):
        return float(np.mean(outputs.argmax(axis=1) == y))
    return float(1 - np.sum((y - outputs) ** 2) / np.sum((y - y.mean(axis=0)) ** 2))
