"""Which numbers of a kernel learning may move, its length scales and its periods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from wilsonian.kernels.formulas import AbstractStationary
from wilsonian.kernels.kernel import FromFunction, Kernel, Rescaled
from wilsonian.kernels.periodic import Cosine, Periodic


def learnable(kernel: Kernel) -> Any:
    """Mask of the kernel's leaves that learning may move: its positive numbers and arrays. A
    parameter that is zero (such as an absent bias variance) stays absent."""
    return jax.tree.map(
        lambda leaf: bool(eqx.is_inexact_array_like(leaf) and np.all(np.asarray(leaf) > 0)), kernel
    )


def has_length_scale(node: Any) -> bool:
    """Whether a part of a kernel measures inputs in units of its own."""
    return isinstance(node, AbstractStationary | Rescaled | Periodic | Cosine)


def has_period(node: Any) -> bool:
    """Whether a part of a kernel has periods."""
    return isinstance(node, Periodic | Cosine)


def parts_with(kernel: Kernel, has: Callable[[Any], bool]) -> list[Any]:
    """The parts of a kernel for which `has` holds, from left to right, none within another."""
    return [node for node in jax.tree.leaves(kernel, is_leaf=has) if has(node)]


def per_column(kernel: Kernel, columns: int) -> Kernel:
    """`kernel` with one length scale, and one period, for each column (ARD)."""

    def widen(node):
        if isinstance(node, Rescaled):
            node = eqx.tree_at(lambda n: n.kernel, node, per_column(node.kernel, columns))
        for name in ("length_scale", "period"):
            if has_length_scale(node) and hasattr(node, name):
                wide = np.broadcast_to(getattr(node, name), columns) + 0.0
                node = eqx.tree_at(lambda n, name=name: getattr(n, name), node, wide)
        return node

    return jax.tree.map(widen, kernel, is_leaf=has_length_scale)


def length_scaled(kernel: Kernel, change: Callable[[Any], Any], wound: float = 1.0) -> Kernel:
    """`kernel` with every length scale replaced by `change(length_scale)`; those on the circles of
    periodic kernels, which have no unit, by the number `wound`."""

    def replace(node):
        if isinstance(node, Rescaled):
            return Rescaled(length_scaled(node.kernel, change, wound), change(node.length_scale))
        if isinstance(node, AbstractStationary):
            return eqx.tree_at(lambda n: n.length_scale, node, change(node.length_scale))
        if isinstance(node, Periodic):
            return Periodic(np.full(np.shape(node.length_scale), wound), node.period)
        return node

    return jax.tree.map(replace, kernel, is_leaf=has_length_scale)


def with_periods(kernel: Kernel, periods: list[Any]) -> Kernel:
    """`kernel` with the periods of its first periodic part replaced by `periods[0]`, and so on."""
    left = iter(periods)

    def replace(node):
        if not has_period(node):
            return node
        period = np.broadcast_to(next(left), np.shape(node.period)) + 0.0
        return eqx.tree_at(lambda n: n.period, node, period)

    return jax.tree.map(replace, kernel, is_leaf=has_period)


def kept_as_given(kernel: Kernel) -> str:
    """A sentence on kernels that are functions of the user's or scikit-learn's, whose own numbers
    learning cannot move; empty if there are none."""
    wrapped = parts_with(kernel, lambda node: isinstance(node, FromFunction))
    if not wrapped:
        return ""
    named = sorted({_function_text(node.function) for node in wrapped})
    text = f"The numbers inside {', '.join(named)} stay as given, whatever the data: they were "
    text += "not learned; "
    if any(hasattr(node.function, "hyperparameters") for node in wrapped):
        return (
            text + "write the kernel with wilsonian's own (RBF, Matern52, Periodic ...) for that."
        )
    return text + "write the kernel as a wilsonian.Kernel for that."


def _function_text(function: Any) -> str:
    if hasattr(function, "hyperparameters"):
        return " ".join(str(function).split())
    return f"the function {getattr(function, '__name__', type(function).__name__)}"
