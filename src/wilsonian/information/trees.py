"""Trees of parameters as vectors: sums, differences, products."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


@jax.jit
def plus(left: Any, right: Any) -> Any:
    """Sum, leaf by leaf; one compilation for a tree, not one for every shape in it."""
    return jax.tree.map(jnp.add, left, right)


@jax.jit
def minus(left: Any, right: Any) -> Any:
    """Difference, leaf by leaf."""
    return jax.tree.map(jnp.subtract, left, right)


@jax.jit
def times(left: Any, right: Any) -> Any:
    """Product, leaf by leaf."""
    return jax.tree.map(jnp.multiply, left, right)


def cast_to(leaf: Any, dtype: Any) -> Array:
    """An array in another precision; nothing is compiled."""
    return jnp.asarray(np.asarray(leaf).astype(jnp.dtype(dtype), copy=False))
