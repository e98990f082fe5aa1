r"""Predicted cost of moving what a cutoff removes, mode by mode.

A move :math:`\delta` of whitened parameters changes the summed loss by :math:`\sum_A g_A \delta_A
+ \frac12 k_A \delta_A^2`, to second order (docs/science/information.md, section 2). The gradient
term is as large as the other: at a minimum with its prior :math:`g = -z`.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.information import products
from wilsonian.information.trees import minus


class MoveTerms(eqx.Module):
    """Parts of the cost of removing each mode whole, in nats of all data; the last entry is for
    all directions without a mode."""

    gradient_times_value: Float[np.ndarray, " entries"]  # g z
    value_squared: Float[np.ndarray, " entries"]  # k z^2
    information: Float[np.ndarray, " entries"]  # k; last that of all other directions
    # Of going back to initialization, z_0; to the prior's mean where that is not asked for.
    gradient_times_start: Float[np.ndarray, " entries"]  # g (z_0 - z)
    start_squared: Float[np.ndarray, " entries"]  # k (z_0 - z)^2
    start: Float[np.ndarray, " modes"]  # z_0

    def parts(self, reset: str) -> tuple[Any, Any]:
        """Gradient and quadratic term of removing each entry."""
        if reset == "keep":
            return 0 * self.value_squared, self.information / 2
        if reset == "init":
            return self.gradient_times_start, self.start_squared / 2
        quadratic = self.value_squared / 2
        if reset == "prior":
            quadratic = quadratic + self.information / 2
        return -self.gradient_times_value, quadratic

    @compiled
    def cost(self, weights: Array, reset: str) -> Array:
        r"""Cost of the cutoff, summed over examples. A mode kept in part moves in part, from
        :math:`z` to :math:`\frac{w (1 + k)}{1 + w k} z`; a mode of weight zero is removed."""
        gradient, quadratic = self.parts(reset)
        spread = jnp.where(weights > 0, 0.0, self.information / 2)
        if reset == "keep":
            return jnp.sum(spread)
        own = jnp.append(self.information[:-1], 0.0)
        moved = (1 - weights) / (1 + weights * own)
        if reset == "prior":
            quadratic = quadratic - self.information / 2
            return jnp.sum(gradient * moved + quadratic * moved**2 + spread)
        return jnp.sum(gradient * moved + quadratic * moved**2)

    def with_start(self, network: Any, modes: Any, slopes: np.ndarray) -> MoveTerms:
        """The same with the terms of going back to initialization."""
        step = minus(network.start, network.point)
        moved = modes.coordinates(network, step)
        pushed = products.push(network, step)
        scores = products.scores(network)
        gradient, squared = totals(scores, modes.information, slopes, moved, pushed)
        begun = minus(network.start, network.prior_point)
        return MoveTerms(
            self.gradient_times_value,
            self.value_squared,
            self.information,
            gradient,
            squared,
            modes.coordinates(network, begun),
        )


def totals(
    scores: Array, k: np.ndarray, slopes: np.ndarray, coordinates: np.ndarray, pushed: Array
) -> tuple[np.ndarray, np.ndarray]:
    r""":math:`g_A \delta_A` and :math:`k_A \delta_A^2` of a step with the `coordinates`, pushed to
    :math:`A \delta`; the last entry for what no mode has: the whole, with the `scores` q
    :math:`g \cdot \delta = q \cdot A \delta`, and :math:`|A \delta|^2`, less the modes."""
    gradient, squared = slopes * coordinates, k * coordinates**2
    row = np.asarray(pushed)
    whole = np.sum(np.asarray(scores) * row), np.sum(row**2)
    return (
        np.append(gradient, whole[0] - np.sum(gradient)),
        np.append(squared, np.maximum(whole[1] - np.sum(squared), 0)),
    )


def largest_cutoff(costs: np.ndarray, information: np.ndarray, budget: float) -> float:
    """The largest scale c such that the cost of removing all modes below it, and below any smaller
    scale, is at most `budget`. `costs` and `information` are per entry, descending, the entry of
    other directions last. Zero, which removes nothing, if those cost too much already."""
    running = np.cumsum(costs[::-1])
    over = np.flatnonzero(running > budget)
    ascending = information[::-1]
    if len(over) == 0:
        return float(np.nextafter(information[0], np.inf))
    return float(ascending[over[0]]) if over[0] > 0 else 0.0
