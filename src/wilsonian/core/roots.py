"""Where an increasing function of a positive number reaches a value, differentiably."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar

WIDE = 1e25  # a bracket from 1 / WIDE to WIDE times the scale of a problem is never left


def increasing_root(
    function: Callable[[Array], Array], target: Scalar, low: Scalar, high: Scalar
) -> Float[Array, ""]:
    r"""The positive :math:`x` between `low` and `high` at which an increasing `function` reaches
    `target` :math:`\ge 0`; the nearer end when it does so outside.

    Newton's method in :math:`\log x` on :math:`(f - t) / (|f| + |t|)`, which is flat where
    :math:`f < 0`: there, and wherever Newton's step leaves the bracket or gains less than a factor
    of two, the bracket is halved instead. Differentiable by the implicit function theorem,
    :math:`dx = (dt - df) / f'(x)`, also with respect to what `function` closes over.
    """
    dtype = jnp.result_type(target, low, high, 1.0)
    target, low, high = (jnp.asarray(value, dtype) for value in (target, low, high))
    limits = jnp.finfo(dtype)

    def residual(log_x):
        # Poles left of the root are minus infinity.
        value = jnp.clip(function(jnp.exp(log_x)), -limits.max / 4, limits.max / 4)
        return (value - target) / (jnp.abs(value) + jnp.abs(target) + limits.tiny)

    def solve(*_):
        def step(state):
            left, right, current, last, _, count = state
            size, slope = jax.jvp(residual, (current,), (jnp.ones((), dtype),))
            left, right = jnp.where(size < 0, current, left), jnp.where(size < 0, right, current)
            newton = current - size / jnp.where(slope > 0, slope, 1.0)
            useful = (slope > 0) & (newton >= left) & (newton <= right)
            useful &= jnp.abs(size) < last / 2
            following = jnp.where(useful, newton, (left + right) / 2)
            change = jnp.where(useful, jnp.abs(following - current), right - left)
            return left, right, following, jnp.abs(size), change, count + 1

        def unfinished(state):
            _, _, current, last, change, count = state
            rounding = 4 * limits.eps * jnp.maximum(jnp.abs(current), 1.0)
            return (change > rounding) & (last > 0) & (count < 200)

        left, right = jnp.log(low), jnp.log(high)
        infinite = jnp.asarray(jnp.inf, dtype)
        start = (left, right, (left + right) / 2, infinite, infinite, 0)
        root = jnp.exp(jax.lax.while_loop(unfinished, step, start)[2])
        return jnp.clip(root, low, high)

    return jax.lax.custom_root(
        lambda x: function(x) - target,
        jnp.zeros((), dtype),
        solve,
        lambda tangent, right: right / tangent(jnp.ones_like(right)),
    )


def root_or_zero(function: Callable[[Array], Array], target: Any, scale: Any) -> Array:
    """Where an increasing function of order its argument reaches `target`, whatever the size of
    that against `scale`; zero when the function is positive from the start and `target` is zero."""
    low = scale / WIDE
    lowest = jnp.where(target > 0, jnp.minimum(low, low * target / scale), low)
    lowest = jnp.maximum(lowest, jnp.finfo(lowest.dtype).tiny)
    root = increasing_root(function, target, lowest, (scale + target) * WIDE)
    return jnp.where((target <= 0) & (jax.lax.stop_gradient(function(low)) > 0), 0.0, root)
