"""Numbers in a stated precision, and products that keep it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def with_precision(tree: Any, dtype: Any) -> Any:
    """`tree` with every floating-point leaf a NumPy array of `dtype`. Leaves that are Python
    numbers would be constants to the compiler, and each new value a new compilation; JAX arrays
    would lose their precision when copied or unpickled where float64 is not enabled."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, dtype) if eqx.is_inexact_array_like(leaf) else leaf, tree
    )


def full_products(function: Function) -> Function:
    """`function` with matrix products in the precision of their numbers: of float32 an accelerator
    would keep 10 bits."""

    @functools.wraps(function)
    def precise(*arguments: Any, **named: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return function(*arguments, **named)

    return precise  # type: ignore[return-value]


def compiled(function: Callable[..., Any]) -> Any:
    """`equinox.filter_jit` of :func:`full_products`."""
    return eqx.filter_jit(full_products(function))
