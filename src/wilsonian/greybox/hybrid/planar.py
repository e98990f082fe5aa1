r"""Planar flows whose parameters come from the signal (docs/science/grey-box.md, section 6).

.. math:: z' = z + \hat u \tanh(w^T z + b), \quad
    \hat u = u + \frac{m(w^T u) - w^T u}{\|w\|^2} w, \quad m(a) = -1 + \log(1 + e^a)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

GUARD = 1e-12  # of the squared norm of w
# In float32 m(a) rounds to -1 for a below about -17, and the determinant to zero.
FLOOR = 1e-7


def planar_step(
    z: Float[Array, " d"], u: Float[Array, " d"], w: Float[Array, " d"], b: Float[Array, ""]
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    r"""One layer, and :math:`\log|\det J| = \log|1 + \hat u^T w (1 - \tanh^2)|`; invertible for all
    u and w, as :math:`\hat u^T w > -1`."""
    along = w @ u
    moved = -1.0 + jax.nn.softplus(along)
    u_hat = u + (moved - along) / (w @ w + GUARD) * w
    h = jnp.tanh(w @ z + b)
    determinant = jnp.abs(1.0 + (u_hat @ w) * (1.0 - h**2))
    return z + u_hat * h, jnp.log(jnp.maximum(determinant, FLOOR))


def planar_flow(
    z: Float[Array, " d"],
    u: Float[Array, "layers d"],
    w: Float[Array, "layers d"],
    b: Float[Array, " layers"],
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """All layers, one after the other, and the sum of their log-determinants."""

    def step(z, layer):
        return planar_step(z, *layer)

    z, logs = jax.lax.scan(step, z, (u, w, b))
    return z, jnp.sum(logs)
