r"""What a coarse field says of the fine one, :math:`E[\phi_0|\phi_a]`, by ridge regression.

The Wiener filter :math:`MC_0/C_a` does the Gaussian part. Its residual is regressed on features of
the filtered field u that are equivariant under the lattice's symmetries: u smoothed by heat flow to
four widths, cubes and smoothed cubes, u times a smoothed square, fifth powers, and the zero mode's
exact posterior mean, which the samples give as a function of one number. Odd in the field for
even theories. Everything is a filter in momentum space or a product in space, so any lattice of 1
to 4 dimensions is served (docs/science/exact-rg.md, "Diffusion").
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.fields.mode_basis import ModeBasis

WIDTHS = (0.0, 0.5, 2.0, 8.0)  # of heat flow, in units of the spacing squared


@dataclasses.dataclass(frozen=True, eq=False)
class ZeroMode:
    """Posterior mean of the fine zero mode as a table in the coarse one."""

    nodes: np.ndarray
    means: np.ndarray

    @classmethod
    def of(cls, fine: np.ndarray, multiplier: float, variance: float, symmetric: bool) -> ZeroMode:
        """From samples of the fine zero mode, and of its mirror image for even theories."""
        samples = np.concatenate([fine, -fine]) if symmetric else fine
        samples = samples[:: max(1, len(samples) // 2000)]
        reach = multiplier * np.abs(samples).max() + 6 * np.sqrt(variance)
        nodes = np.linspace(-reach, reach, 257)
        logs = -((nodes[:, None] - multiplier * samples) ** 2) / (2 * variance)
        weight = np.exp(logs - logs.max(1, keepdims=True))
        return cls(nodes, weight @ samples / weight.sum(1))


def features(
    basis: ModeBasis,
    filtered: Array,
    zero_mean: Array,
    scale: Array,
    reach: Array,
    symmetric: bool,
) -> Array:
    """(features, count, *shape) in modes, of the filtered field's modes and the zero mode's mean.

    `scale` is the rms of the fine field, so that powers are of order one; `reach` the largest
    filtered field of the fit in these units, to which fields are clipped here: fifth powers of
    what the fit never saw would let one field in some thousands run away.
    """
    momenta = basis.momenta_squared()
    heat = [jnp.asarray(np.exp(-width * momenta), filtered.dtype) for width in WIDTHS]
    smooth = [
        jnp.clip(basis.to_fields(filtered * kernel) / scale, -reach, reach) for kernel in heat
    ]
    zero = zero_mean.reshape(-1, *(1,) * len(basis.shape)) / scale

    def smoothed(values: Array, width: int) -> Array:
        return basis.to_fields(basis.to_modes(values) * heat[width])

    cubes = [field**3 for field in smooth]
    square = smooth[0] ** 2
    in_space = [*smooth, *cubes]
    in_space += [smoothed(cube, width) for cube in cubes[:2] for width in (1, 2, 3)]
    in_space += [smooth[k] * smoothed(square, width) for k in (0, 1, 2) for width in (1, 2, 3)]
    in_space += [smooth[0] * smooth[k] ** 2 for k in (1, 2, 3)]
    in_space += [smooth[0] ** 2 * smooth[k] for k in (1, 2, 3)]
    in_space += [smooth[0] ** 5, smooth[1] ** 5, smoothed(smooth[1] ** 5, 2)]
    in_space += [zero * smooth[k] ** 2 for k in (0, 1, 2)]
    in_space += [zero**2 * smooth[k] for k in (0, 1, 2)]
    in_space += [zero + jnp.zeros_like(smooth[0]), zero**3 + jnp.zeros_like(smooth[0])]
    in_space += [zero**4 * smooth[0], zero**2 * cubes[0], smoothed(zero * square, 2)]
    if not symmetric:
        in_space += [jnp.ones_like(square), square, smoothed(square, 1), smoothed(square, 2)]
        in_space += [square**2, zero * smooth[0], zero**2 + jnp.zeros_like(square)]
    return jnp.stack([basis.to_modes(field) for field in in_space])
