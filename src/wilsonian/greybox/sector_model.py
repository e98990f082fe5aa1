"""A simulator whose residual is integrated out: parameters with honest intervals."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from wilsonian.greybox import calibration, grid_posterior
from wilsonian.greybox.assembly import Assembly
from wilsonian.greybox.grid_posterior import Points, all_lost
from wilsonian.greybox.joint_posterior import explore_jointly
from wilsonian.greybox.laplace import Engine, Hyperparameters
from wilsonian.greybox.population import BOLD, SAFE, Population, expectation, maximization
from wilsonian.greybox.residuals import Residual
from wilsonian.greybox.results import CONFOUNDED, Inference, ParameterPosterior
from wilsonian.greybox.saving import FitState, FitStep, load, read_state, save, write_state
from wilsonian.greybox.signals import Signals, noise_floor, read_signals
from wilsonian.greybox.simulators import ODE, Function, Simulator

AMPLITUDES = (0.0, 0.1, 0.25, 0.6, 1.5, 3.5)
DRAWS = 256
Progress = Callable[[str, int, int], None]


class ConfoundedWarning(UserWarning):
    """The interval of a parameter states the prior on the residual."""


class SectorModel:
    r"""The grey-box model of docs/science/grey-box.md: :math:`x = F(z, w) + \varepsilon` with the
    residual :math:`w \sim N(w_0, S)` integrated out.

    Parameters
    ----------
    physics: the simulator that is kept, `ODE` or `Function`.
    residual: terms it leaves out: `Feature`, `Force`, `GaussianProcess`, `Modes`, `White`.
    amplitude: "per-sample" multiplies forces and output errors by a number of its own for each
        signal; "shared" gives all the same.
    noise: standard deviation of the noise, one number or one per channel; None learns it.
    max_steps, tolerance: the fit ends when three steps together gain less than `tolerance` nats per
        signal.

    Learned, after `fit`: `hyperparameters_`, `history_`, `converged_`, `evidence_` (mean per
    training signal).
    """

    def __init__(
        self,
        physics: Simulator,
        residual: Sequence[Residual] | Residual = (),
        *,
        amplitude: str = "shared",
        noise: float | Sequence[float] | None = None,
        max_steps: int = 40,
        tolerance: float = 0.02,
        random_state: int = 0,
    ) -> None:
        terms = tuple(residual) if isinstance(residual, Iterable) else (residual,)
        self.physics, self.residual, self.amplitude = physics, terms, amplitude
        self.noise, self.max_steps, self.tolerance = noise, max_steps, tolerance
        self.random_state = random_state

    # Setting up

    def _prepare(self, X: Any) -> Signals:
        if not isinstance(self.physics, ODE | Function):
            raise ValueError(
                f"`physics` must be a greybox.ODE or greybox.Function, got {self.physics!r}; wrap "
                "the vector field or the function in one."
            )
        signals = read_signals(X, self.physics.times)
        if not isinstance(self.max_steps, int | np.integer) or self.max_steps < 0:
            raise ValueError(f"`max_steps` must be a whole number, got {self.max_steps!r}; try 40.")
        if self.amplitude not in ("shared", "per-sample"):
            raise ValueError(
                f"`amplitude` must be 'shared' or 'per-sample', got {self.amplitude!r}."
            )
        if not hasattr(self, "engine_"):
            if not len(self.physics.parameters):
                raise ValueError("the simulator has no parameter; name at least one with bounds.")
            self.assembly_ = Assembly(self.physics, self.residual, signals.first())
            self.engine_ = Engine(self.assembly_)
            self.example_ = signals.values[0]
        channels = self.assembly_.channels
        if signals.values.shape[1] != channels:
            raise ValueError(
                f"signals have {signals.values.shape[1]} channels and the simulator returns "
                f"{channels}; let `observe` return one number for each channel."
            )
        return signals

    def _starts(self, signals: Signals, mean: np.ndarray | None = None) -> np.ndarray:
        """Where Gauss-Newton begins: the prior mean, and the start read off the signal."""
        assembly = self.assembly_
        base = np.zeros(assembly.layout.count) if mean is None else np.asarray(mean)
        starts = np.tile(base, (len(signals), 1))
        if len(assembly.free):
            starts[:, : len(assembly.free)] = self.engine_.starts(signals.flat)[:, assembly.free]
        return starts

    def _initial(self, signals: Signals, starts: np.ndarray) -> tuple[Hyperparameters, np.ndarray]:
        """Wide priors from the size of the signals; and the variances they start from."""
        assembly, layout = self.assembly_, self.assembly_.layout
        flat = signals.flat
        some = np.linspace(0, len(signals) - 1, min(8, len(signals))).astype(int)
        middle = np.zeros((len(some), assembly.parameter_count))
        value, jacobian, _ = self.engine_.linearize(flat[some], middle, starts[some])
        finite = np.isfinite(value).all(axis=1)
        if not finite.any():
            raise ValueError(
                f"{self.physics.name!r} returned NaN or infinity at the middle of its bounds; "
                "narrow the bounds, take more `steps` or a stiff solver such as "
                "diffrax.Kvaerno5()."
            )
        size = float(np.sqrt(np.mean(flat**2)))
        squares = np.mean(jacobian[finite] ** 2, axis=(0, 1))
        given = self.assembly_.scale_given()
        mean, variance = np.zeros(layout.count), np.ones(layout.count)
        for index, name in enumerate(layout.terms):
            rows = layout.term == index
            if name == "start":
                begin = starts[:, rows]
                mean[rows] = begin.mean(axis=0)
                spread = self.physics.start_spread if isinstance(self.physics, ODE) else None
                wide = (2 * begin.std(axis=0)) ** 2 + (0.1 * size) ** 2 + 0.25 * mean[rows] ** 2
                free = assembly.free
                variance[rows] = wide if spread is None else np.asarray(spread, float)[free] ** 2
                continue
            total = float(np.sum(squares[rows] * layout.shape[rows]))
            if given[name] is not None:
                variance[rows] = float(given[name] or 0.0) ** 2
            elif total > 0 and np.isfinite(total):
                variance[rows] = max(size, 1e-12) ** 2 / total
        log_variance = np.zeros(layout.groups)
        log_variance[layout.group] = np.log(np.maximum(variance, 1e-300))
        per_sample = self.amplitude == "per-sample" and bool(layout.amplified.any())
        amplitudes = np.array(AMPLITUDES if per_sample else (1.0,))
        noise = noise_floor(signals) if self.noise is None else self._given_noise()
        hyper = Hyperparameters(
            jnp.asarray(mean),
            jnp.asarray(log_variance),
            jnp.asarray(noise),
            jnp.asarray(amplitudes),
            jnp.full(len(amplitudes), -np.log(len(amplitudes))),
        )
        return hyper, np.exp(log_variance)

    def _given_noise(self) -> np.ndarray:
        """One standard deviation for each channel."""
        channels = self.assembly_.channels
        try:
            noise = np.broadcast_to(np.asarray(self.noise, float), (channels,))
        except (TypeError, ValueError):
            raise ValueError(
                f"`noise` must be one number, or one for each of {channels} channels, got "
                f"{self.noise!r}; None learns it."
            ) from None
        if not np.all((noise > 0) & np.isfinite(noise)):
            raise ValueError(f"`noise` must be positive, got {self.noise!r}; None learns it.")
        return noise

    # Fitting

    def fit(
        self,
        X: Any,
        *,
        progress: Progress = lambda stage, done, of: None,
        checkpoint: str | Path | None = None,
    ) -> SectorModel:
        """Learn the residual's mean and variances, and the noise, from a population of signals
        whose parameters are unknown.

        `X` is (samples, times) or (samples, channels, times), NaN where nothing was observed. With
        `checkpoint`, a folder, the state is kept on disk after every step, and a fit of the same
        signals goes on from there. Raises ValueError with what was seen and what to try.
        """
        with jax.enable_x64(True):
            signals = self._prepare(X)
            self._check_population(signals)
            starts = self._starts(signals)
            hyper, variance = self._initial(signals, starts)
            people = Population(signals.flat, signals.flat_observed, starts)
            digest = hashlib.sha256(np.nan_to_num(np.asarray(X, float)).tobytes()).hexdigest()
            history: list[FitStep] = []
            exponent, best = SAFE, None
            if checkpoint is not None and (state := read_state(checkpoint, digest, hyper)):
                hyper, history = state.hyper, state.history
            learns = self.noise is None or bool(self.assembly_.layout.count)
            converged = not learns
            while True:
                points = expectation(self.engine_, hyper, people)
                self._check_finite(points)
                mean = float(points.log_evidence.mean())
                history.append(FitStep(mean, tuple(map(float, np.asarray(hyper.noise)))))
                progress("fitting the residual", len(history), self.max_steps)
                if best is None or mean > best[0]:
                    best = (mean, hyper)
                elif mean < best[0] - 0.5:
                    exponent = SAFE  # a bold step overshot
                if len(history) > 3 and mean - history[-4].log_evidence < self.tolerance:
                    converged = converged or mean > best[0] - 0.5
                    break
                if not learns or len(history) > self.max_steps:
                    break
                hyper = maximization(
                    self.engine_,
                    hyper,
                    points,
                    variance,
                    exponent=SAFE if len(history) <= 2 else exponent,
                    learn_noise=self.noise is None,
                )
                if len(history) == 2:
                    exponent = BOLD
                if checkpoint is not None:
                    write_state(checkpoint, FitState(digest, hyper, history))
            self.hyperparameters_: Hyperparameters = best[1]
            self.evidence_, self.history_, self.converged_ = best[0], tuple(history), converged
        return self

    def _check_population(self, signals: Signals) -> None:
        if len(signals) < 2 and self.assembly_.layout.count:
            raise ValueError(
                "one signal cannot tell what the residual looks like; give several, or fit on a "
                "population and `infer` the one."
            )
        spread = np.ptp(signals.values, axis=(0, 2))
        if np.any(spread <= 0):
            raise ValueError(
                f"channel {int(np.argmin(spread))} is constant over all signals and times; it says "
                "nothing, leave it out."
            )

    def _check_finite(self, points: Points) -> None:
        lost = all_lost(points)
        if lost.any():
            raise ValueError(
                f"{self.physics.name!r} returned NaN or infinity for signal "
                f"{int(np.flatnonzero(lost)[0])} over the whole range of its parameters (a stiff "
                "blow-up?); narrow the bounds, take more `steps`, or a stiff solver such as "
                "diffrax.Kvaerno5()."
            )

    # Using

    def _check_fitted(self) -> None:
        if not hasattr(self, "hyperparameters_"):
            raise ValueError("this model is not fitted yet; call `fit` first.")

    def _explore(self, signals: Signals) -> Points:
        hyper = self.hyperparameters_
        starts = self._starts(signals, np.asarray(hyper.mean))
        arguments = (self.engine_, hyper, signals.flat, signals.flat_observed, starts)
        if self.assembly_.parameter_count == 1:
            points, _ = grid_posterior.explore(*arguments)
        else:
            points, _ = explore_jointly(*arguments, draws=DRAWS, seed=self.random_state)
        self._check_finite(points)
        return points

    def log_evidence(self, X: Any) -> np.ndarray:
        """Log evidence of each signal, nats, parameters and residual integrated out."""
        self._check_fitted()
        with jax.enable_x64(True):
            return self._explore(self._prepare(X)).log_evidence

    def infer(self, X: Any, *, draws: int = 200) -> Inference:
        """The posterior of every parameter for each signal, with its confounding index.

        Warns (ConfoundedWarning) when an index is above 0.3 for most signals.
        """
        self._check_fitted()
        with jax.enable_x64(True):
            signals = self._prepare(X)
            points = self._explore(signals)
            result = self._result(signals, points, draws)
        for name in result:
            if np.median(result[name].confounding) > CONFOUNDED:
                warnings.warn(result[name].sentence, ConfoundedWarning, stacklevel=2)
        return result

    def _result(self, signals: Signals, points: Points, draws: int) -> Inference:
        hyper = self.hyperparameters_
        weight = np.exp(points.log_weight)
        weight /= weight.sum(axis=1, keepdims=True)
        top = points.log_weight.argmax(axis=1)
        rows = np.arange(len(signals))
        zeta, w = points.unbounded[rows, top], points.evidence.coefficients[rows, top]
        known, marginal = self.engine_.information(
            hyper, signals.flat, signals.flat_observed, zeta, w, _amplitude(points, weight, hyper)
        )
        ratio = np.diagonal(np.linalg.inv(known), axis1=1, axis2=2) / np.diagonal(
            np.linalg.inv(marginal), axis1=1, axis2=2
        )
        confounding = np.clip(1 - ratio, 0.0, 1.0)
        random = np.random.default_rng(self.random_state)
        posteriors = {}
        for index, name in enumerate(self.physics.parameters.names):
            values = points.physical[:, :, index]
            order = np.argsort(values, axis=1)
            values, share = (np.take_along_axis(a, order, 1) for a in (values, weight))
            if points.spacing is not None:
                values, share = grid_posterior.refined(values, points.log_weight)
            posteriors[name] = ParameterPosterior(
                name,
                values,
                share,
                points.spacing is not None,
                confounding[:, index],
                float(self.physics.parameters.spread[index]),
                np.zeros((len(values), 0)),
            )
        posteriors = _with_samples(posteriors, points, weight, draws, random)
        physics, fitted = self._parts(signals, zeta, w)
        learnability = np.einsum("np,npk->nk", weight, points.evidence.learnability)
        return Inference(
            posteriors, points.log_evidence, points.k_hat, physics, fitted, w, learnability
        )

    def _parts(self, signals: Signals, zeta: np.ndarray, w: np.ndarray):
        """The simulator alone from the same start, and with the residual."""
        assembly = self.assembly_
        alone = w.copy()
        alone[:, len(assembly.free) :] = 0.0
        shape = signals.values.shape
        physics = self.engine_.predict(signals.flat, zeta, alone)
        fitted = self.engine_.predict(signals.flat, zeta, w)
        return physics.reshape(shape), fitted.reshape(shape)

    def calibrate(self, X: Any = None, truth: Any = None, **options: Any) -> Any:
        """Coverage where `truth` (names to values) is known, simulation-based calibration where
        not: :func:`wilsonian.greybox.calibration.calibrate`."""
        return calibration.calibrate(self, X, truth, **options)

    def save(self, folder: str | Path, **about: Any) -> Path:
        """Write what was learned to a folder; the simulator itself is not kept."""
        return save(self, folder, **about)

    def load(self, folder: str | Path) -> SectorModel:
        """Take over what a model of the same simulator and residual learned."""
        return load(self, folder)

    @property
    def residual_(self) -> dict[str, dict[str, np.ndarray]]:
        """Mean and standard deviation of every term's coefficients over the population."""
        self._check_fitted()
        layout, hyper = self.assembly_.layout, self.hyperparameters_
        amplitude = np.sqrt(
            scipy.special.softmax(np.asarray(hyper.log_weights)) @ np.asarray(hyper.amplitudes) ** 2
        )
        scale = np.exp(np.asarray(hyper.log_variance)[layout.group] / 2) * layout.shape**0.5
        scale = scale * np.where(layout.amplified, amplitude, 1.0) if layout.count else scale
        mean = np.asarray(hyper.mean)
        return {
            name: {"mean": mean[layout.term == i], "sd": scale[layout.term == i]}
            for i, name in enumerate(layout.terms)
        }


