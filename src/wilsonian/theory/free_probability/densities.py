"""What a Stieltjes transform knows: the density of eigenvalues, and their moments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.theory.free_probability.ensemble import AbstractEnsemble


@compiled
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
