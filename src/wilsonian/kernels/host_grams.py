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

# Rows of a kernel matrix that are worked on while they are in the cache.
BLOCK = 128

Pull = Callable[[np.ndarray, bool], tuple[Any, Any]]
Profile = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _rbf(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value = np.exp(squared * squared.dtype.type(-0.5))
    return value, -value / 2


def _matern12(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = np.sqrt(squared)
    value = np.exp(-r)
    # A cusp: no slope at distance zero, as for automatic differentiation.
    return value, np.divide(value, -2 * r, out=np.zeros_like(r), where=r > 0)


def _matern32(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = np.sqrt(3 * squared)
    decay = np.exp(-r)
    return (1 + r) * decay, decay * squared.dtype.type(-1.5)


def _matern52(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = np.sqrt(5 * squared)
    decay = np.exp(-r)
    r += 1
    slope = r * decay
    squared *= squared.dtype.type(5 / 3)
    squared += r
    squared *= decay
    slope *= slope.dtype.type(-5 / 6)
    return squared, slope


# Covariance and its derivative at squared scaled distances, which may be overwritten.
PROFILES: dict[type, Profile] = {
    RBF: _rbf,
    Matern12: _matern12,
    Matern32: _matern32,
    Matern52: _matern52,
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
    profile, dtype = PROFILES[type(kernel)], X.dtype
    length_scale = np.asarray(kernel.length_scale, dtype)
    centre = Z.mean(axis=0, keepdims=True)  # distances only; small numbers keep them accurate
    A: Any = np.ascontiguousarray(divided(X - centre, length_scale), dtype)
    B: Any = np.ascontiguousarray(divided(Z - centre, length_scale), dtype)
    values = np.empty((len(A), len(B)), dtype)
    changes = np.empty_like(values) if slopes else values
    rounding = 8 * np.finfo(dtype).eps
    # Columns whose coordinates are so large that their squares round by more than the root of the
    # precision would drown the others in that: they are subtracted one by one.
    largest = [np.max(np.abs(points), axis=0, initial=0.0) for points in (A, B)]
    far = np.maximum(*largest) > np.finfo(dtype).eps ** -0.25
    near_a, near_b = (A[:, ~far], B[:, ~far]) if far.any() else (A, B)
    square_a = np.einsum("ij,ij->i", near_a, near_a)
    square_b = np.einsum("ij,ij->i", near_b, near_b)
    twice = -2 * near_b.T

    def fill(part: slice) -> None:
        for start in range(part.start, part.stop, BLOCK):
            rows = slice(start, min(start + BLOCK, part.stop))
            norms = square_a[rows, None] + square_b
            squared = near_a[rows] @ twice
            squared += norms
            norms *= rounding
            # Points that coincide to rounding coincide.
            squared *= squared > norms
            for column in np.flatnonzero(far):
                squared += np.square(A[rows, column, None] - B[:, column])
            values[rows], change = profile(squared)
            if slopes:
                changes[rows] = change

    by_rows(fill, len(A))

    def pull(G, points):
        def sums(part: slice) -> tuple[np.ndarray, np.ndarray, Any]:
            columns, squares = np.zeros(len(B)), np.zeros(A.shape[1])
            moved = np.zeros(B.shape, dtype)
            for start in range(part.start, part.stop, BLOCK):
                rows = slice(start, min(start + BLOCK, part.stop))
                a, D = A[rows], G[rows] * changes[rows]
                columns += D.sum(axis=0)
                squares += D.sum(axis=1) @ (a * a) - 2 * np.einsum("ij,ij->j", a, D @ B)
                if points:
                    moved += D.T @ a
            return columns, squares, moved

        columns, part, moved = (sum(each) for each in zip(*by_rows(sums, len(A)), strict=True))
        part += columns @ (B * B)
        scale = -2 * part / length_scale if length_scale.ndim else -2 * part.sum() / length_scale
        slope = eqx.tree_at(lambda k: k.length_scale, kernel, np.asarray(scale, float))
        if not points:
            return slope, None
        return slope, 2 * (columns[:, None] * B - moved) / length_scale

    return values, pull
