"""Scikit-learn estimators of the reduced Gaussian process: classification."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
import scipy.optimize
import scipy.special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from wilsonian.regression.classification.column_process import ColumnProcess
from wilsonian.regression.classification.label_process import LabelProcess
from wilsonian.regression.classification.pool import shares_of
from wilsonian.regression.classification.scaled import Labels
from wilsonian.regression.exact.residual_correction import ResidualCorrection
from wilsonian.regression.processes.outputs import parts_of
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.sample import Sample, check_weights
from wilsonian.regression.statistics import Block, chunks, row_blocks
from wilsonian.support.row_threads import shared_rows

# Up to here all rows are held as features; beyond, what rows left out choose is chosen from so many
# of them, drawn at random, and latents are found in passes over blocks of all.
ROWS_IN_MEMORY = 8192
ROWS_PER_LENGTH_SCALE = 100
LIKELIHOODS = ("auto", "logistic", "regression")


class ReducedGPClassifier(ClassifierMixin, BaseEstimator):
    r"""Classification with the unlearnable kernel modes integrated out.

    Kernel, inducing points, modes and cutoff are those of a :class:`ReducedGPRegressor` on class
    labels (two classes are a target of :math:`\pm 1`, more are one-hot targets, as in Howard,
    Jefferson, Maiti and Ringel 2024). Probabilities then come from three predictions:

    - latent functions of the modes with a logistic (two classes) or softmax link, in Laplace's
      approximation and integrated out; the scale of the latents minimizes the log loss of training
      rows left out, and eliminated modes renormalize the link. With `cutoff="auto"` these are all
      resolved modes: the noise that its rule knows is the regression's, and labels teach more
      (:class:`wilsonian.regression.classification.label_process.LabelProcess`). Up to 8,192 rows
      are held as features; more are read in several passes;
    - latents linear in the columns, likewise: on few rows a smooth kernel takes for curvature what
      is chance (:class:`wilsonian.regression.classification.column_process.ColumnProcess`);
    - the regression itself, with one calibrated temperature,

    .. math:: p_c(x) \propto \exp\left[\beta \bar f_c(x) / \sqrt{1 + \tfrac{\pi}{8} \beta^2
        \mathrm{Var} f_c(x)}\right]

    (the moderation of MacKay 1992), :math:`\beta` chosen by the log loss of rows left out.

    They are mixed in the shares that make rows left out most likely
    (:mod:`wilsonian.regression.classification.pool`). A row left out loses one repetition: repeated
    rows and sample weights are the same data. Far from all training rows only the latents of modes
    count, which know no class there.

    Parameters
    ----------
    likelihood : "auto", "logistic" or "regression"
        The mixture; of the latents alone; or the regression alone, which is quick, and as good
        where classes are balanced and noise is the same everywhere.
    noise_variance : float, default 0.3
        Where learning starts, in units of the variance of the labels' targets.
    ard : "auto" or bool
        As in :class:`ReducedGPRegressor`; with "auto", and a likelihood other than "regression",
        also no more length scales than one per 100 rows.
    kernel, amplitude, rank, max_rank, cutoff, threshold, optimizer, learn,
    move_inducing_points, \
