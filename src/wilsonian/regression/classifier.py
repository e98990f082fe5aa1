"""Scikit-learn estimators of the reduced Gaussian process: classification."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import scipy.optimize
import scipy.special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from wilsonian.regression.estimator_inputs import check_weights
from wilsonian.regression.regressor import MERGED_ROWS, ReducedGPRegressor
from wilsonian.support.sampling import merge_repeated_rows

CALIBRATION_ROWS = 4096  # the one parameter of the calibration needs no more


class ReducedGPClassifier(ClassifierMixin, BaseEstimator):
    r"""Classification by regression on class labels, with calibrated probabilities.

    Two classes are a target of :math:`\pm 1`, more are one-hot targets, as in Howard, Jefferson,
    Maiti and Ringel (2024); a :class:`ReducedGPRegressor` with the parameters of the same names
    learns them, and the class of greatest mean is predicted. Probabilities are

    .. math:: p_c(x) \propto \exp\left[\beta \bar f_c(x) / \sqrt{1 + \tfrac{\pi}{8} \beta^2
        \mathrm{Var} f_c(x)}\right]

    (the moderation of MacKay 1992), with :math:`\beta` chosen by the log loss of the predictions
    that leave each training row out.

    Parameters
    ----------
    kernel, amplitude, noise_variance, rank, max_rank, cutoff, threshold, optimizer, learn,
    move_inducing_points, \
ard, n_restarts, max_iterations, inducing points, block_size, dtype, random_state
        As in :class:`ReducedGPRegressor`.

    Attributes
    ----------
    classes_ : array (classes,)
    regressor_ : ReducedGPRegressor, fitted to the labels
    inverse_temperature_ : float, the calibrated :math:`\beta`
    flow_, spectrum_, n_modes_ : of `regressor_`
    """

    def __init__(
        self,
        kernel: Any = None,
        *,
        amplitude: float = 1.0,
        noise_variance: float = 0.01,
        rank: int | str = "auto",
        max_rank: int = 1024,
        cutoff: Any = "auto",
        threshold: float = 0.1,
        optimizer: str | None = "l-bfgs-b",
        learn: str = "all",
        move_inducing_points: bool | str = "auto",
        ard: bool | str = "auto",
        n_restarts: int = 0,
        max_iterations: int = 100,
        inducing_points: Any = None,
        block_size: int = 4096,
        dtype: str = "float64",
        random_state: Any = None,
    ):
        self.kernel = kernel
        self.amplitude = amplitude
        self.noise_variance = noise_variance
        self.rank = rank
        self.max_rank = max_rank
        self.cutoff = cutoff
        self.threshold = threshold
        self.optimizer = optimizer
        self.learn = learn
        self.move_inducing_points = move_inducing_points
        self.ard = ard
        self.n_restarts = n_restarts
        self.max_iterations = max_iterations
        self.inducing_points = inducing_points
        self.block_size = block_size
        self.dtype = dtype
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ReducedGPClassifier:
        """Fit to inputs (rows, columns) and class labels (rows,). A sample weight counts as that
        many repetitions of its row.

        Raises ValueError for NaN or infinity, mismatched lengths, labels that are not classes, or
        fewer than two classes.
        """
        X, y = validate_data(self, X, y, dtype=float, ensure_min_samples=2)
        check_classification_targets(y)
        weights = check_weights(sample_weight, X)
        X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"`y` holds one class only ({classes[0]!r}): there is nothing to tell apart; check "
                "the target column."
            )
        regressor = self.regressor().fit(X, class_targets(codes, len(classes)), weights)
        if len(X) <= MERGED_ROWS:
            X, codes, weights = merge_repeated_rows(X, codes[:, None], weights)
            codes = codes[:, 0].astype(int)
        return self.adopt(regressor, classes, X, codes, weights)

    def regressor(self) -> ReducedGPRegressor:
        """The regressor, unfitted, that learns :func:`class_targets`."""
        return ReducedGPRegressor(**self.get_params(deep=False))

    def adopt(
        self,
        regressor: ReducedGPRegressor,
        classes: np.ndarray,
        X: np.ndarray,
        codes: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> ReducedGPClassifier:
        """Take over a regressor fitted to :func:`class_targets`, and calibrate probabilities on
        training rows `X` with class numbers `codes` and sample weights (one each, if None)."""
        weights = np.ones(len(X)) if weights is None else weights
        stride = -(-len(X) // CALIBRATION_ROWS)
        X, codes, weights = X[::stride], codes[::stride], weights[::stride]
        process = regressor.process_
        with jax.enable_x64(True):
            targets = class_targets(codes, len(classes)).reshape(len(X), -1)
            means, variances = process.leave_one_out(X, targets, weights)
        deviations = np.sqrt(variances)[:, None] * process.modes.target_scale

        def log_loss(log_inverse_temperature):
            inverse_temperature = np.exp(log_inverse_temperature)
            logs = scipy.special.log_softmax(_scores(means, deviations, inverse_temperature), 1)
            return -np.average(logs[np.arange(len(codes)), codes], weights=weights)

        best = scipy.optimize.minimize_scalar(log_loss, bounds=np.log([0.1, 100.0]))
        return self.restore(regressor, classes, float(np.exp(best.x)))

    def restore(
        self, regressor: ReducedGPRegressor, classes: np.ndarray, inverse_temperature: float
    ) -> ReducedGPClassifier:
        """Be the fitted estimator of these results."""
        self.regressor_, self.classes_ = regressor, classes
        self.inverse_temperature_ = inverse_temperature
        self.n_features_in_ = regressor.n_features_in_
        self.flow_, self.spectrum_ = regressor.flow_, regressor.spectrum_
        self.n_modes_ = regressor.n_modes_
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The class of greatest mean, (rows,)."""
        mean = self._means(X)
        codes = (mean[:, 0] > 0).astype(int) if len(self.classes_) == 2 else mean.argmax(axis=1)
        return self.classes_[codes]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities (rows, classes), in the order of `classes_`."""
        mean, std = self._means(X, return_std=True)
        return scipy.special.softmax(_scores(mean, std, self.inverse_temperature_), axis=1)

    def _means(self, X: Any, return_std: bool = False) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=float)
        if not return_std:
            return self.regressor_.predict(X).reshape(len(X), -1)
        mean, std = self.regressor_.predict(X, return_std=True)
        return mean.reshape(len(X), -1), std.reshape(len(X), -1)


def class_targets(codes: np.ndarray, classes: int) -> np.ndarray:
    """Regression targets of class numbers: -1 and 1 for two classes, (rows,); else one-hot,
    (rows, classes)."""
    return 2.0 * codes - 1.0 if classes == 2 else np.eye(classes)[codes]


def _scores(mean: np.ndarray, std: np.ndarray, inverse_temperature: float) -> np.ndarray:
    """Logarithms of unnormalized probabilities, (rows, classes)."""
    moderation = np.sqrt(1 + np.pi / 8 * (inverse_temperature * std) ** 2)
    scores = inverse_temperature * mean / moderation
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
