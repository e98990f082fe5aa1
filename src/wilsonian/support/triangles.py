"""Products and inverses of lower triangles, by NumPy's matrix products and shared among threads.

SciPy's wrappers of the BLAS hold the interpreter's lock while they compute: threads that call them
wait for each other. NumPy's products let it go. Tiles above the diagonal are left out; what stands
above the diagonal of a triangle is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from wilsonian.support.row_threads import by_parts, by_rows

TILE = 128
FEW = 2  # tiles that are not worth waking another thread for
SMALL = 64  # rows of a triangle that LAPACK inverts in microseconds
SQUARED_ROWS = 1024  # a square of few rows takes as long to mirror as to compute


def tiles(size: int) -> list[slice]:
    """Columns of a matrix, some at a time."""
    return [slice(start, min(start + TILE, size)) for start in range(0, size, TILE)]


def _by_tiles(work: Callable[[slice], None], size: int) -> None:
    parts = tiles(size)
    if len(parts) > FEW:
        by_parts(work, parts)
    else:
        for tile in parts:
            work(tile)


def times_transposed(left: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """A L^T, (rows, rank), in the precision of A (rows, rank)."""
    product = np.empty(left.shape, left.dtype)
    by_rows(_multiply(left, lower, product), len(left))
    return product


def _multiply(left: np.ndarray, lower: np.ndarray, product: np.ndarray) -> Callable[[slice], None]:
    lower = np.asarray(lower, left.dtype)

    def multiply(rows: slice) -> None:
        for tile in tiles(len(lower)):
            part = lower[tile, : tile.stop]
            np.matmul(left[rows, : tile.stop], part.T, out=product[rows, tile])

    return multiply


def times(left: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """A L, (rows, rank), of A (rows, rank) in the same precision."""
    product = np.empty(left.shape, left.dtype)

    def multiply(tile: slice) -> None:
        np.matmul(left[:, tile.start :], lower[tile.start :, tile], out=product[:, tile])

    _by_tiles(multiply, len(lower))
    return product


def transposed_times(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L^T A, (rank, columns), of A (rank, columns) in the same precision."""
    product = np.empty(right.shape, right.dtype)

    def multiply(tile: slice) -> None:
        np.matmul(lower[tile.start :, tile].T, right[tile.start :], out=product[tile])

    _by_tiles(multiply, len(lower))
    return product


def transposed_square(lower: np.ndarray) -> np.ndarray:
    """L^T L, (rank, rank), symmetric."""
    square = np.empty(lower.shape, lower.dtype)

    def multiply(tile: slice) -> None:
        below = lower[tile.start :]
        np.matmul(below[:, tile].T, below[:, : tile.stop], out=square[tile, : tile.stop])
        _mirror(square, tile)

    _by_tiles(multiply, len(lower))
    return square


def added_square(total: np.ndarray, features: np.ndarray) -> np.ndarray:
    """S + F^T F, (rank, rank), of a symmetric S and features (rows, rank): the product in the
    precision of these, the sum in that of S."""
    square = np.empty_like(total)

    def multiply(tile: slice) -> None:
        product = features[:, tile].T @ features[:, : tile.stop]
        np.add(total[tile, : tile.stop], product, out=square[tile, : tile.stop])
        _mirror(square, tile)

    by_parts(multiply, tiles(len(total))[::-1])  # the longest first
    return square


def _mirror(square: np.ndarray, tile: slice) -> None:
    """What stands left of the diagonal in these rows, also above it."""
    square[: tile.start, tile] = square[tile, : tile.start].T


def cholesky(matrix: np.ndarray) -> np.ndarray | None:
    """Lower factor of a symmetric matrix (rank, rank), of which the lower triangle counts, in
    float64; None where there is none."""
    lower = np.zeros(matrix.shape)
    for tile in tiles(len(matrix)):
        panel = lower[tile.start :, : tile.start] @ lower[tile, : tile.start].T
        np.subtract(matrix[tile.start :, tile], panel, out=panel)
        width = panel.shape[1]
        # What lies row by row is to LAPACK the transpose.
        corner, failed = lapack.dpotrf(panel[:width].T, lower=0)
        if failed or not np.all(np.isfinite(np.diagonal(corner))):
            return None
        rest = blas.dtrsm(1.0, corner, panel[width:].T, lower=0, trans_a=1, overwrite_b=1)
        lower[tile, tile], lower[tile.stop :, tile] = corner.T, rest.T
    return lower


def inverted(lower: np.ndarray) -> np.ndarray:
    """L^{-1}, (rank, rank): of halves, and a product of both by what stands between them. Raises
    ValueError where there is none, of a zero on the diagonal."""
    rank = len(lower)
    if rank <= SMALL:
        inverse, failed = lapack.dtrtri(lower.T, lower=0)
        if failed:
            raise ValueError("a triangle with a zero on its diagonal has no inverse.")
        return inverse.T
    half = rank // 2
    halves = lower[:half, :half], lower[half:, half:]
    first, last = by_parts(inverted, halves) if half > FEW * TILE else map(inverted, halves)
    inverse = np.zeros(lower.shape)
    inverse[:half, :half], inverse[half:, half:] = first, last

    def between(rows: slice) -> None:
        part = last[rows, : rows.stop] @ lower[half : half + rows.stop, :half]
        inverse[half + rows.start : half + rows.stop, :half] = -part @ first

    _by_tiles(between, rank - half)
    return inverse


def weighted_square(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum over rows of w f f^T, (rank, rank) in float64, of features (rows, rank) and weights
    (rows,): products in the precision of the features."""
    return _summed_squares(lambda rows: features[rows], features.shape, features.dtype, weights)


def times_transposed_and_square(
    left: np.ndarray, lower: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`times_transposed`, and of these features :func:`weighted_square`: each row is squared
    while it lies in the cache."""
    product = np.empty(left.shape, left.dtype)
    multiply = _multiply(left, lower, product)

    def multiplied(rows: slice) -> np.ndarray:
        multiply(rows)
        return product[rows]

    return product, _summed_squares(multiplied, left.shape, left.dtype, weights)


def square_lengths(features: np.ndarray, dtype: Any) -> np.ndarray:
    """Sum of squares of each row, (rows,), added up in `dtype`."""

    def squared(rows: slice) -> np.ndarray:
        return np.einsum("ij,ij->i", features[rows], features[rows], dtype=dtype)

    return np.concatenate(by_rows(squared, len(features)))


def _summed_squares(
    features: Callable[[slice], np.ndarray], shape: tuple[int, ...], dtype: Any, weights: np.ndarray
) -> np.ndarray:
    even = bool(np.all(weights == weights[0]))
    roots = np.sqrt(weights).astype(dtype)[:, None]

    def squared(rows: slice) -> np.ndarray:
        scaled = features(rows) if even else roots[rows] * features(rows)
        return scaled.T @ scaled

    total = np.zeros((shape[1], shape[1]))
    for part in by_rows(squared, shape[0], SQUARED_ROWS):
        total += part
    return weights[0] * total if even else total
