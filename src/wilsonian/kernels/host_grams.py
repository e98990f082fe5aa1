"""Kernel matrices on the host and what their slopes say of the kernel, by BLAS and NumPy.

Sums, multiples and the smooth stationary kernels have a form of their own here, which compiles
nothing and serves every shape; :func:`has_host_form` says which. All others go through JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from wilsonian.kernels.formulas import RBF, AbstractStationary, Matern12, Matern32, Matern52
from wilsonian.kernels.kernel import (
    Constant,
    Kernel,
    Scaled,
    Sum,
    compiled_diagonal,
    compiled_gram,
    divided,
)
from wilsonian.support.row_threads import by_rows

# Bytes of a kernel matrix that are worked on while they and twice as many are in the cache.
BLOCK = 2**19

Pull = Callable[[np.ndarray, bool], tuple[Any, Any]]
Profile = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


# Each is handed its factor times the squared scaled distances, and room for two more arrays. It
# leaves the covariance in the first, its derivative by the squared distance in the second.


def _rbf(value: np.ndarray, slope: np.ndarray, room: np.ndarray) -> None:
    np.negative(value, out=value)
    np.exp(value, out=value)
    np.multiply(value, -0.5, out=slope)


def _matern12(value: np.ndarray, slope: np.ndarray, room: np.ndarray) -> None:
    np.sqrt(value, out=room)
    np.negative(room, out=value)
    np.exp(value, out=value)
    room *= -2
    # A cusp: no slope at distance zero, as for automatic differentiation.
    slope.fill(0)
    np.divide(value, room, out=slope, where=room < 0)


def _matern32(value: np.ndarray, slope: np.ndarray, room: np.ndarray) -> None:
    np.sqrt(value, out=room)
    np.negative(room, out=slope)
    np.exp(slope, out=slope)
    room += 1
    np.multiply(room, slope, out=value)
    slope *= -1.5


def _matern52(value: np.ndarray, slope: np.ndarray, room: np.ndarray) -> None:
    np.sqrt(value, out=slope)
    np.negative(slope, out=room)
    np.exp(room, out=room)
    slope += 1
    value *= value.dtype.type(1 / 3)
    value += slope
    value *= room
    slope *= room
    slope *= slope.dtype.type(-5 / 6)


# The factor, and what makes covariances and slopes of it.
PROFILES: dict[type, tuple[float, Profile]] = {
    RBF: (0.5, _rbf),
    Matern12: (1.0, _matern12),
    Matern32: (3.0, _matern32),
    Matern52: (5.0, _matern52),
}


def has_host_form(kernel: Kernel, X: np.ndarray) -> bool:
    """Whether matrices of the kernel between points such as `X` can be made here: the device is the
    host, every part has a form, and no square of a distance overflows."""
    return jax.default_backend() == "cpu" and _has_form(kernel, np.max(np.abs(X), initial=0.0))


def _has_form(kernel: Kernel, largest: float) -> bool:
    if isinstance(kernel, Sum):
        return _has_form(kernel.left, largest) and _has_form(kernel.right, largest)
    if isinstance(kernel, Scaled):
        return _has_form(kernel.kernel, largest)
    if isinstance(kernel, AbstractStationary) and type(kernel) in PROFILES:
        scale = np.asarray(kernel.length_scale)
        bound = np.finfo(scale.dtype).max ** 0.45 if scale.dtype.kind == "f" else 1e15
        return bool(np.all(largest / bound < scale))
    return isinstance(kernel, Constant)


def host_gram(kernel: Kernel, X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """k(X, Z), (n, m), in the precision of `X`: by its form on the host, or compiled by JAX."""
    if has_host_form(kernel, X):
        return gram_and_pull(kernel, X, Z, slopes=False)[0]
    return np.asarray(compiled_gram(kernel, X, Z))


def host_diagonal(kernel: Kernel, X: np.ndarray) -> np.ndarray:
    """k(x, x), (n,), in the precision of `X`: kernels with a form on the host have one for all."""
    if has_host_form(kernel, X):
        one = np.zeros((1, X.shape[1]), X.dtype)
        return np.full(len(X), gram_and_pull(kernel, one, one, slopes=False)[0][0, 0])
    return np.asarray(compiled_diagonal(kernel, X))


def gram_and_pull(
    kernel: Kernel, X: np.ndarray, Z: np.ndarray, *, slopes: bool = True
) -> tuple[np.ndarray, Pull]:
    """k(X, Z), (n, m), and the map from slopes G in its entries to those in the kernel's numbers (a
    kernel that holds slopes) and, if wanted, in `Z`: `pull(G, points) -> (kernel, (m, d) or None)`.

    For a kernel with a form, see :func:`has_host_form`. Raises ValueError for length scales that do
    not fit the columns.
    """
    if isinstance(kernel, Sum):
        return _sum(kernel, X, Z, slopes)
    if isinstance(kernel, Scaled):
        return _scaled(kernel, X, Z, slopes)
    if isinstance(kernel, Constant):
        ones = np.ones((len(X), len(Z)), X.dtype)
        return ones * X.dtype.type(kernel.variance), lambda G, points: (
            Constant(np.sum(G, dtype=float)),
            np.zeros(Z.shape) if points else None,
        )
    return _stationary(kernel, X, Z, slopes)  # type: ignore[arg-type]


def _sum(kernel: Sum, X: np.ndarray, Z: np.ndarray, slopes: bool) -> tuple[np.ndarray, Pull]:
    left, pull_left = gram_and_pull(kernel.left, X, Z, slopes=slopes)
    right, pull_right = gram_and_pull(kernel.right, X, Z, slopes=slopes)

    def pull(G, points):
        (one, from_left), (other, from_right) = pull_left(G, points), pull_right(G, points)
        return Sum(one, other), from_left + from_right if points else None

    return left + right, pull


def _scaled(kernel: Scaled, X: np.ndarray, Z: np.ndarray, slopes: bool) -> tuple[np.ndarray, Pull]:
    unit, pull_unit = gram_and_pull(kernel.kernel, X, Z, slopes=slopes)
    variance = X.dtype.type(kernel.variance)

    def pull(G, points):
        inner, moved = pull_unit(variance * G, points)
        return Scaled(inner, np.sum(np.einsum("ij,ij->i", G, unit), dtype=float)), moved

    return variance * unit, pull


def _stationary(
    kernel: AbstractStationary, X: np.ndarray, Z: np.ndarray, slopes: bool
) -> tuple[np.ndarray, Pull]:
    """With scaled inputs a, b and D = G dk/ds, s = |a - b|^2: the slope in a length scale is
    -2 / l_j sum D (a_j - b_j)^2, that in a point 2 sum_i D (b - a)_j / l_j."""
    (factor, profile), dtype = PROFILES[type(kernel)], X.dtype
    length_scale = np.asarray(kernel.length_scale, dtype)
    centre = Z.mean(axis=0, keepdims=True)  # distances only; small numbers keep them accurate
    A: Any = np.ascontiguousarray(divided(X - centre, length_scale), dtype)
    B: Any = np.ascontiguousarray(divided(Z - centre, length_scale), dtype)
    # Columns whose coordinates are so large that their squares round by more than the root of the
    # precision would drown the others in that: they are subtracted one by one.
    largest = [np.max(np.abs(points), axis=0, initial=0.0) for points in (A, B)]
    far = np.maximum(*largest) > np.finfo(dtype).eps ** -0.25
    near_a, near_b = (A[:, ~far], B[:, ~far]) if far.any() else (A, B)
    square_a = np.einsum("ij,ij->i", near_a, near_a)[:, None]
    square_b = np.einsum("ij,ij->i", near_b, near_b)[:, None]
    one_a, one_b = np.ones_like(square_a), np.ones_like(square_b)
    # |a|^2 - 2 a b + |b|^2 by one product.
    left = np.hstack([near_a, square_a, one_a])
    right = np.hstack([-2 * near_b, one_b, square_b]).T * dtype.type(factor)
    # Points that coincide to rounding coincide, which only a cusp can tell.
    rounding = dtype.type(factor * 8 * np.finfo(dtype).eps) if isinstance(kernel, Matern12) else 0.0
    values = np.empty((len(A), len(B)), dtype)
    changes = np.empty_like(values if slopes else values[:0])
    block = max(BLOCK // max(len(B) * dtype.itemsize, 1), 1)

    def blocks(part: slice) -> list[slice]:
        starts = range(part.start, part.stop, block)
        return [slice(start, min(start + block, part.stop)) for start in starts]

    def fill(part: slice) -> None:
        room = np.empty((2, min(block, part.stop - part.start), len(B)), dtype)
        for rows in blocks(part):
            count = rows.stop - rows.start
            value = np.matmul(left[rows], right, out=values[rows])
            if rounding:
                value *= value > rounding * (square_a[rows] + square_b.T)
            else:
                np.maximum(value, 0, out=value)
            for column in np.flatnonzero(far):
                value += factor * np.square(A[rows, column, None] - B[:, column])
            profile(value, changes[rows] if slopes else room[1, :count], room[0, :count])

    by_rows(fill, len(A))
    a_one, b_one = np.hstack([A, one_a]), np.hstack([B, one_b])

    def pull(G, points):
        def sums(part: slice) -> tuple[np.ndarray, np.ndarray]:
            room = np.empty((min(block, part.stop - part.start), len(B)), dtype)
            by_point, squares = np.zeros(b_one.shape), np.zeros(A.shape[1])
            for rows in blocks(part):
                D = np.multiply(G[rows], changes[rows], out=room[: rows.stop - rows.start])
                a, of_rows = A[rows], D @ b_one
                by_point += D.T @ a_one[rows]
                squares += of_rows[:, -1] @ (a * a)
                squares -= 2 * np.einsum("ij,ij->j", a, of_rows[:, :-1])
            return by_point, squares

        by_point, part = (sum(each) for each in zip(*by_rows(sums, len(A)), strict=True))
        moved, columns = by_point[:, :-1], by_point[:, -1]
        part += columns @ (B * B)
        scale = -2 * part / length_scale if length_scale.ndim else -2 * part.sum() / length_scale
        slope = eqx.tree_at(lambda k: k.length_scale, kernel, np.asarray(scale, float))
        if not points:
            return slope, None
        return slope, 2 * (columns[:, None] * B - moved) / length_scale

    return values, pull
