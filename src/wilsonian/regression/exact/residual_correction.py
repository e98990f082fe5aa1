"""The eliminated modes' own part of a prediction, read out of the residuals of a reduced model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from wilsonian.regression.exact.corrected_outputs import ROWS, CorrectedOutputs
from wilsonian.regression.exact.whole_scale import scale_of_whole
from wilsonian.regression.learning.diary import Progress, silent
from wilsonian.regression.processes.input_dependent import InputDependentProcess
from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.processes.outputs import OutputProcesses, parts_of
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import Block, chunks, gathered, row_blocks

TOLERANCE, MAX_STEPS, NEIGHBOURS = 1e-3, 200, 256
# Of the noise's standard deviation. Solved so far, the squared error of a new label rises by at
# most the square of this: a quarter of a percent.
NOISE_SHARE = 0.05
# Of the targets' variance. Less is not learned from more than so many rows: the number of steps
# grows with the square root of what the noise is less than, and errors stay far above its root.
LEAST_NOISE, MANY_ROWS = 1e-3, 2048
STAGE = "reading out eliminated modes"

Keep = Callable[[tuple[np.ndarray, ...], bool], None]


@dataclasses.dataclass(frozen=True)
class ResidualCorrection:
    r"""Posterior of a reduced process with the modes it eliminated: exact, to a tolerance.

    A mode q that was integrated out still answers to the data (Howard, Jefferson, Maiti and Ringel
    2024; docs/science/wilsonian.md, section 3). To leading order

    .. math:: \bar f_q = \lambda_q \sum_i \phi_q(x_i) \alpha_i, \qquad
        \alpha_i = \frac{y_i - \bar f_<(x_i)}{\sigma_c^2(x_i)},

    which is the dual vector of the reduced theory, :math:`\alpha = (K_< + \sigma_c^2)^{-1} y`. From
    there conjugate gradients, preconditioned by the reduced theory, go to that of the whole,
    :math:`(K + \sigma^2) \alpha = y`: `max_steps=0` is the leading order, which takes the error
    that the cutoff makes from order T to about :math:`T^2`, and the residual says how much any
    number of steps has left. A step costs the kernel of all pairs of training rows, in blocks that
    are never held together; memory is that of the rows and of twice their kept features. The
    preconditioner is a reduced theory of the same kernel, of more modes where they save more steps
    than they cost (:mod:`~wilsonian.regression.exact.preconditioner`, at most 512 MiB more).

    Where amplitude, noise and length scales were learned, the whole process has its own: a cutoff
    calls noise what its modes do not see (:mod:`~wilsonian.regression.exact.whole_scale`).
    The variance is that of :class:`~wilsonian.regression.exact.corrected_outputs.CorrectedOutputs`.
    """

    process: ReducedProcess | OutputProcesses
    parts: tuple[CorrectedOutputs, ...]  # of the outputs that share amplitude and noise
    block_size: int
    one_output: bool = False  # predictions have one axis, as the targets had

    @classmethod
    def of(
        cls,
        model: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        noise_variance_per_row: Any = None,
        *,
        tolerance: float | None = None,
        max_steps: int = MAX_STEPS,
        variance: bool = True,
        neighbours: int = NEIGHBOURS,
        progress: Progress = silent,
    ) -> ResidualCorrection:
        """From a fitted :class:`ReducedGPRegressor`, and the rows `X` (n, columns), targets `y`
        (n,) or (n, outputs), weights and known noise that it was fitted on.

        The equations are solved until the residual's norm is `tolerance` of the targets' (the
        posterior mean's root mean square distance from the exact one, at the training rows, then is
        at most so much of theirs), or for `max_steps` steps. None asks for a twentieth of the
        noise's standard deviation, and no less than 0.001. Without `variance`, which costs another
        two passes, there are no standard deviations; more `neighbours` bring them nearer to the
        exact ones.

        Raises ValueError if the rows have other columns or outputs than the model, hold NaN, or do
        not fit together, or for an option out of its range; NotFittedError if the model is not
        fitted.
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
        outputs = len(process.modes.target_mean)
        one_output, targets = targets.ndim == 1, targets.reshape(len(X), -1)
        if targets.shape[1] != outputs:
            raise ValueError(
                f"`y` has {targets.shape[1]} outputs and the model {outputs}; pass its targets."
            )
        sample = Sample.checked(X, targets, sample_weight, noise_variance_per_row)
        by_row = isinstance(parts_of(process)[0], InputDependentProcess)
        if sample.row_noise is None and by_row and model.ridge == "uniform":
            raise ValueError(
                "the model was fitted with known noise of every row; pass it as "
                "`noise_variance_per_row`."
            )
        solved = solve_parts(
            process,
            row_blocks(sample, len(sample.X)),
            block_size=model.block_size,
            tolerance=tolerance,
            max_steps=max_steps,
            variance=variance,
            neighbours=neighbours,
            learn_scale=model.optimizer is not None,
            learn_stretch=model.optimizer is not None and model.learn == "all",
            progress=progress,
        )
        return dataclasses.replace(solved, one_output=one_output)

    @property
    def modes(self) -> Modes:
        """Those of the reduced process."""
        return self.process.modes

    @property
    def rows(self) -> np.ndarray:
        """The training rows (n, columns)."""
        return self.parts[0].rows

    @property
    def steps(self) -> int:
        """Steps that the output that needed most took."""
        return max(part.steps for part in self.parts)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached."""
        return all(part.converged for part in self.parts)

    @property
    def residual(self) -> np.ndarray:
        """(outputs,), in the target's units: at the training rows the posterior mean's root mean
        square distance from the exact one is at most this."""
        found = np.concatenate([part.residual for part in self.parts])
        return found * self.modes.target_scale

    def predict(self, X: Any, return_std: bool = False, include_noise: bool = False) -> Any:
        """Posterior mean at `X` (points, columns), in the target's units: (points,) or (points,
        outputs) as the targets were given; with `return_std` also the standard deviation of the
        latent function, with `include_noise` of a new label. Raises ValueError for other columns,
        for NaN, and where no variance was asked for."""
        X = check_array(X, dtype=float, input_name="X")
        _check_columns(X, self.rows.shape[1])
        with jax.enable_x64(True):
            means = [
                np.hstack([part.mean(block) for part in self.parts])
                for block in chunks(X, self.block_size)
            ]
            mean = self._squeeze(np.concatenate(means))
            if not return_std:
                return mean
            variances = self.variances(X)
        noise = np.array([part.noise_variance for part in self.parts]) * include_noise
        scale = self.modes.target_scale
        return mean, self._squeeze(np.sqrt(variances + noise) * scale)

    def variances(self, X: np.ndarray) -> np.ndarray:
        """Posterior variances of the latent functions with targets scaled, (points, 1) if all
        outputs share one, else (points, outputs). In float64: call it where that is enabled."""
        return np.stack([part.variance(X) for part in self.parts], axis=1)

    def leave_one_out(
        self, X: np.ndarray, y: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""As :meth:`ReducedProcess.leave_one_out`, at some of the training rows: of all modes,
        whose ridge is the noise. No row is held by itself more than its prior variance allows,
        :math:`1 - h \ge \sigma^2 / (\sigma^2 + k(x, x))`. For one amplitude and noise; in float64:
        call it where that is enabled."""
        (part,) = self.parts
        variance, noise = part.variance(X), part.noise_variance
        least = noise / (noise + part.amplitude * part.diagonal(X))
        rest = np.maximum(1 - np.minimum(weights, 1.0) * variance / noise, least)
        return y - (y - part.mean(X)) / rest[:, None], variance / rest

    def sentence(self) -> str:
        """How it went, for a report."""
        count = len(self.rows)
        share = float(np.max(self.residual / self.modes.target_scale))
        noise = max(float(np.max(part.residual) / part.noise_variance**0.5) for part in self.parts)
        stretch = min(part.stretch for part in self.parts)
        shorter = f" Length scales are {stretch:.2f} of the cut theory's." if stretch < 1 else ""
        state = "solved" if self.converged else "not yet solved"
        return (
            f"The equations of all {count:,} rows are {state} after {self.steps} steps: at the "
            f"training rows the exact posterior mean is within {share:.1e} of the target's "
            f"standard deviation, {noise:.2g} of the noise's.{shorter}"
        )

    def _squeeze(self, values: np.ndarray) -> np.ndarray:
        return values[:, 0] if self.one_output else values


