"""Products and factors of triangles, in tiles and shared among threads, against whole ones."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from wilsonian.support.row_threads import shared_rows
from wilsonian.support.triangles import (
    TILE,
    cholesky,
    inverted,
    square_lengths,
    times,
    times_transposed,
    times_transposed_and_square,
    transposed_square,
    transposed_times,
    weighted_square,
)

RANDOM = np.random.default_rng(0)


@pytest.fixture(params=[1, 5, TILE, 2 * TILE + 37], scope="module")
def lower(request):
    rank = request.param
    return np.tril(RANDOM.normal(size=(rank, rank))) / rank**0.5 + 2 * np.eye(rank)


@pytest.fixture(params=[1, 2], scope="module", autouse=True)
def threads(request):
    with threadpool_limits(request.param, user_api="blas"), shared_rows():
        yield


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_products_are_those_of_the_whole_matrices(lower, dtype):
    rank, lower = len(lower), lower.astype(dtype)
    left, square = RANDOM.normal(size=(1030, rank)), RANDOM.normal(size=(rank, rank))
    left, square = left.astype(dtype), square.astype(dtype)
    weights = RANDOM.uniform(0.5, 2.0, len(left))
    product, squared = times_transposed_and_square(left, lower, weights)
    pairs = [
        (product, left @ lower.T),
        (square_lengths(left, float), np.sum(left.astype(float) ** 2, axis=1)),
        (squared, product.T @ (weights[:, None] * product)),
        (times_transposed(left, lower), left @ lower.T),
        (times(left, lower), left @ lower),
        (transposed_times(lower, square), lower.T @ square),
        (transposed_square(lower), lower.T @ lower),
        (weighted_square(left, weights), left.T @ (weights[:, None] * left)),
        (weighted_square(left, np.full(len(left), 3.0)), 3 * left.T @ left),
    ]
    for ours, whole in pairs:
        # Sums of at most 1,030 terms, in another order.
        bound = 100 * np.finfo(dtype).eps * np.abs(whole).max()
        np.testing.assert_allclose(ours, whole, rtol=0, atol=bound)


def test_factor_and_inverse_are_those_of_lapack(lower):
    matrix = lower @ lower.T
    matrix[np.triu_indices(len(lower), 1)] = np.nan  # does not count
    found = cholesky(matrix)
    np.testing.assert_allclose(found, lower, rtol=0, atol=1e-12 * np.abs(lower).max())
    inverse = inverted(found)
    assert np.all(inverse == np.tril(inverse))
    np.testing.assert_allclose(inverse, np.linalg.inv(lower), rtol=0, atol=1e-11)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_what_has_no_factor_has_none(bad):
    for place in (0, TILE + 3):
        matrix = np.eye(2 * TILE)
        matrix[place, place] = bad
        assert cholesky(matrix) is None
        assert np.all(np.diagonal(matrix)[:place] == 1)  # left as it was


def test_a_triangle_with_a_zero_on_its_diagonal_is_named():
    with pytest.raises(ValueError, match="zero on its diagonal"):
        inverted(np.diag([1.0, 0.0]))
