"""Trees of arrays as one vector, and back.

`jax.flatten_util.ravel_pytree` compiles for every shape, and rounds float64 where JAX has 32 bits.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def raveled(tree: Any, dtype: Any = None) -> np.ndarray:
    """All numbers of a tree, in their own precision or in `dtype`; nothing is compiled."""
    return np.concatenate([np.ravel(np.asarray(x, dtype)) for x in jax.tree.leaves(tree)])


def unraveled(vector: Any, like: Any) -> Any:
    """The tree of that form, and in its precision, with the numbers of :func:`raveled`; of a
    vector of NumPy, or of one that is traced."""
    leaves, form = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves]).tolist()
    parts = [
        vector[end - leaf.size : end].reshape(leaf.shape).astype(leaf.dtype, copy=False)
        for leaf, end in zip(leaves, ends, strict=True)
    ]
    return jax.tree.unflatten(form, parts)