def solve_parts(
    process: ReducedProcess | OutputProcesses,
    blocks: Iterable[Block],
    *,
    block_size: int,
    tolerance: float | None = None,
    max_steps: int = MAX_STEPS,
    variance: bool = True,
    neighbours: int = NEIGHBOURS,
    learn_scale: bool = False,
    learn_stretch: bool = False,
    progress: Progress = silent,
    start: Sequence[np.ndarray] = (),
    keep: Keep = lambda duals, now: None,
) -> ResidualCorrection:
    """The correction of a process from all its training rows, in `blocks`. With `learn_scale`
    amplitude and noise are those of the whole process (`whole_scale.scale_of_whole`), unless the
    noise of rows is known or there are no steps; with `learn_stretch` too its length scales are
    shorter by one factor. Without a `tolerance` it is a twentieth of the noise's standard
    deviation, at least 0.001. It goes on from the dual vectors of `start`, where an earlier one
    stood: `keep(duals, now)` hears of them after every step, and when it is interrupted; `now` says
    that they must be stored at once."""
    _check_options(TOLERANCE if tolerance is None else tolerance, max_steps, neighbours)
    parts: list[CorrectedOutputs] = []
    sample = gathered(blocks)
    X, weights, known = sample.X, sample.weights, sample.row_noise
    duals = list(start)
    first = 0
    with jax.enable_x64(True):
        for number, part in enumerate(parts_of(process)):
            columns = slice(first, first + len(part.modes.target_mean))
            first = columns.stop
            scaled = (sample.y[:, columns] - part.modes.target_mean) / part.modes.target_scale
            own = np.zeros(len(X)) if known is None else known / part.modes.target_scale[0] ** 2
            amplitude, noise, stretch = part.amplitude, part.noise_variance, 1.0
            if learn_scale and known is None and max_steps:
                rows = Sample(X, scaled, weights)
                least = LEAST_NOISE if len(X) > MANY_ROWS else 0.0
                kernel = part.modes.features.kernel
                amplitude, noise, stretch = scale_of_whole(
                    kernel, rows, least, learn_stretch=learn_stretch
                )
            size = np.sqrt(np.max(np.mean(scaled**2, axis=0)))
            enough = max(TOLERANCE, NOISE_SHARE * noise**0.5 / size if size else 1.0)
            lost = _ridge(part, X) - part.noise_variance
            ridge = (noise + own + lost * amplitude / part.amplitude) / weights
            if number == len(duals):
                kept = (part.mean(X) - part.modes.target_mean) / part.modes.target_scale
                duals.append((scaled - kept) / ridge[:, None])

            def watch(steps, norm, dual, number=number):
                duals[number] = dual
                keep(tuple(duals), False)
                told = f"relative residual {norm:.1e}"
                progress(STAGE, min(steps, max_steps), max_steps, told)

            try:
                progress(STAGE, 0, max_steps, "setting up")
                solved = CorrectedOutputs.solved(
                    part,
                    amplitude,
                    noise,
                    stretch,
                    X,
                    scaled,
                    (noise + own) / weights,
                    ridge,
                    duals[number],
                    tolerance=enough if tolerance is None else tolerance,
                    max_steps=max_steps,
                    variance=variance,
                    neighbours=neighbours,
                    watch=watch,
                )
            except KeyboardInterrupt:
                keep(tuple(duals), True)
                raise
            parts.append(solved)
            duals[number] = solved.dual
    return ResidualCorrection(process, tuple(parts), block_size)


def _ridge(process: ReducedProcess, X: np.ndarray) -> np.ndarray:
    """Renormalized ridge (n,) of single rows without known noise, targets scaled."""
    if not isinstance(process, InputDependentProcess):
        return np.full(len(X), float(process.mean_ridge()))
    return np.concatenate([process.ridge_at(block) for block in chunks(X, ROWS)])


def _check_options(tolerance: float, max_steps: int, neighbours: int) -> None:
    if not 0 < tolerance < 1:
        raise ValueError(f"`tolerance` lies between 0 and 1, got {tolerance!r}; try {TOLERANCE}.")
    for name, value, least in (("max_steps", max_steps, 0), ("neighbours", neighbours, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}, got {value!r}.")


def _check_columns(X: np.ndarray, columns: int) -> None:
    if X.shape[1] != columns:
        raise ValueError(f"`X` has {X.shape[1]} columns and the model {columns}; pass the same.")
