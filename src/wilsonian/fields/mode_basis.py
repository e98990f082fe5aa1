r"""Real orthonormal modes of a periodic lattice: cosines and sines along each axis.

A transform is one small matrix product per axis, in which processors and accelerators are fast, and
keeps everything real. Modes are eigenvectors of the lattice Laplacian with eigenvalue
:math:`\hat p^2`.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

HIGHEST = jax.lax.Precision.HIGHEST  # accelerators would round the products to 10 bits


@functools.cache
def axis_modes(side: int) -> tuple[np.ndarray, np.ndarray]:
    """(modes (side, side) in columns, their eigenvalues) of one axis."""
    sites = np.arange(side)
    columns, values = [], []
    for number in range(side // 2 + 1):
        angle = 2 * np.pi * number / side
        waves = [np.cos(angle * sites)]
        if 0 < 2 * number < side:
            waves.append(np.sin(angle * sites))
        for wave in waves:
            columns.append(wave / np.linalg.norm(wave))
            values.append(4 * np.sin(angle / 2) ** 2)
    return np.stack(columns, 1), np.array(values)


@dataclasses.dataclass(frozen=True)
class ModeBasis:
    """Modes of a lattice of any shape."""

    shape: tuple[int, ...]

    def momenta_squared(self) -> np.ndarray:
        """Eigenvalue of each mode, shape of the lattice."""
        total = np.zeros(self.shape)
        for axis, side in enumerate(self.shape):
            along = axis_modes(side)[1]
            total = total + along.reshape([-1 if k == axis else 1 for k in range(len(self.shape))])
        return total

    def to_modes(self, fields: Array) -> Array:
        """(count, *shape) -> amplitudes of the modes, the same shape."""
        return self._along_axes(fields, False)

    def to_fields(self, modes: Array) -> Array:
        """Back; the transform is orthonormal."""
        return self._along_axes(modes, True)

    def _along_axes(self, values: Array, back: bool) -> Array:
        # Last axis times its matrix, then that axis becomes the first: after d turns all are done.
        count = values.shape[0]
        for side in reversed(self.shape):
            modes = axis_modes(side)[0]
            matrix = jnp.asarray(modes.T if back else modes, values.dtype)
            product = jnp.matmul(values.reshape(-1, side), matrix, precision=HIGHEST)
            product = product.reshape(count, -1, side)
            values = product.swapaxes(1, 2)
        return values.reshape(count, *self.shape)
