r"""A periodic lattice with unit spacing: momenta, orthonormal Fourier transforms, shells.

.. math:: \phi(p) = V^{-1/2} \sum_x e^{-i p x} \phi_x, \qquad \hat p^2 = \sum_\mu 4 \sin^2(p_\mu/2),
          \qquad C(p) = \langle |\phi(p)|^2 \rangle

A real field of V sites has V real modes, so sums over modes run over all V momenta
(docs/science/exact-rg.md, "Conventions").
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MOST_DIMENSIONS = 4


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The lattice's sides as a tuple; ValueError unless 1 to 4 sides of at least 2 sites."""
    sides = tuple(int(side) for side in np.atleast_1d(np.asarray(shape)))
    if not 1 <= len(sides) <= MOST_DIMENSIONS or min(sides) < 2:
        raise ValueError(
            f"`shape` is {tuple(shape) if isinstance(shape, Sequence) else shape}; a lattice has 1 "
            "to 4 sides of at least 2 sites each, such as (32, 32)."
        )
    return sides


def check_fields(fields: np.ndarray | Array, shape: Sequence[int]) -> None:
    """Raise ValueError unless `fields` is (..., *shape) and finite everywhere."""
    sides = tuple(shape)
    if tuple(fields.shape[-len(sides) :]) != sides:
        raise ValueError(
            f"`fields` has shape {tuple(fields.shape)} and the lattice is {sides}; pass one "
            "field per row, (count, *lattice)."
        )
    finite = bool(jnp.isfinite(jnp.asarray(fields)).all())
    if not finite:
        bad = int((~np.isfinite(np.asarray(fields)).reshape(-1, *sides)).any(_axes(sides)).sum())
        raise ValueError(
            f"{bad} of the fields hold NaN or infinity; drop them, or look for the "
            "step that made them (a trajectory that ran away, a damaged file)."
        )


def _axes(sides: Sequence[int]) -> tuple[int, ...]:
    return tuple(range(-len(sides), 0))


def momenta_squared(shape: Sequence[int]) -> np.ndarray:
    r"""Lattice momenta :math:`\hat p^2`, in the layout of ``fft.fftn``; shape `shape`."""
    sides = check_shape(shape)
    total = np.zeros(sides)
    for axis, side in enumerate(sides):
        along = 4 * np.sin(np.pi * np.arange(side) / side) ** 2
        total = total + along.reshape([-1 if k == axis else 1 for k in range(len(sides))])
    return total


def filter_fields(fields: Float[Array, "..."], weights: np.ndarray | Array) -> Array:
    """Multiply each mode by its weight: (..., *lattice) -> the same; `weights` even in p.

    Weights multiply in momentum space before the inverse transform, because they can be large
    (docs/science/exact-rg.md, "Rules").
    """
    sides = weights.shape
    axes = _axes(sides)
    half = jnp.asarray(weights, fields.dtype)[..., : sides[-1] // 2 + 1]
    modes = jnp.fft.rfftn(fields, axes=axes) * half
    return jnp.fft.irfftn(modes, s=sides, axes=axes).astype(fields.dtype)


def power_spectrum(
    fields: np.ndarray | Array, shape: Sequence[int], weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Mean :math:`|\phi(p)|^2` over the fields (weighted when `weights` are given)."""
    sides = check_shape(shape)
    rows = np.asarray(fields, float).reshape(-1, *sides)
    share = np.full(len(rows), 1 / len(rows)) if weights is None else np.asarray(weights)
    total = np.zeros(sides)
    for start in range(0, len(rows), 256):  # 256 fields at a time bounds the memory
        modes = np.fft.fftn(rows[start : start + 256], axes=_axes(sides), norm="ortho")
        total += np.tensordot(share[start : start + 256], np.abs(modes) ** 2, 1)
    return total / share.sum()


def shell_average(values: np.ndarray, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    r"""Means of a function of momentum over shells of :math:`|\hat p|`: (momenta, means)."""
    momenta = np.sqrt(momenta_squared(values.shape)).ravel()
    edges = np.linspace(0, momenta.max() * (1 + 1e-12), bins + 1)
    place = np.clip(np.digitize(momenta, edges) - 1, 0, bins - 1)
    place[momenta == 0] = -1  # the zero mode is its own shell
    centres, means = [0.0], [float(values.ravel()[momenta == 0].mean())]
    for shell in range(bins):
        members = place == shell
        if members.any():
            centres.append(float(momenta[members].mean()))
            means.append(float(values.ravel()[members].mean()))
    return np.array(centres), np.array(means)


def white_noise(key: jax.Array, count: int, shape: Sequence[int], dtype: str) -> Array:
    """Independent standard normal fields, (count, *shape)."""
    return jax.random.normal(key, (count, *shape), dtype)
