"""Leading eigenpairs of a symmetric operator by Lanczos, kept orthogonal to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Leading(eqx.Module):
    """Eigenpairs, descending, with what they cost and how good they are."""

    values: Float[Array, " modes"]
    vectors: Float[Array, "n modes"]
    residuals: Float[Array, " modes"]  # |G u - k u|, estimated
    steps: int = eqx.field(static=True)  # products with the operator
    exhausted: bool = eqx.field(static=True)  # these are all that the operator reaches


def leading_pairs(
    operator: Callable[[Array], Array],
    size: int,
    modes: int,
    *,
    seed: int = 0,
    tolerance: float = 1e-8,
    steps: int | None = None,
    dtype: Any = float,
) -> Leading:
    """The `modes` largest eigenpairs of a positive semidefinite operator on vectors of `size`.

    Stops when their residuals are below `tolerance` of the largest eigenvalue, or after `steps`
    products (4 `modes` + 50 when left out), and returns then those that are. Full
    reorthogonalization, twice: without it Ritz values come back as ghosts. One start vector finds
    one vector of an exactly degenerate eigenvalue; rounding brings in the others.
    """
    limit = min(size, 4 * modes + 50 if steps is None else steps)
    start = np.random.default_rng(seed).standard_normal(size)
    vector = jnp.asarray(start / np.linalg.norm(start), dtype)
    basis = jnp.zeros((limit, size), dtype)
    diagonal: list[float] = []
    beside: list[float] = []
    exhausted = False
    tiny = float(jnp.finfo(vector.dtype).eps)
    for step in range(limit):
        basis = basis.at[step].set(vector)
        image = operator(vector)
        image, alpha, beta = _orthogonal(basis, image, vector)
        diagonal.append(float(alpha))
        beta = float(beta)
        largest = max(max(diagonal), 1e-300)
        if beta <= 10 * tiny * size**0.5 * largest:
            exhausted = True
        last = exhausted or step + 1 == limit
        if last or (step + 1 >= modes and (step + 1 - modes) % 20 == 0):
            values, rotation = _ritz(diagonal, beside)
            residuals = np.abs(beta * rotation[-1])
            good = residuals[:modes] <= tolerance * values[0]
            if last or (len(good) == modes and good.all()):
                break
        beside.append(beta)
        vector = image / beta
    exhausted = (exhausted or len(diagonal) == size) and len(values) <= modes
    chosen = slice(0, min(modes, len(values)))
    values, rotation, residuals = values[chosen], rotation[:, chosen], residuals[chosen]
    if len(diagonal) == limit and not exhausted:
        # From the top on: an unconverged pair below converged ones would leave a gap.
        bad = np.flatnonzero(residuals > tolerance * values[0])
        count = bad[0] if len(bad) else len(values)
        values, rotation, residuals = values[:count], rotation[:, :count], residuals[:count]
    vectors = jnp.dot(basis[: len(diagonal)].T, jnp.asarray(rotation, dtype), precision="highest")
    return Leading(
        *(jnp.asarray(values, dtype), vectors, jnp.asarray(residuals, dtype)),
        steps=len(diagonal),
        exhausted=exhausted,
    )


def tridiagonal(
    operator: Callable[[Array], Array], vector: Array, steps: int, apart: Array
) -> tuple[np.ndarray, np.ndarray, int]:
    """Nodes and weights of the Gauss quadrature for the spectral measure of the unit `vector`, in
    the space orthogonal to the columns of `apart`; and the products taken."""
    basis = jnp.zeros((steps, len(vector)), vector.dtype)
    diagonal: list[float] = []
    beside: list[float] = []
    tiny = float(jnp.finfo(vector.dtype).eps)
    for step in range(steps):
        basis = basis.at[step].set(vector)
        image, alpha, beta = _orthogonal(basis, _without(apart, operator(vector)), vector)
        diagonal.append(float(alpha))
        if float(beta) <= 1e3 * tiny * max(max(diagonal), 1e-300) or step + 1 == steps:
            break
        beside.append(float(beta))
        vector = image / beta
    values, vectors = _ritz(diagonal, beside[: len(diagonal) - 1])
    return values, vectors[0] ** 2, len(diagonal)


@jax.jit
def _without(columns, vector):
    return vector - jnp.dot(columns, jnp.dot(columns.T, vector))


@jax.jit
def _orthogonal(basis, image, vector):
    alpha = jnp.vdot(vector, image, precision="highest")
    for _ in range(2):
        overlaps = jnp.dot(basis, image, precision="highest")
        image = image - jnp.dot(overlaps, basis, precision="highest")
    return image, alpha, jnp.linalg.norm(image)


def _ritz(diagonal: list[float], beside: list[float]) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.diag(diagonal)
    if beside:
        matrix = matrix + np.diag(beside, 1) + np.diag(beside, -1)
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]
