"""Scikit-learn estimators of the reduced Gaussian process: regression."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from wilsonian.core.cutoffs import AbstractCutoff
from wilsonian.kernels import Kernel, Matern52, as_kernel
from wilsonian.language.kernel_text import parse_kernel
from wilsonian.regression.exact import ResidualCorrection
from wilsonian.regression.finishing import FittedProcess, finish, resolve_cutoff
from wilsonian.regression.fitting import fit_process
from wilsonian.regression.plan import Plan, random_generator
from wilsonian.regression.preparation import measure_of
from wilsonian.regression.processes.input_dependent import InputDependentProcess
from wilsonian.regression.processes.outputs import OutputProcesses, parts_of
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.processes.uniform import UniformProcess
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import Trust, accumulate, chunks, row_blocks


class ReducedGPRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Gaussian-process regression with the unlearnable kernel modes integrated out.

    The kernel's modes on the data are found in the span of inducing points; those that n samples
    can teach, :math:`n \lambda / (\sigma^2 + n \lambda) \ge T`, are kept, and the others
    renormalize the ridge, :math:`\sigma_c^2 = \sigma^2 + \sum_{q > \kappa} \lambda_q` (Howard,
    Jefferson, Maiti and Ringel 2024, eqs. 33-37). With every mode kept it is exact Gaussian-process
    regression, :class:`sklearn.gaussian_process.GaussianProcessRegressor`.

    Parameters
    ----------
    kernel : Kernel, its text, scikit-learn kernel or callable f(X, Z), default Matern52()
        Prior covariance (text such as "0.5*rbf + linear"); multiplied by a learned amplitude.
    amplitude, noise : float
        Prior variance multiplying the kernel, and noise variance: starting values, or the values
        used if `optimizer` is None. In units of the target's variance if `normalize_y`.
    rank : int or "auto"
        Number of inducing points. "auto" adds inducing points until the cutoff rule is met or
        `max_rank`; `rank_status_` says which.
    cutoff : "auto", None, int, float or cutoff object
        Which modes are kept: those above `threshold`, all, a number of them, those with an
        eigenvalue (targets scaled) of at least a scale, or by a smooth or sharp cutoff's weights.
    threshold : float in (0, 1)
        Learnability T below which the first eliminated mode must lie.
    ridge : "uniform" or "input-dependent"
        What eliminated modes become: :math:`c` everywhere, or :math:`K_>(x, x)` at each input
        (needs a second pass over the data and rules out `partial_fit`).
    optimizer : "l-bfgs-b" or None
        None keeps kernel, amplitude and noise as they are.
    learn : "all" or "scale"
        What the optimizer moves: everything, or amplitude and noise only.
    per_output : "scale" or None
        What every output learns for itself: its amplitude and noise, or nothing. Kernel and
        inducing points are shared; see :class:`wilsonian.SeparateOutputsRegressor`.
    move_inducing_points : "auto" or bool
        Whether inducing points, and hyperparameters with them, follow the gradient of the evidence;
        "auto": if `max_rank` (or `rank`) leaves learnable modes unresolved, or there are more rows
        than the first learning sees.
    ard : "auto" or bool
        Whether scalar length scales become one per column when they are learned; "auto" up to 32
        columns.
    second_scale : "auto" or False
        Whether a sum of two stationary kernels, each with length scales of its own, is learned too
        and kept where its evidence is higher by a nat for each further number: one length scale
        calls small rough effects noise. "auto": up to about two rows per inducing point.
    search : "thorough" or "coarse"
        Runs from several starts, or in single precision from the likeliest alone.
    n_restarts : int
        Further optimizer runs from random starting points.
    normalize_y : bool
        Count targets from their mean in units of their standard deviation.
    inducing points : array (rank, columns), optional
        Inducing points to use as they are.
    dtype : "float64" or "float32"
        Precision of the pass over the data. "float32" gives way to "float64" where it would round
        away the noise: below 3e-4 of the prior's variance.
    exact : bool
        Whether eliminated modes are read out of the training rows, which the model then keeps
        (:class:`ResidualCorrection`; in time that grows with the square of their number).

    Attributes
    ----------
    kernel_, amplitude_ : learned prior; one amplitude, or (outputs,) where each has its own
    noise_variance_, ridge_ : float, noise variance and renormalized ridge in the target's units
        squared; arrays (outputs,) for several outputs
    rank_, n_modes_ : inducing points used, modes kept
    flow_, spectrum_ : FlowRecord, ridge, learnability and evidence at every cutoff; SpectrumRecord
    log_marginal_likelihood_value_ : float, of the reduced theory, targets scaled, nats
    expected_loss_ : float, expected rise in mean squared error from the cutoff (upper bound)
    measure_ : "population" or "sample", whose modes they are (see `wilsonian.Eigenfunctions`)
    rank_status_, convergence_, process_ : str, one sentence each; ReducedProcess
    correction_ : ResidualCorrection if `exact`, else None

    References
    ----------
    .. [1] J. N. Howard, R. Jefferson, A. Maiti, Z. Ringel, "Wilsonian Renormalization of Neural
       Network Gaussian Processes", arXiv:2405.06008.
    """

    correction_: ResidualCorrection | None
    target_dimensions_: int

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
        ridge: str = "uniform",
        optimizer: str | None = "l-bfgs-b",
        learn: str = "all",
        per_output: str | None = "scale",
        move_inducing_points: bool | str = "auto",
        ard: bool | str = "auto",
        second_scale: bool | str = "auto",
        search: str = "thorough",
        n_restarts: int = 0,
        max_iterations: int = 100,
        normalize_y: bool = True,
        inducing_points: Any = None,
        block_size: int = 4096,
        dtype: str = "float64",
        exact: bool = False,
        random_state: Any = None,
    ):
        self.kernel = kernel
        self.amplitude = amplitude
        self.noise_variance = noise_variance
        self.rank = rank
        self.max_rank = max_rank
        self.cutoff = cutoff
        self.threshold = threshold
        self.ridge = ridge
        self.optimizer = optimizer
        self.learn = learn
        self.per_output = per_output
        self.move_inducing_points = move_inducing_points
        self.ard = ard
        self.second_scale = second_scale
        self.search = search
        self.n_restarts = n_restarts
        self.max_iterations = max_iterations
        self.normalize_y = normalize_y
        self.inducing_points = inducing_points
        self.block_size = block_size
        self.dtype = dtype
        self.exact = exact
        self.random_state = random_state

    # Fitting ------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        noise_variance_per_row: Any = None,
    ) -> ReducedGPRegressor:
        """Fit to inputs (rows, columns) and targets (rows,) or (rows, outputs).

        A sample weight is a number of repetitions: weight 3 is the row three times over. What is
        known of the single measurements' errors is something else and goes into
        `noise_variance_per_row` (rows,), variances in the target's units squared (squares of
        standard errors, not precisions). They are taken as they are; `noise_variance_` is the
        common part learned beside them, and the ridge is then one of each row, as for
        `ridge="input-dependent"`. `predict(..., include_noise=True)` adds the common part only.

        Raises ValueError for NaN or infinity, mismatched lengths, fewer than two rows, a constant
        target, or a parameter outside its range. Warns (ContradictedWarning) where the targets
        contradict a noise that is not learned.
        """
        X, y = self._validated(X, y, first=True)
        sample = Sample.checked(X, y, sample_weight, noise_variance_per_row)
        sample.check()
        sample = sample.merged()
        blocks = functools.partial(row_blocks, sample, self.block_size)
        plan, random = self.plan(X.shape[1]), random_generator(self.random_state)
        fitted = fit_process(self.prior(), sample, blocks, plan, random, rows=len(sample.X))
        fitted.warn()
        return self.adopt(fitted, self.target_dimensions_)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> ReducedGPRegressor:
        """Add rows. The first call chooses inducing points and kernel; later ones add to the
        sufficient statistics and, if there is an optimizer, set amplitude and noise anew: the same
        model as one fit of all rows with those inducing points and that kernel."""
        if self.ridge != "uniform":
            raise ValueError(
                "`partial_fit` needs ridge='uniform': an input-dependent ridge has no sufficient "
                "statistics; use `fit`."
            )
        if self.exact:
            raise ValueError("`partial_fit` needs exact=False: all modes need all rows; use `fit`.")
        first = not hasattr(self, "process_")
        if not first and _by_row(self.process_):
            raise ValueError(
                "known noise of every row has no sufficient statistics: use `fit` with all rows."
            )
        if first:
            return self.fit(X, y, sample_weight)
        sample = Sample.checked(*self._validated(X, y, first=False), sample_weight)
        if sample.y.shape[1] != len(self.statistics_.offset):
            seen, had = sample.y.shape[1], len(self.statistics_.offset)
            raise ValueError(f"y has {seen} outputs, the model was fitted with {had}.")
        with jax.enable_x64(True):
            blocks = row_blocks(sample, self.block_size)
            *_, statistics = accumulate(self.prepared_.features, self.statistics_, blocks, Trust())
            prepared = dataclasses.replace(
                self.prepared_, measure=measure_of(self.rank_, statistics.rows)
            )
            plan = self.plan(self.n_features_in_)
            fitted = finish(prepared, statistics, sample, plan, lambda start: ())
        return self.adopt(fitted, self.target_dimensions_)

    def prior(self) -> Kernel:
        """The kernel to start from."""
        if isinstance(self.kernel, str):
            return parse_kernel(self.kernel)
        return Matern52() if self.kernel is None else as_kernel(self.kernel)

    def plan(self, columns: int) -> Plan:
        """The choices of a fit of so many columns, checked."""
        return Plan.of(self.get_params(deep=False), columns)

    def adopt(self, fitted: FittedProcess, target_dimensions: int) -> ReducedGPRegressor:
        """Be the fitted estimator of a process; targets had one axis or two."""
        prepared = fitted.prepared
        self.prepared_, self.statistics_ = prepared, fitted.statistics
        self.correction_ = fitted.correction and dataclasses.replace(
            fitted.correction, one_output=target_dimensions == 1
        )
        self.target_dimensions_ = target_dimensions
        self.n_features_in_ = prepared.features.inducing_points.shape[1]
        self.kernel_, self.convergence_ = prepared.hyperparameters.kernel, fitted.convergence
        self.rank_, self.rank_status_ = prepared.features.rank, prepared.rank_status
        self.measure_ = prepared.measure
        self._publish(fitted.process)
        return self

    def _publish(self, process: ReducedProcess | OutputProcesses) -> None:
        """Set the attributes that follow from the process alone."""
        self.process_, self.amplitude_ = process, process.amplitude
        units = process.modes.target_scale**2
        # One number for all outputs where they share everything, else one for each.
        unit: Any = units if isinstance(process, OutputProcesses) else float(np.mean(units))
        each: Any = units if len(units) > 1 else float(units[0])
        with jax.enable_x64(True):
            self.noise_variance_ = process.noise_variance * each
            self.ridge_ = process.mean_ridge() * each
            self.n_modes_ = process.kept
            self.expected_loss_ = float(np.mean(process.expected_loss() * unit))
            self.log_marginal_likelihood_value_ = process.log_evidence()
            self.flow_ = process.flow_record(unit)
            self.spectrum_ = process.spectrum_record(unit, self.threshold)

    def coarse_grained(self, cutoff: int | AbstractCutoff) -> ReducedGPRegressor:
        """A fitted copy that keeps the modes of another cutoff, without touching the data.

        Raises ValueError for an input-dependent ridge, which needs the data again.
        """
        check_is_fitted(self)
        if self.ridge != "uniform" or _by_row(self.process_):
            raise ValueError("only a uniform ridge flows without the data; fit again.")
        copy = type(self)(**{**self.get_params(deep=False), "cutoff": cutoff, "exact": False})
        plan, old = copy.plan(self.n_features_in_), self.process_
        with jax.enable_x64(True):
            parts = []
            for part in parts_of(old):
                scale = part.amplitude, part.noise_variance
                chosen = resolve_cutoff(part.modes, *scale, plan)
                parts.append(UniformProcess.of(part.modes, *scale, chosen, part.largest_lost))
            process = parts[0] if len(parts) == 1 else OutputProcesses(tuple(parts))
        fitted = FittedProcess(self.prepared_, self.statistics_, process, self.convergence_)
        copy.adopt(fitted, self.target_dimensions_)
        if hasattr(self, "feature_names_in_"):
            copy.feature_names_in_ = self.feature_names_in_
        return copy

    # Predicting ---------------------------------------------------------------------------------

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        include_noise: bool = False,
    ) -> Any:
        """Posterior mean (rows,) or (rows, outputs); with `return_std` also the standard deviation
        of the latent function, with `return_cov` its covariance. `include_noise` makes them those
        of a new label. The targets' mean, which `normalize_y` takes off, counts as known, except
        where no mode is kept and it is all there is: then its variance, ridge / n, is included."""
        if return_std and return_cov:
            raise RuntimeError("ask for either `return_std` or `return_cov`, not both.")
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=float)
        if self.correction_ is not None:
            if return_cov:
                raise ValueError("exact=True has no covariances; fit with exact=False.")
            return self.correction_.predict(X, return_std, include_noise)
        process, scale = self.process_, self.process_.modes.target_scale
        noise_variance = process.noise_variance if include_noise else 0.0
        with jax.enable_x64(True):
            of_mean = self._variance_of_mean()
            if return_cov:
                covariance = process.covariance(X).reshape(len(X), len(X), -1) + of_mean
                covariance = covariance + noise_variance * np.eye(len(X))[:, :, None]
                return self._squeeze(process.mean(X)), self._squeeze(covariance * scale**2)
            parts = [
                process.moments(block) if return_std else (process.mean(block), None)
                for block in chunks(X, self.block_size)
            ]
        mean = self._squeeze(np.concatenate([part[0] for part in parts]))
        if not return_std:
            return mean
        variance = np.concatenate([part[1] for part in parts]).reshape(len(X), -1) + of_mean
        return mean, self._squeeze(np.sqrt(variance + noise_variance) * scale)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draws of the latent function from the posterior: (rows, n_samples), or (rows, outputs,
        n_samples) for several outputs."""
        mean, covariance = self.predict(X, return_cov=True)
        random = check_random_state(random_state)
        if mean.ndim == 1:
            return random.multivariate_normal(mean, covariance, n_samples, "ignore").T
        each = zip(mean.T, np.moveaxis(covariance, -1, 0), strict=True)
        draws = [random.multivariate_normal(m, c, n_samples, "ignore").T for m, c in each]
        return np.stack(draws, axis=1)

    def log_marginal_likelihood(
        self, amplitude: float | None = None, noise_variance: float | None = None
    ) -> float:
        """Log evidence of the reduced theory in nats, targets scaled, summed over outputs; at other
        values of amplitude or noise (same units as the parameters) when given."""
        check_is_fitted(self)
        process = self.process_
        if amplitude is None and noise_variance is None:
            return float(self.log_marginal_likelihood_value_)
        if not all(isinstance(part, UniformProcess) for part in parts_of(process)):
            raise ValueError(
                "the evidence of an input-dependent ridge at another amplitude or noise needs the "
                "data again: fit with them and optimizer=None."
            )
        total = 0.0
        with jax.enable_x64(True):
            for part in parts_of(process):
                whole = part.modes.theory(
                    part.amplitude if amplitude is None else amplitude,
                    part.noise_variance if noise_variance is None else noise_variance,
                )
                kept = part.theory.weights
                total += float(whole.absorb(kept=kept, lost=1 - kept).log_evidence())
        return total

    # Checks -------------------------------------------------------------------------------------

    def _validated(self, X: Any, y: Any, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (rows, columns) and targets (rows, outputs) without gaps."""
        X, y = validate_data(
            self,
            X,
            y,
            reset=first,
            dtype=float,
            multi_output=True,
            y_numeric=True,
            ensure_min_samples=2 if first else 1,
        )
        if first:
            self.target_dimensions_ = y.ndim
        return X, np.asarray(y, float).reshape(len(y), -1)

    def _variance_of_mean(self) -> np.ndarray:
        """Of the targets' mean where it is all that was learned, targets scaled: (outputs,), or
        (1,) where these share a process; zero elsewhere."""
        alone = [self.normalize_y and part.kept == 0 for part in parts_of(self.process_)]
        ridge = [part.mean_ridge() / part.modes.n_samples for part in parts_of(self.process_)]
        return np.where(alone, ridge, 0.0)

    def _squeeze(self, values: np.ndarray) -> np.ndarray:
        return values[..., 0] if self.target_dimensions_ == 1 else values


def _by_row(process: ReducedProcess | OutputProcesses) -> bool:
    return any(isinstance(part, InputDependentProcess) for part in parts_of(process))
