"""Inducing points that move, and hyperparameters with them, up the evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
import optax

from wilsonian.core.precision import with_precision
from wilsonian.regression.evidence import Candidate, loss_and_gradient
from wilsonian.regression.learning import Hyperparameters
from wilsonian.regression.sample import Sample, column_spread


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
        np.exp(np.asarray(candidate.log_amplitude, float)),
        np.exp(np.asarray(candidate.log_noise_variance, float)),
        hyperparameters.converged and len(losses) == steps,
        message,
    )
    return moved, np.asarray(candidate.inducing_points, float)
