r"""What a site's law may depend on: averages over symmetric shells of known sites, and products.

:math:`u_j, q_j, c_j` are the means of :math:`\phi, \phi^2, \phi^3` over shell j, m the mean of all
known sites. The law of :math:`z = (\phi-\mu)/\sigma` is
:math:`\exp(\sum_k \theta_k z^k - z^2/2)/Z` with each :math:`\theta_k` linear in features that are
odd for odd k and even for even k, so that the sampler has the symmetry :math:`\phi\to-\phi`.
Layout: features first, rows (field by field, site by site) last.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products
from wilsonian.fields.decimation.geometry import MOST_SHELLS

NEAR = 3  # shells that enter nonlinearly
CLIP = 6.0  # of fields and means inside features
INPUTS = MOST_SHELLS + 2 * NEAR + 1


@jax.jit
@full_products
def gather(
    fields: Float[Array, "volume count"], seen: Array, orbits: Array, known: Array
) -> Float[Array, "inputs rows"]:
    """Shell averages of a colour's sites, and the mean of all sites that are known.

    Rows are (site, field) pairs, fields running fastest.
    """
    clipped = jnp.clip(fields, -CLIP, CLIP)
    around = clipped[seen]  # (sites, k, count): contiguous in the fields
    average = functools.partial(jnp.einsum, "jk,skn->jsn", precision="highest")
    shells = average(orbits, around)
    squares, cubes = (average(orbits[:NEAR], around**power) for power in (2, 3))
    mean = jnp.matmul(known, clipped, precision="highest")
    everywhere = jnp.broadcast_to(mean, (1, seen.shape[0], fields.shape[1]))
    return jnp.concatenate([shells, squares, cubes, everywhere]).reshape(INPUTS, -1)


def split(rows: Float[Array, "inputs rows"]) -> tuple[Array, Array, Array, Array]:
    """(u, q, c, m) of :func:`gather`'s rows."""
    cuts = (MOST_SHELLS, MOST_SHELLS + NEAR, MOST_SHELLS + 2 * NEAR)
    u, q, c, m = jnp.split(rows, cuts)
    return u, q, c, m[0]


def first_features(rows: Float[Array, "inputs rows"]) -> Array:
    r"""Features of :math:`\theta_1`, all odd; the mean :math:`\mu` is linear in them."""
    u, q, c, m = split(rows)
    columns = [*u, *c]
    columns += [
        u[a] * u[b] * u[d] for a in range(NEAR) for b in range(a, NEAR) for d in range(b, NEAR)
    ]
    columns += [u[a] * q[b] for a in range(NEAR) for b in range(2)]
    columns += [u[0] ** 5, u[0] ** 3 * q[0], m, m**3, m**2 * u[0]]
    return jnp.stack(columns)


def all_features(rows: Float[Array, "inputs rows"], mean: Float[Array, " rows"]) -> list[Array]:
    """Features of each theta_k, k = 1 to 4."""
    u, q, _, m = split(rows)
    one = jnp.ones_like(m)
    first = jnp.concatenate([first_features(rows), jnp.stack([mean**3, mean**5])])
    second = [one, *q]
    second += [u[a] * u[b] for a in range(NEAR) for b in range(a, NEAR)]
    second += [u[0] ** 4, u[0] ** 2 * q[0], m**2, mean**2, mean**4]
    third = [*u[:NEAR], u[0] ** 3, mean, mean**3]
    fourth = [one, u[0] ** 2, q[0], mean**2]
    return [first, jnp.stack(second), jnp.stack(third), jnp.stack(fourth)]


def feature_counts() -> tuple[int, ...]:
    """Number of features of each theta_k."""
    rows = jax.ShapeDtypeStruct((INPUTS, 2), np.float32)
    mean = jax.ShapeDtypeStruct((2,), np.float32)
    return tuple(block.shape[0] for block in jax.eval_shape(all_features, rows, mean))
