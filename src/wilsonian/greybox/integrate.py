r"""Fixed-step solvers as scans, with the derivative of the path carried along.

One step is a map :math:`y_{i+1} = g(y_i; \theta, u)` of the state, of few shared numbers
:math:`\theta` and of the force at the nodes of the step. The derivative with respect to all
coefficients follows by :math:`J_{i+1} = (\partial g / \partial y) J_i + \partial g / \partial w`:
a force of a hundred frequencies costs no more solves than one.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Right-hand side: time, state, force values, shared numbers -> velocity.
RightHandSide = Callable[[Array, Array, Array, Array], Array]

NODES = {"euler": (0.0,), "rk4": (0.0, 0.5, 1.0)}


def one_step(
    solver: str, field: RightHandSide, t: Array, h: Array, y: Array, force: Array, shared: Array
) -> Array:
    """The state after time `h`; `force` has a row for each node of the solver."""
    if solver == "euler":
        return y + h * field(t, y, force[0], shared)
    k1 = field(t, y, force[0], shared)
    k2 = field(t + h / 2, y + h / 2 * k1, force[1], shared)
    k3 = field(t + h / 2, y + h / 2 * k2, force[1], shared)
    k4 = field(t + h, y + h * k3, force[2], shared)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def node_times(solver: str, times: Array, steps: int) -> tuple[Array, Array, Array]:
    """Start (intervals, steps), length (intervals,) and nodes (intervals, steps, nodes) of every
    step when each interval between `times` is cut in `steps`."""
    length = jnp.diff(times) / steps
    starts = times[:-1, None] + length[:, None] * jnp.arange(steps)
    nodes = starts[..., None] + length[:, None, None] * jnp.asarray(NODES[solver])
    return starts, length, nodes


def path(
    solver: str,
    field: RightHandSide,
    times: Float[Array, " times"],
    steps: int,
    start: Float[Array, " states"],
    shared: Float[Array, " shared"],
    force: Callable[[Array], Array],
) -> Float[Array, "times states"]:
    """The states at `times`; `force(t)` gives the force values."""
    starts, length, nodes = node_times(solver, times, steps)
    values = jax.vmap(jax.vmap(jax.vmap(force)))(nodes)

    def interval(y, inputs):
        begin, h, u = inputs

        def sub(y, inner):
            return one_step(solver, field, inner[0], h, y, inner[1], shared), None

        y, _ = jax.lax.scan(sub, y, (begin, u))
        return y, y

    _, rest = jax.lax.scan(interval, start, (starts, length, values))
    return jnp.concatenate([start[None], rest])


def path_and_derivative(
    solver: str,
    field: RightHandSide,
    times: Float[Array, " times"],
    steps: int,
    start: Float[Array, " states"],
    start_derivative: Float[Array, "states all"],
    shared: Float[Array, " shared"],
    coefficients: Float[Array, "directions basis"],
    basis: Callable[[Array], Array],
) -> tuple[Float[Array, "times states"], Float[Array, "times states all"]]:
    """States and their derivatives, columns in the order: numbers that move the start only,
    `shared`, then `coefficients` (row by row) of the force `coefficients @ basis(t)`.
    `start_derivative` is the derivative of the start with respect to all of them."""
    d, directions = start.shape[0], coefficients.shape[0]
    starts, length, nodes = node_times(solver, times, steps)
    chi = jax.vmap(jax.vmap(jax.vmap(basis)))(nodes)  # (intervals, steps, nodes, basis)
    columns = start_derivative.shape[1] - shared.shape[0] - coefficients.size

    def interval(carry, inputs):
        begin, h, values = inputs

        def sub(carry, inner):
            y, tangent = carry
            t, chi_nodes = inner
            u = chi_nodes @ coefficients.T  # (nodes, directions)
            cut = (d, d + shared.shape[0])

            def step(all_inputs):
                y, shared, u = jnp.split(all_inputs, cut)
                following = one_step(solver, field, t, h, y, u.reshape(chi.shape[2], directions), shared)
                return following, following

            joined = jnp.concatenate([y, shared, u.ravel()])
            jacobian, following = jax.jacfwd(step, has_aux=True)(joined)
            by_state, by_shared, by_force = jnp.split(jacobian, cut, axis=1)
            by_force = by_force.reshape(d, chi.shape[2], directions)
            if d <= 4:  # fuses into one loop; a batched product of tiny matrices does not
                moved = sum(by_state[:, i, None] * tangent[i] for i in range(d))
            else:
                moved = by_state @ tangent
            added = jnp.einsum("dsr,sk->drk", by_force, chi_nodes).reshape(d, -1)
            zeros = jnp.zeros((d, columns), y.dtype)
            return (following, moved + jnp.concatenate([zeros, by_shared, added], 1)), None

        carry, _ = jax.lax.scan(sub, carry, (begin, values))
        return carry, carry

    _, (states, tangents) = jax.lax.scan(interval, (start, start_derivative), (starts, length, chi))
    return (
        jnp.concatenate([start[None], states]),
        jnp.concatenate([start_derivative[None], tangents]),
    )
