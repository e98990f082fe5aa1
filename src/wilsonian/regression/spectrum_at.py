"""The spectrum of a fitted estimator with its modes at rows of inputs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from wilsonian.core.spectrum import Spectrum
from wilsonian.regression.classification.classifier import ReducedGPClassifier
from wilsonian.regression.processes.outputs import parts_of
from wilsonian.regression.regressor import ReducedGPRegressor


def spectrum_at(estimator: ReducedGPRegressor | ReducedGPClassifier, X: Any) -> Spectrum:
    r"""All resolved modes of a fitted estimator at the rows of `X` (rows, d), with the eigenvalues
    of `spectrum_` (target squared, amplitude included) and, as the tail, what the kernel has there
    beyond them, :math:`K(x, x) - \sum_k \lambda_k \phi_k(x)^2`.

    What :func:`wilsonian.diagnose_features` takes, the rows being drawn from the population.
    Several outputs share modes; of eigenvalues theirs is the mean. Raises NotFittedError, and
    ValueError for rows that do not fit.
    """
    check_is_fitted(estimator)
    X = validate_data(estimator, X, reset=False, dtype=float)
    inner = estimator.regressor_ if isinstance(estimator, ReducedGPClassifier) else estimator
    process = parts_of(inner.process_)[0]
    bare = np.asarray(process.modes.eigenvalues, float)
    eigenvalues = np.asarray(inner.spectrum_.eigenvalues, float)
    with jax.enable_x64(True):
        modes = np.asarray(process.basis(X), float)
        diagonal = np.asarray(inner.kernel_.diagonal(jnp.asarray(X)), float)
    unit = float(eigenvalues[0] / bare[0])
    tail = unit * np.maximum(diagonal - modes**2 @ bare, 0.0)
    return Spectrum.of(*map(jnp.asarray, (eigenvalues, modes, tail)))
