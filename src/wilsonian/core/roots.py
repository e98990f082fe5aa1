"""One-dimensional problems: where a function crosses zero, and where it is least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from wilsonian.core.types import Scalar

WIDE = 1e25  # a bracket from 1 / WIDE to WIDE times the scale of a problem is never left
MOST_STEPS = 200


class Root(eqx.Module):
    """Where a function crosses zero, and how that was found."""

    value: Float[Array, ""]
    residual: Float[Array, ""]  # what is left of the equation there, as the solver measures it
    steps: Int[Array, ""]  # MOST_STEPS if it did not end by itself


def bracketed_newton(
    residual: Callable[[Array], Array], left: Array, right: Array, start: Array
) -> Root:
    """Where an increasing `residual` crosses zero between `left` and `right`.

    Newton's method from `start`; wherever its step leaves the bracket, gains less than a factor of
    two, or the slope is not positive, the bracket is halved instead. It ends when the step is
    rounding. Twin: `scipy.optimize.brentq`.
    """
    dtype = start.dtype
    eps = jnp.finfo(dtype).eps

    def step(state):
        left, right, current, last, _, count = state
        size, slope = jax.jvp(residual, (current,), (jnp.ones((), dtype),))
        left, right = jnp.where(size < 0, current, left), jnp.where(size < 0, right, current)
        newton = current - size / jnp.where(slope > 0, slope, 1.0)
        # A step to the very edge of the bracket is how Newton's method ends: it is inside.
        useful = (slope > 0) & (newton >= left) & (newton <= right) & (jnp.abs(size) < last / 2)
        following = jnp.where(useful, newton, (left + right) / 2)
        change = jnp.where(useful, jnp.abs(following - current), right - left)
        return left, right, following, jnp.abs(size), change, count + 1

    def unfinished(state):
        _, _, current, last, change, count = state
        rounding = 4 * eps * jnp.maximum(jnp.abs(current), 1.0)
        return (change > rounding) & (last > 0) & (count < MOST_STEPS)

    infinite = jnp.asarray(jnp.inf, dtype)
    state = (left, right, start, infinite, infinite, 0)
    _, _, value, last, _, count = jax.lax.while_loop(unfinished, step, state)
    return Root(value, last, jnp.asarray(count))


def bisection(
    above: Callable[[Array], Array], left: Scalar, right: Scalar, steps: int
) -> Float[Array, ""]:
    """Where `above` turns from false to true between `left` and `right`, to `2^-steps` of them: for
    functions whose slope is of no use."""

    def halve(_, bracket):
        left, right = bracket
        middle = (left + right) / 2
        over = above(middle)
        return jnp.where(over, left, middle), jnp.where(over, middle, right)

    return sum(jax.lax.fori_loop(0, steps, halve, (left, right))) / 2


def golden_section(
    function: Callable[[Array], Array], left: Scalar, right: Scalar, steps: int
) -> Float[Array, ""]:
    """The place of the one minimum of `function` between `left` and `right`; each step leaves .618
    of them. What a minimum tells of its place ends at the square root of rounding."""
    golden = (jnp.sqrt(5.0) - 1) / 2

    def shrink(_, bracket):
        left, right = bracket
        first, second = right - golden * (right - left), left + golden * (right - left)
        rising = function(first) < function(second)
        return jnp.where(rising, left, first), jnp.where(rising, second, right)

    return sum(jax.lax.fori_loop(0, steps, shrink, (left, right))) / 2


def increasing_root(
    function: Callable[[Array], Array], target: Scalar, low: Scalar, high: Scalar
) -> Float[Array, ""]:
    r"""The positive :math:`x` between `low` and `high` at which an increasing `function` reaches
    `target` :math:`\ge 0`; the nearer end when it does so outside.

    Newton's method in :math:`\log x` on :math:`(f - t) / (|f| + |t|)`, which is flat where
    :math:`f < 0`: there the bracket is halved instead (:func:`bracketed_newton`). Differentiable by
    the implicit function theorem, :math:`dx = (dt - df) / f'(x)`, also with respect to what
    `function` closes over.
    """
    dtype = jnp.result_type(target, low, high, 1.0)
    target, low, high = (jnp.asarray(value, dtype) for value in (target, low, high))
    limits = jnp.finfo(dtype)

    def residual(log_x):
        # Poles left of the root are minus infinity.
        value = jnp.clip(function(jnp.exp(log_x)), -limits.max / 4, limits.max / 4)
        return (value - target) / (jnp.abs(value) + jnp.abs(target) + limits.tiny)

    def solve(*_):
        left, right = jnp.log(low), jnp.log(high)
        root = bracketed_newton(residual, left, right, (left + right) / 2)
        return jnp.clip(jnp.exp(root.value), low, high)

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
