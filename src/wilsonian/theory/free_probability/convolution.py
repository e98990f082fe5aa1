r"""Stieltjes transforms of free sums and products, by subordination.

With the self-energy :math:`\Sigma_A(z) = z - 1 / \mathrm{tr} (z - A)^{-1}` both convolutions are
the same fixed point (Belinschi, Mai and Speicher 2017, theorem 2.7; Belinschi, Speicher, Treilhard
and Vargas 2015):

.. math:: \omega = z - \Sigma_B(z - \Sigma_A(\omega)) \text{ for } A + B, \qquad
    \omega = z / \Sigma_B(z / \Sigma_A(\omega)) \text{ for } A^{1/2} B A^{1/2},

with :math:`\mathrm{tr} (z - A - B)^{-1} = \mathrm{tr} (\omega - A)^{-1}` and, for the product,
:math:`z\,\mathrm{tr} (z - A^{1/2} B A^{1/2})^{-1} = \omega\,\mathrm{tr} (\omega - A)^{-1}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

Stieltjes = Callable[[Array], Array]
DESCENT = 20  # steps by a factor of four from far above the axis down to it


def self_energy(stieltjes: Stieltjes, z: Array) -> Array:
    r""":math:`\Sigma(z) = z - 1 / \mathrm{tr} (z - A)^{-1}`: the R-transform as a function of
    :math:`z`."""
    return z - 1 / stieltjes(z)


def sum_stieltjes(left: Stieltjes, right: Stieltjes, z: Any, scale: Array) -> Array:
    r""":math:`\mathrm{tr} (z - A - B)^{-1}` from those of :math:`A` and :math:`B`."""

    def update(omega, z):
        return z - self_energy(right, z - self_energy(left, omega))

    return _in_upper_half_plane(lambda z: left(_subordinate(update, z, scale)), z)


def product_stieltjes(left: Stieltjes, right: Stieltjes, z: Any, scale: Array) -> Array:
    r""":math:`\mathrm{tr} (z - A^{1/2} B A^{1/2})^{-1}` from those of :math:`A, B \ge 0`."""

    def update(omega, z):
        return z / self_energy(right, z / self_energy(left, omega))

    def one(z):
        omega = _subordinate(update, z, scale)
        return omega * left(omega) / z

    return _in_upper_half_plane(one, z)


def _in_upper_half_plane(function: Callable[[Array], Array], z: Any) -> Array:
    """`function` of every element, reflected where it lies below the real axis."""

    def one(z):
        below = z.imag < 0
        value = function(jnp.where(below, z.conj(), z))
        return jnp.where(below, value.conj(), value)

    return jnp.vectorize(one)(jnp.asarray(z) + 0j)


def _subordinate(update: Callable[[Array, Array], Array], z: Array, scale: Array) -> Array:
    """Fixed point of `update(., z)`: iterated far above the real axis, where it contracts fast,
    and followed down. At the edges of a spectrum a start from anywhere else crawls."""
    offsets = 1j * (jnp.abs(z) + scale) * 4.0 ** (1 - jnp.arange(DESCENT, dtype=z.real.dtype))
    heights = jnp.append(offsets, 0j)

    def descend(step, omega):
        there = z + heights[step]
        return _fixed_point(lambda omega: update(omega, there), omega)

    return jax.lax.fori_loop(0, DESCENT + 1, descend, z + heights[0])


def _fixed_point(update: Callable[[Array], Array], start: Array) -> Array:
    """The secant method on `update(omega) - omega` where its step stays in the half plane and the
    last one gained, plain iteration elsewhere: fast without a derivative and with one call per
    step, so that convolutions of convolutions are no harder."""
    rounding = 8 * jnp.finfo(start.real.dtype).eps

    def step(state):
        point, last, last_excess, _, count = state
        excess = update(point) - point
        bend = excess - last_excess
        secant = point - excess * (point - last) / jnp.where(bend == 0, 1.0, bend)
        useful = (point != last) & (bend != 0) & jnp.isfinite(secant) & (secant.imag >= 0)
        useful &= jnp.abs(excess) < jnp.abs(last_excess)
        following = jnp.where(useful, secant, point + excess)
        return following, point, excess, jnp.abs(following - point), count + 1

    def unfinished(state):
        point, _, _, change, count = state
        return (change > rounding * jnp.abs(point)) & (count < 300)

    infinite = jnp.asarray(jnp.inf, start.real.dtype)
    state = (start, start, infinite + 0j, infinite, 0)
    return jax.lax.while_loop(unfinished, step, state)[0]
