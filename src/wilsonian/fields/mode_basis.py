r"""Real orthonormal modes of a periodic lattice: cosines and sines along each axis.

A transform is one small matrix product per axis, in which processors and accelerators are fast, and
keeps everything real. Modes are eigenvectors of the lattice Laplacian with eigenvalue
:math:`\hat p^2`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.fields.lattice import momenta_squared

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


Spread = Callable[[np.ndarray], np.ndarray]


def to_real_modes(shape: tuple[int, ...]) -> Spread:
    """Function that lays values over momenta out over the real modes of :class:`ModeBasis`."""
    orders = []
    for side in shape:
        numbers = [k for n in range(side // 2 + 1) for k in ([n, n] if 0 < 2 * n < side else [n])]
        orders.append(np.array(numbers))
    return lambda values: np.asarray(values)[np.ix_(*orders)]


def momentum_average(modes: np.ndarray, shape: tuple[int, ...], symmetric: bool) -> np.ndarray:
    """Spectrum over momenta (fft layout) from real modes, equal over equal momenta."""
    squares = (modes.astype(float) ** 2).mean(0)
    if not symmetric:
        zero = (0,) * len(shape)
        squares[zero] -= modes.reshape(len(modes), -1)[:, 0].mean() ** 2
    basis = ModeBasis(shape)
    keys = np.round(basis.momenta_squared(), 9)
    wanted = np.round(momenta_squared(shape), 9)
    values, place = np.unique(keys, return_inverse=True)
    means = np.bincount(place.ravel(), squares.ravel()) / np.bincount(place.ravel())
    return means[np.searchsorted(values, wanted)]


def symmetric_modes(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Average over modes of equal momentum."""
    keys = np.round(ModeBasis(shape).momenta_squared(), 9)
    _, place = np.unique(keys, return_inverse=True)
    means = np.bincount(place.ravel(), values.ravel()) / np.bincount(place.ravel())
    return means[place.ravel()].reshape(shape)
