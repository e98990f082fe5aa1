"""Trees of parameters as vectors: sums, differences, one flat vector and back."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


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


def flat(tree: Any) -> Float[np.ndarray, " p"]:
    """All entries as one vector."""
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)])


def unflat(like: Any, vector: Any) -> Any:
    """A vector as a tree with the shapes of `like`."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = np.split(np.asarray(vector, leaves[0].dtype), ends[:-1])
    shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)
