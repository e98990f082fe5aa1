"""Trees of numbers in a stated precision."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np


def with_precision(tree: Any, dtype: Any) -> Any:
    """`tree` with every floating-point leaf a NumPy array of `dtype`. Leaves that are Python
    numbers would be constants to the compiler, and each new value a new compilation; JAX arrays
    would lose their precision when copied or unpickled where float64 is not enabled."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, dtype) if eqx.is_inexact_array_like(leaf) else leaf, tree
    )
