"""Learning a kernel's hyperparameters: restarts, L-BFGS-B, and inducing points that move."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize
from jax.flatten_util import ravel_pytree

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import has_length_scale, learnable, length_scaled
from wilsonian.regression.evidence import Candidate, Data, loss_and_gradient
from wilsonian.regression.inducing_points import randomly_pivoted_cholesky
from wilsonian.regression.mode_theory import ModeTheory

# Bounds, as factors: of the starting value for kernel parameters, of the targets' mean square for
# the amplitude and the noise.
KERNEL_RANGE = (1e-3, 1e3)

AMPLITUDE_RANGE = (1e-4, 1e5)

NOISE_RANGE = (1e-8, 1e1)

# Learning ends where the evidence of all rows would rise by no more than this, in nats, for each
# factor of e in a hyperparameter; far below the nat that evidence differs by when it means
# something.
SLOPE = 0.02


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """A prior (kernel times amplitude), a noise variance, and how they were come by."""

    kernel: Kernel
    amplitude: float
    noise_variance: float
    converged: bool
    message: str  # one sentence


@dataclasses.dataclass(frozen=True)
class Sample:
    """Rows to learn from: inputs (rows, d), targets (rows, outputs), weights (rows,)."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray

    def draw(self, rows: int, random: np.random.Generator) -> Sample:
        """A uniform subsample, or all of it if that is no more."""
        if rows >= len(self.X):
            return self
        chosen = np.sort(random.choice(len(self.X), rows, replace=False))
        return Sample(self.X[chosen], self.y[chosen], self.weights[chosen])

    def data(self, dtype: Any) -> Data:
        return with_precision(Data(self.X, self.y, self.weights), dtype)

    def mean_square(self) -> float:
        return float(np.mean(self.weights @ self.y**2 / self.weights.sum()))


def column_spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation of every column; of a column that is constant, or nearly so by rounding,
    the mean of the others'."""
    spread = X.std(axis=0)
    varies = spread > 1e-6 * np.abs(X).max(axis=0)
    return np.where(varies, spread, spread[varies].mean() if varies.any() else 1.0)


def starting_kernels(kernel: Kernel, X: np.ndarray, ard: bool) -> list[Kernel]:
    r"""The kernel as given and, if it has length scales, with these set from the data to the
    columns' standard deviations times :math:`\sqrt d` times 1/4, 1/2, 1 and 2. With `ard` scalar
    length scales become one per column."""
    if ard:
        kernel = length_scaled(kernel, lambda scale: np.broadcast_to(scale, X.shape[1]) + 0.0)
    spread = column_spread(X)

    def from_data(factor):
        per_column = factor * np.sqrt(X.shape[1]) * spread
        one = float(np.exp(np.mean(np.log(per_column))))
        return length_scaled(kernel, lambda scale: per_column if np.ndim(scale) else one)

    if not any(map(has_length_scale, jax.tree.leaves(kernel, is_leaf=has_length_scale))):
        return [kernel]
    return [kernel, *(from_data(factor) for factor in (0.25, 0.5, 1.0, 2.0))]


def learn(
    kernel: Kernel,
    sample: Sample,
    *,
    amplitude: float,
    noise_variance: float,
    ard: bool,
    rank: int,
    restarts: int,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
) -> Hyperparameters:
    """Maximize the reduced log evidence of `sample` over kernel, amplitude and noise.

    Starts from the best of :func:`starting_kernels`, and `restarts` times more from that start
    multiplied by log-normal factors; each run is SciPy's L-BFGS-B within bounds. Inducing points
    are chosen for each starting kernel and stay put while it is optimized.
    """
    data = sample.data(float)
    scale = sample.mean_square()
    starts = []
    for start in starting_kernels(kernel, sample.X, ard):
        candidate, fixed = _candidate(start, amplitude, noise_variance, sample.X, rank, random)
        loss = loss_and_gradient(candidate, fixed, data, input_dependent, False)[0]
        starts.append((loss if np.isfinite(loss) else np.inf, start))
    best_start = min(starts, key=lambda pair: pair[0])[1]
    runs = []
    for run in range(restarts + 1):
        start = best_start
        if run:
            moved, rest = eqx.partition(best_start, learnable(best_start))
            factor = lambda leaf: leaf * np.exp(random.normal(size=np.shape(leaf)))  # noqa: E731
            start = eqx.combine(jax.tree.map(factor, moved), rest)
        candidate, fixed = _candidate(start, amplitude, noise_variance, sample.X, rank, random)
        runs.append(_minimize(candidate, fixed, data, scale, input_dependent, max_iterations))
    return min(runs, key=lambda run: run[0])[1]


def _candidate(kernel, amplitude, noise_variance, X, rank, random):
    kernel = with_precision(kernel, float)
    inducing_points = X[randomly_pivoted_cholesky(kernel, X, rank, random).indices]
    # The compiled loss is for one shape: fill up with copies (the jitter copes with them).
    inducing_points = np.resize(inducing_points, (min(rank, len(X)), X.shape[1]))
    return Candidate.of(kernel, amplitude, noise_variance, inducing_points)


