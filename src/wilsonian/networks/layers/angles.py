"""Angles between Gaussians: cosines and arctangents with finite slopes, in vector arithmetic."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def correlation(
    x_variance: Float[Array, "..."],
    z_variance: Float[Array, "..."],
    covariance: Float[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Cosine of the angle between two Gaussians, zero if one of them is, and its squared sine.

    A sine below the rounding of the cosine is zero, and the cosine +-1: otherwise an input would
    lie at an angle of ~sqrt(eps) from itself, more in deeper layers, and tangent kernels, which
    have a cusp there, would lose half their digits.
    """
    x_share = 1 / jnp.sqrt(jnp.where(x_variance > 0, x_variance, 1.0))
    z_share = 1 / jnp.sqrt(jnp.where(z_variance > 0, z_variance, 1.0))
    cosine = covariance * x_share * z_share  # one by one: their product overflows sooner
    squared_sine = (1 - cosine) * (1 + cosine)
    apart = squared_sine > 16 * jnp.finfo(cosine.dtype).eps
    return jnp.where(apart, cosine, jnp.sign(cosine)), jnp.where(apart, squared_sine, 0.0)


@functools.cache
def _arctan_coefficients(degree: int) -> tuple[float, ...]:
    r"""Of :math:`\arctan(t) / t` as a polynomial in :math:`x = 2 t^2 - 1`, from
    :math:`\arctan t = 2 \sum_k (-1)^k (\sqrt2 - 1)^{2k+1} T_{2k+1}(t) / (2k + 1)`, where
    :math:`V_k(x) = T_{2k+1}(t) / t` obey :math:`V_{k+1} = 2 x V_k - V_{k-1}`."""
    total, before, current = np.zeros(degree + 1), np.zeros(degree + 1), np.zeros(degree + 1)
    before[0], current[0] = 1.0, 1.0  # V_-1 = V_0 = 1
    for k in range(degree + 1):
        total += 2 * (-1) ** k * (np.sqrt(2) - 1) ** (2 * k + 1) / (2 * k + 1) * current
        before, current = current, 2 * np.append(0.0, current[:-1]) - before
    return tuple(total.tolist())


@jax.custom_jvp
def arctan(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """Arctangent of numbers in [-1, 1] to two units in the last place.

    A polynomial, because compilers call the C library for arctangents number by number, which is
    several times slower than all the rest of a kernel. Each degree gains a factor 3 + 8^.5, set by
    the pole at t^2 = -1.
    """
    wide = jnp.finfo(t.dtype).eps < 1e-8
    x = 2 * t * t - 1
    *others, first = _arctan_coefficients(21 if wide else 10)
    total = jnp.full_like(x, first)
    for coefficient in reversed(others):
        total = total * x + coefficient
    return t * total


@arctan.defjvp
def _arctan_slope(primals, tangents):
    (t,), (change,) = primals, tangents
    return arctan(t), change / (1 + t * t)


def arcsine(sine: Float[Array, "..."], cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle in [-pi/2, pi/2] of this sine and cosine; its slope is finite everywhere."""
    return 2 * arctan(sine / (1 + cosine))


def angle_to_pi(sine: Float[Array, "..."], cosine: Float[Array, "..."]) -> Float[Array, "..."]:
    r""":math:`\pi - \theta` of the angle in [0, pi] with this sine and cosine."""
    half = arctan(sine / (1 + jnp.abs(cosine)))
    return jnp.where(cosine < 0, 2 * half, jnp.pi - 2 * half)
