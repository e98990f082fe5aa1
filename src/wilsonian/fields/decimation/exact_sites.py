r"""The colours of spacing one whose law is known in closed form.

With :math:`W(h) = \log\int d\phi\,e^{-V(\phi)+2\kappa h\phi}` and h the sum of four neighbours,

.. math:: p(\phi_E|\cdot) \propto e^{-V(\phi)+2\kappa h\phi}, \qquad
          p(\phi_{D_B}|\cdot) \propto e^{-V(\phi)+\sum_o W(\phi + h'_o)}

where :math:`h'_o` are the other three neighbours of the site o beside it. Five of eight sites of
the lattice are drawn without error.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.core.precision import full_products
from wilsonian.fields.actions import AbstractSiteTheory
from wilsonian.fields.decimation.density import GRID
from wilsonian.fields.decimation.geometry import Colour

TABLE_SPACING, TABLE_REACH = 0.005, 60.0
STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclasses.dataclass(frozen=True, eq=False)
class SiteIntegral:
    """W of a theory on a table, even in h."""

    table: np.ndarray
    reach: float  # of one site's field

    @classmethod
    def of(cls, theory: AbstractSiteTheory) -> SiteIntegral:
        grid = np.linspace(0, 60, 6001)
        alone = theory.potential(grid) - 2 * theory.kappa * 6 * grid
        reach = float(np.clip(grid[alone - alone.min() < 40].max(), 3.0, 20.0))
        values = np.linspace(-reach, reach, 401)
        fields = np.arange(0, TABLE_REACH + TABLE_SPACING, TABLE_SPACING)
        table = np.empty(len(fields))
        for start in range(0, len(fields), 1000):
            part = fields[start : start + 1000, None]
            logs = 2 * theory.kappa * part * values - theory.potential(values)
            top = logs.max(1)
            total = np.exp(logs - top[:, None]).sum(1) * (values[1] - values[0])
            table[start : start + 1000] = np.log(total) + top
        return cls(table, reach)


def interpolate(table: Array, field: Array) -> Array:
    """W at any field, by straight lines between the table's entries."""
    steps = jnp.minimum(jnp.abs(field), TABLE_REACH - TABLE_SPACING) / TABLE_SPACING
    place = steps.astype(int)
    low = table[place]
    return low + (table[place + 1] - low) * (steps - place)


def neighbour_sums(colour: Colour, side: int) -> np.ndarray:
    """Site numbers whose fields sum to h (E: (1, sites, 4)) or to each h'_o (D: (4, sites, 3))."""
    x, y = np.divmod(colour.sites, side)

    def number(dx: np.ndarray | int, dy: np.ndarray | int) -> np.ndarray:
        return ((x + dx) % side) * side + (y + dy) % side

    if colour.name.startswith("E"):
        return np.stack([number(*step) for step in STEPS], 1)[None]
    groups = []
    for dx, dy in STEPS:
        others = [step for step in STEPS if step != (-dx, -dy)]
        groups.append(np.stack([number(dx + a, dy + b) for a, b in others], 1))
    return np.stack(groups)


@jax.jit
def local_fields(fields: Array, sums: Array) -> Array:
    """(groups, rows) of neighbour sums, fields running fastest."""
    groups = sums.shape[0]
    return fields[sums].sum(2).reshape(groups, -1)


@functools.lru_cache(maxsize=16)
def exact_laws(theory: AbstractSiteTheory):  # type: ignore[no-untyped-def]
    """Compiled ``(local fields) -> (mean, sigma, log density of z at the nodes)`` of both kinds."""
    integral = SiteIntegral.of(theory)
    table = jnp.asarray(integral.table, jnp.float32)
    coarse = jnp.linspace(-integral.reach, integral.reach, 33, dtype=jnp.float32)
    grid = jnp.asarray(GRID, jnp.float32)
    twice_kappa = 2 * theory.kappa

    @jax.jit
    @full_products
    def edge(local: Array) -> tuple[Array, Array, Array]:
        return standardized(lambda phi: twice_kappa * local[0] * phi - theory.potential(phi))

    @jax.jit
    @full_products
    def corner(local: Array) -> tuple[Array, Array, Array]:
        def log_law(phi: Array) -> Array:
            total = -theory.potential(phi)
            for group in range(4):
                total += interpolate(table, phi + local[group])
            return total

        return standardized(log_law)

    def standardized(log_law):  # type: ignore[no-untyped-def]
        # The grid follows each row's own mean and width, which depend on the past alone.
        logs = log_law(coarse[:, None])
        weight = jax.nn.softmax(logs, 0)
        mean = coarse @ weight
        sigma = 1.05 * jnp.sqrt(jnp.maximum(coarse**2 @ weight - mean**2, 1e-4))
        return mean, sigma, log_law(mean + sigma * grid[:, None])

    return edge, corner
