r"""Densities on a fixed grid of a standardized field z: piecewise linear, so that they can be drawn
and evaluated exactly.

The density that is drawn is the one that enters the weight, so the grid costs no exactness.
Layout: nodes first, rows last, which is how processors like it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

NODES = 64
REACH = 6.5
GRID = np.linspace(-REACH, REACH, NODES)
SPACING = float(GRID[1] - GRID[0])
WINDOW = 4 * np.maximum(np.abs(GRID) - 4.7, 0) ** 2  # keeps runaway tails out


def piecewise_density(log_values: Float[Array, "nodes rows"]) -> Array:
    """Normalized values at the nodes of the density that is linear between them."""
    values = jnp.exp(log_values - log_values.max(0))
    # Straight lines between the nodes of a smooth density are wider than it, by a sixth of the
    # squared spacing; taking a twelfth of the second difference off the nodes undoes that, and
    # with it four fifths of what the grid adds to the variance of log w.
    bend = values[2:] - 2 * values[1:-1] + values[:-2]
    values = values.at[1:-1].set(jnp.maximum(values[1:-1] - bend / 12, 0.5 * values[1:-1]))
    mass = (values[1:-1].sum(0) + 0.5 * (values[0] + values[-1])) * SPACING
    return values / mass


def draw(
    density: Float[Array, "nodes rows"], uniforms: Float[Array, " rows"]
) -> tuple[Array, Array]:
    """One draw per row by inversion, and its log density: (z, log q)."""
    pieces = 0.5 * SPACING * (density[1:] + density[:-1])
    cumulative = jnp.cumsum(pieces, 0)
    aim = uniforms * cumulative[-1]
    place = jnp.minimum((cumulative < aim).sum(0), NODES - 2)
    before = jnp.where(place > 0, _at(cumulative, jnp.maximum(place - 1, 0)), 0.0)
    low, high = _at(density, place), _at(density, place + 1)
    slope, rest = high - low, jnp.maximum(aim - before, 0) / SPACING
    root = low + jnp.sqrt(jnp.maximum(low * low + 2 * slope * rest, 0))
    along = jnp.clip(2 * rest / (root + 1e-30), 0, 1)
    z = jnp.asarray(GRID, density.dtype)[place] + along * SPACING
    return z, jnp.log(low + slope * along + 1e-30)


def log_density_at(density: Float[Array, "nodes rows"], z: Float[Array, " rows"]) -> Array:
    """Log density at given values; minus infinity outside the grid."""
    steps = (z + REACH) / SPACING
    place = jnp.clip(jnp.floor(steps).astype(int), 0, NODES - 2)
    low, high = _at(density, place), _at(density, place + 1)
    inside = low + (high - low) * jnp.clip(steps - place, 0, 1)
    return jnp.where(jnp.abs(z) > REACH, -jnp.inf, jnp.log(inside + 1e-30))


def _at(values: Float[Array, "nodes rows"], place: Array) -> Array:
    return jnp.take_along_axis(values, place[None], 0)[0]


def uniforms(key: jax.Array, count: int) -> Array:
    return jax.random.uniform(key, (count,), jnp.float32)
