"""Several outputs that share nothing: each with a kernel, inducing points and cutoff of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from wilsonian.regression.regressor import ReducedGPRegressor


class SeparateOutputsRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """One :class:`ReducedGPRegressor` for each output: a smooth one beside a rough one, or beside
    noise, learns length scales of its own.

    Costs a fit for each output; where outputs differ in amplitude and noise only,
    ``ReducedGPRegressor(per_output="scale")`` shares kernel and pass over the data. Unlike
    :class:`sklearn.multioutput.MultiOutputRegressor` it has standard deviations and covariances,
    and :func:`wilsonian.save_model` saves it.

    Parameters
    ----------
    regressor : ReducedGPRegressor, default ReducedGPRegressor()
        What every output is fitted with; it is copied, not changed.

    Attributes
    ----------
    estimators_ : list of fitted ReducedGPRegressor, one for each output
    amplitude_, noise_variance_, ridge_, rank_, n_modes_ : arrays (outputs,), as theirs
    log_marginal_likelihood_value_ : float, nats, targets scaled, summed over outputs
    convergence_ : list of str, one sentence for each output
    """

    estimators_: list[ReducedGPRegressor]
    target_dimensions_: int

    def __init__(self, regressor: ReducedGPRegressor | None = None):
        self.regressor = regressor

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SeparateOutputsRegressor:
        """Fit to inputs (rows, columns) and targets (rows,) or (rows, outputs). Raises ValueError
        as :meth:`ReducedGPRegressor.fit` does; for a constant target it names the output."""
        X, y = validate_data(self, X, y, dtype=float, multi_output=True, y_numeric=True)
        one = ReducedGPRegressor() if self.regressor is None else self.regressor
        targets = np.asarray(y, float).reshape(len(X), -1)
        fitted = []
        for output, column in enumerate(targets.T):
            if np.ptp(column) == 0:
                raise ValueError(
                    f"`y` is constant in output {output} (every value is {column[0]:g}): there is "
                    "nothing to learn; leave it out."
                )
            fitted.append(clone(one).fit(X, column, sample_weight))
        return self.adopt(fitted, y.ndim)

    def adopt(
        self, fitted: list[ReducedGPRegressor], target_dimensions: int
    ) -> SeparateOutputsRegressor:
        """Be the estimator of these, one for each output; targets had one axis or two."""
        self.estimators_, self.target_dimensions_ = fitted, target_dimensions
        self.n_features_in_ = fitted[0].n_features_in_
        for name in ("amplitude_", "noise_variance_", "ridge_", "rank_", "n_modes_"):
            setattr(self, name, np.array([np.squeeze(getattr(each, name)) for each in fitted]))
        evidences = [each.log_marginal_likelihood_value_ for each in fitted]
        self.log_marginal_likelihood_value_ = float(sum(evidences))
        self.convergence_ = [each.convergence_ for each in fitted]
        return self

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        include_noise: bool = False,
    ) -> Any:
        """As :meth:`ReducedGPRegressor.predict`: means (rows, outputs), standard deviations (rows,
        outputs), covariances (rows, rows, outputs); without the last axis if targets had none."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=float)
        found = [
            each.predict(X, return_std, return_cov, include_noise) for each in self.estimators_
        ]
        if not (return_std or return_cov):
            return self._stacked(found)
        means, spreads = zip(*found, strict=True)
        return self._stacked(means), self._stacked(spreads)

    def report(self) -> str:
        """What every output learned, a line for each."""
        check_is_fitted(self)
        return "\n".join(
            f"output {number}: noise variance {each.noise_variance_:.4g}, {each.n_modes_} modes of "
            f"{each.rank_} inducing points, kernel {each.kernel_}. {each.convergence_}"
            for number, each in enumerate(self.estimators_)
        )

    def _stacked(self, columns: Any) -> np.ndarray:
        return columns[0] if self.target_dimensions_ == 1 else np.stack(columns, axis=-1)
