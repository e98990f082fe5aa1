"""The eliminated modes' own part of a prediction, read out of the residuals of a reduced model."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from wilsonian.kernels import compiled_gram
from wilsonian.regression.input_dependent import InputDependentProcess
from wilsonian.regression.outputs import OutputProcesses
from wilsonian.regression.reduced import ReducedProcess
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.sample import Sample, check_weights
from wilsonian.regression.statistics import chunks, row_blocks


@dataclasses.dataclass(frozen=True)
class ResidualCorrection:
    r"""Posterior mean of a reduced regressor with the modes it eliminated, to leading order.

    A mode q that was integrated out still answers to the data (Howard, Jefferson, Maiti and Ringel
    2024; docs/science/wilsonian.md, section 3):

    .. math:: \bar f_q = \lambda_q \sum_i \phi_q(x_i) \alpha_i, \qquad
        \alpha_i = \frac{y_i - \bar f_<(x_i)}{\sigma_c^2(x_i)},

    so that in all :math:`\bar f(x) = \bar f_<(x) + \sum_i K_>(x, x_i) \alpha_i`. With eliminated
    modes of learnability up to T this takes the error that the cutoff makes from order T to about
    :math:`T^2`. The price: the training rows must be kept, and a prediction costs a kernel value
    for each of them; nothing larger than the reduced model is factorized.

    Build it with :meth:`of`, from a fitted :class:`ReducedGPRegressor` and its training rows.
    """

    process: ReducedProcess
    rows: np.ndarray  # (n, columns)
    dual: np.ndarray  # (n, outputs), alpha with targets scaled
    kept_dual: np.ndarray  # (kept, outputs), of the kept features at the rows
    one_output: bool
    block_size: int

    @classmethod
    def of(
        cls, model: ReducedGPRegressor, X: Any, y: Any, sample_weight: Any = None
    ) -> ResidualCorrection:
        """From the rows `X` (n, columns), targets `y` (n,) or (n, outputs) and weights that `model`
        was fitted on.

        Raises ValueError if they have other columns or outputs than the model, hold NaN, or do not
        fit together; NotFittedError if the model is not fitted.
        """
        check_is_fitted(model)
        X = check_array(X, dtype=float, input_name="X")
        targets = check_array(y, dtype=float, ensure_2d=False, input_name="y")
        if len(targets) != len(X):
            raise ValueError(
                f"`X` has {len(X)} rows and `y` {len(targets)}; pass the model's training rows."
            )
        _check_columns(X, model.n_features_in_)
        process = model.process_
        if model.ridge == "uniform" and isinstance(process, InputDependentProcess):
            raise ValueError(
                "a model with known noise of every row has no residual correction; use the model."
            )
        if isinstance(process, OutputProcesses):
            raise ValueError(
                "outputs with amplitudes and noises of their own have no common residual "
                "correction; fit with per_output=None, or each output by itself."
            )
        outputs = len(process.modes.target_mean)
        one_output, targets = targets.ndim == 1, targets.reshape(len(X), -1)
        if targets.shape[1] != outputs:
            raise ValueError(
                f"`y` has {targets.shape[1]} outputs and the model {outputs}; pass its targets."
            )
        sample = Sample(X, targets, check_weights(sample_weight, X))
        duals, kept_dual = [], np.zeros((process.kept, outputs))
        with jax.enable_x64(True):
            for rows, part, weight, _ in row_blocks(sample, model.block_size):
                ridge = np.asarray(process.mean_ridge())
                if model.ridge == "input-dependent":
                    ridge = process.ridge_at(rows)
                left = (part - process.mean(rows)) / process.modes.target_scale
                duals.append(left * (weight / ridge)[:, None])
                kept_dual += process.kept_features(rows).T @ duals[-1]
        points = X.astype(process.modes.features.inducing_points.dtype)
        return cls(process, points, np.concatenate(duals), kept_dual, one_output, model.block_size)

    def predict(self, X: Any) -> np.ndarray:
        """Posterior mean at `X` (rows, columns), in the target's units: (rows,) or (rows, outputs)
        as the targets were given. Raises ValueError for other columns, and for NaN."""
        X = check_array(X, dtype=float, input_name="X")
        _check_columns(X, self.rows.shape[1])
        process, modes = self.process, self.process.modes
        dual = self.dual.astype(self.rows.dtype)
        means = []
        with jax.enable_x64(True):
            for block in chunks(X, self.block_size):
                gram = compiled_gram(modes.features.kernel, block.astype(dual.dtype), self.rows)
                whole = process.amplitude * np.asarray(gram @ dual, float)
                lost = whole - process.kept_features(block) @ self.kept_dual
                means.append(process.mean(block) + modes.target_scale * lost)
        mean = np.concatenate(means)
        return mean[:, 0] if self.one_output else mean


def _check_columns(X: np.ndarray, columns: int) -> None:
    if X.shape[1] != columns:
        raise ValueError(f"`X` has {X.shape[1]} columns and the model {columns}; pass the same.")