n_restarts, max_iterations, inducing points, block_size, dtype, exact, random_state
        As in :class:`ReducedGPRegressor`; latents know resolved modes only, so that `exact`
        concerns the regression's.

    Attributes
    ----------
    classes_ : array (classes,)
    regressor_ : ReducedGPRegressor, fitted to the labels
    labels_, columns_ : LabelProcess, ColumnProcess, latents of modes and of columns, or None
    inverse_temperature_ : float, the calibrated :math:`\beta`, or None
    shares_ : dict, of "regression", "modes" and "columns" in the mixture
    leave_one_out_log_loss_ : float, nats, of training rows; NaN in models of version 0.1.0
    flow_, spectrum_, n_modes_ : of `regressor_`
    """

    def __init__(
        self,
        kernel: Any = None,
        *,
        likelihood: str = "auto",
        amplitude: float = 1.0,
        noise_variance: float = 0.3,
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
        exact: bool = False,
        random_state: Any = None,
    ):
        self.kernel = kernel
        self.likelihood = likelihood
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
        self.exact = exact
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ReducedGPClassifier:
        """Fit to inputs (rows, columns) and class labels (rows,). A sample weight counts as that
        many repetitions of its row.

        Raises ValueError for NaN or infinity, missing labels, mismatched lengths, labels that are
        not classes, or fewer than two classes.
        """
        self._check_likelihood()
        check_labels_present(y)
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
        regressor = self.regressor(*X.shape).fit(X, class_targets(codes, len(classes)), weights)
        merged = Sample(X, codes[:, None], weights).merged()
        codes = merged.y[:, 0].astype(int)
        return self.adopt(regressor, classes, merged.X, codes, merged.weights)

    def regressor(self, rows: int | None = None, columns: int = 1) -> ReducedGPRegressor:
        """The regressor, unfitted, that learns :func:`class_targets` from a table of this shape. A
        label says less than a number: one length scale per column fits what is chance (wine:
        log loss .08 instead of .01) unless there are ROWS_PER_LENGTH_SCALE rows for each."""
        self._check_likelihood()
        parameters = self.get_params(deep=False)
        likelihood = parameters.pop("likelihood")
        few = rows is not None and rows < ROWS_PER_LENGTH_SCALE * columns
        if likelihood != "regression" and few and self.ard == "auto":
            parameters["ard"] = False
        if likelihood != "regression":
            # The scale and what is straight in columns are chosen by the labels' own likelihood.
            parameters |= {"second_scale": False, "search": "coarse"}
            if self.rank == "auto" and rows is not None and rows < 2 * self.max_rank:
                # Its rule knows the regression's noise; labels teach of more modes.
                parameters["rank"] = min(rows, self.max_rank)
        return ReducedGPRegressor(**parameters, per_output=None)

    def _check_likelihood(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"`likelihood` must be one of {LIKELIHOODS}, got {self.likelihood!r}.")
        if self.exact and self.likelihood == "logistic":
            raise ValueError(
                "exact=True needs likelihood='regression' or 'auto': the latents of the logistic "
                "likelihood know kept modes only."
            )

    @shared_rows()
    def adopt(
        self,
        regressor: ReducedGPRegressor,
        classes: np.ndarray,
        X: np.ndarray,
        codes: np.ndarray,
        weights: np.ndarray | None = None,
        blocks: Callable[[], Iterable[Block]] | None = None,
    ) -> ReducedGPClassifier:
        """Take over a regressor fitted to :func:`class_targets`, and find probabilities from
        training rows `X` with class numbers `codes` and sample weights (one each, if None). If
        these are a uniform sample only, every call of `blocks` runs through all rows, with their
        :func:`class_targets` (rows, outputs)."""
        weights = np.ones(len(X)) if weights is None else weights
        count = len(classes)
        sample = Labels(X, codes, weights, count)
        if len(X) > ROWS_IN_MEMORY:
            if blocks is None:
                rows = Sample(X, class_targets(codes, count).reshape(len(X), -1), weights)
                blocks = functools.partial(row_blocks, rows, self.block_size)
            few = np.sort(np.random.default_rng(0).choice(len(X), ROWS_IN_MEMORY, replace=False))
            sample = Labels(X[few], codes[few], weights[few], count)
        found: dict[str, Any] = {}
        losses: dict[str, np.ndarray] = {}
        if self.likelihood != "logistic":
            exact_or_kept = regressor.correction_ or _process(regressor)
            found["regression"], losses["regression"] = calibrate(exact_or_kept, sample)
        if self.likelihood != "regression":

            def labelled():
                for inputs, outputs, counts, *_ in blocks():
                    yield inputs, (outputs + 1) / 2 if count == 2 else outputs, counts

            all_rows = None if blocks is None else labelled
            found["modes"], losses["modes"] = LabelProcess.fit(
                _process(regressor),
                sample,
                all_rows,
                resolved=isinstance(self.cutoff, str) and self.cutoff == "auto",
            )
            found["columns"], losses["columns"] = ColumnProcess.fit(sample, all_rows)
        shares, log_loss = shares_of(np.stack(list(losses.values())), sample.weights)
        kept = dict(zip(losses, shares.tolist(), strict=True))
        return self.restore(
            regressor,
            classes,
            labels=found.get("modes"),
            columns=found["columns"] if kept.get("columns") else None,
            inverse_temperature=found["regression"] if kept.get("regression") else None,
            shares=kept,
            log_loss=log_loss,
        )

    def restore(
        self,
        regressor: ReducedGPRegressor,
        classes: np.ndarray,
        *,
        labels: LabelProcess | None = None,
        columns: ColumnProcess | None = None,
        inverse_temperature: float | None = None,
        shares: dict[str, float] | None = None,
        log_loss: float = np.nan,
    ) -> ReducedGPClassifier:
        """Be the fitted estimator of these results; without `shares` that of the latents of modes,
        or of the regression where there are none."""
        self.regressor_, self.classes_ = regressor, classes
        self.labels_, self.columns_ = labels, columns
        self.inverse_temperature_ = inverse_temperature
        alone = "regression" if labels is None else "modes"
        self.shares_ = {alone: 1.0} if shares is None else shares
        self.leave_one_out_log_loss_ = log_loss
        self.n_features_in_ = regressor.n_features_in_
        self.flow_, self.spectrum_ = regressor.flow_, regressor.spectrum_
        self.n_modes_ = regressor.n_modes_
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class, (rows,): that of greatest :meth:`predict_proba`."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities (rows, classes), in the order of `classes_`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=float)
        return np.concatenate([self._mixed(block) for block in chunks(X, self.block_size)])

    def _mixed(self, X: np.ndarray) -> np.ndarray:
        """Probabilities of some rows."""
        chances = np.zeros((len(X), len(self.classes_)))
        if self.inverse_temperature_ is not None:
            mean, std = self.regressor_.predict(X, return_std=True)
            mean, std = mean.reshape(len(X), -1), std.reshape(len(X), -1)
            scores = temperature_scores(mean, std, self.inverse_temperature_)
            chances += self.shares_["regression"] * scipy.special.softmax(scores, axis=1)
        if self.labels_ is not None:
            of_modes, far = self.labels_.probabilities(X)
            chances += self.shares_["modes"] * of_modes
            if self.columns_ is not None:
                of_columns = self.columns_.probabilities(X)
                of_columns += far[:, None] * (of_modes - of_columns)
                chances += self.shares_["columns"] * of_columns
        return chances


def class_targets(codes: np.ndarray, classes: int) -> np.ndarray:
    """Regression targets of class numbers: -1 and 1 for two classes, (rows,); else one-hot,
    (rows, classes)."""
    return 2.0 * codes - 1.0 if classes == 2 else np.eye(classes)[codes]


def calibrate(
    process: ReducedProcess | ResidualCorrection, labels: Labels
) -> tuple[float, np.ndarray]:
    """The inverse temperature of least log loss of rows left out of a regression on
    :func:`class_targets`, and their losses (rows,) in nats."""
    with jax.enable_x64(True):
        targets = class_targets(labels.codes, labels.classes).reshape(len(labels.X), -1)
        means, variances = process.leave_one_out(labels.X, targets, labels.weights)
        scale = process.modes.target_scale
    deviations = np.sqrt(variances)[:, None] * scale

    def losses(log_inverse_temperature):
        scores = temperature_scores(means, deviations, np.exp(log_inverse_temperature))
        return labels.log_losses(scipy.special.softmax(scores, 1))

    best = scipy.optimize.minimize_scalar(
        lambda log_beta: np.average(losses(log_beta), weights=labels.weights),
        bounds=np.log([0.1, 100.0]),
    )
    return float(np.exp(best.x)), losses(best.x)


def temperature_scores(mean: np.ndarray, std: np.ndarray, inverse_temperature: float) -> np.ndarray:
    """Logarithms of unnormalized probabilities of a regression, (rows, classes)."""
    moderation = np.sqrt(1 + np.pi / 8 * (inverse_temperature * std) ** 2)
    scores = inverse_temperature * mean / moderation
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores


def _process(regressor: ReducedGPRegressor) -> ReducedProcess:
    """The process of all classes' targets, which share amplitude and noise."""
    (process,) = parts_of(regressor.process_)
    return process


def check_labels_present(y: Any) -> None:
    """Raise ValueError when class labels of any type are missing (None, NaN, NaT or pandas' NA), or
    of types that have no order."""
    if isinstance(y, list | tuple):  # NumPy would make text of every label beside one
        try:
            labels = np.array(y, dtype=object)
        except ValueError:  # ragged
            return
    else:
        labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind not in "OM":
        return  # scikit-learn's own checks have their sentences
    missing = np.flatnonzero([_missing(label) for label in labels])
    if len(missing):
        raise ValueError(
            f"`y` holds {len(missing)} missing labels (the first is {labels[missing[0]]!r} in row "
            f"{missing[0]}): leave those rows out, or give them a class name of their own."
        )
    kinds = sorted({type(label).__name__ for label in labels})
    if len(kinds) > 1:
        try:
            np.unique(labels)
        except TypeError as error:
            raise ValueError(
                f"`y` mixes labels of types that have no order ({', '.join(kinds)}): make them "
                "all text, for instance."
            ) from error


def _missing(label: Any) -> bool:
    if label is None:
        return True
    try:
        return not bool(label == label)  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # pandas' NA has no truth
        return True
