r"""Fixed-step solvers as scans, with the derivative of the path carried along.

One step is a map :math:`y_{i+1} = g(y_i; \theta, u)` of the state, of few shared numbers
:math:`\theta` and of the force at the nodes of the step. The derivative with respect to all
coefficients follows by :math:`J_{i+1} = (\partial g / \partial y) J_i + \partial g / \partial w`:
a force of a hundred frequencies costs no more solves than one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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


class Steps(NamedTuple):
    """Every step of a fixed-step solver; NumPy, so that nothing is left to the compiler's constant
    folding, which takes long over a hundred frequencies."""

    start: np.ndarray  # (intervals, steps)
    length: np.ndarray  # (intervals,)
    basis: np.ndarray  # (intervals, steps, nodes, functions), the force's time functions


def lay_steps(
    solver: str, times: np.ndarray, steps: int, basis: Callable[[np.ndarray], np.ndarray]
) -> Steps:
    """Cut each interval between `times` in `steps`; `basis` gives (..., functions) at times."""
    length = np.diff(times) / steps
    start = times[:-1, None] + length[:, None] * np.arange(steps)
    nodes = start[..., None] + length[:, None, None] * np.asarray(NODES[solver])
    return Steps(start, length, basis(nodes))


def path(
    solver: str,
    field: RightHandSide,
    laid: Steps,
    start: Float[Array, " states"],
    shared: Float[Array, " shared"],
    coefficients: Float[Array, "directions basis"],
) -> Float[Array, "times states"]:
    """The states at all times under the force `coefficients @ basis(t)`."""

    def interval(y, inputs):
        begin, h, chi = inputs

        def sub(y, inner):
            t, chi_nodes = inner
            return one_step(solver, field, t, h, y, chi_nodes @ coefficients.T, shared), None

        y, _ = jax.lax.scan(sub, y, (begin, chi))
        return y, y

    _, rest = jax.lax.scan(interval, start, tuple(laid))
    return jnp.concatenate([start[None], rest])


def path_and_derivative(
    solver: str,
    field: RightHandSide,
    laid: Steps,
    start: Float[Array, " states"],
    start_derivative: Float[Array, "states all"],
    shared: Float[Array, " shared"],
    coefficients: Float[Array, "directions basis"],
) -> tuple[Float[Array, "times states"], Float[Array, "times states all"]]:
    """States and their derivatives, columns in the order: numbers that move the start only,
    `shared`, then `coefficients` (row by row) of the force `coefficients @ basis(t)`.
    `start_derivative` is the derivative of the start with respect to all of them."""
    d, directions = start.shape[0], coefficients.shape[0]
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
                following = one_step(
                    solver, field, t, h, y, u.reshape(len(NODES[solver]), directions), shared
                )
                return following, following

            joined = jnp.concatenate([y, shared, u.ravel()])
            jacobian, following = jax.jacfwd(step, has_aux=True)(joined)
            by_state, by_shared, by_force = jnp.split(jacobian, cut, axis=1)
            by_force = by_force.reshape(d, len(NODES[solver]), directions)
            if d <= 4:  # fuses into one loop; a batched product of tiny matrices does not
                moved = sum(by_state[:, i, None] * tangent[i] for i in range(d))
            else:
                moved = by_state @ tangent
            added = jnp.einsum("dsr,sk->drk", by_force, chi_nodes).reshape(d, -1)
            zeros = jnp.zeros((d, columns), y.dtype)
            return (following, moved + jnp.concatenate([zeros, by_shared, added], 1)), None

        carry, _ = jax.lax.scan(sub, carry, (begin, values))
        return carry, carry

    begin = (start, start_derivative)
    _, (states, tangents) = jax.lax.scan(interval, begin, tuple(laid))
    return (
        jnp.concatenate([start[None], states]),
        jnp.concatenate([start_derivative[None], tangents]),
    )
