r"""Spectra of free sums and products: subordination, spectral densities and moments.

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
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

if TYPE_CHECKING:
    from wilsonian.free_probability.ensemble import AbstractEnsemble

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


@eqx.filter_jit
def _stieltjes(ensemble: AbstractEnsemble, z: Array) -> Array:
    return ensemble.stieltjes(z)


def spectral_density(ensemble: AbstractEnsemble, x: Any) -> Float[np.ndarray, "..."]:
    r"""Density of eigenvalues, :math:`\rho(x) = -\frac1\pi \mathrm{Im}\,\mathrm{tr} (x + i \eta -
    A)^{-1}` with :math:`\eta` a 10^-9 of the bound of the spectrum: the error is of that order
    but at edges, where it is of the order of its square root. Atoms (rank missing) are not seen
    off their place. In double precision, whatever the setting.

    Raises ValueError unless `x` is finite.
    """
    x = np.asarray(x, float)
    if not np.all(np.isfinite(x)):
        raise ValueError("`x` must be finite; it holds NaN or infinity.")
    with jax.enable_x64(True):
        above = 1e-9 * float(ensemble.bound())
        return np.asarray(-_stieltjes(ensemble, jnp.asarray(x + 1j * above)).imag / np.pi)


def moments(ensemble: AbstractEnsemble, order: int) -> Float[np.ndarray, " order"]:
    r"""Moments :math:`m_k = \mathrm{tr} A^k`, k from 1 to `order`, by the contour integral
    :math:`\frac1{2 \pi i} \oint z^k\,\mathrm{tr} (z - A)^{-1} dz` around the spectrum.

    Raises ValueError unless `order` is at least 1.
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1, got {order}.")
    with jax.enable_x64(True):
        points = 64 + 8 * order
        radius = 2 * float(ensemble.bound())
        # Midpoints of the upper half circle; the lower half is its mirror image.
        z = radius * np.exp(1j * np.pi * (np.arange(points) + 0.5) / points)
        values = np.asarray(_stieltjes(ensemble, jnp.asarray(z)))
        powers = np.arange(1, order + 1)[:, None]
        return np.mean(z ** (powers + 1) * values, axis=1).real
