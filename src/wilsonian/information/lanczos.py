"""Leading eigenpairs of a symmetric operator by Lanczos, kept orthogonal to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products


class Leading(eqx.Module):
    """Eigenpairs, descending, with what they cost and how good they are."""

    values: Float[np.ndarray, " modes"]
    vectors: Float[np.ndarray, "n modes"]
    residuals: Float[np.ndarray, " modes"]  # |G u - k u|, estimated
    steps: int = eqx.field(static=True)  # products with the operator
    exhausted: bool = eqx.field(static=True)  # these are all that the operator reaches


def leading_pairs(
    operator: Callable[[Array], Array],
    size: int,
    modes: int,
    *,
    block: int = 1,
    seed: int = 0,
    tolerance: float = 1e-8,
    steps: int | None = None,
    dtype: Any = float,
) -> Leading:
    """The `modes` largest eigenpairs of a positive semidefinite operator on columns, (size, count).

    Stops when their residuals are below `tolerance` of the largest eigenvalue, or after `steps`
    products (4 `modes` + 50 `block` when left out), and returns then those that are. Full
    reorthogonalization, twice: without it Ritz values come back as ghosts. Each step multiplies
    `block` columns at once; an eigenvalue of a higher multiplicity than that is found so many
    times, but for what rounding brings in (Golub and Underwood 1977).
    """
    limit = min(size, 4 * modes + 50 * block if steps is None else steps)
    block = min(block, limit)
    start = np.random.default_rng(seed).standard_normal((size, block))
    columns = jnp.asarray(np.linalg.qr(start)[0], dtype)
    basis = jnp.zeros((limit, size), dtype)
    projected = np.zeros((limit, limit))
    coupling = np.zeros((block, 0))
    exhausted, done, checked = False, 0, 0
    tiny = float(jnp.finfo(columns.dtype).eps)
    while True:
        width = columns.shape[1]
        basis, image, overlaps = _orthogonal_block(basis, operator(columns), columns, done)
        overlaps = np.asarray(overlaps)
        projected[done : done + width, done : done + width] = (overlaps + overlaps.T) / 2
        done += width
        # What is new in the image: fewer columns where a subspace has been used up.
        left, sizes, right = np.linalg.svd(np.asarray(image), full_matrices=False)
        largest = max(projected.diagonal().max(), 1e-300)
        new = int(np.sum(sizes > 10 * tiny * size**0.5 * largest))
        exhausted = new == 0
        new = min(new, limit - done)
        coupling = sizes[:, None] * right
        last = exhausted or new == 0
        if last or (done >= modes and done - checked >= 20):
            checked = done
            values, rotation = _pairs(projected[:done, :done])
            residuals = np.linalg.norm(coupling @ rotation[done - width :], axis=0)
            good = residuals[:modes] <= tolerance * values[0]
            if last or (len(good) == modes and good.all()):
                break
        projected[done : done + new, done - width : done] = coupling[:new]
        projected[done - width : done, done : done + new] = coupling[:new].T
        columns = jnp.asarray(left[:, :new], dtype)
    exhausted = (exhausted or done == size) and done <= modes
    chosen = slice(0, min(modes, done))
    values, rotation, residuals = values[chosen], rotation[:, chosen], residuals[chosen]
    if last and not exhausted:
        # From the top on: an unconverged pair below converged ones would leave a gap.
        bad = np.flatnonzero(residuals > tolerance * values[0])
        count = bad[0] if len(bad) else len(values)
        values, rotation, residuals = values[:count], rotation[:, :count], residuals[:count]
    kind = columns.dtype
    vectors = np.asarray(basis)[:done].T @ rotation.astype(kind)
    return Leading(
        *(values.astype(kind), vectors, residuals.astype(kind)),
        steps=done,
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
        image, alpha, beta = _orthogonal(
            basis, _without(apart, operator(vector[:, None])[:, 0]), vector
        )
        diagonal.append(float(alpha))
        if float(beta) <= 1e3 * tiny * max(max(diagonal), 1e-300) or step + 1 == steps:
            break
        beside.append(float(beta))
        vector = image / beta
    matrix = np.diag(diagonal)
    if len(diagonal) > 1:
        off = beside[: len(diagonal) - 1]
        matrix = matrix + np.diag(off, 1) + np.diag(off, -1)
    values, vectors = _pairs(matrix)
    return values, vectors[0] ** 2, len(diagonal)


@jax.jit
@full_products
def _without(columns, vector):
    return vector - jnp.dot(columns, jnp.dot(columns.T, vector))


@jax.jit
@full_products
def _orthogonal(basis, image, vector):
    alpha = jnp.vdot(vector, image)
    for _ in range(2):
        overlaps = jnp.dot(basis, image)
        image = image - jnp.dot(overlaps, basis)
    return image, alpha, jnp.linalg.norm(image)


@jax.jit
@full_products
def _orthogonal_block(basis, image, columns, done):
    basis = jax.lax.dynamic_update_slice(basis, columns.T, (done, 0))
    overlaps = jnp.dot(columns.T, image)
    for _ in range(2):
        image = image - jnp.dot(basis.T, jnp.dot(basis, image))
    return basis, image, overlaps


def _pairs(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs, descending."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]