def _amplitude(points: Points, weight: np.ndarray, hyper: Hyperparameters) -> np.ndarray:
    """Root mean square of each signal's amplitude under its posterior."""
    shares = scipy.special.softmax(points.evidence.log_evidence, axis=2)
    return np.sqrt(np.einsum("np,npa->na", weight, shares) @ np.asarray(hyper.amplitudes) ** 2)


def _with_samples(posteriors, points: Points, weight, draws: int, random):
    """Joint draws: of a grid by its distribution function, else by resampling."""
    if points.spacing is not None:
        (name, found), *_ = posteriors.items()
        places = (np.arange(draws) + random.random((len(weight), 1))) / draws
        edges, below = found._edges()
        drawn = [np.interp(p, b, e) for p, b, e in zip(places, below, edges, strict=True)]
        return {name: dataclasses.replace(found, samples=random.permuted(np.array(drawn), axis=1))}
    positions = (np.arange(draws) + random.random((len(weight), 1))) / draws
    chosen = [
        random.permutation(np.minimum(np.searchsorted(np.cumsum(w), p), len(w) - 1))
        for w, p in zip(weight, positions, strict=True)
    ]
    return {
        name: dataclasses.replace(
            found, samples=np.take_along_axis(points.physical[:, :, i], np.array(chosen), axis=1)
        )
        for i, (name, found) in enumerate(posteriors.items())
    }
