"""Which numbers of a kernel learning may move, and its length scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from wilsonian.kernels.formulas import AbstractStationary
from wilsonian.kernels.kernel import Kernel, Rescaled


def learnable(kernel: Kernel) -> Any:
    """Mask of the kernel's leaves that learning may move: its positive numbers and arrays. A
    parameter that is zero (such as an absent bias variance) stays absent."""
    return jax.tree.map(
        lambda leaf: bool(eqx.is_inexact_array_like(leaf) and np.all(np.asarray(leaf) > 0)), kernel
    )


def has_length_scale(node: Any) -> bool:
    """Whether a part of a kernel measures inputs in units of its own."""
    return isinstance(node, AbstractStationary | Rescaled)


def length_scaled(kernel: Kernel, change: Callable[[Any], Any]) -> Kernel:
    """`kernel` with every length scale replaced by `change(length_scale)`."""

    def replace(node):
        if isinstance(node, Rescaled):
            return Rescaled(length_scaled(node.kernel, change), change(node.length_scale))
        if isinstance(node, AbstractStationary):
            return eqx.tree_at(lambda n: n.length_scale, node, change(node.length_scale))
        return node

    return jax.tree.map(replace, kernel, is_leaf=has_length_scale)