def _minimize(candidate, fixed, data, scale, input_dependent, max_iterations):
    """One L-BFGS-B run: (loss, Hyperparameters)."""
    moved = (candidate.log_kernel, candidate.log_amplitude, candidate.log_noise_variance)
    vector, unravel = ravel_pytree(moved)
    start = np.array(vector)

    def objective(vector):
        log_kernel, log_amplitude, log_noise_variance = unravel(jnp.asarray(vector))
        trial = Candidate(log_kernel, log_amplitude, log_noise_variance, candidate.inducing_points)
        loss, slope = loss_and_gradient(trial, fixed, data, input_dependent, False)
        gradient, _ = ravel_pytree(
            (slope.log_kernel, slope.log_amplitude, slope.log_noise_variance)
        )
        if not np.isfinite(loss):  # outside the region where the factorizations exist
            return 1e10, np.zeros_like(vector)
        return loss, np.array(gradient)

    kernel_bounds = [tuple(value + np.log(KERNEL_RANGE)) for value in start[:-2]]
    scale_bounds = [tuple(np.log(scale) + np.log(r)) for r in (AMPLITUDE_RANGE, NOISE_RANGE)]
    bounds = np.array(kernel_bounds + scale_bounds)
    rows = float(data.weights.sum())
    result = scipy.optimize.minimize(
        objective,
        np.clip(start, *bounds.T),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": max_iterations, "ftol": 1e-7, "gtol": SLOPE / rows},
    )
    # A line search that finds no lower point where the slope is nothing has come to the rounding.
    slope = np.where(np.isclose(result.x, bounds.T).any(axis=0), 0.0, result.jac)
    settled = result.success or np.max(np.abs(slope), initial=0.0) * rows < 10 * SLOPE
    log_kernel, log_amplitude, log_noise_variance = unravel(jnp.asarray(result.x))
    best = Candidate(log_kernel, log_amplitude, log_noise_variance, candidate.inducing_points)
    at_bound = int(
        sum(min(x - low, high - x) < 1e-6 for x, (low, high) in zip(result.x, bounds, strict=True))
    )
    message = (
        f"L-BFGS-B {'converged' if settled else 'stopped'} after {result.nit} iterations "
        f"on {len(data.X)} rows with {len(candidate.inducing_points)} inducing points: "
        f"log evidence {-result.fun:.4f} per row"
        + (f", {at_bound} parameters at their bounds" if at_bound else "")
        + ("." if settled else f" ({result.message}).")
    )
    return result.fun, Hyperparameters(
        best.kernel(fixed),
        float(np.exp(log_amplitude).item()),
        float(np.exp(log_noise_variance).item()),
        bool(settled),
        message,
    )


def move_inducing_points(
    hyperparameters: Hyperparameters,
    inducing_points: np.ndarray,
    sample: Sample,
    *,
    rows: int,
    steps: int,
    rows_per_step: int,
    input_dependent: bool,
    random: np.random.Generator,
    progress: Callable[[int, int], None],
    learning_rate: float = 0.1,
) -> tuple[Hyperparameters, np.ndarray]:
    """Move inducing points and hyperparameters together up the evidence, by Adam (optax) with a
    cosine schedule; each step sees a fresh random subset of rows. Inducing points move in units of
    the spread of each column."""
    spread = column_spread(sample.X)
    # Single precision, unless a column's offset would eat it up.
    offset = np.max(np.abs(sample.X), axis=0) / spread
    dtype = np.float32 if np.max(offset) < 1e3 else np.float64
    candidate, fixed = Candidate.of(
        hyperparameters.kernel,
        hyperparameters.amplitude,
        hyperparameters.noise_variance,
        inducing_points,
    )
    candidate, fixed = with_precision(candidate, dtype), with_precision(fixed, dtype)
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    state = optimizer.init(candidate)
    update = jax.jit(optimizer.update)
    losses: list[float] = []
    for step in range(steps):
        few = sample.draw(rows_per_step, random)
        # Each row drawn stands for several, so that the evidence is that of all rows.
        few = dataclasses.replace(few, weights=few.weights * (rows / len(few.X)))
        loss, gradient = loss_and_gradient(candidate, fixed, few.data(dtype), input_dependent, True)
        if not np.isfinite(loss):
            break
        losses.append(float(loss))
        change, state = update(gradient, state)
        change = eqx.tree_at(
            lambda c: c.inducing_points, change, change.inducing_points * spread.astype(dtype)
        )
        candidate = optax.apply_updates(candidate, change)
        progress(step + 1, steps)
    kernel = with_precision(candidate.kernel(fixed), float)
    gain = np.mean(losses[:5]) - np.mean(losses[-5:]) if losses else 0.0
    message = (
        f"{hyperparameters.message} Then {len(losses)} Adam steps moved {len(inducing_points)} "
        f"inducing points and gained {gain:.4f} nats per row."
    )
    moved = Hyperparameters(
        kernel,
        float(np.exp(candidate.log_amplitude).item()),
        float(np.exp(candidate.log_noise_variance).item()),
        hyperparameters.converged and len(losses) == steps,
        message,
    )
    return moved, np.asarray(candidate.inducing_points, float)


def learn_scale(
    theory_of: Callable[[Any, Any], ModeTheory],
    hyperparameters: Hyperparameters,
    mean_square: float,
) -> Hyperparameters:
    """Amplitude and noise that maximize the evidence of `theory_of(amplitude, noise)`, which knows
    all rows through their sufficient statistics. Bounded L-BFGS-B in two logarithms."""

    @jax.jit
    def loss_and_slope(vector):
        def loss(vector):
            theory = theory_of(*jnp.exp(vector))
            return -theory.log_evidence() / (theory.n_samples * theory.target_square.shape[0])

        return jax.value_and_grad(loss)(vector)

    bounds = np.log(mean_square * np.array([AMPLITUDE_RANGE, NOISE_RANGE]))
    start = np.clip(np.log([hyperparameters.amplitude, hyperparameters.noise_variance]), *bounds.T)
    result = scipy.optimize.minimize(
        lambda vector: tuple(np.asarray(value, float) for value in loss_and_slope(vector)),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
    )
    amplitude, noise_variance = np.exp(result.x)
    return dataclasses.replace(
        hyperparameters, amplitude=float(amplitude), noise_variance=float(noise_variance)
    )
