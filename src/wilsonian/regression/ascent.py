"""Two ways up the evidence: L-BFGS-B at inducing points that stay, Adam with those that move."""

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
from wilsonian.regression.evidence import Candidate, Hyperparameters, loss_and_gradient
from wilsonian.regression.inducing_points import randomly_pivoted_cholesky
from wilsonian.regression.sample import Sample, column_spread
from wilsonian.regression.starts import AMPLITUDE_RANGE, NOISE_RANGE, Start

# Bounds of a kernel's numbers, as factors of the starting value.
KERNEL_RANGE = (1e-3, 1e3)
# Learning ends where the evidence of all rows would rise by no more than this, in nats, for each
# factor of e in a hyperparameter; far below the nat that means something.
SLOPE = 0.01


@dataclasses.dataclass(frozen=True)
class Run:
    """Where an optimizer came to."""

    start: Start  # its kernel, amplitude and noise, and the log evidence there
    iterations: int
    settled: bool
    at_bounds: int  # hyperparameters at their bounds
    complaint: str  # the optimizer's own, if it did not settle


def maximize(
    start: Start,
    sample: Sample,
    rank: int,
    *,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
    watch: Callable[[int], None] | None = None,
) -> Run:
    """One L-BFGS-B run."""
    sample = with_precision(sample, float)
    points = sample.X[randomly_pivoted_cholesky(start.kernel, sample.X, rank, random).indices]
    # The compiled kernel is for one shape: fill up with copies (the jitter copes with them).
    points = np.resize(points, (min(rank, len(sample.X)), sample.X.shape[1]))
    candidate, fixed = Candidate.of(start.kernel, start.amplitude, start.noise_variance, points)
    moved = (candidate.log_kernel, candidate.log_amplitude, candidate.log_noise_variance)
    raveled, unravel = ravel_pytree(jax.tree.map(jnp.asarray, moved))
    vector, groups = np.array(raveled), len(candidate.log_amplitude)
    rows, outputs = float(sample.weights.sum()), sample.y.shape[1]

    def at(vector: np.ndarray) -> Candidate:
        parts: Any = jax.tree.map(np.asarray, unravel(jnp.asarray(vector)))
        return Candidate(parts[0], parts[1], parts[2], points)

    def objective(vector):
        loss, slope = loss_and_gradient(at(vector), fixed, sample, input_dependent, False)
        if not np.isfinite(loss):  # outside the region where the factorizations exist
            return 1e10, np.zeros_like(vector)
        slopes = (slope.log_kernel, slope.log_amplitude, slope.log_noise_variance)
        return loss, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(slopes)])

    scale = np.log(sample.mean_squares() if groups > 1 else [sample.mean_square()])[:, None]
    bounds = np.concatenate(
        [
            vector[: len(vector) - 2 * groups, None] + np.log(KERNEL_RANGE),
            scale + np.log(AMPLITUDE_RANGE),
            scale + np.log(NOISE_RANGE),
        ]
    )
    if sample.row_noise is not None:  # beside known noise there may be none
        bounds[-groups:, 0] = np.minimum(bounds[-groups:, 0], np.log(NOISE_RANGE[0]))
    low, high = bounds.T
    iterations, settled, slope = 0, False, np.inf
    result = scipy.optimize.OptimizeResult(x=vector, fun=np.inf)
    # A line search may fail on rounding: begin anew from there, without its memory.
    for _ in range(3):
        before = result.fun
        result = scipy.optimize.minimize(
            objective,
            np.clip(result.x, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            callback=None if watch is None else _counting(watch, iterations),
            options={
                "maxiter": max(max_iterations - iterations, 1),
                "ftol": 1e-7,
                "gtol": SLOPE / (rows * outputs),
            },
        )
        iterations += result.nit
        inside = ((result.x > low) | (result.jac < 0)) & ((result.x < high) | (result.jac > 0))
        slope = np.max(np.abs(result.jac[inside]), initial=0.0) * rows * outputs
        settled = bool(result.success)
        if settled or iterations >= max_iterations or before - result.fun < 1e-7:
            break
    # No lower point along a slope of next to nothing: that is the rounding.
    settled = settled or (iterations < max_iterations and slope < 100 * SLOPE)
    best = at(result.x)
    at_bounds = int(np.sum(np.minimum(result.x - low, high - result.x) < 1e-6))
    scales = np.exp(best.log_amplitude), np.exp(best.log_noise_variance)
    evidence = -result.fun * rows * outputs if result.fun < 1e10 else -np.inf
    end = Start(with_precision(best.kernel(fixed), float), *scales, evidence)
    return Run(end, iterations, settled, at_bounds, str(result.message))


def _counting(watch: Callable[[int], None], before: int) -> Callable[[Any], None]:
    count = before

    def callback(_: Any) -> None:
        nonlocal count
        count += 1
        watch(count)

    return callback


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
        few = with_precision(few, dtype)
        loss, gradient = loss_and_gradient(candidate, fixed, few, input_dependent, True)
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
        np.exp(np.asarray(candidate.log_amplitude, float)),
        np.exp(np.asarray(candidate.log_noise_variance, float)),
        hyperparameters.converged and len(losses) == steps,
        message,
    )
    return moved, np.asarray(candidate.inducing_points, float)
